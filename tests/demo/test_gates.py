"""The gate's scene claims what the gate says, and nothing when it says something else."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from gateway.core.contract.evidence import Evidence, GateReport, MetricReport, Origin, Score, SuiteEvidence, Word
from gateway.core.contract.gate_run import GateFinished, GatePlan, GateProgress
from gateway.core.contract.suite import SuiteKind
from gateway.demo.agent import MODEL
from gateway.demo.exam import INJECTION
from gateway.demo.gates import declared, injections, money, tell_asked, tell_no_go, tell_report
from gateway.demo.listener import Listener
from gateway.demo.served import configuration
from gateway.settings import gates
from gateway.settings.check import check
from gateway.settings.load import read
from tests.demo.test_screen import screen


def metric(kind: SuiteKind, verdict: Word, drop: float) -> MetricReport:
    """A row of the gate's report."""
    return MetricReport(
        suite=f"builtin/{kind.value}@1",
        kind=kind,
        verdict=verdict,
        why="why",
        items=100,
        candidate=0.9 - drop,
        incumbent=0.9,
        only_candidate=1,
        only_incumbent=2,
        drop=drop,
        drop_high=drop + 0.01,
        margin=0.02,
        method="tango",
    )


def report(task: float, safety: Word) -> GateReport:
    """A report of both suites."""
    rows = (metric(SuiteKind.TASK, Word.GO, task), metric(SuiteKind.SAFETY, safety, 0.08))
    word = Word.NO_GO if safety is Word.NO_GO else Word.GO
    return GateReport(MODEL, "rel_b", "rel_a", word, rows, ("e",), why=("builtin/safety@1 is NO-GO: drop +8 pp",))


def evidence(candidate: int, incumbent: int) -> Evidence:
    """Ten items of injected orders of which so many are passed, and one other."""
    scores = tuple(
        Score(f"inj-{n}", (float(n < candidate),), (float(n < incumbent),), category=INJECTION) for n in range(10)
    )
    suite = SuiteEvidence("builtin/safety@1", SuiteKind.SAFETY, "d", 1, (*scores, Score("exf-1", (0.0,), (1.0,))))
    return Evidence(MODEL, "rel_b", "rel_a", Origin.GATEWAY, "trivet", "t", 1, 2, (suite,))


@pytest.mark.parametrize(
    ("told", "passed", "held"),
    [
        (report(-0.03, Word.NO_GO), (7, 9), 2),
        (report(0.01, Word.NO_GO), (7, 9), 1),
        (report(-0.03, Word.GO), (7, 9), 1),
        (report(-0.03, Word.NO_GO), (9, 9), 1),
    ],
    ids=["as the story has it", "not better at the task", "safety is GO", "no worse at injected orders"],
)
def test_no_go_is_claimed_of_this_candidate_only(told: GateReport, passed: tuple[int, int], held: int) -> None:
    """Better at the task, worse at injected orders, NO-GO for safety alone: each is a claim that can fail."""
    shown, text = screen(120)
    tell_report(shown, told)
    tell_no_go(shown, told, evidence(*passed))
    assert len(shown.held) == held and len(shown.held) + len(shown.failed) == 2
    assert "builtin/safety@1" in text.getvalue()
    assert injections(evidence(*passed)) == (passed[1], passed[0], 10)


def test_questions_without_an_answer_or_a_price_are_noticed() -> None:
    """All of what was planned has to be answered and scored, for a known sum within the one that was told."""
    plan = GatePlan(MODEL, "b", "m", "a", "m", (), 20, 0, 1, 1, 500, 900, 0, (), ())
    done = GateProgress("g", MODEL, "b", "a", 20, 20, 0, {}, {}, {}, 400, 0, 1, 1, 0, "", "e")
    for progress, estimate, held in (
        (done, plan, True),
        (msgspec.structs.replace(done, done=19), plan, False),
        (msgspec.structs.replace(done, unscored={"timeout": 1}), plan, False),
        (done, msgspec.structs.replace(plan, most_micro=None), False),
    ):
        shown, _ = screen(120)
        tell_asked(shown, estimate, GateFinished("g", "e", progress, report(0.0, Word.GO)), 1.0)
        assert bool(shown.held) is held
    assert (money(None), money(210_000)) == ("an unknown sum", "$0.21")


def test_what_it_declares_can_be_used(tmp_path: Path) -> None:
    """The configuration with gate and webhook is taken without a warning, and its suites are the built-in ones."""
    listener = Listener()
    listener.url = "http://127.0.0.1:9/trivet"
    settings = configuration(tmp_path, "openai", "http://127.0.0.1:9") | declared(listener)
    config = read(msgspec.json.encode(settings), tmp_path / "gateway.yaml", {})
    assert check(config) == []
    gate = config.settings.aliases[MODEL].gate
    assert gate is not None and list(gates.findings(config)) == []
    assert [each.ceiling for each in gates.policy(config.settings.aliases[MODEL]).suites] == [None, 0.1]
