"""Every operation: its route, its right, and the control function behind it.

Rule of the file: no logic. A line here is a name, a place, a right and a call.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from gateway.admin import (
    asks,
    drift_operations,
    gate_operations,
    lifecycle_operations,
    probe_operations,
    rollout_operations,
    shadow_operations,
    warm_operations,
)
from gateway.admin.configview import ConfigView, config_view
from gateway.admin.table import Nothing, Operation
from gateway.admin.visit import Visit
from gateway.control import (
    aliases,
    block,
    differences,
    promote,
    prompts,
    recovery,
    releases,
    rollback,
    runs,
    status,
    use,
)
from gateway.core.contract import records
from gateway.store import safety, workers
from gateway.store.aliases import every


async def _status(visit: Visit, _: Nothing) -> records.Status:
    return await status.status(visit.desk)


async def _workers(visit: Visit, _: Nothing) -> list[records.WorkerBeat]:
    versions = {name: state.version for name, state in (await every(visit.desk.store)).items()}
    return await workers.listed(visit.desk.store, versions)


async def _store(visit: Visit, _: Nothing) -> records.Safety:
    return await safety.check(visit.desk.store)


async def _restore(visit: Visit, ask: asks.StoreAsk) -> records.Recovered:
    return await recovery.restore(visit.desk, ask.reason)


async def _bootstrap(visit: Visit, ask: asks.StoreAsk) -> records.Recovered:
    return await recovery.bootstrap(visit.desk, ask.reason)


async def _config(visit: Visit, _: Nothing) -> ConfigView:
    return config_view(visit.config)


async def _release_create(visit: Visit, ask: records.ReleaseAsk) -> records.ReleaseMade:
    return await releases.create(visit.desk, ask)


async def _release_list(visit: Visit, ask: asks.ReleaseList) -> list[records.ReleaseRow]:
    return await releases.listed(visit.desk, ask.limit)


async def _release_show(visit: Visit, ask: asks.ReleaseOne) -> records.ReleaseDetail:
    found = await releases.show(visit.desk, ask.release)
    if visit.may("content"):
        return found
    return msgspec.structs.replace(found, prompt=_without_text(found.prompt), tools=_without_text(found.tools))


async def _release_diff(visit: Visit, ask: asks.ReleaseDiffAsk) -> records.ReleaseDiff:
    found = await differences.differences(visit.desk, ask.release, ask.to)
    if visit.may("content"):
        return found
    return msgspec.structs.replace(found, changes=tuple(msgspec.structs.replace(c, lines=()) for c in found.changes))


async def _release_runs(visit: Visit, ask: asks.ReleaseRuns) -> records.ReleaseUse:
    return await use.used(visit.desk, ask.release, since_ms=ask.since_ms, limit=ask.limit)


async def _release_block(visit: Visit, ask: asks.ReleaseBlock) -> records.BlockResult:
    return await block.block(visit.desk, ask.release, ask.reason)


async def _release_unblock(visit: Visit, ask: asks.ReleaseBlock) -> records.BlockResult:
    return await block.unblock(visit.desk, ask.release, ask.reason)


async def _alias_list(visit: Visit, _: Nothing) -> list[records.AliasRow]:
    return await aliases.listed(visit.desk)


async def _alias_show(visit: Visit, ask: asks.AliasOne) -> records.AliasDetail:
    return await aliases.show(visit.desk, ask.alias)


async def _alias_history(visit: Visit, ask: asks.AliasHistory) -> list[records.HistoryEntry]:
    return await aliases.history(visit.desk, ask.alias, ask.limit)


async def _alias_prompts(visit: Visit, ask: asks.AliasOne) -> records.TemplateList:
    found = await prompts.listed(visit.desk, ask.alias)
    if visit.may("content"):
        return found
    return msgspec.structs.replace(found, templates=tuple(_untold(row) for row in found.templates))


async def _alias_undeclared(visit: Visit, ask: asks.Undeclared) -> list[records.TemplateRow]:
    found = await prompts.undeclared(visit.desk, ask.alias)
    return found if visit.may("content") else [_untold(row) for row in found]


async def _alias_accept(visit: Visit, ask: asks.TemplateAccept) -> records.Accepted:
    return await prompts.accept(visit.desk, ask.alias, ask.id, ask.reason)


async def _alias_export(visit: Visit, _: Nothing) -> records.PointerFile:
    return await aliases.export(visit.desk)


async def _alias_apply(visit: Visit, ask: asks.PointersApply) -> list[records.Moved]:
    file = records.PointerFile(aliases=ask.aliases, v=ask.v)
    return await aliases.apply(visit.desk, file, ask.reason, override=ask.override, attested=ask.attested)


async def _promote(visit: Visit, ask: asks.Promote) -> records.Moved:
    return await promote.promote(
        visit.desk, ask.alias, ask.release, ask.reason, override=ask.override, attested=ask.attested
    )


async def _rollback(visit: Visit, ask: asks.Rollback) -> records.Moved:
    if ask.stop_runs:
        visit.actor.need("release")
    return await rollback.rollback(visit.desk, ask.alias, ask.reason, lane=ask.lane, to=ask.to, stop_runs=ask.stop_runs)


async def _run_list(visit: Visit, ask: asks.RunList) -> list[records.RunRow]:
    return await runs.listed(visit.desk, release=ask.release, since_ms=ask.since_ms, limit=ask.limit)


async def _run_show(visit: Visit, ask: asks.RunOne) -> records.RunDetail:
    found = await runs.show(visit.desk, ask.run, tenant=ask.tenant)
    if visit.may("content"):
        return found
    steps = tuple(msgspec.structs.replace(step, excerpt="") for step in found.steps)
    return msgspec.structs.replace(found, steps=steps)


async def _run_restart(visit: Visit, ask: asks.RunRestartAsk) -> records.RunRestart:
    return await runs.restart(visit.desk, ask.run, tenant=ask.tenant)


def _untold(row: records.TemplateRow) -> records.TemplateRow:
    return msgspec.structs.replace(row, text=None)


def _without_text(leg: records.LegText) -> records.LegText:
    return msgspec.structs.replace(leg, text=None)


def _table() -> Mapping[str, Operation]:
    r: Any = records
    rows = (
        ("status", "GET", "/status", "read", Nothing, r.Status, _status, "Store, workers, aliases, and what needs a look."),
        ("worker.list", "GET", "/workers", "read", Nothing, list[r.WorkerBeat], _workers, "Live workers and the versions they serve."),
        ("store.show", "GET", "/store", "read", Nothing, r.Safety, _store, "Where the store is, whether it is safe, its size."),
        ("store.restore", "POST", "/store/restore", "rollout", asks.StoreAsk, r.Recovered, _restore, "Write this host's copy of the pointers into the store."),
        ("store.bootstrap", "POST", "/store/bootstrap", "rollout", asks.StoreAsk, r.Recovered, _bootstrap, "Accept an empty store as the new one."),
        ("config.show", "GET", "/config", "read", Nothing, ConfigView, _config, "The configuration in force, without secrets."),
        ("release.create", "POST", "/releases", "release", r.ReleaseAsk, r.ReleaseMade, _release_create, "Store a release."),
        ("release.list", "GET", "/releases", "read", asks.ReleaseList, list[r.ReleaseRow], _release_list, "Releases, newest first."),
        ("release.show", "GET", "/releases/{release}", "read", asks.ReleaseOne, r.ReleaseDetail, _release_show, "One release; its texts with the right content."),
        ("release.diff", "GET", "/releases/{release}/diff", "read", asks.ReleaseDiffAsk, r.ReleaseDiff, _release_diff, "What differs between two releases."),
        ("release.runs", "GET", "/releases/{release}/runs", "read", asks.ReleaseRuns, r.ReleaseUse, _release_runs, "Runs bound to a release, and whether its tools' code may be removed."),
        ("release.block", "POST", "/releases/{release}/block", "release", asks.ReleaseBlock, r.BlockResult, _release_block, "Stop every run of a release."),
        ("release.unblock", "POST", "/releases/{release}/unblock", "release", asks.ReleaseBlock, r.BlockResult, _release_unblock, "Let the runs of a release go on."),
        ("alias.list", "GET", "/aliases", "read", Nothing, list[r.AliasRow], _alias_list, "Aliases and the release of each lane."),
        ("alias.export", "GET", "/pointers", "read", Nothing, r.PointerFile, _alias_export, "The pointers of all aliases as a document."),
        ("alias.apply", "POST", "/pointers", "rollout", asks.PointersApply, list[r.Moved], _alias_apply, "Move pointers to what a document says."),
        ("alias.show", "GET", "/aliases/{alias}", "read", asks.AliasOne, r.AliasDetail, _alias_show, "One alias."),
        ("alias.history", "GET", "/aliases/{alias}/history", "read", asks.AliasHistory, list[r.HistoryEntry], _alias_history, "Every write of an alias's pointer, newest first."),
        ("alias.prompts", "GET", "/aliases/{alias}/prompts", "read", asks.AliasOne, r.TemplateList, _alias_prompts, "Prompt templates and toolsets that an alias is sent."),
        ("alias.undeclared", "GET", "/undeclared", "read", asks.Undeclared, list[r.TemplateRow], _alias_undeclared, "Templates and toolsets that no release declares."),
        ("alias.accept", "POST", "/aliases/{alias}/accept", "rollout", asks.TemplateAccept, r.Accepted, _alias_accept, "Accept an undeclared template or toolset."),
        ("rollout.promote", "POST", "/aliases/{alias}/promote", "rollout", asks.Promote, r.Moved, _promote, "Move every lane of an alias to a release."),
        ("rollback", "POST", "/aliases/{alias}/rollback", "rollback", asks.Rollback, r.Moved, _rollback, "Move lanes back to a release that was stable."),
        ("run.list", "GET", "/runs", "read", asks.RunList, list[r.RunRow], _run_list, "Runs, newest first."),
        ("run.show", "GET", "/runs/{run}", "read", asks.RunOne, r.RunDetail, _run_show, "One run, step by step."),
        ("run.restart", "POST", "/runs/{run}/restart", "rollout", asks.RunRestartAsk, r.RunRestart, _run_restart, "A new run on the current releases."),
    )  # fmt: skip
    more = (
        *rollout_operations.rows(),
        *shadow_operations.rows(),
        *gate_operations.rows(),
        *lifecycle_operations.rows(),
        *drift_operations.rows(),
        *warm_operations.rows(),
        *probe_operations.rows(),
    )
    return MappingProxyType({row[0]: Operation(*row) for row in (*rows, *more)})


OPERATIONS: Mapping[str, Operation] = _table()
"""By name. The order is the order of the routes."""
