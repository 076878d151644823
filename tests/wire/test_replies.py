"""Heads of answers, read on their own."""

from __future__ import annotations

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.wire.errors import UpstreamBroken
from gateway.wire.replies import ReplyHead

HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nX-A: b \r\nset-cookie: c\r\nset-cookie: d\r\n"
    b"connection: keep-alive\r\ncontent-length: 12\r\n\r\n"
)


def test_what_a_head_says() -> None:
    """Status, reason, fields in order with values trimmed, and framing."""
    head = ReplyHead()
    head.read(HEAD, "POST")
    assert (head.status, head.reason, head.length, head.chunked, head.keep) == (200, b"OK", 12, False, True)
    assert head.headers == [
        (b"content-type", b"application/json"),
        (b"X-A", b"b"),
        (b"set-cookie", b"c"),
        (b"set-cookie", b"d"),
    ]
    assert head.fields == {b"content-type": b"application/json", b"x-a": b"b", b"set-cookie": b"c"}


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(HEAD)), st.integers(0, 4), st.binary(max_size=3))
def test_mutations_read_alike(place: int, drop: int, put: bytes) -> None:
    """Whatever is accepted, h11 reads with the same status and length."""
    data = HEAD[:place] + put + HEAD[place + drop :]
    if data.find(b"\r\n\r\n") != len(data) - 4:
        return
    head = ReplyHead()
    try:
        head.read(data, "POST")
    except UpstreamBroken:
        return
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="POST", target="/", headers=[("host", "x"), ("content-length", "0")]))
    client.send(h11.EndOfMessage())
    client.receive_data(data)
    event = client.next_event()
    assert isinstance(event, h11.Response | h11.InformationalResponse), event
    assert event.status_code == head.status
    lengths = [value for name, value in event.headers if name == b"content-length"]
    if head.length and head.status >= 200:
        assert [b"%d" % head.length] == [length.lstrip(b"0") or b"0" for length in lengths]


@pytest.mark.parametrize("status", [100, 103, 204, 304])
def test_statuses_without_a_body(status: int) -> None:
    """Such an answer has no body whatever its fields say."""
    head = ReplyHead()
    head.read(b"HTTP/1.1 %d x\r\ncontent-length: 5\r\n\r\n" % status, "GET")
    assert head.length == 0


@pytest.mark.parametrize("declared", [b"content-length: 12\r\n", b""])
def test_an_answer_to_head_keeps_the_length_it_declares(declared: bytes) -> None:
    """No body comes, and what one would measure is still told, where the server said it."""
    head = ReplyHead()
    head.read(b"HTTP/1.1 200 OK\r\n" + declared + b"\r\n", "HEAD")
    assert (head.length, head.declared) == (0, 12 if declared else None)
