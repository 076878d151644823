"""Rows B1 to B9: JSON and API input that is wrong, in bodies and in what names a run."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterator
from hashlib import sha256

import pytest

from gateway.core.binding.ticket import sign
from gateway.core.contract.run import Ticket
from tests.faults.watch import Answer, House, Watch, is_openai_error
from tests.gateway_process import running
from tests.provider import Provider, answer, chat_body

KEY, OTHER_KEY = "tk-tenant-one-0123456789abcdef", "tk-tenant-two-0123456789abcdef"
STAMP_KEY = "stamp-key-for-tests-0123456789abcdef"
SIGNING = sha256(STAMP_KEY.encode()).digest()
MODEL = "gpt-4o-2024-08-06"
MAX_AGE = 3600
ROUTES = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/openai/v1/chat/completions",
    "/v1/responses",
    "/openai/v1/responses",
)


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    """A gateway that serves pinned models only, to two tenants."""
    rights = ["pass-through"]
    keys = [
        {
            "sha256": sha256(KEY.encode()).hexdigest(),
            "tenant": "one",
            "rights": rights,
            "aliases": {"mapped": "not-there"},
        },
        {"sha256": sha256(OTHER_KEY.encode()).hexdigest(), "tenant": "two", "rights": rights},
    ]
    aliases = {"agent": {"first_release": {"model": f"openai/{MODEL}"}}}
    with (
        Provider() as provider,
        running(
            {"openai": provider.url},
            auth="keys",
            keys=keys,
            unmanaged="refuse",
            aliases=aliases,
            stamp_keys=[STAMP_KEY],
            runs={"max_age": MAX_AGE},
        ) as gateway,
        House(gateway, provider, KEY, secrets=(KEY, OTHER_KEY, STAMP_KEY)) as house,
    ):
        yield house


@pytest.fixture
def watch(house: House, request: pytest.FixtureRequest) -> Iterator[Watch]:
    """The same, watched during one test."""
    with house.watch(request.node.name) as watch:
        yield watch


def refused(watch: Watch, got: Answer, status: int, code: str, param: str | None = None) -> None:
    """The answer is this error in OpenAI's shape, and the provider saw nothing."""
    assert (got.status, got.code) == (status, code), got.body
    assert is_openai_error(got)
    assert got.json["error"]["param"] == param
    assert watch.no_calls()


GOOD = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": "Hello?"}]}).encode()
NOT_JSON = {
    "empty": b"",
    "white": b" \n",
    "truncated": GOOD[:-1],
    "trailing": GOOD + b"x",
    "two": GOOD + GOOD,
    "bom": b"\xef\xbb\xbf" + GOOD,
    "utf16": GOOD.decode().encode("utf-16"),
    "utf16le": GOOD.decode().encode("utf-16-le"),
    "nan": GOOD[:-1] + b',"temperature":NaN}',
    "infinity": GOOD[:-1] + b',"temperature":-Infinity}',
    "1e400": GOOD[:-1] + b',"temperature":1e400}',
    "surrogate": GOOD[:-1] + b',"user":"\\ud800"}',
    "control": GOOD[:-1] + b',"user":"a\x01b"}',
    "newline": GOOD[:-1] + b',"user":"a\nb"}',
    "latin1": GOOD[:-1] + b',"user":"\xe9"}',
    "overlong": GOOD[:-1] + b',"user":"\xc0\xaf"}',
    "comma": GOOD[:-1] + b",}",
    "comment": GOOD[:-1] + b"/**/}",
    "quotes": GOOD.replace(b'"', b"'"),
    "array": b"[" + GOOD + b"]",
    "string": b'"x"',
    "null": b"null",
    "nul": GOOD + b"\0",
    "number": GOOD[:-1] + b',"n":01}',
}


@pytest.mark.parametrize("name", NOT_JSON)
def test_b1_not_json(house: House, watch: Watch, name: str) -> None:
    """What is not one JSON object in UTF-8 gets invalid_json, on every route that reads its body."""
    routes = ROUTES if NOT_JSON[name].strip() else ROUTES[:4]
    for route in routes:
        refused(watch, watch.ask("POST", route, NOT_JSON[name]), 400, "invalid_json")
    watch.expect("rejected_total", len(routes), reason="json")


def nested(levels: int) -> bytes:
    """A request whose deepest value is at this level; the body itself is level 1."""
    return GOOD[:-1] + b',"metadata":' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}"


def test_b2_depth(watch: Watch) -> None:
    """1,025 levels are refused, 1,024 are served, stamped and forwarded as they came."""
    for shape in (nested(1025), GOOD[:-1] + b',"metadata":' + b'{"a":' * 1024 + b"1" + b"}" * 1024 + b"}"):
        refused(watch, watch.ask("POST", "/v1/chat/completions", shape), 400, "json_depth")
    refused(watch, watch.ask("POST", "/v1/chat/completions", nested(200_000)), 400, "json_depth")
    watch.provider.then(answer(chat_body("deep", MODEL)), answer(chat_body("deep", MODEL)))
    got = watch.ask("POST", "/v1/chat/completions", nested(1024), {"x-trivet-run": "deep"})
    assert got.status == 200, got.body
    assert watch.provider.requests[-1].body == nested(1024)
    deep = GOOD.replace(b'"Hello?"', b"[" * 1021 + b"]" * 1021)
    got = watch.ask("POST", "/v1/chat/completions", deep, {"x-trivet-run": "deep"})
    assert (got.status, got.headers["x-trivet-bound"]) == (200, "resumed")
    watch.expect("rejected_total", 3, reason="json_depth")


DUPLICATES = [
    GOOD[:-1] + b',"model":"gpt-4o"}',
    b'{"model":"gpt-4o",' + GOOD[1:],
    GOOD[:-1] + b',"mod\\u0065l":"gpt-4o"}',
    GOOD[:-1] + b',"model":"' + MODEL.encode() + b'"}',
    GOOD[:-1] + b',"stream":true,"stream":false}',
    GOOD[:-1] + b',"messages":[]}',
    GOOD[:-1] + b',"tools":[],"tools":[]}',
]


def test_b3_duplicate_keys(watch: Watch) -> None:
    """A name that stands twice at the top is refused, however it is spelled: two parsers would pick two models."""
    for route in ROUTES:
        for body in DUPLICATES:
            refused(watch, watch.ask("POST", route, body), 400, "duplicate_key")
    watch.expect("rejected_total", len(ROUTES) * len(DUPLICATES), reason="json_dup")


def test_b4_numbers_and_escapes(watch: Watch) -> None:
    """Numbers and strings reach the provider as they were written, whatever a parser would make of them."""
    odd = b',"a":18446744073709551616,"b":1.0,"c":1,"d":-0.0,"e":1E+2,"f":0.1000000000000000055,"g":"\\u00e9\\/\\ud83d\\ude00","h":"\xc3\xa9\xf0\x9f\x98\x80" , "i" :\t[ ]}'
    for model in (MODEL, "agent"):
        body = GOOD[:-1].replace(MODEL.encode(), model.encode()) + odd
        assert watch.ask("POST", "/v1/chat/completions", body).status == 200
        assert watch.provider.requests[-1].body == GOOD[:-1] + odd


def test_b5_models(watch: Watch) -> None:
    """No model, an unknown one and a floating one each get their own refusal."""
    messages = {"messages": [{"role": "user", "content": "Hello?"}]}
    path = "/v1/chat/completions"
    refused(watch, watch.ask("POST", path, messages), 400, "missing_model", "model")
    refused(watch, watch.ask("POST", path, {"model": "", **messages}), 400, "missing_model", "model")
    refused(watch, watch.ask("POST", path, {"model": None, **messages}), 400, "missing_model", "model")
    refused(watch, watch.ask("POST", path, {"model": ["gpt-4o"], **messages}), 400, "invalid_model", "model")
    refused(watch, watch.ask("POST", path, {"model": "x" * 300, **messages}), 400, "bad_model", "model")
    for floating in ("gpt-4o", "gpt-4o-latest", "openai/gpt-4o", "no-such-model"):
        refused(watch, watch.chat(floating), 400, "unpinned_model", "model")
    refused(
        watch,
        watch.ask("POST", "/openai/deployments/gpt-4o/chat/completions", messages),
        400,
        "unpinned_model",
        "model",
    )
    refused(
        watch, watch.ask("POST", "/v1/responses", {"model": "gpt-4o", "input": "x"}), 400, "unpinned_model", "model"
    )
    refused(watch, watch.chat("mapped"), 404, "model_not_found", "model")
    refused(watch, watch.chat(headers={"x-trivet-alias": "no-such-alias"}), 404, "model_not_found", "x-trivet-alias")
    refused(watch, watch.chat("anthropic/claude-sonnet-4-5-20250929"), 400, "unpinned_model", "model")
    watch.expect("rejected_total", 14, reason="model")


def test_b6_routing_fields(watch: Watch) -> None:
    """A body cannot choose host, key or headers, and nobody is called."""
    connections = watch.provider.connections
    fields = ("api_base", "base_url", "api_key", "extra_headers", "custom_host")
    for route in ROUTES:
        for name in fields:
            body = {**json.loads(GOOD), name: "http://127.0.0.1:9"}
            refused(watch, watch.ask("POST", route, body), 400, "forbidden_field", name)
    escaped = GOOD[:-1] + b',"api_b\\u0061se":"http://127.0.0.1:9"}'
    refused(watch, watch.ask("POST", "/v1/chat/completions", escaped), 400, "forbidden_field", "api_base")
    assert watch.provider.connections == connections
    watch.expect("rejected_total", len(ROUTES) * len(fields) + 1, reason="routing_field")


def test_b7_methods_and_types(watch: Watch) -> None:
    """Another content type, and a method a route does not take, are refused with what it takes."""
    path = "/v1/chat/completions"
    for kind in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/xml",
    ):
        refused(watch, watch.ask("POST", path, GOOD, {"content-type": kind}), 415, "unsupported_media_type")
    for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS"):
        got = watch.ask(method, path, GOOD)
        refused(watch, got, 405, "method_not_allowed")
        assert got.headers["allow"] == "POST"
    got = watch.ask("POST", "/v1/models", GOOD)
    refused(watch, got, 405, "method_not_allowed")
    assert got.headers["allow"] == "GET, HEAD"
    assert watch.ask("HEAD", path).status == 405
    refused(watch, watch.ask("GET", "/nothing/here"), 404, "not_found")
    watch.expect("rejected_total", 11, reason="method")
    ok = {"content-type": "application/json; charset=utf-8"}
    assert watch.ask("POST", path, GOOD, ok).status == 200


def ticket(**changes: object) -> Ticket:
    """A ticket of tenant one that would be good."""
    fields = {
        "tenant": "one",
        "run": "signed-run",
        "alias": "agent",
        "release": "",
        "model": f"openai/{MODEL}",
        "at_ms": time.time_ns() // 1_000_000,
    }
    return Ticket(**{**fields, **changes})  # type: ignore[arg-type]


def test_b8_tickets(watch: Watch) -> None:
    """A forged, old, foreign or broken ticket gets one and the same refusal, whether its run exists or not."""
    first = watch.chat("agent", {"x-trivet-run": "run-of-one"})
    good = first.headers["x-trivet-ticket"]
    watch.calls += 1
    release = first.headers["x-trivet-release"]
    now = time.time_ns() // 1_000_000
    key = SIGNING
    forged = [
        good[:-1] + ("A" if good[-1] != "A" else "B"),
        sign(ticket(release=release), b"another-key-0123456789"),
        good.replace("run-of-one", "run-of-two"),
    ]
    old = [
        sign(ticket(release=release, at_ms=now - MAX_AGE * 1000 - 600_000), key),
        sign(ticket(release=release, at_ms=now + 48 * 3_600_000), key),
    ]
    broken = ["v1.x", "x" * 60, "", good + "x", good * 40, "v2" + good[2:]]
    bodies = []
    for text in forged + old + broken:
        got = watch.chat("agent", {"x-trivet-ticket": text})
        refused(watch, got, 403, "stamp_invalid", "x-trivet-ticket")
        bodies.append(got.body)
    for text in (good, sign(ticket(release=release, run="nobody-has-this"), key)):
        got = watch.chat("agent", {"x-trivet-ticket": text}, key=OTHER_KEY)
        refused(watch, got, 403, "stamp_invalid", "x-trivet-ticket")
        bodies.append(got.body)
    assert len(set(bodies)) == 1
    watch.expect("stamp_rejected_total", len(forged), reason="forged")
    watch.expect("stamp_rejected_total", len(old), reason="expired")
    watch.expect("stamp_rejected_total", len(broken), reason="malformed")
    watch.expect("stamp_rejected_total", 2, reason="tenant")
    alone = watch.chat("agent", {"x-trivet-run": "run-of-one"}, key=OTHER_KEY)
    assert (alone.status, alone.headers["x-trivet-bound"]) == (200, "new"), (
        "another tenant's run id is a run of its own"
    )


def test_b8_takes_the_same_time(watch: Watch) -> None:
    """A ticket that fails at its first and one that fails at its last character cost the same."""
    good = watch.chat("agent", {"x-trivet-run": "timed"}).headers["x-trivet-ticket"]
    stem, mac = good[:-43], good[-43:]
    early, late = (
        stem + ("A" if mac[0] != "A" else "B") + mac[1:],
        stem + mac[:-2] + ("A" if mac[-2] != "A" else "B") + mac[-1],
    )
    spent: dict[str, list[float]] = {early: [], late: []}
    for _ in range(60):
        for text, times in spent.items():
            began = time.perf_counter()
            assert watch.chat("agent", {"x-trivet-ticket": text}).status == 403
            times.append(time.perf_counter() - began)
    first, last = (statistics.median(times) for times in spent.values())
    assert abs(first - last) < 0.5 * max(first, last)
    watch.expect("stamp_rejected_total", 120, reason="forged")


def test_b9_resume_of_nothing(watch: Watch) -> None:
    """A resume that finds no stamp gets 409 and no model; its client is told not to retry."""
    required = {"x-trivet-resume": "required"}
    cases = [
        watch.chat("agent", {**required, "x-trivet-run": "never-seen"}),
        watch.chat(MODEL, {**required, "x-trivet-run": "never-seen"}),
        watch.chat("agent", required),
    ]
    for got in cases:
        assert (got.status, got.code) == (409, "run_stamp_missing"), got.body
        assert is_openai_error(got)
        assert got.headers["x-should-retry"] == "false"
    assert watch.no_calls()
    watch.expect("stamp_missing_total", len(cases))
    assert watch.chat("agent", {"x-trivet-run": "never-seen"}).headers["x-trivet-bound"] == "new"
    assert watch.chat("agent", {**required, "x-trivet-run": "never-seen"}).headers["x-trivet-bound"] == "resumed"
    bad = watch.chat("agent", {"x-trivet-resume": "maybe", "x-trivet-run": "never-seen"})
    assert (bad.status, bad.code) == (400, "bad_resume")


def test_b9_ticket_without_a_stamp(watch: Watch) -> None:
    """A good ticket is itself the record: where nobody else remembers the run, it goes on, on the ticket's release."""
    release = watch.chat("agent", {"x-trivet-run": "any"}).headers["x-trivet-release"]
    text = sign(ticket(run="only-in-a-ticket", release=release), SIGNING)
    got = watch.chat("agent", {"x-trivet-ticket": text})
    assert (got.status, got.headers["x-trivet-bound"]) == (200, "resumed"), got.body
    assert (got.headers["x-trivet-run"], got.headers["x-trivet-release"]) == ("only-in-a-ticket", release)
    again = watch.chat("agent", {"x-trivet-resume": "required", "x-trivet-run": "only-in-a-ticket"})
    assert again.status == 200, "the store has the stamp back"
    watch.expect("stamp_repaired_total", 1)
