"""Templates from texts: figures by simulation, seeds fixed."""

from __future__ import annotations

import random
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.templates import learn
from gateway.core.templates.model import Model, pack, shown, unpack
from gateway.core.templates.text import units

FIRST = ("Alice", "Bob", "Carol", "Dave", "Eve", "Frank", "Grace", "Heidi", "Ivan", "Judy")
LAST = ("Smith", "Jones", "Stone", "Woods", "Hall", "King", "Lee", "Fox")
WORDS = [
    "market",
    "price",
    "hotel",
    "river",
    "rule",
    "garden",
    "window",
    "report",
    "train",
    "chair",
    "tool",
    "light",
    "paper",
    "stone",
    "engine",
]
RULES = [f"Rule {n}: the agent must check item {n} of the policy before it answers." for n in range(200)]


def feed(texts: list[str], model: Model | None = None, start: int = 0, each: int = 1) -> Model:
    """Learn texts, a request (or `each` of one run) per text, a second apart."""
    model = model or Model()
    for at, text in enumerate(texts, start):
        digest = sha256(text.encode()).hexdigest()
        cluster = learn.read(model, "prompt", digest, units(text), at * 1000)
        cluster.counted(each, 1, at * 1000)
        learn.settle(cluster)
        learn.prune(model, at * 1000)
    return model


def settled(model: Model) -> list[str]:
    """Templates that were seen in several requests, as shown."""
    return sorted(shown(each.units) for each in model.clusters if each.settled)


def text_of(dice: random.Random, kind: str, rules: list[str]) -> str:
    """A prompt of 200 rules as an agent of this kind builds it."""
    lines = list(rules)
    if kind in {"dated", "all"}:
        stamp = f"2026-11-{dice.randint(10, 28)} {dice.randint(10, 23)}:{dice.randint(10, 59)}:{dice.randint(10, 59)}"
        lines.insert(0, f"Today is {stamp}.")
    if kind in {"named", "all"}:
        lines.insert(0, f"You help {dice.choice(FIRST)} {dice.choice(LAST)}, customer {dice.randint(1, 9999)}.")
    if kind in {"profile", "all"}:
        lines.insert(50, f"Profile: {' '.join(dice.choices(WORDS, k=dice.randint(3, 25)))}")
    if kind in {"documents", "all"}:
        found = [" ".join(dice.choices(WORDS, k=dice.randint(5, 20))) + "." for _ in range(dice.randint(1, 12))]
        lines[100:100] = ["Documents:", *found, "End of documents."]
    return "\n".join(lines)


@pytest.fixture(scope="module")
def learnt() -> dict[str, tuple[bytes, bytes]]:
    """Models that learnt 30 requests of each kind."""
    kinds = ("plain", "dated", "named", "profile", "documents", "all")
    return {kind: pack(feed([text_of(random.Random(n), kind, RULES) for n in range(30)])) for kind in kinds}


@pytest.mark.parametrize("kind", ["plain", "dated", "named", "profile", "documents", "all"])
def test_changing_parts_become_holes(learnt: dict[str, tuple[bytes, bytes]], kind: str) -> None:
    """30 prompts with dates, names, profiles and documents in them are one template, and no rule is lost in a hole."""
    model = unpack(*learnt[kind])
    assert len(model.clusters) == 1 and model.clusters[0].n == 30
    (template,) = settled(model)
    assert [rule for rule in RULES if rule not in template] == []
    assert not any(name in template for name in (*FIRST, *WORDS[:3]))


@pytest.mark.parametrize("line", [0, 50, 99, 100, 199])
@pytest.mark.parametrize("kind", ["plain", "all"])
def test_a_changed_sentence_of_200_shows_with_the_second_request(
    learnt: dict[str, tuple[bytes, bytes]], kind: str, line: int
) -> None:
    """A word of one rule changes, beside a hole or not: two requests, and one more template says so; no more follow."""
    rules = list(RULES)
    rules[line] = rules[line].replace("must", "need not")
    texts = [text_of(random.Random(900 + n), kind, rules) for n in range(12)]
    model = unpack(*learnt[kind])
    before = settled(model)
    assert settled(feed(texts[:1], model, 100)) == before
    (fresh,) = set(settled(feed(texts[1:2], model, 101))) - set(before)
    assert f"Rule {line}: the agent need not check" in fresh and settled(model)
    assert len(settled(feed(texts[2:], model, 102))) == 2


def test_a_changed_number_or_name_shows_within_three_runs() -> None:
    """What looks like a value takes one run longer: it may still be one of many."""
    model = feed(["Refund at most 50 USD. Be polite."] * 30)
    assert [len(settled(feed(["Refund at most 500 USD. Be polite."], model, 40 + n))) for n in range(3)] == [1, 1, 2]


def test_a_long_run_with_a_new_name_is_no_new_template() -> None:
    """A user's name stays the same over a run of many steps; only other runs say that it was deployed."""
    model = feed(["You help Alice Smith. Be polite."] * 20)
    assert len(settled(feed(["You help Bob Jones. Be polite."], model, 40, each=50))) == 1
    feed(["You help Carol King. Be polite."], model, 60, each=50)
    assert settled(model) == ["You help {...}.\nBe polite."]


def test_texts_that_have_nothing_in_common_do_not_pile_up() -> None:
    """Prompts that a model or a user wrote whole are each their own: they wait, bounded, and are forgotten."""
    dice = random.Random(3)
    texts = [" ".join(dice.choices(WORDS, k=12)) + f" {n}" for n in range(150)]
    model = feed(texts)
    assert len(settled(model)) <= 1 and len(model.clusters) <= learn.LEARNING_KEPT + 1
    learn.prune(model, 10 * learn.LEARNING_MS)
    assert len(model.clusters) <= 1


def test_the_least_used_template_is_forgotten_over_the_bound() -> None:
    """Templates are bounded; requests of a forgotten one are still told."""
    texts = [f"{word} {other}." for word in WORDS for other in WORDS if word != other][: learn.SETTLED_KEPT + 6]
    model = feed([text for text in texts for _ in range(2)])
    assert len(model.clusters) <= learn.SETTLED_KEPT
    assert model.folded + sum(each.n for each in model.clusters) == 2 * len(texts)


def test_digests_are_bounded() -> None:
    """A prompt that changes with every request is one template and a bounded number of digests."""
    model = Model()
    for n in range(learn.DIGESTS_KEPT + 10):
        learn.read(model, "prompt", str(n), units("Be brief. It is 10:22:01."), n)
    assert len(model.digests) == learn.DIGESTS_KEPT and len(model.clusters) == 1


@given(st.permutations(range(24)), st.sampled_from(["named", "all"]))
@settings(max_examples=12, deadline=None)
def test_the_order_of_arrival_does_not_matter(order: list[int], kind: str) -> None:
    """Whatever comes first: the same texts, two versions of one sentence among them, end as the same two templates."""
    rules = RULES[:8]
    changed = [rules[0].replace("must", "never has to"), *rules[1:]]
    texts = [text_of(random.Random(n), kind, changed if n % 3 == 0 else rules) for n in range(24)]
    model = feed([texts[n] for n in order])
    feed([texts[n] for n in order], model, 100)
    assert len(settled(model)) == 2
    assert ["never has to" in text for text in settled(model)].count(True) == 1
