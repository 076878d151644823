"""One step of a rollout, and what an alias looks like at it. Pure: a word and a rollout in, a rollout out.

Rule of the file: weights, shadow, pointers and bars are a function of the rollout (`state_after`), so one write moves all of
them, and a process that takes over computes the same. An illegal word raises and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from gateway.core.contract.alias import EVERYONE, AliasState, Lane, Shadow, Split, Stakes
from gateway.core.contract.fault import Fault, Kind
from gateway.core.contract.rollout import EXPOSED, TERMINAL, Phase, Plan, Rollout, Stage, Word
from gateway.core.rollout.lanes import backward, forward
from gateway.core.rollout.table import PERSONAL, Back, Effect, Guard, Row, When, cause, rows, sentence


def begin(
    state: AliasState,
    plan: Plan,
    candidate: str,
    *,
    identifier: str,
    now_ms: int,
    actor: str = "",
    reason: str = "",
) -> Rollout:
    """A draft of this plan for the candidate. `identifier` is new: 16 hex digits, the salt of its split.

    Raises Fault 409: `rollout_active` while another lives, `candidate_barred` until it is retried, `candidate_stable` where it
    is the incumbent, `lanes_differ` where the lanes have not one incumbent; 404 `lane_unknown` for a lane that has no pointer
    and no `*` to take it from.
    """
    current = state.rollout
    if current is not None and not current.ended:
        raise Fault(
            Kind.CONFLICT,
            "rollout_active",
            f"alias {state.name} has a rollout of {current.candidate} in progress ({where(current)}); end it first",
        )
    if candidate in state.barred:
        raise Fault(
            Kind.CONFLICT,
            "candidate_barred",
            f"release {candidate} is barred: {state.barred[candidate]}. `trivet rollout retry` lifts that, with a reason.",
        )
    lanes = tuple(dict.fromkeys(stage.lane for stage in plan.stages))
    return Rollout(
        id=identifier,
        candidate=candidate,
        incumbent=_incumbent(state, lanes, candidate),
        lanes=lanes,
        plan=plan,
        since_ms=now_ms,
        started_ms=now_ms,
        version=state.version + 1,
        actor=actor,
        reason=reason,
    )


def _incumbent(state: AliasState, lanes: Sequence[str], candidate: str) -> str:
    """The one release that is stable in all these lanes."""
    stable: dict[str, str] = {}
    for name in lanes:
        pointer = state.lanes.get(name) or state.lanes.get(EVERYONE)
        if pointer is None:
            message = f"alias {state.name} has no lane {name} and no lane {EVERYONE} to take its release from"
            raise Fault(Kind.NOT_FOUND, "lane_unknown", message, param="lanes")
        stable[name] = pointer.release
    if candidate in stable.values():
        at = next(name for name, release in stable.items() if release == candidate)
        raise Fault(Kind.CONFLICT, "candidate_stable", f"release {candidate} is stable in lane {at} already")
    if len(set(stable.values())) != 1:
        told = ", ".join(f"{name} {release}" for name, release in stable.items())
        raise Fault(
            Kind.CONFLICT,
            "lanes_differ",
            f"a rollout compares one candidate with one incumbent, and its lanes serve different releases: {told}. "
            "Roll out to lanes that serve the same one.",
        )
    return next(iter(stable.values()))


def turn(  # noqa: PLR0913 - what a word carries, by keyword, each with its default
    rollout: Rollout,
    word: Word,
    *,
    now_ms: int,
    stakes: Stakes,
    causes: Iterable[str] = (),
    actor: str = "",
    reason: str = "",
    evidence: Iterable[str] = (),
    override: str = "",
    report: str = "",
    limits: Mapping[str, float] | None = None,
) -> Rollout:
    """The rollout after the word. `override` names who answers for a missing GO; empty takes the actor.

    `limits` are kept only while nobody has been exposed: thresholds do not move during the comparison.
    Raises Fault 409 `rollout_state` for a word that the table does not have there or the stakes refuse, naming the phase and
    what is possible; 400 `reason_missing` where the stakes ask for a reason.
    """
    row = _row(rollout, word, stakes)
    _guarded(row, stakes, reason, override or actor)
    change: dict[str, object] = {"phase": _phase(rollout, row), "actor": actor, "reason": reason}
    if evidence:
        change["evidence"] = tuple(dict.fromkeys((*rollout.evidence, *evidence)))
    if report:
        change["shadow_report"] = report
    if limits and rollout.at < 0:
        change["limits"] = dict(limits)
    if Effect.NEXT in row.effects:
        change |= {"at": rollout.at + 1, "waived": tuple(code for code in rollout.waived if _over(code))}
    if Effect.CLOCK in row.effects:
        change["since_ms"] = now_ms
    change |= _said(rollout, word, override or actor, reason)
    change |= _caused(rollout, word, tuple(causes), now_ms)
    return msgspec.structs.replace(rollout, **change)


def _said(rollout: Rollout, word: Word, name: str, reason: str) -> dict[str, object]:
    """What a person's word leaves in the rollout for good."""
    if word is Word.SKIP_SHADOW:
        return {"skip_shadow": reason or "no reason was asked for"}
    if word is Word.OVERRIDE:
        return {"override": f"{name or 'unnamed'}: {reason or 'no reason was asked for'}"}
    if word is Word.APPROVE:
        return {"approved": (*rollout.approved, rollout.at + 1)}
    if word is Word.ACCEPT:
        return {"accepted": tuple(dict.fromkeys((*rollout.accepted, rollout.at)))}
    if word is Word.RETRY:
        return {"retried": True}
    return {}


def _caused(rollout: Rollout, word: Word, causes: tuple[str, ...], now_ms: int) -> dict[str, object]:
    """Causes after the word: gathered by a freeze, lifted by a person, kept at the end, gone else."""
    if word is Word.FREEZE:
        fresh = causes or ("operator",)
        if rollout.phase is Phase.FROZEN:
            return {"causes": tuple(dict.fromkeys((*rollout.causes, *fresh)))}
        return {"causes": fresh, "frozen_from": rollout.phase, "frozen_ms": now_ms}
    if rollout.phase is Phase.FROZEN and word in {Word.RESUME, Word.ACCEPT, Word.OVERRIDE}:
        lifted, left = lifts(rollout, word)
        waived = (*rollout.waived, *lifted) if word is Word.RESUME else rollout.waived
        frozen = {} if left else {"frozen_from": None, "frozen_ms": 0}
        return {"causes": left, "waived": tuple(dict.fromkeys(waived)), **frozen}
    if word is Word.RETRY:
        return {}
    if word in _ENDING:
        return {"causes": causes or _ENDING[word], "frozen_from": None, "frozen_ms": 0}
    return {"causes": (), "frozen_from": None, "frozen_ms": 0}


_ENDING: Mapping[Word, tuple[str, ...]] = {
    Word.SHADOW_FAILED: ("shadow_failed",),
    Word.NO_GO: ("gate_no_go",),
    Word.REGRESSION: ("guardrail",),
    Word.EXPIRE: ("deadline",),
    Word.ABORT: ("operator",),
    Word.ROLLBACK: ("operator",),
}
"""Words that end a rollout, and the cause where none was told."""


def lifts(rollout: Rollout, word: Word) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The causes of a freeze that a person's word lifts, and those that it leaves."""
    lifted = tuple(code for code in rollout.causes if cause(code).lifted_by is word)
    return lifted, tuple(code for code in rollout.causes if code not in lifted)


def _over(code: str) -> bool:
    """Whether a cause that a person resumed from is an event of its own, which the next stage need not be told of again."""
    return ":" in code and cause(code).event


def needs_approval(rollout: Rollout, at: int, stakes: Stakes) -> bool:
    """Whether a person must approve before stage `at` begins; their number stands for promoting, which always needs it at high."""
    stages = rollout.plan.stages
    if at >= len(stages):
        return stakes is Stakes.HIGH or rollout.plan.promoting.approve
    return stages[at].approve


def stage(rollout: Rollout) -> Stage | None:
    """The stage whose weight is in force, or would be while frozen; None before the first."""
    stages = rollout.plan.stages
    if rollout.at < 0:
        return None
    return stages[rollout.at] if rollout.at < len(stages) else rollout.plan.promoting


def phase_of(rollout: Rollout) -> Phase:
    """The phase it is in, or was frozen in."""
    return rollout.frozen_from or rollout.phase


def holds(when: When, rollout: Rollout, word: Word, stakes: Stakes) -> bool:
    """Whether a row's condition is met."""
    following = rollout.at + 1
    more = following < len(rollout.plan.stages)
    approval = needs_approval(rollout, following, stakes)
    if when in {When.LIFTED, When.PARTLY}:
        lifted, left = lifts(rollout, word)
        return bool(lifted) and bool(left) is (when is When.PARTLY)
    return {
        When.ALWAYS: True,
        When.STAGE: more and not approval,
        When.APPROVAL: approval,
        When.LAST: not more and not approval,
        When.MORE: more,
        When.DONE: not more,
    }[when]


def possible(rollout: Rollout, stakes: Stakes) -> tuple[Word, ...]:
    """What a person may do now, given a name and a reason."""
    return tuple(
        word
        for word in Word
        if word in PERSONAL
        and any(
            holds(row.when, rollout, word, stakes) and row.guard[stakes] is not Guard.REFUSED
            for row in rows(rollout.phase, word)
        )
    )


def warning(rollout: Rollout, word: Word, stakes: Stakes) -> str:
    """What to tell a person who says this word now; empty where there is nothing to warn of."""
    found = [row for row in rows(rollout.phase, word) if holds(row.when, rollout, word, stakes)]
    if found and found[0].guard[stakes] is Guard.WARNED:
        return f"{word.value} without a GO: nobody has shown that the candidate is not worse. It stays in the history."
    return ""


def where(rollout: Rollout) -> str:
    """The phase for users, with its stage."""
    at, stages = stage(rollout), rollout.plan.stages
    if at is None or rollout.phase in TERMINAL:
        return rollout.phase.value
    share = f"{at.weight / 100:g} %"
    if rollout.at >= len(stages):
        return f"{rollout.phase.value}, {share}"
    return f"{rollout.phase.value}, stage {rollout.at + 1} of {len(stages)}: {share} of {at.lane}"


def _row(rollout: Rollout, word: Word, stakes: Stakes) -> Row:
    """The one row that applies. Raises Fault 409 `rollout_state`."""
    found = [row for row in rows(rollout.phase, word) if holds(row.when, rollout, word, stakes)]
    if found and found[0].guard[stakes] is not Guard.REFUSED:
        return found[0]
    why = f"an alias with stakes `{stakes.value}` does not allow that" if found else "that is not possible now"
    if rollout.phase is Phase.FROZEN:
        why += f" (frozen: {'; '.join(sentence(code) for code in rollout.causes)})"
    now = ", ".join(each.value for each in possible(rollout, stakes)) or "nothing; start another"
    raise Fault(
        Kind.CONFLICT,
        "rollout_state",
        f"{word.value}: the rollout is {where(rollout)}, and {why}. Possible now: {now}.",
    )


def _guarded(row: Row, stakes: Stakes, reason: str, name: str) -> None:
    """Raises Fault where the stakes ask for what was not given."""
    guard = row.guard[stakes]
    if guard in {Guard.REASON, Guard.NAMED} and not reason.strip():
        message = f"{row.word.value} at stakes `{stakes.value}` needs a reason: it stays in the history with your name"
        raise Fault(Kind.BAD_REQUEST, "reason_missing", message, param="reason")
    if guard is Guard.NAMED and not name.strip():
        message = f"{row.word.value} at stakes `{stakes.value}` needs the name of who answers for it"
        raise Fault(Kind.BAD_REQUEST, "override_missing", message, param="override")


def _phase(rollout: Rollout, row: Row) -> Phase:
    if isinstance(row.to, Phase):
        return row.to
    if row.to is Back.CAME_FROM and rollout.frozen_from is not None:
        return rollout.frozen_from
    return rollout.phase


def weights(rollout: Rollout) -> dict[str, int]:
    """Share of 10,000 by lane that is on the candidate now: stages up to the current one, the last of each lane."""
    if rollout.at < 0 or rollout.phase not in EXPOSED:
        return {}
    if rollout.at >= len(rollout.plan.stages):
        return dict.fromkeys(rollout.lanes, rollout.plan.promoting.weight)
    return {each.lane: each.weight for each in rollout.plan.stages[: rollout.at + 1]}


def state_after(state: AliasState, rollout: Rollout, warm: int) -> AliasState:
    """The alias with this rollout in it: lanes, split, shadow and bar follow from the rollout. `version` is left to the write.

    `warm` is how many former releases a lane remembers. Lanes of the rollout without a pointer of their own get that of `*`.
    """
    shares = weights(rollout)
    split = None
    if shares:
        split = Split(rollout.candidate, rollout.id, shares, rollout.plan.by, rollout.version)
    return msgspec.structs.replace(
        state,
        rollout=rollout,
        split=split,
        lanes=_lanes(state, rollout, warm),
        shadows=_shadows(state, rollout),
        barred=_barred(state, rollout),
    )


def _lanes(state: AliasState, rollout: Rollout, warm: int) -> dict[str, Lane]:
    lanes = dict(state.lanes)
    if not rollout.ended or rollout.phase is Phase.COMPLETED:
        for name in rollout.lanes:
            lanes.setdefault(name, state.lanes.get(EVERYONE) or Lane(rollout.incumbent))
    if rollout.phase is Phase.COMPLETED:
        return {n: forward(p, rollout.candidate, warm) if n in rollout.lanes else p for n, p in lanes.items()}
    if rollout.phase is Phase.ROLLED_BACK and not rollout.retried:
        inside = {n for n in rollout.lanes if n in lanes and lanes[n].release == rollout.candidate}
        return {n: backward(p, rollout.incumbent) if n in inside else p for n, p in lanes.items()}
    return lanes


def _shadows(state: AliasState, rollout: Rollout) -> tuple[Shadow, ...]:
    """While it shadows, the candidate has an entry: its own or one that was there before. Afterwards its own is gone."""
    if phase_of(rollout) is not Phase.SHADOWING:
        return tuple(entry for entry in state.shadows if entry.salt != rollout.id)
    if any(entry.candidate == rollout.candidate for entry in state.shadows):
        return state.shadows
    own = Shadow(
        rollout.candidate,
        rollout.id,
        rate=rollout.plan.shadow_rate,
        secondary=rollout.plan.shadow_secondary,
        started_ms=rollout.since_ms,
    )
    return (*state.shadows, own)


def _barred(state: AliasState, rollout: Rollout) -> dict[str, str]:
    """Who was aborted, rolled back or expired is barred with the reason, until it is retried or became stable."""
    others = {release: why for release, why in state.barred.items() if release != rollout.candidate}
    if not rollout.ended or rollout.phase is Phase.COMPLETED or rollout.retried:
        return others
    why = "; ".join(sentence(code) for code in rollout.causes)
    said = f" ({rollout.reason})" if rollout.reason not in ("", why) else ""
    return {**others, rollout.candidate: f"{rollout.phase.value}: {why}{said}"}


def unbarred(state: AliasState, release: str) -> AliasState:
    """The alias with this release's bar lifted, whichever rollout made it."""
    barred = {each: why for each, why in state.barred.items() if each != release}
    rollout = state.rollout
    if rollout is not None and rollout.candidate == release and rollout.ended:
        rollout = msgspec.structs.replace(rollout, retried=rollout.phase is not Phase.COMPLETED)
    return msgspec.structs.replace(state, barred=barred, rollout=rollout)
