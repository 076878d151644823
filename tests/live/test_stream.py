"""Answers that come over time: what a client sees of one streamed as a JSON array, whole, broken and late.

Streams of events are in test_relay.py.
"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.gateway import LiveGateway, release
from tests.provider import Provider, answer, stream

MODEL = "gemini-2.5-flash-001"
PINNED = release(f"gemini/{MODEL}")
PATH = "/v1beta/models/helper:streamGenerateContent"
ARRAY = {"content-type": "application/json; charset=UTF-8"}


def element(text: str, **candidate: object) -> bytes:
    """One chunk of an answer."""
    said = {"content": {"parts": [{"text": text}], "role": "model"}, **candidate}
    return json.dumps({"candidates": [said], "modelVersion": MODEL}, ensure_ascii=False, indent=2).encode()


PIECES = [b"[" + element("Grü"), b"\n,\r\n" + element('ße "],[{"', finishReason="STOP"), b"\n]\n"]


@pytest.fixture
def gemini(redis_server, provider: Provider, tmp_path: Path) -> Iterator[LiveGateway]:
    """A gateway with an alias at Gemini."""
    providers = {"gemini": {"base_url": provider.url, "api_key": "g-provider", "allow_private": True}}
    with LiveGateway(redis_server.url, tmp_path, providers) as running:
        running.alias("helper", PINNED)
        yield running


def ask(gateway: LiveGateway) -> tuple[int, bytes, bool]:
    """Status, body and whether it ended cleanly."""
    link = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=5)
    link.request("POST", PATH, b'{"contents":[]}', {"content-type": "application/json"})
    got = link.getresponse()
    try:
        return got.status, got.read(), True
    except http.client.IncompleteRead as cut:
        return got.status, cut.partial, False
    finally:
        link.close()


def test_an_array_arrives_byte_for_byte_however_it_is_cut(gemini: LiveGateway, provider: Provider) -> None:
    """The client's bytes are the provider's, and the end is clean; with a length as without."""
    whole = b"".join(PIECES)
    provider.then(
        stream(PIECES, headers=ARRAY),
        stream([whole[i : i + 1] for i in range(len(whole))], headers=ARRAY),
        stream([b" \n", whole], headers=ARRAY),
        answer(whole),
    )
    for sent in (whole, whole, b" \n" + whole, whole):
        assert ask(gemini) == (200, sent, True)
    assert [request.target for request in provider.requests] == [PATH.replace("helper", MODEL)] * 4


def test_an_array_is_not_held_until_it_is_whole(gemini: LiveGateway, provider: Provider) -> None:
    """Each piece leaves when it comes."""
    provider.then(stream(PIECES, gap=0.1, headers=ARRAY))
    link = http.client.HTTPConnection("127.0.0.1", gemini.port, timeout=5)
    link.request("POST", PATH, b"{}", {"content-type": "application/json"})
    got = link.getresponse()
    started = time.monotonic()
    assert got.read(len(PIECES[0])) == PIECES[0]
    assert time.monotonic() - started < 0.08
    assert got.read() == b"".join(PIECES[1:])
    assert time.monotonic() - started > 0.15
    link.close()


@pytest.mark.parametrize("end", ["cut", "reset"])
@pytest.mark.parametrize("cut", [len(PIECES[0]), len(PIECES[0]) + 20])
def test_e1_e2_a_cut_array_ends_uncleanly_after_what_came(
    gemini: LiveGateway, provider: Provider, cut: int, end: str
) -> None:
    """E1, E2: nothing is added, for it might stand within an element; and no clean end says that this was all."""
    provider.then(stream([b"".join(PIECES)[:cut]], gap=0.02, headers=ARRAY, end=end))
    assert ask(gemini) == (200, b"".join(PIECES)[:cut], False)


@pytest.mark.parametrize(
    ("sent", "seen"),
    [
        (PIECES[0] + b"\n]\n", PIECES[0] + b"\n"),
        (PIECES[0], PIECES[0]),
        (b"".join(PIECES[:2]), b"".join(PIECES[:2])),
        (b"".join(PIECES) + b"x", b"".join(PIECES) + b"x"),
        (b"[]", b"["),
    ],
    ids=["no finish", "open", "finished but open", "more behind it", "empty"],
)
def test_e3_a_clean_end_of_a_broken_array_is_not_success(
    gemini: LiveGateway, provider: Provider, sent: bytes, seen: bytes
) -> None:
    """E3: an array that lacks its bracket, or an answer that lacks its end, be its length declared or not; then the bracket
    stays here."""
    provider.then(stream([sent], headers=ARRAY), answer(sent))
    assert ask(gemini) == (200, seen, False)
    assert ask(gemini) == (200, seen, False)


def test_a_cut_after_the_end_is_no_cut(gemini: LiveGateway, provider: Provider) -> None:
    """The answer was whole, whatever became of the connection."""
    provider.then(stream(PIECES, gap=0.02, headers=ARRAY, end="cut"))
    assert ask(gemini) == (200, b"".join(PIECES), True)


def test_e4_the_providers_own_error_is_relayed_exactly(gemini: LiveGateway, provider: Provider) -> None:
    """E4: as an element, then no clean end; nothing is tried again."""
    error = b'\n,\r\n{"error": {"code": 503, "message": "Overloaded.", "status": "UNAVAILABLE"}}\n]'
    provider.then(stream([PIECES[0], error], headers=ARRAY))
    assert ask(gemini) == (200, PIECES[0] + error, False)
    assert len(provider.requests) == 1


def test_d5_what_is_no_array_is_an_error(gemini: LiveGateway, provider: Provider) -> None:
    """D5: a page, another value, or nothing under 200 becomes a 503, as Gemini has no 502."""
    for body in (b"<html>", b'{"candidates":[]}', b"", b"  "):
        provider.then(answer(body))
        status, got, _ = ask(gemini)
        assert (status, json.loads(got)["error"]["details"][0]["reason"]) == (503, "upstream_protocol")


def test_a_refusal_as_an_array_passes(gemini: LiveGateway, provider: Provider) -> None:
    """Without `alt=sse` Google wraps an error too; it is its own shape."""
    body = b'[{\n  "error": {"code": 400, "message": "No.", "status": "INVALID_ARGUMENT"}\n}\n]'
    provider.then(answer(body, 400))
    assert ask(gemini) == (400, body, True)


def test_ids_of_an_array_link_as_they_come(gemini: LiveGateway, provider: Provider) -> None:
    """Before the answer is over, the call that brings the result may be on its way."""
    call = {"content": {"parts": [{"functionCall": {"id": "gcall-array0001", "name": "look"}}]}}
    provider.then(stream([b"[" + json.dumps({"candidates": [call]}).encode()], headers=ARRAY, end="hang"))
    link = http.client.HTTPConnection("127.0.0.1", gemini.port, timeout=5)
    link.request("POST", PATH, b"{}", {"content-type": "application/json"})
    got = link.getresponse()
    got.read(10)
    linked = gemini.flow(gemini.store.linked("default", ("gcall-array0001",)))
    assert linked is not None and linked.run == got.headers["x-trivet-run"]
    link.close()
