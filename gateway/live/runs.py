"""The runs API of the data port: start, look at, report on and restart a run. A run of another tenant is a run nobody knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from gateway.core.binding.sources import valid_run_id
from gateway.core.contract.exchange import Outcome
from gateway.core.contract.fault import Fault, Kind
from gateway.core.contract.journal import Event, Report, Step
from gateway.core.contract.run import Source
from gateway.live.bind import bind
from gateway.live.experiment import expose, takes_part
from gateway.live.life import Life
from gateway.live.stamps import ticket_of

if TYPE_CHECKING:
    from gateway.core.contract.run import Stamp
    from gateway.live.worker import Worker

T = TypeVar("T")
BODY_CAP = 64 << 10
PREFIX = "/trivet/runs"
ALIASES_PER_RUN = 32
METRICS_PER_REPORT = 64


class StartRun(msgspec.Struct, forbid_unknown_fields=True):
    """Body of `POST /trivet/runs`."""

    aliases: list[str]
    run: str = ""


class RestartRun(msgspec.Struct, forbid_unknown_fields=True):
    """Body of `POST /trivet/runs/{run}/restart`; may be empty."""

    run: str = ""


class BoundAlias(msgspec.Struct):
    """One alias of a run: what it is bound to, and the ticket that resumes it."""

    release: str
    model: str
    prompt: str
    """Digest of the release's prompt; empty where it is the agent's own."""
    prompt_label: str
    toolset: str
    """Digest of the release's tools; empty where they are the agent's own."""
    toolset_label: str
    tools: msgspec.Raw
    """The release's tools in neutral words; null where they are the agent's own, or not at hand."""
    pin: str
    arm: str
    ticket: str


class RunAnswer(msgspec.Struct):
    """Answer of every runs call that shows a run."""

    run: str
    aliases: dict[str, BoundAlias]
    steps: int = 0


async def runs(worker: Worker, life: Life) -> None:
    """Answer a request under /trivet/runs. Raises Fault: 400, 404 `run_not_found`, 405."""
    method, rest = life.incoming.method, life.incoming.path.removeprefix(PREFIX).strip("/")
    run, _, action = rest.partition("/")
    if not run:
        _method(method, "POST")
        start = _decode(await life.incoming.body(BODY_CAP), StartRun)
        return _send(life, await _bind_all(worker, life, start.run or "r-" + life.id, start.aliases))
    if not valid_run_id(run):
        raise _unknown()
    if action == "":
        _method(method, "GET")
        return _send(life, await _shown(worker, life, run))
    _method(method, "POST")
    body = await life.incoming.body(BODY_CAP)
    if action == "outcome":
        await _report(worker, life, run, body)
        return _send(life, {"run": run, "recorded": True})
    if action == "restart":
        record = await worker.store.run_record(life.caller.tenant, run)
        if not record.stamps:
            raise _unknown()
        wanted = _decode(body, RestartRun).run if body.strip() else ""
        if wanted and valid_run_id(wanted) and (await worker.store.run_record(life.caller.tenant, wanted)).stamps:
            raise Fault(
                Kind.CONFLICT,
                "run_bound_elsewhere",
                "`run` names a run that is bound already, and a run keeps its triple for life. Name a new one, or none.",
                param="run",
            )
        # A floating name that the run used has no release to be bound to; it goes on as it is.
        released = [alias for alias, stamp in record.stamps.items() if stamp.release]
        return _send(life, await _bind_all(worker, life, wanted or "r-" + life.id, released))
    raise Fault(
        Kind.NOT_FOUND,
        "not_found",
        "The runs API has: POST /trivet/runs, GET /{run}, POST /{run}/outcome, POST /{run}/restart.",
    )


async def _bind_all(worker: Worker, life: Life, run: str, aliases: list[str]) -> RunAnswer:
    if not valid_run_id(run):
        raise Fault(
            Kind.BAD_REQUEST, "bad_run_id", "`run` must be 1 to 128 characters of A-Z a-z 0-9 . _ : @ -.", param="run"
        )
    if not 1 <= len(aliases) <= ALIASES_PER_RUN:
        raise Fault(
            Kind.BAD_REQUEST, "bad_aliases", f"`aliases` must name 1 to {ALIASES_PER_RUN} aliases.", param="aliases"
        )
    bound: dict[str, BoundAlias] = {}
    for asked in aliases:
        one = Life(life.view, life.incoming, life.id, life.at_ms)
        one.caller, one.run, one.source, one.route = life.caller, run, Source.HEADER, life.route
        one.asked = one.alias = life.caller.aliases.get(asked, asked)
        one.state = worker.store.pointers.alias(one.alias) if life.caller.may(one.alias) else None
        if one.state is None:
            raise Fault(
                Kind.NOT_FOUND,
                "model_not_found",
                "`aliases` names an alias this gateway does not have; `trivet alias list` prints them.",
                param="aliases",
            )
        await bind(worker, one)
        assert one.stamp is not None and one.bound is not None
        if one.bound.new:
            expose(worker, one.stamp, one.state.split, one.at_ms)
        bound[asked] = _bound(worker, life, one.stamp)
    return RunAnswer(run, bound)


def _bound(worker: Worker, life: Life, stamp: Stamp) -> BoundAlias:
    pointers = worker.store.pointers
    release = pointers.release(stamp.release)
    prompt, toolset = (release.triple.prompt.digest, release.triple.tools.digest) if release is not None else ("", "")
    return BoundAlias(
        release=stamp.release,
        model=stamp.model,
        prompt=prompt,
        prompt_label=next(iter(pointers.labels_of(prompt)), ""),
        toolset=toolset,
        toolset_label=next(iter(pointers.labels_of(toolset)), ""),
        tools=msgspec.Raw((pointers.artifact(toolset) if toolset else None) or b"null"),
        pin=stamp.pin.value,
        arm=stamp.arm.value,
        ticket=ticket_of(stamp, life.view.stamp_keys[0]),
    )


async def _shown(worker: Worker, life: Life, run: str) -> RunAnswer:
    record = await worker.store.run_record(life.caller.tenant, run)
    if not record.stamps:
        raise _unknown()
    return RunAnswer(
        run,
        {alias: _bound(worker, life, stamp) for alias, stamp in record.stamps.items()},
        sum(isinstance(e, Step) for e in record.entries),
    )


async def _report(worker: Worker, life: Life, run: str, body: bytes) -> None:
    metrics = _decode(body, dict[str, float | bool])
    if not 1 <= len(metrics) <= METRICS_PER_REPORT or any(not 1 <= len(name) <= 64 for name in metrics):
        raise Fault(
            Kind.BAD_REQUEST,
            "bad_outcome",
            f"Send 1 to {METRICS_PER_REPORT} metrics, each with a name of at most 64 characters.",
        )
    record = await worker.store.run_record(life.caller.tenant, run)
    if not record.stamps:
        raise _unknown()
    await worker.store.report(life.caller.tenant, run, Report(at_ms=life.at_ms, metrics=metrics))
    for stamp in record.stamps.values():
        state = worker.store.pointers.alias(stamp.alias)
        if state is None or state.split is None or not takes_part(stamp, state.split):
            continue
        # Whether a value is bad is for the guardrail that reads it to say; here it is only carried.
        told = Event(
            run=stamp.run,
            release=stamp.release,
            arm=stamp.arm.value,
            at_ms=life.at_ms,
            allocation=stamp.allocation,
            lane=stamp.lane,
            unit=stamp.unit or stamp.run,
            version=stamp.version,
            values={f"outcome.{name}": float(value) for name, value in metrics.items()},
            tenant=stamp.tenant,
        )
        worker.store.event(stamp.alias, told)


def _decode(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise Fault(Kind.BAD_REQUEST, "invalid_body", f"The body does not fit: {error}.") from None
    except msgspec.DecodeError:
        raise Fault(Kind.BAD_REQUEST, "invalid_json", "The body is not JSON.", reason="json") from None


def _unknown() -> Fault:
    return Fault(Kind.NOT_FOUND, "run_not_found", "No such run.")


def _method(method: str, only: str) -> None:
    if method != only:
        raise Fault(Kind.METHOD, "method_not_allowed", f"This route takes {only}.", allow=(only,), reason="method")


def _send(life: Life, answer: object) -> None:
    body = msgspec.json.encode(answer)
    life.status, life.outcome, life.sending = 200, Outcome.OK, True
    life.incoming.start(200, f"content-type: application/json\r\nx-trivet-request: {life.id}\r\n".encode(), len(body))
    life.incoming.send(body)
    life.incoming.finish()
