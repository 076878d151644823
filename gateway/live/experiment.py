"""What a request of a run in a rollout says to the guardrails: one event, once its answer has left. And what the journal says of an
answer that fits no schema, where an alias is watched for that.

Rule of the file: a run that has no part in either costs two comparisons. What is said here is what the gateway saw; whether it
is too much is for who reads it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec

from gateway.core.contract.alias import AliasState, Arm, Split
from gateway.core.contract.exchange import Outcome
from gateway.core.contract.journal import Event, Exposure
from gateway.core.contract.release import Mode
from gateway.core.dialect import output
from gateway.core.diff.finish import Ending, ending
from gateway.live.answers import coded
from gateway.live.capture import Copy
from gateway.live.checks import ANSWER_BYTES, LEAKED, WHOLE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.core.contract.journal import Step
    from gateway.core.contract.run import Stamp
    from gateway.core.dialect.base import Envelope
    from gateway.live.life import Life
    from gateway.live.worker import Worker

BAD_OUTCOMES = frozenset(
    {Outcome.PROVIDER_ERROR, Outcome.CUT, Outcome.INCOMPLETE, Outcome.TIMEOUT, Outcome.REFUSED, Outcome.MAYBE_SENT}
)
"""Outcomes that count against a release; a client that left or read slowly does not."""
LOST = frozenset(
    {
        "release_blocked",
        "release_unreadable",
        "artifact_unreadable",
        "leg_unserved",
        "missing_variable",
        "prompt_mismatch",
        "tools_mismatch",
        "tools_not_listed",
    }
)
"""Codes with which a bound run is refused for what its release is: it cannot go on, whoever asks again."""
GONE = "release_unavailable"
"""Flag of a request whose provider no longer has the model."""
TRIPS: Mapping[str, str] = MappingProxyType({GONE: "model_gone", "model_mismatch": "model_mismatch"})
"""Flags that are tripwires."""
BAD_ENDINGS: Mapping[Ending, str] = MappingProxyType(
    {Ending.TRUNCATED: "truncation", Ending.REFUSAL: "refusal", Ending.FILTERED: "refusal"}
)
SUPPLIED = (b'"computerUse"', b'"computer_use"')
"""Tools of Gemini's that bring functions whose names the request does not hold."""
WHOLE = (Ending.NATURAL, Ending.CALLS)
"""How an answer ends that said all it had to say: one that is paused, or has only been taken up, owes nothing yet."""
UNCHECKED = "unchecked"
"""Flag of a step of a watched alias whose answer has calls or JSON in it that nobody read: it says nothing of schemas."""
MALFORMED, UNEXPECTED = "malformed_function_call", "unexpected_tool_call"
"""Gemini's own words for an answer that it withholds: its call is no call, or of a tool that was not given."""


def takes_part(stamp: Stamp, split: Split) -> bool:
    """Whether a run is observed for the rollout: it was drawn for an arm, and since the rollout began."""
    return stamp.allocation > 0 and stamp.version >= split.since


def expose(worker: Worker, stamp: Stamp, split: Split | None, at_ms: int) -> None:
    """Say that a new run was bound, with the arm and the allocation that it got: once, by whoever bound it."""
    exposure = Exposure(
        run=stamp.run,
        tenant=stamp.tenant,
        alias=stamp.alias,
        release=stamp.release,
        arm=stamp.arm.value,
        allocation=stamp.allocation,
        salt=split.salt if split is not None else "",
        at_ms=at_ms,
        lane=stamp.lane,
        unit=stamp.unit or stamp.run,
        version=stamp.version,
    )
    worker.store.exposure(exposure)


def begin(life: Life, state: AliasState) -> None:
    """Have a copy of the answer taken where there may be something to read in it. A whole answer costs a reference."""
    stamp, route, envelope, split = life.stamp, life.route, life.envelope, state.split
    if stamp is None or route is None or envelope is None or life.copy is not None:
        return
    if state.name not in life.view.watched and (split is None or not takes_part(stamp, split)):
        return
    if route.generates and (
        not envelope.stream or _has_tools(life, envelope) or form_of(life) or never_of(state, stamp)
    ):
        life.copy = Copy((), "", ANSWER_BYTES)


def _has_tools(life: Life, envelope: Envelope) -> bool:
    return envelope.has_tools or (life.legs is not None and bool(life.legs.tools))


def never_of(state: AliasState | None, stamp: Stamp) -> tuple[str, ...]:
    """What no answer of the candidate may hold; nothing where the rollout declares nothing, and of the incumbent."""
    if state is None or state.rollout is None or stamp.arm is not Arm.CANARY:
        return ()
    return state.rollout.plan.canaries


def form_of(life: Life) -> bytes:
    """The JSON that the answer should be, as `output.asked` says of the request and what the release sets in it."""
    route, envelope, release = life.route, life.envelope, life.release
    if route is None or envelope is None:
        return b""
    return output.asked(route.dialect, envelope.members, release.triple.params.set if release is not None else {})


def tell(worker: Worker, life: Life, stamp: Stamp, step: Step, *, part: bool) -> None:
    """Say what a request showed; where its answer has calls or JSON in it, once those were read. With `part` an event says it to
    the guardrails; the step of a watched alias is written down here, with what was found."""
    bad, trips = _bad(life, step), _trips(worker, life) if part else ()

    def say(faults: tuple[str, ...]) -> None:
        if stamp.alias in life.view.watched:
            worker.store.step(stamp, msgspec.structs.replace(step, flags=(*step.flags, *faults)) if faults else step)
        if part:
            found = [*bad, *(fault for fault in faults if fault not in (UNCHECKED, LEAKED))]
            hit = (*trips, LEAKED) if LEAKED in faults else trips
            worker.store.event(stamp.alias, _event(life, stamp, step, found, hit))

    observed, copy = life.observed, life.copy
    if copy is not None and observed is not None and life.outcome is Outcome.OK:
        form, fits = b"", False
        if not bad and ending(step.finish) in WHOLE:
            form = form_of(life)
            fits = bool(observed.tool_names or form)
        never = never_of(life.state, stamp) if part else ()
        if fits or never:
            if not _read_later(worker, life, (fits, form, never), say):
                say((UNCHECKED,) if fits else ())
            return
    say(())


def _read_later(
    worker: Worker, life: Life, asked: tuple[bool, bytes, tuple[str, ...]], say: Callable[[tuple[str, ...]], None]
) -> bool:
    """Have the answer read, and what is wrong with it said then. `asked` is whether its calls should fit their schema, the JSON it
    should be and what it must never hold. False, and counted, where it is not to be read."""
    stamp, copy, dialect, route, checks = life.stamp, life.copy, life.dialect, life.route, worker.checks
    if stamp is None or copy is None or dialect is None or route is None or route.operation is None:
        return False
    why = _unread(life, copy) or checks.refusal(worker.clock())
    if why:
        worker.meters.add("unchecked_total", stamp.alias, why)
        return False
    operation, pieces = route.operation, copy.pieces
    fits, form, never = asked

    def read() -> None:
        faults: tuple[str, ...] = ()
        try:
            answer = (b"".join(pieces), life.events)
            raw = _toolset(worker, life) if fits else b""
            faults = checks.faults(dialect, operation, answer, (raw, form), never)
        except Exception as error:  # noqa: BLE001 - it runs alone in a turn of the loop: counted, and the event is told
            worker.meters.failed(life.id, error)
        say(faults)

    checks.later(read, worker.clock)
    return True


def _unread(life: Life, copy: Copy) -> str:
    """Why an answer cannot be read; empty when it can."""
    if copy.room < 0 or sum(map(len, copy.pieces)) > (ANSWER_BYTES if life.events else WHOLE_BYTES):
        return "too_large"
    return "coded" if life.answer is not None and coded(life.answer.out) else ""


def _bad(life: Life, step: Step) -> list[str]:
    """The metrics of yes and no that are bad by what is at hand."""
    bad = ["error"] if life.outcome in BAD_OUTCOMES else []
    word = BAD_ENDINGS.get(ending(step.finish or step.code))
    if life.observed is not None and life.observed.refused:
        word = "refusal"
    if word is not None:
        bad.append(word)
    if step.finish.lower() == MALFORMED:
        bad.append("invalid_tool_call")
    if life.code in LOST or GONE in life.flags:
        bad.append("lost_run")
    return bad


def _trips(worker: Worker, life: Life) -> tuple[str, ...]:
    """The tripwires that were hit."""
    trips = [TRIPS[flag] for flag in life.flags if flag in TRIPS]
    observed = life.observed
    if observed is not None and (
        observed.finish.lower() == UNEXPECTED
        or (observed.tool_names and _undeclared(worker, life, observed.tool_names))
    ):
        trips.append("undeclared_tool")
    return tuple(trips)


def _undeclared(worker: Worker, life: Life, names: list[str]) -> bool:
    """Whether a tool was called that neither the release nor, with tools as sent, the request has. Tools that the provider
    keeps, with a cache or a stored prompt, nobody here can know."""
    envelope = life.envelope
    if envelope is None or envelope.held or envelope.stored_prompt:
        return False
    raw = _toolset(worker, life)
    return not all(_holds(raw, name) for name in names) and not any(tool in raw for tool in SUPPLIED)


def _toolset(worker: Worker, life: Life) -> bytes:
    """The tools that the model was given, as the release or the request has them."""
    legs, envelope = life.legs, life.envelope
    if legs is not None and legs.tools_leg.mode is Mode.SERVE:
        return worker.store.pointers.artifact(legs.tools_leg.digest) or b""
    return envelope.toolset() if envelope is not None else b""


def _holds(raw: bytes, name: str) -> bool:
    """Whether a name stands in a toolset as a JSON string, in either way to write letters that are not ASCII."""
    if b'"%b"' % name.encode("utf-8", "replace") in raw:
        return True
    return not name.isascii() and json.dumps(name).lower().encode() in raw.lower()


def _event(life: Life, stamp: Stamp, step: Step, bad: list[str], trips: tuple[str, ...]) -> Event:
    values: dict[str, float] = {"steps": step.step}
    if life.forwarded:
        values["latency_ms"] = step.total_ms
    if step.first_byte_ms:
        values["first_byte_ms"] = step.first_byte_ms
    if step.usage is not None:
        values["input_tokens"], values["output_tokens"] = step.usage.input, step.usage.output
    if step.cost_micro is not None:
        values["cost_micro"] = step.cost_micro
    return Event(
        run=stamp.run,
        release=stamp.release,
        arm=stamp.arm.value,
        at_ms=life.at_ms,
        allocation=stamp.allocation,
        lane=stamp.lane,
        unit=stamp.unit or stamp.run,
        version=stamp.version,
        bad=tuple(bad),
        values=values,
        trips=trips,
        tenant=stamp.tenant,
    )
