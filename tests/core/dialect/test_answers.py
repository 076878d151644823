"""What the decoders of all dialects share."""

from __future__ import annotations

import msgspec
import pytest

from gateway.core.contract.exchange import Observed
from gateway.core.dialect.answers import WholeBody, fitting, members

PARTS = {
    "id": msgspec.json.Decoder(str).decode,
    "n": msgspec.json.Decoder(int).decode,
    "error": msgspec.json.Decoder(str).decode,
}


class Body(WholeBody):
    """Reads nothing but whether there is an object."""

    __slots__ = ()

    def note(self, body: bytes) -> bool:
        self.observed.model = body.decode()
        return members(body) is not None


@pytest.mark.parametrize(
    ("pieces", "cap", "terminal", "read"),
    [
        ([b'{"a"', b":1}"], 100, True, '{"a":1}'),
        ([b"{}"], 100, True, "{}"),
        ([b'{"a"'], 100, False, '{"a"'),
        ([b"12345", b"67890", b"!"], 10, True, ""),
        ([], 10, False, ""),
    ],
)
def test_a_body_is_read_once_at_its_end(pieces: list[bytes], cap: int, terminal: bool, read: str) -> None:
    """Pieces are put together and read when the answer is over; one over the cap is not kept, and counts as whole."""
    body = Body(cap)
    for piece in pieces:
        body.feed(piece)
    assert body.observed == Observed()
    assert body.finish().terminal is terminal
    assert body.observed.model == read


def test_members_that_do_not_fit_are_left_out() -> None:
    """A member of another type is passed over, an error counts whatever it is, half a character is read as U+FFFD."""
    assert fitting(b'{"id": 7, "n": 3, "other": []}', PARTS) == {"n": 3}
    assert fitting(b'{"error": {"code": 1}}', PARTS) == {"error": "error"}
    assert fitting(b'{"id": "a\\ud83d"}', PARTS) == {"id": "a\ufffd"}
    assert fitting(b"[1]", PARTS) is fitting(b"{", PARTS) is members(b"null") is None
