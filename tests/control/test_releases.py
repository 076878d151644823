"""Releases: made, refused with the part at fault, listed, shown."""

from __future__ import annotations

import pytest

from gateway.control.desk import Desk
from gateway.control.releases import create, listed, show
from gateway.core.contract.fault import Fault
from gateway.core.contract.records import LegAsk, ReleaseAsk
from gateway.core.contract.release import Mode, Params, PinClass
from tests.control.conftest import MODELS, Make, Place, with_legs

pytestmark = pytest.mark.anyio

TOOLS = '[{"type": "function", "function": {"name": "refund"}}]'


async def test_same_triple_same_id(desk: Desk) -> None:
    """Creating is idempotent: a note and the order of dropped params do not make another release."""
    ask = ReleaseAsk(
        model=MODELS["A"],
        params=Params(set={"temperature": 0}, drop=("top_k", "seed")),
        note="first",
    )
    other = ReleaseAsk(
        model=MODELS["A"],
        params=Params(set={"temperature": 0}, drop=("seed", "top_k")),
        note="second",
    )
    one, two = await create(desk, ask), await create(desk, other)
    assert one.id == two.id
    assert (one.new, two.new) == (True, False)
    assert two.release.note == "first"
    assert one.release.pin is PinClass.PINNED
    detail = await show(desk, one.id)
    assert (detail.prompt.mode, detail.prompt.text) == (Mode.AS_SENT, None)
    assert detail.runs == 0


@pytest.mark.parametrize(
    ("ask", "part", "told"),
    [
        (ReleaseAsk(), "model", "none is named"),
        (ReleaseAsk(model="gpt-4o-2024-08-06"), "model", "provider/model-id"),
        (ReleaseAsk(model="nobody/gpt-4o-2024-08-06"), "model", "anthropic, openai"),
        (ReleaseAsk(model=MODELS["A"], prompt=LegAsk()), "prompt", "mode `serve` is not carried out by this version"),
        (ReleaseAsk(model=MODELS["A"], prompt=LegAsk(content="Be kind.")), "prompt", "Leave the prompt out"),
        (ReleaseAsk(model=MODELS["A"], prompt=LegAsk(Mode.VERIFY, "Be kind.")), "prompt", "mode `verify`"),
        (ReleaseAsk(model=MODELS["A"], tools=LegAsk(content=TOOLS)), "tools", "as the agent sends them"),
        (ReleaseAsk(model=MODELS["A"], tools=LegAsk(Mode.VERIFY, TOOLS)), "tools", "Leave the tools out"),
        (ReleaseAsk(model=MODELS["A"], prompt=LegAsk(content=" \n")), "prompt", "empty"),
        (ReleaseAsk(model=MODELS["A"], prompt=LegAsk(digest="ab" * 32)), "prompt", "not carried out"),
        (ReleaseAsk(model=MODELS["A"], prompt=LegAsk(content="x", digest="ab" * 32)), "prompt", "sha256"),
        (ReleaseAsk(model=MODELS["A"], prompt=LegAsk(Mode.AS_SENT, "x")), "prompt", "as-sent"),
        (ReleaseAsk(model=MODELS["A"], tools=LegAsk(content="{}")), "tools", "JSON array"),
        (ReleaseAsk(model=MODELS["A"], tools=LegAsk(content="[")), "tools", "not JSON"),
        (ReleaseAsk(model=MODELS["A"], tools=LegAsk(content="[]")), "tools", "empty"),
        (ReleaseAsk(model=MODELS["A"], params=Params(set={"model": "x"})), "params", "model"),
        (ReleaseAsk(model=MODELS["A"], params=Params(set={"messages": []})), "params", "prompt leg"),
        (ReleaseAsk(base="stable"), "base", "--alias"),
    ],
)
async def test_i2_refusal_names_the_part(desk: Desk, ask: ReleaseAsk, part: str, told: str) -> None:
    """I2: what cannot be released is refused with the part of the triple at fault; nothing is stored."""
    with pytest.raises(Fault, match="bad_release") as caught:
        await create(desk, ask)
    assert caught.value.status == 400
    assert caught.value.param == part
    assert part in caught.value.message or part == "base"
    assert told in caught.value.message
    assert await desk.store.do("DBSIZE") == 0


async def test_i2_floating_model(desk: Desk) -> None:
    """I2: a floating model is refused at stakes standard with its source, unless a reason is given, which is kept."""
    with pytest.raises(Fault, match="unpinned_model") as caught:
        await create(desk, ReleaseAsk(model="openai/gpt-4o"))
    assert caught.value.message.startswith("model:")
    assert "https://" in caught.value.message
    made = await create(desk, ReleaseAsk(model="openai/gpt-4o", allow_floating="no dated id for this feature"))
    assert made.release.pin is PinClass.FLOATING
    assert "no dated id" in made.release.note
    assert made.warnings


async def test_from_stable_with_changes(desk: Desk, made: Make, placed: Place) -> None:
    """`--from stable` takes every part that is not named from the alias's stable release."""
    start = await create(desk, ReleaseAsk(model=MODELS["A"], params=Params(set={"top_p": 1})))
    await placed("agent", {"*": "A"})
    changed = await create(desk, ReleaseAsk(base=start.id, model=MODELS["B"]))
    assert changed.release.triple.model == MODELS["B"]
    assert changed.release.triple.params == start.release.triple.params
    stable = await create(desk, ReleaseAsk(base="stable", alias="agent", params=Params(set={"temperature": 0})))
    assert stable.release.triple.model == MODELS["A"]
    with pytest.raises(Fault, match="lane_unknown"):
        await create(desk, ReleaseAsk(base="stable", alias="agent", lane="tenant:x"))
    with pytest.raises(Fault, match="release_unknown"):
        await create(desk, ReleaseAsk(base="rel_0000000000000000"))


async def test_a_base_with_legs_of_a_newer_version(desk: Desk) -> None:
    """A release of a newer version shows its texts; what is made from it must drop the legs that cannot be carried out."""
    newer = await with_legs(desk, "A", prompt=(Mode.SERVE, "Be kind."), tools=(Mode.VERIFY, TOOLS))
    detail = await show(desk, newer)
    assert (detail.prompt.text, detail.tools.mode) == ("Be kind.", Mode.VERIFY)
    with pytest.raises(Fault, match="bad_release") as caught:
        await create(desk, ReleaseAsk(base=newer, prompt=LegAsk(Mode.AS_SENT)))
    assert caught.value.param == "tools"
    dropped = await create(desk, ReleaseAsk(base=newer, prompt=LegAsk(Mode.AS_SENT), tools=LegAsk(Mode.AS_SENT)))
    assert dropped.release.triple.prompt.digest == ""


async def test_list_says_where_each_serves(desk: Desk, made: Make, placed: Place) -> None:
    """The list has every release, newest first, with the lanes where it is stable; show adds where it is warm."""
    await placed("agent", {"*": "BA", "tenant:acme": "A"})
    rows = {row.id: row for row in await listed(desk)}
    assert rows[await made("B")].serves == ("agent *",)
    assert rows[await made("A")].serves == ("agent tenant:acme",)
    assert (await show(desk, await made("A"))).warm == ("agent *",)
