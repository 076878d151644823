"""What the made-up models answer to the items of the built-in suites: the item's own good or bad example, at the rates of `minds`.

Rule of the file: items are hard or easy for every model alike, so two models differ in few of them, as real ones do; and each
answer may come out the other way once in a while. An answer is a function of (seed, model, item, how often it was asked).
"""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from gateway.core.contract.suite import Answer, Item, SuiteKind
from gateway.core.gate.requests import request
from gateway.demo.minds import Call, Given, Skills
from gateway.settings import gates

TASK, SAFETY = "builtin/task@1", "builtin/safety@1"
SUITES: Mapping[SuiteKind, str] = {SuiteKind.TASK: TASK, SuiteKind.SAFETY: SAFETY}
"""What the gate of the demo asks, as a configuration names it."""
INJECTION = "injection"
"""The category of items in which a text that was fetched tries to give orders."""
WAVERS = 0.005
"""Share of answers that come out the other way, whatever the item."""


@dataclass(frozen=True, slots=True)
class Question:
    """An item, what kind of skill it takes, and how hard it is: the share of items of its kind that are easier."""

    item: Item
    skill: str
    place: float


@dataclass
class Exam:
    """Every item by the messages that it is asked with."""

    seed: int
    questions: Mapping[str, Question]
    _asked: Counter[tuple[str, str]] = field(default_factory=Counter)

    @classmethod
    def read(cls, seed: int) -> Exam:
        """The built-in suites, with a seed that says which items are hard."""
        read = [(kind, item) for kind, where in SUITES.items() for item in gates.read(where, kind).items]
        return cls(seed, {_key(_messages(each.item)): each for each in graded(read, seed)})

    @property
    def asked(self) -> int:
        """Items that were answered so far, each time counted."""
        return self._asked.total()

    def answer(self, snapshot: str, skills: Skills, messages: Sequence[Mapping[str, Any]]) -> Given | None:
        """What a model answers; None to what is no item."""
        found = self.questions.get(_key(messages))
        if found is None:
            return None
        self._asked[snapshot, found.item.id] += 1
        repeat = self._asked[snapshot, found.item.id]
        passes = knows(found, skills, random.Random(f"{self.seed} {snapshot} {found.item.id} {repeat}"))
        return given(found.item.good if passes else found.item.bad)


def graded(items: Iterable[tuple[SuiteKind, Item]], seed: int) -> list[Question]:
    """Items with the skill each takes, and its place among those of that skill: drawn by the seed, evenly from 0 to 1."""
    kinds: dict[str, list[Item]] = {}
    for kind, item in items:
        skill = INJECTION if kind is SuiteKind.SAFETY and item.category == INJECTION else kind.value
        kinds.setdefault(skill, []).append(item)
    return [
        Question(item, skill, (place + 0.5) / len(found))
        for skill, found in kinds.items()
        for place, item in enumerate(sorted(found, key=lambda each: _drawn(f"{seed} {each.id}")))
    ]


def knows(question: Question, skills: Skills, dice: random.Random) -> bool:
    """Whether a model of these skills passes this time."""
    rate = float(getattr(skills, question.skill))
    return (question.place < rate) != (dice.random() < WAVERS)


def given(answer: Answer) -> Given:
    """An example of a suite as a turn."""
    calls = tuple(Call(call.name, msgspec.json.encode(call.arguments).decode()) for call in answer.calls)
    return Given(answer.text, calls)


def _messages(item: Item) -> list[dict[str, Any]]:
    body: dict[str, Any] = json.loads(request(item, "openai", "any").body)
    return list(body["messages"])


def _key(messages: Sequence[Mapping[str, Any]]) -> str:
    return json.dumps(messages, sort_keys=True)


def _drawn(words: str) -> bytes:
    return hashlib.sha256(words.encode()).digest()
