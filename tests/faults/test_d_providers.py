"""Rows D1 to D11: what a provider may do wrong, what the client gets, what the journal keeps, what is counted."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import json
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.conftest import self_signed
from tests.faults.scripted import KEY, MODEL, Case, Scripts, alias_of, settings
from tests.faults.watch import House, is_openai_error
from tests.gateway_process import running
from tests.ports import free_port
from tests.provider import (
    Behaviour,
    Provider,
    Received,
    Reply,
    answer,
    chat_body,
    completion,
    drop,
    events,
    hang,
    head,
    raw,
    stream,
)

OTHER_MODEL = "gpt-4o-2024-05-13"
MODELS = (MODEL, OTHER_MODEL, "gpt-4o-2024-11-20", "gpt-4o-mini-2024-07-18")
STATUSES = (409, 500, 503, 504, 529)
SCRIPTED = ["d2", "d3", *(f"d4-{status}" for status in STATUSES), "d4-waits", "d5", "d8", "d9", "d10", "d11"]


@contextmanager
def untrusted_tls(folder: Path) -> Iterator[int]:
    """A TLS server whose certificate nobody vouches for; yields its port."""
    chain, key = self_signed(folder, "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda _loop, _context: None)  # refused handshakes are what this server is for

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = loop.run_until_complete(asyncio.start_server(serve, "127.0.0.1", 0, ssl=context))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A gateway with a provider, and an alias on it, per row."""
    scripts = Scripts()
    with Provider(scripts) as provider, untrusted_tls(tmp_path_factory.mktemp("tls")) as tls_port:
        providers: dict[str, Any] = {name: settings(f"{provider.url}/{name}") for name in SCRIPTED}
        providers["openai"] = settings(provider.url)
        closed = f"http://127.0.0.1:{free_port()}"
        providers |= {"d1-refused": settings(closed), "d1-budget": settings(closed)}
        providers["d1-dns"] = settings("https://no-such-host.invalid")
        providers["d1-tls"] = settings(f"https://localhost:{tls_port}")
        providers["d6"] = settings(f"{provider.url}/d6", timeouts={"first_byte": 1})
        providers["d7"] = settings(f"{provider.url}/d7", timeouts={"between_chunks": 1, "total": 2.5})
        aliases = {name: alias_of(name) for name in providers if name != "openai"}
        aliases |= {f"d1-budget-{n}": alias_of("d1-budget", model) for n, model in enumerate(MODELS)}
        aliases["d11-other"] = alias_of("d11", OTHER_MODEL)
        retry = {"breaker_seconds": 1}
        defaults = {"openai": "openai"}
        with (
            running(providers, aliases=aliases, unmanaged="pass", retry=retry, default_provider=defaults) as gateway,
            House(gateway, provider, secrets=(KEY,)) as house,
        ):
            yield house


@pytest.fixture
def case(house: House, request: pytest.FixtureRequest) -> Iterator[Case]:
    """The gateway under watch, and the scripts of its providers."""
    scripts = house.provider.default
    assert isinstance(scripts, Scripts)
    with house.watch(request.node.name) as watch:
        yield Case(watch, scripts, house.provider)


def error(code: str, message: str = "no", **members: Any) -> bytes:
    """An error body as OpenAI writes it."""
    return json.dumps({"error": {"message": message, "type": "t", "param": None, "code": code}, **members}).encode()


# --- D1: nothing was sent ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["refused", "dns", "tls"])
def test_d1_a_provider_that_cannot_be_reached(case: Case, how: str) -> None:
    """One more try, then 502 that tells the client to repeat, since nothing was sent; stamp and attempts are kept."""
    name, run = f"d1-{how}", f"r-d1-{how}"
    got = case.watch.chat(name, {"x-trivet-run": run})
    assert (got.status, got.code) == (502, "upstream_connect")
    assert is_openai_error(got)
    assert got.headers["x-should-retry"] == "true"
    assert got.headers["x-trivet-attempts"] == "2"
    step = case.step(run)
    assert (step["outcome"], step["code"]) == ("refused", "upstream_connect")
    assert (step["attempts"], step["attempt_log"]) == (2, ["connect", "connect"])
    case.watch.expect("upstream_errors_total", 2, provider=name, kind="connect")
    case.watch.expect("retries_total", 1, provider=name, kind="connect")


def test_d1_retries_stay_within_the_budget(case: Case) -> None:
    """After three retries in ten seconds there are no more, and never any for a request that its SDK repeats."""
    repeated = case.watch.chat("d1-budget", {"x-stainless-retry-count": "1"})
    attempts = [case.watch.chat(f"d1-budget-{n}").headers["x-trivet-attempts"] for n in range(4)]
    assert (repeated.status, repeated.headers["x-trivet-attempts"]) == (502, "1")
    assert attempts == ["2", "2", "2", "1"]
    case.watch.expect("retries_total", 3, provider="d1-budget")
    case.watch.expect("retry_budget_exhausted_total", 1, provider="d1-budget")


# --- D2, D3, D4: the provider refuses ----------------------------------------------------------------------------------

SENT_AT = "Mon, 23 Nov 2026 10:00:00 GMT"
LATER = "Mon, 23 Nov 2026 10:00:30 GMT"


@pytest.mark.parametrize(
    ("said", "told"),
    [("90", "90"), ("600", "600"), (LATER, "30"), ("soon", None), ("-5", None), ("2.5", "3"), (None, None)],
)
def test_d2_a_429_is_relayed_with_a_wait_that_clients_can_read(case: Case, said: str | None, told: str | None) -> None:
    """Status and body as sent, `retry-after` in plain seconds or not at all, and no waiting for what takes long."""
    body = error("rate_limit_exceeded")
    case.scripts.then("d2", answer(body, 429, {"date": SENT_AT, **({"retry-after": said} if said else {})}))
    before, began = len(case.calls("d2")), time.monotonic()
    got = case.watch.chat("d2", {"x-trivet-run": f"r-d2-{told}-{said and len(said)}"})
    assert time.monotonic() - began < 0.9
    assert (got.status, got.body, got.headers.get("retry-after")) == (429, body, told)
    assert len(case.calls("d2")) == before + 1
    case.watch.expect("upstream_errors_total", 1, provider="d2", kind="429")


def test_d2_a_short_wait_is_sat_out_once(case: Case) -> None:
    """The gateway waits where that is at most `retry.wait_limit`, tries once more, and then tells the SDK to stop."""
    body = error("rate_limit_exceeded")
    refusal = answer(body, 429, {"retry-after": "1"})
    case.scripts.then("d2", refusal, completion("Late."), refusal, refusal)
    before, began = len(case.calls("d2")), time.monotonic()
    good = case.watch.chat("d2", {"x-trivet-run": "r-d2-waits"})
    assert 0.95 < time.monotonic() - began < 2
    assert (good.status, good.headers["x-trivet-attempts"]) == (200, "2")
    bad = case.watch.chat("d2", {"x-trivet-run": "r-d2-waits"})
    assert (bad.status, bad.body, bad.headers["retry-after"]) == (429, body, "1")
    assert bad.headers["x-should-retry"] == "false"
    assert len(case.calls("d2")) == before + 4
    first, second = case.step("r-d2-waits"), case.step("r-d2-waits", 2)
    assert (first["outcome"], first["attempts"], first["attempt_log"]) == ("ok", 2, ["429"])
    assert (second["outcome"], second["attempts"], second["code"]) == ("provider_error", 2, "rate_limit_exceeded")
    case.watch.expect("upstream_errors_total", 3, provider="d2", kind="429")
    case.watch.expect("retries_total", 2, provider="d2", kind="429")


@pytest.mark.parametrize("how", ["insufficient_quota", "gemini"])
def test_d3_a_spent_quota_is_relayed_at_once(case: Case, how: str) -> None:
    """No waiting helps against a quota, so nobody waits and no SDK repeats."""
    daily = {
        "error": {"code": 429, "message": "Quota: GenerateRequestsPerDayPerProject", "status": "RESOURCE_EXHAUSTED"}
    }
    body = error(how) if how == "insufficient_quota" else json.dumps(daily).encode()
    case.scripts.then("d3", answer(body, 429, {"retry-after": "1"}))
    before = len(case.calls("d3"))
    with case.sdk() as client, pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model="d3", messages=[], extra_headers={"x-trivet-run": f"r-d3-{how}"})
    assert caught.value.response.content == body
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert len(case.calls("d3")) == before + 1
    assert case.step(f"r-d3-{how}")["outcome"] == "provider_error"
    case.watch.expect("upstream_errors_total", 1, provider="d3", kind="quota")


@pytest.mark.parametrize("status", STATUSES)
def test_d4_a_providers_error_passes_and_only_the_sdk_repeats(case: Case, status: int) -> None:
    """Own bytes under its own status; the SDK's three attempts are three calls, none multiplied by the gateway."""
    name, body = f"d4-{status}", error("boom")
    case.scripts.then(name, *[answer(body, status)] * 9)
    run = {"x-trivet-run": f"r-{name}"}
    with case.sdk() as client, pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(model=name, messages=[], extra_headers=run)
    assert (caught.value.status_code, caught.value.response.content) == (status, body)
    calls = case.calls(name)
    assert [call.fields["x-stainless-retry-count"] for call in calls] == ["0", "1", "2"]
    steps = [case.step(f"r-{name}", number) for number in (1, 2, 3)]
    assert {(step["outcome"], step["status"], step["code"], step["attempts"]) for step in steps} == {
        ("provider_error", status, "boom", 1)
    }
    case.watch.expect("retries_total", 0, provider=name)
    case.watch.expect("upstream_errors_total", 3 if status >= 500 else 0, provider=name)


def test_d4_where_the_gateway_repeated_the_sdk_does_not(case: Case) -> None:
    """A refusal that says how short to wait is waited out by one of the two, not by both."""
    refusal = answer(error("overloaded"), 503, {"retry-after-ms": "5"})
    case.scripts.then("d4-waits", *[refusal] * 9)
    with case.sdk() as client, pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model="d4-waits", messages=[], extra_headers={"x-trivet-run": "r-d4-waits"})
    assert len(case.calls("d4-waits")) == 2
    step = case.step("r-d4-waits")
    assert (step["attempts"], step["attempt_log"], step["status"]) == (2, ["503"], 503)
    case.watch.expect("retries_total", 1, provider="d4-waits", kind="503")
    case.watch.expect("upstream_errors_total", 2, provider="d4-waits", kind="503")


# --- D5: not the API ---------------------------------------------------------------------------------------------------

PAGE = f"<html><h1>Bad gateway</h1> you sent {KEY} {'x' * 5000}</html>".encode()
HTML = {"content-type": "text/html"}
WHOLE = json.dumps(chat_body("Hello.", MODEL)).encode()
FLOOD = raw(b"HTTP/1.1 100 Continue\r\n\r\n" * 40 + head(200, {"content-length": str(len(WHOLE))}) + WHOLE)
SHAPES: dict[str, tuple[Behaviour, int, str]] = {
    "502-html": (answer(PAGE, 502, HTML), 502, "upstream_error"),
    "500-empty": (answer(b"", 500), 500, "upstream_error"),
    "413-cdn": (answer(PAGE, 413, HTML), 413, "upstream_error"),
    "200-html": (answer(PAGE, 200, HTML), 502, "upstream_protocol"),
    "200-html-as-json": (answer(PAGE, 200), 502, "upstream_protocol"),
    "200-half": (answer(WHOLE[:-20], 200), 502, "upstream_protocol"),
    "200-empty": (answer(b"", 200), 502, "upstream_protocol"),
    "204": (raw(head(204, {"content-type": "application/json"})), 502, "upstream_protocol"),
    "1xx-flood": (FLOOD, 502, "upstream_protocol"),
    "gzip-unsaid": (answer(gzip.compress(WHOLE), 200), 502, "upstream_protocol"),
}


@pytest.mark.parametrize("how", list(SHAPES))
@pytest.mark.parametrize("streamed", [False, True])
def test_d5_what_is_not_the_api_becomes_an_error_that_is(case: Case, how: str, streamed: bool) -> None:
    """An error of the same class in the API's shape; a false 200 is a 502; the body's start is in the journal, no key in it."""
    behaviour, status, code = SHAPES[how]
    run = f"r-d5-{how}-{streamed}"
    case.scripts.then("d5", behaviour)
    got = case.watch.chat("d5", {"x-trivet-run": run}, stream=streamed)
    assert (got.status, got.code) == (status, code)
    assert is_openai_error(got)
    assert b"<html" not in got.body
    step = case.step(run)
    assert (step["outcome"], step["code"], step["status"]) == ("provider_error", code, status)
    if "html" in how:
        assert step["excerpt"].startswith("<html><h1>Bad gateway</h1> you sent (redacted)")
        assert len(step["excerpt"]) == 2048
    case.watch.expect("upstream_errors_total", 1, provider="d5", kind="shape")
    case.watch.expect("rejected_total", 0, reason="upstream_error")


def test_d5_an_answer_that_says_its_coding_passes(case: Case) -> None:
    """A provider that compresses although asked not to is passed on as it is: the client can read it."""
    body = gzip.compress(WHOLE)
    case.scripts.then("d5", answer(body, 200, {"content-encoding": "gzip"}))
    got = case.watch.chat("d5")
    assert (got.status, got.headers["content-encoding"], got.body) == (200, "gzip", body)


# --- D6, D7, D8: silence, half answers, lost connections ---------------------------------------------------------------


def test_d6_silence_before_the_answer_ends_at_the_limit(case: Case) -> None:
    """504 at the first-byte limit, not to be repeated blindly; the provider's connection is closed."""
    case.scripts.then("d6", hang)
    began = time.monotonic()
    got = case.watch.chat("d6", {"x-trivet-run": "r-d6"})
    assert 1 <= time.monotonic() - began < 3.5
    assert (got.status, got.code, got.headers["x-should-retry"]) == (504, "upstream_timeout", "false")
    assert is_openai_error(got)
    assert case.calls("d6")[-1].gone.wait(2)
    assert len(case.calls("d6")) == 1
    step = case.step("r-d6")
    assert (step["outcome"], step["attempts"], step["attempt_log"]) == ("timeout", 1, ["ttfb"])
    case.watch.expect("upstream_errors_total", 1, provider="d6", kind="ttfb")


def endless(piece: bytes, gap: float) -> Behaviour:
    """A JSON body without end."""

    async def behave(_received: Received, reply: Reply) -> None:
        await reply.write(
            head(200, {"content-type": "application/json", "transfer-encoding": "chunked"}) + b"1\r\n{\r\n"
        )
        while True:
            await reply.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await asyncio.sleep(gap)

    return behave


async def stalls(_received: Received, reply: Reply) -> None:
    """Half a body, then nothing."""
    await reply.write(head(200, {"content-type": "application/json", "content-length": "500"}) + b'{"id": "chat')
    await asyncio.sleep(600)


def declared(length: int, body: bytes = WHOLE) -> Behaviour:
    """A body under a length that is not its own; then the connection closes."""
    return raw(head(200, {"content-type": "application/json", "content-length": str(length)}) + body, close=True)


def test_d7_a_body_that_is_not_whole_is_never_a_200(case: Case) -> None:
    """A stalled or endless body is 504 at the limit, one shorter or longer than it says 502."""
    cases = {
        "stalls": (stalls, 504, "upstream_stalled", "timeout"),
        "endless": (endless(b" " * 100, 0.05), 504, "upstream_timeout", "timeout"),
        "short": (declared(len(WHOLE) + 100), 502, "upstream_cut", "cut"),
        "long": (declared(len(WHOLE) - 100), 502, "upstream_protocol", "provider_error"),
    }
    # One after the other is in the provider's hands, so that each run meets the behaviour it is named after.
    with ThreadPoolExecutor(len(cases)) as pool:
        asked = []
        for number, (name, (behaviour, *_)) in enumerate(cases.items(), 1):
            case.scripts.then("d7", behaviour)
            asked.append(pool.submit(case.watch.chat, "d7", {"x-trivet-run": f"r-d7-{name}"}))
            case.wait_call("d7", number)
        answers = [each.result() for each in asked]
    for got, (name, (_, status, code, outcome)) in zip(answers, cases.items(), strict=True):
        assert (name, got.status, got.code) == (name, status, code)
        assert is_openai_error(got)
        step = case.step(f"r-d7-{name}")
        assert (step["outcome"], step["code"], step["status"]) == (outcome, code, status)
    case.watch.expect("upstream_errors_total", 3, provider="d7", kind="body")
    case.watch.expect("upstream_errors_total", 1, provider="d7", kind="shape")


def test_d7_an_endless_body_too_long_to_hold_never_ends_cleanly(case: Case) -> None:
    """What had to be relayed before it was whole is broken off, so that no client takes it for whole."""
    case.scripts.then("d7", endless(b" " * 50_000, 0.01))
    link = case.open("d7", "r-d7-huge", stream=False)
    got = link.getresponse()
    with pytest.raises(http.client.IncompleteRead):
        got.read()
    link.close()
    assert case.step("r-d7-huge")["outcome"] == "timeout"
    case.watch.expect("upstream_errors_total", 1, provider="d7", kind="body")


@pytest.mark.parametrize("how", ["close", "reset"])
def test_d8_a_pooled_connection_lost_while_sending_is_not_repeated(case: Case, how: str) -> None:
    """Nobody knows whether the provider works on it: 502 `maybe_sent`, one call, and the SDK told not to repeat."""

    async def reset(_received: Received, reply: Reply) -> None:
        reply.reset()

    case.scripts.then("d8", completion(), reset if how == "reset" else drop)
    assert case.watch.chat("d8").status == 200
    before, connections = len(case.calls("d8")), case.provider.connections
    got = case.watch.chat("d8", {"x-trivet-run": f"r-d8-{how}"})
    assert (got.status, got.code, got.headers["x-should-retry"]) == (502, "maybe_sent", "false")
    assert is_openai_error(got)
    assert len(case.calls("d8")) == before + 1
    assert case.provider.connections == connections, "the pooled connection was used"
    step = case.step(f"r-d8-{how}")
    assert (step["outcome"], step["attempts"], step["attempt_log"]) == ("maybe_sent", 1, ["maybe_sent"])
    case.watch.expect("upstream_errors_total", 1, provider="d8", kind="stale")


# --- D9, D10, D11: the model -------------------------------------------------------------------------------------------


def ready(case: Case) -> tuple[int, dict[str, Any]]:
    """What the data port says of its readiness."""
    status, body = case.watch.gateway.get(case.watch.gateway.base + "/readyz")
    return status, json.loads(body)


@pytest.mark.parametrize("status", [404, 410])
def test_d9_a_retired_model_is_said_and_never_replaced(case: Case, status: int) -> None:
    """The provider's own answer is relayed, the release is marked until it answers again, and no other model is tried."""
    body = error("model_not_found", f"The model `{MODEL}` has been deprecated")
    case.scripts.then("d9", answer(body, status), answer(body, status))
    before, run = len(case.calls("d9")), f"r-d9-{status}"
    got = [case.watch.chat("d9", {"x-trivet-run": run}) for _ in range(2)]
    assert [(each.status, each.body) for each in got] == [(status, body)] * 2
    release = got[0].headers["x-trivet-release"]
    step = case.step(run)
    assert (step["outcome"], step["flags"], step["release"]) == ("provider_error", ["release_unavailable"], release)
    assert ready(case) == (200, {"status": "ok", "reasons": [], "releases_unavailable": [release]})
    marked = f"release_unavailable{{release={release}}}"
    assert case.watch.settle()[marked] == 1
    assert case.watch.chat("d9", {"x-trivet-run": run}).status == 200
    assert "releases_unavailable" not in ready(case)[1]
    assert case.watch.settle()[marked] == 0
    assert {call.json["model"] for call in case.calls("d9")[before:]} == {MODEL}


def test_d9_a_404_about_something_else_marks_nothing(case: Case) -> None:
    """Only an answer about the model says that the model is gone."""
    case.scripts.then("d9", answer(error("not_found", "No such file: file-1"), 404))
    assert case.watch.chat("d9", {"x-trivet-run": "r-d9-file"}).status == 404
    assert case.step("r-d9-file").get("flags", []) == []
    assert "releases_unavailable" not in ready(case)[1]


@pytest.mark.parametrize("streamed", [False, True])
def test_d10_an_answer_of_another_model_passes_and_is_flagged(case: Case, streamed: bool) -> None:
    """The bytes are the provider's; the journal keeps both models, the counter counts."""
    sent = b"".join(events(["a"], model=OTHER_MODEL))
    case.scripts.then("d10", stream([sent]) if streamed else completion("a", OTHER_MODEL))
    run = f"r-d10-{streamed}"
    got = case.watch.chat("d10", {"x-trivet-run": run}, stream=streamed)
    assert got.status == 200
    assert got.body == sent if streamed else got.json["model"] == OTHER_MODEL
    step = case.step(run)
    assert (step["outcome"], step["model"], step["answered"]) == ("ok", f"d10/{MODEL}", OTHER_MODEL)
    assert step["flags"] == ["model_mismatch"]
    case.watch.expect("model_mismatch_total", 1, alias="d10")


def test_d11_five_failures_in_a_row_open_a_breaker_for_that_model_only(case: Case) -> None:
    """Calls are then held back without calling, another model is not, and one probe at a time decides when it is over."""
    boom = answer(error("boom"), 500)
    case.scripts.then("d11", *[boom] * 5)
    assert [case.watch.chat("d11").status for _ in range(5)] == [500] * 5
    held = case.watch.chat("d11", {"x-trivet-run": "r-d11"})
    assert (held.status, held.code, held.headers["retry-after"]) == (503, "breaker_open", "1")
    assert is_openai_error(held)
    assert len(case.calls("d11")) == 5
    assert case.watch.chat("d11-other").status == 200
    step = case.step("r-d11")
    assert (step["outcome"], step["code"], step["attempt_log"]) == ("refused", "breaker_open", ["breaker"])
    state = f"breaker_state{{model={MODEL},provider=d11}}"
    assert case.watch.settle()[state] == 2
    time.sleep(1.1)
    case.scripts.then("d11", boom)
    assert case.watch.chat("d11").status == 500, "the probe"
    assert case.watch.chat("d11").status == 503, "which failed"
    time.sleep(1.1)
    assert [case.watch.chat("d11").status for _ in range(3)] == [200] * 3
    assert case.watch.settle()[state] == 0
    case.watch.expect("upstream_errors_total", 2, provider="d11", kind="breaker")
