"""A provider that silently answers with another model, on a real gateway: told, frozen, stale, refused, and acknowledged."""

from __future__ import annotations

import itertools
import json
import shlex
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import yaml

from tests.gateway_process import Gateway, running
from tests.provider import Provider, Received, Reply, answer, chat_body

PIN, NEXT, OTHER = "gpt-4o-2024-08-06", "gpt-4o-2024-11-20", "gpt-4o-mini-2024-07-18"
SNAPSHOT = f"openai/{PIN}"
RETIRING = "openai/gpt-5-2025-08-07"
ITEMS = 14
STEPS = [{"weight": "50%", "bake": "1h", "runs": 5}]
OBSERVED = dict.fromkeys(("latency_ms", "cost_micro", "steps", "lost_run"), "observe")


@dataclass
class World:
    """A gateway, and what its provider does: models that another one answers for, and models that are gone."""

    gateway: Gateway
    instead: dict[str, str] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)

    def chat(self, alias: str, run: str) -> tuple[int, dict[str, str], Any]:
        """One request of a run: status, headers, body."""
        body = json.dumps({"model": alias, "messages": [{"role": "user", "content": "1 + 1000?"}]}).encode()
        fields = {"content-type": "application/json", "x-trivet-run": run}
        request = urllib.request.Request(self.gateway.base + "/v1/chat/completions", body, fields)
        try:
            with urllib.request.urlopen(request, timeout=10) as got:
                return got.status, dict(got.headers), json.loads(got.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, dict(error.headers), json.loads(error.read())

    def until(self, true: Callable[[Any], Any], *words: str) -> Any:
        """What a verb answers, once it answers so."""
        limit = time.monotonic() + 15
        while True:
            done = self.gateway.cli(*words, "--json", status=None)
            found = json.loads(done.stdout) if done.stdout else None
            if found is not None and true(found):
                return found
            assert time.monotonic() < limit, (found, done.stderr)
            time.sleep(0.1)

    def rollout(self, release: str) -> None:
        """Begin a rollout whose first stage lasts, past its shadow."""
        value = {
            "kind": "Rollout", "alias": "agent", "release": release, "steps": STEPS, "guardrails": OBSERVED,
            "skip_shadow": "nothing to compare yet", "deadline": "60d",
        }  # fmt: skip
        (self.gateway.folder / "m.yaml").write_text(yaml.safe_dump(value))
        self.gateway.cli("rollout", "start", "-f", "m.yaml", "--reason", "test", "--yes")
        self.until(lambda found: found["rollout"]["phase"] == "canary", "rollout", "status", "agent")


def suite() -> str:
    """Sums that the provider can do."""
    rows: list[dict[str, Any]] = [{"suite": "sums", "version": 1, "kind": "task"}]
    for number in range(ITEMS):
        ask = [{"role": "user", "content": f"{number} + 1000?"}]
        right = str(number + 1000)
        rows.append({"id": f"s{number}", "messages": ask, "check": {"contains": [right]}, "good": {"text": right}, "bad": {"text": "no"}})  # fmt: skip
    return "\n".join(json.dumps(row) for row in rows)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """Two aliases on one snapshot, one of them strict, the other with a gate."""

    async def behave(received: Received, reply: Reply) -> None:
        model = received.json["model"]
        if model in here.gone:
            gone = {"error": {"message": f"The model `{model}` has been deprecated", "code": "model_not_found"}}
            await answer(gone, 404)(received, reply)
            return
        right = str(1000 + int(received.json["messages"][-1]["content"].split(" ")[0]))
        await answer(chat_body(right, here.instead.get(model, model)))(received, reply)

    first = {"model": SNAPSHOT}
    aliases = {
        "agent": {"first_release": first, "gate": {"task": "suite.jsonl", "margins": {"task": "20pp"}}},
        "careful": {"first_release": first, "strict": True},
        "old": {"first_release": {"model": RETIRING}, "gate": {"task": "suite.jsonl", "margins": {"task": "20pp"}}},
    }
    with Provider(behave) as provider, running({}, aliases=aliases, start=False) as gateway:
        there = {"base_url": provider.url, "api_key": "sk-test", "allow_private": True, "vendor": "openai"}
        gateway.write_config({"providers": {"openai": there}})
        here = World(gateway)
        (gateway.folder / "suite.jsonl").write_text(suite())
        gateway.start()
        yield here


def test_d10_a_model_that_changes_silently_is_said_freezes_and_is_acknowledged(world: World) -> None:
    """Its answers pass and runs in flight go on; within seconds the epoch stands in the history of both aliases, the rollout is frozen, the
    gate's evidence is stale, and the strict alias takes nobody new. An acknowledgement ends the refusal; the rollout may be resumed."""
    gateway = world.gateway
    new = gateway.json("release", "create", "--model", f"openai/{NEXT}")["id"]
    ran = gateway.json("gate", "run", "agent", "--release", new, "--yes")
    assert ran["report"]["verdict"] == "GO"
    world.rollout(new)
    assert world.chat("careful", "before")[0] == 200
    (seen,) = world.until(lambda found: found[0]["observed"], "drift", "status", f"openai/{NEXT}")
    assert [each["model"] for each in seen["observed"]] == [NEXT], "the gate's calls tell it too"
    assert gateway.json("drift", "status")[0]["open"] is False
    world.instead[PIN] = OTHER
    status, _, body = world.chat("careful", "before")
    assert (status, body["model"]) == (200, OTHER)
    (row, *_) = world.until(lambda found: found[0]["open"], "drift", "status")
    assert (row["snapshot"], row["epoch"], row["alarm"], row["before"], row["after"]) == (
        SNAPSHOT, 2, "model", PIN, OTHER,
    )  # fmt: skip
    assert {use["alias"] for use in row["used"]} == {"agent", "careful"}
    assert [each["fingerprint"] for each in row["observed"]] == ["fp_1"]
    for alias in ("agent", "careful"):
        told = world.until(lambda found: any(e["action"] == "drift" for e in found), "alias", "history", alias)
        assert [entry["evidence"] for entry in told if entry["action"] == "drift"] == [f"{SNAPSHOT}@2"]
    assert f"`trivet drift status {SNAPSHOT}` says what to do" in gateway.cli("alias", "history", "careful").stdout
    frozen = world.until(lambda found: found["rollout"]["phase"] == "frozen", "rollout", "status", "agent")
    assert f"drift:{SNAPSHOT}@2" in json.dumps(frozen)
    checked = gateway.json("gate", "check", "agent", "--release", new, status=2)
    assert f"before {SNAPSHOT} was seen to change" in json.dumps(checked["stale"])
    limit = time.monotonic() + 10
    while world.chat("careful", f"new-{time.monotonic()}")[0] == 200:
        assert time.monotonic() < limit, "new runs are still taken"
        time.sleep(0.05)
    status, _, body = world.chat("careful", "after")
    assert (status, body["error"]["code"]) == (409, "model_drifted")
    assert f"{SNAPSHOT}@2" in body["error"]["message"]
    assert world.chat("careful", "before")[0] == 200
    assert world.chat("agent", "lenient")[0] == 200
    assert any("is not the model that it was" in warning for warning in gateway.json("status", status=None)["warnings"])
    _, scraped = gateway.get(gateway.admin + "/metrics")
    assert f'trivet_drift_epoch{{snapshot="{SNAPSHOT}"}} 2' in scraped.decode()
    assert 'trivet_drift_alarms_total{alarm="model"} 1' in scraped.decode()

    done = gateway.json("drift", "ack", SNAPSHOT, "--reason", "announced by the provider")
    assert (done["epoch"], done["reference"], done["frozen"]) == (3, sorted([PIN, OTHER]), ["agent"])
    limit = time.monotonic() + 10
    while world.chat("careful", "after")[0] != 200:
        assert time.monotonic() < limit, "new runs are still refused"
        time.sleep(0.05)
    gateway.cli("rollout", "resume", "agent", "--reason", "as announced")
    gateway.cli("rollout", "abort", "agent", "--reason", "done")
    ran = gateway.json("gate", "run", "agent", "--release", new, "--yes")
    assert ran["report"]["verdict"] == "GO", "what was acknowledged is no other model"
    assert gateway.json("drift", "status")[0]["open"] is False


def test_d9_a_candidate_whose_model_is_gone_freezes_its_rollout(world: World) -> None:
    """Its runs get the provider's own 404 and never another model; the first trips `model_gone`, and the release is said to be unavailable."""
    gateway, model = world.gateway, "gpt-4o-2024-05-13"
    new = gateway.json("release", "create", "--model", f"openai/{model}")["id"]
    assert gateway.json("gate", "run", "agent", "--release", new, "--yes")["report"]["verdict"] == "GO"
    world.rollout(new)
    world.gone.add(model)
    limit, number = time.monotonic() + 10, 0
    while (got := world.chat("agent", f"d9-{number}"))[0] != 404:
        number += 1
        assert time.monotonic() < limit, "no run was bound to the candidate"
    assert got[1]["x-trivet-release"] == new
    frozen = world.until(
        lambda found: found["rollout"]["phase"] in ("frozen", "rolled_back"), "rollout", "status", "agent"
    )
    assert "model_gone" in json.dumps(frozen)
    until = time.monotonic() + 5
    while f'trivet_release_unavailable{{release="{new}"}} 1' not in gateway.get(gateway.admin + "/metrics")[1].decode():
        assert time.monotonic() < until
        time.sleep(0.1)


def test_the_plan_of_a_retirement_runs_when_it_is_pasted(world: World) -> None:
    """Line by line into a shell, with nobody to answer questions: the successor exists, its suites were run, its rollout goes on, and
    the plan says so the next time."""
    gateway = world.gateway
    assert any("gpt-5-2025-08-07 retire" in each for each in gateway.json("status", status=None)["warnings"])
    script = gateway.cli("lifecycle", "--plan", status=1).stdout
    assert "trivet gate run old" in script
    _, _, rest = script.partition("# old *")
    lines = [line for line in rest.split("retires on", 1)[-1].splitlines()[1:] if line]
    mine = itertools.takewhile(lambda line: "retire" not in line or not line.startswith("# "), lines)
    for line in mine:
        if line.startswith("trivet "):  # as a shell splits it
            gateway.cli(*shlex.split(line)[1:])
        else:
            subprocess.run(["bash", "-ec", line], cwd=gateway.folder, check=True, timeout=10)
    (path,) = [each for each in gateway.json("lifecycle", "--plan", status=1) if each["alias"] == "old"]
    rollout = gateway.json("rollout", "status", "old")["rollout"]
    assert (rollout["candidate"], rollout["phase"] in ("gated", "canary")) == (path["candidate"], True)
    assert path["commands"] == ["trivet rollout status old"]
    gateway.cli("rollout", "abort", "old", "--reason", "done")
