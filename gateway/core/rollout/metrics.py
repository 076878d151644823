"""The metrics that guardrails can watch: one table, with what each does by default. docs/guardrails.md shows the same table.

Rule of the file: a metric is a row. Metrics of yes and no name what the live side found bad; metrics with a value become bad by
a limit that is fixed before anybody is exposed. `outcome.NAME` is what applications report and has no row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from gateway.core.contract.rollout import Action, Guardrail

OUTCOME = "outcome."
"""Metrics that applications report begin with this."""


class Kind(StrEnum):
    """How a metric is observed."""

    YES_NO = "yes/no"
    VALUE = "value"


@dataclass(frozen=True, slots=True)
class Metric:
    """One row."""

    name: str
    kind: Kind
    unit: str
    """Unit of the value; empty for yes and no."""
    meaning: str
    """When it is bad, or what the value is."""
    default: Guardrail
    """The guardrail of a plan that says no more than this name."""
    always: bool = True
    """Every unit shows it; one that need not is counted where it is seen, and without it there is no data."""


def _yes_no(name: str, meaning: str, action: Action = Action.ROLLBACK, ratio: float = 1.0) -> Metric:
    return Metric(name, Kind.YES_NO, "", meaning, Guardrail(name, action, ratio))


def _value(name: str, unit: str, meaning: str, action: Action, *, always: bool = True) -> Metric:
    return Metric(name, Kind.VALUE, unit, meaning, Guardrail(name, action, 1.25, above="p95"), always)


_ROWS = (
    _yes_no("error", "a request failed: an error of the provider, a timeout, or an answer that broke off"),
    _yes_no("refusal", "an answer was a refusal, by the provider's own word", Action.FREEZE, 1.25),
    _yes_no("truncation", "an answer ended at its limit of tokens", Action.FREEZE, 1.25),
    _yes_no("invalid_tool_call", "a tool call whose arguments do not fit the release's schema"),
    _yes_no("invalid_json", "an answer that should be JSON, or fit a schema, and does not"),
    _yes_no(
        "lost_run", "a run cannot go on: its release is blocked, unreadable or does not fit it, or its model is gone"
    ),
    _value("latency_ms", "ms", "request to last byte of the answer", Action.FREEZE),
    _value("first_byte_ms", "ms", "request to first byte of the answer", Action.OBSERVE),
    _value("input_tokens", "tokens", "everything the model read in a request", Action.OBSERVE, always=False),
    _value("output_tokens", "tokens", "everything the model wrote in a request", Action.OBSERVE, always=False),
    _value("cost_micro", "millionths of a US dollar", "list price of a request", Action.OBSERVE, always=False),
    _value("steps", "steps", "requests of a run so far", Action.FREEZE),
)
METRICS: Mapping[str, Metric] = MappingProxyType({row.name: row for row in _ROWS})
"""What the gateway sees by itself."""

TRIPWIRES: Mapping[str, str] = MappingProxyType(
    {
        "undeclared_tool": "the candidate called a tool that its release does not declare",
        "model_gone": "the provider says that the candidate's model does not exist, or not any more",
        "model_mismatch": "the provider answered with another model than the pinned one",
        "canary_string": "an answer or a call of the candidate held one of the manifest's `canaries`",
    }
)
"""What needs no statistics: the first unit of the canary that hits one freezes, the `trips`-th rolls back."""


def is_known(name: str) -> bool:
    """Whether a guardrail may name this metric: a row of the table, or `outcome.` and a name."""
    return name in METRICS or (name.startswith(OUTCOME) and len(name) > len(OUTCOME))


def default_guardrail(name: str) -> Guardrail:
    """The guardrail that a metric's name alone stands for. An outcome freezes, and is bad when it is false (below 0.5).

    Raises KeyError for a name that is not known.
    """
    if name.startswith(OUTCOME) and is_known(name):
        return Guardrail(name, Action.FREEZE, below=0.5)
    return METRICS[name].default


def has_value(name: str) -> bool:
    """Whether the metric is a value that becomes bad by a limit; outcomes are, false being 0 and true 1."""
    row = METRICS.get(name)
    return name.startswith(OUTCOME) if row is None else row.kind is Kind.VALUE


def is_always_seen(name: str) -> bool:
    """Whether every unit shows it, so that units without a bad event are good ones; else only those that were seen count."""
    row = METRICS.get(name)
    return row is not None and row.always
