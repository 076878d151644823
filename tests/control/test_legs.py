"""Legs as asked for: which artifact and label they come to. What `release create` makes of them is in `test_releases.py`."""

from __future__ import annotations

import pytest

from gateway.control.desk import Desk
from gateway.control.legs import Brought, leg, told
from gateway.core.contract.artifact import digest
from gateway.core.contract.fault import Fault
from gateway.core.contract.records import LegAsk
from gateway.core.contract.release import Leg, Mode

pytestmark = pytest.mark.anyio

START = Leg(Mode.SERVE, "a" * 64)


async def test_what_is_not_asked_for_stays(desk: Desk) -> None:
    """No word about a leg keeps the base's; `as-sent` drops it."""
    brought = Brought()
    assert await leg(desk, "prompt", None, START, brought) == START
    assert await leg(desk, "prompt", LegAsk(Mode.AS_SENT), START, brought) == Leg()
    assert brought == Brought()


async def test_a_text_brings_its_artifact_and_label(desk: Desk) -> None:
    """A file's text is stored under its digest, and its label is given with it."""
    brought = Brought()
    made = await leg(desk, "prompt", LegAsk(content="Be kind.\n", label="support@v7"), START, brought)
    assert made == Leg(Mode.SERVE, digest(b"Be kind."))
    assert brought == Brought({made.digest: b"Be kind."}, {"support@v7": made.digest})


async def test_as_sent_takes_no_label(desk: Desk) -> None:
    """A label for a prompt that the release does not have is a mistake."""
    with pytest.raises(Fault, match="bad_release"):
        await leg(desk, "prompt", LegAsk(Mode.AS_SENT, label="support@v7"), START, Brought())


def test_a_leg_in_a_word() -> None:
    """The label where there is one, else the beginning of the digest."""
    assert told(Leg(), {}) == "as-sent"
    assert told(START, {}) == f"serve {'a' * 12}"
    assert told(START, {"support@v7": "a" * 64}) == "serve support@v7"
