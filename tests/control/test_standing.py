"""What speaks for a candidate; `test_promote.py` has what follows from it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from gateway.control.desk import Desk
from gateway.control.shadow_report import MIN_TRIOS
from gateway.control.standing import replaced, standing
from gateway.core.contract.alias import AliasState, Lane
from gateway.core.contract.pair import Side
from tests.control.conftest import Make, Place
from tests.control.gates import gated, proof
from tests.control.stored import keep
from tests.core.gate.evidences import flips

pytestmark = pytest.mark.anyio


def test_what_is_replaced() -> None:
    """Releases of the lanes that change, once each; a new lane had what everybody has."""
    before = AliasState("a", 1, {"*": Lane("rel_1"), "tenant:x": Lane("rel_2"), "tenant:y": Lane("rel_3")})
    lanes = {"*": Lane("rel_1"), "tenant:x": Lane("rel_9"), "tenant:y": Lane("rel_3"), "tenant:z": Lane("rel_9")}
    after = msgspec.structs.replace(before, lanes=lanes)
    assert replaced(before, after, "rel_9") == ("rel_1", "rel_2")
    assert replaced(before, after, "rel_1") == ()


async def test_nothing_speaks_for_nothing(desk: Desk, made: Make, placed: Place) -> None:
    """Without a release to compare with there is neither a GO nor a shadow."""
    await placed("usual", {"*": "A"})
    found = await standing(desk, "usual", await made("B"), ())
    assert (found.go, found.shadowed, found.evidence) == (False, False, ())
    assert found.why


async def test_a_shadow_counts_by_its_trios(desk: Desk, made: Make, placed: Place) -> None:
    """As many trios against the very incumbent as a report wants: pairs without a secondary, and pairs of another primary,
    are not among them."""
    await placed("usual", {"*": "A"})
    a, b, c = await made("A"), await made("B"), await made("C")
    twice = Side(a, "openai/m", 200)
    for number in range(MIN_TRIOS - 1):
        await keep(desk.store, number, (a, b), capture="none", alias="usual", secondary=twice)
    await keep(desk.store, 1000, (a, b), capture="none", alias="usual")
    await keep(desk.store, 1001, (c, b), capture="none", alias="usual", secondary=twice)
    assert not (await standing(desk, "usual", b, (a,))).shadowed
    await keep(desk.store, 1002, (a, b), capture="none", alias="usual", secondary=twice)
    assert (await standing(desk, "usual", b, (a,))).shadowed
    assert not (await standing(desk, "usual", b, (a, c))).shadowed


async def test_the_worst_comparison_stands(desk: Desk, made: Make, placed: Place, tmp_path: Path) -> None:
    """Green against one and red against the other is red, and no evidence is named as what it went on."""
    desk = gated(desk, tmp_path)
    await placed("usual", {"*": "A"})
    a, b, c = await made("A"), await made("B"), await made("C")
    await proof(desk, "usual", b, a)
    await proof(desk, "usual", b, c, scores=flips(60, 30))
    assert (await standing(desk, "usual", b, (a,))).go
    both = await standing(desk, "usual", b, (a, c))
    assert (both.go, both.evidence) == (False, ())
    assert f"Against {c} it is NO-GO: my-task@1 is NO-GO" in both.why
