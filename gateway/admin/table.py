"""One table of everything the admin port can do: the API, its OpenAPI document and the command line are made from it.

Rule of the file: an operation is a plain coroutine from (Visit, request) to a record. HTTP is one way to reach it, the
command line's direct mode the other; neither adds a rule of its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from gateway.admin.visit import Visit

PREFIX = "/api/v1"


class Ask(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of every request: members named in the path, the rest as query (GET) or JSON body (POST)."""


class Nothing(Ask, frozen=True):
    """A request without members."""


@dataclass(frozen=True, slots=True)
class Operation:
    """A route and what it does."""

    name: str
    """Word of the audit line and of OpenAPI's operationId, `release.create`."""
    method: str
    path: str
    """Below PREFIX; `{member}` takes a member of the request, percent-encoded."""
    right: str
    ask: type[msgspec.Struct]
    answer: Any
    """Type of the record it answers with."""
    run: Callable[[Visit, Any], Awaitable[Any]]
    summary: str
    seconds: float = 0.0
    """How long it may take; 0 is as long as any."""

    @property
    def changes(self) -> bool:
        """Whether it writes: such an action leaves an audit line."""
        return self.method != "GET"

    def placed(self, ask: msgspec.Struct) -> tuple[str, bytes]:
        """Path with query, and body, that carry the request over HTTP."""
        members: dict[str, Any] = msgspec.to_builtins(ask)
        path = PREFIX + self.path
        for name in self.in_path():
            path = path.replace("{" + name + "}", quote(str(members.pop(name)), safe=""))
        if self.method == "GET":
            query = urlencode({k: _word(v) for k, v in members.items()})
            return (f"{path}?{query}" if query else path), b""
        return path, msgspec.json.encode(members)

    def in_path(self) -> tuple[str, ...]:
        """Members of the request that stand in the path."""
        return tuple(part[1:-1] for part in self.path.split("/") if part.startswith("{"))


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
