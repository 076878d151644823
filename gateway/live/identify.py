"""Phase 2, identify: which dialect, which alias, which run.

The route decides the dialect, the envelope gives model and stream flag, the run comes from the configured sources in order.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.core.binding import ticket as tickets
from gateway.core.binding.sources import telling, valid_run_id
from gateway.core.contract.fault import Fault, Kind
from gateway.core.contract.release import PinClass
from gateway.core.contract.run import Source
from gateway.core.dialect.registry import DIALECTS
from gateway.core.dialect.routes import Operation, RouteKind
from gateway.live.owned import check_named
from gateway.live.unmanaged import class_of, provider_of

if TYPE_CHECKING:
    from gateway.live.life import Life
    from gateway.live.worker import Worker

ANTHROPIC_HEADER = b"anthropic-version"
GOOGLE_HEADERS = frozenset((b"x-goog-api-client", b"x-goog-api-key"))
"""What only one vendor's clients send: it tells whose path a versioned one is that several of them have."""
JSON_TYPES = (b"application/json", b"text/json")
RELEASE_PREFIX = "rel_"
MODEL_LENGTH = 256
"""Longest model name in characters; it goes into stamps and tickets."""
RUN_GRAMMAR = "1 to 128 characters of A-Z a-z 0-9 . _ : @ -"


def is_json(content_type: bytes) -> bool:
    """Whether a content type says JSON; parameters such as charset do not matter."""
    bare = content_type.partition(b";")[0].strip().lower()
    return bare in JSON_TYPES or bare.endswith(b"+json")


def check_kind(life: Life) -> None:
    """Raise Fault 405 with Allow for a method that the route does not take, 415 for another content type."""
    incoming, route = life.incoming, life.route
    assert route is not None
    if incoming.method not in route.methods:
        raise Fault(
            Kind.METHOD,
            "method_not_allowed",
            f"This route takes {' or '.join(route.methods)}.",
            allow=route.methods,
            reason="method",
        )
    kind = incoming.fields.get(b"content-type")
    if kind is not None and not is_json(kind):
        raise Fault(
            Kind.UNSUPPORTED,
            "unsupported_media_type",
            "This route takes a JSON body: send Content-Type: application/json.",
            reason="method",
        )


async def read_body(life: Life) -> None:
    """Read the whole body of a generation route and its envelope. Raises whatever the dialect finds wrong in the body."""
    incoming, route, dialect = life.incoming, life.route, life.dialect
    assert route is not None and dialect is not None
    limit = life.view.serve.body_bytes
    body = incoming.at_hand(limit)  # most came with their head
    life.body = await incoming.body(limit) if body is None else body
    life.envelope = dialect.read(route.operation, life.body)


def name_alias(worker: Worker, life: Life) -> None:
    """Set `asked`, `alias`, `state` and `provider`.

    An alias is found by `x-trivet-alias`, else the key's map, else the deployment of an Azure path, which is what Azure
    itself goes by, else the request's own `model`; what is no alias goes to a provider under the `unmanaged` policy.
    Raises Fault: 400 without a model, 404 `model_not_found`.
    """
    envelope, route = life.envelope, life.route
    assert envelope is not None and route is not None
    asked = route.alias or envelope.model
    named = life.incoming.fields.get(b"x-trivet-alias")
    if not asked and named is None:
        raise Fault(Kind.BAD_REQUEST, "missing_model", "The body names no `model`.", param="model", reason="model")
    life.asked = asked or ""
    if len(life.asked) > MODEL_LENGTH:
        raise Fault(
            Kind.BAD_REQUEST,
            "bad_model",
            f"`model` is longer than {MODEL_LENGTH} characters.",
            param="model",
            reason="model",
        )
    if route.alias:
        envelope.check_model(route.alias)
    pointers = worker.store.pointers
    if named is not None:
        life.alias = named.decode("latin-1")
        life.state = pointers.alias(life.alias) if life.caller.may(life.alias) else None
        if life.state is None:
            raise _not_found("x-trivet-alias", "names no alias of this gateway; `trivet alias list` prints them.")
        return
    assert asked is not None
    mapped = life.caller.aliases.get(asked, asked)
    if not life.caller.may(mapped):
        raise _not_found(
            "model", "names nothing that this key may ask for; `allow` of the key or its tenant lists what it may."
        )
    life.alias = mapped
    life.state = pointers.alias(mapped)
    route = life.route
    if life.state is not None and life.state.learned and route is not None and route.provider:
        # A name was learned from its own provider; a path that names a provider means that one's model of the name.
        life.state = None
    if life.state is not None:
        return
    if mapped != asked:
        raise _not_found(
            "model", "is mapped by this key to an alias that does not exist yet; `trivet alias list` prints them."
        )
    if asked.startswith(RELEASE_PREFIX):
        return
    life.provider = provider_of(life)
    if not pointers.known and (asked in life.view.settings.aliases or class_of(life).pin is not PinClass.PINNED):
        # Without pointers nobody knows whether the name is an alias, learned ones included: it must not float meanwhile.
        raise Fault(
            Kind.OVERLOADED,
            "no_pointer",
            "The model may be an alias, but this gateway has neither its store nor a copy of the pointers yet. Retry shortly.",
            retry=True,
            retry_after=1,
        )


def _not_found(param: str, what: str) -> Fault:
    return Fault(Kind.NOT_FOUND, "model_not_found", f"`{param}` {what}", param=param, reason="model")


async def find_run(worker: Worker, life: Life) -> None:
    """Set `run`, `source`, `resume`, `ticket` and `label`, unless the head was enough to tell (`live.standing`).

    Raises Fault: 400 `bad_run_id`, 403 `stamp_invalid`, 400 `ambiguous_run` when a ticket and the run header disagree, 409
    `run_stamp_missing` for provider state that no run of the tenant is known to own, 403 as `check_named`.
    """
    envelope = life.envelope
    assert envelope is not None
    if not life.run:
        await _name_run(worker, life)
    state_id = envelope.state_id
    if state_id and life.source is not Source.STATE:
        await _continue(worker, life, state_id)
    if life.view.auth == "keys":
        await check_named(worker, life, life.body)


async def _name_run(worker: Worker, life: Life) -> None:
    fields = life.incoming.fields
    label = fields.get(b"x-trivet-step")
    if label is not None:
        life.label = _grammar(label, "x-trivet-step")
    required = fields.get(b"x-trivet-resume")
    if required is not None:
        if required != b"required":
            raise Fault(
                Kind.BAD_REQUEST,
                "bad_resume",
                "x-trivet-resume takes the one word `required`.",
                param="x-trivet-resume",
            )
        life.resume = True
    signed = fields.get(b"x-trivet-ticket")
    if signed is not None:
        _from_ticket(life, signed)
    else:
        for source in life.view.run_sources:
            if await _from_source(worker, life, source):
                break
        else:
            life.run = "r-" + life.id


def _from_ticket(life: Life, signed: bytes) -> None:
    view, fields = life.view, life.incoming.fields
    ticket = tickets.verify(
        signed.decode("latin-1"),
        view.stamp_keys,
        now_ms=life.at_ms,
        max_age_s=view.max_age,
        tenant=life.caller.tenant,
    )
    named = fields.get(b"x-trivet-run")
    if named is not None and named != ticket.run.encode():
        raise Fault(
            Kind.BAD_REQUEST,
            "ambiguous_run",
            "x-trivet-run and x-trivet-ticket name two different runs. Send one of them, or both of the same run.",
            param="x-trivet-run",
        )
    life.run, life.source = ticket.run, Source.TICKET
    if ticket.alias == life.alias:
        life.ticket, life.resume = ticket, True


async def _from_source(worker: Worker, life: Life, source: str) -> bool:
    envelope = life.envelope
    assert envelope is not None
    if source == "state":
        return await _from_state(worker, life, envelope.state_id)
    if source == "tool_calls":
        brought = [each for each in envelope.results if telling(each)]
        if not brought:
            return False
        linked = await worker.store.linked(life.caller.tenant, brought)
        if linked is None:
            return False
        life.run, life.source = linked.run, Source.TOOL_CALL
        return True
    if source.startswith("metadata."):
        text = envelope.metadata(source[9:])
        if not text or not valid_run_id(text):
            return False
        life.run, life.source = text, Source.HEADER
        return True
    value = life.incoming.fields.get(source.encode())
    if value is None:
        return False
    life.run, life.source = _grammar(value, source), Source.HEADER
    return True


async def _from_state(worker: Worker, life: Life, state_id: str) -> bool:
    if not state_id:
        return False
    linked = await worker.store.linked(life.caller.tenant, (state_id,))
    if linked is None:
        raise _unowned()
    life.run, life.source, life.keeper = linked.run, Source.STATE, linked.provider
    # Another alias of the run has a stamp of its own, and a conversation may be new: no model has answered in it.
    life.resume = life.resume or linked.alias == life.alias
    return True


async def _continue(worker: Worker, life: Life, state_id: str) -> None:
    """A run that was named otherwise is a resume too when it continues state of its own, or state that nobody knows; and what
    nobody knows may be another tenant's."""
    linked = await worker.store.linked(life.caller.tenant, (state_id,))
    if linked is None:
        if life.view.auth == "keys" and "provider-state" not in life.caller.rights:
            raise _unowned()
        life.resume = life.resume or "state" in life.view.run_sources
        return
    life.keeper = linked.provider
    if (linked.run, linked.alias) == (life.run, life.alias):
        life.resume = True


def _unowned() -> Fault:
    return Fault(
        Kind.CONFLICT,
        "run_stamp_missing",
        "The request continues provider state that no run of this tenant is known to own, so its release is unknown. "
        "Start a new conversation, or send the run's x-trivet-ticket.",
        param="previous_response_id",
    )


def _grammar(value: bytes, where: str) -> str:
    text = value.decode("latin-1")
    if not valid_run_id(text):
        raise Fault(Kind.BAD_REQUEST, "bad_run_id", f"`{where}` must be {RUN_GRAMMAR}.", param=where, reason="run_id")
    return text


def choose_dialect(life: Life) -> None:
    """Set `dialect` from the route; routes without one answer errors in the OpenAI shape.

    Some paths are the same in OpenAI's and Anthropic's API (models, files): there a header that every Anthropic client sends
    says whose is meant, and the route becomes one of that dialect.
    """
    route = life.route
    assert route is not None
    if (
        not route.generates
        and route.dialect == "openai"
        and (route.kind is RouteKind.DEFAULT or route.operation is Operation.MODELS)
    ):
        incoming = life.incoming
        if ANTHROPIC_HEADER in incoming.fields:
            route = life.route = replace(route, dialect="anthropic")
        elif not GOOGLE_HEADERS.isdisjoint(incoming.fields) or "key=" in incoming.query:
            route = life.route = replace(route, dialect="gemini")
    life.dialect = DIALECTS.get(route.dialect) or DIALECTS["openai"]
