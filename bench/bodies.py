"""The request bodies of the bench: a chat request of 2 KB with one tool, a long agent context of 64 KB with twelve."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SYSTEM = (
    "You are the support agent of a parcel service. Answer in two sentences, cite the order id, and never promise a refund. "
    'The customer writes in German or English; "quotes" and newlines\nand \u00fcmlauts occur. '
)


def tool(number: int) -> dict[str, Any]:
    """A function tool of usual size."""
    properties = {
        "order_id": {"type": "string", "description": "the order's id"},
        "limit": {"type": "integer", "minimum": 1, "maximum": 50},
        "verbose": {"type": "boolean"},
    }
    return {
        "type": "function",
        "function": {
            "name": f"lookup_order_{number}",
            "description": "Look an order up by its id and return its state, carrier and last scan.",
            "parameters": {"type": "object", "properties": properties, "required": ["order_id"]},
        },
    }


def turn(number: int) -> list[dict[str, Any]]:
    """A tool call of the assistant and its result."""
    call = {"name": "lookup_order_0", "arguments": f'{{"order_id": "A-{number}"}}'}
    scans = [{"t": f"2026-01-{day:02d}", "hub": "HAM"} for day in range(1, 12)]
    result = json.dumps({"order": number, "state": "in transit", "scans": scans})
    return [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": f"call_{number}", "type": "function", "function": call}],
        },
        {"role": "tool", "tool_call_id": f"call_{number}", "content": result},
    ]


def chat(size: int, tools: int, *, stream: bool = False, marker: str = "", results: bool = True) -> bytes:
    """A chat completion request of about `size` bytes. `marker` tells the mock how to answer."""
    messages: list[dict[str, Any]] = [{"role": "system", "content": SYSTEM}]
    body: dict[str, Any] = {"model": "gpt-4o", "temperature": 0.2, "max_tokens": 512, "messages": messages}
    body |= {"tools": [tool(number) for number in range(tools)], "user": "tenant-42"}
    if stream:
        body["stream"] = True
    number = 0
    while len(json.dumps(body, separators=(",", ":"))) < size - 260:
        messages.extend(
            turn(number) if results and number % 3 == 1 else [{"role": "user", "content": f"{number}: {SYSTEM}"}]
        )
        number += 1
    messages.append({"role": "user", "content": f"Where is my parcel? {marker}"})
    # Without spaces, as the official SDK writes a body.
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def write(folder: Path) -> None:
    """Write every body the scenarios name."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "2k.json").write_bytes(chat(2048, 1))
    (folder / "64k.json").write_bytes(chat(65536, 12))
    (folder / "stream.json").write_bytes(chat(2048, 1, stream=True, marker="[[sse:50:5000]]"))
