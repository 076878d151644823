"""An item as a request of any dialect: what an agent would send that had this conversation and these tools.

Rule of the file: nothing is put in that the item does not say, but the words a dialect demands. Prompt and parameters are the
release's business; `extra` is what the operator adds to every request.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

import msgspec

from gateway.core.contract.artifact import Tool
from gateway.core.contract.prompt import Template
from gateway.core.contract.release import Mode
from gateway.core.contract.suite import Asked, Item, Offered, Said
from gateway.core.dialect.base import Dialect
from gateway.core.dialect.legs import Legs
from gateway.core.dialect.registry import DIALECTS
from gateway.core.dialect.routes import Operation
from gateway.core.dialect.splice import splice

OPERATIONS: Mapping[str, Operation] = MappingProxyType(
    {
        "openai": Operation.CHAT,
        "responses": Operation.RESPONSES,
        "anthropic": Operation.MESSAGES,
        "gemini": Operation.GENERATE,
    }
)
"""What an item is asked as, by dialect."""
HEADERS: Mapping[str, Mapping[str, str]] = MappingProxyType({"anthropic": {"anthropic-version": "2023-06-01"}})
"""What a dialect's own clients send besides the body."""
UNSIGNED = "skip_thought_signature_validator"
"""Google's own word in place of the signature of a call that its model did not make (Gemini API, thought signatures)."""
LEAST = 16
"""Responses takes no smaller bound of tokens."""
NEWER = ("openai", "azure")
"""Vendors whose newer models take `max_completion_tokens` only."""
_signs = re.compile(r"gemini-(?:[3-9]|\d\d)").match
"""Gemini models that take no call in a history without a thought signature."""
_BOUNDS = frozenset(("max_tokens", "max_completion_tokens", "max_output_tokens"))

_encode = msgspec.json.encode
Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Asking:
    """A request to the data port. `path` is percent-encoded."""

    dialect: str
    operation: Operation
    path: str
    body: bytes
    headers: Mapping[str, str]


def request(
    item: Item,
    dialect: str,
    model: str,
    extra: Mapping[str, Any] = MappingProxyType({}),
    *,
    bound: str = "",
    signature: str = "",
) -> Asking:
    """The request of an item to a model, which the gate names by its release id.

    `extra` are members of the body that stand in place of the item's own; a bound of tokens among them replaces the item's
    under whatever name. A map is joined member by member. `bound` is the provider's name for that bound where it has another:
    OpenAI's newer models take `max_completion_tokens` only. `signature` stands in for the thought signatures that a Gemini model
    demands of calls in the history.
    """
    spoken = DIALECTS[dialect]
    operation = OPERATIONS[dialect]
    path, build = _WRITERS[dialect]
    body = {**{name: msgspec.Raw(value) for name, value in spoken.model_edit(model).items()}, **build(item)}
    if signature:
        _sign(body, signature)
    if _BOUNDS & extra.keys():
        body = {name: value for name, value in body.items() if name not in _BOUNDS}
    elif bound and "max_tokens" in body:
        body[bound] = body.pop("max_tokens")
    for name, value in extra.items():
        held = body.get(name)
        body[name] = {**held, **value} if isinstance(held, dict) and isinstance(value, dict) else value
    if item.tools:
        edits = spoken.tools_edit(operation, tuple(map(_tool, item.tools)))
        body |= {name: msgspec.Raw(value) for name, value in edits.items() if value is not None}
    where = path.replace("{model}", quote(model, safe=""))
    return Asking(dialect, operation, where, _encode(body), HEADERS.get(dialect, {}))


def allowed(item: Item, extra: Mapping[str, Any]) -> int:
    """Tokens that an answer to an item may have: its own bound, or the one that stands in its place."""
    said = {**extra, **(extra.get("generationConfig") or {})}
    found = [said[name] for name in (*_BOUNDS, "maxOutputTokens") if isinstance(said.get(name), int)]
    return max(found, default=item.max_tokens)


def manner(dialect: str, vendor: str, model: str) -> tuple[str, str]:
    """The `bound` and the `signature` with which a vendor's model is asked in a dialect; empty where the dialect's own words do."""
    return (
        "max_completion_tokens" if dialect == "openai" and vendor in NEWER else "",
        UNSIGNED if dialect == "gemini" and _signs(model) else "",
    )


def with_legs(asking: Asking, legs: Legs | None) -> Asking:
    """The request as an agent of this release sends it: with the prompt and the tools that the release only verifies. A prompt
    with variables is left out, for nobody knows their values."""
    if legs is None:
        return asking
    dialect: Dialect = DIALECTS[asking.dialect]
    edits: dict[str, bytes | None] = {}
    envelope = dialect.read(asking.operation, asking.body)
    if legs.prompt.mode is Mode.VERIFY and legs.template is not None and whole(legs.template):
        edits |= envelope.prompt_edit(legs.template.render({}))
    if legs.tools_leg.mode is Mode.VERIFY and legs.tools is not None:
        edits |= dialect.tools_edit(asking.operation, legs.tools)
    if not edits:
        return asking
    fitted = envelope.fitted(edits, "")
    return Asking(asking.dialect, asking.operation, asking.path, splice(envelope.members, fitted), asking.headers)


def whole(template: Template) -> bool:
    """Whether a prompt needs nothing of the request."""
    return not template.variables and not template.uses_app


def _tool(offered: Offered) -> Tool:
    return Tool(offered.name, offered.description, msgspec.Raw(_encode(offered.parameters)))


def _system(item: Item) -> str:
    return "\n\n".join(said.content for said in item.messages if said.role == "system")


def _spoken(item: Item) -> Iterator[Said]:
    return (said for said in item.messages if said.role != "system")


def _arguments(call: Asked) -> str:
    return _encode(call.arguments).decode()


def _openai(item: Item) -> Body:
    return {"messages": [_chat(said) for said in item.messages], "max_tokens": item.max_tokens}


def _chat(said: Said) -> Body:
    if said.role == "tool":
        return {"role": "tool", "tool_call_id": said.call, "content": said.content}
    if not said.calls:
        return {"role": said.role, "content": said.content}
    calls = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": _arguments(call)}}
        for call in said.calls
    ]
    return {"role": said.role, "content": said.content or None, "tool_calls": calls}


def _responses(item: Item) -> Body:
    system = _system(item)
    return {
        **({"instructions": system} if system else {}),
        "input": [each for said in _spoken(item) for each in _items(said)],
        "max_output_tokens": max(item.max_tokens, LEAST),
        "store": False,
    }


def _items(said: Said) -> Iterator[Body]:
    if said.role == "tool":
        yield {"type": "function_call_output", "call_id": said.call, "output": said.content}
        return
    if said.content:
        yield {"role": said.role, "content": said.content}
    for call in said.calls:
        yield {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": _arguments(call)}


def _anthropic(item: Item) -> Body:
    """Turns alternate: what one side says in a row is one message."""
    system = _system(item)
    turns = groupby(_spoken(item), key=lambda said: "assistant" if said.role == "assistant" else "user")
    return {
        **({"system": system} if system else {}),
        "messages": [{"role": role, "content": [b for said in group for b in _blocks(said)]} for role, group in turns],
        "max_tokens": item.max_tokens,
    }


def _blocks(said: Said) -> Iterator[Body]:
    if said.role == "tool":
        yield {"type": "tool_result", "tool_use_id": said.call, "content": said.content}
        return
    if said.content:
        yield {"type": "text", "text": said.content}
    for call in said.calls:
        yield {"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments}


def _gemini(item: Item) -> Body:
    """Results are named by their function, not by an id, and stand in the turn of the user."""
    system = _system(item)
    names = {call.id: call.name for said in item.messages for call in said.calls}
    turns = groupby(_spoken(item), key=lambda said: "model" if said.role == "assistant" else "user")
    return {
        **({"systemInstruction": {"parts": [{"text": system}]}} if system else {}),
        "contents": [{"role": r, "parts": [p for said in group for p in _parts(said, names)]} for r, group in turns],
        "generationConfig": {"maxOutputTokens": item.max_tokens},
    }


def _parts(said: Said, names: Mapping[str, str]) -> Iterator[Body]:
    if said.role == "tool":
        yield {"functionResponse": {"name": names[said.call], "response": _result(said.content)}}
        return
    if said.content:
        yield {"text": said.content}
    for call in said.calls:
        yield {"functionCall": {"name": call.name, "args": call.arguments}}


def _sign(body: Body, signature: str) -> None:
    """A model's first call of a turn carries the signature."""
    for turn in body.get("contents", ()):
        first = next((part for part in turn["parts"] if "functionCall" in part), None)
        if first is not None:
            first["thoughtSignature"] = signature


def _result(content: str) -> Body:
    """Gemini takes objects only."""
    try:
        return msgspec.json.decode(content, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        return {"result": content}


_WRITERS: Mapping[str, tuple[str, Callable[[Item], Body]]] = MappingProxyType(
    {
        "openai": ("/v1/chat/completions", _openai),
        "responses": ("/v1/responses", _responses),
        "anthropic": ("/v1/messages", _anthropic),
        "gemini": ("/v1beta/models/{model}:generateContent", _gemini),
    }
)
"""Path and writer of the body, by dialect."""
