"""Whether a request may be sent a second time, and what has to change in it first.

The rule: a second call must leave nothing behind at the provider and act on nothing. Where one member makes that exactly so it is
set; anything else that might act is a reason to skip, and what is not known here counts as acting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, slots=True)
class Harmless:
    """`skip` is a reason of one word when the request must not be repeated; else `edits` are top-level members to set."""

    skip: str = ""
    edits: Mapping[str, bytes] = field(default_factory=dict)


TOOL = "hosted_tool"
"""The provider itself would run a tool."""
STATE = "state"
"""The request continues, or leaves, state at the provider."""
FILES = "files"
"""The request reads files that are stored at the provider."""
FOREIGN = "foreign_state"
"""The request brings sealed state, such as reasoning signatures, that only the vendor that made it can read."""

CLIENT_TOOLS = ("custom", "bash_", "text_editor_", "computer_", "memory_")
"""Types, or beginnings of types, of Anthropic's tools that the caller runs (its tool-use documentation, 2026)."""
GEMINI_CALLER_TOOLS = frozenset({"functionDeclarations", "function_declarations"})


def check(dialect: str, body: Mapping[str, Any], *, same_vendor: bool) -> Harmless:
    """What has to be done before `body`, decoded, is sent again. `same_vendor` says that the answer is asked of the vendor of the
    live one. An unknown dialect is skipped."""
    rule = _RULES.get(dialect)
    if rule is None:
        return Harmless("dialect")
    found = rule(body)
    if not found.skip and not same_vendor and _has(_history(body), SEALED):
        return Harmless(FOREIGN)
    return found


SEALED = frozenset({"encrypted_content", "signature", "thoughtSignature", "thought_signature", "redacted_thinking"})
"""Members of messages, or types of blocks, that hold sealed state."""


def _chat(body: Mapping[str, Any]) -> Harmless:
    if body.get("web_search_options") is not None:
        return Harmless(TOOL)
    if any(_type(tool) not in ("function", "custom") for tool in _list(body, "tools")):
        return Harmless(TOOL)
    if _has(_history(body), frozenset({"file_id"})):
        return Harmless(FILES)
    return Harmless(edits={"store": b"false"} if body.get("store") else {})


def _responses(body: Mapping[str, Any]) -> Harmless:
    if body.get("previous_response_id") or body.get("conversation"):
        return Harmless(STATE)
    if body.get("background"):
        return Harmless("background")
    if any(_type(tool) not in ("function", "custom") for tool in _list(body, "tools")):
        return Harmless(TOOL)
    history = _history(body)
    if _has(history, frozenset({"item_reference"})):
        return Harmless(STATE)
    if _has(history, frozenset({"file_id"})):
        return Harmless(FILES)
    # Responses are stored at OpenAI unless the request says otherwise.
    return Harmless(edits={} if body.get("store") is False else {"store": b"false"})


def _anthropic(body: Mapping[str, Any]) -> Harmless:
    if body.get("mcp_servers"):
        return Harmless("mcp")
    if body.get("container"):
        return Harmless(STATE)
    if any(not _type(tool, "custom").startswith(CLIENT_TOOLS) for tool in _list(body, "tools")):
        return Harmless(TOOL)
    if _has(_history(body), frozenset({"file_id"})):
        return Harmless(FILES)
    return Harmless()


def _gemini(body: Mapping[str, Any]) -> Harmless:
    if body.get("cachedContent") or body.get("cached_content"):
        return Harmless(STATE)
    if any(not set(tool) <= GEMINI_CALLER_TOOLS for tool in _list(body, "tools") if isinstance(tool, dict)):
        return Harmless(TOOL)
    if _has(_history(body), frozenset({"fileData", "file_data"})):
        return Harmless(FILES)
    return Harmless()


_RULES: Mapping[str, Callable[[Mapping[str, Any]], Harmless]] = MappingProxyType(
    {"openai": _chat, "responses": _responses, "anthropic": _anthropic, "gemini": _gemini}
)


def _history(body: Mapping[str, Any]) -> list[Any]:
    """What was said so far, wherever the dialect has it; never the tools, whose schemas may name anything."""
    return [body[name] for name in ("messages", "input", "contents", "system", "systemInstruction") if name in body]


def _list(body: Mapping[str, Any], name: str) -> list[Any]:
    value = body.get(name)
    return value if isinstance(value, list) else []


def _type(tool: Any, absent: str = "") -> str:
    kind = tool.get("type", absent) if isinstance(tool, dict) else ""
    return kind if isinstance(kind, str) else ""


def _has(values: list[Any], names: frozenset[str]) -> bool:
    """Whether a member, or the type of a block, of any of these names stands anywhere within."""
    return any(name in names for name in _names(values))


def _names(values: list[Any]) -> Iterator[str]:
    waiting = list(values)
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            for name, member in node.items():
                if member is not None and name not in ("arguments", "args"):
                    yield name
                    if name not in ("parameters", "input") or isinstance(member, list):
                        waiting.append(member)
            if isinstance(node.get("type"), str):
                yield node["type"]
        elif isinstance(node, list):
            waiting += node
