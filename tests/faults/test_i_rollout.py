"""Rows F13 and I5, and asks of users, with a rollout in progress on a real gateway: its agents, its loop, a Redis that flaps, a loop
that is stopped or killed.

One gateway and one alias go through all of them. Its releases differ in model, prompt and a parameter, so that a mix would show.
"""

from __future__ import annotations

import asyncio
import json
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.core.rollout.metrics import METRICS
from gateway.settings.model import StoreSettings
from gateway.store import aliases
from gateway.store.client import Store
from tests.control import whole
from tests.faults import load
from tests.faults.load import ALIAS, STAMP_KEYS, Call, Load, ProxyThread
from tests.gateway_process import Gateway, running
from tests.provider import Provider, Received, Reply, answer, completion
from tests.store.servers import RealRedis

OLD, NEW = "gpt-4o-2024-08-06", "gpt-4o-2024-11-20"
TRIPLES = {OLD: ("Be as you were.", 0.25), NEW: ("Be as you will be.", 0.75)}
"""Prompt and temperature of the release of a model."""
LONG = {"weight": "50%", "bake": "1h", "runs": 1000}
"""A step that goes on by itself in no test."""
LEASE_SECONDS = 3


@dataclass
class Stage:
    """A gateway over a Redis behind a proxy, the two releases, and a provider that fails those models that it is told to."""

    gateway: Gateway
    provider: Provider
    server: RealRedis
    mangling: ProxyThread
    folder: Path
    failing: set[str] = field(default_factory=set)
    ids: dict[str, str] = field(default_factory=dict)

    async def behave(self, received: Received, reply: Reply) -> None:
        """A completion, or an error of the provider's own."""
        if received.json.get("model") in self.failing:
            await answer({"error": {"message": "no", "type": "server_error"}}, 500)(received, reply)
        else:
            await completion()(received, reply)

    def release(self, model: str) -> str:
        """The release of a model with its prompt and temperature; its id."""
        prompt, temperature = TRIPLES[model]
        file = self.folder / f"{model}.md"
        file.write_text(prompt)
        words = ("--model", f"openai/{model}", "--prompt", str(file), "--set", f"temperature={temperature}")
        return str(self.gateway.json("release", "create", *words)["id"])

    def begin(self, *steps: dict[str, Any], status: int | None = 0) -> None:
        """Start a rollout of NEW in these steps, on the word of a person. Only errors are watched."""
        watched = {**dict.fromkeys(METRICS, "observe"), "error": "rollback"}
        value = {
            "kind": "Rollout",
            "alias": ALIAS,
            "release": self.ids[NEW],
            "steps": list(steps),
            "guardrails": watched,
        }
        file = self.folder / "rollout.yaml"
        file.write_text(yaml.safe_dump({**value, "skip_shadow": "a test", "deadline": "7d"}))
        self.gateway.cli("rollout", "start", "-f", str(file), "--reason", "new", "--yes", status=status)
        self.gateway.cli("rollout", "override", ALIAS, "--name", "me", "--reason", "a test", status=status)

    def status(self) -> dict[str, Any]:
        """`rollout status`."""
        return dict(self.gateway.json("rollout", "status", ALIAS))

    def phase(self) -> str:
        """The phase as stored."""
        with load.connected(self.server.url) as client:
            return str(json.loads(client.hget(f"trivet:alias:{{{ALIAS}}}", "rollout") or "{}").get("phase", ""))

    def tidy(self) -> None:
        """No rollout in progress, OLD stable, and NEW not barred."""
        self.failing.clear()
        self.gateway.cli("rollback", ALIAS, "--to", self.ids[OLD], "--reason", "tidy", status=None)
        self.gateway.cli("rollout", "retry", ALIAS, "--reason", "tidy", "--release", self.ids[NEW], status=None)

    def triples(self) -> dict[str, set[str]]:
        """The models whose whole triples each run asked the provider for. A mix fails here."""
        found: dict[str, set[str]] = defaultdict(set)
        for received in list(self.provider.requests):
            asked = received.json
            system, user = asked["messages"]
            assert (system["content"], asked["temperature"]) == TRIPLES[asked["model"]], "a mix of two releases"
            found[user["content"]].add(asked["model"])
        return found


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The gateway of all tests here."""
    folder = tmp_path_factory.mktemp("rollout")
    alias = {ALIAS: {"first_release": {"model": f"openai/{OLD}"}, "stakes": "low"}}
    with RealRedis(folder / "redis") as server, Provider() as provider:
        mangling = ProxyThread(server.port)
        with (
            mangling as proxy,
            running(
                {"openai": provider.url},
                store={"redis": proxy.url},
                aliases=alias,
                stamp_keys=STAMP_KEYS,
                retry={"breaker_failures": 100_000},
            ) as gateway,
        ):
            stage = Stage(gateway, provider, server, mangling, folder)
            provider.default = stage.behave
            stage.ids = {model: stage.release(model) for model in TRIPLES}
            words = ("--release", stage.ids[OLD], "--reason", "begin", "--override", "me")
            gateway.cli("rollout", "promote", ALIAS, *words)
            yield stage


@pytest.fixture
def stage(staged: Stage) -> Iterator[Stage]:
    """The gateway as a test finds it: OLD is stable, no rollout, an empty recorder; and whole when it leaves."""
    staged.provider.requests.clear()
    yield staged
    staged.tidy()
    staged.triples()
    asyncio.run(_whole(staged))


async def _whole(stage: Stage) -> None:
    """The alias and its history as they have to be."""
    async with Store(StoreSettings(redis=stage.server.url)) as store:
        entries = list(reversed(await aliases.history(store, ALIAS, 10_000)))
        state = await aliases.get(store, ALIAS)
    assert state is not None
    whole.check(state, entries)


def runs(calls: list[Call]) -> dict[str, list[Call]]:
    """Answered calls by run, in their order."""
    found: dict[str, list[Call]] = defaultdict(list)
    for call in calls:
        if call.status == 200:
            found[call.run].append(call)
    return found


def released(calls: list[Call]) -> dict[str, set[str]]:
    """The releases that each run was told."""
    return {run: {call.headers["x-trivet-release"] for call in told} for run, told in runs(calls).items()}


def test_i5_rollback_of_a_canary_under_a_hundred_runs(stage: Stage) -> None:
    """I5: with half of a hundred running runs on a candidate a rollback is followed by every worker within a second: from then on no
    run begins on the candidate, and each that runs ends where it began."""
    stage.begin(LONG)
    with Load(stage.gateway, rate=400, lanes=100, steps=6, name="i5") as work:
        load.until(lambda: len(runs(work.calls)) >= 100, what="a hundred runs")
        time.sleep(0.5)
        moved = stage.gateway.json("rollback", ALIAS, "--reason", "worse")
        back = time.monotonic()
        time.sleep(1.7)
    assert moved["acknowledged"]["silent"] == []
    assert max(moved["acknowledged"]["milliseconds"].values()) < 1000
    assert [call for call in work.calls if call.status != 200] == []
    assert {len(told) for told in released(work.calls).values()} == {1}
    began = {run: (told[0].at, told[0].headers["x-trivet-release"]) for run, told in runs(work.calls).items()}
    before = [release for at, release in began.values() if at < back - 0.5]
    assert 0.2 < before.count(stage.ids[NEW]) / len(before) < 0.8
    assert {release for at, release in began.values() if at > back} == {stage.ids[OLD]}
    late = [call for call in work.calls if call.at > back and call.headers["x-trivet-release"] == stage.ids[NEW]]
    assert late, "runs on the candidate went on after the rollback"
    assert {call.headers["x-trivet-bound"] for call in late} == {"resumed"}
    assert all(len(models) == 1 for models in stage.triples().values())
    active = [key for key, value in load.numbers(stage.gateway).items() if key.startswith("active_release") and value]
    assert active and all(stage.ids[OLD] in key for key in active)


def test_f13_pointers_flip_while_redis_flaps(stage: Stage) -> None:
    """F13: rollouts begin and end, releases are promoted and rolled back while Redis is cut off, swallows what it is told and its answers:
    every run sees one whole release, no call fails, and each version stands in the history once."""
    flaps: tuple[Callable[[], None], ...] = (
        stage.mangling.reset,
        lambda: _silent(stage, "hole"),
        lambda: _silent(stage, "mute"),
    )
    promote = ("rollout", "promote", ALIAS, "--release", stage.ids[NEW], "--reason", "x", "--override", "me")
    orders: list[tuple[str, ...]] = [
        promote,
        ("rollback", ALIAS, "--reason", "x"),
        ("rollout", "abort", ALIAS, "--reason", "x"),
        ("rollout", "retry", ALIAS, "--reason", "x"),
    ]
    with Load(stage.gateway, rate=200, lanes=20, name="f13") as work:
        for turn, flap in enumerate(flaps):
            flap()
            stage.begin(LONG, status=None)
            flap()
            stage.gateway.cli(*orders[2 if turn % 2 else 1], status=None)
            stage.gateway.cli(*orders[3], status=None)
            flap()
            stage.gateway.cli(*promote, status=None)
            stage.gateway.cli(*orders[1], status=None)
        load.settled(stage.gateway)
    assert [call for call in work.calls if call.status != 200] == []
    assert {len(told) for told in released(work.calls).values()} == {1}
    told = set().union(*released(work.calls).values())
    assert told == set(stage.ids.values()), "both releases were in force at some time"
    assert all(len(models) == 1 for models in stage.triples().values())


def _silent(stage: Stage, how: str) -> None:
    """Redis hears or says nothing for a while, from now on."""
    setattr(stage.mangling.proxy, how, True)
    time.sleep(0.2)
    setattr(stage.mangling.proxy, how, False)
    stage.mangling.reset()


def test_f13_people_at_once(stage: Stage) -> None:
    """F13: four people order at the same moment: nobody is left on the candidate, each order has its line in the audit log, and the
    history has an entry for each that changed something, no more."""
    orders = {"rollout.abort": "rollout/abort", "rollback": "rollback", "rollout.freeze": "rollout/freeze"}
    orders["rollout.retry"] = "rollout/retry"
    stage.begin(LONG)
    before, told = _versions(stage), len(_audited(stage, orders))
    together = threading.Barrier(len(orders))

    def ordered(path: str) -> dict[str, Any]:
        together.wait(10)
        try:
            return dict(load.admin(stage.gateway, f"/aliases/{ALIAS}/{path}", reason="now"))
        except AssertionError as refused:
            return {"changed": False, "refused": str(refused)}

    with ThreadPoolExecutor(len(orders)) as pool:
        results = list(pool.map(ordered, orders.values()))
    assert stage.phase() in ("aborted", "rolled_back")
    assert results[0]["changed"] or results[1]["changed"], "an abort and a rollback: one of them ended it"
    assert "refused" not in results[0] and "refused" not in results[1]
    assert len(_versions(stage)) - len(before) == sum(result["changed"] for result in results)
    load.until(lambda: len(_audited(stage, orders)) - told >= len(orders), 3, "the audit of all")
    assert sorted(_audited(stage, orders)[told:]) == sorted(orders)


def _versions(stage: Stage) -> list[int]:
    return [entry["version"] for entry in stage.gateway.json("alias", "history", ALIAS, "--limit", "1000")]


def _audited(stage: Stage, actions: Iterable[str]) -> list[str]:
    """Orders of these kinds in the audit log."""
    events = [event["action"] for event in stage.gateway.events if event.get("room") == "audit"]
    return [action for action in events if action in set(actions)]


def test_flagger_1801_a_candidate_that_fails_while_a_person_is_waited_for(stage: Stage) -> None:
    """flagger#1801, argo#1700, flagger#2: a rollout waits for an approval when its candidate begins to fail: it is taken back by itself,
    counted by reason, each sample is of the release that its run was on, and runs on the candidate stay there."""
    before = load.numbers(stage.gateway)
    stage.begin({"weight": "50%", "bake": "0.1s", "runs": 4}, {"weight": "60%", "runs": 4, "approve": True})
    with Load(stage.gateway, rate=150, lanes=15, steps=4, name="wait") as work:
        load.until(lambda: stage.phase() == "awaiting_approval", what="an approval to wait for")
        time.sleep(0.4)
        stage.failing.add(NEW)
        took = load.until(lambda: stage.phase() == "rolled_back", what="the rollback")
    assert took < 3
    late = stage.gateway.cli("rollout", "approve", ALIAS, "--reason", "fine", status=1)
    assert "rolled_back" in late.stderr
    assert {len(told) for told in released(work.calls).values()} == {1}
    _samples_name_their_release(stage, work.calls)
    name = 'rollout_rollbacks_total{cause="guardrail"}'
    load.until(lambda: load.numbers(stage.gateway).get(name, 0) == before.get(name, 0) + 1, 3, "the count")
    assert load.total(load.numbers(stage.gateway), "rollout_revert_seconds_count") == 1 + load.total(
        before, "rollout_revert_seconds_count"
    )


def _samples_name_their_release(stage: Stage, calls: list[Call]) -> None:
    """Every event of these runs is of the release that the run was told, and of the arm that this release was."""
    told = released(calls)
    with load.connected(stage.server.url) as client:
        entries = client.xrange(f"trivet:events:{{{ALIAS}}}")
    events = [event for _, fields in entries if (event := json.loads(fields[b"entry"]))["run"] in told]
    assert {event["arm"] for event in events} == {"stable", "canary"}
    for event in events:
        assert {event["release"]} == told[event["run"]], event
        assert (event["release"] == stage.ids[NEW]) is (event["arm"] == "canary")
        assert not event.get("bad") or event["release"] == stage.ids[NEW]


def test_a_loop_that_is_killed_is_replaced(stage: Stage) -> None:
    """kill -9 of the process that drives, in the middle of a stage: another takes over within the lease, at the same stage and with
    the same counts, and takes the candidate back when it fails."""
    stage.begin(LONG)
    for number in range(40):
        assert load.ask(stage.gateway, f"over-{number}").status == 200
    with running(
        {"openai": stage.provider.url},
        arguments=("--roles", "control"),
        store={"redis": stage.server.url},
        aliases=yaml.safe_load(stage.gateway.config.read_text())["aliases"],
        stamp_keys=STAMP_KEYS,
    ) as second:
        load.until(lambda: sum(_units(stage).values()) >= 40, what="forty runs counted")
        first = stage.status()
        stage.gateway.kill("supervisor", signal.SIGSTOP)  # else it starts the process again at once
        held = stage.gateway.kill("control")
        assert f":{held}:" in first["conductor"]
        try:
            other = f":{second.pid('control')}:"
            assert load.until(lambda: other in _holder(stage), 10, "the takeover") < LEASE_SECONDS + 2
            after = json.loads(second.cli("rollout", "status", ALIAS, "--json").stdout)
            same = ("phase", "at", "since_ms", "id", "version")
            assert [after["rollout"].get(name) for name in same] == [first["rollout"].get(name) for name in same]
            assert after["facts"]["tally"] == first["facts"]["tally"]
            stage.failing.add(NEW)
            with Load(stage.gateway, rate=100, lanes=10, steps=1, name="kill"):
                load.until(lambda: stage.phase() == "rolled_back", what="a rollback by the one that took over")
        finally:
            stage.gateway.kill("supervisor", signal.SIGCONT)
    stage.gateway.wait_restarted("control", held)


def _units(stage: Stage) -> dict[str, int]:
    return dict(stage.status()["facts"]["tally"]["units"])


def _holder(stage: Stage) -> str:
    """Who holds the lease, as stored."""
    with load.connected(stage.server.url) as client:
        return str((client.hget("trivet:control", "holder") or b"").decode())


@pytest.mark.slow
def test_with_nobody_who_drives_new_runs_are_stable(stage: Stage) -> None:
    """Ten seconds after the last word of a process that drives, new runs get the stable release with allocation 0, and runs on the
    candidate go on; when one is back, the weight is too."""
    stage.begin(LONG)
    first = {f"lease-{n}": load.ask(stage.gateway, f"lease-{n}").headers["x-trivet-release"] for n in range(30)}
    assert set(first.values()) == set(stage.ids.values())
    stage.gateway.kill("control", signal.SIGSTOP)
    try:
        time.sleep(8)
        assert len({load.ask(stage.gateway, f"still-{n}").headers["x-trivet-release"] for n in range(30)}) == 2
        time.sleep(4)
        none = [load.ask(stage.gateway, f"none-{n}").headers["x-trivet-release"] for n in range(30)]
        assert set(none) == {stage.ids[OLD]}
        again = {run: load.ask(stage.gateway, run).headers["x-trivet-release"] for run in first}
        assert again == first
    finally:
        stage.gateway.kill("control", signal.SIGCONT)
    load.until(
        lambda: load.ask(stage.gateway, f"back-{time.monotonic_ns()}").headers["x-trivet-release"] == stage.ids[NEW], 5
    )
    with load.connected(stage.server.url) as client:
        entries = client.xrange(f"trivet:exposures:{{{ALIAS}}}")
    told = [json.loads(fields[b"entry"]) for _, fields in entries]
    assert {entry["allocation"] for entry in told if entry["run"].startswith("none-")} == {0}
