"""A rollout on a real gateway with real agents, from the release to its end, and what must be true of it afterwards.

The tally that decided is counted again from the two streams in another way, and every run is judged by what its agent saw, what
the provider was asked for, and what the store keeps.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from math import inf, sqrt
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import yaml

from gateway.core.contract.run import run_digest
from tests.end_to_end.fleet import ALIAS, BACKGROUND_KEY, KEYS, TENANTS, Fleet, Models, Run
from tests.faults import load
from tests.gateway_process import Gateway, running
from tests.provider import Provider
from tests.store.servers import RealRedis

OLD, GOOD, HARMFUL = "gpt-4o-2024-08-06", "gpt-4o-2024-11-20", "gpt-4o-2024-05-13"
ITEMS = 52
"""Items of the suite: without a flip enough for a margin of 5 points."""
END = ("completed", "rolled_back", "aborted", "expired")


@dataclass
class Stand:
    """A gateway, its provider and its store."""

    gateway: Gateway
    models: Models
    redis: RealRedis
    folder: Path
    rollouts: int = 0

    def release(self, model: str) -> str:
        """A release of a model, made."""
        return str(self.gateway.json("release", "create", "--model", f"openai/{model}")["id"])

    def gate(self, release: str) -> str:
        """Run the gate for a candidate; its word."""
        words = ("gate", "run", ALIAS, "--release", release, "--yes")
        return str(self.gateway.json(*words)["report"]["verdict"])

    def start(self, release: str, **manifest: Any) -> None:
        """Begin a rollout from a manifest in a file."""
        self.rollouts += 1
        file = self.folder / f"rollout-{self.rollouts}.yaml"
        value = {"kind": "Rollout", "alias": ALIAS, "release": release, **manifest}
        file.write_text(yaml.safe_dump(value, sort_keys=False))
        self.gateway.cli("rollout", "start", "-f", str(file), "--reason", "test", "--yes")

    def state(self) -> dict[str, Any]:
        """The rollout as the store has it."""
        with load.connected(self.redis.url) as client:
            return dict(json.loads(client.hget(f"trivet:alias:{{{ALIAS}}}", "rollout")))

    def history(self) -> list[dict[str, Any]]:
        """The alias's history, oldest first."""
        return list(reversed(self.gateway.json("alias", "history", ALIAS, "--limit", "200")))


@contextlib.contextmanager
def stand(folder: Path, models: Models, *, workers: int = 2) -> Iterator[Stand]:
    """A gateway of so many workers on a Redis of its own, an alias with stakes `standard` and a gate."""
    rows: list[dict[str, Any]] = [{"suite": "sums", "version": 1, "kind": "task"}]
    for number in range(ITEMS):
        right = str(number + 1000)
        ask = [{"role": "user", "content": f"sum {number}"}]
        check, bad = {"contains": [right]}, {"text": "no"}
        rows.append({"id": f"sum-{number}", "messages": ask, "check": check, "good": {"text": right}, "bad": bad})
    suite = folder / "sums.jsonl"
    suite.write_text("\n".join(json.dumps(row) for row in rows))
    with Provider(models.behave) as provider, RealRedis(folder / "redis") as redis:
        models.provider = provider
        kept = {"base_url": provider.url, "api_key": "client", "background_api_key": BACKGROUND_KEY}
        alias = {
            "first_release": {"model": f"openai/{OLD}"},
            "gate": {"task": str(suite), "margins": {"task": 0.1}},
        }
        keys = [{"sha256": sha256(KEYS[each].encode()).hexdigest(), "tenant": each} for each in TENANTS]
        with running(
            {"openai": {**kept, "allow_private": True}},
            auth="keys",
            keys=keys,
            segments={"internal": [each for each, segment in TENANTS.items() if segment == "internal"]},
            aliases={ALIAS: alias},
            capture="full",
            store={"redis": redis.url},
            stamp_keys=load.STAMP_KEYS,
            retry={"breaker_failures": 1000},
            serve={"workers": workers},
            shadowing=True,
        ) as gateway:
            yield Stand(gateway, models, redis, folder)


def followed(at: Stand, seconds: float, seen: Callable[[dict[str, Any]], None] | None = None) -> list[str]:
    """Follow a rollout to its end; the phases it went through, with the stage. `seen` is called with every reading."""
    went: list[str] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with contextlib.suppress(OSError, load.redis.RedisError):
            now = at.state()
            told = f"{now.get('phase', 'draft')} {now.get('at', -1)}"
            if not went or went[-1] != told:
                went.append(told)
            if seen is not None:
                seen(now)
            if now.get("phase") in END:
                return went
            if now.get("phase") == "frozen" and now["causes"] == ["sample_ratio"]:
                # One false alarm in a thousand rollouts is what the product promises of this; then a person looks and goes on.
                at.gateway.cli("rollout", "resume", ALIAS, "--reason", "looked at", status=None)
        time.sleep(0.05)
    status = at.gateway.cli("rollout", "status", ALIAS, status=None)
    raise AssertionError(f"no end in {seconds} s: {went}\n{status.stdout}{status.stderr}")


# --- what was counted ----------------------------------------------------------------------------------------------------


@dataclass
class Count:
    """Counts of a rollout: units and, by metric, bad units, by `LANE ARM ALLOCATION`."""

    units: dict[str, int] = field(default_factory=dict)
    bad: dict[str, dict[str, int]] = field(default_factory=dict)
    twice: int = 0
    lost: int = 0


def tally(at: Stand) -> Count:
    """What the gateway counted, as its hash says."""
    found = Count(bad=defaultdict(dict))
    with load.connected(at.redis.url) as client:
        told = client.hgetall(f"trivet:rollout-counts:{{{ALIAS}}}")
    for key, value in told.items():
        word, _, rest = key.decode().partition(" ")
        if word == "units":
            found.units[rest] = int(value)
        elif word == "bad":
            metric, _, where = rest.partition(" ")
            found.bad[unquote(metric)][where] = int(value)
        elif word in ("twice", "lost_ms"):
            setattr(found, "lost" if word == "lost_ms" else word, int(value))
    return found


def recounted(at: Stand) -> Count:
    """The same from the streams alone, of the last rollout, up to where the gateway has read them."""
    rollout = at.state()
    with load.connected(at.redis.url) as client:
        upto = client.hmget(f"trivet:rollout-counts:{{{ALIAS}}}", "exposures", "events")
        exposures, events = (
            [json.loads(entry[b"entry"]) for _, entry in client.xrange(f"trivet:{name}:{{{ALIAS}}}", max=last)]
            for name, last in zip(("exposures", "events"), upto, strict=True)
        )
    since, found = rollout["version"], Count(bad=defaultdict(dict))
    units: dict[tuple[str, str, str], str] = {}
    for each in exposures:
        if each["allocation"] > 0 and each.get("version", 0) >= since and each["salt"] == rollout["id"]:
            lane, unit = each.get("lane", "*"), each.get("unit") or each["run"]
            units.setdefault((lane, each["arm"], unit), f"{lane} {each['arm']} {each['allocation']}")
    found.units = dict(Counter(units.values()))
    found.twice = sum(arm == "canary" and (lane, "stable", unit) in units for lane, arm, unit in units)
    bounds = {each["metric"]: _bound(each, rollout) for each in rollout["plan"]["guardrails"]}
    bad: dict[tuple[str, str], str] = {}
    for each in events:
        fits = (each["arm"] == "canary") is (each["release"] == rollout["candidate"])
        if not (fits and each.get("allocation", 0) > 0 and each.get("version", 0) >= since):
            continue
        values = each.get("values", {})
        over = [m for m, bound in bounds.items() if bound is not None and values.get(m, 0) > bound]
        where = f"{each.get('lane', '*')} {each['arm']} {each['allocation']}"
        for metric in {*(m for m in each.get("bad", ()) if m in bounds), *over}:
            bad.setdefault((metric, each.get("unit") or each["run"]), where)
    for (metric, _), where in bad.items():
        found.bad[metric][where] = found.bad[metric].get(where, 0) + 1
    return found


def _bound(guardrail: dict[str, Any], rollout: dict[str, Any]) -> float | None:
    above = guardrail.get("above", "")
    if isinstance(above, str):
        above = rollout.get("limits", {}).get(guardrail["metric"]) if above else None
    return above


def settled(at: Stand) -> None:
    """Wait until the streams are counted to their ends, or for a rollout that has ended, until nothing is added to them."""
    sizes: list[tuple[int, int]] = []
    for _ in range(40):
        with load.connected(at.redis.url) as client:
            sizes.append((client.xlen(f"trivet:exposures:{{{ALIAS}}}"), client.xlen(f"trivet:events:{{{ALIAS}}}")))
        if len(sizes) > 3 and len(set(sizes[-3:])) == 1:
            return
        time.sleep(0.1)


# --- what must be true -----------------------------------------------------------------------------------------------------


def wrong_stamps(at: Stand, runs: list[Run]) -> list[str]:
    """What is wrong with the stamps of these runs. Empty is good.

    A run was answered by one release and asked the provider for its model only; the store and the log of the host have the same
    stamp for a run that has a name.
    """
    model = {str(each["id"]): str(each["model"]) for each in at.gateway.json("release", "list")}
    with load.connected(at.redis.url) as client:
        pipe = client.pipeline(transaction=False)
        named = [run for run in runs if run.named]
        for run in named:
            pipe.hget(f"trivet:run:{{{run_digest(run.tenant, run.id)}}}", f"stamp:{ALIAS}")
        stored = dict(zip((run.name for run in named), pipe.execute(), strict=True))
    found = []
    for run in runs:
        if len(run.releases) != 1 or len({step.run for step in run.steps}) != 1:
            found.append(f"{run.name} was answered by {run.releases}")
        elif {f"openai/{each}" for each in at.models.asked.get(run.name, ())} != {model[run.first.release]}:
            found.append(f"{run.name} on {model[run.first.release]} asked for {at.models.asked.get(run.name)}")
        elif run.named and json.loads(stored[run.name] or b"{}").get("release") != run.first.release:
            found.append(f"{run.name} on {run.first.release}, the store says {stored[run.name]!r}")
    return found


def wrong_journals(at: Stand, runs: list[Run], sample: int = 8) -> list[str]:
    """The same of a few runs by `trivet run show`: one stamp, and every step of its journal on the stamp's release."""
    named = [run for run in runs if run.named and run.steps]
    found = []
    for run in named[:: max(len(named) // sample, 1)]:
        told = at.gateway.json("run", "show", run.id, "--tenant", run.tenant)
        stamps = [each["release"] for each in told["stamps"]]
        steps = {each["release"] for each in told["steps"]}
        if stamps != [run.first.release] or steps != run.releases:
            found.append(f"{run.name} on {run.releases}: stamps {stamps}, steps {steps}")
    return found


def odd_allocations(count: Count, sigmas: float = 5.0) -> list[str]:
    """Lanes and weights where the canary's share of units is further from its weight than chance explains."""
    found, per = [], defaultdict(lambda: [0, 0])
    for key, units in count.units.items():
        lane, arm, allocation = key.rsplit(" ", 2)
        per[lane, int(allocation)][arm == "canary"] += units
    for (lane, allocation), (stable, canary) in per.items():
        total, share = stable + canary, allocation / 10_000
        # A continuity correction: at a weight of 1 % a handful of units decides.
        if abs(canary - total * share) > sigmas * sqrt(total * share * (1 - share)) + 3:
            found.append(f"{lane} at {allocation}: {canary} of {total}")
    return found


def unexposed(at: Stand, runs: list[Run]) -> tuple[set[str], set[str]]:
    """Runs that agents saw in the canary of the last rollout and that have no exposure, and those of which only exposures tell."""
    rollout = at.state()
    with load.connected(at.redis.url) as client:
        entries = [json.loads(each[b"entry"]) for _, each in client.xrange(f"trivet:exposures:{{{ALIAS}}}")]
    told = {each["run"] for each in entries if each["salt"] == rollout["id"] and each["arm"] == "canary"}
    seen = {
        run.id for run in runs if run.steps and run.first.arm == "canary" and run.first.release == rollout["candidate"]
    }
    return seen - told, told - seen


@dataclass(frozen=True)
class Revert:
    """How fast a harmful candidate was taken off, seconds, and how many met it."""

    affected: int
    """Runs bound to the candidate."""
    bad: int
    """Those of them that it answered badly."""
    to_revert: float
    """First bad answer of the candidate, by the provider's clock, to the write that took it off."""
    told: float
    """The same as the gateway says it in its history."""
    bad_to_revert: int
    """Bad answers' runs up to the write."""
    last_bound: float
    """The write to the last new run that was bound to the candidate."""
    followed: dict[str, float]
    """By worker: the write to its first new run after which it bound nobody to the candidate."""


def reverted(at: Stand, fleet: Fleet, candidate: str, model: str) -> Revert:
    """What the end of a harmful rollout shows."""
    entry = next(each for each in reversed(at.history()) if each["action"] == "rollout_regression")
    at_s = entry["at_ms"] / 1000
    mine = [run for run in fleet.runs if run.steps and run.first.release == candidate]
    bad = [run for run in mine if at.models.bad(model, run.name)]
    begun = [(run.first.worker, run.first) for run in fleet.runs if run.steps and run.first.new]
    late = [step.sent for _, step in begun if step.release == candidate]
    after: dict[str, float] = {}
    for worker in {worker for worker, _ in begun}:
        last = max((s.sent for w, s in begun if w == worker and s.release == candidate), default=0.0)
        fresh = [s.at for w, s in begun if w == worker and s.sent > max(last, at_s)]
        after[worker] = min(fresh, default=inf) - at_s
    note = entry.get("note", "")
    return Revert(
        affected=len(mine),
        bad=len(bad),
        to_revert=at_s - at.models.bad_at[model],
        told=float(note.split("event ")[1].split(" s")[0]) if "event " in note else -1.0,
        bad_to_revert=sum(run.first.sent < at_s for run in bad),
        last_bound=max(late) - at_s,
        followed=after,
    )
