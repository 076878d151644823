"""What a wire format owes the rest of the gateway: an envelope to route by, a decoder that observes, an error shape.

The rule: bytes pass through, only what is touched is typed. A member nobody here asks for may have any shape.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

from gateway.core.contract.fault import Fault, Kind
from gateway.core.dialect.splice import Members, unbounded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.core.contract.artifact import Tool
    from gateway.core.contract.exchange import Observed
    from gateway.core.contract.reply import Reply
    from gateway.core.dialect.routes import Operation

FORBIDDEN = frozenset({"api_base", "base_url", "api_key", "extra_headers", "custom_host"})
"""Top-level members by which some gateways let a client choose the host or the key (faults.md B6)."""

_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_text = msgspec.json.Decoder(str).decode


class Envelope:
    """What the gateway reads of a request to route it. This base knows `model`, `stream` and `metadata`, which look the
    same wherever a body has them; a dialect's own envelope adds the rest. Digest material is cut out only when asked for.
    """

    __slots__ = ("members", "model", "stream")

    def __init__(self, members: Members) -> None:
        self.members = members
        self.model: str | None = members.text("model")
        """As sent; None when absent or not a string."""
        self.stream = members.get("stream") == b"true"

    @classmethod
    def of_members(cls, members: Members) -> Envelope:
        """The envelope of a body whose dialect is not known further. Raises Fault 400 `forbidden_field`."""
        refuse_routing(members)
        return cls(members)

    @property
    def results(self) -> tuple[str, ...]:
        """Ids of the tool calls whose results this request brings, of earlier turns too, newest first and bounded."""
        return ()

    @property
    def state_id(self) -> str:
        """Id of provider state that the request continues; empty when there is none."""
        return ""

    @property
    def has_tools(self) -> bool:
        """Whether the model is given anything to call."""
        return False

    @property
    def held(self) -> str:
        """Id of content that the provider keeps and this request reads, of whatever run it is; empty when there is none."""
        return ""

    @property
    def stored_prompt(self) -> bool:
        """Whether the provider is to put in a prompt that it stores itself, whose text nobody here can read."""
        return False

    def check_model(self, asked: str) -> None:
        """For a path that names the model: raise Fault 400 `invalid_model` when the body names another one."""

    def fitted(self, edits: Mapping[str, bytes | None], model: str) -> Mapping[str, bytes | None]:  # noqa: ARG002 - others use it
        """For a dialect without a `model_edit`: edits as this body takes them, under the names it has its members by, and with
        the model wherever the body repeats it."""
        return edits

    def metadata(self, key: str) -> str | None:
        """A string member of the request's `metadata`; None when there is none of that name or it is no string."""
        raw = self.members.get("metadata")
        if raw is None or raw[:1] != b"{":
            return None
        value = unbounded(_object, raw).get(key)
        return _text(value) if value is not None and bytes(value)[:1] == b'"' else None

    def user(self) -> str:
        """Whom the client says that it serves; empty when it does not say. OpenAI's members: a dialect with others has its own."""
        return self.members.text("user") or self.members.text("safety_identifier") or ""

    def system(self) -> bytes:
        """The system prompt as sent, as JSON; empty when there is none."""
        return b""

    def toolset(self) -> bytes:
        """The tools as sent, as JSON; empty when there are none."""
        return b""

    def opening(self) -> bytes:
        """What stays the same over all requests of a conversation: system prompt and first user message, as sent."""
        return b""

    def prompt(self) -> str | None:
        """The text that `prompt_edit` would replace: that of the first system item, of its first text part where it has parts;
        None when there is no system item. So `prompt()` of a request with `prompt_edit(text)` in it is `text`."""
        return None

    def prompt_edit(self, text: str) -> dict[str, bytes | None]:  # noqa: ARG002 - other envelopes use it
        """The splice that puts a prompt in: it replaces the first system item, or stands first where there is none; every
        other item keeps its bytes. Empty for an operation that takes no prompt."""
        return {}


class Assembler(Protocol):
    """Puts a whole answer together, off the live path. Never raises for what a provider sends."""

    def feed(self, data: bytes) -> None:
        """The next piece of the body, cut anywhere."""

    def finish(self) -> Reply:
        """The answer is over; `reply.observed` says whether it was whole, as the decoder's does."""


class Decoder(Protocol):
    """Observes an answer without changing it. Never raises for what a provider sends: what it cannot read, it leaves."""

    observed: Observed

    def feed(self, data: bytes) -> None:
        """A streamed answer: whole events, as `sse.Splitter` gives them. Any other: the next piece of the body."""

    def finish(self) -> Observed:
        """The answer is over; whether it was whole is the caller's to know, and `observed.terminal` to say."""


class ArrayDecoder(Decoder, Protocol):
    """Observes an answer that is streamed as one JSON array, fed as it comes. After `finish`, `observed.terminal` says whether
    the array was closed as well."""

    withheld: int
    """Where in the piece fed last the array was closed although the answer lacks its end; -1 everywhere else."""


class Dialect(Protocol):
    """One wire format."""

    name: str

    def read(self, operation: Operation | None, body: bytes) -> Envelope:
        """The envelope of a request. Raises Fault: `invalid_json`, `json_depth`, `duplicate_key`, `body_too_large`,
        `forbidden_field`, `invalid_model`."""

    def model_edit(self, model: str) -> dict[str, bytes]:
        """The splice that names a model; empty where the dialect has the model in its path."""

    def tools_edit(self, operation: Operation, tools: Sequence[Tool]) -> dict[str, bytes | None]:
        """The splice that puts a toolset in, in place of every tool sent; empty for an operation that takes no tools. Depends
        on nothing of the request, so that it is made once."""

    def decoder(self, operation: Operation | None, stream: bool) -> Decoder:
        """A new decoder for one answer."""

    def assembler(self, operation: Operation, stream: bool) -> Assembler:
        """A new assembler for one answer, off the live path: its Reply is the same for the streamed and the unstreamed form."""

    def status(self, fault: Fault) -> int:
        """The HTTP status of a fault in this dialect."""

    def error(self, fault: Fault, request_id: str) -> bytes:
        """The JSON body of an error answer."""

    def stream_error(self, fault: Fault, request_id: str, decoder: Decoder | None = None) -> bytes:
        """Whole SSE events that end a begun stream with an error that the dialect's own clients raise. `decoder` is the one
        that saw the stream so far, for a dialect that numbers its events."""

    def looks_like_error(self, body: bytes) -> bool:
        """Whether a provider's error body is one that the dialect's own clients can read."""


def reply_of(dialect: Dialect, operation: Operation, body: bytes, *, stream: bool = False) -> Reply:
    """The whole answer that these bytes are, `stream` where they are events."""
    assembler = dialect.assembler(operation, stream)
    assembler.feed(body)
    return assembler.finish()


def refuse_routing(members: Members) -> None:
    """Raise Fault 400 `forbidden_field` when a member tries to choose the host or the key."""
    if FORBIDDEN.isdisjoint(members.spans):
        return
    name = min(FORBIDDEN & members.spans.keys())
    raise Fault(
        Kind.BAD_REQUEST,
        "forbidden_field",
        f"`{name}` may not be sent: hosts and keys are set in the gateway's configuration.",
        param=name,
        reason="routing_field",
    )


def refuse_odd_model(members: Members) -> None:
    """Raise Fault 400 `invalid_model` when `model` is there and is not a string."""
    span = members.spans.get("model")
    if span is not None and members.body[span[0]] not in b'"n':
        raise Fault(Kind.BAD_REQUEST, "invalid_model", "`model` must be a string.", param="model", reason="model")
