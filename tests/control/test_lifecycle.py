"""When the models of releases in use retire: who is told what, how often, and the way to a successor that really works."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from gateway.control import lifecycle, plans
from gateway.control.desk import Desk
from gateway.control.promote import promote
from gateway.control.releases import create
from gateway.core.contract.alias import Split
from gateway.core.contract.records import ReleaseAsk
from gateway.core.contract.rollout import Phase
from gateway.core.contract.sentinel import Retirement
from gateway.core.pinning.lifecycle import day
from gateway.core.rollout.notice import worth_telling
from gateway.settings.model import GateSettings, ProviderSettings
from gateway.settings.tables import calendar
from gateway.store import aliases, snapshots
from tests.control.conftest import MODELS, Make, Place
from tests.control.rolling import rolling

pytestmark = pytest.mark.anyio
DAY_MS = 86_400_000
A, B, C, D = (MODELS[letter] for letter in "ABCD")
"""A retired on 2026-10-23; B, C and D retire on 2027-01-14."""


def on(desk: Desk, date: str) -> Desk:
    """The desk on a day."""
    return replace(desk, now_ms=day(date) * DAY_MS + 1)


async def test_everything_in_use_is_listed(desk: Desk, placed: Place, made: Make) -> None:
    """Stable, candidate and warm releases of every lane, by the model they name, each with a date that a machine can read
    (anomalyco/models.dev#1921); what retires first comes first."""
    state = await placed("agent", {"*": "BA", "tenant:a": "A"})
    candidate = await made("D")
    split = msgspec.structs.replace(state, split=Split(candidate, "salt", {"*": 100}))
    await aliases.write(desk.store, state, split, desk.entry("test", "a split"))
    a, b = await made("A"), await made("B")
    rows = await lifecycle.listed(on(desk, "2026-11-23"))
    assert [(row.snapshot, row.retires, row.days_left) for row in rows] == [
        (A, "2026-10-23", -31),
        (B, "2027-01-14", 52),
        (D, "2027-01-14", 52),
    ]
    assert set(rows[0].used) == {f"agent * warm {a}", f"agent tenant:a stable {a}"}
    assert (rows[1].used, rows[2].used) == ((f"agent * stable {b}",), (f"agent * candidate {candidate}",))
    assert rows[1].replacement == "openai/gpt-6-luna"
    assert rows[1].source.startswith("https://")


async def test_the_provider_beats_the_calendar_and_own_machines_have_none(desk: Desk, placed: Place) -> None:
    """What the provider said is what counts, with its source; a model on a machine of one's own has no date."""
    await placed("agent", {"*": "B"})
    await snapshots.say(desk.store, Retirement(B, "2026-12-01", "", "", "provider", 7))
    (row,) = await lifecycle.listed(on(desk, "2026-11-23"))
    assert (row.retires, row.days_left, row.source, row.read_ms) == ("2026-12-01", 8, "provider", 7)
    await desk.store.do("DEL", desk.store.keys.snapshot(B))
    local = {"openai": ProviderSettings(base_url="http://127.0.0.1:9", allow_private=True)}
    own = replace(desk, settings=msgspec.structs.replace(desk.settings, providers=local))
    (row,) = await lifecycle.listed(on(own, "2026-11-23"))
    assert (row.retires, row.days_left, row.source) == ("", None, "")


async def test_a_warning_comes_once_at_each_mark(desk: Desk, placed: Place) -> None:
    """At 90, 30 and 7 days a note goes into the history of each alias, once; a date that moves begins anew."""
    for name in ("agent", "usual"):
        await placed(name, {"*": "B"})

    async def warned(date: str) -> list[tuple[str, int]]:
        today = on(desk, date)
        told = await lifecycle.warn(today, await lifecycle.survey(today, calendar()))
        assert await lifecycle.warn(today, await lifecycle.survey(today, calendar())) == []
        return sorted((each.alias, each.days_left) for each in told)

    assert await warned("2026-10-01") == []
    assert await warned("2026-10-20") == [("agent", 86), ("usual", 86)]
    assert await warned("2026-12-01") == []
    assert await warned("2026-12-20") == [("agent", 25), ("usual", 25)]
    assert await warned("2027-01-08") == [("agent", 6), ("usual", 6)]
    assert await warned("2027-01-20") == []
    await snapshots.say(desk.store, Retirement(B, "2027-01-25", "", "", "provider", 7))
    assert await warned("2027-01-20") == [("agent", 5), ("usual", 5)]
    notes = [entry for entry in await aliases.history(desk.store, "agent") if entry.action == "lifecycle"]
    assert len(notes) == 4
    assert all(worth_telling(entry) for entry in notes)
    assert f"{B} retires on 2027-01-14, in 86 days: stable in *" in notes[-1].reason
    assert "provider" in notes[0].note
    assert (await desk.alias("agent")).version == 1


async def test_an_installation_that_starts_late_is_warned_once(desk: Desk, placed: Place) -> None:
    """Who begins with five days left gets one warning, not three."""
    await placed("agent", {"*": "B"})
    late = on(desk, "2027-01-09")
    assert [each.days_left for each in await lifecycle.warn(late, await lifecycle.survey(late, calendar()))] == [5]


async def test_the_path_leads_to_the_successor(desk: Desk, placed: Place) -> None:
    """The commands name the release that the first of them makes, and the nearest end comes first."""
    await placed("agent", {"*": "B"})
    await placed("grave", {"*": "A", "tenant:a": "A"})
    today = on(desk, "2026-11-23")
    grave, agent = await lifecycle.paths(today)
    assert (grave.alias, grave.lanes, grave.days_left) == ("grave", ("*", "tenant:a"), -31)
    assert agent.successor == "openai/gpt-6-luna"
    made = await create(today, ReleaseAsk(model=agent.successor, base=agent.release, alias="agent"))
    assert made.id == agent.candidate
    words = [shlex.split(command) for command in agent.commands]
    assert [" ".join(each[:3]) for each in words] == [
        "trivet release create",
        "printf %s\\n kind: Rollout",
        "trivet rollout start",
    ]
    assert words[1][2:-2] == [
        "kind: Rollout",
        "alias: agent",
        f"release: {agent.candidate}",
        "skip_shadow: capture_none",
    ]
    assert "--yes" in words[2], "what is pasted after a question would answer it"
    assert any("declares no suites" in note for note in agent.notes)
    assert any("trivet rollout override agent" in note for note in agent.notes)
    gated = msgspec.structs.replace(today.settings.aliases["agent"], gate=GateSettings(task="builtin/task@1"))
    suites = msgspec.structs.replace(today.settings, aliases={"agent": gated})
    assert [
        path.commands[1] for path in await lifecycle.paths(replace(today, settings=suites)) if path.alias == "agent"
    ] == [f"trivet gate run agent --release {agent.candidate} --yes"]
    # At stakes `high` a person has to say that an undated id is fixed.
    assert any("--attest" in note for note in grave.notes)
    assert "--attest" in grave.commands[0]
    assert await lifecycle.paths(on(desk, "2025-11-23")) == []


@pytest.mark.parametrize(
    ("name", "runs", "date", "words"),
    [
        ("agent", 2000, "2026-11-23", ["rollout start"]),
        ("agent", 30, "2026-11-23", ["preset: low-traffic", "rollout start"]),
        ("agent", 30, "2027-01-01", ["rollout promote agent"]),
        ("agent", 1, "2026-11-23", ["rollout promote agent"]),
        ("usual", 1, "2026-11-23", ["rollout promote usual", "--override 'NAME"]),
        ("grave", 1, "2026-11-23", ["shadow start grave", "rollout promote grave"]),
    ],
)
async def test_the_path_is_one_that_ends_in_time(
    desk: Desk, placed: Place, monkeypatch: pytest.MonkeyPatch, name: str, runs: int, date: str, words: list[str]
) -> None:
    """In stages where the traffic suffices for that before the model retires, else at once, as far as the stakes allow."""
    await placed(name, {"*": "B"})
    monkeypatch.setattr(plans, "rates", lambda *_: {"*": float(runs)})
    (path,) = await lifecycle.paths(on(desk, date))
    commands = "\n".join(path.commands)
    assert all(word in commands for word in words)
    assert ("preset" in commands) is ("preset: low-traffic" in words)
    assert any("too little" in note for note in path.notes) is ("rollout promote" in commands)


async def test_a_path_that_was_taken_is_not_taken_again(desk: Desk, placed: Place) -> None:
    """While its rollout is in progress there is nothing to paste but how it goes; another one has to end first."""
    state = await placed("agent", {"*": "B"})
    (path,) = await lifecycle.paths(on(desk, "2026-11-23"))
    made = await create(desk, ReleaseAsk(model=path.successor, base=path.release, alias="agent"))
    await rolling(desk, state, made.id, Phase.CANARY)
    (path,) = await lifecycle.paths(on(desk, "2026-11-23"))
    assert path.commands == ("trivet rollout status agent",)
    assert "a rollout of it is in progress" in path.notes


async def test_without_a_successor_nothing_is_made_up(desk: Desk, placed: Place) -> None:
    """Where nobody names a successor there are no commands, and the note says so."""
    await placed("agent", {"*": "B"})
    gemini = await create(desk, ReleaseAsk(model="anthropic/claude-3-opus-20240229"))
    state = await desk.alias("agent")
    moved = msgspec.structs.replace(state, lanes={"*": msgspec.structs.replace(state.lanes["*"], release=gemini.id)})
    await aliases.write(desk.store, state, moved, desk.entry("test", "moved"))
    (path,) = await lifecycle.paths(on(desk, "2026-11-23"))
    assert (path.commands, path.candidate) == ((), "")
    assert "nobody names a successor" in path.notes[0]


@pytest.mark.parametrize(
    ("date", "lanes", "expected"),
    [
        ("2026-09-01", "BA", []),
        ("2026-11-23", "BA", ["no release left to roll back to"]),
        ("2026-11-23", "BAC", []),
        ("2026-12-20", "BC", ["retires on 2027-01-14, in 25 days", "no release left to roll back to"]),
    ],
)
async def test_an_outlook_says_what_is_left(
    desk: Desk, placed: Place, date: str, lanes: str, expected: list[str]
) -> None:
    """A model that ends within the horizon, and a lane without a release that outlives it, are said before they stand."""
    state = await placed("agent", {"*": lanes})
    found = await lifecycle.outlook(on(desk, date), state.lanes)
    assert len(found) == len(expected)
    assert all(word in said for word, said in zip(expected, found, strict=True))


async def test_a_promotion_says_that_nothing_is_left(desk: Desk, placed: Place, made: Make) -> None:
    """Promoting away from a model that is gone leaves no way back, and the answer says so; it is carried out all the same."""
    await placed("agent", {"*": "A"})
    moved = await promote(on(desk, "2026-11-23"), "agent", await made("B"), "next", timeout=0.1)
    assert moved.changed
    assert any("no release left to roll back to" in warning for warning in moved.warnings)


async def test_a_store_that_is_away_warns_of_nothing(
    desk: Desk, placed: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operation that only wanted to warn goes on without."""
    state = await placed("agent", {"*": "AB"})

    async def away(*_: Any) -> None:
        from gateway.store.client import unavailable  # noqa: PLC0415

        raise unavailable("away")

    monkeypatch.setattr(lifecycle.snapshots, "retirements", away)
    assert await lifecycle.outlook(on(desk, "2026-11-23"), state.lanes) == ()
