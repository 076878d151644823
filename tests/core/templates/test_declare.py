"""Who answers for a template."""

from __future__ import annotations

from gateway.core.templates import learn
from gateway.core.templates.declare import Patience, Sight, count, marked, more, requests, undeclared
from gateway.core.templates.model import Model
from gateway.core.templates.text import units

QUICK = Patience(runs=20, ms=0)


def model(*texts: str) -> Model:
    """A model that knows texts by themselves as digests, nothing counted yet."""
    made = Model()
    for text in texts:
        learn.read(made, "prompt", text, units(text), 0)
    return made


def counted(known: Model, seen: Sight, patience: Patience) -> int:
    """Count a sight; requests found undeclared by it."""
    before = requests(known)
    count(known, seen, patience)
    return more(known, before)


def sight(text: str, n: int = 1, release: str = "rel_a", at_ms: int = 0, governed: bool = False) -> Sight:
    """So many runs of one request each."""
    return Sight(release, text, n, n, at_ms, governed)


def test_what_a_release_brings_at_first_is_its_baseline() -> None:
    """Nothing is undeclared until the window has closed; then the same kind of news is."""
    known = model("Be brief.", "Ask twice about prices.", "Never lie to anybody here.")
    assert counted(known, sight("Be brief.", 10), QUICK) == 0
    assert counted(known, sight("Ask twice about prices.", 5), QUICK) == 0
    assert counted(known, sight("Be brief.", 20), QUICK) == 0
    assert counted(known, sight("Never lie to anybody here.", 1), QUICK) == 0
    assert counted(known, sight("Never lie to anybody here.", 1), QUICK) == 2  # both, now that it is settled
    assert counted(known, sight("Never lie to anybody here.", 3), QUICK) == 3
    assert [each.baseline for each in known.clusters] == ["rel_a", "rel_a", ""]
    assert [each.n for each in undeclared(known)] == [5]
    assert marked(known, 10) == ["Never lie to anybody here."]


def test_a_new_release_brings_a_baseline_of_its_own() -> None:
    """A deploy that goes with a release is no undeclared one."""
    known = model("Be brief.", "Never lie to anybody here.")
    count(known, sight("Be brief.", 30), QUICK)
    count(known, sight("Be brief.", 30), QUICK)
    assert counted(known, sight("Never lie to anybody here.", 5, "rel_b"), QUICK) == 0
    assert [each.baseline for each in known.clusters] == ["rel_a", "rel_b"]


def test_a_baseline_is_open_for_its_time_at_least() -> None:
    """Thousands of requests in the first second do not close it: rare prompts take their time."""
    known, patience = model("Be brief.", "Never lie to anybody here."), Patience(20, 300_000)
    count(known, sight("Be brief.", 5000), patience)
    count(known, sight("Be brief.", 5000, at_ms=299_999), patience)
    assert counted(known, sight("Never lie to anybody here.", 5, at_ms=299_999), patience) == 0
    known = model("Be brief.", "Never lie to anybody here.")
    count(known, sight("Be brief.", 5000), patience)
    count(known, sight("Be brief.", 1, at_ms=300_000), patience)
    count(known, sight("Be brief.", 20, at_ms=300_001), patience)
    assert counted(known, sight("Never lie to anybody here.", 5, at_ms=300_002), patience) == 5


def test_what_a_release_verified_or_served_is_declared() -> None:
    """A governed leg declares what went through under it, and takes no part in a baseline."""
    known = model("Be brief.")
    assert counted(known, sight("Be brief.", 9, governed=True), QUICK) == 0
    assert (known.clusters[0].declared, known.clusters[0].baseline, known.windows) == (("rel_a",), "", {})
    assert counted(known, sight("Be brief.", 9, "rel_b"), QUICK) == 0 and not undeclared(known)


def test_texts_that_were_never_offered_are_counted_apart() -> None:
    """A share is told of what was read; the rest has a number of its own."""
    known = model()
    assert counted(known, sight("unknown", 7), QUICK) == 0
    assert known.unread == 7 and marked(known, 5) == []
