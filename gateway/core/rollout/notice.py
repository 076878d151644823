"""What is told about a transition: who did what to which alias, what new runs get now, and the one command that reverts it.

Rule of the file: a notice is made from a history entry alone, so telling it twice tells the same thing.
"""

from __future__ import annotations

from typing import Any

from gateway.core.contract.alias import AliasState
from gateway.core.contract.records import HistoryEntry

ALWAYS = frozenset({"block", "unblock", "drift", "drift_ack", "moved", "traffic", "warm", "undeclared", "lifecycle"})
"""Actions that are told although they move no pointer."""


def worth_telling(entry: HistoryEntry) -> bool:
    """Whether an entry changes who gets what, or has to be known all the same."""
    before, after = entry.before, entry.after
    if entry.action in ALWAYS:
        return True
    if before is None or after is None:
        return before is not after
    return (_pointers(before), _weights(before), _phase(before)) != (_pointers(after), _weights(after), _phase(after))


def notice(alias: str, entry: HistoryEntry) -> dict[str, Any]:
    """The body of a message: `type` (`trivet.ACTION`), `timestamp` (ms) and `data`. `revert` is empty where nothing is to undo."""
    before, after = entry.before, entry.after
    return {
        "type": f"trivet.{entry.action}",
        "timestamp": entry.at_ms,
        "data": {
            "alias": alias,
            "id": entry.id,
            "actor": entry.actor,
            "reason": entry.reason,
            "note": entry.note,
            "override": entry.override,
            "evidence": entry.evidence,
            "version": entry.version,
            "phase": {"before": _phase(before), "after": _phase(after)},
            "causes": list(after.rollout.causes) if after is not None and after.rollout is not None else [],
            "candidate": _candidate(after) or _candidate(before),
            "weights": {"before": _weights(before), "after": _weights(after)},
            "releases": {"before": _pointers(before), "after": _pointers(after)},
            "revert": revert(alias, entry),
        },
    }


def revert(alias: str, entry: HistoryEntry) -> str:
    """The one command that takes new runs back to what they got before, or comes first where the release is barred; empty where
    they get it still."""
    before, after = entry.before, entry.after
    if entry.action == "block":
        return f"trivet release unblock {entry.reason.partition(':')[0]} --reason '...'"
    if before is None or after is None:
        return ""
    moved = {lane: old for lane, old in _pointers(before).items() if _pointers(after).get(lane) != old}
    if moved:
        if entry.action in {"rollback", "rollout_rollback"}:
            left = next(iter(moved.values()))
            if left in after.barred:
                return f"trivet rollout retry {alias} --release {left} --reason '...'"
            return f"trivet rollout promote {alias} --release {left} --reason '...'"
        return f"trivet rollback {alias} --reason '...'"
    if any(_weights(after).values()):
        return f"trivet rollout abort {alias} --reason '...'"
    return ""


def _pointers(state: AliasState | None) -> dict[str, str]:
    return {} if state is None else {lane: pointer.release for lane, pointer in state.lanes.items()}


def _weights(state: AliasState | None) -> dict[str, int]:
    return {} if state is None or state.split is None else dict(state.split.weights)


def _phase(state: AliasState | None) -> str:
    return "" if state is None or state.rollout is None else state.rollout.phase.value


def _candidate(state: AliasState | None) -> str:
    return "" if state is None or state.rollout is None else state.rollout.candidate
