"""Binding a run to its release: one script call while the store answers, the host log while it does not.

Rules of the file: a binding is acknowledged by the store, or on this host's disk, before `bind` returns; whoever was
first wins, everywhere by the earliest `at_ms`, within a host by the order of its log; a resume is never given a new
binding. What cannot be known is an error, never a guess.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from gateway.core.contract.fault import Fault, Kind, Side
from gateway.core.contract.run import Source, Stamp, Ticket
from gateway.settings.model import RunSettings, StoreSettings
from gateway.store.bindcommand import BindCommand
from gateway.store.counters import StoreCounters
from gateway.store.hostlog import HostLog, LogFailed
from gateway.store.journal import Journal
from gateway.store.line import Line
from gateway.store.logfile import PENDING, STAMP, Found, stamp_key
from gateway.store.recent import Recent
from gateway.store.sinks import LineError
from gateway.wire.flow import Wait

REMEMBERED = 1_500
"""Bindings that this process keeps in mind, to at most twice as many: 1.6 KB each. The store and the host log know the rest."""
_NAMELESS = Source.NONE

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Stamp).decode


class BindRequest(msgspec.Struct, gc=False):
    """What is known before binding. `want` is what to bind when nothing is bound yet."""

    want: Stamp
    resume: bool = False
    """The run must be bound already (ticket, `x-trivet-resume: required`, provider state id)."""
    ticket: Ticket | None = None
    """A verified ticket of the same tenant, run and alias."""
    label: str = ""
    """`x-trivet-step`: the same label gets the same step number."""
    strict: bool = True
    """Refuse a new run that neither the store nor the host log can keep (stakes `high`); otherwise it goes by ticket."""


class Bound(msgspec.Struct, gc=False):
    """A binding in force. `durable` says what vouches for it: `redis`, `log`, or only the `ticket` that is handed out."""

    stamp: Stamp
    new: bool
    step: int
    durable: str


class _Known(msgspec.Struct, gc=False):
    """What this process remembers of a binding."""

    stamp: Stamp
    command: bytes
    """The whole BIND of a step without label, in mode `known`."""
    step: int
    seen_ms: int


class Binder:
    """Binds over the stamps line and the host log; `notes` are the counters and `keys.remembered_digest`.

    `unsettled` is set while the host log may know what the store does not.
    """

    def __init__(
        self,
        line: Line,
        log: HostLog,
        journal: Journal,
        settings: tuple[StoreSettings, RunSettings],
        notes: tuple[StoreCounters, Callable[[str, str], bytes]],
    ) -> None:
        store, runs = settings
        self._counters, self._digest = notes
        self.unsettled = True
        self.recent: Recent[tuple[bytes, str], _Known] = Recent(REMEMBERED)
        self._line = line
        self._log = log
        self._journal = journal
        self._ttl_ms = int(runs.ttl * 1000)
        self._commands = BindCommand(store.prefix, self._ttl_ms, int(store.journal_ttl * 1000))

    def bind(self, request: BindRequest) -> Coroutine[Any, Any, Bound]:
        """The stamp of the run, made now if it has none (a flow). Raises Fault run_stamp_missing, stamp_unavailable."""
        if request.want.source is _NAMELESS and request.ticket is None and not request.resume:
            return self._bind_single(request)
        return self._bind_run(request)

    async def _bind_run(self, request: BindRequest) -> Bound:
        want = request.want
        digest = self._digest(want.tenant, want.run)
        kept = known = self.recent.get((digest, want.alias))
        if known is not None and want.at_ms - known.seen_ms >= self._ttl_ms:
            known = None
        if request.ticket is not None:
            known = self._by_ticket(request.ticket, want, digest, known)
        if known is None and self.unsettled:
            known = await self._logged_perhaps(want, deep=False)
        line = self._line
        if not line.up:
            return await self._bind_offline(request, digest, known)
        if known is None:
            data, commands = _encode(want), self._commands
            template = commands.resume if request.resume else commands.new
            command = commands.fill(template, digest, want.alias, data, request.label)
        else:
            data = b""
            command = self._repeat(known, digest, request.label) if request.label else known.command
        wait: Wait[Any] = Wait()
        try:
            line.send(command, wait)
            reply = await wait
        except LineError as error:
            reply = await self._again(error, command)
            if reply is None:
                return await self._bind_offline(request, digest, known)
        if known is not None and type(reply) is list and reply[:2] == [digest, 0] and len(reply) == 3:
            # The store has what is remembered.
            step = known.step = reply[2]
            known.seen_ms = want.at_ms
            if known is not kept:
                self.recent.put((digest, want.alias), known)
            self._counters.stamps_resumed += 1
            return Bound(known.stamp, new=False, step=step, durable="redis")
        return await self._settle(request, digest, known, (data, reply))

    def remember(self, stamp: Stamp) -> None:
        """Keep a run of one request in mind that has become a stored run by its links."""
        digest = self._digest(stamp.tenant, stamp.run)
        self.recent.put((digest, stamp.alias), self._kept(stamp, _encode(stamp), 1, stamp.at_ms, digest))

    def _by_ticket(self, ticket: Ticket, want: Stamp, digest: bytes, known: _Known | None) -> _Known | None:
        """The binding as this process or the ticket knows it: the earlier, where they differ."""
        if known is not None and not _differ(known.stamp, ticket):
            return known
        if known is not None:
            self._counters.conflicts += 1
            if ticket.at_ms >= known.stamp.at_ms:
                return known
        stamp = _of_ticket(ticket, want)
        return self._kept(stamp, _encode(stamp), 0, want.at_ms, digest)

    def _kept(self, stamp: Stamp, data: bytes, step: int, seen_ms: int, digest: bytes) -> _Known:
        command = BindCommand.fill(self._commands.known, digest, stamp.alias, data)
        return _Known(stamp, command, step, seen_ms)

    def _repeat(self, known: _Known, digest: bytes, label: str) -> bytes:
        """BIND of what is known, as a labelled step."""
        return BindCommand.fill(self._commands.known, digest, known.stamp.alias, _encode(known.stamp), label)

    async def _logged_perhaps(self, want: Stamp, *, deep: bool) -> _Known | None:
        """The binding as the host log knows it, unless `deep` the part of it that the store may not have."""
        try:
            return await self._logged(want, deep=deep)
        except LogFailed:
            return None

    async def _again(self, error: LineError, command: bytes) -> Any:
        """The answer of a command whose script the server had forgotten; None when there is none for another reason."""
        if error.kind != "noscript":
            return None
        wait: Wait[Any] = Wait()
        try:
            self._line.send(command, wait)
            return await wait
        except LineError:
            return None

    async def _settle(
        self, request: BindRequest, digest: bytes, known: _Known | None, answer: tuple[bytes, Any]
    ) -> Bound:
        """Draw the conclusion from the store's answer; `data` is what was given, if nothing is known."""
        want, counters = request.want, self._counters
        data, reply = answer
        met = known is not None
        if type(reply) is not list or len(reply) < 3 or reply[0] != digest:
            # The answer of another command: none that follows can be trusted.
            self._line.drop("desync")
            return await self._bind_offline(request, digest, known)
        fate, step = reply[1], reply[2]
        if fate < 0:
            return await self._missing(request, digest)
        if len(reply) > 3:
            data = reply[3]
            stamp = self._stored(data, want)
            if known is not None and _differ(stamp, known.stamp):
                counters.conflicts += 1
        elif known is None:
            stamp = want
        else:
            stamp, data = known.stamp, _encode(known.stamp)
        if known is None or known.stamp is not stamp:
            known = self._kept(stamp, data, step, want.at_ms, digest)
        known.step, known.seen_ms = step, want.at_ms
        self.recent.put((digest, want.alias), known)
        if fate == 0:
            counters.stamps_resumed += 1
            if not met:
                # Whoever bound it may have been killed before this host's log had it, or is another host.
                await self._log.note(STAMP, _log_key(stamp), data)
            return Bound(stamp, new=False, step=step, durable="redis")
        if fate == 1:
            counters.stamps_new += 1
        else:
            counters.stamps_resumed += 1
            counters.stamps_repaired += 1
            counters.conflicts += fate == 3
        self._journal.indexed(stamp)
        await self._log.note(STAMP, _log_key(stamp), data)
        return Bound(stamp, new=fate == 1, step=step, durable="redis")

    def _stored(self, data: bytes, want: Stamp) -> Stamp:
        """A stored stamp, checked to be of this run: anything else means that replies and commands no longer match."""
        try:
            stamp = _decode(data)
        except msgspec.MsgspecError:
            raise _unavailable("the stored stamp of this run cannot be read") from None
        if stamp.run != want.run or stamp.tenant != want.tenant or stamp.alias != want.alias:
            self._line.drop("desync")
            raise _unavailable("the store answered for another run")
        return stamp

    async def _missing(self, request: BindRequest, digest: bytes) -> Bound:
        """The store has no stamp for a resume: the host log may, for the store can lose what it acknowledged."""
        try:
            known = await self._logged(request.want)
        except LogFailed:
            raise _unavailable("the host log could not be searched in time") from None
        if known is None:
            self._counters.stamps_missing += 1
            raise Fault(
                Kind.CONFLICT,
                "run_stamp_missing",
                "This run is not bound here any more, so it cannot keep its model. Start a new run.",
            )
        command = self._repeat(known, digest, request.label)
        try:
            wait: Wait[Any] = Wait()
            self._line.send(command, wait)
            reply = await wait
        except LineError as error:
            reply = await self._again(error, command)
            if reply is None:
                return await self._bind_offline(request, digest, known)
        return await self._settle(request, digest, known, (b"", reply))

    # -- without the store --------------------------------------------------------------------------------------------

    async def _bind_offline(self, request: BindRequest, digest: bytes, known: _Known | None) -> Bound:
        """Ticket, this process, host log; then, unless it is a resume, a new binding on this host's disk."""
        want, counters = request.want, self._counters
        counters.stamps_offline += 1
        failed = False
        if known is None:
            try:
                known = await self._logged(want)
            except LogFailed:
                failed = True
        if known is not None:
            by_ticket = request.ticket is not None and not known.step
            if by_ticket:
                # Recorded, so that the store learns of it on return; the ticket itself vouches meanwhile.
                self._pend(known.stamp, _encode(known.stamp))
            known.step += 1
            known.seen_ms = want.at_ms
            self.recent.put((digest, want.alias), known)
            counters.stamps_resumed += 1
            return Bound(known.stamp, new=False, step=known.step, durable="ticket" if by_ticket else "log")
        if request.resume:
            raise _unavailable("the store is out of reach and this host does not know the run")
        data = _encode(want)
        if failed or not await self._commit(want, data):
            return self._by_ticket_only(request)
        # Another worker of this host may have come first; the log's order decides for both.
        known = await self._logged_perhaps(want, deep=True)
        if known is None or not _differ(known.stamp, want):
            known = self._kept(want, data, 1, want.at_ms, digest)
        new = known.stamp is want
        self.recent.put((digest, want.alias), known)
        if new:
            counters.stamps_new += 1
        else:
            counters.stamps_resumed += 1
            counters.conflicts += 1
        return Bound(known.stamp, new=new, step=known.step, durable="log")

    async def _bind_single(self, request: BindRequest) -> Bound:
        """A run of one request: a plan in the alias's stream, no key of its own."""
        want = request.want
        data = _encode(want)
        if self._line.up:
            wait: Wait[Any] = Wait()
            self._line.send(self._journal.plan(data, want.alias), wait)
            try:
                await wait
            except LineError:
                pass  # counted by the line; the host log takes over
            else:
                self._counters.stamps_new += 1
                await self._log.note(STAMP, 0, data)
                return Bound(want, new=True, step=1, durable="redis")
        self._counters.stamps_offline += 1
        if not await self._commit(want, data):
            return self._by_ticket_only(request)
        self._counters.stamps_new += 1
        return Bound(want, new=True, step=1, durable="log")

    async def _commit(self, stamp: Stamp, data: bytes) -> bool:
        try:
            await self._log.commit(STAMP, PENDING, _log_key(stamp), data)
        except LogFailed:
            return False
        self._counters.log_pending += 1
        return True

    def _pend(self, stamp: Stamp, data: bytes) -> None:
        _ = self._log.append(STAMP, PENDING, stamp_key(stamp.tenant, stamp.run, stamp.alias), data)
        self._counters.log_pending += 1

    def _by_ticket_only(self, request: BindRequest) -> Bound:
        if request.strict:
            raise _unavailable("neither the store nor the log of this host can keep the binding of a new run")
        self._counters.stamps_ticket_only += 1
        return Bound(request.want, new=True, step=1, durable="ticket")

    async def _logged(self, want: Stamp, *, deep: bool = True) -> _Known | None:
        """What the host log says of a binding. Raises LogFailed when it cannot say in time."""
        found = await self._log.find(stamp_key(want.tenant, want.run, want.alias), deep=deep)
        stamp = first_of_life(found, want, self._ttl_ms)
        if stamp is None:
            return None
        return self._kept(stamp, _encode(stamp), 1, want.at_ms, self._digest(stamp.tenant, stamp.run))


def first_of_life(found: list[Found], want: Stamp, ttl_ms: int) -> Stamp | None:
    """Of the host's records of one binding, in order, the one in force: the first of the run's present life.

    A record that comes a whole ttl after its predecessor begins a new life of the same run id.
    """
    winner: Stamp | None = None
    last = 0
    for record in found:
        try:
            stamp = _decode(record.body)
        except msgspec.MsgspecError:
            continue
        if record.kind != STAMP or stamp.run != want.run or stamp.tenant != want.tenant or stamp.alias != want.alias:
            continue
        if winner is None or stamp.at_ms - last >= ttl_ms:
            winner = stamp
        last = stamp.at_ms
    return winner


def _log_key(stamp: Stamp) -> int:
    """The key of a stamp's record in the host log: none for a run of one request, which nobody looks for."""
    return 0 if stamp.source is _NAMELESS else stamp_key(stamp.tenant, stamp.run, stamp.alias)


def _differ(one: Stamp | Ticket, other: Stamp | Ticket) -> bool:
    return one.release != other.release or one.model != other.model


def _of_ticket(ticket: Ticket, want: Stamp) -> Stamp:
    """The stamp a ticket was made from, as far as it tells."""
    return Stamp(
        tenant=ticket.tenant,
        run=ticket.run,
        alias=ticket.alias,
        release=ticket.release,
        model=ticket.model,
        lane=ticket.lane,
        arm=ticket.arm,
        pin=ticket.pin,
        source=want.source if want.source is not Source.NONE else Source.TICKET,
        at_ms=ticket.at_ms,
    )


def _unavailable(why: str) -> Fault:
    return Fault(
        Kind.OVERLOADED,
        "stamp_unavailable",
        f"The binding of this run cannot be kept or found right now: {why}.",
        side=Side.GATEWAY,
        retry=True,
        retry_after=1.0,
    )
