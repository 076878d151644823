"""The loop of a shadow worker on a real store; only the provider is scripted, at the port that calls it."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import msgspec
import pytest

from gateway.core.contract.alias import AliasState, Lane, Shadow
from gateway.core.contract.exchange import Observed
from gateway.core.contract.job import Job
from gateway.core.contract.pair import PairClass, Side
from gateway.core.contract.release import Release, Triple
from gateway.settings.model import ShadowSettings
from gateway.shadow import again as comparing
from gateway.shadow import work
from gateway.shadow.compare import Call, Tools
from gateway.shadow.ports import Called, Skip
from gateway.shadow.work import Post, Shift
from gateway.store import caps, jobs, pairs
from gateway.store.client import Store
from tests.shadow.jobs import BODY, chat, job

pytestmark = pytest.mark.anyio
NOW = 2_000_000


@dataclass
class Scripted:
    """Answers by release, and what it was asked; also the catalogue."""

    answers: dict[str, Callable[[], Called]] = field(default_factory=dict)
    asked: list[tuple[str, Mapping[str, bytes]]] = field(default_factory=list)
    shadows: tuple[Shadow, ...] = (Shadow("rel_2", "salt"),)
    blocked: str = ""
    may: bool = True

    async def call(self, job: Job, body: bytes, release: Release, edits: Mapping[str, bytes]) -> Called:
        self.asked.append((release.id, dict(edits)))
        return self.answers.get(release.id, lambda: said(release.id))()

    def same_vendor(self, one: Release, other: Release) -> bool:
        return True

    def allowed(self, live: Release, candidate: Release) -> bool:
        return self.may

    def cost(self, model: str, observed: Observed | None) -> int | None:
        return len(model)

    async def alias(self, name: str) -> AliasState | None:
        return AliasState(name, 1, {"*": Lane("rel_1")}, shadows=self.shadows)

    async def release(self, identifier: str) -> Release | None:
        return Release(
            identifier, Triple(f"openai/{identifier}"), blocked=self.blocked if identifier == "rel_2" else ""
        )

    async def tools(self, primary: Release, candidate: Release) -> Tools:
        return Tools()


def said(release: str, text: str = "It costs 40.", *, cost: int = 3, **more: Any) -> Called:
    """An answer in words."""
    return Called(Call(Side(release, f"openai/{release}", 200, cost=cost), chat(text)), **more)


def shift(store: Store, script: Scripted, **settings: Any) -> Shift:
    """A worker over the store."""
    made = ShadowSettings(**{"slots": 2, **settings})
    return Shift(Post(store, script, script, lambda: made, "w1", lambda: NOW, random.Random(1)))


async def offer(store: Store, *given: Job, body: bytes = BODY) -> None:
    """Put jobs into the queue as a live worker does."""
    await jobs.prepare(store)
    for each in given:
        meta = msgspec.json.encode(each)
        await store.do("XADD", store.keys.shadow_jobs(), "*", "job", meta, "body", body, "reply", chat("It costs 40."))


@asynccontextmanager
async def working(one: Shift) -> AsyncIterator[None]:
    """The loop runs meanwhile."""
    async with anyio.create_task_group() as group:
        group.start_soon(one.run)
        yield
        group.cancel_scope.cancel()


async def ended(store: Store, one: Shift, count: int) -> None:
    """So many jobs have come to an end."""
    with anyio.fail_after(10):
        while sum(one.tally.ended.values()) < count:
            await anyio.sleep(0.01)
    assert (await jobs.depth(store)).jobs == 0


async def test_a_job_becomes_a_pair(store: Store) -> None:
    """The candidate is asked once, the pair stored with all its contents, its line added, the job gone."""
    script = Scripted({"rel_2": lambda: said("rel_2", "It costs 41.")})
    one = shift(store, script)
    await offer(store, job(at_ms=NOW))
    async with working(one):
        await ended(store, one, 1)
    assert script.asked == [("rel_2", {})]
    (line,) = await pairs.lines(store, "support")
    assert (line.pair_class, line.candidate.cost) == (PairClass.DIVERGENT, 3)
    assert line.primary.cost == len(line.primary.model)
    kept = await pairs.get(store, "t", "req_1.rel_2")
    assert kept is not None and kept[0] == line
    assert (kept[1].request, kept[1].primary, kept[1].candidate) == (BODY, chat("It costs 40."), chat("It costs 41."))
    assert one.tally.ended == {"pair:divergent": 1} and one.tally.spent == 3
    assert await caps.spent(store, NOW) == 3


async def test_the_secondary_is_asked_beside_the_candidate_in_random_order(store: Store) -> None:
    """Where the job says so the live release answers again; over many jobs either comes first about as often."""
    script = Scripted()
    one = shift(store, script, slots=1)
    await offer(store, *(job(number, at_ms=NOW, secondary=True) for number in range(14)))
    async with working(one):
        await ended(store, one, 14)
    assert {release for release, _ in script.asked} == {"rel_1", "rel_2"} and len(script.asked) == 28
    first = sum(release == "rel_2" for release, _ in script.asked[::2])
    assert 1 < first < 13
    assert all(line.noise_class is PairClass.IDENTICAL for line in await pairs.lines(store, "support"))


@pytest.mark.parametrize(
    ("given", "script", "body", "reason"),
    [
        (job(at_ms=0), Scripted(), BODY, "stale"),
        (job(at_ms=NOW), Scripted(shadows=()), BODY, "stopped"),
        (job(at_ms=NOW), Scripted(blocked="bad"), BODY, "release_blocked"),
        (job(at_ms=NOW), Scripted(may=False), BODY, "provider"),
        (job(at_ms=NOW), Scripted(), b'{"messages":[],"web_search_options":{}}', "hosted_tool"),
        (
            job(at_ms=NOW),
            Scripted({"rel_2": lambda: said("rel_2", limited=True, wait_seconds=5)}),
            BODY,
            "rate_limited",
        ),
    ],
)
async def test_what_cannot_be_a_pair_is_skipped_by_reason(
    store: Store, given: Job, script: Scripted, body: bytes, reason: str
) -> None:
    """Each skip is counted once in the store and leaves no pair; but for a refused call nothing was asked."""
    one = shift(store, script)
    late = given if given.at_ms else msgspec.structs.replace(given, at_ms=NOW - jobs.LIFE_MS - 1)
    await offer(store, late, body=body)
    async with working(one):
        await ended(store, one, 1)
    assert await pairs.counts(store, "support") == {"rel_2": {f"skip:{reason}": 1}}
    assert await pairs.get(store, "t", "req_1.rel_2") is None
    assert bool(script.asked) is (reason == "rate_limited")


async def test_a_provider_near_its_limit_is_left_alone(store: Store) -> None:
    """E13: after a refusal for rate nothing more is sent to that provider, by any worker, until its pause is over."""
    script = Scripted({"rel_2": lambda: said("rel_2", limited=True, wait_seconds=60)})
    one, other = shift(store, script), shift(store, script)
    await offer(store, job(1, at_ms=NOW))
    async with working(one):
        await ended(store, one, 1)
    await offer(store, job(2, at_ms=NOW))
    async with working(other):
        with anyio.fail_after(5):
            while not other.tally.waits.get("paused"):
                await anyio.sleep(0.01)
    assert len(script.asked) == 1


async def test_the_budget_stops_calls(store: Store) -> None:
    """When the hour's money is spent, jobs wait; nothing is called."""
    await caps.release(store, "x", 5_000_000, NOW)
    script = Scripted()
    one = shift(store, script, budget=5)
    await offer(store, job(at_ms=NOW))
    async with working(one):
        with anyio.fail_after(5):
            while not one.tally.waits.get("budget"):
                await anyio.sleep(0.01)
    assert script.asked == []


async def test_poison_is_buried_and_redelivery_is_harmless(store: Store) -> None:
    """F11: a job that breaks every time ends as one dead letter; one whose result is stored already only leaves the queue."""

    def broken() -> Called:
        raise RuntimeError

    script = Scripted({"rel_2": broken})
    one = shift(store, script, attempts=2)
    await offer(store, job(1, at_ms=NOW))
    for _ in range(3):
        found = await jobs.take(store, "dead", 10, 1) or await jobs.reclaim(store, "dead", 10, 0)
        for delivery in found:
            await one.handle(delivery)
    assert (one.tally.errors, one.tally.ended) == (2, {"dead": 1})
    assert await pairs.counts(store, "support") == {"rel_2": {"dead": 1}}
    await offer(store, job(1, at_ms=NOW))
    async with working(one):
        await ended(store, one, 2)
    assert one.tally.ended == {"dead": 1, "again": 1}


async def test_a_worker_that_died_between_two_writes_loses_nothing(store: Store) -> None:
    """F12: the pair is stored but its line is not: the next worker adds the line without asking anybody again."""
    script = Scripted()
    first, second = shift(store, script), shift(store, script)
    await offer(store, job(at_ms=NOW))
    (delivery,) = await jobs.take(store, "dead", 1, 10)
    assert delivery.job is not None
    await first._line(delivery.job, delivery)
    assert await pairs.lines(store, "support") == []
    for again in await jobs.reclaim(store, "w2", 1, 0):
        await second.handle(again)
    assert len(await pairs.lines(store, "support")) == 1 and len(script.asked) == 1


@pytest.mark.parametrize(
    ("mode", "kept"), [("metrics", b""), ("hashes", b""), ("redacted", b"[email]"), ("full", b"a@b.example")]
)
async def test_only_what_the_mode_allows_is_stored(store: Store, mode: str, kept: bytes) -> None:
    """Redaction happens before anything is written: no mode below `full` leaves an address anywhere in the store."""
    one = shift(store, Scripted({"rel_2": lambda: said("rel_2", "Write to a@b.example, it costs 77.")}))
    await offer(store, job(at_ms=NOW, capture=mode))
    async with working(one):
        await ended(store, one, 1)
    found = await pairs.get(store, "t", "req_1.rel_2")
    assert found is not None and kept in found[1].candidate and bool(found[1].candidate) == bool(kept)
    everything = repr(await store.read("HGETALL", store.keys.pair("t", "req_1.rel_2")))
    everything += repr(await store.read("XRANGE", store.keys.diffs("support"), "-", "+"))
    assert ("a@b.example" in everything) is (mode == "full")


async def test_a_skip_of_one_call_is_the_jobs(store: Store) -> None:
    """When the caller itself cannot make the call, its reason is the job's."""

    def cannot() -> Called:
        raise Skip("wrong_dialect")

    one = shift(store, Scripted({"rel_2": cannot}))
    await offer(store, job(at_ms=NOW))
    async with working(one):
        await ended(store, one, 1)
    assert one.tally.ended == {"skip:wrong_dialect": 1}


async def test_what_a_killed_worker_had_in_hand_is_done_by_the_next_of_its_name(store: Store) -> None:
    """After kill -9 the same worker comes back, gives up its old slots and goes on with its jobs at once."""
    await offer(store, job(at_ms=NOW))
    await jobs.take(store, "w1", 1, 10)
    await caps.admit(store, caps.Caps(1, 0, 600_000), "openai", "w1.req_1.rel_2.rel_2", NOW)
    one = shift(store, Scripted(), slots=1)
    async with working(one):
        await ended(store, one, 1)
    assert one.tally.ended == {"pair:identical": 1}


async def test_a_job_that_waits_is_not_taken_for_abandoned(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a budget makes a job wait, no other worker takes it over, and waiting never makes it a dead letter."""
    for name, value in {"IDLE_SECONDS": 0.3, "RECLAIM_SECONDS": 0.05, "HOLD_SECONDS": 0.1, "PATIENCE_MS": 50}.items():
        monkeypatch.setattr(work, name, value)
    await caps.release(store, "x", 5_000_000, NOW)
    script, settings = Scripted(), ShadowSettings(slots=2, budget=5.0, timeout=0.0)
    one, other = (
        Shift(Post(store, script, script, lambda: settings, name, lambda: NOW, random.Random(1))) for name in ("1", "2")
    )
    await offer(store, job(at_ms=NOW))
    async with working(one):
        with anyio.fail_after(5):
            while not one.tally.waits:
                await anyio.sleep(0.01)
        async with working(other):
            await anyio.sleep(1.0)
    assert (other.tally.waits, other.tally.ended, one.tally.ended) == ({}, {}, {})
    look = "return redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 10)"
    ((_, consumer, _, times),) = await store.do("EVAL", look, 1, store.keys.shadow_jobs(), jobs.GROUP)
    assert (consumer, times) == (b"1", 1)


async def test_jobs_whose_answer_was_lost_are_taken_up_again_at_once(store: Store) -> None:
    """The server died with the answer that brought a job: the worker it is meant for asks for it as soon as it is back."""
    one = shift(store, Scripted())
    async with working(one):
        await offer(store, job(1, at_ms=NOW))
        await ended(store, one, 1)
        # Somebody under its name takes a job and is not heard of; then the store is in trouble for a moment.
        await offer(store, job(2, at_ms=NOW))
        await jobs.take(store, "w1", 1, 10)
        await store.do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await ended(store, one, 2)
    await offer(store, job(2, at_ms=NOW), job(3, at_ms=NOW))
    assert len(await jobs.take(store, "w1", 1, 10)) == 1
    (second,) = await jobs.left(store, "w1", 10)
    assert await jobs.left(store, "w1", 10, {second.id}) == []
    assert await jobs.reclaim(store, "w2", 10, 0, {second.id}) == []


async def test_nothing_is_taken_while_there_is_a_reason(store: Store) -> None:
    """Memory under pressure stops the taking of jobs, counted by reason, and nothing else."""
    script, why = Scripted(), ["memory"]
    settings = ShadowSettings(slots=1)
    post = Post(store, script, script, lambda: settings, "w1", lambda: NOW, random.Random(1), lambda: why[0])
    one = Shift(post)
    await offer(store, job(at_ms=NOW))
    async with working(one):
        with anyio.fail_after(5):
            while not one.tally.waits.get("memory"):
                await anyio.sleep(0.01)
        assert script.asked == []
        why[0] = ""
        await ended(store, one, 1)


async def test_a_kept_pair_can_be_compared_and_asked_again(store: Store) -> None:
    """What the worker kept whole gives the very line again; as a job of a replay, long after and for a candidate in no shadow, it
    becomes a pair of its own."""
    one = shift(store, Scripted({"rel_2": lambda: said("rel_2", "It costs 41.")}))
    await offer(store, job(at_ms=NOW))
    async with working(one):
        await ended(store, one, 1)
    kept = await pairs.get(store, "t", "req_1.rel_2")
    assert kept is not None and comparing.again(*kept, (b"", b"")) == kept[0]
    old = comparing.job_of(kept[1])
    assert old is not None
    late = msgspec.structs.replace(old, pair="req_1.rel_3", candidate="rel_3", at_ms=1, replay_ms=NOW)
    await offer(store, late)
    async with working(one):
        await ended(store, one, 2)
    assert {line.candidate.release: line.replay_ms for line in await pairs.lines(store, "support")} == {
        "rel_2": 0,
        "rel_3": NOW,
    }


@pytest.mark.parametrize("run", ["", "run-1"])
async def test_i9_what_is_erased_is_not_sent_to_anybody(store: Store, run: str) -> None:
    """I9: a job of a request made before its tenant or run was erased ends as a skip, and no provider is asked."""
    await store.do("HSET", store.keys.shadow_state(), pairs.mark("t", run), NOW)
    script = Scripted()
    one = shift(store, script)
    await offer(store, job(at_ms=NOW))
    async with working(one):
        await ended(store, one, 1)
    assert one.tally.ended == {"skip:erased": 1} and script.asked == []
