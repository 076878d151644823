"""What the head of a request decides by itself, kept while its connection sends the same head again: an agent repeats itself.

Rule of the file: only what the same head under the same view gives every time. Clocks, limits and bodies are looked at for each
request, and nothing that was refused is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gateway.core.binding.sources import METADATA, STATE, TOOL_CALLS, valid_run_id
from gateway.core.contract.run import Source
from gateway.live.limits import enter
from gateway.live.view import LIVE

if TYPE_CHECKING:
    from gateway.core.dialect.base import Dialect
    from gateway.core.dialect.routes import Route
    from gateway.live.life import Life
    from gateway.live.view import Caller, View

OF_THE_BODY = (STATE, TOOL_CALLS, METADATA)
"""Beginnings of the sources of a run that a head does not hold."""
BESIDE_THE_RUN = frozenset((b"x-trivet-step", b"x-trivet-resume", b"x-trivet-ticket"))
"""Fields with a say in which run it is, or which step of it."""


_HEADER = Source.HEADER  # ten times as fast as to look it up in its enum


class Standing(msgspec.Struct, frozen=True):
    """How a head stands under a view: phase 1 and what phase 2 reads of the head."""

    view: View
    route: Route
    dialect: Dialect
    caller: Caller
    credential: bytes | None
    run: str
    """The run that a header names before any other source could; empty where it takes more to tell."""


def recalled(life: Life) -> bool:
    """Take over what the same head gave before; False when it has to be found out. Raises Limited, as `admit` does."""
    memo = life.incoming.memo
    standing = memo.standing if memo is not None else None
    if type(standing) is not Standing or standing.view is not life.view:
        return False
    life.route, life.dialect = standing.route, standing.dialect
    life.caller, life.credential = standing.caller, standing.credential
    if standing.run:
        life.run, life.source = standing.run, _HEADER
    if life.caller.accounts:
        enter(life)
    return True


def remember(life: Life) -> None:
    """Keep what was found out of a head that its connection repeats: of a request to a dialect that was admitted, and whose
    method and content type were accepted."""
    memo, route, dialect = life.incoming.memo, life.route, life.dialect
    # A credential of the gateway's own expires, and a query may hold a key.
    if memo is None or route is None or dialect is None or life.caller.role is not LIVE or life.incoming.query:
        return
    memo.standing = Standing(life.view, route, dialect, life.caller, life.credential, _named(life))


def _named(life: Life) -> str:
    fields = life.incoming.fields
    if not BESIDE_THE_RUN.isdisjoint(fields):
        return ""
    for source in life.view.run_sources:
        if source.startswith(OF_THE_BODY):
            return ""
        value = fields.get(source.encode())
        if value is not None:
            text = value.decode("latin-1")
            return text if valid_run_id(text) else ""
    return ""
