"""Releases: made, refused with the part at fault, listed, shown."""

from __future__ import annotations

import msgspec
import pytest

from gateway.control.desk import Desk
from gateway.control.releases import create, listed, show
from gateway.core.contract.fault import Fault
from gateway.core.contract.records import LegAsk, ReleaseAsk
from gateway.core.contract.release import Leg, Mode, Params, PinClass
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
        (ReleaseAsk(model=MODELS["A"], prompt=LegAsk()), "prompt", "mode `serve` needs an artifact"),
        (ReleaseAsk(model=MODELS["A"], prompt=LegAsk(content="{{1}}")), "prompt", "line 1, column 1"),
        (ReleaseAsk(model=MODELS["A"], prompt=LegAsk(Mode.VERIFY, "{{app}}")), "prompt", "nothing to verify"),
        (
            ReleaseAsk(model=MODELS["A"], tools=LegAsk(content='[{"name": "a"}, {"name": "a"}]')),
            "tools",
            "the name 'a'",
        ),
        (ReleaseAsk(model=MODELS["A"], tools=LegAsk(label="tools@v1")), "tools", "no label tools@v1"),
        (ReleaseAsk(model=MODELS["A"], tools=LegAsk(content=TOOLS, label="tools")), "tools", "NAME@VERSION"),
        (ReleaseAsk(model=MODELS["A"], prompt=LegAsk(content=" \n")), "prompt", "empty"),
        (ReleaseAsk(model=MODELS["A"], prompt=LegAsk(digest="ab" * 32)), "prompt", "is not stored"),
        (ReleaseAsk(model=MODELS["A"], prompt=LegAsk(content="x", digest="ab" * 32)), "prompt", "sha256"),
        (ReleaseAsk(model=MODELS["A"], prompt=LegAsk(Mode.AS_SENT, "x")), "prompt", "as-sent"),
        (ReleaseAsk(model=MODELS["A"], tools=LegAsk(content="7")), "tools", "JSON array"),
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


async def test_legs_are_stored_with_the_release(desk: Desk) -> None:
    """Prompt and tools become artifacts that a later release takes over, by its base, label or digest, or drops."""
    first = await create(
        desk,
        ReleaseAsk(
            model=MODELS["A"],
            prompt=LegAsk(content="Be kind to {{name}}.\r\n", label="support@v7"),
            tools=LegAsk(Mode.VERIFY, TOOLS, label="tools@v1"),
        ),
    )
    detail = await show(desk, first.id)
    assert (detail.prompt.text, detail.prompt.labels) == ("Be kind to {{name}}.", ("support@v7",))
    assert detail.tools.text == '[{"name":"refund","parameters":{"type":"object","properties":{}}}]'
    assert (detail.tools.mode, detail.tools.labels) == (Mode.VERIFY, ("tools@v1",))
    (row,) = await listed(desk)
    assert (row.prompt, row.tools) == ("serve support@v7", "verify tools@v1")
    triple = first.release.triple
    for ask in (LegAsk(label="support@v7"), LegAsk(digest=triple.prompt.digest), None):
        again = await create(desk, ReleaseAsk(base=first.id, prompt=ask))
        assert (again.id, again.new) == (first.id, False)
    dropped = await create(desk, ReleaseAsk(base=first.id, prompt=LegAsk(Mode.AS_SENT), tools=LegAsk(Mode.AS_SENT)))
    assert (dropped.release.triple.prompt, dropped.release.triple.tools) == (Leg(), Leg())


async def test_a_label_is_for_ever(desk: Desk) -> None:
    """A label that names another text is refused before anything is stored; the same text may be named again, and twice."""
    ask = ReleaseAsk(model=MODELS["A"], prompt=LegAsk(content="Be kind.", label="support@v7"))
    await create(desk, ask)
    with pytest.raises(Fault, match="label_taken"):
        await create(desk, ReleaseAsk(model=MODELS["A"], prompt=LegAsk(content="Be brief.", label="support@v7")))
    assert len(await listed(desk)) == 1
    await create(desk, msgspec.structs.replace(ask, prompt=LegAsk(content="Be kind.", label="kind@1")))
    (row,) = await listed(desk)
    assert (await show(desk, row.id)).prompt.labels == ("kind@1", "support@v7")


async def test_an_artifact_of_an_older_version_goes_on(desk: Desk) -> None:
    """A toolset that was stored as a request carries it can be released again, and a prompt is no toolset."""
    older = await with_legs(desk, "A", prompt=(Mode.SERVE, "Be kind."), tools=(Mode.VERIFY, TOOLS))
    detail = await show(desk, older)
    assert (detail.prompt.text, detail.tools.text) == ("Be kind.", TOOLS)
    again = await create(desk, ReleaseAsk(base=older, tools=LegAsk(Mode.SERVE, digest=detail.tools.digest)))
    assert again.release.triple.tools == Leg(Mode.SERVE, detail.tools.digest)
    with pytest.raises(Fault, match="bad_release") as caught:
        await create(desk, ReleaseAsk(base=older, tools=LegAsk(digest=detail.prompt.digest)))
    assert caught.value.param == "tools"


async def test_list_says_where_each_serves(desk: Desk, made: Make, placed: Place) -> None:
    """The list has every release, newest first, with the lanes where it is stable; show adds where it is warm."""
    await placed("agent", {"*": "BA", "tenant:acme": "A"})
    rows = {row.id: row for row in await listed(desk)}
    assert rows[await made("B")].serves == ("agent *",)
    assert rows[await made("A")].serves == ("agent tenant:acme",)
    assert (await show(desk, await made("A"))).warm == ("agent *",)
