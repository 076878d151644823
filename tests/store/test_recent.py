"""The memory of recent things is bounded and keeps what is used."""

from __future__ import annotations

from gateway.store.recent import Recent


def test_bounded_and_keeps_the_last() -> None:
    """At least the last `size` keys are known, never more than twice as many."""
    recent: Recent[int, str] = Recent(10)
    for number in range(1000):
        recent.put(number, str(number))
        assert len(recent) <= 20
    assert [recent.get(number) for number in range(991, 1000)] == [str(number) for number in range(991, 1000)]
    assert recent.get(5) is None


def test_what_is_looked_up_stays() -> None:
    """A key that is asked for now and then is not forgotten."""
    recent: Recent[str, int] = Recent(10)
    recent.put("kept", 1)
    for number in range(200):
        recent.put(str(number), number)
        if number % 8 == 0:
            assert recent.get("kept") == 1
