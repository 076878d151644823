"""One request and the provider's whole answer, as far as the gateway observed it without touching it."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Outcome(StrEnum):
    """How an exchange ended."""

    OK = "ok"
    PROVIDER_ERROR = "provider_error"
    """The provider answered with an error status or a mid-stream error event."""
    CUT = "cut"
    """The provider's answer ended before it was whole."""
    INCOMPLETE = "incomplete"
    """The stream ended cleanly without the dialect's terminal event."""
    TIMEOUT = "timeout"
    REFUSED = "refused"
    """The provider could not be called at all."""
    MAYBE_SENT = "maybe_sent"
    """The connection was lost while or after sending; the provider may have worked on it."""
    CLIENT_GONE = "client_gone"
    SLOW_CLIENT = "slow_client"
    FAULT = "fault"
    """The gateway itself refused after binding."""


class Usage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Tokens as the provider counts them, in one convention for every dialect (prices apply to it): parts are inside wholes."""

    input: int = 0
    """Everything the model read, tokens from and into the provider's cache included."""
    output: int = 0
    """Everything the model wrote, reasoning included."""
    cached: int = 0
    """Of the input: read from the provider's cache."""
    reasoning: int = 0
    """Of the output: reasoning."""
    written: int = 0
    """Of the input: written to the provider's cache, where that has a price of its own."""
    written_hour: int = 0
    """Of `written`: kept for an hour, which costs more than the usual minutes."""


class Observed(msgspec.Struct, omit_defaults=True):
    """What a reply decoder learnt from an answer on the side. Mutable while the answer runs."""

    model: str = ""
    fingerprint: str = ""
    response_id: str = ""
    finish: str = ""
    usage: Usage | None = None
    tool_calls: list[str] = []
    """Ids of tool calls handed out, in order of appearance."""
    tool_names: list[str] = []
    """Names of the tools that the client is to call, each once, in order of appearance."""
    states: list[str] = []
    """Ids under which the provider keeps this answer or its conversation, so that a later request can continue it."""
    terminal: bool = False
    """The dialect's terminal event was seen, or a whole non-streamed body."""
    error: str = ""
    """Code of an error body or error event; empty when there was none."""
    refused: bool = False
    """The model declined in a part that the dialect has for it, whatever `finish` says."""
