"""An alias with an eval gate, and evidence for it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import msgspec

from gateway.control.desk import Desk
from gateway.core.contract.evidence import Evidence, Origin, Score, SuiteEvidence
from gateway.core.contract.suite import SuiteKind
from gateway.core.gate import rubric
from gateway.settings import gates
from gateway.settings.model import GateSettings
from gateway.store import evidence as stored
from tests.core.gate.evidences import flips

ITEMS = 60


def suite_file(folder: Path, kind: SuiteKind = SuiteKind.TASK, items: int = ITEMS) -> Path:
    """A suite of that many items, named i0 and so on."""
    lines: list[dict[str, object]] = [{"suite": f"my-{kind.value}", "version": 1, "kind": kind.value}]
    for at in range(items):
        asked = [{"role": "user", "content": f"{at}?"}]
        answers = {"good": {"text": "yes"}, "bad": {"text": "no"}}
        lines.append({"id": f"i{at}", "messages": asked, "check": {"exact": ["yes"]}, **answers})
    file = folder / f"{kind.value}.jsonl"
    file.write_text("\n".join(json.dumps(line) for line in lines))
    return file


def gated(desk: Desk, folder: Path, alias: str = "usual", **members: object) -> Desk:
    """The same desk, whose alias declares a gate: by default a task suite of sixty items."""
    gate = GateSettings(**(members or {"task": str(suite_file(folder))}))  # type: ignore[arg-type]
    declared = msgspec.structs.replace(desk.settings.aliases[alias], gate=gate)
    aliases = {**desk.settings.aliases, alias: declared}
    return replace(desk, settings=msgspec.structs.replace(desk.settings, aliases=aliases))


async def proof(
    desk: Desk,
    alias: str,
    candidate: str,
    incumbent: str,
    *,
    scores: tuple[Score, ...] = (),
    judge: str = "",
    **more: object,
) -> Evidence:
    """Store evidence on the alias's task suite from a run through the gateway an hour ago; green unless it has scores."""
    (declared,) = gates.policy(desk.settings.aliases[alias]).suites
    members: dict[str, object] = {
        "origin": Origin.GATEWAY,
        "engine": "trivet 0",
        "actor": "alice",
        "started_ms": desk.now_ms - 3_700_000,
        "ended_ms": desk.now_ms - 3_600_000,
        **more,
    }
    words = rubric.digest() if judge else ""
    suite = SuiteEvidence(
        declared.suite, declared.kind, declared.digest, 1, scores or flips(ITEMS), judge=judge, rubric=words
    )
    made = Evidence(alias=alias, candidate=candidate, incumbent=incumbent, suites=(suite,), **members)  # type: ignore[arg-type]
    await stored.put(desk.store, made)
    return made
