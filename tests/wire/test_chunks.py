"""The chunked coding: what it accepts, from any split, and what it refuses."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.chunks import MAX_LINE, ChunkDecoder, ChunkError


def decode(*pieces: bytes) -> tuple[bytes, bool, bytes]:
    """Body, whether it ended, and what followed."""
    decoder = ChunkDecoder()
    out = b""
    for number, piece in enumerate(pieces):
        out += decoder.feed(piece)
        if decoder.ended:
            return out, True, decoder.rest + b"".join(pieces[number + 1 :])
    return out, False, b""


@given(
    st.lists(st.binary(min_size=1, max_size=40), max_size=6),
    st.lists(st.integers(0, 400), max_size=8),
    st.binary(max_size=9),
)
def test_any_split_gives_the_same_body(parts: list[bytes], cuts: list[int], rest: bytes) -> None:
    """However the bytes arrive, body and what follows it are the same."""
    data = b"".join(b"%x;a=b\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\nX-T: v\r\n\r\n" + rest
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    pieces = [data[a:b] for a, b in itertools.pairwise(edges)]
    assert decode(*pieces) == (b"".join(parts), True, rest)
    assert decode(*(data[n : n + 1] for n in range(len(data)))) == (b"".join(parts), True, rest)


@pytest.mark.parametrize(
    "data",
    [
        b"5\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"5\r\nhello!\r\n0\r\n\r\n",
        b"4\r\nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"+5\r\nhello\r\n0\r\n\r\n",
        b"-5\r\nhello\r\n0\r\n\r\n",
        b"5_0\r\nhello\r\n0\r\n\r\n",
        b" 5\r\nhello\r\n0\r\n\r\n",
        b"5 \r\nhello\r\n0\r\n\r\n",
        b"\r\n5\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\r\n\r\n0\r\n\r\n",
        b"5 ;a=b\r\nhello\r\n0\r\n\r\n",
        b"5; a=b\r\nhello\r\n0\r\n\r\n",
        b"fffffffffffffffff\r\nhello",
        b"5;a\nb\r\nhello\r\n0\r\n\r\n",
        b"5;a\rb\r\nhello\r\n0\r\n\r\n",
        b"5;\r\nhello\r\n0\r\n\r\n",
        b"5;a=\x00\r\nhello\r\n0\r\n\r\n",
        b'5;a="b\r\nhello\r\n0\r\n\r\n',
        b"5;" + b"a" * (MAX_LINE + 1) + b"\r\nhello\r\n0\r\n\r\n",
        b"0\r\nContent-Length: 5\r\n\r\n",
        b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"0\r\nAuthorization: x\r\n\r\n",
        b"0\r\nX: a\nY: b\r\n\r\n",
        b"0\r\nX : a\r\n\r\n",
        b"0\r\n X: a\r\n\r\n",
        b"0\r\nX\r\n\r\n",
        b"0\r\n" + b"".join(b"X-%d: a\r\n" % n for n in range(500)) + b"\r\n",
        b"0\r\nX: " + b"a" * 9000,
        b"z\r\n",
        b"\x00",
    ],
)
def test_a6_abuses(data: bytes) -> None:
    """Anything but bare hex sizes, CRLF, bounded extensions and harmless trailers is refused, whole or byte by byte."""
    with pytest.raises(ChunkError):
        decode(data)
    with pytest.raises(ChunkError):
        decode(*(data[n : n + 1] for n in range(len(data))))


def test_a6_extensions_are_bounded_together() -> None:
    """Extensions of a reasonable size on every chunk add up to a bound."""
    chunk = b"1;" + b"a" * 500 + b"\r\nx\r\n"
    decoder = ChunkDecoder()
    with pytest.raises(ChunkError):
        for _ in range(100):
            decoder.feed(chunk)


def test_quoted_extensions_are_dropped() -> None:
    """Extensions of the full grammar are read over."""
    assert decode(b'5;a;b=c;d="e;\\"f"\r\nhello\r\n0;last\r\n\r\n') == (b"hello", True, b"")


@pytest.mark.parametrize("size", [*range(1, 40), 254, 255, 256, 257, 1022, 1023, 1024, 4095, 4096])
def test_one_whole_chunk_a_read(size: int) -> None:
    """A read that is one chunk gives its body, whatever its size and spelling; one of another size is not taken for it."""
    body = b"x" * size
    for spelling in (b"%x", b"%X", b"0%x"):
        assert decode(*[spelling % size + b"\r\n" + body + b"\r\n"] * 2, b"0\r\n\r\n") == (body * 2, True, b"")
    with pytest.raises(ChunkError):
        decode(b"%x\r\n%b\r\n" % (size, body + b"x"))
