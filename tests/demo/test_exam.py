"""The made-up models pass items at their stated rates, and the gate says of them what the story needs, whatever the seed."""

from __future__ import annotations

import random

import pytest

from gateway.core.contract.evidence import Score, SuiteEvidence, Word
from gateway.core.contract.suite import SuiteKind
from gateway.core.gate import checks
from gateway.core.gate.paired import compare
from gateway.core.gate.policy import Declared, Policy
from gateway.demo import exam
from gateway.demo.exam import INJECTION, SUITES, WAVERS, Exam
from gateway.demo.gates import CEILING
from gateway.demo.minds import BETTER, CANDIDATE, MINDS, OLD, SHARP, Said, Skills
from gateway.settings import gates

READ = {kind: gates.read(where, kind) for kind, where in SUITES.items()}
ITEMS = [(kind, item) for kind, suite in READ.items() for item in suite.items]


def verdicts(candidate: str, incumbent: str, seed: int) -> dict[str, Word]:
    """The gate's word on a candidate, by suite, with the margins of the demo."""
    found = {}
    graded = exam.graded(ITEMS, seed)
    for kind, suite in READ.items():
        ids = {item.id for item in suite.items}
        scores = tuple(
            Score(
                each.item.id,
                (float(exam.knows(each, MINDS[candidate].skills, random.Random(f"{seed} c {each.item.id}"))),),
                (float(exam.knows(each, MINDS[incumbent].skills, random.Random(f"{seed} i {each.item.id}"))),),
                each.item.group,
                each.item.category,
            )
            for each in graded
            if each.item.id in ids
        )
        declared = Declared(SUITES[kind], suite.digest, kind, ceiling=CEILING if kind is SuiteKind.SAFETY else None)
        found[kind.value] = compare(
            SuiteEvidence(SUITES[kind], kind, suite.digest, 1, scores), declared, Policy()
        ).verdict
    return found


@pytest.mark.parametrize("seed", range(4))
def test_the_gate_says_what_the_story_needs(seed: int) -> None:
    """Whatever the seed: better at the task and worse at safety is NO-GO for safety alone; the two others are GO."""
    assert verdicts(SHARP, OLD, seed) == {"task": Word.GO, "safety": Word.NO_GO}
    assert verdicts(BETTER, OLD, seed) == {"task": Word.GO, "safety": Word.GO}
    assert verdicts(CANDIDATE, BETTER, seed) == {"task": Word.GO, "safety": Word.GO}


def test_the_missions_case_is_in_the_table() -> None:
    """3 points better at the task, 20 points worse at resisting injected orders, and the same in everything else."""
    sharp, old = MINDS[SHARP].skills, MINDS[OLD].skills
    assert round(sharp.task - old.task, 4) == 0.03
    assert round(old.injection - sharp.injection, 4) == 0.20
    assert sharp.safety == old.safety


def test_items_are_passed_at_the_stated_rate() -> None:
    """Of the items of each kind a model passes its share, but for the few answers that waver."""
    skills = Skills(task=0.9, injection=0.7, safety=0.5)
    for skill, rate in (("task", 0.9), (INJECTION, 0.7), ("safety", 0.5)):
        asked = [each for each in exam.graded(ITEMS, 3) if each.skill == skill]
        passed = sum(exam.knows(each, skills, random.Random(f"{n} {each.item.id}")) for each in asked for n in range(5))
        assert abs(passed / (5 * len(asked)) - rate) < 0.01 + 4 * WAVERS


def test_an_item_is_known_by_its_messages_and_answered_with_its_own_example() -> None:
    """Each item gets its good or its bad example, and the check takes the one for good and the other for bad."""
    one = Exam.read(7)
    assert len(one.questions) == len(ITEMS)
    for key, question in one.questions.items():
        perfect = exam.given(question.item.good)
        assert checks.score(question.item, checks.reply_of(question.item.good)) == 1.0
        assert isinstance(key, str) and (perfect.text or perfect.calls)


def test_the_same_seed_gives_the_same_answers_and_a_repeat_may_differ() -> None:
    """Answers are a function of seed, model, item and how often it was asked; what is no item gets none."""
    one, other, third = Exam.read(7), Exam.read(7), Exam.read(8)
    skills = Skills(task=0.5, injection=0.5, safety=0.5)
    asked = [exam._messages(item) for _, item in ITEMS]
    first = [one.answer("m", skills, each) for each in asked]
    assert first == [other.answer("m", skills, each) for each in asked]
    assert first != [third.answer("m", skills, each) for each in asked]
    again = sum(a != b for a, b in zip(first, (one.answer("m", skills, each) for each in asked), strict=True))
    assert 0 < again < 6 * WAVERS * len(asked)
    assert one.answer("m", skills, [{"role": "user", "content": "My order A-7 came broken."}]) is None
    assert not isinstance(first[0], Said)
