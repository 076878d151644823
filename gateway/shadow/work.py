"""The loop of a shadow worker: takes jobs, has the candidate called, and ends each job as one pair, one skip or one dead letter.

Rules of the file: a job is acknowledged after its result is stored, never before; whatever goes wrong with one job stays with
that job; while the store or a provider is in trouble nothing is taken. Any number of workers may run, on any machine.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import anyio
import msgspec

from gateway.core.contract.fault import Fault
from gateway.core.contract.job import Job
from gateway.core.contract.pair import Line
from gateway.core.contract.release import Release
from gateway.settings.model import ShadowSettings
from gateway.shadow import compare, redact
from gateway.shadow.compare import Call
from gateway.shadow.harmless import check
from gateway.shadow.ports import Called, Caller, Catalogue, Skip
from gateway.store import caps, jobs, pairs
from gateway.store.caps import Caps
from gateway.store.client import Store
from gateway.store.jobs import Delivery
from gateway.telemetry import log as logs

log = logs.Log("shadow")

TAKE_MS = 500
"""Longest wait for a job; a stop is noticed within it."""
IDLE_SECONDS = 60.0
"""A job that its worker has not finished for so long beyond the longest call is taken over."""
RECLAIM_SECONDS = 10.0
RECLAIMED = 64
"""Abandoned jobs taken over at a time."""
LEFT = 1000
"""Jobs of an earlier process of this name that are taken up again at the start."""
TROUBLE_SECONDS = 1.0
"""Pause while the store cannot be used."""
HOLD_SECONDS = 20.0
"""A job that waits says so often that it is still in hand: waiting is no failed delivery."""
PATIENCE_MS = 1000
"""Longest single wait for a slot, a pause or a budget; then the reason is looked at again."""


@dataclass(slots=True)
class Tally:
    """What this worker did, as plain integers by word."""

    ended: dict[str, int]
    """`pair:CLASS`, `skip:REASON`, `dead`, `again`, `gone`."""
    waits: dict[str, int]
    """Times a job had to wait, by reason: paused, budget, slots."""
    spent: int = 0
    """Micro-USD."""
    errors: int = 0
    """Jobs that failed here and will be delivered again."""

    def end(self, word: str) -> None:
        """One job came to this end."""
        self.ended[word] = self.ended.get(word, 0) + 1


@dataclass(frozen=True, slots=True)
class Post:
    """Everything a worker works with."""

    store: Store
    """Where jobs and pairs are."""
    catalogue: Catalogue
    caller: Caller
    settings: Callable[[], ShadowSettings]
    """In force now."""
    consumer: str
    """This worker's name in the group."""
    now_ms: Callable[[], int]
    dice: random.Random
    """Decides whether candidate or secondary is asked first."""
    held: Callable[[], str] = lambda: ""
    """Why no job is taken now, in a word; empty when there is no reason."""


class Shift:
    """One worker's loop. `tally` counts; `run` ends when it is cancelled, and what it had in hand comes back: to the next process
    of its name at once, to others after a while."""

    def __init__(self, post: Post, tally: Tally | None = None) -> None:
        self._post = post
        self.tally = tally or Tally({}, {})
        self._hand: set[str] = set()
        """Entries that are handed out and not yet handled."""

    async def run(self) -> None:
        """Work until cancelled."""
        post, resumed = self._post, False
        send, receive = anyio.create_memory_object_stream[Delivery](0)
        async with anyio.create_task_group() as group, send:
            async with receive:
                for _ in range(post.settings().slots):
                    group.start_soon(self._serve, receive.clone())
            while True:
                try:
                    await jobs.prepare(post.store)
                    if not resumed:
                        await caps.forget(post.store, post.consumer)
                        resumed = True
                    # Of an earlier process, or of an answer that was lost on its way here.
                    await self._out(send, await jobs.left(post.store, post.consumer, LEFT, self._hand))
                    await self._feed(send)
                except Fault:
                    await anyio.sleep(TROUBLE_SECONDS)

    async def _feed(self, send: anyio.abc.ObjectSendStream[Delivery]) -> None:
        """Hand out jobs, new ones and abandoned ones, one at a time as somebody is free. Raises Fault."""
        post, reclaimed = self._post, 0.0
        while True:
            await self._free()
            found = await jobs.take(post.store, post.consumer, post.settings().slots, TAKE_MS)
            if anyio.current_time() - reclaimed > RECLAIM_SECONDS:
                reclaimed = anyio.current_time()
                found += await jobs.reclaim(post.store, post.consumer, RECLAIMED, self._idle_ms(), self._hand)
            await self._out(send, found)

    async def _out(self, send: anyio.abc.ObjectSendStream[Delivery], found: Sequence[Delivery]) -> None:
        """Hand out what is in nobody's hands here."""
        fresh = [delivery for delivery in found if delivery.id not in self._hand]
        self._hand.update(delivery.id for delivery in fresh)
        for delivery in fresh:
            await send.send(delivery)

    async def _free(self) -> None:
        """Wait while there is a reason to take nothing."""
        while why := self._post.held():
            self.tally.waits[why] = self.tally.waits.get(why, 0) + 1
            await anyio.sleep(PATIENCE_MS / 1000)

    def _idle_ms(self) -> int:
        return int((self._post.settings().timeout + IDLE_SECONDS) * 1000)

    async def _serve(self, receive: anyio.abc.ObjectReceiveStream[Delivery]) -> None:
        async with receive:
            async for delivery in receive:
                await self.handle(delivery)
                self._hand.discard(delivery.id)

    async def handle(self, delivery: Delivery) -> None:
        """Take one job to its end, or leave it in the queue for another try. Never raises."""
        try:
            word = await self._ended(delivery)
        except Fault:
            self.tally.errors += 1
            return
        except Exception as error:  # noqa: BLE001 - a job that breaks the worker must not end it: it is counted and comes again
            self.tally.errors += 1
            log.error("a job failed", error=type(error).__name__, attempts=delivery.deliveries)  # noqa: TRY400 - no contents
            return
        self.tally.end(word)

    async def _ended(self, delivery: Delivery) -> str:
        """How a job ended; it is out of the queue then."""
        post, job = self._post, delivery.job
        if job is None:
            await jobs.done(post.store, [delivery.id])
            return "gone"
        if await pairs.ended(post.store, job.alias, job.pair):
            await jobs.done(post.store, [delivery.id])
            return "again"
        if delivery.deliveries > post.settings().attempts:
            await pairs.dead(post.store, job, "attempts", post.now_ms())
            await jobs.done(post.store, [delivery.id])
            return "dead"
        try:
            line = await self._line(job, delivery)
        except Skip as skip:
            await pairs.skip(post.store, job.alias, job.candidate, job.pair, skip.reason, post.now_ms())
            await jobs.done(post.store, [delivery.id])
            return f"skip:{skip.reason}"
        await pairs.finish(post.store, job.alias, job.candidate, line, post.now_ms())
        await jobs.done(post.store, [delivery.id])
        return f"pair:{line.pair_class.value}"

    async def _line(self, job: Job, delivery: Delivery) -> Line:
        """The line of the pair, whose contents are stored when this returns. Raises Skip, Fault."""
        post = self._post
        stored = await pairs.get(post.store, job.tenant, job.pair)
        if stored is not None:
            return stored[0]
        if post.now_ms() - (job.replay_ms or job.at_ms) > jobs.LIFE_MS:
            raise Skip("stale")
        if await pairs.erased(post.store, job.tenant, job.run, job.at_ms):
            raise Skip("erased")
        live, candidate = await self._releases(job)
        harmless = check(
            job.dialect, compare.decoded(delivery.body), same_vendor=post.caller.same_vendor(live, candidate)
        )
        if harmless.skip:
            raise Skip(harmless.skip)
        first, second = await self._both(job, delivery, live, candidate, harmless.edits)
        paid = post.caller.cost(live.triple.model, job.observed)
        primary = Call(compare.observed_side(job, live.triple.model, paid), delivery.reply)
        tools = await post.catalogue.tools(live, candidate)
        line = compare.line(job, delivery.body, primary, first, second, tools)
        return await self._keep(job, delivery, line, (first, second))

    async def _releases(self, job: Job) -> tuple[Release, Release]:
        post = self._post
        state = await post.catalogue.alias(job.alias)
        wanted = state is not None and any(shadow.candidate == job.candidate for shadow in state.shadows)
        if not wanted and not job.replay_ms:
            raise Skip("stopped")
        live, candidate = await post.catalogue.release(job.primary), await post.catalogue.release(job.candidate)
        if live is None or candidate is None:
            raise Skip("release_unknown")
        if candidate.blocked:
            raise Skip("release_blocked")
        if not post.caller.allowed(live, candidate):
            raise Skip("provider")
        return live, candidate

    async def _both(
        self, job: Job, delivery: Delivery, live: Release, candidate: Release, edits: Mapping[str, bytes]
    ) -> tuple[Call, Call | None]:
        """Candidate and, where drawn, secondary: together, in random order. A refusal for rate is no answer of a release."""
        wanted = [candidate, live] if job.secondary else [candidate]
        if self._post.dice.random() < 0.5:
            wanted.reverse()
        found: dict[str, Called] = {}
        failed: list[Skip | Fault] = []

        async def one(release: Release) -> None:
            try:
                found[release.id] = await self._call(job, delivery, release, edits)
            except (Skip, Fault) as error:
                failed.append(error)

        async with anyio.create_task_group() as group:
            for release in wanted:
                group.start_soon(one, release)
        if candidate.id not in found or (failed and isinstance(failed[0], Fault)):
            raise failed[0]
        if found[candidate.id].limited:
            raise Skip("rate_limited")
        again = found.get(live.id) if job.secondary else None
        return found[candidate.id].call, again.call if again is not None and not again.limited else None

    async def _call(self, job: Job, delivery: Delivery, release: Release, edits: Mapping[str, bytes]) -> Called:
        """One call under the caps of the store."""
        post, settings = self._post, self._post.settings()
        provider, lease = release.snapshot.provider, f"{post.consumer}.{job.pair}.{release.id}"
        limits = Caps(settings.slots, round(settings.budget * 1e6), int((settings.timeout + IDLE_SECONDS) * 1000))
        held = anyio.current_time()
        while (found := await caps.admit(post.store, limits, provider, lease, post.now_ms())).why:
            self.tally.waits[found.why] = self.tally.waits.get(found.why, 0) + 1
            if post.now_ms() - (job.replay_ms or job.at_ms) > jobs.LIFE_MS:
                raise Skip("stale")
            if anyio.current_time() - held >= HOLD_SECONDS:
                held = anyio.current_time()
                await jobs.hold(post.store, post.consumer, delivery.id)
            await anyio.sleep(min(max(found.until_ms - post.now_ms(), 10), PATIENCE_MS) / 1000)
        spent = 0
        try:
            called = await post.caller.call(job, delivery.body, release, edits)
            spent = called.call.side.cost or 0
            self.tally.spent += spent
        finally:
            with anyio.CancelScope(shield=True):
                await caps.release(post.store, lease, spent, post.now_ms())
        if called.wait_seconds:
            await caps.pause(post.store, provider, post.now_ms() + int(called.wait_seconds * 1000))
        return called

    async def _keep(self, job: Job, delivery: Delivery, line: Line, calls: tuple[Call, Call | None]) -> Line:
        """Store the contents as the capture mode allows; the line as stored."""
        settings, mode = self._post.settings(), job.capture
        redactor = redact.Redactor(settings.redact)
        kept = redact.line(line, mode, redactor)
        bodies = [redact.body(call.body, mode, redactor) if call is not None else b"" for call in calls]
        contents = pairs.Contents(
            request=redact.body(delivery.body, mode, redactor),
            primary=redact.body(delivery.reply, mode, redactor),
            candidate=bodies[0],
            secondary=bodies[1],
            about=_about(job),
        )
        await pairs.keep(self._post.store, kept, contents, int(settings.ttl * 1000))
        return kept


def _about(job: Job) -> dict[str, str]:
    """What a pair's contents are read by. Only where everything is kept anyway, the job itself is too: its fields may say more
    than the line does, and only such a pair can be asked or compared again."""
    about = {"alias": job.alias, "dialect": job.dialect, "operation": job.operation, "capture": job.capture}
    if job.capture == "full":
        about["job"] = msgspec.json.encode(job).decode()
    return about
