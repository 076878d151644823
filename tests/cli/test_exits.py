"""Exit codes by status."""

from __future__ import annotations

from gateway.cli.exits import VERDICTS, Exit, exit_of, unanswered


def test_status_decides_the_code() -> None:
    """Refusals are 1, tokens 4, what cannot be reached 3, a gateway that failed 5."""
    assert [exit_of(s) for s in (400, 404, 409, 401, 403, 502, 503, 504, 500)] == [1, 1, 1, 4, 4, 3, 3, 3, 5]


def test_codes_are_fixed() -> None:
    """The numbers are a public interface."""
    assert {e.name: e.value for e in Exit} == {
        "OK": 0, "REFUSED": 1, "USAGE": 2, "UNREACHABLE": 3, "DENIED": 4, "BROKEN": 5, "INCOMPLETE": 6, "NO_VERDICT": 7, "INTERRUPTED": 130,
    }  # fmt: skip


def test_a_slip_is_no_verdict() -> None:
    """Where 1 and 2 are the gate's word, what was refused or not understood has a code of its own; elsewhere nothing changes."""
    for words in VERDICTS:
        assert [unanswered(code, (*words, "x")) for code in range(7)] == [0, 7, 7, 3, 4, 5, 6]
    for other in ((), ("gate",), ("evidence", "show"), ("rollout", "plan", "gate", "run")):
        assert [unanswered(code, other) for code in range(7)] == [*range(7)]
