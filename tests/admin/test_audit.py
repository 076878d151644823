"""The audit line: who, what, how it ended; never content."""

from __future__ import annotations

import io
import logging

import msgspec

from gateway.admin.audit import Audit
from gateway.core.contract.records import LegAsk, ReleaseAsk
from gateway.telemetry import log as logs


def test_line_names_actor_action_and_result() -> None:
    """One line per action with the actor's name, the alias and the reason."""
    out = io.StringIO()
    handler = logs.configure("json", stream=out)
    try:
        Audit().write("alice", "rollback", {"alias": "support", "reason": "wrong answers", "stop_runs": True}, "done")
    finally:
        _undo(handler)
    line = out.getvalue()
    for word in (
        '"actor": "alice"',
        '"action": "rollback"',
        '"alias": "support"',
        "wrong answers",
        '"result": "done"',
        "stop_runs",
    ):
        assert word in line


def test_content_stays_out() -> None:
    """Texts of prompts and tools are not in the line, and a long reason is cut."""
    out = io.StringIO()
    handler = logs.configure("json", stream=out)
    try:
        ask = ReleaseAsk(model="openai/x", prompt=LegAsk(content="THE PROMPT"), note="n", alias="a")
        Audit().write("bob", "release.create", msgspec.to_builtins(ask), "done")
        Audit().write("bob", "rollback", {"alias": "a", "reason": "x" * 5000}, "alias_unknown")
    finally:
        _undo(handler)
    assert "THE PROMPT" not in out.getvalue()
    assert max(map(len, out.getvalue().splitlines())) < 600


def test_denials_are_counted() -> None:
    """Metrics tell refusals of a right from other results."""
    audit = Audit()
    for result in ("done", "right_missing", "invalid_admin_token", "alias_unknown"):
        audit.write("", "x", {}, result)
    assert (audit.written, audit.denied) == (4, 2)


def _undo(handler: logging.Handler) -> None:
    logging.getLogger().removeHandler(handler)
    logging.raiseExceptions = True
