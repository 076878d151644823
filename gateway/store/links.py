"""Ids that an answer handed out (tool calls, provider state) and the runs they belong to.

Rule of the file: a link is queued at once on the stamps line, behind the stamp it needs, and kept in the host log, so the
request that brings the id back finds its run after a crash, on another worker, and while the store is away.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from gateway.core.contract.run import Source, Stamp, run_digest
from gateway.settings.model import RunSettings, StoreSettings
from gateway.store.counters import StoreCounters
from gateway.store.hostlog import HostLog, LogFailed
from gateway.store.line import Line
from gateway.store.logfile import LINK, PENDING, STAMP, link_key, stamp_key
from gateway.store.recent import Recent
from gateway.store.resp import pack
from gateway.store.scripts import REPLAY, sha
from gateway.store.sinks import LineError
from gateway.wire.flow import Wait

REMEMBERED = 4_000
"""Links that this process keeps in mind, to at most twice as many: 0.4 KB each. The store and the host log know the rest."""
ASKED = 32
"""Of the ids of one request, how many are looked up."""


class Linked(msgspec.Struct, frozen=True, omit_defaults=True):
    """The run an id belongs to, and the alias whose answer handed it out. The value of a `link` key."""

    run: str
    alias: str = ""
    """Empty for provider state that no model has answered in yet; its run is then called as the id."""
    provider: str = ""
    """Who keeps the state: a provider, or one endpoint of it (`openai#1`); empty for a tool-call id."""


class LinkRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """A link in the host log. The stamp of its run is there before it, under its own key."""

    id: str
    tenant: str
    run: str
    alias: str
    provider: str = ""


_plain = re.compile(r"[A-Za-z0-9_.~-]+", re.ASCII).fullmatch
"""What `quote` leaves as it is."""
_decode = msgspec.json.Decoder(Linked).decode
_decode_record = msgspec.json.Decoder(LinkRecord).decode


def replay_command(prefix: str, stamp: Stamp, ttls: tuple[int, int], steps: int = 0) -> bytes:
    """The packed REPLAY of a stamp; ttls of run and journal in milliseconds."""
    run = run_digest(stamp.tenant, stamp.run)
    return pack(
        "EVALSHA",
        sha(REPLAY),
        2,
        f"{prefix}:run:{{{run}}}",
        f"{prefix}:journal:{{{run}}}",
        stamp.alias,
        msgspec.json.encode(stamp),
        ttls[0],
        ttls[1],
        steps,
    )


def _link_key(prefix: str, tenant: str, identifier: str) -> str:
    """`Keys.link`, without the look at every letter where an id is made as providers make them."""
    if not _plain(identifier):
        identifier = quote(identifier, safe="")
    if not _plain(tenant):
        tenant = quote(tenant, safe="")
    return f"{prefix}:link:{{{tenant}/{identifier}}}"


def link_command(
    prefix: str, record: LinkRecord | tuple[str, str, Linked], ttl_ms: int, *, again: bool = False
) -> bytes:
    """The packed SET of a link. A link that is there is not overwritten, unless it is known to be of the same run (`again`):
    then it lives on, as a conversation does that is still talked in."""
    if isinstance(record, LinkRecord):
        record = (record.tenant, record.id, Linked(record.run, record.alias, record.provider))
    tenant, identifier, linked = record
    key = _link_key(prefix, tenant, identifier)
    if again:
        return pack("SET", key, msgspec.json.encode(linked), "PX", ttl_ms)
    return pack("SET", key, msgspec.json.encode(linked), "NX", "PX", ttl_ms)


class Links:
    """Links of this process, the store and the host log, in this order."""

    def __init__(
        self, line: Line, log: HostLog, settings: tuple[StoreSettings, RunSettings], counters: StoreCounters
    ) -> None:
        store, runs = settings
        self._line = line
        self._log = log
        self._counters = counters
        self._prefix = store.prefix
        self._ttl_ms = int(runs.ttl * 1000)
        self._journal_ms = int(store.journal_ttl * 1000)
        self._recent: Recent[tuple[str, str], Linked] = Recent(REMEMBERED)
        self._turned: Recent[tuple[str, str], bool] = Recent(REMEMBERED)

    def stored(self, stamp: Stamp) -> bool:
        """Whether the run has a key and a journal of its own: it was named, or a link made it one."""
        return stamp.source is not Source.NONE or self._turned.get((stamp.tenant, stamp.run)) is True

    def link(
        self, tenant: str, ids: Sequence[str], stamp: Stamp, states: Sequence[str] = (), keeper: str = ""
    ) -> Stamp | None:
        """Tie ids to the run of a stamp, those of tool calls and those of provider state, which `keeper` keeps (by default the
        stamp's provider); where that makes a stored run of it, the stamp as it is stored.

        Never waits and never fails; what the store misses comes from the host log.
        """
        turn = not self.stored(stamp)
        commands: list[bytes] = []
        if turn:
            self._turned.put((tenant, stamp.run), True)  # noqa: FBT003 - a set of keys
            # The stamp itself says from now on that the run is a stored one: to other workers, and after a restart.
            stamp = msgspec.structs.replace(stamp, source=Source.TOOL_CALL)
            commands.append(replay_command(self._prefix, stamp, (self._ttl_ms, self._journal_ms), 1))
        records = self._records(tenant, ids, Linked(stamp.run, stamp.alias), commands) if ids else []
        if states:
            owner = Linked(stamp.run, stamp.alias, keeper or stamp.model.partition("/")[0])
            records += self._records(tenant, states, owner, commands)
        flags = 0 if self._send(commands) else PENDING
        if turn:
            key = stamp_key(stamp.tenant, stamp.run, stamp.alias)
            _ = self._log.append(STAMP, flags, key, msgspec.json.encode(stamp))
        self._append(records, flags, turn)
        return stamp if turn else None

    def own(self, tenant: str, identifier: str, provider: str) -> None:
        """Note that provider state is a tenant's before any model has answered in it. Never waits and never fails."""
        commands: list[bytes] = []
        records = self._records(tenant, (identifier,), Linked(identifier, "", provider), commands)
        self._append(records, 0 if self._send(commands) else PENDING, 0)

    def _records(self, tenant: str, ids: Sequence[str], linked: Linked, commands: list[bytes]) -> list[LinkRecord]:
        """Remember links, add their commands, and give what the host log keeps. An id of another run stays with that one."""
        records: list[LinkRecord] = []
        for identifier in ids:
            known = self._recent.get((tenant, identifier))
            if known is not None and known.run != linked.run:
                continue
            self._recent.put((tenant, identifier), linked)
            command = link_command(self._prefix, (tenant, identifier, linked), self._ttl_ms, again=known is not None)
            commands.append(command)
            records.append(LinkRecord(identifier, tenant, linked.run, linked.alias, linked.provider))
        return records

    def _append(self, records: Sequence[LinkRecord], flags: int, also: int) -> None:
        for record in records:
            _ = self._log.append(LINK, flags, link_key(record.tenant, record.id), msgspec.json.encode(record))
        if flags:
            self._counters.log_pending += len(records) + also

    def _send(self, commands: list[bytes]) -> bool:
        if not commands:
            return True
        try:
            self._line.send_batch(b"".join(commands), len(commands), _Sent(self._line, commands))
        except LineError:
            return False
        return True

    async def find(self, tenant: str, ids: Sequence[str], *, unsettled: bool) -> Linked | None:
        """The run of the first id that is known (a flow). None too when the store cannot be asked, which is counted."""
        for identifier in ids:
            known = self._recent.get((tenant, identifier))
            if known is not None:
                return known
        ids = ids[:ASKED]
        if not ids:
            return None
        asked = await self._ask(tenant, ids) if self._line.up else None
        if asked is not None:
            return asked
        if not self._line.up or unsettled:
            logged = await self._logged(tenant, ids, deep=not self._line.up)
            if logged is not None:
                return logged
        if self._line.up:
            self._counters.links_missed += 1
        else:
            self._counters.links_unknown += 1
        return None

    async def _ask(self, tenant: str, ids: Sequence[str]) -> Linked | None:
        waits: list[Wait[Any]] = []
        send = self._line.send
        for identifier in ids:
            key = _link_key(self._prefix, tenant, identifier).encode()
            wait: Wait[Any] = Wait()
            waits.append(wait)
            send(b"*2\r\n$3\r\nGET\r\n$%d\r\n%b\r\n" % (len(key), key), wait)
        found: Linked | None = None
        for wait, identifier in zip(waits, ids, strict=True):
            try:
                data = await wait
                if data is not None and found is None:
                    found = _decode(data)
                    self._recent.put((tenant, identifier), found)
            except (LineError, msgspec.MsgspecError):
                continue
        return found

    async def _logged(self, tenant: str, ids: Sequence[str], *, deep: bool) -> Linked | None:
        for identifier in ids:
            try:
                found = await self._log.find(link_key(tenant, identifier), deep=deep)
            except LogFailed:
                return None
            for record in found:
                if record.kind != LINK:
                    continue
                try:
                    entry = _decode_record(record.body)
                except msgspec.MsgspecError:
                    continue
                if entry.id == identifier and entry.tenant == tenant:
                    linked = Linked(entry.run, entry.alias, entry.provider)
                    self._recent.put((tenant, identifier), linked)
                    return linked
        return None


class _Sent:
    """Takes the replies of one link call: a script the server had forgotten is called again, once; else it only counts."""

    __slots__ = ("_again", "_line")

    def __init__(self, line: Line, commands: list[bytes]) -> None:
        self._line = line
        self._again = commands if commands and b"EVALSHA" in commands[0] else []

    def done(self, value: Any) -> None:
        del value

    def fail(self, error: BaseException) -> None:
        if isinstance(error, LineError) and error.kind == "noscript" and self._again and self._line.up:
            again, self._again = self._again, []
            self._line.send_batch(b"".join(again), len(again), self)
