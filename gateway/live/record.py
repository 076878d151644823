"""Phase 7, record: journal, exposure, events, metrics. Nothing here can fail or delay the request: the answer has left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.core.contract.journal import Step
from gateway.core.contract.run import Pin, Source
from gateway.live.capture import RATE_STATUS, give_way, offer
from gateway.live.costs import cost_of
from gateway.live.experiment import expose, takes_part, tell
from gateway.live.limits import leave
from gateway.live.overhead import millis, overhead
from gateway.live.view import LIVE

if TYPE_CHECKING:
    from gateway.core.contract.alias import AliasState
    from gateway.core.contract.run import Stamp
    from gateway.live.life import Life
    from gateway.live.notice import Notices
    from gateway.live.worker import Worker


def record(worker: Worker, life: Life) -> None:
    """Count the request and, when it was bound, write down what happened to it."""
    ended = worker.clock()
    if life.observed is None and life.decoder is not None:
        life.observed = life.decoder.observed
    life.cost = cost_of(life)
    if life.held >= 0:
        leave(life, ended)
    worker.meters.request(life, ended)
    stamp = life.stamp
    if stamp is None or life.bound is None:
        return
    step = entry(life, stamp, ended, worker.notices)
    watched = stamp.alias in life.view.watched
    if not watched:
        worker.store.step(stamp, step)
    who = worker.identities
    if who is not None and step.answered:
        words = (step.answered, step.fingerprint)
        if who.known.get((step.model, step.endpoint)) != words:
            who.tell(life, stamp, step)
    if life.copy is not None and life.copy.shadows:
        offer(worker, life, life.copy, ended)
    if life.status == RATE_STATUS:
        give_way(worker, life)
    part = life.state is not None and _expose(worker, life, stamp, life.state)
    if watched or part:
        tell(worker, life, stamp, step, part=part)
    if not stamp.release and stamp.pin is Pin.FLOATING:
        _floating(worker, life)


def entry(life: Life, stamp: Stamp, ended: float, notices: Notices | None = None) -> Step:
    """The journal's entry of a step; what it sent is noticed, if it went to a provider under a release."""
    envelope, observed, bound = life.envelope, life.observed, life.bound
    answer = life.answer or life.failed
    assert bound is not None
    started = life.incoming.started
    prompt, tools, flags = "", life.tools_sent, life.flags
    if envelope is not None:
        digests = life.view.digests
        prompt = digests.of(envelope.system())
        tools = tools or digests.of(envelope.toolset())
    if (
        notices is not None
        and notices.on
        and life.forwarded
        and stamp.release
        and envelope is not None
        and life.caller.role is LIVE
    ):
        flags += notices.saw(stamp, prompt, tools, envelope)
    # In the order of the fields: more than fifteen names would make the call ten times as dear.
    return Step(
        life.id,
        bound.step,
        stamp.alias,
        stamp.release,
        life.asked,
        stamp.model,
        observed.model if observed is not None else "",
        life.outcome,
        life.status,
        life.at_ms,
        millis(ended - started),
        millis(life.first_byte - started) if life.first_byte else 0.0,
        millis(overhead(life, ended)),
        observed.fingerprint if observed is not None else "",
        answer.endpoint if answer is not None else "",
        prompt,
        tools,
        observed.usage if observed is not None else None,
        life.cost,
        observed.finish if observed is not None else "",
        answer.attempts if answer is not None else 0,
        answer.attempt_log if answer is not None else (),
        life.label,
        envelope.stream if envelope is not None else False,
        life.source,
        life.route.path if life.route is not None else "",
        life.code or (observed.error if observed is not None else ""),
        life.excerpt,
        flags,
    )


def _expose(worker: Worker, life: Life, stamp: Stamp, state: AliasState) -> bool:
    """Exposure of new runs, and whether the request is of a run in a rollout. A run of one request counts only while a rollout
    splits."""
    split, bound = state.split, life.bound
    assert bound is not None
    if bound.new and (split is not None or stamp.source is not Source.NONE):
        expose(worker, stamp, split, life.at_ms)
    return split is not None and takes_part(stamp, split)


def _floating(worker: Worker, life: Life) -> None:
    observed, learner = life.observed, worker.learner
    if (
        learner is None
        or observed is None
        or not observed.model
        or life.view.unmanaged != "learn"
        or "learn" not in life.caller.rights
        or (life.route is not None and life.route.provider)
    ):
        return
    learner.saw(life.view, life.provider, life.asked, observed.model, life.credential)
