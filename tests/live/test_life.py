"""A life before anything has happened to it."""

from __future__ import annotations

from dataclasses import MISSING, fields
from types import SimpleNamespace
from typing import Any, cast

from gateway.core.contract.exchange import Outcome
from gateway.core.contract.run import Source
from gateway.live.life import Life


def empty() -> Life:
    """A life of a request that was only just read."""
    return Life(cast("Any", SimpleNamespace(open_caller="everybody")), cast("Any", object()), "r1", 5)


def test_every_field_has_a_value_from_the_start() -> None:
    """`record` reads a life that ended in any phase: no field may be missing, and none speaks well of what did not happen."""
    life = empty()
    for name in Life.__annotations__:
        assert hasattr(life, name), name
    assert (life.caller, life.source, life.at_ms) == ("everybody", Source.NONE, 5)
    assert (life.outcome, life.status, life.sending) == (Outcome.FAULT, 0, False)


def test_lives_share_no_value_that_could_change() -> None:
    """What every life starts with is immutable, so one request never sees another's."""
    for each in fields(Life):
        if each.default is not MISSING:
            assert isinstance(each.default, str | bytes | int | float | tuple | None), each.name
    one, two = empty(), empty()
    one.flags = (*one.flags, "x")
    assert two.flags == ()
