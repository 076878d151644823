"""The store as a live worker sees it: one object in front of two lines, the host log and the pointer table.

Rule of the file: nothing here makes a request wait for longer than one line limit or one disk limit; whatever the store
does, the worker goes on with what it knows.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from gateway.core.contract.alias import AliasState
from gateway.core.contract.fault import Fault, Kind, Side
from gateway.core.contract.journal import Event, Exposure, Plan, Report, Step
from gateway.core.contract.records import HistoryEntry
from gateway.core.contract.release import Release
from gateway.core.contract.run import Source, Stamp
from gateway.settings.model import RunSettings, ShadowSettings, StoreSettings
from gateway.store.bind import Binder, BindRequest, Bound
from gateway.store.counters import StoreCounters
from gateway.store.feed import Feed
from gateway.store.history import history_values
from gateway.store.hostlog import HostLog
from gateway.store.identities import IdentityLine
from gateway.store.journal import Bulk, Journal
from gateway.store.keys import Keys, remembered_digest
from gateway.store.line import Line, LineOptions
from gateway.store.links import Linked, Links
from gateway.store.offers import Offers
from gateway.store.pointers import PointerTable
from gateway.store.records import (
    ENTRY,
    STAMP_FIELD,
    alias_fields,
    decode_entry,
    decode_release,
    decode_stamp,
    encode_release,
)
from gateway.store.resp import pack
from gateway.store.scripts import CREATE_ALIAS, LIVE, sha
from gateway.store.settle import Settler
from gateway.store.shares import Told, Use, share
from gateway.store.sightings import SightingLine
from gateway.store.sinks import LineError
from gateway.store.target import Finder
from gateway.wire.flow import Wait

STAMP_SECONDS = 0.1
"""Longest wait for the store before a request is bound without it."""
BULK_SECONDS = 0.5
START_SECONDS = (1.0, 0.3)
"""How long a start waits for the store's word: without and with pointers this host remembers."""
RECORD_ENTRIES = 1000
_NAMELESS = Source.NONE

__all__ = ["BindRequest", "Bound", "Linked", "LiveStore", "RunRecord"]


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What the store holds of a run: its stamps by alias, and its journal, oldest first, at most RECORD_ENTRIES."""

    stamps: dict[str, Stamp]
    entries: list[Plan | Step | Report]


def wall_clock_ms() -> int:
    """Milliseconds since the epoch: dates records, measures nothing."""
    return time.time_ns() // 1_000_000


class LiveStore:
    """One per live worker process. Start it in a running loop; close it before the loop ends."""

    def __init__(
        self,
        settings: StoreSettings,
        runs: RunSettings,
        worker: str,
        counters: StoreCounters,
        *,
        shadow: ShadowSettings | None = None,
        wall_ms: Callable[[], int] = wall_clock_ms,
    ) -> None:
        """`worker` names this worker in the store. Raises ValueError when `store.redis` is no address."""
        data_dir = Path(settings.data_dir)
        self.counters = counters
        self.keys = Keys(settings.prefix)
        self.pointers = PointerTable(data_dir, counters)
        self._wall_ms = wall_ms
        self._ttl_ms = int(runs.ttl * 1000)
        both = (settings, runs)
        self._stamps = Line(
            Finder(settings),
            LineOptions("stamps", self._probe, STAMP_SECONDS, LIVE, self.keys.pointers()),
            counters.stamps,
        )
        self._bulk_line = Line(Finder(settings), LineOptions("bulk", self._probe, BULK_SECONDS, LIVE), counters.bulk)
        self._feed = Feed(
            self.pointers, (self._stamps, self._bulk_line), (data_dir, self.keys, worker), counters, wall_ms
        )
        self._log = HostLog(data_dir / "stamps", settings.log_bytes, counters)
        self._bulk = Bulk(self._bulk_line, counters)
        digest = remembered_digest()
        self._journal = Journal(self._bulk, settings, runs.max_age, digest)
        self.offers = Offers(settings, shadow or ShadowSettings(), worker, counters)
        """Takes captured exchanges."""
        self.sightings = SightingLine(self._bulk, self._bulk_line, self.keys)
        """Tells the learner which prompts and toolsets were seen."""
        self.identities = IdentityLine(self._bulk, self.keys)
        """Tells the sentinel who answered."""
        self._binder = Binder(self._stamps, self._log, self._journal, both, (counters, digest))
        self.bind: Callable[[BindRequest], Coroutine[Any, Any, Bound]] = self._binder.bind
        """The binding of a run, made now if there is none (a flow). Raises Fault run_stamp_missing, stamp_unavailable."""
        self._links = Links(self._stamps, self._log, both, counters)
        self._settler = Settler(
            (self._stamps, self._bulk_line), (self._log, self._journal, self._binder), both, counters
        )
        self._settler.about = (self.pointers, wall_ms)
        self._stamps.on_up = self._stamps_up
        self._stamps.on_down = self._settler.lost
        self._stamps.on_push = self._feed.pushed
        self._bulk_line.on_up = self._bulk_up
        self._feed.on_exchanged = self._settler.exchanged

    def _probe(self) -> bytes:
        return self._feed.beat()

    # -- life ---------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Load what this host remembers, connect, and wait a moment for the store's word. Never fails for the store's sake."""
        loop = asyncio.get_running_loop()
        self.pointers.load(loop.time(), self._wall_ms())
        self._settler.start()
        self._stamps.start()
        self._bulk_line.start()
        self._feed.start()
        try:
            async with asyncio.timeout(START_SECONDS[self.pointers.known]):
                await self._feed.first.wait()
        except TimeoutError:
            # Known pointers serve; without any, `pointers.known` says so.
            return

    async def close(self) -> None:
        """Flush what is queued and leave. Afterwards nothing may be called."""
        await self._settler.close()
        await self._feed.close()
        await self.offers.close()
        self._bulk.close()
        await asyncio.sleep(0)
        await self._stamps.close()
        await self._bulk_line.close()
        await self._log.close()

    @property
    def up(self) -> bool:
        """Whether the store answers."""
        return self._stamps.up

    def _stamps_up(self) -> None:
        self._settler.returned()
        self._feed.poke()

    def _bulk_up(self) -> None:
        self._settler.returned()
        self._feed.poke()
        self._bulk.flush()

    # -- binding ------------------------------------------------------------------------------------------------------

    def linked(self, tenant: str, ids: Sequence[str]) -> Coroutine[Any, Any, Linked | None]:
        """The run that the first known of these ids belongs to (a flow)."""
        return self._links.find(tenant, ids, unsettled=self._binder.unsettled)

    def own(self, tenant: str, identifier: str, provider: str) -> None:
        """Note that provider state is a tenant's before any model has answered in it."""
        self._links.own(tenant, identifier, provider)

    def link(self, tenant: str, ids: Sequence[str], stamp: Stamp, states: Sequence[str] = (), keeper: str = "") -> None:
        """Tie ids an answer hands out to its run: tool calls, and provider state with who keeps it. A run of one request
        becomes a stored run by it."""
        turned = self._links.link(tenant, ids, stamp, states, keeper)
        if turned is not None:
            self._binder.remember(turned)
            self._journal.indexed(turned)

    # -- records after the fact ---------------------------------------------------------------------------------------

    def step(self, stamp: Stamp, entry: Step) -> None:
        """Record a step: in the run's journal, or for a run of one request in its alias's stream."""
        self._journal.step(stamp, entry, stored=stamp.source is not _NAMELESS or self._links.stored(stamp))

    def exposure(self, entry: Exposure) -> None:
        """Record under which arm a run was bound."""
        self._journal.exposure(entry)

    def event(self, alias: str, entry: Event) -> None:
        """Record one guardrail observation."""
        self._journal.event(alias, entry)

    async def share(self, worker: str, uses: Sequence[Use]) -> list[Told | None]:
        """Say what this worker used of limits, and hear what the others did; None where it may not have come through.

        `worker` names this life of the worker and no later one. Never raises.
        """
        return await share(self._bulk_line, self.keys, worker, uses)

    # -- runs API, learning -------------------------------------------------------------------------------------------

    async def run_record(self, tenant: str, run: str) -> RunRecord:
        """Everything stored about a run; empty when there is nothing (a flow). Raises Fault store_unavailable."""
        fields, entries = await self._ask_all(
            self._bulk_line,
            pack("HGETALL", self.keys.run(tenant, run)),
            pack("XRANGE", self.keys.journal(tenant, run), "-", "+", "COUNT", RECORD_ENTRIES),
        )
        if isinstance(fields, list):
            fields = dict(zip(fields[::2], fields[1::2], strict=True))
        stamps: dict[str, Stamp] = {}
        for name, value in fields.items():
            if name.startswith(STAMP_FIELD.encode()):
                stamps[name[len(STAMP_FIELD) :].decode()] = decode_stamp(value)
        found: list[Plan | Step | Report] = []
        for _, values in entries:
            at = values.index(ENTRY.encode())
            try:
                found.append(decode_entry(values[at + 1]))
            except msgspec.MsgspecError:
                # An entry of another version; the rest still tells.
                continue
        return RunRecord(stamps, found)

    async def report(self, tenant: str, run: str, report: Report) -> bool:
        """Append an outcome to a run's journal; False when there is no such run (a flow). Raises Fault store_unavailable."""
        (exists,) = await self._ask_all(self._bulk_line, pack("EXISTS", self.keys.run(tenant, run)))
        if not exists:
            return False
        await self._ask_all(self._bulk_line, *self._journal.report(tenant, run, report))
        return True

    async def fetch_release(self, release: str) -> Release | None:
        """A release the pointers do not name, from memory or the store (a flow). None when unknown or out of reach.

        Raises Fault 409 `release_unreadable` for a record that this version cannot read, such as one with a newer mode.
        """
        known = self.pointers.release(release)
        if known is not None:
            return known
        try:
            (data,) = await self._ask_all(self._stamps, pack("GET", self.keys.release(release)))
            if data is None:
                return None
            known = decode_release(data)
        except Fault:
            return None
        except ValueError:
            raise Fault(
                Kind.CONFLICT,
                "release_unreadable",
                "The release has a part that this version of the gateway does not carry out; one that made it may serve it.",
                side=Side.GATEWAY,
            ) from None
        self.pointers.keep(known)
        return known

    async def fetch_artifacts(self, release: Release) -> bool:
        """Have the prompt and tools of a release at hand (a flow). False when the store lacks one or is out of reach."""
        wanted = self.pointers.without((release,))
        try:
            found = await self._ask_all(self._stamps, *(pack("GET", self.keys.artifact(digest)) for digest in wanted))
        except Fault:
            return False
        for digest, data in zip(wanted, found, strict=True):
            self.pointers.shelve(digest, data)
        return not self.pointers.without((release,))

    async def create_alias(self, state: AliasState, release: Release) -> bool:
        """Create a learned alias with its release; False when it exists or the store is out of reach (a flow)."""
        stored = msgspec.structs.replace(state, version=max(state.version, 1))
        entry = HistoryEntry(
            at_ms=self._wall_ms(),
            actor="learn",
            action="learn",
            reason="unmanaged: learn",
            version=stored.version,
            before=None,
            after=stored,
        )
        history = history_values(entry)
        fields = [part for pair in alias_fields(stored).items() for part in pair]
        keys = (self.keys.alias(state.name), self.keys.history(state.name))
        create = ("EVALSHA", sha(CREATE_ALIAS), 2, *keys, self.keys.pointers(), state.name, len(history))
        try:
            answers = await self._ask_all(
                self._stamps,
                pack("SET", self.keys.release(release.id), encode_release(release), "NX"),
                pack("ZADD", self.keys.releases(), "NX", release.created_ms, release.id),
                pack("SADD", self.keys.aliases(), state.name),
                pack(*create, *history, *fields),
            )
        except Fault:
            return False
        return bool(answers[-1][0] == b"ok")

    async def _ask_all(self, line: Line, *commands: bytes) -> list[Any]:
        waits: list[Wait[Any]] = []
        try:
            for command in commands:
                wait: Wait[Any] = Wait()
                line.send(command, wait)
                waits.append(wait)
            return [await wait for wait in waits]
        except LineError as error:
            raise Fault(
                Kind.OVERLOADED,
                "store_unavailable",
                "The store of this gateway is out of reach; try again in a moment.",
                side=Side.GATEWAY,
                retry=True,
                reason=error.kind,
            ) from error
