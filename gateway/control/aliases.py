"""Aliases as an operator sees and moves them: list, show, history, and pointers as a file (`export`, `apply`).

Rule of the file: applying what was exported changes nothing, and a file made from an older version is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec
import yaml

from gateway.control.desk import FOLLOW_SECONDS, Desk, checked_reason
from gateway.control.moves import (
    Move,
    callable_or_fault,
    candidate_of,
    finished,
    forward,
    no_rollout,
    not_barred,
    now,
    unchanged,
    with_lanes,
)
from gateway.control.promote import Permission, permitted
from gateway.control.standing import replaced, standing
from gateway.core.contract.alias import EVERYONE, AliasState, Lane
from gateway.core.contract.fault import Fault, Kind
from gateway.core.contract.records import (
    AliasDetail,
    AliasRow,
    HistoryEntry,
    Moved,
    PointerFile,
    PointerWant,
)
from gateway.store import aliases, releases, workers
from gateway.store.aliases import PointerMoved

LANE = re.compile(r"\*|(tenant|segment):[A-Za-z0-9._:/-]{1,64}")


def row(state: AliasState) -> AliasRow:
    """An alias as a line of a list."""
    split = state.split
    return AliasRow(
        name=state.name,
        version=state.version,
        stakes=state.stakes,
        side_effects=state.side_effects,
        lanes={name: lane.release for name, lane in state.lanes.items()},
        canary=split.candidate if split is not None else "",
        weight=split.weight if split is not None else 0,
        learned=state.learned,
    )


async def listed(desk: Desk) -> list[AliasRow]:
    """All aliases by name."""
    return [row(state) for state in (await aliases.every(desk.store)).values()]


async def show(desk: Desk, alias: str) -> AliasDetail:
    """One alias: its state, the models behind its releases, and which workers follow. Raises Fault 404."""
    state = await desk.alias(alias)
    names = [name for lane in state.lanes.values() for name in (lane.release, *lane.previous)]
    if candidate_of(state):
        names.append(candidate_of(state))
    found = await releases.many(desk.store, names)
    return AliasDetail(
        state=state,
        models={name: release.triple.model for name, release in found.items()},
        blocked={name: release.blocked for name, release in found.items() if release.blocked},
        workers=tuple(await workers.listed(desk.store, {alias: state.version})),
    )


async def history(desk: Desk, alias: str, limit: int = 100) -> list[HistoryEntry]:
    """The last entries of an alias, newest first. Raises Fault 404 for an alias that never had any."""
    found = await aliases.history(desk.store, alias, limit)
    if not found:
        await desk.alias(alias)
    return found


async def export(desk: Desk, names: Iterable[str] = ()) -> PointerFile:
    """The pointers of these aliases, or of all, with the version each was read at. Raises Fault 404 for an unknown one."""
    states = await aliases.every(desk.store)
    wanted = list(names) or list(states)
    for name in wanted:
        if name not in states:
            await desk.alias(name)
    return PointerFile(
        aliases={
            name: PointerWant({lane: p.release for lane, p in states[name].lanes.items()}, states[name].version)
            for name in wanted
        }
    )


def as_yaml(file: PointerFile) -> str:
    """The file as people edit it."""
    value = {"v": file.v, "aliases": msgspec.to_builtins(file.aliases)}
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True)


def read_file(text: str) -> PointerFile:
    """A pointer file from YAML or JSON. Raises Fault 400 `pointer_file` that says what is wrong and where."""
    try:
        file = msgspec.convert(yaml.safe_load(text), type=PointerFile)
    except yaml.MarkedYAMLError as error:
        line = f" in line {error.problem_mark.line + 1}" if error.problem_mark is not None else ""
        raise _unfit(f"not YAML or JSON{line}: {error.problem}") from error
    except yaml.YAMLError as error:
        raise _unfit("not YAML or JSON") from error
    except msgspec.ValidationError as error:
        raise _unfit(str(error)) from error
    if file.v != 1:
        raise _unfit(f"format v: {file.v} is not known to this version")
    _check_lanes(file)
    return file


def _check_lanes(file: PointerFile) -> None:
    for name, want in file.aliases.items():
        unfit = [lane for lane in want.lanes if not LANE.fullmatch(lane)]
        if unfit or not want.lanes:
            raise _unfit(
                f"alias {name}: lanes are written *, tenant:NAME or segment:NAME" + f", not {unfit}" * bool(unfit)
            )


async def apply(
    desk: Desk,
    file: PointerFile,
    reason: str,
    *,
    override: str = "",
    attested: str = "",
    timeout: float = FOLLOW_SECONDS,
) -> list[Moved]:
    """Make the lanes of each alias what the file says, as a promotion where the release was not stable in the lane before.

    Lanes the file does not name are removed, but never `*`. Everything is checked before the first write; each alias is then
    one write of its own. Raises Fault as promote does, 409 `pointer_moved` for a file older than the store.
    """
    permission = Permission(checked_reason(reason), override, attested)
    _check_lanes(file)
    moves: list[tuple[AliasState, AliasState, _Checked]] = []
    for name, want in file.aliases.items():
        state = await desk.alias(name)
        if want.version and want.version != state.version:
            raise PointerMoved(name, want.version, state.version)
        after = with_lanes(state, _lanes(desk, state, want.lanes))
        moves.append((state, after, await _checked(desk, state, after, permission)))
    done: list[Moved] = []
    for state, after, checked in moves:
        if after == state:
            done.append(unchanged("apply", state))
            continue
        begun = now()
        recorded = "; ".join(checked.records)
        entry = desk.entry("apply", permission.reason, override=recorded)
        entry = msgspec.structs.replace(entry, evidence=" ".join(checked.evidence))
        stored = await aliases.write(desk.store, state, after, entry)
        done.append(await finished(desk, Move("apply", state, stored, begun, checked.warnings, recorded), timeout))
    return done


def _lanes(desk: Desk, state: AliasState, wanted: Mapping[str, str]) -> dict[str, Lane]:
    if EVERYONE in state.lanes and EVERYONE not in wanted:
        raise _unfit(f"alias {state.name}: the lane * cannot be removed; tenants without a lane of their own need it")
    return {
        name: forward(state.lanes[name], release, desk.warm(state.name)) if name in state.lanes else Lane(release)
        for name, release in wanted.items()
    }


async def _checked(desk: Desk, before: AliasState, after: AliasState, permission: Permission) -> _Checked:
    """Check each release that becomes stable. One that was stable in the alias before needs no new permission."""
    if before.lanes != after.lanes:
        no_rollout(before)
    proven = {name for lane in before.lanes.values() for name in (lane.release, *lane.previous)}
    warnings: dict[str, None] = {}
    records: dict[str, None] = {}
    evidence: dict[str, None] = {}
    for name in dict.fromkeys(lane.release for lane in after.lanes.values()):
        release = await desk.release(name)
        if all(name != lane.release for lane in before.lanes.values()):
            callable_or_fault(desk, release)
            not_barred(before, name)
        if name not in proven:
            stands = await standing(desk, before.name, name, replaced(before, after, name))
            found, recorded = permitted(desk, before, release, permission, stands)
            warnings.update(dict.fromkeys(found))
            records.update(dict.fromkeys(recorded))
            evidence.update(dict.fromkeys(stands.evidence))
    return _Checked(tuple(warnings), tuple(records), tuple(evidence))


class _Checked(NamedTuple):
    """Warnings of a move, what goes into the history for ever, and the evidence it rests on."""

    warnings: tuple[str, ...] = ()
    records: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()


def _unfit(message: str) -> Fault:
    return Fault(Kind.BAD_REQUEST, "pointer_file", f"pointer file: {message}")
