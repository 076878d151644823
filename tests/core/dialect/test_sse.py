"""Server-sent events: whole events leave as they came, however the stream is cut; partial ones never leave."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.dialect.sse import EventTooLarge, Splitter, datas

CAP = 1 << 16


def fed(pieces: list[bytes], cap: int = CAP) -> tuple[list[bytes], bytes]:
    """What came out for each piece, and the rest."""
    splitter = Splitter(cap)
    out = [splitter.feed(piece) for piece in pieces]
    return out, splitter.rest


STREAMS = {
    "LF": b"data: 1\n\ndata: 2\n\n",
    "CRLF": b"data: 1\r\n\r\ndata: 2\r\n\r\n",
    "CR": b"data: 1\r\rdata: 2\r\r",
    "mixed": b"data: 1\r\n\ndata: 2\n\r\ndata: 3\r\rdata: 4\n\n",
    "comments": b": hello\n\ndata: 1\n\n: ping\n\n",
    "multi-line data": b"event: x\ndata: 1\ndata: 2\nid: 7\n\n",
    "no blank line at the end": b"data: 1\n\ndata: [DONE]",
    "leading blank lines": b"\n\n\n\ndata: 1\n\n",
    "empty": b"",
    "only a partial event": b"data: 1\n",
    "long": b"data: " + b"x" * 5000 + b"\n\ndata: 1\n\n",
}


@pytest.mark.parametrize("case", STREAMS)
def test_bytes_are_never_changed(case: str) -> None:
    """Fed whole, byte by byte or in halves, what leaves and what rests is exactly what came."""
    stream = STREAMS[case]
    half = len(stream) // 2
    for pieces in ([stream], [stream[i : i + 1] for i in range(len(stream))], [stream[:half], stream[half:]]):
        out, rest = fed(pieces)
        assert b"".join(out) + rest == stream


@pytest.mark.parametrize("case", STREAMS)
def test_the_same_data_however_cut(case: str) -> None:
    """Faults row E7: the events are the same whole and byte by byte."""
    stream = STREAMS[case]
    out, rest = fed([stream[i : i + 1] for i in range(len(stream))])
    assert [d for piece in [*out, rest] for d in datas(piece)] == list(datas(stream))


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r", b"\r\n\n", b"\n\r\n"])
def test_an_event_leaves_with_its_blank_line(end: bytes) -> None:
    """An event is not held until the next one begins, and not given out before its blank line (rule R7)."""
    splitter = Splitter(CAP)
    assert splitter.feed(b"data: {") == b""
    assert splitter.feed(b"}") == b""
    assert splitter.feed(end) == b"data: {}" + end
    assert splitter.rest == b""


def test_the_blank_line_of_cr_does_not_wait() -> None:
    """A CR ends a line at once; the LF that may follow leads the next piece and makes no event of its own."""
    splitter = Splitter(CAP)
    assert splitter.feed(b"data: 1\r\n\r") == b"data: 1\r\n\r"
    assert splitter.feed(b"\ndata: 2\r\n\r") == b"\ndata: 2\r\n\r"
    assert list(datas(b"\ndata: 2\r\n\r")) == [b"2"]


def test_whole_events_leave_and_the_partial_one_stays() -> None:
    """A cut inside an event leaves it behind, whole events before it have left (faults row E2)."""
    out, rest = fed([b"data: 1\n\ndata: 2\n\nda", b"ta: 3\n\ndata: {\xc3"])
    assert out == [b"data: 1\n\ndata: 2\n\n", b"data: 3\n\n"]
    assert rest == b"data: {\xc3"


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n"])
def test_an_event_over_the_cap_is_refused_after_the_others(size: int, end: bytes) -> None:
    """Faults row E7: every event before the large one leaves, nothing of the large one does, in pieces of any size."""
    small, large = b"data: 1" + end, b"data: " + b"x" * 100 + end
    stream = small * 3 + large + small
    splitter = Splitter(50)
    out = b""
    with pytest.raises(EventTooLarge):
        for at in range(0, len(stream), size):
            out += splitter.feed(stream[at : at + size])
        splitter.feed(b"")
    assert out.rstrip() == (small * 3).rstrip()  # the LF of a last CRLF may come with the next event
    with pytest.raises(EventTooLarge):
        splitter.feed(small)


def test_an_event_of_exactly_the_cap_passes() -> None:
    """The cap itself is allowed, and so are many events that are larger only together."""
    event = b"data: " + b"x" * 42 + b"\n\n"
    assert fed([event, event * 9, event[:10], event[10:]], cap=50)[0] == [event, event * 9, b"", event]
    crlf = b"data: " + b"x" * 40 + b"\r\n\r\n"
    assert fed([crlf * 9 + b"d"], cap=50) == ([crlf * 9], b"d")


def test_an_unfinished_event_over_the_cap_is_refused() -> None:
    """A provider that never ends an event cannot make the buffer grow."""
    splitter = Splitter(50)
    assert splitter.feed(b"data: 1\n\n" + b"x" * 49) == b"data: 1\n\n"
    with pytest.raises(EventTooLarge):
        splitter.feed(b"xx")


def test_small_pieces_cost_linear_time() -> None:
    """Faults row E7: one event of half a megabyte in one-byte pieces is a matter of moments."""
    splitter = Splitter(1 << 20)
    start = time.perf_counter()
    for _ in range(1 << 19):
        splitter.feed(b"x")
    assert splitter.feed(b"\n\n")
    assert time.perf_counter() - start < 20


def test_data_is_read_as_the_standard_says() -> None:
    """One leading space is dropped, lines join with LF, comments and other fields are passed over, no data is no event."""
    stream = b": c\nevent: e\n\ndata:  two\ndata:x\ndata\ndata:\n\nid: 1\n\nretry: 5\ndata: last"
    assert list(datas(stream)) == [b" two\nx\n", b"last"]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from([b"data: 1", b"data:", b": c", b"x", b"\n", b"\r\n", b"\r", b"\n\n", b"\r\n\r\n"]), max_size=30
    ),
    st.data(),
)
def test_any_stream_any_cut(parts: list[bytes], data: st.DataObject) -> None:
    """For any mix of line ends cut anywhere: no byte is lost, and the data is that of the whole stream."""
    stream = b"".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    out, rest = fed(pieces)
    assert b"".join(out) + rest == stream
    assert [d for piece in [*out, rest] for d in datas(piece)] == list(datas(stream))
