"""The traffic of a stable release watches itself: a rise is told once, chance and errors never."""

from __future__ import annotations

import random
from collections.abc import Iterator
from statistics import median
from typing import Any

import anyio
import pytest

from gateway.core.contract.exchange import Outcome, Usage
from gateway.core.contract.journal import Step
from gateway.core.contract.probing import Passive
from gateway.core.rollout.notice import worth_telling
from gateway.sentinel.passive import REFERENCE, look, says, taken, tell
from gateway.store import aliases, probes
from gateway.store.records import encode_entry
from tests.sentinel.conftest import Scene
from tests.sentinel.test_seen import step

NOW = 1_795_392_000_000


def traffic(
    draw: random.Random, count: int, *, refusals: float = 0.02, size: float = 100.0, misfits: float = 0.02
) -> Iterator[list[Step]]:
    """Requests of which a share declines and a share fits no schema, of about this length; each tenth nobody read."""
    for number in range(count):
        flags = ("unchecked",) if number % 10 == 0 else ("invalid_json",) if draw.random() < misfits else ()
        finish = "refusal" if draw.random() < refusals else "length" if draw.random() < 0.01 else "stop"
        yield [step(finish=finish, flags=flags, usage=Usage(5, int(draw.gauss(size, 20))))]


@pytest.mark.parametrize(
    ("members", "metric"),
    [({}, ""), ({"refusals": 0.1}, "refusal"), ({"misfits": 0.1}, "schema"), ({"size": 125.0}, "long")],
)
def test_a_rise_is_told_and_chance_is_not(members: dict[str, float], metric: str) -> None:
    """Five times as many refusals or answers that fit no schema, or answers a quarter longer, within 1,000 requests; 5,000 of the same
    are nothing. The alarm names its test, statistic, threshold and reference."""
    draw = random.Random(7)
    known = taken(Passive(), list(traffic(draw, REFERENCE)), NOW)
    assert set(known.rates) == {"refusal", "schema", "truncation", "long"}
    after = taken(known, list(traffic(draw, 1000 if metric else 5000, **members)), NOW + 1)
    assert (after.alarms, after.alarm) == (int(bool(metric)), metric)
    assert after.alarm_ms == (NOW + 1 if metric else 0)
    for word in ("e-detector", "of 250" if metric == "long" else "of 450" if metric == "schema" else "of 500", "10000"):
        assert (word in after.test) is bool(metric)
    assert not metric or "reference of 2026-11-23" in after.test


@pytest.mark.parametrize("flags", [("unchecked",), ()])
def test_what_nobody_read_says_nothing_of_schemas(flags: tuple[str, ...]) -> None:
    """A worker that has no time to read raises no alarm by reading again, nor one by reading no more."""
    bad, fine, unread = [step(flags=("invalid_tool_call",))], [step()], [step(flags=flags)]
    each = [bad, fine, *[unread] * 18]
    known = taken(Passive(), [each[number % 20] for number in range(REFERENCE)], NOW)
    assert (known.rates["schema"] > 0.5) is bool(flags)
    sums = known.sums["schema"]
    assert (taken(known, [unread], NOW).sums["schema"] == sums) is bool(flags)
    assert taken(known, [[step(finish="MALFORMED_FUNCTION_CALL")]], NOW).sums["schema"] > sums


@pytest.mark.anyio
async def test_an_alarm_stands_in_the_history_once(scene: Scene) -> None:
    """With the test, and what to do; whoever tells it again tells nothing new, and webhooks hear of it."""
    state = scene.gateway.store.pointers.alias("agent")
    assert state is not None
    found = Passive(alarms=1, alarm="schema", alarm_ms=NOW, test="e-detector ...")
    model = scene.kept[0].triple.model
    for _ in range(2):
        await tell(scene.store, model, state, scene.ids()[0], found)
    (entry,) = [each for each in await aliases.history(scene.store, "agent") if each.action == "traffic"]
    assert (entry.actor, entry.reason, entry.at_ms) == ("sentinel", f"{model}: e-detector ...", NOW)
    assert f"trivet drift status {model}" in entry.note
    assert worth_telling(entry)


def test_false_alarms_are_rare() -> None:
    """In twenty streams of 1,000 requests after their reference, none or one."""
    alarms = 0
    for seed in range(20):
        draw = random.Random(seed)
        alarms += taken(Passive(), list(traffic(draw, REFERENCE + 1000)), NOW).alarms
    assert alarms <= 1


def test_a_rise_is_found_as_soon_as_is_said() -> None:
    """2 percent that become 10 are told after some 200 answers in the middle, from a reference of 500."""
    needed = []
    for seed in range(9):
        draw = random.Random(seed)
        known = taken(Passive(), list(traffic(draw, REFERENCE)), NOW)
        for count, unit in enumerate(traffic(draw, 2000, misfits=0.1), 1):
            known = taken(known, [unit], NOW)
            if known.alarms:
                needed.append(count)
                break
    assert len(needed) == 9
    assert median(needed) <= 300


def test_an_error_shows_nothing() -> None:
    """Neither for nor against; a filter's refusal is an answer."""
    assert says(step())
    assert not says(step(outcome=Outcome.PROVIDER_ERROR, status=503, code="overloaded"))
    assert says(step(outcome=Outcome.PROVIDER_ERROR, status=400, code="content_filter"))


@pytest.mark.anyio
async def test_the_journal_is_read_once(scene: Scene) -> None:
    """What was there before the first look is left, each later entry counts once, and what cannot be read is passed over."""
    model, name = scene.kept[0].triple.model, scene.ids()[0]

    async def wrote(**members: Any) -> None:
        entry = encode_entry(step(release=name, **members))
        await scene.store.do("XADD", scene.store.keys.steps("agent"), "*", "entry", entry)

    async def seen() -> Passive:
        return await look(scene.store, model, "agent", name, scene.clock())

    await wrote()
    assert (await seen()).units == 0
    for members in ({}, {"finish": "length"}, {"outcome": Outcome.TIMEOUT}, {"alias": "x"}):
        await wrote(**members)
    await scene.store.do("XADD", scene.store.keys.steps("agent"), "*", "entry", b"{")
    found = await seen()
    assert (found.units, found.bad["truncation"]) == (3, 1)
    assert (await seen()).units == 3
    assert scene.gateway.chat("agent", {"x-trivet-run": "job-1"}).status == 200
    with anyio.fail_after(5):
        while not (runs := await scene.store.do("ZREVRANGE", scene.store.keys.release_runs(name), 0, 0)):
            await anyio.sleep(0.01)
        while await scene.store.do("XLEN", scene.store.keys.journal_of(runs[0].decode())) < 2:
            await anyio.sleep(0.01)
    scene.ahead_ms = 120_000
    assert (await seen()).units == 4
    assert await probes.passive(scene.store, model, "nothing") == Passive()
