"""The life of a request, as one coroutine: admit, identify, bind, rewrite, forward, relay, record.

Whatever goes wrong in a phase is a Fault by the time it is here; whatever happened, `record` runs once and cannot fail the answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.core.contract.exchange import Outcome
from gateway.core.contract.fault import Fault, Kind
from gateway.core.dialect.routes import Operation, RouteKind
from gateway.live import capture, experiment
from gateway.live.admit import admit
from gateway.live.bind import bind
from gateway.live.forward import forward
from gateway.live.health import health
from gateway.live.identify import check_kind, choose_dialect, find_run, name_alias, read_body
from gateway.live.life import Life
from gateway.live.models import models
from gateway.live.passing import pass_through
from gateway.live.record import record
from gateway.live.refuse import answer_fault, draining, fault_of, internal, slow_body
from gateway.live.relay import relay
from gateway.live.rewrite import rewrite
from gateway.live.runs import runs
from gateway.live.standing import recalled, remember
from gateway.upstream.faults import UpstreamFault
from gateway.wire.errors import BadMessage, ClientGone, DeadlineExceeded, Draining

if TYPE_CHECKING:
    from gateway.live.worker import Worker
    from gateway.wire.exchange import Incoming


class Handler:
    """What the server calls for each request."""

    __slots__ = ("_worker",)

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    async def __call__(self, incoming: Incoming) -> None:
        """Serve one request to its end."""
        worker = self._worker
        life = Life(worker.view, incoming, worker.request_id(), worker.now_ms())
        worker.meters.in_flight.n += 1
        try:
            await serve(worker, life)
        except Fault as fault:
            if isinstance(fault, UpstreamFault):
                life.failed = fault
                life.outcome = fault.outcome
            worker.meters.refused(fault)
            answer_fault(life, fault)
        except BadMessage as bad:
            answer_fault(life, fault_of(bad))
        except ClientGone as gone:
            _gone(worker, life, gone)
        except DeadlineExceeded as late:
            life.outcome, life.code = Outcome.SLOW_CLIENT, f"client_{late.phase}"
            if late.phase == "body" and not life.sending:
                _drop_upstream(life)
                answer_fault(life, slow_body())
            else:
                _abort(life)
        except Draining:
            life.outcome, life.code = Outcome.CUT, "draining"
            _drop_upstream(life)
            answer_fault(life, draining())
        except Exception as error:  # noqa: BLE001 - the outermost loop of this floor: counted, logged by type, answered
            worker.meters.failed(life.id, error)
            _drop_upstream(life)
            answer_fault(life, internal())
        finally:
            worker.meters.in_flight.n -= 1
            record(worker, life)


async def serve(worker: Worker, life: Life) -> None:
    """Take a request through the phases of its route."""
    if not recalled(life):
        route = life.route = life.view.route(life.incoming.path)
        choose_dialect(life)
        kind = route.kind
        if kind is RouteKind.HEALTH:
            return health(worker, life)
        admit(life)
        if kind is RouteKind.UNKNOWN:
            raise Fault(
                Kind.NOT_FOUND,
                "not_found",
                "No such route. Agents use /v1/… as base URL, /{provider}/… passes through to a configured provider.",
                reason="route",
            )
        if kind is RouteKind.RUNS:
            return await runs(worker, life)
        if kind is not RouteKind.DIALECT:
            return await pass_through(worker, life)
        if route.operation is Operation.MODELS:
            return await models(worker, life)
        check_kind(life)
        remember(life)
    await read_body(life)
    name_alias(worker, life)
    await find_run(worker, life)
    await bind(worker, life)
    state = life.state
    if state is not None:
        if state.shadows:
            capture.begin(worker, life)
        if state.split is not None or state.name in life.view.watched:
            experiment.begin(life, state)
    rewrite(worker, life)
    await forward(worker, life, life.body)
    return await relay(worker, life)


def _gone(worker: Worker, life: Life, gone: ClientGone) -> None:
    """The client left: stop the provider at once, unless its whole answer had been sent."""
    observed = life.decoder.observed if life.decoder is not None else None
    if observed is not None and observed.terminal:
        life.outcome = Outcome.OK
    else:
        life.outcome, life.code = Outcome.CLIENT_GONE, "client_gone"
        worker.meters.client_gone(gone.phase)
    _abort(life)


def _abort(life: Life) -> None:
    _drop_upstream(life)
    life.incoming.abort()


def _drop_upstream(life: Life) -> None:
    if life.answer is not None:
        life.answer.out.abort()
