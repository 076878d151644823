"""The audit line: who did what on the admin port, and how it ended. One structured line per action, never its content.

Names and reasons are kept, texts of prompts and tools are not; what is written into pointers is in the alias's history
as well, for ever, with the same actor.
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.telemetry.log import Log

log = Log("audit")

KEPT = (
    "alias",
    "lane",
    "release",
    "to",
    "run",
    "tenant",
    "reason",
    "override",
    "stop_runs",
    "local",
    "candidate",
    "incumbent",
    "rate",
    "acknowledged",
)
"""Members of a request that the line names."""
LENGTH = 200
"""Characters kept of a member: a reason is a sentence, not a document."""


class Audit:
    """Writes the lines and counts them, for metrics."""

    __slots__ = ("denied", "failed", "results", "written")

    def __init__(self) -> None:
        self.written = 0
        self.denied = 0
        """Refused for want of a token or a right."""
        self.failed = 0
        self.results: dict[tuple[str, str], int] = {}
        """Actions by name and result."""

    def write(self, actor: str, action: str, about: Mapping[str, object], result: str) -> None:
        """One line. `about` are members of the request, `result` is `done`, another word of the record, or the code of the fault."""
        self.written += 1
        self.results[action, result] = self.results.get((action, result), 0) + 1
        if result in ("invalid_admin_token", "right_missing", "foreign_host", "foreign_origin"):
            self.denied += 1
        kept = {name: _short(about[name]) for name in KEPT if about.get(name)}
        log.info("admin action", actor=actor or "unknown", action=action, result=result, **kept)


def _short(value: object) -> object:
    return value[:LENGTH] if isinstance(value, str) else value
