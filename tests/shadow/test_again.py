"""A stored pair compared again."""

from __future__ import annotations

import msgspec

from gateway.core.contract.pair import PairClass, Side
from gateway.shadow.again import again, job_of
from gateway.shadow.compare import Call, Tools, line
from gateway.store.pairs import Contents
from tests.shadow.jobs import BODY, chat, job

ONE, OTHER = chat("It costs 40."), chat("It costs 41.")
SIDES = Side("rel_1", "openai/m", 200), Side("rel_2", "openai/n", 200)


def test_the_same_rules_give_the_same_line() -> None:
    """From what is stored comes exactly the line that the worker wrote, noise included."""
    told = job()
    calls = Call(SIDES[0], ONE), Call(SIDES[1], OTHER), Call(SIDES[0], ONE)
    made = line(told, BODY, *calls, Tools())
    about = {"capture": "full", "job": msgspec.json.encode(told).decode()}
    contents = Contents(BODY, ONE, OTHER, ONE, about)
    assert made.noise_class is PairClass.IDENTICAL
    stale = msgspec.structs.replace(made, pair_class=PairClass.IDENTICAL, differences=())
    assert again(stale, contents, (b"", b"")) == made
    assert job_of(contents) == told


def test_what_was_not_kept_whole_is_left_alone() -> None:
    """A redacted pair, and one without its job or its request, have no new line."""
    told = job()
    made = line(told, BODY, Call(SIDES[0], ONE), Call(SIDES[1], OTHER), None, Tools())
    stored = msgspec.json.encode(told).decode()
    for contents in (
        Contents(BODY, ONE, OTHER, about={"capture": "redacted", "job": stored}),
        Contents(BODY, ONE, OTHER, about={"capture": "full"}),
        Contents(about={"capture": "full", "job": stored}),
    ):
        assert again(made, contents, (b"", b"")) is None
