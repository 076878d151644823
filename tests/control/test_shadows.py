"""Starting and stopping shadows on a real server."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from gateway.control.desk import Desk
from gateway.control.releases import create
from gateway.control.shadows import ALL, Order, plan, start, status, stop
from gateway.core.contract.fault import Fault
from gateway.core.contract.pair import Side
from gateway.core.contract.records import ReleaseAsk
from gateway.settings.model import ProviderSettings, ShadowSettings, TenantSettings
from gateway.store import aliases, pairs, releases
from tests.control.conftest import Make, Place
from tests.store.test_pairs import line

pytestmark = pytest.mark.anyio


def capturing(desk: Desk, **changed: Any) -> Desk:
    """The desk of a configuration that captures, with a key of its own for openai."""
    key = ProviderSettings(base_url="https://api.openai.com", background_api_key="sk-b")
    given = {"capture": "redacted", "providers": {**desk.settings.providers, "openai": key}, **changed}
    return replace(desk, settings=msgspec.structs.replace(desk.settings, **given))


async def test_start_change_and_stop(desk: Desk, made: Make, placed: Place) -> None:
    """One write starts it; the same again writes nothing; another rate keeps the salt; stop takes it away, twice harmlessly."""
    desk = capturing(desk)
    await placed("agent", {"*": "A"})
    b = await made("B")
    begun = await start(desk, Order("agent", b, 0.1), "cheaper", timeout=0.1)
    (shadow,) = begun.after
    assert (begun.changed, begun.version, begun.before) == (True, 2, ())
    assert (shadow.candidate, shadow.rate, shadow.secondary, shadow.started_ms) == (b, 1000, 2000, desk.now_ms)
    assert begun.plan is not None and begun.plan.model.startswith("openai/")
    again = await start(desk, Order("agent", b, 0.1), "cheaper", timeout=0.1)
    assert not again.changed and again.version == 2
    wider = await start(replace(desk, now_ms=desk.now_ms + 5), Order("agent", b, 0.5, 0.0), "more", timeout=0.1)
    assert wider.after == (msgspec.structs.replace(shadow, rate=5000, secondary=0),)
    assert wider.plan is not None and any("secondary" in warning for warning in wider.plan.warnings)
    assert (await stop(desk, "agent", b, "enough", timeout=0.1)).after == ()
    assert not (await stop(desk, "agent", ALL, "enough", timeout=0.1)).changed
    told = [(entry.action, entry.reason) for entry in await aliases.history(desk.store, "agent")]
    assert told[:3] == [("shadow_stop", "enough"), ("shadow_start", "more"), ("shadow_start", "cheaper")]


async def test_a_shadow_that_has_ended_begins_anew(desk: Desk, made: Make, placed: Place) -> None:
    """After its end a candidate starts with another salt, so that other runs are chosen."""
    desk = capturing(desk)
    await placed("agent", {"*": "A"})
    b = await made("B")
    (old,) = (await start(desk, Order("agent", b, until_ms=desk.now_ms + 10), "t", timeout=0.1)).after
    later = replace(desk, now_ms=desk.now_ms + 20)
    assert not (await status(later, "agent")).shadows[0].running
    (new,) = (await start(later, Order("agent", b), "t", timeout=0.1)).after
    assert new.salt != old.salt and new.started_ms == later.now_ms


@pytest.mark.parametrize(
    ("order", "changed", "code"),
    [
        ({"rate": 0.0}, {}, "bad_rate"),
        ({"rate": 1.5}, {}, "bad_rate"),
        ({"rate": float("nan")}, {}, "bad_rate"),
        ({"rate": 0.00001}, {}, "bad_rate"),
        ({"secondary": 2.0}, {}, "bad_rate"),
        ({"until_ms": 5}, {}, "bad_rate"),
        ({"candidate": "rel_0"}, {}, "release_unknown"),
        ({"candidate": "same"}, {}, "shadow_same"),
        ({"alias": "nobody"}, {}, "alias_unknown"),
        ({}, {"capture": "none"}, "capture_none"),
        ({}, {"providers": {"openai": ProviderSettings(base_url="https://api.openai.com")}}, "shadow_key"),
        ({"candidate": "claude"}, {}, "shadow_provider"),
        ({"rate": 1.0}, {}, "acknowledge_needed"),
        ({}, {"capture": "full"}, "acknowledge_needed"),
        ({}, {"shadow": ShadowSettings(budget=0.0)}, "acknowledge_needed"),
        ({}, {"shadow": ShadowSettings(ttl=0.0)}, "shadow_ttl"),
    ],
)
async def test_i8_what_could_not_work_or_needs_an_answer_is_refused(
    desk: Desk, made: Make, placed: Place, order: dict[str, Any], changed: dict[str, Any], code: str
) -> None:
    """I8: refused by name before anything is written; what only needs an answer starts once somebody gives it."""
    await placed("agent", {"*": "A"})
    names = {
        "same": await made("A"),
        "claude": (await create(desk, ReleaseAsk(model="anthropic/claude-sonnet-4-5-20250929"))).id,
    }
    given = {"alias": "agent", "candidate": await made("B"), **order}
    wanted = Order(**{**given, "candidate": names.get(given["candidate"], given["candidate"])})
    asked = capturing(desk, **changed)
    with pytest.raises(Fault) as caught:
        await start(asked, wanted, "t", timeout=0.1)
    assert caught.value.code == code
    assert (await desk.alias("agent")).version == 1
    if code == "acknowledge_needed":
        assert (await plan(asked, wanted)).acknowledge
        moved = await start(asked, wanted, "t", acknowledged=True, timeout=0.1)
        assert moved.changed
        assert (await aliases.history(desk.store, "agent"))[0].note.startswith("acknowledged: ")


async def test_a_blocked_candidate_is_refused(desk: Desk, made: Make, placed: Place) -> None:
    """What may not be called may not be shadowed."""
    await placed("agent", {"*": "A"})
    b = await made("B")
    await releases.block(desk.store, b, "leaks")
    with pytest.raises(Fault, match="release_blocked"):
        await start(capturing(desk), Order("agent", b), "t")


async def test_status_tells_what_ran_what_runs_and_the_queue(desk: Desk, made: Make, placed: Place) -> None:
    """Candidates with their results, ended ones too, the captured tenants, and what is spent."""
    tenants = {"acme": TenantSettings(capture="full")}
    desk = capturing(desk, capture="none", tenants=tenants)
    await placed("agent", {"*": "A"})
    b = await made("B")
    moved = await start(desk, Order("agent", b), "t", acknowledged=True, timeout=0.1)
    assert moved.plan is not None and any("nothing is captured" in each for each in moved.plan.warnings)
    told = msgspec.structs.replace(line(), candidate=Side(b))
    await pairs.finish(desk.store, "agent", b, told, desk.now_ms)
    await pairs.skip(desk.store, "agent", "rel_gone", "p", "tools", desk.now_ms)
    found = await status(desk)
    assert [(row.candidate, row.running, row.results) for row in found.shadows] == [
        (b, True, {"pair:divergent": 1}),
        ("rel_gone", False, {"skip:tools": 1}),
    ]
    assert (found.queue, found.cap_micro, found.capture) == (0, 5_000_000, "*: none, acme: full")
