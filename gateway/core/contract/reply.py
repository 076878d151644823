"""A provider's whole answer in words that all dialects share: what is compared, graded and shown, never what is relayed.

The rule: what has no word here is kept as it was sent, so two replies can differ in it and nothing is lost.
"""

from __future__ import annotations

import msgspec

from gateway.core.contract.exchange import Observed


class ToolCall(msgspec.Struct, frozen=True, omit_defaults=True):
    """A tool that the model asked to be called."""

    name: str
    arguments: str
    """JSON text as the model wrote it, pieces joined; it may be no JSON at all."""
    id: str = ""


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """One of the answers in a reply: a choice or a candidate. Most replies hold one."""

    text: str = ""
    refusal: str = ""
    """What the model said when it declined in so many words (`refusal` parts); empty where the dialect has no such part."""
    reasoning: str = ""
    """Readable reasoning or its summary; signatures and encrypted reasoning are under `others`."""
    tool_calls: tuple[ToolCall, ...] = ()
    finish: str = ""
    """The dialect's own word for why it ended: `stop`, `end_turn`, `MAX_TOKENS`, ..."""
    others: tuple[str, ...] = ()
    """Parts without a word above (images, hosted tool calls, citations, signatures), each as JSON text, in order; a streamed
    part is put together as its unstreamed form would be."""


class Reply(msgspec.Struct, frozen=True, omit_defaults=True):
    """A whole answer, the same for the streamed and the unstreamed form of it."""

    observed: Observed
    messages: tuple[Message, ...] = ()
    """By index."""
    others: tuple[str, ...] = ()
    """Top-level results that are no message (embeddings, token counts) as JSON text."""
