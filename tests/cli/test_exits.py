"""Exit codes by status."""

from __future__ import annotations

from gateway.cli.exits import Exit, exit_of


def test_status_decides_the_code() -> None:
    """Refusals are 1, tokens 4, what cannot be reached 3, a gateway that failed 5."""
    assert [exit_of(s) for s in (400, 404, 409, 401, 403, 502, 503, 504, 500)] == [1, 1, 1, 4, 4, 3, 3, 3, 5]


def test_codes_are_fixed() -> None:
    """The numbers are a public interface."""
    assert {e.name: e.value for e in Exit} == {
        "OK": 0, "REFUSED": 1, "USAGE": 2, "UNREACHABLE": 3, "DENIED": 4, "BROKEN": 5, "INCOMPLETE": 6, "INTERRUPTED": 130,
    }  # fmt: skip
