"""Everything that the next event of a rollout depends on, read from the store at one moment.

Rule of the file: reading changes nothing but the counts, which count each unit once whoever reads. What cannot be read is not
guessed: the caller counts the failure, and several in a row freeze the rollout.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

import anyio
import msgspec

from gateway.control import evidence
from gateway.control.baseline import NAMELESS_LIMIT, baseline
from gateway.control.desk import Desk
from gateway.control.shadow_report import report
from gateway.control.shadow_store import results
from gateway.core.contract.alias import AliasState, Stakes
from gateway.core.contract.pair import Dimension, Line
from gateway.core.contract.records import HistoryEntry
from gateway.core.contract.rollout import EXPOSED, Facts, GateFacts, Phase, Rollout, ShadowFacts, Tally
from gateway.core.rollout import guardrails
from gateway.core.rollout.judge import regressions
from gateway.core.rollout.machine import phase_of
from gateway.store import aliases, pairs, releases
from gateway.store.guardrails import advance, tally

LOOK_MS = 2000
"""How long the slower facts stay good: shadow, gate, alarms. Counts of guardrails are read anew each time."""
BASELINE_MS = 60_000
LINES = 20_000
"""Newest pairs of an alias that are looked at: under a second of reading."""
SHADOW_SHARE = 0.05
"""Share of its time that a process spends on reading the pairs of one rollout."""
HISTORY = 200
"""Newest entries of a history in which alarms are looked for."""
SKEW_MS = 60_000
"""The clocks of the store and of who began the rollout may differ by this."""
HARD = frozenset({Dimension.ERROR, Dimension.SCHEMA, Dimension.UNKNOWN_TOOL, Dimension.INVALID_ARGUMENTS})
"""In what a shadowed answer has failed, where the candidate is the worse of the two: nothing a person has to weigh."""


NO_GATE = GateFacts("MISSING")


@dataclass
class Look:
    """What a process remembers of one rollout between two rounds; a restart only means to look again."""

    rollout: str = ""
    shadow: tuple[int, ShadowFacts] | None = None
    """Pairs counted when it was read, and what was read."""
    shadow_ms: int = 0
    """When it may be read again."""
    gate: GateFacts = NO_GATE
    alarms: tuple[str, ...] = ()
    models: frozenset[str] = frozenset()
    """Snapshots of the candidate and the incumbent."""
    at_ms: int = 0
    baseline_ms: int = 0
    nameless: bool = False


@dataclass
class Watch:
    """Gathers the facts of rollouts, one Look for each alias."""

    look_ms: int = LOOK_MS
    looks: dict[str, Look] = field(default_factory=dict)

    def forget(self, names: Iterable[str]) -> None:
        """Drop what is remembered of every other alias than these."""
        keep = set(names)
        for gone in [name for name in self.looks if name not in keep]:
            del self.looks[gone]

    async def facts(self, desk: Desk, state: AliasState, rollout: Rollout) -> Facts:
        """The facts of the rollout in progress of an alias. Raises Fault when something cannot be read.

        The counts are read first: where they call for a rollback, nothing that is slower or damaged can keep it from coming.
        """
        look = self.looks.get(state.name)
        if look is None or look.rollout != rollout.id:
            look = self.looks[state.name] = Look(rollout.id)
        phase = phase_of(rollout)
        counted = await advance(desk.store, state.name, rollout) if phase in EXPOSED else Tally()
        found = Facts(
            now_ms=desk.now_ms,
            tally=counted,
            findings=guardrails.findings(rollout, counted) if phase in EXPOSED else (),
            health=guardrails.health(rollout, counted) if phase in EXPOSED else (),
        )
        if regressions(rollout, found):
            return found
        if desk.now_ms - look.at_ms >= self.look_ms or desk.now_ms < look.at_ms:
            await self._slower(desk, state, rollout, look)
            look.at_ms = desk.now_ms
        return msgspec.structs.replace(
            found,
            shadow=look.shadow[1] if look.shadow is not None else None,
            gate=look.gate,
            alarms=(*look.alarms, *["events_lost"] * (counted.lost_ms > rollout.since_ms)),
        )

    async def _slower(self, desk: Desk, state: AliasState, rollout: Rollout, look: Look) -> None:
        phase = phase_of(rollout)
        if phase is Phase.SHADOWING and desk.now_ms >= look.shadow_ms:
            begun = anyio.current_time()
            look.shadow = await shadowed(desk, state.name, rollout, look.shadow)
            look.shadow_ms = desk.now_ms + round((anyio.current_time() - begun) * 1000 / SHADOW_SHARE)
        look.gate = await gate(desk, state.name, rollout)
        since = max(rollout.started_ms - SKEW_MS, 0)
        entries = await aliases.history(desk.store, state.name, HISTORY, since_ms=since)
        if not look.models:
            both = await releases.many(desk.store, (rollout.candidate, rollout.incumbent))
            look.models = frozenset(kept.triple.model for kept in both.values())
        alarms = undeclared(entries, rollout.started_ms) + drifted(entries, rollout.started_ms, look.models)
        if (
            phase is Phase.GATED
            and desk.stakes(state) is not Stakes.LOW
            and desk.now_ms - look.baseline_ms >= BASELINE_MS
        ):
            found = (await baseline(desk, state.name, rollout)).nameless
            look.nameless, look.baseline_ms = found is not None and found > NAMELESS_LIMIT, desk.now_ms
        look.alarms = (*alarms, *["nameless_tools"] * look.nameless)


async def last_facts(desk: Desk, state: AliasState, rollout: Rollout) -> Facts | None:
    """What was counted of a rollout that has ended, as it was when it did; None for one that nobody was exposed to. Raises Fault."""
    if rollout.at < 0:
        return None
    counted = await tally(desk.store, state.name)
    return Facts(now_ms=desk.now_ms, tally=counted, findings=guardrails.findings(rollout, counted))


async def gate(desk: Desk, alias: str, rollout: Rollout) -> GateFacts:
    """The gate's word on the candidate as it stands now. Raises Fault."""
    found = await evidence.report_for(desk, alias, rollout.candidate, rollout.incumbent)
    return GateFacts(found.verdict.value if found.evidence else "MISSING", found.evidence, found.why)


async def shadowed(
    desk: Desk, alias: str, rollout: Rollout, known: tuple[int, ShadowFacts] | None
) -> tuple[int, ShadowFacts]:
    """What the shadow says since the rollout began, and how many pairs were counted; `known` is given back while none came."""
    async with results(desk) as store:
        counts = (await pairs.counts(store, alias)).get(rollout.candidate, {})
        seen = sum(counts.values())
        if known is not None and known[0] == seen:
            return known
        lines = [
            line
            for line in await pairs.lines(store, alias, since_ms=rollout.started_ms, limit=LINES)
            if line.at_ms >= rollout.started_ms and line.candidate.release == rollout.candidate
        ]
    return seen, shadow_facts(alias, rollout.candidate, lines)


def shadow_facts(alias: str, candidate: str, lines: list[Line]) -> ShadowFacts:
    """Trios, pairs and hard failures of these lines, with the digest of their report."""
    told = report(alias, candidate, lines)
    return ShadowFacts(
        trios=told.trios,
        pairs=told.pairs,
        failures=sum(failed(line) for line in lines),
        report=hashlib.sha256(msgspec.json.encode(told)).hexdigest() if lines else "",
    )


def failed(line: Line) -> bool:
    """Whether the candidate's answer failed where the live one did not."""
    return bool(line.candidate.failed) or any(each.worse and each.dimension in HARD for each in line.differences)


def undeclared(entries: Iterable[HistoryEntry], since_ms: int) -> list[str]:
    """Alarms of prompts and toolsets found on the wire since then that no release declares and nobody has answered for."""
    since = [entry for entry in entries if entry.at_ms >= since_ms]
    accepted = {entry.evidence for entry in since if entry.action == "accept"}
    found = (entry.evidence for entry in since if entry.action == "undeclared" and entry.evidence not in accepted)
    return [f"undeclared:{identifier}" for identifier in dict.fromkeys(found)]


def drifted(entries: Iterable[HistoryEntry], since_ms: int, models: Collection[str]) -> list[str]:
    """Alarms of snapshots among `models` that were seen to change since then, newest first, and that nobody has acknowledged."""
    found: list[str] = []
    settled: set[str] = set()
    for entry in entries:
        snapshot = entry.evidence.rpartition("@")[0]
        if entry.action == "drift_ack":
            settled.add(snapshot)
        elif entry.action == "drift" and entry.at_ms >= since_ms and snapshot in models and snapshot not in settled:
            found.append(f"drift:{entry.evidence}")
    return found
