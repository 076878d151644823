"""The gate on a real gateway: a candidate that answers as the incumbent does may take its place, one that does not may not."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from gateway.control import gate
from gateway.control.desk import Desk
from gateway.control.gate import Order, begin, questions, resumed
from gateway.core.contract.fault import Fault
from gateway.core.contract.gate_run import GateRun, Outcome, Side, SuiteRun
from gateway.core.contract.suite import Answer, Check, Head, Item, Said, Suite, SuiteKind
from gateway.core.gate import rubric
from gateway.store import gates
from tests.control.conftest import Make, Place
from tests.control.gated import gated
from tests.control.gated import suite as sums
from tests.gateway_process import Gateway, running
from tests.provider import Provider, Received, Reply, answer, chat_body

ITEMS = 14
HEAD = {"suite": "sums", "version": 1, "kind": "task"}
GOOD, BAD, LIVE, BROKEN = "gpt-4o-2024-11-20", "gpt-4o-mini-2024-07-18", "gpt-4o-2024-08-06", "gpt-4.1-2025-04-14"


def suite() -> str:
    """Sums that the mock provider answers, one of them as a rubric."""
    rows: list[dict[str, Any]] = [HEAD]
    for number in range(ITEMS):
        right = str(number + 1000)
        rows.append(
            {
                "id": f"sum-{number}",
                "messages": [{"role": "user", "content": f"{number} + 1000?"}],
                "check": {"contains": [right]} | ({"judge": "Is it a number?"} if number == 0 else {}),
                "good": {"text": right},
                "bad": {"text": "no"},
            }
        )
    return "\n".join(json.dumps(row) for row in rows)


@dataclass
class World:
    """A gateway whose alias has a gate, its provider, and releases by model. `slow` holds the seconds an answer takes."""

    gateway: Gateway
    provider: Provider
    releases: dict[str, str]
    slow: list[float]
    failing: set[str]
    """Questions that the provider fails to answer."""
    runs: list[str] = field(default_factory=list)
    """Ids of runs that were begun."""

    def run(self, *words: str, status: int) -> dict[str, Any]:
        """`trivet gate run --json`."""
        return dict(
            json.loads(self.gateway.cli("gate", "run", "agent", *words, "--yes", "--json", status=status).stdout)
        )

    def asked(self, since: int) -> list[tuple[str, str]]:
        """Model and question of what the provider was asked, in order."""
        return [(r.json["model"], r.json["messages"][-1]["content"]) for r in self.provider.requests[since:]]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """One for the file. One of the models cannot add, one fails; the live one judges too."""
    slow = [0.0]
    failing: set[str] = set()

    async def behave(received: Received, reply: Reply) -> None:
        asked = received.json
        text = asked["messages"][-1]["content"]
        await asyncio.sleep(slow[0])
        if text in failing:
            await answer({"error": {"message": "no", "code": "overloaded_now"}}, 400)(received, reply)
            return
        if asked["model"] == BROKEN:
            await answer({"error": {"message": "no", "code": "no_such_thing"}}, 400)(received, reply)
            return
        right = "Yes." if "grade" in text else str(int(text.split(" ")[0]) + 1000)
        await answer(chat_body("I would rather not." if asked["model"] == BAD else right, asked["model"]))(
            received, reply
        )

    gate = {"task": "suite.jsonl", "margins": {"task": "20pp"}, "request": {"temperature": 0}}
    aliases = {
        "agent": {"first_release": {"model": f"openai/{LIVE}"}, "gate": gate},
        "other": {"first_release": {"model": f"openai/{LIVE}"}},
    }
    with Provider(behave) as provider, running({"openai": provider.url}, aliases=aliases, start=False) as gateway:
        (gateway.folder / "suite.jsonl").write_text(suite())
        gateway.start()
        made = {m: gateway.json("release", "create", "--model", f"openai/{m}")["id"] for m in (GOOD, BAD, LIVE, BROKEN)}
        gate["judge"] = made[LIVE]
        gateway.write_config({"aliases": aliases})
        until = time.monotonic() + 5
        while gateway.cli("gate", "run", "agent", "--release", made[GOOD], "--plan", status=None).returncode:
            assert time.monotonic() < until, "the judge is not known"
            time.sleep(0.05)
        yield World(gateway, provider, made, slow, failing)


def test_a_good_candidate_is_go_and_nothing_of_it_is_live(world: World) -> None:
    """Each item is asked once of each release, side by side, with a run of its own; no exposure, no live request, no traffic."""
    good, live = world.releases[GOOD], world.releases[LIVE]
    plan = world.gateway.json("gate", "run", "agent", "--release", good, "--plan")
    assert (plan["calls"], plan["judged"], plan["refusals"]) == (2 * ITEMS, 2, [])
    before = len(world.provider.requests)
    found = world.run("--release", good, status=0)
    assert found["report"]["verdict"] == "GO"
    assert found["report"]["origin"] == "gateway"
    assert found["progress"]["passed"] == {"candidate": ITEMS, "incumbent": ITEMS}
    asked = Counter(world.asked(before))
    sums = {key: n for key, n in asked.items() if "grade" not in key[1]}
    assert sums == {(model, f"{n} + 1000?"): 1 for model in (GOOD, LIVE) for n in range(ITEMS)}
    assert [r.json["temperature"] for r in world.provider.requests[before:] if "grade" not in r.body.decode()] == [
        0
    ] * 28
    status, record = world.gateway.get(f"{world.gateway.admin}/api/v1/evidence/{found['evidence']}")
    assert status == 200
    shown = json.loads(record)["evidence"]
    assert (shown["models"], shown["actor"]) == ({good: [GOOD], live: [LIVE]}, "local")
    assert "fallbacks" not in shown
    assert (shown["suites"][0]["judge"], shown["suites"][0]["rubric"]) == (live, rubric.digest())
    assert world.gateway.json("run", "list") == []
    assert plan["cost_micro"] / 30 < found["progress"]["spent_micro"] < plan["most_micro"]


def test_a_bad_candidate_is_no_go(world: World) -> None:
    """Exit 1, with the items that only the incumbent passes; people read the same."""
    found = world.run("--release", world.releases[BAD], status=1)
    assert found["report"]["verdict"] == "NO-GO"
    assert len(found["report"]["metrics"][0]["flips"]) == ITEMS
    said = world.gateway.cli("gate", "run", "agent", "--release", world.releases[BAD], "--yes", status=1)
    assert "passed by the incumbent only: sum-" in said.stdout
    assert said.stdout.rstrip().endswith("NO-GO")


def test_the_incumbent_against_itself_is_never_no_go(world: World) -> None:
    """The self-test asks one release twice, and works on the store without the admin port as well."""
    found = world.run("--release", world.releases[LIVE], "--direct", status=0)
    assert found["report"]["verdict"] == "GO"
    assert found["progress"]["calls"] == 2 * ITEMS


def test_a_run_that_broke_off_goes_on_where_it_was(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A killed command loses nothing that was answered: the rest is asked once, what was under way at most once more."""
    before = len(world.provider.requests)
    world.slow[0] = 0.2
    words = ("gate", "run", "agent", "--release", world.releases[GOOD], "--yes", "--direct")
    command = [sys.executable, "-m", "gateway", *words, "--config", str(world.gateway.config)]
    killed = subprocess.Popen(
        command,
        cwd=world.gateway.folder,
        env=world.gateway.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    world.provider.wait_for(before + 9, 20)
    killed.send_signal(signal.SIGKILL)
    run = killed.communicate()[1].decode().split("--resume ")[1].split()[0]
    world.runs.append(run)
    world.slow[0] = 0.0
    monkeypatch.setattr(gates, "SILENT_MS", 700)
    found = world.run("--resume", run, "--direct", status=0)
    assert found["report"]["verdict"] == "GO"
    assert found["progress"]["done"] == 2 * ITEMS
    asked = Counter(key for key in world.asked(before) if "grade" not in key[1])
    assert len(asked) == 2 * ITEMS
    assert asked.total() <= 2 * ITEMS + 4
    assert world.run("--resume", run, status=0)["evidence"] == found["evidence"]


def test_a_budget_ends_a_run_and_a_larger_one_goes_on(world: World) -> None:
    """What is not asked is not green; the run waits for more money and asks only what is left."""
    before = len(world.provider.requests)
    stopped = world.run("--release", world.releases[GOOD], "--budget", "0.0005", status=2)
    assert stopped["stopped"] == "budget"
    assert 0 < stopped["done"] < stopped["calls"]
    found = world.run("--resume", stopped["id"], "--budget", "1", status=0)
    assert found["report"]["verdict"] == "GO"
    assert len(world.provider.requests) - before == 2 * ITEMS + 2


def test_failures_are_no_bad_answers(world: World) -> None:
    """A candidate that cannot be called has no score: the run stops early, and nothing is stored against it."""
    stopped = world.run("--release", world.releases[BROKEN], "--against", world.releases[BROKEN], status=2)
    assert stopped["stopped"] == "failing"
    assert stopped["unscored"] == {"no_such_thing": stopped["done"]}
    assert stopped["evidence"] == ""


def test_what_has_no_score_is_asked_again(world: World) -> None:
    """A provider that failed for a while: the run goes on with those questions alone, and its evidence is then of every answer."""
    before = len(world.provider.requests)
    world.failing.update({"1 + 1000?", "2 + 1000?"})
    first = world.run("--release", world.releases[GOOD], "--against", world.releases[BAD], status=2)
    assert first["progress"]["unscored"] == {"overloaded_now": 4}
    assert "without a score" in first["report"]["stale"][0]
    middle = len(world.provider.requests)
    world.failing.clear()
    again = world.run("--resume", first["id"], status=0)
    assert (again["progress"]["done"], again["progress"]["unscored"]) == (2 * ITEMS, {})
    assert again["evidence"] != first["evidence"]
    assert again["progress"]["spent_micro"] > first["progress"]["spent_micro"]
    assert Counter(text for _, text in world.asked(middle)) == {"1 + 1000?": 2, "2 + 1000?": 2}
    assert middle - before > 2 * ITEMS


def test_what_cannot_be_run_is_refused(world: World) -> None:
    """An alias without a gate, a suite that is not declared, an unknown run, and words that contradict each other."""
    good = world.releases[GOOD]
    for words, status, told in (
        (("other", "--release", good), 7, "declares no gate"),
        (("agent", "--release", good, "--suite", "safety"), 7, "no suite of kind safety"),
        (("agent", "--resume", "gate_0"), 7, "no run gate_0"),
        (("other", "--resume", world.runs[0]), 7, "is of alias agent"),
        (("agent",), 7, "--release"),
        (("agent", "--release", good, "--url", "http://127.0.0.1:1"), 7, "--direct"),
        (("agent", "--release", good), 7, "say --yes"),
        (("agent", "--release", good, "--yes", "--direct", "--url", "http://127.0.0.1:1"), 3, "cannot be reached"),
    ):
        said = world.gateway.cli("gate", "run", *words, status=status)
        assert told in said.stderr, said.stderr


def test_calls_of_the_gate_are_counted_as_its_own(world: World) -> None:
    """Their tokens stand under the role gate; nothing under live, no exposure, no run."""
    world.run("--release", world.releases[LIVE], status=0)
    until = time.monotonic() + 10
    told = ""
    while 'role="gate"' not in told:
        assert time.monotonic() < until, told
        time.sleep(0.1)
        told = world.gateway.get(world.gateway.admin + "/metrics")[1].decode()
    assert not [each for each in told.splitlines() if 'role="live",kind' in each and not each.endswith(" 0.0")]
    assert world.gateway.json("run", "list") == []
    assert world.gateway.json("release", "runs", world.releases[LIVE])["bound"] == 0


@pytest.mark.anyio
async def test_a_run_keeps_its_judge(desk: Desk, made: Make, placed: Place, tmp_path: Path) -> None:
    """A run that was begun with one judge does not go on with another, nor in other words."""
    await placed("usual", {"*": "A"})
    b, c, d = [await made(name) for name in "BCD"]
    text = sums(check={"contains": ["10"], "judge": "Is it a number?"})
    asked = gated(desk, tmp_path, text, judge=c)
    begun = await begin(asked, Order("usual", b))
    run = (await gates.get(desk.store, begun.id)).run
    assert (await resumed(asked, run)).judge is not None
    for other, kept in ((gated(desk, tmp_path, text, judge=d), run), (asked, replace(run, rubric="others"))):
        with pytest.raises(Fault, match="gate_changed"):
            await resumed(other, kept)


def test_questions_come_in_pairs_in_an_order_of_the_run() -> None:
    """The two releases are asked an item one after the other; runs differ in the order, and a run keeps its own."""
    item = Item("", (Said("user", "?"),), Check(contains=("a",)), Answer("a"), Answer("b"))
    items = tuple(msgspec.structs.replace(item, id=f"i{n}") for n in range(20))
    suite = SuiteRun("s@1", SuiteKind.TASK, "", "", 20, 3)
    orders = []
    for run in ("gate_1", "gate_2", "gate_1"):
        about = GateRun(run, "a", "c", "i", "x", 0, (suite,))
        found = questions(about, [(suite, Suite(Head("s", 1, SuiteKind.TASK), items, ""))])
        pairs = list(zip(found[::2], found[1::2], strict=True))
        assert all(a.item.id == b.item.id and a.repeat == b.repeat and a.side != b.side for a, b in pairs)
        assert {a.side for a, _ in pairs} == set(Side)
        orders.append([each.name for each in found])
    assert orders[0] == orders[2] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1])
    assert len(set(orders[0])) == 120


def test_a_run_with_every_answer_was_not_stopped() -> None:
    """What it cost, and how many answers have no score, stops only what is still to be asked."""
    suites = (SuiteRun("s@1", SuiteKind.TASK, "s", "d", 30, 1),)
    run = GateRun("gate_1", "agent", "rel_b", "rel_a", "alice", 0, suites, budget_micro=5)
    names = [f"task i{at} {side.value} 0" for at in range(30) for side in Side]
    for outcome, cost, why in ((Outcome(1.0), 9, "budget"), (Outcome(None, "timeout"), 0, "failing")):
        some, every = (dict.fromkeys(names[:count], outcome) for count in (40, 60))
        assert gate.told(gates.Stored(run, some, frozenset(), gates.Cost(micro=cost), "")).stopped == why
        assert gate.told(gates.Stored(run, every, frozenset(), gates.Cost(micro=cost), "")).stopped == ""
