"""The breaker."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.telemetry.counters import Register
from gateway.upstream.breaker import CLOSED, HALF_OPEN, OPEN, Breaker


def broken(failures: int = 5) -> tuple[Breaker, Register]:
    """A breaker after some failures at time 0."""
    gauge = Register()
    breaker = Breaker(5, 10.0, gauge)
    for _ in range(failures):
        breaker.failure(0.0)
    return breaker, gauge


def test_d11_five_failures_in_a_row_open_it() -> None:
    """Four failures change nothing, five hold calls back; a success in between starts over."""
    breaker, gauge = broken(4)
    assert breaker.admit(1.0) == 0
    breaker.success()
    assert breaker.quiet
    for _ in range(4):
        breaker.failure(1.0)
    assert (breaker.admit(1.0), gauge.n) == (0, CLOSED)
    breaker.failure(1.0)
    assert (breaker.admit(4.0), gauge.n) == (7.0, OPEN)


def test_d11_one_probe_decides() -> None:
    """Half open, one caller goes out; its failure opens again, its success closes."""
    breaker, gauge = broken()
    assert breaker.admit(10.0) == 0
    assert gauge.n == HALF_OPEN
    assert breaker.admit(10.0) > 0
    breaker.failure(11.0)
    assert (breaker.admit(12.0), gauge.n) == (9.0, OPEN)
    assert breaker.admit(21.0) == 0
    breaker.success()
    assert (breaker.admit(21.0), gauge.n) == (0, CLOSED)


def test_d11_a_probe_that_tells_nothing_gives_way() -> None:
    """A probe whose client left, or that never reports, does not hold the breaker."""
    breaker, _ = broken()
    assert breaker.admit(10.0) == 0
    breaker.abandon()
    assert breaker.admit(10.0) == 0
    assert breaker.admit(15.0) == 5.0
    assert breaker.admit(20.0) == 0


@given(st.lists(st.tuples(st.sampled_from(["admit", "ok", "fail", "abandon"]), st.floats(0, 6)), max_size=80))
def test_it_never_locks_for_good(steps: list[tuple[str, float]]) -> None:
    """Whatever happened, a caller is let through after the breaker's time, and never told to wait longer than that."""
    gauge = Register()
    breaker = Breaker(3, 10.0, gauge)
    now = 0.0
    for step, wait in steps:
        now += wait
        if step == "admit":
            assert 0 <= breaker.admit(now) <= 10.0
        elif step == "ok":
            breaker.success()
        elif step == "fail":
            breaker.failure(now)
        else:
            breaker.abandon()
    assert breaker.admit(now + 10.01) == 0
