"""The same agent in four dialects: a context of 64 KB with 20 tools, and the prompt and tools that a release puts in their place."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.bodies import SYSTEM, chat, tool

SIZE = 65536
TOOLS = 20
VARIABLES = {"customer": "Ann"}


@dataclass(frozen=True)
class Spoken:
    """A dialect as the bench calls it."""

    name: str
    path: str
    """`{alias}` is where the dialect has the model in its path."""
    snapshot: str
    """Model of the releases."""
    room: float = 1.0
    """Size of a chat request that says the same, to the size of this dialect's."""

    def alias(self, *, served: bool) -> str:
        """The alias whose release brings prompt and tools, or leaves both as sent."""
        return f"{'served' if served else 'sent'}-{self.name}"

    def path_of(self, *, served: bool) -> str:
        """Path of a request."""
        return self.path.replace("{alias}", self.alias(served=served))

    def file(self, *, served: bool) -> str:
        """Name of the file with the body of a request."""
        return f"64k-{self.name}-{'served' if served else 'sent'}"


SPOKEN = (
    Spoken("openai", "/v1/chat/completions", "openai/gpt-4o-2024-08-06"),
    Spoken("responses", "/v1/responses", "openai/gpt-4o-2024-08-06", 1.04),
    Spoken("anthropic", "/v1/messages", "anthropic/claude-sonnet-4-5-20250929", 1.02),
    Spoken("gemini", "/v1beta/models/{alias}:generateContent", "gemini/gemini-2.0-flash-001", 1.16),
)


def prompt() -> str:
    """The released prompt: 4 KB, one variable, and what the application sent."""
    return "You answer {{customer}}. " + "Be kind, be brief, and name the order. " * 100 + "\n{{app}}"


def released_tools() -> bytes:
    """The released toolset: the names that are sent, described anew."""
    made = [copy.deepcopy(tool(number)) for number in range(TOOLS)]
    for each in made:
        each["function"]["description"] = "Look an order up. Ask for one order at a time, and never guess its id."
    return json.dumps(made).encode()


def body(spoken: Spoken, *, served: bool) -> bytes:
    """A request of about 64 KB, with the prompt's variables when the alias needs them."""
    made = WRITERS[spoken.name](json.loads(chat(int(SIZE * spoken.room), TOOLS)))
    if spoken.name != "gemini":
        made = {"model": spoken.alias(served=served), **made}
    if served:
        made["trivet"] = {"vars": VARIABLES}
    return json.dumps(made, ensure_ascii=False, separators=(",", ":")).encode()


def write(folder: Path) -> None:
    """Write every body."""
    for spoken in SPOKEN:
        for served in (False, True):
            (folder / f"{spoken.file(served=served)}.json").write_bytes(body(spoken, served=served))


def _openai(asked: dict[str, Any]) -> dict[str, Any]:
    asked.pop("model")
    return asked


def _responses(asked: dict[str, Any]) -> dict[str, Any]:
    items: list[dict[str, Any]] = []
    for said in asked["messages"][1:]:
        if said.get("tool_calls"):
            called = said["tool_calls"][0]
            items.append({"type": "function_call", "call_id": called["id"], **called["function"]})
        elif said["role"] == "tool":
            items.append({"type": "function_call_output", "call_id": said["tool_call_id"], "output": said["content"]})
        else:
            items.append({"role": said["role"], "content": said["content"]})
    listed = [{"type": "function", **each["function"], "strict": False} for each in asked["tools"]]
    return {"instructions": SYSTEM, "input": items, "tools": listed, "temperature": 0.2, "max_output_tokens": 512}


def _anthropic(asked: dict[str, Any]) -> dict[str, Any]:
    messages: list[dict[str, Any]] = []
    for said in asked["messages"][1:]:
        if said.get("tool_calls"):
            called = said["tool_calls"][0]
            content: Any = [
                {
                    "type": "tool_use",
                    "id": called["id"],
                    "name": called["function"]["name"],
                    "input": json.loads(called["function"]["arguments"]),
                }
            ]
        elif said["role"] == "tool":
            content = [{"type": "tool_result", "tool_use_id": said["tool_call_id"], "content": said["content"]}]
        else:
            content = said["content"]
        messages.append({"role": "assistant" if said["role"] == "assistant" else "user", "content": content})
    listed = [
        {
            "name": each["function"]["name"],
            "description": each["function"]["description"],
            "input_schema": each["function"]["parameters"],
        }
        for each in asked["tools"]
    ]
    system = [{"type": "text", "text": SYSTEM}]
    return {"max_tokens": 512, "temperature": 0.2, "system": system, "tools": listed, "messages": messages}


def _gemini(asked: dict[str, Any]) -> dict[str, Any]:
    contents: list[dict[str, Any]] = []
    for said in asked["messages"][1:]:
        if said.get("tool_calls"):
            called = said["tool_calls"][0]["function"]
            part = {"functionCall": {"name": called["name"], "args": json.loads(called["arguments"])}}
        elif said["role"] == "tool":
            part = {"functionResponse": {"name": "lookup_order_0", "response": json.loads(said["content"])}}
        else:
            part = {"text": said["content"]}
        contents.append({"role": "model" if said["role"] == "assistant" else "user", "parts": [part]})
    return {
        "systemInstruction": {"parts": [{"text": SYSTEM}]},
        "contents": contents,
        "tools": [{"functionDeclarations": [each["function"] for each in asked["tools"]]}],
        "generationConfig": {"temperature": 0.2, "maxOutputTokens": 512},
    }


WRITERS = {"openai": _openai, "responses": _responses, "anthropic": _anthropic, "gemini": _gemini}
