"""What the client sees of an answer."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.contract.fault import Kind
from gateway.settings.model import RetrySettings
from gateway.upstream.answer import (
    EXCERPT,
    RESPONSE_DROPPED,
    SHORT,
    Settled,
    error_code,
    excerpt,
    quota_spent,
    retry_after,
)
from tests.provider import Behaviour, Provider, Received, Reply, answer, head, raw
from tests.upstream.harness import ERROR, Rig, ask, go, settings

NO_WAIT = RetrySettings(wait_limit=0.0)
QUOTA = {
    "error": {
        "message": "You exceeded your current quota",
        "type": "insufficient_quota",
        "param": None,
        "code": "insufficient_quota",
    }
}
GEMINI_DAY = {
    "error": {
        "code": 429,
        "message": "quota",
        "status": "RESOURCE_EXHAUSTED",
        "details": [{"violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel"}]}],
    }
}


def unpaid(kind: str, message: str) -> dict[str, Any]:
    """Anthropic's error of an account that is out of money."""
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}


def judged(behaviour: Behaviour, dialect: str = "openai", **members: Any) -> tuple[int, Settled, Rig]:
    """Status and judgement of an answer that does not come twice."""
    with Provider(behaviour) as provider:

        async def scenario(rig: Rig) -> tuple[int, Settled, Rig]:
            got, settled = await rig.settled(ask(retryable=False), dialect)
            return got.out.status, settled, rig

        result = go(settings(provider.url, **members), scenario)
        assert len(provider.requests) == 1
        return result


@pytest.mark.parametrize("status", [400, 401, 404, 409, 413, 429, 500, 503, 529])
def test_d4_an_error_in_the_api_s_shape_is_relayed(status: int) -> None:
    """A provider's own error reaches the client as it is: status, bytes, nothing added."""
    got, settled, rig = judged(answer(ERROR, status))
    assert (got, settled.body, settled.fault) == (status, json.dumps(ERROR).encode(), None)
    assert (settled.headers, settled.replaced, settled.code) == ((), frozenset(), "some_code")
    counted = rig.count(f"upstream_errors_total{{openai,{status}}}")
    assert counted == (1 if status == 429 or status >= 500 else 0)


def test_d4_anthropic_and_gemini_shapes() -> None:
    """Each dialect knows its own errors."""
    anthropic = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}
    assert judged(answer(anthropic, 529), "anthropic")[1].fault is None
    gemini = {"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}
    assert judged(answer(gemini, 503), "gemini")[1].code == "UNAVAILABLE"


HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (502, HTML, Kind.UPSTREAM),
        (500, b"", Kind.UPSTREAM),
        (413, HTML, Kind.TOO_LARGE),
        (503, b"Service Unavailable", Kind.OVERLOADED),
        (504, HTML, Kind.TIMEOUT),
        (429, HTML, Kind.RATE),
        (403, HTML, Kind.FORBIDDEN),
        (404, b"[]", Kind.NOT_FOUND),
        (418, HTML, Kind.BAD_REQUEST),
        (522, HTML, Kind.UPSTREAM),
        (400, b'{"unexpected": 1}', Kind.BAD_REQUEST),
    ],
)
def test_d5_anything_else_is_wrapped_in_the_same_class(status: int, body: bytes, kind: Kind) -> None:
    """HTML, empty and foreign bodies become an error of the same status in the dialect; the journal keeps a piece."""
    got, settled, rig = judged(answer(body, status, {"content-type": "text/html"}))
    assert got == status
    assert settled.fault is not None
    assert (settled.fault.kind, settled.fault.status, settled.fault.code) == (kind, status, "upstream_error")
    assert settled.excerpt == body.decode()
    assert settled.fault.retry is (status == 429 or status >= 500)
    assert (settled.fault.retry_after is not None) is (status in {429, 503})
    assert "html" not in settled.fault.message
    assert rig.count("upstream_errors_total{openai,shape}") == 1


def test_d5_coded_bodies_are_wrapped() -> None:
    """A body that came compressed, said or unsaid, is not passed off as an error of the API."""
    body = json.dumps(ERROR).encode()
    for headers in ({"content-encoding": "gzip"}, {"content-encoding": "br"}):
        settled = judged(answer(body, 500, headers))[1]
        assert settled.fault is not None
    assert judged(answer(b"\x1f\x8b\x08\x00rubbish", 500))[1].fault is not None


async def _cut(_received: Received, reply: Reply) -> None:
    await reply.write(head(500, {"content-type": "application/json", "content-length": "500"}) + b'{"error": {')
    reply.close()


async def _stall(_received: Received, reply: Reply) -> None:
    await reply.write(head(503, {"content-type": "application/json", "content-length": "500"}) + b'{"error": {')
    await asyncio.sleep(600)


async def _endless(_received: Received, reply: Reply) -> None:
    await reply.write(head(500, {"content-type": "application/json", "transfer-encoding": "chunked"}))
    while True:
        await reply.write(b"1000\r\n" + b"x" * 0x1000 + b"\r\n")


@pytest.mark.parametrize("behaviour", [_cut, _stall, _endless], ids=["cut", "stalls", "endless"])
def test_d7_an_error_body_that_does_not_end_is_wrapped(behaviour: Behaviour) -> None:
    """A cut, stalled or endless error body never reaches the client as half a body; reading it is bounded."""
    settled = judged(behaviour)[1]
    assert settled.fault is not None
    assert len(settled.excerpt) <= EXCERPT
    assert settled.body == b""


def test_d5_long_error_bodies_are_not_held() -> None:
    """An error body beyond any error's size is wrapped."""
    settled = judged(answer(b'{"error": {"message": "' + b"x" * SHORT + b'"}}', 400))[1]
    assert settled.fault is not None


@pytest.mark.parametrize(
    ("value", "added", "replaced"),
    [
        ("1", None, False),
        ("90", None, False),
        ("600", None, False),
        ("0", None, False),
        ("1.5", b"2", True),
        ("007", b"7", True),
        ("999999999", b"86400", True),
        ("Thu, 01 Jan 2026 00:01:30 GMT", b"90", True),
        ("Wed, 31 Dec 2025 23:00:00 GMT", b"0", True),
        ("soon", None, True),
        ("-5", None, True),
        ("nan", None, True),
        ("inf", None, True),
        ("1_0", None, True),
        ("", None, True),
    ],
)
def test_d2_retry_after_is_normalised(value: str, added: bytes | None, replaced: bool) -> None:
    """A wait that clients read is left as it is, another form is written plainly, nonsense is dropped."""
    headers = {"retry-after": value, "date": "Thu, 01 Jan 2026 00:00:00 GMT"}
    got, settled, _ = judged(answer(ERROR, 429, headers), retry=NO_WAIT)
    assert (got, settled.fault) == (429, None)
    assert dict(settled.headers).get(b"retry-after") == added
    assert (b"retry-after" in settled.replaced) is replaced


def test_d2_milliseconds() -> None:
    """OpenAI's `retry-after-ms` counts, unless it is nonsense."""
    assert retry_after({b"retry-after-ms": b"1500", b"retry-after": b"9"}) == 1.5
    assert retry_after({b"retry-after-ms": b"x", b"retry-after": b"9"}) == 9
    settled = judged(answer(ERROR, 429, {"retry-after-ms": "-1"}), retry=NO_WAIT)[1]
    assert settled.replaced == {b"retry-after-ms"}
    settled = judged(answer(ERROR, 429, {"retry-after-ms": "1500", "retry-after": "9"}), retry=NO_WAIT)[1]
    assert (settled.replaced, settled.headers) == (frozenset(), ())


def test_d2_a_date_without_a_date() -> None:
    """Without the answer's own date the wall clock decides, and without that there is no wait."""
    fields = {b"retry-after": b"Thu, 01 Jan 2026 00:01:30 GMT"}
    assert retry_after(fields) is None
    assert retry_after(fields, lambda: 1767225600.0) == 90


@pytest.mark.parametrize(
    ("status", "dialect", "body"),
    [
        (429, "openai", QUOTA),
        (429, "gemini", GEMINI_DAY),
        (402, "anthropic", unpaid("billing_error", "Your payment has failed.")),
        (429, "anthropic", unpaid("billing_error", "Buy more.")),
        (
            400,
            "anthropic",
            unpaid("invalid_request_error", "Your credit balance is too low to access the Anthropic API."),
        ),
    ],
    ids=["insufficient_quota", "gemini daily", "unpaid", "billing", "no credit"],
)
def test_d3_spent_quota_is_relayed_at_once(status: int, dialect: str, body: dict[str, Any]) -> None:
    """A quota that no wait of seconds brings back is the client's at once, and its SDK is told not to try again."""
    with Provider(answer(body, status, {"retry-after": "1", "x-should-retry": "true"})) as provider:

        async def scenario(rig: Rig) -> Settled:
            settled = (await rig.settled(dialect=dialect))[1]
            assert rig.count("upstream_errors_total{openai,quota}") == 1
            return settled

        settled = go(settings(provider.url), scenario)
        assert len(provider.requests) == 1
    assert settled.fault is None
    assert json.loads(settled.body) == body
    assert (b"x-should-retry", b"false") in settled.headers
    assert b"x-should-retry" in settled.replaced


def test_response_dropped_is_cookies_and_accounts() -> None:
    """The one table of what an answer loses holds lower-case names, and nothing a client needs."""
    assert all(name == name.lower() for name in RESPONSE_DROPPED)
    kept = {
        b"content-type",
        b"x-request-id",
        b"request-id",
        b"retry-after",
        b"x-ratelimit-remaining-tokens",
        b"openai-version",
    }
    assert not RESPONSE_DROPPED & (kept | {b"openai-processing-ms", b"cf-ray", b"server", b"date", b"x-should-retry"})


def test_i7_an_excerpt_holds_no_key_of_ours() -> None:
    """A proxy's error page that prints the request back does not bring our key into the journal."""

    async def echo(received: Received, reply: Reply) -> None:
        page = f"<html>{received.fields['authorization']}</html>".encode()
        await answer(page, 502, {"content-type": "text/html"})(received, reply)

    settled = judged(echo, api_key="provider-key-that-leaks")[1]
    assert settled.excerpt == "<html>Bearer (redacted)</html>"
    assert len(excerpt(b"x" * 9999)) == EXCERPT


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"error": {"code": "c", "type": "t"}}', "c"),
        (b'{"error": {"code": null, "type": "t"}}', "t"),
        (b'{"error": {"code": 404, "status": "NOT_FOUND"}}', "NOT_FOUND"),
        (b'[{"error": {"code": 404, "status": "NOT_FOUND"}}]', "NOT_FOUND"),
        (b'{"code": "flat"}', "flat"),
        (b'{"error": "text"}', ""),
        (b"[]", ""),
        (b"<html>", ""),
        (b'{"error": {"code": "' + b"x" * 999 + b'"}}', "x" * 64),
    ],
)
def test_error_codes(body: bytes, code: str) -> None:
    """The journal gets the provider's own word for an error, short."""
    assert error_code(body) == code


@given(st.binary(max_size=80), st.text(max_size=30))
def test_any_body_and_header_is_judged(body: bytes, value: str) -> None:
    """Nothing a provider sends makes the judge fail."""
    assert isinstance(error_code(body), str)
    assert isinstance(quota_spent(body), bool)
    assert isinstance(excerpt(body), str)
    wait = retry_after({b"retry-after": value.encode("utf-8")}, lambda: 0.0)
    assert wait is None or 0 <= wait <= 86400


def test_first_bytes_of_a_relayed_body_are_untouched() -> None:
    """White space and order of a provider's error body stay as they came."""
    body = b'\n{"error" : {"type":"t",  "message":"m"}}  '
    assert judged(raw(head(400, {"content-length": str(len(body))}) + body))[1].body == body
