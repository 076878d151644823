"""The verdict from what is stored, and evidence that is brought from outside."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from gateway.control.desk import Desk
from gateway.control.evidence import Import, bring, check, listed, policy_for, report_for, show
from gateway.core.contract.evidence import Origin, Score, SuiteEvidence, Word, evidence_digest
from gateway.core.contract.fault import Fault
from gateway.core.contract.sentinel import Alarm
from gateway.core.contract.suite import SuiteKind
from gateway.core.pinning.identity import opened
from gateway.store import epochs
from tests.control.conftest import MODELS, Make, Place
from tests.control.gates import ITEMS, gated, proof, suite_file
from tests.core.gate.evidences import flips

pytestmark = pytest.mark.anyio


def brought(candidate: str, incumbent: str, alias: str = "usual", **more: object) -> Import:
    """Scores of the alias's task suite, all passed, as somebody brings them."""
    suite = {"suite": "", "kind": SuiteKind.TASK, "digest": "", "repeats": 1, "scores": flips(ITEMS)}
    members = {name: more.pop(name) for name in list(more) if name in suite}
    made = SuiteEvidence(**{**suite, **members})  # type: ignore[arg-type]
    return Import(alias, candidate, incumbent, made, "jsonl", **more)  # type: ignore[arg-type]


async def test_an_alias_without_suites_is_never_green(desk: Desk, made: Make, placed: Place) -> None:
    """Nothing declared, nothing stored: INSUFFICIENT, and it says so."""
    await placed("usual", {"*": "A"})
    report = await report_for(desk, "usual", await made("B"), await made("A"))
    assert (report.verdict, report.why) == (Word.INSUFFICIENT, ("no suite is declared",))
    assert policy_for(desk, "nobody").suites == ()


async def test_the_verdict_is_of_what_is_stored(desk: Desk, made: Make, placed: Place, tmp_path: Path) -> None:
    """Missing, then green, then red by a newer run: nothing is remembered but evidence."""
    desk = gated(desk, tmp_path)
    await placed("usual", {"*": "A"})
    a, b = await made("A"), await made("B")
    assert (await check(desk, "usual", b)).missing == ("my-task@1",)
    await proof(desk, "usual", b, a)
    assert (await check(desk, "usual", b)).verdict is Word.GO
    await proof(desk, "usual", b, a, scores=flips(ITEMS, 20), ended_ms=desk.now_ms)
    assert (await check(desk, "usual", b, a)).verdict is Word.NO_GO
    for unknown in (("nobody", b), ("usual", "rel_0"), ("usual", b, "rel_0")):
        with pytest.raises(Fault, match="unknown"):
            await check(desk, *unknown)


async def test_changed_items_make_evidence_stale(desk: Desk, made: Make, placed: Place, tmp_path: Path) -> None:
    """Evidence is of a suite's very bytes: with another item it no longer counts, and with a file that is gone neither."""
    desk = gated(desk, tmp_path)
    await placed("usual", {"*": "A"})
    a, b = await made("A"), await made("B")
    await proof(desk, "usual", b, a)
    file = tmp_path / "task.jsonl"
    file.write_text(file.read_text().replace("59?", "60?"))
    assert "digest has changed" in (await report_for(desk, "usual", b, a)).stale[0]
    file.unlink()
    assert (await report_for(desk, "usual", b, a)).verdict is Word.INSUFFICIENT


async def test_a_changed_judge_makes_evidence_stale(desk: Desk, made: Make, placed: Place, tmp_path: Path) -> None:
    """What one judge scored does not count under another, nor once the judge's own model was seen to drift."""
    await placed("usual", {"*": "A"})
    a, b, c = [await made(name) for name in "ABC"]
    task = str(suite_file(tmp_path))
    desk = gated(desk, tmp_path, task=task, judge=c)
    await proof(desk, "usual", b, a, judge=c)
    assert (await report_for(desk, "usual", b, a)).verdict is Word.GO
    other = gated(desk, tmp_path, task=task, judge=a)
    assert f"was judged by {c}, and the judge is {a} now" in (await report_for(other, "usual", b, a)).stale[0]
    await epochs.change(desk.store, MODELS["C"], lambda known: opened(known, Alarm.PROBE, "", "", "mmd", desk.now_ms))
    assert "the judge, was seen to change" in (await report_for(desk, "usual", b, a)).stale[0]


async def test_an_import_is_labelled_and_counts(desk: Desk, made: Make, placed: Place, tmp_path: Path) -> None:
    """Scores of the declared suite's very items are evidence of it, under the name of who brought them."""
    desk = gated(desk, tmp_path)
    await placed("usual", {"*": "A"})
    a, b = await made("A"), await made("B")
    done = await bring(desk, brought(b, a, models={b: (MODELS["B"],), a: ("other-model",)}, note="nightly"))
    assert (done.new, done.report.verdict, done.report.origin) == (True, Word.GO, Origin.IMPORTED)
    assert (done.row.origin, done.row.actor, done.row.suites[0].suite) == (Origin.IMPORTED, "alice", "my-task@1")
    assert done.warnings == (f"the log says that other-model answered for {a}, whose model is {MODELS['A']}",)
    assert not (await bring(desk, brought(b, a, models={b: (MODELS["B"],), a: ("other-model",)}, note="nightly"))).new
    shown = await show(desk, done.digest[:12])
    assert (shown.digest, shown.evidence.note) == (done.digest, "nightly")
    assert [row.digest for row in await listed(desk, "usual")] == [done.digest]


async def test_imports_are_no_older_and_no_younger_than_they_say(
    desk: Desk, made: Make, placed: Place, tmp_path: Path
) -> None:
    """The engine's own time is the age; one in the future is now."""
    desk = gated(desk, tmp_path)
    await placed("usual", {"*": "A"})
    a, b = await made("A"), await made("B")
    old = await bring(desk, brought(b, a, ended_ms=desk.now_ms - 20 * 86_400_000))
    assert "is 20 days old" in old.report.stale[0]
    late = await bring(desk, brought(b, a, ended_ms=desk.now_ms + 5))
    assert late.row.ended_ms == desk.now_ms


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"scores": flips(ITEMS - 1)}, "other_items"),
        ({"scores": (*flips(ITEMS - 1), Score("other", (1.0,), (1.0,)))}, "other_items"),
        ({"scores": ()}, "bad_scores"),
        ({"scores": (Score("i0", (1.5,), (1.0,)),)}, "bad_scores"),
        ({"scores": (Score("i0", (1.0, 1.0), (1.0,)),)}, "bad_scores"),
        ({"kind": SuiteKind.SAFETY}, "suite_needed"),
    ],
)
async def test_imports_that_cannot_be(
    desk: Desk, made: Make, placed: Place, tmp_path: Path, change: dict[str, object], code: str
) -> None:
    """Other items than the suite declared, scores out of bounds, no suite to be of: refused, and nothing is stored."""
    desk = gated(desk, tmp_path)
    await placed("usual", {"*": "A"})
    with pytest.raises(Fault, match=code):
        await bring(desk, brought(await made("B"), await made("A"), **change))
    assert await listed(desk, "usual") == []


async def test_high_takes_no_import(desk: Desk, made: Make, placed: Place, tmp_path: Path) -> None:
    """At stakes high an import is refused outright, with what works instead."""
    desk = gated(desk, tmp_path, "grave")
    await placed("grave", {"*": "A"})
    with pytest.raises(Fault, match="import_refused") as caught:
        await bring(desk, brought(await made("B"), await made("A"), "grave"))
    assert "trivet gate run" in caught.value.message


async def test_a_suite_that_nobody_declared(desk: Desk, made: Make, placed: Place, tmp_path: Path) -> None:
    """It is stored, and told that no verdict rests on it."""
    desk = gated(desk, tmp_path)
    await placed("usual", {"*": "A"})
    done = await bring(desk, brought(await made("B"), await made("A"), suite="own@3", scores=flips(5)))
    assert done.warnings == ("no verdict rests on it: the alias declares my-task@1, not own@3",)
    assert done.report.missing == ("my-task@1",)


async def test_a_suite_of_another_engine(desk: Desk, made: Make, placed: Place, tmp_path: Path) -> None:
    """A suite declared as external has whatever items its engine has, and its name and version stand for them."""
    desk = gated(desk, tmp_path, safety="external/agent_threat_bench@2")
    await placed("usual", {"*": "A"})
    a, b = await made("A"), await made("B")
    members = {"kind": SuiteKind.SAFETY, "scores": flips(200)}
    done = await bring(desk, brought(b, a, suite="agent_threat_bench@2", **members))
    assert (done.report.verdict, done.warnings) == (Word.GO, ())
    assert (await bring(desk, brought(b, a, **members))).row.suites[0].suite == "agent_threat_bench@2"
    other = await bring(desk, brought(b, a, suite="agent_threat_bench@3", **members))
    assert other.warnings


async def test_what_is_not_there(desk: Desk, made: Make, placed: Place, tmp_path: Path) -> None:
    """A digest that nobody has, one too short to tell, and one that two records share."""
    desk = gated(desk, tmp_path)
    await placed("usual", {"*": "A"})
    found = evidence_digest(await proof(desk, "usual", await made("B"), await made("A")))
    for digest in ("0" * 64, found[:4], "0" * 12):
        with pytest.raises(Fault, match="evidence_unknown"):
            await show(desk, digest)
    twin = found[:63] + ("0" if found[63] != "0" else "1")
    await desk.store.do("ZADD", desk.store.keys.evidences("usual"), 1, f"{twin} rel_a rel_b")
    with pytest.raises(Fault, match="evidence_ambiguous"):
        await show(desk, found[:20])
    assert (await show(desk, found)).evidence.suites[0].kind is SuiteKind.TASK
    assert msgspec.json.encode(await listed(desk, "usual"))
