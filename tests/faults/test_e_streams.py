"""Rows E1 to E9: streams that are cut, silent, slow, odd or left, and what is left behind by a crowd of them."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openai
import pytest

from gateway.core.contract.exchange import Outcome
from gateway.live.heartbeat import COMMENT
from tests.faults.scripted import KEY, Case, Scripts, Streamed, alias_of, leave, settings
from tests.faults.watch import House, grown
from tests.gateway_process import running
from tests.provider import STREAM_HEAD, Behaviour, Provider, Received, Reply, completion, events, hang, head, stream

EVENT_CAP = 2 << 20
NAMES = ["e1", "e2", "e3", "e4", "e5", "e6", "e7", "e9"]
DONE = b"data: [DONE]\n\n"


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    """A gateway with heartbeats, small caps and short limits, and a provider per row."""
    scripts = Scripts()
    with Provider(scripts) as provider:
        providers: dict[str, Any] = {name: settings(f"{provider.url}/{name}", connections=2000) for name in NAMES}
        providers["openai"] = settings(provider.url)
        providers["e8"] = settings(f"{provider.url}/e8", timeouts={"between_chunks": 4})
        serve = {"event_bytes": EVENT_CAP, "write_timeout": 1, "heartbeat": 1}
        aliases = {name: alias_of(name) for name in providers if name != "openai"}
        defaults = {"openai": "openai"}
        with (
            running(providers, aliases=aliases, unmanaged="pass", serve=serve, default_provider=defaults) as gateway,
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


def told(got: Streamed, sent: bytes, code: str) -> None:
    """A 200 of exactly these bytes, then one error event, and no clean end."""
    assert (got.status, got.clean) == (200, False)
    assert got.body[: len(sent)] == sent
    last = got.body[len(sent) :]
    assert last.startswith(b"data: ") and last.endswith(b"\n\n"), last
    error = json.loads(last[6:])["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["code"] == code
    assert DONE not in got.body


def texts_until_error(case: Case, model: str, run: str = "") -> tuple[list[str], openai.APIError]:
    """What the official client hands out before it raises."""
    heard: list[str] = []
    with case.sdk() as client, pytest.raises(openai.APIError) as caught:
        extra = {"x-trivet-run": run} if run else {}
        with client.chat.completions.create(model=model, messages=[], stream=True, extra_headers=extra) as answer:
            for chunk in answer:
                heard.extend(choice.delta.content or "" for choice in chunk.choices)
    return heard, caught.value


# --- E1, E2, E3, E4: the provider breaks off ---------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["cut", "reset"])
def test_e1_a_cut_between_events(case: Case, end: str) -> None:
    """Every event that came, then the dialect's error, then no clean end; the official client raises and repeats nothing."""
    sent = events(["Hel", "lo"])[:3]
    case.scripts.then("e1", stream(sent, gap=0.02, end=end), stream(sent, gap=0.02, end=end))
    before = len(case.calls("e1"))
    told(case.stream("e1", f"r-e1-{end}"), b"".join(sent), "upstream_cut")
    heard, error = texts_until_error(case, "e1", f"r-e1-{end}")
    assert ("".join(heard), error.code) == ("Hello", "upstream_cut")
    assert len(case.calls("e1")) == before + 2
    step = case.step(f"r-e1-{end}")
    assert (step["outcome"], step["code"], step["status"], step["stream"]) == ("cut", "upstream_cut", 200, True)
    assert (step["answered"], step["fingerprint"]) == ("m", "fp_1")
    case.watch.expect("stream_aborts_total", 2, side="upstream", reason="cut")
    case.watch.expect("upstream_errors_total", 2, provider="e1", kind="body")


@pytest.mark.parametrize("where", ["event", "character"])
def test_e2_a_cut_inside_an_event(case: Case, where: str) -> None:
    """Half an event, or half a character, is withheld: an error event glued to it could not be read."""
    first = events(["a"])[0]
    text = "data: " + json.dumps({"choices": [{"index": 0, "delta": {"content": "né→"}}]}, ensure_ascii=False)
    half = text.encode()[: text.encode().index("→".encode()) + 2 if where == "character" else 30]
    case.scripts.then("e2", stream([first, half], gap=0.02, end="cut"), stream([first + half], gap=0.02, end="cut"))
    told(case.stream("e2", f"r-e2-{where}"), first, "upstream_cut")
    assert texts_until_error(case, "e2")[1].code == "upstream_cut"
    assert case.step(f"r-e2-{where}")["outcome"] == "cut"
    case.watch.expect("stream_aborts_total", 2, side="upstream", reason="cut")


@pytest.mark.parametrize("left", ["nothing", "half", "everything"])
def test_e3_a_clean_end_without_the_terminal_event_is_no_success(case: Case, left: str) -> None:
    """The official clients take such an end for a whole answer, so it is not passed on as one."""
    sent = events(["x"])[:-1] if left != "everything" else []
    tail = [b"data: [DO"] if left == "half" else []
    case.scripts.then("e3", stream([*sent, *tail]), stream([*sent, *tail]))
    told(case.stream("e3", f"r-e3-{left}"), b"".join(sent), "upstream_cut")
    assert texts_until_error(case, "e3")[1].code == "upstream_cut"
    step = case.step(f"r-e3-{left}")
    assert (step["outcome"], step["code"]) == ("incomplete", "upstream_cut")
    case.watch.expect("stream_aborts_total", 2, side="upstream", reason="no_terminal")


def test_e3_a_cut_after_the_terminal_event_is_a_whole_answer(case: Case) -> None:
    """Nothing is missing after `[DONE]`: the client gets a clean end, and nothing is counted against the provider."""
    sent = events(["x"])
    case.scripts.then("e3", stream(sent, gap=0.01, end="reset"))
    got = case.stream("e3", "r-e3-whole")
    assert (got.body, got.clean) == (b"".join(sent), True)
    step = case.step("r-e3-whole")
    assert (step["outcome"], step["code"], step["usage"]) == ("ok", "", {"input": 5, "output": 3})
    case.watch.expect("upstream_errors_total", 0, provider="e3")


def test_e4_an_error_event_of_the_provider(case: Case) -> None:
    """Relayed byte for byte, then closed; neither gateway nor SDK asks again."""
    said = b'data: {"error":{"message":"boom","type":"server_error","param":null,"code":"overloaded"}}\n\n'
    sent = [events(["x"])[0], said]
    case.scripts.then("e4", stream(sent, end="hang"), stream(sent))
    got = case.stream("e4", "r-e4")
    assert (got.status, got.body, got.clean) == (200, b"".join(sent), False)
    assert case.calls("e4")[0].gone.wait(1), "the provider's connection is closed"
    assert texts_until_error(case, "e4")[1].code == "overloaded"
    assert len(case.calls("e4")) == 2
    step = case.step("r-e4")
    assert (step["outcome"], step["code"]) == ("provider_error", "overloaded")
    case.watch.expect("stream_aborts_total", 2, side="upstream", reason="provider_event")


# --- E5, E6: the client leaves, or does not read -----------------------------------------------------------------------


async def half_a_body(_received: Received, reply: Reply) -> None:
    """The beginning of a body, and no more."""
    await reply.write(head(200, {"content-type": "application/json", "content-length": "500"}) + b'{"id":')
    await asyncio.sleep(600)


@pytest.mark.parametrize(
    ("when", "phase"),
    [("before_headers", "wait"), ("mid_stream", "stream"), ("during_body", "wait"), ("before_events", "stream")],
)
def test_e5_a_client_that_leaves_stops_the_provider_at_once(case: Case, when: str, phase: str) -> None:
    """The provider sees the close within 200 ms, whatever the client was waiting for; what was used so far is kept."""
    usage = b'data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":2}}\n\n'
    behaviours: dict[str, Behaviour] = {
        "before_headers": hang,
        "mid_stream": stream([events(["a"])[0], usage], end="hang"),
        "during_body": half_a_body,
        "before_events": stream([], end="hang"),
    }
    case.scripts.then("e5", behaviours[when])
    before = len(case.calls("e5"))
    link = case.open("e5", f"r-e5-{when}", stream="body" not in when)
    call = case.wait_call("e5", before + 1)
    if phase == "stream":
        got = link.getresponse()
        assert got.status == 200, "the head comes when the provider's has come, not with the first event"
        if when == "mid_stream":
            got.read1(10_000)
    time.sleep(0.05)
    left = leave(link)
    assert call.gone.wait(2)
    assert call.gone_at - left < 0.2
    step = case.step(f"r-e5-{when}")
    assert (step["outcome"], step["code"]) == ("client_gone", "client_gone")
    assert step["usage"] == ({"input": 7, "output": 2} if when == "mid_stream" else None)
    assert len(case.calls("e5")) == before + 1
    case.watch.expect("client_disconnect_total", 1, phase=phase)


def test_e5_a_client_that_leaves_after_the_terminal_event_had_it_all(case: Case) -> None:
    """Many clients hang up at `[DONE]`: that is success."""
    sent = events(["a"])
    case.scripts.then("e5", stream(sent, end="hang"))
    link = case.open("e5", "r-e5-done")
    got, body = link.getresponse(), b""
    while DONE not in body:
        body += got.read1(10_000)
    leave(link)
    step = case.step("r-e5-done")
    assert (step["outcome"], step["code"], step["finish"]) == ("ok", "", "stop")


FAST = b"data: " + b"x" * 16_000 + b"\n\n"


@dataclass
class Taken:
    """What a flooding provider could get rid of: bytes, and when each stream was taken from it."""

    size: int = 0
    ended: list[float] = field(default_factory=list)


def flood(taken: Taken) -> Behaviour:
    """Events as fast as they are taken."""

    async def behave(_received: Received, reply: Reply) -> None:
        try:
            await reply.write(head(200, STREAM_HEAD))
            while True:
                await reply.write(b"%x\r\n%b\r\n" % (len(FAST), FAST))
                taken.size += len(FAST)
        finally:
            taken.ended.append(time.monotonic())

    return behave


def slow_reader(case: Case, run: str, rate: int, over: threading.Event) -> None:
    """Ask for a stream and read `rate` bytes a second of it, until all is over."""
    link = socket.socket()
    link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    link.connect(("127.0.0.1", case.watch.port))
    body = json.dumps({"model": "e6", "stream": True, "messages": []})
    lines = f"content-type: application/json\r\nx-trivet-run: {run}\r\ncontent-length: {len(body)}"
    with link:
        link.sendall(f"POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\n{lines}\r\n\r\n{body}".encode())
        while not over.wait(0.25):
            with contextlib.suppress(ConnectionError):
                link.recv(max(1, rate // 4)) if rate else None


def resident(case: Case) -> int:
    """Resident bytes of the live worker."""
    return int(Path(f"/proc/{case.watch.gateway.pid('live-0')}/statm").read_text().split()[1]) * 4096


def test_e6_a_slow_reader_holds_up_the_provider_and_nobody_else(case: Case) -> None:
    """The provider is throttled, memory stays bounded, and at the write limit the stream is given up."""
    readers, taken, over = 8, Taken(), threading.Event()
    case.scripts.then("e6", *[flood(taken)] * readers)
    before, began = resident(case), time.monotonic()
    with ThreadPoolExecutor(readers) as pool:
        for n in range(readers):
            pool.submit(slow_reader, case, f"r-e6-{n}", 1000 * (n % 2), over)
        try:
            case.wait_call("e6", readers)
            time.sleep(0.5)
            more, held = resident(case) - before, taken.size
            assert case.watch.chat().status == 200
            while len(taken.ended) < readers:
                assert time.monotonic() < began + 8, f"{len(taken.ended)} of {readers} were given up"
                time.sleep(0.05)
        finally:
            over.set()
    assert min(taken.ended) - began > 1
    assert more < readers * ((256 << 10) + EVENT_CAP), f"{more / readers / 1024:.0f} KiB per stream"
    assert held < readers * (16 << 20), "what the kernel's buffers hold, and no more"
    for n in range(readers):
        step = case.step(f"r-e6-{n}")
        assert (step["outcome"], step["code"]) == ("slow_client", "slow_client")
    case.watch.expect("client_timeout_total", readers, phase="write")
    case.watch.expect("stream_aborts_total", readers, side="client", reason="slow")
    case.watch.expect("upstream_errors_total", 0, provider="e6")


# --- E7, E8: odd streams, silent streams -------------------------------------------------------------------------------

PLAIN = events(["Hel", "lo 🌍"])
ODD: dict[str, list[bytes]] = {
    "single_bytes": [bytes([byte]) for byte in b"".join(PLAIN)],
    "one_piece": [b"".join(PLAIN)],
    "crlf": [b"".join(PLAIN).replace(b"\n", b"\r\n")],
    "crlf_bytes": [bytes([byte]) for byte in b"".join(PLAIN).replace(b"\n", b"\r\n")],
    "cr": [event.replace(b"\n", b"\r") for event in PLAIN],
    "comments": [b": ping\n\n", PLAIN[0], b":\n\n: two\n: lines\n\n", *PLAIN[1:]],
    "named": [b"event: message\nid: 7\nretry: 10\n" + event for event in PLAIN],
    "several_lines": [b'data: {"choices":\ndata: [{"index":0,"delta":{"content":"a"}}]}\n\n', DONE],
    "megabyte": [b'data: {"choices":[{"index":0,"delta":{"content":"' + b"x" * (1 << 20) + b'"}}]}\n\n', DONE],
    "no_last_line": [*PLAIN[:-1], b"data: [DONE]"],
    "one_line_end": [*PLAIN[:-1], b"data: [DONE]\n"],
    "after_done": [*PLAIN, b": bye\n\n"],
}


@pytest.mark.parametrize("how", list(ODD))
def test_e7_an_odd_stream_arrives_as_it_was_sent(case: Case, how: str) -> None:
    """However events are cut, ended and spaced, the client's bytes are the provider's."""
    case.scripts.then("e7", stream(ODD[how]))
    got = case.stream("e7", f"r-e7-{how}")
    assert (got.status, got.clean) == (200, True)
    assert got.body == b"".join(ODD[how])
    assert case.step(f"r-e7-{how}")["outcome"] == "ok"


def test_e7_an_event_over_the_cap(case: Case) -> None:
    """One event larger than `serve.event_bytes` ends the stream as a cut would."""
    sent = events(["a"])[0]
    case.scripts.then("e7", stream([sent, b"data: " + b"x" * (EVENT_CAP + 1)], end="hang"))
    before = len(case.calls("e7"))
    told(case.stream("e7", "r-e7-over"), sent, "event_too_large")
    assert case.calls("e7")[before].gone.wait(1)
    step = case.step("r-e7-over")
    assert (step["outcome"], step["code"]) == ("cut", "event_too_large")
    case.watch.expect("stream_aborts_total", 1, side="upstream", reason="event_too_large")


def silent(before: float, between: float) -> Behaviour:
    """Silence before the head, then half an event, silence, and the rest of the stream."""

    async def behave(_received: Received, reply: Reply) -> None:
        await asyncio.sleep(before)
        await reply.write(head(200, STREAM_HEAD))
        for piece in (PLAIN[0], PLAIN[1][:20]):
            await reply.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        await asyncio.sleep(between)
        rest = PLAIN[1][20:] + b"".join(PLAIN[2:])
        await reply.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(rest), rest))

    return behave


def first_byte_after(link: http.client.HTTPConnection) -> float:
    """Seconds until the client has a byte."""
    began = time.monotonic()
    assert link.sock is not None
    link.sock.recv(1)
    return time.monotonic() - began


def test_e8_silence_gets_comments_between_whole_events_only(case: Case) -> None:
    """Nothing at all before the provider's head; then comments in silence, none inside an event; and a limit to it."""
    case.scripts.then("e8", silent(0, 3.2))
    with ThreadPoolExecutor(3) as pool:
        heard = pool.submit(case.stream, "e8", "r-e8")
        case.wait_call("e8", 1)
        case.scripts.then("e8", silent(2.5, 0))
        early = case.open("e8")
        waited = pool.submit(first_byte_after, early)
        case.wait_call("e8", 2)
        case.scripts.then("e8", stream([PLAIN[0]], end="hang"))
        stalled = pool.submit(case.stream, "e8", "r-e8-stalled")
        got, late, seconds = heard.result(), stalled.result(), waited.result()
        leave(early)
    assert seconds > 2.4, "no byte before the provider's own"
    comments = got.body.count(COMMENT)
    assert 2 <= comments <= 3
    assert got.clean
    assert got.body == PLAIN[0] + COMMENT * comments + b"".join(PLAIN[1:])
    more = late.body.count(COMMENT)
    assert 3 <= more <= 5
    told(late, PLAIN[0] + COMMENT * more, "upstream_stalled")
    assert case.step("r-e8")["outcome"] == "ok"
    assert (case.step("r-e8-stalled")["outcome"], case.step("r-e8-stalled")["code"]) == ("timeout", "upstream_stalled")
    case.watch.expect("heartbeats_total", comments + more)
    case.watch.expect("stream_aborts_total", 1, side="upstream", reason="between_chunks")


def test_e8_the_official_client_passes_over_comments(case: Case) -> None:
    """An agent hears the text and nothing else."""
    case.scripts.then("e8", silent(0, 2.2))
    with case.sdk() as client, client.chat.completions.create(model="e8", messages=[], stream=True) as answer:
        heard = "".join(chunk.choices[0].delta.content or "" for chunk in answer if chunk.choices)
    assert heard == "Hello 🌍"
    case.watch.expect("heartbeats_total", 1, at_least=True)


# --- E9: a crowd --------------------------------------------------------------------------------------------------------

ENDS: dict[str, tuple[Behaviour, set[str]]] = {
    "whole": (stream(events(["a", "b"]), gap=0.01), {"ok"}),
    "body": (completion("a"), {"ok"}),
    "cut": (stream(events(["a", "b"])[:2], gap=0.01, end="cut"), {"cut"}),
    "reset": (stream(events(["a", "b"])[:2], gap=0.01, end="reset"), {"cut"}),
    "no_terminal": (stream(events(["a", "b"])[:-1], gap=0.01), {"incomplete"}),
    "error": (stream([b'data: {"error":{"message":"no","code":"x"}}\n\n'], end="hang"), {"provider_error"}),
    "hangs": (hang, {"client_gone"}),
    "stalls": (stream(events(["a", "b"])[:2], gap=0.01, end="hang"), {"client_gone"}),
}


async def crowd(received: Received, reply: Reply) -> None:
    """End as the run's name says."""
    await ENDS[received.fields["x-end"]][0](received, reply)


def member(case: Case, run: str, end: str, patience: float) -> None:
    """One client of the crowd: reads its answer, or leaves when its patience ends."""
    link = http.client.HTTPConnection("127.0.0.1", case.watch.port, timeout=patience)
    fields = {"content-type": "application/json", "x-trivet-run": run, "x-member": run, "x-end": end}
    body = {"model": "e9", "stream": end != "body", "messages": []}
    try:
        link.request("POST", "/v1/chat/completions", json.dumps(body), fields)
        link.getresponse().read()
    except (TimeoutError, http.client.HTTPException, ConnectionError):
        pass
    finally:
        leave(link)


def everybody(case: Case, size: int, seed: int) -> None:
    """A crowd of streams with random ends on both sides; afterwards every one is accounted for and nothing is left."""
    draw, already = random.Random(seed), len(case.calls("e9"))
    ends = {f"r-e9-{size}-{n}": draw.choice(list(ENDS)) for n in range(size)}
    hurried = {run for run in ends if draw.random() < 0.2}
    case.scripts.then("e9", *[crowd] * size)
    before = case.watch.settle()
    memory = resident(case)
    with ThreadPoolExecutor(min(size, 64)) as pool:
        for run, end in ends.items():
            impatient = run in hurried or end in {"hangs", "stalls"}
            pool.submit(member, case, run, end, draw.uniform(0.01, 0.1) if impatient else 20.0)
    until = time.monotonic() + 10
    while (after := case.watch.settle())["in_flight"]:
        assert time.monotonic() < until, "streams are in flight that nobody reads"
    called = {call.fields["x-member"] for call in case.calls("e9")[already:]}
    assert called >= ends.keys() - hurried - {run for run, end in ends.items() if end in {"hangs", "stalls"}}
    outcomes: Counter[str] = Counter()
    for run, end in ends.items():
        # Who left before its request was forwarded may have no entry; whatever a provider saw has stamp and entry.
        step = case.step(run) if run in called else case.look(run)
        if step is not None:
            outcomes[step["outcome"]] += 1
            left = {"client_gone"} if run in hurried else set()
            assert step["outcome"] in ENDS[end][1] | left, (run, end, step)

    def grew(name: str, **labels: str) -> int:
        return int(grown(after, before, name, labels))

    counted = {outcome.value: grew("outcomes_total", alias="e9", outcome=outcome.value) for outcome in Outcome}
    assert {outcome: count for outcome, count in counted.items() if count} == dict(outcomes)
    for reason, outcome in (("cut", "cut"), ("no_terminal", "incomplete"), ("provider_event", "provider_error")):
        case.watch.expect("stream_aborts_total", outcomes[outcome], side="upstream", reason=reason)
    gone = {phase: grew("client_disconnect_total", phase=phase) for phase in ("body", "wait", "stream")}
    assert sum(gone.values()) == outcomes["client_gone"] + grew("requests_total", alias="", status_class="none")
    for phase, count in gone.items():
        case.watch.expect("client_disconnect_total", count, phase=phase)
    assert after["handler_errors_total"] == 0
    assert resident(case) - memory < (4 << 20) + size * 4096


def test_e9_a_crowd_of_streams_leaves_nothing_behind(case: Case) -> None:
    """Every stream has one outcome and its stamp; descriptors, memory and requests in flight are back where they were."""
    everybody(case, 120, 9)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_e9_a_thousand_streams_leave_nothing_behind(case: Case) -> None:
    """The same with a thousand."""
    everybody(case, 1000, 10)
