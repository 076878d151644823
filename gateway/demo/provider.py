"""A mock provider that speaks OpenAI's chat completions on a real socket, with made-up models and a name that moves.

Rule of the file: honest on the wire. `model` of every answer names the snapshot that made it, whatever was asked, until `change`
puts another model behind a snapshot, as providers do who tell nobody. The answers are drawn from `minds` with seeded dice, so the
same conversation asked again may get another answer, as with a real model, and the same seed tells the same story.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from gateway.demo.exam import Exam
from gateway.demo.minds import FLOATING, MINDS, NEW, OLD, Call, Given, Mind, Turn, decide

CREATED = 1_733_000_000
"""`created` of everything: the demo has no use for a clock here."""
PIECE_WORDS = 4
"""Words per event of a stream."""


class MockProvider:
    """The server. `move` puts another snapshot behind a floating name, at once and for everybody, as providers do.

    `latency` is seconds until an answer begins, from and to; `asked` and `answered` count per snapshot; `url` is the base URL
    without path, while it serves. With an `exam`, items of its suites are answered as it says.
    """

    def __init__(self, seed: int = 7, minds: Mapping[str, Mind] = MINDS, exam: Exam | None = None) -> None:
        self.seed = seed
        self.minds = minds
        self.exam = exam
        self.aliases = {FLOATING: OLD}
        self.latency = (0.003, 0.012)
        self.asked: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.url = ""
        # How often each conversation was asked: the n-th time throws other dice than the first.
        self._seen: Counter[str] = Counter()

    def move(self, alias: str = FLOATING, snapshot: str = NEW) -> None:
        """Resolve `alias` to `snapshot` from the next request on. No client is told."""
        self.aliases[alias] = snapshot

    def change(self, snapshot: str, mind: Mind) -> None:
        """Have another model answer for `snapshot` from the next request on, under the same name. No client is told."""
        self.minds = {**self.minds, snapshot: mind}

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Serve on a free port of the loopback while the context is open; gives the base URL."""
        runner = web.AppRunner(self.app(), access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            host, port = runner.addresses[0][:2]
            self.url = f"http://{host}:{port}"
            yield self.url
        finally:
            await runner.cleanup()

    def app(self) -> web.Application:
        """The routes."""
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/v1/models/{model:.+}", self._model)
        return app

    async def _models(self, request: web.Request) -> web.Response:
        if refused := _unauthorised(request):
            return refused
        return web.json_response({"object": "list", "data": [_model(name) for name in (*self.aliases, *self.minds)]})

    async def _model(self, request: web.Request) -> web.Response:
        name = request.match_info["model"]
        if refused := _unauthorised(request):
            return refused
        if name not in self.aliases and name not in self.minds:
            return _no_model(name)
        return web.json_response(_model(name))

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        if refused := _unauthorised(request):
            return refused
        try:
            asked = json.loads(await request.read())
            messages = asked["messages"]
            name = str(asked["model"])
        except (ValueError, KeyError, TypeError):
            return _error(400, "invalid_request_error", "invalid_body", "The body needs `model` and `messages`.")
        snapshot = self.aliases.get(name, name)
        mind = self.minds.get(snapshot)
        if mind is None:
            return _no_model(name)
        self.asked[snapshot] += 1
        dice = self._dice(snapshot, messages)
        tools = [str(tool["function"]["name"]) for tool in asked.get("tools") or ()]
        turn = self._examined(snapshot, mind, messages) or decide(mind, dice, messages, tools)
        await asyncio.sleep(dice.uniform(*self.latency))
        self.answered[snapshot] += 1
        answer = Answer(snapshot, mind.fingerprint, turn, prompt_tokens=_tokens(json.dumps(messages)))
        if not asked.get("stream"):
            return web.json_response(answer.whole(), headers=_headers())
        with_usage = bool((asked.get("stream_options") or {}).get("include_usage"))
        return await _stream(request, answer, with_usage=with_usage)

    def _examined(self, snapshot: str, mind: Mind, messages: list[dict[str, Any]]) -> Given | None:
        return self.exam.answer(snapshot, mind.skills, messages) if self.exam is not None else None

    def _dice(self, snapshot: str, messages: list[dict[str, Any]]) -> random.Random:
        """Dice of this conversation at this snapshot; ids of tool calls, which are never twice the same, do not count."""
        said = [
            (m.get("role"), m.get("content"), [c.get("function") for c in m.get("tool_calls") or ()]) for m in messages
        ]
        conversation = hashlib.sha256(json.dumps([snapshot, said]).encode()).hexdigest()
        self._seen[conversation] += 1
        return random.Random(f"{self.seed} {conversation} {self._seen[conversation]}")


@dataclass(frozen=True)
class Answer:
    """One answer in the API's own form."""

    snapshot: str
    fingerprint: str
    turn: Turn | Given
    prompt_tokens: int
    id: str = field(default_factory=lambda: f"chatcmpl-{secrets.token_hex(12)}")

    @property
    def text(self) -> str:
        """What is said, empty where only tools are called."""
        return "" if isinstance(self.turn, Call) else self.turn.text

    @property
    def calls(self) -> tuple[Call, ...]:
        """What is called."""
        if isinstance(self.turn, Given):
            return self.turn.calls
        return (self.turn,) if isinstance(self.turn, Call) else ()

    @property
    def finish(self) -> str:
        """`finish_reason`."""
        return "tool_calls" if self.calls else "stop"

    def usage(self) -> dict[str, int]:
        """Tokens, estimated at four characters each."""
        out = _tokens(self.text + "".join(call.name + call.arguments for call in self.calls))
        return {"prompt_tokens": self.prompt_tokens, "completion_tokens": out, "total_tokens": self.prompt_tokens + out}

    def whole(self) -> dict[str, Any]:
        """A `chat.completion`."""
        message: dict[str, Any] = {"role": "assistant", "content": self.text or None, "refusal": None}
        if self.calls:
            message["tool_calls"] = [_tool_call(call) for call in self.calls]
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self.finish}
        return {**self._head("chat.completion"), "choices": [choice], "usage": self.usage()}

    def chunks(self, *, with_usage: bool) -> list[dict[str, Any]]:
        """The `chat.completion.chunk`s of a stream."""
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
        if self.text:
            words = self.text.split(" ")
            pieces = [" ".join(words[n : n + PIECE_WORDS]) for n in range(0, len(words), PIECE_WORDS)]
            deltas += [{"content": piece if n == 0 else f" {piece}"} for n, piece in enumerate(pieces)]
        deltas += [{"tool_calls": [{"index": n, **_tool_call(call)}]} for n, call in enumerate(self.calls)]
        head = self._head("chat.completion.chunk") | ({"usage": None} if with_usage else {})
        made = [{**head, "choices": [_choice(delta, None)]} for delta in deltas]
        made.append({**head, "choices": [_choice({}, self.finish)]})
        if with_usage:
            made.append({**head, "choices": [], "usage": self.usage()})
        return made

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": kind,
            "created": CREATED,
            "model": self.snapshot,
            "system_fingerprint": self.fingerprint,
        }


async def _stream(request: web.Request, answer: Answer, *, with_usage: bool) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-type": "text/event-stream; charset=utf-8", **_headers()})
    await response.prepare(request)
    for chunk in answer.chunks(with_usage=with_usage):
        await response.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
    await response.write(b"data: [DONE]\n\n")
    await response.write_eof()
    return response


def _choice(delta: dict[str, Any], finish: str | None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}


def _tool_call(call: Call) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": f"call_{secrets.token_hex(12)}", "type": "function", "function": function}


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "mock"}


def _headers() -> dict[str, str]:
    return {"x-request-id": f"req_{secrets.token_hex(8)}"}


def _tokens(text: str) -> int:
    return max(1, len(text) // 4)


def _unauthorised(request: web.Request) -> web.Response | None:
    """A provider that takes anybody would hide a gateway that loses credentials."""
    if request.headers.get("authorization", "").startswith("Bearer "):
        return None
    return _error(
        401, "invalid_request_error", "invalid_api_key", "Send a key as Authorization: Bearer; any word will do."
    )


def _no_model(name: str) -> web.Response:
    return _error(404, "invalid_request_error", "model_not_found", f"The model `{name}` does not exist.")


def _error(status: int, kind: str, code: str, message: str) -> web.Response:
    body = {"error": {"message": message, "type": kind, "param": None, "code": code}}
    return web.json_response(body, status=status, headers=_headers())
