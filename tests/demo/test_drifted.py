"""The eleventh scene claims an alarm, what follows from it and the way back; each of it can fail."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest

from gateway.core.contract.alias import AliasState, Lane, Split
from gateway.core.contract.evidence import GateReport, Word
from gateway.core.contract.probing import ProbeProgress, Window
from gateway.core.contract.records import Acknowledgement, HistoryEntry, Moved
from gateway.core.contract.rollout import Phase, Rollout
from gateway.core.contract.sentinel import Alarm, DriftRow, Proof, WarmRow
from gateway.core.stats import mmd
from gateway.demo import drifted
from gateway.demo.agent import Case, Run
from gateway.demo.drifted import OPEN, PROMPTS, QUESTION, SAMPLES, SILENT
from gateway.demo.listener import Told
from gateway.demo.minds import BETTER, CANDIDATE, LENIENT, LOOK_UP, MINDS, NEW, REFUND, Mind, Said, decide
from gateway.demo.served import GatewayFailed
from tests.demo.test_rollouts import NEW as TARGET
from tests.demo.test_rollouts import OLD as LIVE
from tests.demo.test_rollouts import PLAN, run
from tests.demo.test_screen import screen

FORMER = "rel_000000000000000c"


def window(mind: Mind, seed: int) -> dict[str, list[str]]:
    """Answers of a mind to the questions of the scene."""
    found: dict[str, list[str]] = {}
    for asked in drifted.questions():
        for sample in range(SAMPLES):
            turn = decide(mind, random.Random(f"{seed} {sample} {asked}"), [{"role": "user", "content": asked}], ())
            assert isinstance(turn, Said)
            found.setdefault(asked, []).append(turn.text)
    return found


@pytest.mark.parametrize("seed", range(4))
def test_the_test_tells_the_change_from_noise_whatever_the_seed(seed: int) -> None:
    """The model asked again is no alarm in two windows; the other one is, in each."""
    reference = window(MINDS[BETTER], seed)
    ps = {
        name: [mmd.compare(reference, window(mind, 100 * seed + more), seed).p for more in (1, 2)]
        for name, mind in (("same", MINDS[BETTER]), ("other", LENIENT))
    }
    assert not mmd.alarmed(ps["same"]) and mmd.alarmed(ps["other"])
    assert len(reference) == PROMPTS and QUESTION.format(number=0, days=25) in reference


def progress(*ps: float, alarm: str = "", discarded: int = 0, reference_ms: int = 1) -> ProbeProgress:
    """What a window came to, after so many others."""
    return ProbeProgress(
        alias="gpt-4o",
        release=LIVE,
        snapshot=SILENT,
        prompts=PROMPTS,
        samples=SAMPLES,
        done=0,
        failed=0,
        going=False,
        reference_ms=reference_ms,
        windows=tuple(Window(1, 0.1, p, 72) for p in ps),
        discarded=discarded,
        calls=72 * (1 + len(ps)),
        chances=False,
        chances_past=(),
        epoch=1,
        alarm=alarm,
        told="",
    )


@pytest.mark.parametrize(
    ("done", "held"),
    [
        (progress(0.4), True),
        (progress(0.004), True),
        (progress(), False),
        (progress(0.4, alarm="probe"), False),
        (progress(0.4, discarded=1), False),
        (progress(0.4, reference_ms=0), False),
    ],
    ids=[
        "like it",
        "one window by chance",
        "nothing compared",
        "an alarm",
        "a window that was not whole",
        "no reference",
    ],
)
def test_a_reference_is_claimed_with_a_window_that_is_no_alarm(done: ProbeProgress, held: bool) -> None:
    """Recorded, compared, and quiet."""
    shown, _ = screen(120)
    drifted.tell_reference(shown, done)
    assert bool(shown.held) is held


@pytest.mark.parametrize(
    ("done", "held"),
    [
        (progress(0.4, 0.001, 0.002, alarm="probe"), True),
        (progress(0.4, 0.001, 0.002), False),
        (progress(0.4, 0.001, 0.002, alarm="model"), False),
        (progress(0.4, alarm="probe"), False),
    ],
    ids=["as it is", "nobody is alarmed", "by the name", "before any window"],
)
def test_an_alarm_is_claimed_with_its_windows_and_calls(done: ProbeProgress, held: bool) -> None:
    """By the probes, after the change, in windows that were counted."""
    shown, text = screen(120)
    drifted.tell_alarm(shown, progress(0.4), done)
    assert bool(shown.held) is held
    if held:
        assert "2 windows, 144 calls: p 0.0010 and 0.0020" in text.getvalue()


def test_a_name_on_the_wire_is_noticed() -> None:
    """The change is silent only if every answer names the pinned model."""
    for runs, held in (([run(LIVE, model=BETTER)], True), ([run(LIVE, model=CANDIDATE)], False), ([], False)):
        shown, _ = screen(120)
        drifted.tell_names(shown, runs)
        assert bool(shown.held) is held
    assert drifted.on(LIVE, [run(LIVE), run(TARGET), run(LIVE, TARGET)]) == [run(LIVE)]


def test_evidence_that_counts_still_is_noticed() -> None:
    """Both suites stale, for this model, and no word any more."""
    why = f"evidence 1 was made before {SILENT} was seen to change"
    stale = GateReport("gpt-4o", TARGET, LIVE, Word.INSUFFICIENT, (), (), stale=(why, why))
    for changes, held in (
        ({}, True),
        ({"verdict": Word.GO}, False),
        ({"stale": (why,)}, False),
        ({"stale": ("old",) * 2}, False),
    ):
        shown, _ = screen(120)
        drifted.tell_stale(shown, msgspec.structs.replace(stale, **changes))
        assert bool(shown.held) is held


ADVICE = f"gpt-4o: `trivet rollback gpt-4o --to {FORMER} --reason '...'` goes back to openai/x, proven"


def row(snapshot: str, alarm: str, **more: Any) -> DriftRow:
    """A line of `trivet drift status`."""
    found = DriftRow(
        snapshot=snapshot,
        pin="pinned",
        epoch=2 if alarm else 1,
        since_ms=500,
        alarm=alarm,
        open=bool(alarm),
        before=NEW,
        after=CANDIDATE,
        test="",
        endpoint="",
        observed=(),
        used=(),
        advice=(ADVICE,),
    )
    return msgspec.structs.replace(found, **more)


def test_an_open_change_is_claimed_by_its_names() -> None:
    """An alarm because another model answers, with both names."""
    for found, held in (
        (row(OPEN, Alarm.MODEL), True),
        (row(OPEN, ""), False),
        (row(OPEN, Alarm.PROBE), False),
        (row(OPEN, Alarm.MODEL, after=BETTER), False),
    ):
        shown, text = screen(120)
        drifted.tell_openly(shown, found, 0.7)
        assert bool(shown.held) is held and "700 ms" in text.getvalue()


def frozen(phase: Phase = Phase.FROZEN, *causes: str, by: str = "trivet") -> HistoryEntry:
    """The last transition."""
    rollout = Rollout("0123456789abcdef", TARGET, LIVE, ("*",), PLAN, phase, causes=causes)
    state = AliasState("gpt-4o", 9, {"*": Lane(LIVE)}, rollout=rollout, split=Split(TARGET, rollout.id, {"*": 2000}))
    return HistoryEntry(2500, by, "rollout_freeze", "why", 9, None, state, id="1-0")


@pytest.mark.parametrize(
    ("entry", "held"),
    [
        (frozen(Phase.FROZEN, f"drift:{SILENT}@2"), True),
        (frozen(Phase.FROZEN, f"drift:{OPEN}@2"), False),
        (frozen(Phase.FROZEN, f"drift:{SILENT}@2", "operator"), False),
        (frozen(Phase.FROZEN, f"drift:{SILENT}@2", by="local"), False),
        (frozen(Phase.CANARY), False),
    ],
    ids=["as it is", "by the other model", "by a person too", "a person did it", "goes on"],
)
def test_a_freeze_is_claimed_with_its_cause(entry: HistoryEntry, held: bool) -> None:
    """By itself, for this epoch and nothing else, at the weight that it had."""
    shown, text = screen(120)
    drifted.tell_frozen(shown, [entry], row(SILENT, Alarm.PROBE))
    assert bool(shown.held) is held
    assert "2000 ms after the alarm" in text.getvalue() and "20 %" in text.getvalue()


def test_a_message_counts_with_its_signature_only() -> None:
    """Somebody was told, and it was the gateway who told it."""
    body = {"type": "trivet.drift", "data": {"reason": SILENT}}
    for told, held in ((Told(body, signed=True), True), (Told(body, signed=False), False), (None, False)):
        shown, _ = screen(120)
        drifted.tell_heard(shown, told)
        assert bool(shown.held) is held


def proof(place: int, release: str, model: str, *, ready: bool = True) -> WarmRow:
    """A line of `trivet warm`."""
    return WarmRow(
        alias="gpt-4o",
        lane="*",
        place=place,
        release=release,
        model=model,
        proof=Proof.PROVEN if ready else Proof.DEAD,
        at_ms=1,
        age_ms=1,
        source="probe",
        why="",
        days_left=None,
        ready=ready,
    )


SOUND = "openai/x"
STATUS = {SILENT: row(SILENT, "probe"), OPEN: row(OPEN, "model"), SOUND: row(SOUND, "")}
NEWER = "rel_000000000000000d"


@pytest.mark.parametrize(
    ("proofs", "held"),
    [
        ([proof(1, FORMER, SOUND)], True),
        ([proof(1, NEWER, OPEN), proof(2, FORMER, SOUND)], True),
        ([proof(1, NEWER, SOUND, ready=False), proof(2, FORMER, SOUND)], True),
        ([proof(1, NEWER, SOUND), proof(2, FORMER, SOUND)], False),
        ([proof(0, FORMER, SOUND)], False),
        ([proof(1, FORMER, SILENT)], False),
    ],
    ids=[
        "the only one",
        "a newer one drifted",
        "a newer one is dead",
        "a newer one is fine",
        "not former",
        "itself drifted",
    ],
)
def test_the_way_back_is_the_newest_that_is_sound(proofs: list[WarmRow], held: bool) -> None:
    """Proven, on a model without an alarm, and none newer of that kind."""
    shown, _ = screen(120)
    assert drifted.tell_offer(shown, STATUS, proofs) == FORMER
    assert bool(shown.held) is held


def test_no_way_back_ends_the_story() -> None:
    """Without a command there is nothing to type."""
    shown, _ = screen(120)
    with pytest.raises(GatewayFailed, match="no way back"):
        drifted.tell_offer(shown, {SILENT: row(SILENT, "probe", advice=("make one",))}, [])


def test_a_rollback_ends_the_rollout_as_well() -> None:
    """There within a second, and nobody gets the candidate any more."""
    ended = Rollout("0123456789abcdef", TARGET, LIVE, ("*",), PLAN, Phase.ROLLED_BACK)
    state = AliasState("gpt-4o", 9, {"*": Lane(FORMER)}, rollout=ended)
    lanes = {"*": Lane(LIVE)}
    done = Moved(
        alias="gpt-4o",
        action="rollback",
        changed=True,
        version=9,
        before=lanes,
        after=state.lanes,
        split_before=None,
        split_after=None,
        warnings=(),
        override="",
        acknowledged=Acknowledgement(9, {"w": 20.0}, ()),
    )
    replace = msgspec.structs.replace
    for moved, found, held in (
        (done, state, True),
        (replace(done, acknowledged=Acknowledgement(9, {"w": 20.0}, ("v",))), state, False),
        (done, replace(state, lanes=lanes), False),
        (done, replace(state, rollout=replace(ended, phase=Phase.FROZEN)), False),
        (done, replace(state, rollout=None), False),
    ):
        shown, _ = screen(120)
        drifted.tell_back(shown, moved, found, FORMER)
        assert bool(shown.held) is held


def runs(refunds: int, of: int = 24) -> list[Run]:
    """Runs of which so many refunded."""
    return [Run(Case("A-1", 40), tools=[LOOK_UP, *([REFUND] if number < refunds else [])]) for number in range(of)]


@pytest.mark.parametrize(
    ("before", "changed", "back", "held"), [(2, 22, 3, True), (2, 5, 3, False), (2, 22, 20, False)], ids=str
)
def test_behaviour_is_claimed_beyond_chance(before: int, changed: int, back: int, held: bool) -> None:
    """Changed by the other model, and back with the way back."""
    shown, _ = screen(120)
    drifted.tell_runs(shown, (runs(before), runs(changed), runs(back)))
    assert bool(shown.held) is held
