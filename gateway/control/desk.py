"""What every operation works with: the store, the settings, the pinning table, who asks and when.

Rule of the room: an operation says what it did as a record, or raises one Fault that says what to do. It never prints,
never waits without a bound, and writes who, why, before and after into the history of whatever it moved.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.core.contract.alias import AliasState, SideEffects, Stakes
from gateway.core.contract.fault import Fault, Kind
from gateway.core.contract.records import HistoryEntry
from gateway.core.contract.release import Release, Snapshot
from gateway.core.pinning.classify import Verdict, classify, vendor_of
from gateway.core.pinning.table import PinTable
from gateway.settings.model import Settings
from gateway.store import aliases, releases
from gateway.store.client import Store
from gateway.store.local import DiskCopyError, in_force
from gateway.store.records import PointerFile

if TYPE_CHECKING:
    from gateway.upstream.ownport import DataPort

REASON_CHARACTERS = 1000
ACTOR_CHARACTERS = 128
WARM = 3
"""Releases an alias keeps to roll back to when the configuration does not say."""
FOLLOW_SECONDS = 2.0
"""How long an operation waits for the workers to follow; they should within one."""


def nowhere() -> DataPort:
    """For a desk that calls nobody. Raises Fault 409 `no_data_port`."""
    raise Fault(Kind.CONFLICT, "no_data_port", "this process does not know a data port of its own to call")


@dataclass(frozen=True, slots=True)
class Desk:
    """One operation's surroundings. `now_ms` is the wall clock when it was asked for, `actor` who asked."""

    store: Store
    settings: Settings
    pins: PinTable
    actor: str
    now_ms: int
    data_port: Callable[[], DataPort] = nowhere
    """Looked up when something is called. Raises Fault 409 `no_data_port`."""

    def entry(self, action: str, reason: str, *, override: str = "", note: str = "") -> HistoryEntry:
        """A history entry of this operation, with an id of its own; versions and states are set when it is written."""
        return HistoryEntry(
            at_ms=self.now_ms,
            actor=self.actor[:ACTOR_CHARACTERS],
            action=action,
            reason=reason,
            version=0,
            before=None,
            after=None,
            operation=secrets.token_hex(8),
            override=override,
            note=note,
        )

    async def alias(self, name: str) -> AliasState:
        """The stored state. Raises Fault 404 `alias_unknown` that names the aliases there are."""
        state = await aliases.get(self.store, name)
        if state is None:
            known = await aliases.names(self.store)
            listed = ", ".join(known[:20]) or "none yet; declare one under `aliases` in the configuration"
            raise Fault(Kind.NOT_FOUND, "alias_unknown", f"there is no alias {name}. Known: {listed}.", param="alias")
        return state

    async def release(self, release: str) -> Release:
        """The stored release. Raises Fault 404 `release_unknown`."""
        found = await releases.get(self.store, release)
        if found is None:
            raise releases.unknown(release)
        return found

    def remembered(self) -> PointerFile | None:
        """The pointers this host remembers, overrides laid over; None for none. Raises Fault `copy_unreadable`."""
        try:
            return in_force(self.settings.store.data_dir)
        except DiskCopyError as error:
            raise unreadable(error) from error

    def stakes(self, state: AliasState) -> Stakes:
        """The alias's stakes: the configuration's while it declares the alias, else what the store has."""
        declared = self.settings.aliases.get(state.name)
        return declared.stakes if declared is not None else state.stakes

    def side_effects(self, state: AliasState) -> SideEffects:
        """The alias's side effects, from where `stakes` come from."""
        declared = self.settings.aliases.get(state.name)
        return declared.side_effects if declared is not None else state.side_effects

    def warm(self, alias: str) -> int:
        """How many releases of a lane rollback may return to."""
        declared = self.settings.aliases.get(alias)
        return max(declared.warm, 1) if declared is not None else WARM

    def verdict(self, snapshot: Snapshot) -> Verdict:
        """What the pinning table says of a model at a configured provider."""
        provider = self.settings.providers[snapshot.provider]
        return classify(self.pins, vendor_of(snapshot.provider, provider.base_url, provider.vendor), snapshot.model)


def unreadable(error: DiskCopyError) -> Fault:
    """A pointer file of this host is broken; live workers write a new copy while the store answers."""
    return Fault(Kind.CONFLICT, "copy_unreadable", f"{error}. Live workers write it anew from the store, or remove it.")


def checked_reason(reason: str) -> str:
    """The reason as it goes into the history. Raises Fault `reason_missing` without one, `reason_bad` for an unfit one."""
    plain = " ".join(reason.split())
    if not plain:
        raise Fault(
            Kind.BAD_REQUEST,
            "reason_missing",
            "say why with --reason: it stays in the history with your name",
            param="reason",
        )
    if len(plain) > REASON_CHARACTERS or not plain.isprintable():
        message = f"a reason has at most {REASON_CHARACTERS} printable characters"
        raise Fault(Kind.BAD_REQUEST, "reason_bad", message, param="reason")
    return plain
