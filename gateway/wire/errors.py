"""Everything that can go wrong on a connection, as one small family; whose fault it is shows in the class.

No message quotes what the peer sent: a malformed header may hold a secret, and messages reach logs and answers.
"""

from __future__ import annotations


class WireError(Exception):
    """Base of all errors of this room."""


class BadMessage(WireError):
    """What the client sent is not HTTP we accept.

    `status` answers it, `code` is the stable machine word, `reason` the label of the rejection counter, `message` a
    sentence for the client that holds nothing of what it sent.
    """

    def __init__(self, status: int, code: str, reason: str, message: str = "") -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.reason = reason
        self.message = message or code.replace("_", " ")

    def __repr__(self) -> str:
        return f"BadMessage({self.status}, {self.code!r}, {self.reason!r})"


class ClientGone(WireError):
    """The client closed its connection. `phase`: "body" (its request was incomplete), "wait" (no byte of an answer had
    been started) or "stream"; "head" is counted but never thrown, as no flow exists yet."""

    def __init__(self, phase: str) -> None:
        super().__init__(phase)
        self.phase = phase


class Draining(WireError):
    """The server stops and this flow outlived the grace."""


class DeadlineExceeded(WireError):
    """A time limit passed. `phase`: "body" or "write" towards the client; "connect" (no free slot), "first_byte",
    "between_chunks" or "total" towards an upstream."""

    def __init__(self, phase: str) -> None:
        super().__init__(phase)
        self.phase = phase


class ConnectFailed(WireError):
    """No connection could be made, so nothing was sent. `kind`: "refused", "dns", "tls", "timeout" or "other"."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class UpstreamLost(WireError):
    """The upstream's connection went away. `sent`: bytes of the request may have left; `began`: the head of its answer
    was seen."""

    def __init__(self, *, sent: bool, began: bool) -> None:
        super().__init__("connection lost")
        self.sent = sent
        self.began = began


class UpstreamBroken(WireError):
    """The upstream's answer is not HTTP we accept. `reason`: "syntax", "version", "framing", "head_size", "chunk",
    "informational" (a flood of 1xx), "upgrade" or "upload" (our own body stream did not keep its length)."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
