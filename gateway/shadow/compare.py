"""From the bytes of a pair to its line: both answers put together, checked and compared, the secondary with the same ruler.

The rule: pure, and from stored bytes alone, so that a pair can be compared again with new rules (`trivet shadow rediff`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from jsonschema.exceptions import SchemaError
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for

from gateway.core.contract.job import Job
from gateway.core.contract.pair import Line, Side
from gateway.core.contract.reply import Reply
from gateway.core.dialect.base import reply_of
from gateway.core.dialect.registry import DIALECTS
from gateway.core.dialect.routes import Operation
from gateway.core.dialect.toolset import read
from gateway.core.diff.calls import Toolset
from gateway.core.diff.replies import Answer, Comparison, compare
from gateway.shadow.turns import turn


@dataclass(frozen=True, slots=True)
class Call:
    """What came back of one call."""

    side: Side
    body: bytes
    """The answer's bytes; empty when there was none."""


@dataclass(frozen=True, slots=True)
class Tools:
    """The toolsets that both releases give their model, where they give one of their own."""

    primary: bytes = b""
    """Canonical bytes of the artifact; empty for what the request sent."""
    candidate: bytes = b""


def observed_side(job: Job, model: str, cost: int | None = None) -> Side:
    """The primary's side of a job: what the live worker saw, and what that costs in micro-USD."""
    return Side(
        release=job.primary,
        model=model,
        status=job.status,
        first_byte_ms=job.first_byte_ms,
        total_ms=job.total_ms,
        observed=job.observed,
        cost=cost,
        stream=job.stream,
    )


def line(job: Job, body: bytes, primary: Call, candidate: Call, secondary: Call | None, tools: Tools) -> Line:
    """The line of a pair. `body` is the client's request, before rewriting."""
    request = decoded(body)
    sent = _sent_tools(job, body)
    own = _toolset(tools.primary) if tools.primary else sent
    theirs = _toolset(tools.candidate) if tools.candidate else sent
    schema = response_schema(request)
    first = _answer(job, primary, own)
    found = compare(first, _answer(job, candidate, theirs), schema)
    noise = compare(first, _answer(job, secondary, own), schema) if secondary is not None else None
    return Line(
        pair=job.pair,
        tenant=job.tenant,
        run=job.run,
        step=job.step,
        turn=turn(request),
        at_ms=job.at_ms,
        primary=primary.side,
        candidate=candidate.side,
        pair_class=found.pair_class,
        severity=found.severity,
        similarity=found.similarity,
        differences=found.differences,
        probability=job.probability,
        dialect=job.dialect,
        operation=job.operation,
        stream=job.stream,
        replay_ms=job.replay_ms,
        **_noise(secondary, noise),
    )


def assembled(job: Job, body: bytes, *, stream: bool) -> Reply:
    """The whole answer that these bytes are."""
    return reply_of(DIALECTS[job.dialect], Operation(job.operation), body, stream=stream)


def response_schema(request: Mapping[str, Any]) -> Validator | None:
    """The JSON Schema that a request asks its answer to keep, in the words of any dialect; None when it asks for none, or for
    one that is no schema."""
    for path in _SCHEMAS:
        node: Any = request
        for name in path:
            node = node.get(name) if isinstance(node, dict) else None
        if isinstance(node, dict) and node:
            try:
                kind = validator_for(node)
                kind.check_schema(node)
            except (SchemaError, TypeError):
                return None
            return kind(node)
    return None


_SCHEMAS = (
    ("response_format", "json_schema", "schema"),
    ("text", "format", "schema"),
    ("output_config", "format", "schema"),
    ("output_format", "schema"),
    ("generationConfig", "responseJsonSchema"),
    ("generation_config", "response_json_schema"),
)
"""Where OpenAI chat, Responses, Anthropic (now and before) and Gemini take it. Gemini's `responseSchema` is no JSON Schema."""


def decoded(body: bytes) -> dict[str, Any]:
    """A request body as a value; empty when it is no JSON object."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _noise(secondary: Call | None, noise: Comparison | None) -> dict[str, Any]:
    if secondary is None or noise is None:
        return {}
    return {
        "secondary": secondary.side,
        "noise_class": noise.pair_class,
        "noise_similarity": noise.similarity,
        "noise": noise.differences,
    }


def _answer(job: Job, call: Call, tools: Toolset | None) -> Answer:
    side = call.side
    if side.failed or not 200 <= side.status < 300:
        return Answer(None, side.failed or str(side.status), tools)
    reply = assembled(job, call.body, stream=side.stream)
    if reply.observed.error:
        return Answer(None, reply.observed.error, tools)
    return Answer(reply, "" if reply.observed.terminal else "cut", tools)


def _sent_tools(job: Job, body: bytes) -> Toolset | None:
    """What the request itself gives the model; None where it gives nothing that could be read."""
    raw = DIALECTS[job.dialect].read(Operation(job.operation), body).toolset()
    return _toolset(raw) if raw else Toolset.of(())


def _toolset(raw: bytes) -> Toolset | None:
    try:
        return Toolset.of(read(raw))
    except ValueError:
        return None
