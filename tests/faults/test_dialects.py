"""Rows B, D and E for every dialect of the table in `dialects.py`: each gets the same, in its own shape."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.faults.dialects import SPEECHES, Speech
from tests.faults.scripted import FIELDS, KEY, Case, Scripts, Streamed, leave, settings
from tests.faults.watch import Answer, House
from tests.gateway_process import running
from tests.provider import Behaviour, Provider, Received, Reply, answer, hang, head, stream

EVENT_CAP, BODY_CAP = 1 << 20, 2 << 20


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    """A gateway of pinned models only, with a provider and an alias for each dialect, and short limits."""
    scripts = Scripts()
    with Provider(scripts) as provider:
        limits = {"first_byte": 1.0, "between_chunks": 1.0}
        providers = {
            each.dialect: settings(f"{provider.url}/{each.dialect}", vendor=each.vendor, timeouts=limits)
            for each in SPEECHES.values()
        }
        aliases = {
            f"agent-{each.dialect}": {"first_release": {"model": f"{each.dialect}/{each.model}"}}
            for each in SPEECHES.values()
        }
        with (
            running(
                {"openai": settings(provider.url), **providers},
                aliases=aliases,
                unmanaged="refuse",
                serve={"event_bytes": EVENT_CAP, "body_bytes": BODY_CAP},
                retry={"breaker_failures": 1000},
                default_provider={each.dialect: each.dialect for each in SPEECHES.values()} | {"openai": "openai"},
            ) as gateway,
            House(gateway, provider, secrets=(KEY,)) as house,
        ):
            yield house


@dataclass
class Spoken:
    """One test's view of one dialect."""

    case: Case
    speech: Speech

    @property
    def alias(self) -> str:
        """The alias of this dialect."""
        return f"agent-{self.speech.dialect}"

    @property
    def good(self) -> bytes:
        """A good request of a pinned model."""
        return json.dumps(self.speech.asks(self.speech.model)).encode()

    def then(self, *behaviours: Behaviour) -> None:
        """Queue behaviours of the dialect's provider."""
        self.case.scripts.then(self.speech.dialect, *behaviours)

    def calls(self) -> list[Received]:
        """What the dialect's provider has seen."""
        return self.case.calls(self.speech.dialect)

    def ask(self, body: Any = None, headers: dict[str, str] | None = None, method: str = "POST") -> Answer:
        """One request, by default for the pinned model."""
        path = self.speech.at(self.speech.model)
        return self.case.watch.ask(method, path, self.good if body is None else body, headers)

    def agent(self, run: str, **headers: str) -> Answer:
        """One request for the alias, of a run."""
        path, body = self.speech.at(self.alias), self.speech.asks(self.alias)
        return self.case.watch.ask("POST", path, body, {"x-trivet-run": run, **headers})

    def open(self, run: str, *, streamed: bool = True) -> http.client.HTTPConnection:
        """A connection on which the alias has been asked."""
        link = http.client.HTTPConnection("127.0.0.1", self.case.watch.port, timeout=15)
        body = json.dumps(self.speech.asks(self.alias, stream=streamed))
        link.request("POST", self.speech.at(self.alias, stream=streamed), body, FIELDS | {"x-trivet-run": run})
        return link

    def stream(self, run: str) -> Streamed:
        """A streamed answer of the alias, read to whatever end it has."""
        link = self.open(run)
        try:
            got = link.getresponse()
            headers = {name.lower(): value for name, value in got.getheaders()}
            try:
                return Streamed(got.status, got.read(), headers, clean=True)
            except http.client.IncompleteRead as cut:
                return Streamed(got.status, cut.partial, headers, clean=False)
        finally:
            link.close()

    def is_error(self, got: Answer, status: int, code: str) -> None:
        """The answer is this error, in the dialect's own shape."""
        assert (got.status, self.speech.code(got.json["error"])) == (status, code), got.body
        assert set(got.json["error"]) == self.speech.members
        assert got.headers["content-type"] == "application/json"
        assert got.headers["x-should-retry"] in ("true", "false")

    def refused(self, got: Answer, status: int, code: str) -> None:
        """The same, and no provider saw anything."""
        self.is_error(got, status, code)
        assert self.case.watch.no_calls()

    def told(self, got: Streamed, sent: bytes, code: str) -> None:
        """A 200 of exactly these bytes, then one error event, and no clean end."""
        assert (got.status, got.clean) == (200, False)
        assert got.body[: len(sent)] == sent
        last = got.body[len(sent) :]
        assert last.startswith(self.speech.begins) and last.endswith(b"\n\n"), last
        assert self.speech.code(json.loads(last.rpartition(b"data: ")[2])["error"]) == code


@pytest.fixture(params=SPEECHES)
def spoken(house: House, request: pytest.FixtureRequest) -> Iterator[Spoken]:
    """Each dialect in turn, under watch."""
    scripts = house.provider.default
    assert isinstance(scripts, Scripts)
    with house.watch(request.node.name) as watch:
        yield Spoken(Case(watch, scripts, house.provider), SPEECHES[request.param])


# --- B: the request is wrong --------------------------------------------------------------------------------------------


def test_b1_b2_b3_what_two_parsers_could_read_in_two_ways(spoken: Spoken) -> None:
    """Not one JSON object in UTF-8, too deep, or a name twice at the top: refused before anything is decided from it."""
    good = spoken.good
    broken = [b" ", good[:-1], good + good, b"\xef\xbb\xbf" + good, b"[" + good + b"]", b"null"]
    broken += [good[:-1] + tail for tail in (b',"a":NaN}', b',"a":1e400}', b',"a":"\\ud800"}', b',"a":"\xe9"}', b",}")]
    for body in broken:
        spoken.refused(spoken.ask(body), 400, "invalid_json")
    deep = [good[:-1] + b',"x":' + b"[" * levels + b"]" * levels + b"}" for levels in (1023, 1024)]
    spoken.refused(spoken.ask(deep[1]), 400, "json_depth")
    for more in (b',"a":1,"a":2}', b',"a":1,"\\u0061":1}'):
        spoken.refused(spoken.ask(good[:-1] + more), 400, "duplicate_key")
    spoken.case.watch.expect("rejected_total", len(broken), reason="json")
    spoken.case.watch.expect("rejected_total", 1, reason="json_depth")
    spoken.case.watch.expect("rejected_total", 2, reason="json_dup")
    spoken.then(answer(spoken.speech.whole))
    assert spoken.ask(deep[0]).status == 200
    assert spoken.calls()[-1].body == deep[0]


def test_b4_what_is_not_the_gateways_passes_as_it_was_written(spoken: Spoken) -> None:
    """Numbers, escapes, white space and unknown members reach the provider byte for byte, through an alias too."""
    odd = b',"a":18446744073709551616,"b":1.0,"c":1E+2,"d":-0.0,"e":"\\u00e9\\/\\ud83d\\ude00" , "f" :\t[ ]}'
    for model in (spoken.speech.model, spoken.alias):
        spoken.then(answer(spoken.speech.whole))
        body = json.dumps(spoken.speech.asks(model)).encode()[:-1] + odd
        path = spoken.speech.at(model)
        assert spoken.case.watch.ask("POST", path, body).status == 200
        assert spoken.calls()[-1].body == spoken.good[:-1] + odd


def test_b5_b6_b7_models_routing_fields_and_methods(spoken: Spoken) -> None:
    """A floating model, a host of the client's choice, another type or method: each has its own refusal."""
    speech, ask = spoken.speech, spoken.case.watch.ask
    floating = ask("POST", speech.at(speech.floating), speech.asks(speech.floating))
    spoken.refused(floating, 400, "unpinned_model")
    fields = ("api_base", "base_url", "api_key", "extra_headers", "custom_host")
    for name in fields:
        spoken.refused(spoken.ask({**json.loads(spoken.good), name: "http://127.0.0.1:9"}), 400, "forbidden_field")
    spoken.refused(spoken.ask(headers={"content-type": "text/plain"}), 415, "unsupported_media_type")
    for method in ("GET", "PUT", "DELETE"):
        got = spoken.ask(method=method)
        spoken.refused(got, 405, "method_not_allowed")
        assert got.headers["allow"] == "POST"
    spoken.case.watch.expect("rejected_total", 1, reason="model")
    spoken.case.watch.expect("rejected_total", len(fields), reason="routing_field")
    spoken.case.watch.expect("rejected_total", 4, reason="method")


def test_b8_b9_tickets_and_resumes(spoken: Spoken) -> None:
    """A ticket that is none is refused; a resume of nothing gets no model, and one of something keeps it."""
    spoken.refused(spoken.agent("r", **{"x-trivet-ticket": "v1.x"}), 403, "stamp_invalid")
    required = {"x-trivet-resume": "required"}
    run = f"r-b9-{spoken.speech.dialect}"
    missing = spoken.agent(run, **required)
    spoken.refused(missing, 409, "run_stamp_missing")
    assert missing.headers["x-should-retry"] == "false"
    spoken.then(*[answer(spoken.speech.whole)] * 2)
    first = spoken.agent(run)
    again = spoken.agent(run, **required)
    assert (first.headers["x-trivet-bound"], again.headers["x-trivet-bound"]) == ("new", "resumed")
    assert first.headers["x-trivet-release"] == again.headers["x-trivet-release"]
    spoken.case.watch.expect("stamp_rejected_total", 1, reason="malformed")
    spoken.case.watch.expect("stamp_missing_total", 1)


def test_a13_a_body_over_the_limit(spoken: Spoken) -> None:
    """Refused by its declared length, before it is read, in the dialect's own shape."""
    lines = f"POST {spoken.speech.at(spoken.alias)} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    got = spoken.case.watch.raw(f"{lines}content-length: {BODY_CAP + 1}\r\n\r\n".encode())
    spoken.refused(got, 413, "body_too_large")
    assert got.closed
    spoken.case.watch.expect("rejected_total", 1, reason="body_size")


@pytest.mark.parametrize(
    ("line", "status", "code", "reason"),
    [
        ("content-encoding: gzip", 415, "unsupported_content_encoding", "content_encoding"),
        ("expect: a miracle", 417, "expectation_failed", "expect"),
        (f"x-much: {'a' * 9000}", 431, "header_too_large", "header_size"),
        ("content-length: 2", 400, "bad_framing", "framing"),
    ],
)
def test_a14_what_the_wire_refuses_once_it_knows_the_path(
    spoken: Spoken, line: str, status: int, code: str, reason: str
) -> None:
    """A head that is refused before anybody looks at its route is refused in the words of the path that it names."""
    lines = f"POST {spoken.speech.at(spoken.alias)} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    got = spoken.case.watch.raw(f"{lines}content-length: 3\r\n{line}\r\n\r\n{{}}\n".encode())
    spoken.refused(got, status, code)
    assert got.closed
    spoken.case.watch.expect("rejected_total", 1, reason=reason)


# --- D: the provider is wrong -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("said", "told"), [("90", "90"), ("2.5", "3"), ("soon", None)])
def test_d2_a_429_passes_with_a_wait_that_clients_can_read(spoken: Spoken, said: str, told: str | None) -> None:
    """Status and body as sent; `retry-after` in plain seconds or not at all."""
    spoken.then(answer(spoken.speech.refusal, 429, {"retry-after": said}))
    got = spoken.agent(f"r-d2-{told}")
    assert (got.status, got.body, got.headers.get("retry-after")) == (429, spoken.speech.refusal, told)
    spoken.case.watch.expect("upstream_errors_total", 1, provider=spoken.speech.dialect, kind="429")


@pytest.mark.parametrize("status", [409, 500, 503, 504, 529])
def test_d4_a_providers_error_passes(spoken: Spoken, status: int) -> None:
    """Its own bytes under its own status, asked once."""
    spoken.then(answer(spoken.speech.refusal, status))
    before, run = len(spoken.calls()), f"r-d4-{status}-{spoken.speech.dialect}"
    got = spoken.agent(run)
    assert (got.status, got.body, len(spoken.calls())) == (status, spoken.speech.refusal, before + 1)
    step = spoken.case.step(run)
    assert (step["outcome"], step["status"], step["attempts"]) == ("provider_error", status, 1)


SHAPES: dict[str, tuple[bytes, int, dict[str, str]]] = {
    "502-html": (b"<html>502</html>", 502, {"content-type": "text/html"}),
    "503-html": (b"<html>503</html>", 503, {"content-type": "text/html"}),
    "500-empty": (b"", 500, {}),
    "413-cdn": (b"<html>413</html>", 413, {"content-type": "text/html"}),
    "200-html": (b"<html>200</html>", 200, {}),
    "200-empty": (b"", 200, {}),
    "gzip-unsaid": (gzip.compress(b"{}"), 200, {}),
}


@pytest.mark.parametrize("how", SHAPES)
def test_d5_what_is_not_the_api_becomes_an_error_that_is(spoken: Spoken, how: str) -> None:
    """An error of the same class in the dialect's shape; a false 200 is an error of the provider; no HTML is relayed."""
    body, status, headers = SHAPES[how]
    spoken.then(answer(body, status, headers))
    got = spoken.agent(f"r-d5-{how}-{spoken.speech.dialect}")
    wanted = {200: spoken.speech.broken, 502: spoken.speech.broken, 503: spoken.speech.busy}.get(status, status)
    spoken.is_error(got, wanted, "upstream_error" if status >= 400 else "upstream_protocol")
    assert b"<html" not in got.body
    spoken.case.watch.expect("upstream_errors_total", 1, provider=spoken.speech.dialect, kind="shape")


async def half_a_body(_received: Received, reply: Reply) -> None:
    """The beginning of a body, and no more."""
    await reply.write(head(200, {"content-type": "application/json", "content-length": "500"}) + b'{"id":')
    await asyncio.sleep(600)


@pytest.mark.parametrize(("behaviour", "code", "kind"), [(hang, "upstream_timeout", "ttfb"), (half_a_body, "upstream_stalled", "body")])  # fmt: skip
def test_d6_d7_silence_ends_at_its_limit(spoken: Spoken, behaviour: Behaviour, code: str, kind: str) -> None:
    """504, never half an answer; the provider's connection is closed."""
    spoken.then(behaviour)
    spoken.is_error(spoken.agent(f"r-{code}-{spoken.speech.dialect}"), 504, code)
    assert spoken.calls()[-1].gone.wait(2)
    spoken.case.watch.expect("upstream_errors_total", 1, provider=spoken.speech.dialect, kind=kind)


# --- E: the stream is wrong ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["cut", "reset", "half", "clean", "empty"])
def test_e1_e2_e3_a_stream_that_lacks_its_end(spoken: Spoken, end: str) -> None:
    """Every whole event that came, then the dialect's error, then no clean end, however the provider broke off."""
    whole = spoken.speech.events
    sent = [] if end == "empty" else list(whole[: len(whole) // 2])
    half = [whole[len(whole) // 2][:-8]] if end == "half" else []
    how = {"half": "cut", "empty": "clean"}.get(end, end)
    spoken.then(stream([*sent, *half], gap=0.01, end=how))
    run = f"r-e1-{end}-{spoken.speech.dialect}"
    spoken.told(spoken.stream(run), b"".join(sent), "upstream_cut")
    assert spoken.case.step(run)["outcome"] == ("incomplete" if how == "clean" else "cut")
    reason = "no_terminal" if how == "clean" else "cut"
    spoken.case.watch.expect("stream_aborts_total", 1, side="upstream", reason=reason)
    if reason == "cut":
        spoken.case.watch.expect("upstream_errors_total", 1, provider=spoken.speech.dialect, kind="body")


def test_e3_a_cut_after_the_terminal_event_is_a_whole_answer(spoken: Spoken) -> None:
    """Nothing is missing: the client gets a clean end."""
    spoken.then(stream(spoken.speech.events, gap=0.01, end="reset"))
    got = spoken.stream(f"r-e3-{spoken.speech.dialect}")
    assert (got.body, got.clean) == (b"".join(spoken.speech.events), True)
    step = spoken.case.step(f"r-e3-{spoken.speech.dialect}")
    assert (step["outcome"], step["answered"]) == ("ok", spoken.speech.model)
    assert step["usage"]["output"] > 0


def test_e4_an_error_event_of_the_provider(spoken: Spoken) -> None:
    """Relayed byte for byte, then closed, and not asked again."""
    sent = [spoken.speech.events[0], spoken.speech.failed]
    spoken.then(stream(sent, end="hang"))
    before, run = len(spoken.calls()), f"r-e4-{spoken.speech.dialect}"
    got = spoken.stream(run)
    assert (got.status, got.body, got.clean) == (200, b"".join(sent), False)
    assert spoken.calls()[before].gone.wait(1)
    step = spoken.case.step(run)
    assert (step["outcome"], step["code"], step["attempts"]) == ("provider_error", "overloaded_error", 1)
    spoken.case.watch.expect("stream_aborts_total", 1, side="upstream", reason="provider_event")


@pytest.mark.parametrize("when", ["before_headers", "mid_stream", "during_body"])
def test_e5_a_client_that_leaves_stops_the_provider_at_once(spoken: Spoken, when: str) -> None:
    """The provider sees the close within 200 ms, whatever the client was waiting for."""
    first = stream(spoken.speech.events[:1], end="hang")
    spoken.then({"before_headers": hang, "mid_stream": first, "during_body": half_a_body}[when])
    before = len(spoken.calls())
    link = spoken.open(f"r-e5-{when}-{spoken.speech.dialect}", streamed="body" not in when)
    call = spoken.case.wait_call(spoken.speech.dialect, before + 1)
    if when == "mid_stream":
        link.getresponse().read1(10_000)
    time.sleep(0.05)
    left = leave(link)
    assert call.gone.wait(2)
    assert call.gone_at - left < 0.2
    assert spoken.case.step(f"r-e5-{when}-{spoken.speech.dialect}")["outcome"] == "client_gone"
    phase = "stream" if when == "mid_stream" else "wait"
    spoken.case.watch.expect("client_disconnect_total", 1, phase=phase)


def odd(events: tuple[bytes, ...], how: str) -> list[bytes]:
    """A good stream, oddly sent."""
    whole = b"".join(events)
    if how == "single_bytes":
        return [whole[i : i + 1] for i in range(len(whole))]
    if how == "crlf":
        return [whole.replace(b"\n", b"\r\n")]
    if how == "comments":
        return [b": ping\n\n", events[0], b":\n\n", *events[1:]]
    if how == "unknown":
        return [events[0], b'event: novel\nid: 7\ndata: {"type":"novel"}\n\n', *events[1:]]
    return [*events[:-1], events[-1].rstrip(b"\n")]


@pytest.mark.parametrize("how", ["single_bytes", "crlf", "comments", "unknown", "no_last_line"])
def test_e7_an_odd_stream_arrives_as_it_was_sent(spoken: Spoken, how: str) -> None:
    """However events are cut, ended and spaced, and whatever else stands between them, the bytes are the provider's."""
    pieces = odd(spoken.speech.events, how)
    spoken.then(stream(pieces))
    got = spoken.stream(f"r-e7-{how}-{spoken.speech.dialect}")
    assert (got.status, got.clean, got.body) == (200, True, b"".join(pieces))


def test_e7_an_event_over_the_cap(spoken: Spoken) -> None:
    """One event larger than `serve.event_bytes` ends the stream as a cut would."""
    first = spoken.speech.events[0]
    spoken.then(stream([first, b"data: " + b"x" * (EVENT_CAP + 1)], end="hang"))
    spoken.told(spoken.stream(f"r-e7-over-{spoken.speech.dialect}"), first, "event_too_large")
    spoken.case.watch.expect("stream_aborts_total", 1, side="upstream", reason="event_too_large")
    spoken.case.watch.expect("upstream_errors_total", 1, provider=spoken.speech.dialect, kind="body")
