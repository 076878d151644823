"""Whether the code of a release's tools may be removed."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.control.desk import Desk
from gateway.control.releases import create
from gateway.control.rollback import rollback
from gateway.control.use import used
from gateway.core.contract.alias import AliasState, Lane, Split
from gateway.core.contract.fault import Fault
from gateway.core.contract.records import LegAsk, ReleaseAsk
from gateway.store import aliases
from tests.control.conftest import MODELS
from tests.control.test_runs import bound

pytestmark = pytest.mark.anyio

TOOLS = '[{"name": "refund"}]'


async def tooled(desk: Desk, letter: str, **more: Any) -> str:
    """A release with tools."""
    return (
        await create(desk, ReleaseAsk(model=MODELS[letter], tools=LegAsk(content=TOOLS, label="tools@v1"), **more))
    ).id


async def test_tools_are_kept_while_anything_can_call_them(desk: Desk) -> None:
    """A pointer, a rollout's candidate, a bound run, or another release with the same tools keeps them; then they may go."""
    old, plain = await tooled(desk, "A"), (await create(desk, ReleaseAsk(model=MODELS["B"]))).id
    state = AliasState("agent", 1, {"*": Lane(old)})
    assert await aliases.create(desk.store, state, desk.entry("first_release", "test"))
    await bound(desk, "r1", old, at_ms=desk.now_ms)
    found = await used(desk, old)
    assert (found.removable, found.bound, len(found.runs), found.labels) == (False, 1, 1, ("tools@v1",))
    assert found.why == ("it serves agent *", "1 run is bound to it")
    assert found.ends_ms > desk.now_ms
    state = await aliases.write(
        desk.store, state, msgspec.structs.replace(state, lanes={"*": Lane(plain, (old,))}), desk.entry("promote", "t")
    )
    assert (await used(desk, old)).why == ("1 run is bound to it",)
    for key in await desk.store.read("ZREVRANGE", desk.store.keys.release_runs(old), 0, -1):
        await desk.store.do("DEL", desk.store.keys.run_of(key.decode()))
    found = await used(desk, old)
    assert (found.removable, found.why, found.bound, found.ends_ms) == (True, (), 0, 0)
    assert "rollback may return to it in agent *" in found.warnings[0]
    same = await tooled(desk, "C")
    split = Split(same, "s", {"*": 100})
    await aliases.write(desk.store, state, msgspec.structs.replace(state, split=split), desk.entry("canary", "t"))
    found = await used(desk, old)
    assert found.why == (f"{same}, which has the same tools, is the candidate of alias agent",)
    await rollback(desk, "agent", "wrong")
    assert (await used(desk, old)).removable


async def test_an_unknown_release(desk: Desk) -> None:
    """404, as everywhere."""
    with pytest.raises(Fault, match="release_unknown"):
        await used(desk, "rel_0000000000000000")
