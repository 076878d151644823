"""What a request of a run in a rollout says to its guardrails."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from gateway.core.contract.alias import AliasState, Arm, Lane, Split
from gateway.core.contract.journal import Event
from gateway.core.contract.release import Release
from gateway.core.contract.run import Stamp
from gateway.core.rollout.metrics import METRICS, TRIPWIRES
from gateway.live import checks
from gateway.live.experiment import BAD_ENDINGS, TRIPS, never_of, takes_part
from gateway.store.client import Store
from tests.control.rolling import PLAN, rollout
from tests.live.gateway import Got, LiveGateway, release
from tests.live.legs import chat_tool, made, served, stored, toolset
from tests.live.test_record import steps
from tests.provider import Behaviour, Provider, answer, chat_body, drop, events, stream, tool_call

OLD, NEW = release("openai/gpt-4o-2024-08-06"), release("openai/gpt-4o-2024-11-20")
MODEL = "gpt-4o-2024-11-20"
NUMBERS = itertools.count(1)
PAY = {"name": "pay", "parameters": {"type": "object", "properties": {"sum": {"type": "integer"}}, "required": ["sum"]}}
TOOLS = [{"type": "function", "function": PAY}]
JSON = {"response_format": {"type": "json_object"}}
CANARY = "CANARY-7f3a91c2"


@pytest.fixture(scope="module")
def alias(shared: LiveGateway) -> str:
    """An alias with everybody on the candidate, since its second version."""
    state = shared.alias("tried", OLD)
    shared.chat("tried", {"x-trivet-run": "early"})
    split = Split(candidate=NEW.id, salt="s", weights={"*": 10_000}, since=2)
    shared.move(msgspec.structs.replace(state, version=2, split=split), NEW)
    return "tried"


def told(gateway: LiveGateway, alias: str, run: str, count: int = 1) -> list[Event]:
    """The events of a run, once there are as many."""

    async def entries() -> list[Any]:
        control = Store(gateway.settings.store)
        found = await control.read("XRANGE", control.keys.events(alias), "-", "+")
        await control.close()
        return list(found)

    found: list[Event] = []

    def enough() -> bool:
        found[:] = [event for event in map(_event, gateway.call(entries())) if event.run == run]
        return len(found) >= count

    gateway.wait(enough)
    return found


def _event(row: Any) -> Event:
    fields = row[1]
    entry = fields[b"entry"] if isinstance(fields, dict) else fields[1]
    return msgspec.json.decode(entry, type=Event)


def said(gateway: LiveGateway, upstream: Provider, alias: str, behave: Behaviour, **more: Any) -> Event:
    """The event of the one request of a new run, answered so."""
    upstream.then(behave)
    run = f"x{next(NUMBERS)}"
    try:
        gateway.chat(alias, {"x-trivet-run": run, **more.pop("headers", {})}, **more)
    except Exception as error:
        assert type(error).__name__ == "IncompleteRead"
    (event,) = told(gateway, alias, run)
    assert set(event.bad) | set(event.values) <= set(METRICS)
    assert set(event.trips) <= set(TRIPWIRES)
    return event


def whole(text: str = "Hi", finish: str = "stop", model: str = MODEL, **message: Any) -> Behaviour:
    """A whole answer that ended so."""
    body = chat_body(text, model)
    body["choices"][0]["finish_reason"] = finish
    body["choices"][0]["message"].update(message)
    return answer(body)


def calling(name: str, arguments: str) -> Behaviour:
    """An answer that calls a tool."""
    return answer(chat_body("", MODEL, tool_calls=[tool_call(f"call_{next(NUMBERS)}x7Gh2kq", name, arguments)]))


def failing(status: int, code: str) -> Behaviour:
    """An error of the provider."""
    return answer({"error": {"message": "no", "type": "t", "param": None, "code": code}}, status)


CASES: dict[str, tuple[Callable[[], Behaviour], dict[str, Any], set[str], set[str]]] = {
    "fine": (whole, {}, set(), set()),
    "dropped": (lambda: drop, {}, {"error"}, set()),
    "error": (lambda: failing(500, "x"), {}, {"error"}, set()),
    "filtered by status": (lambda: failing(400, "content_filter"), {}, {"error", "refusal"}, set()),
    "gone": (lambda: failing(404, "model_not_found"), {}, {"error", "lost_run"}, {"model_gone"}),
    "cut": (lambda: stream(events(["a"], MODEL)[:-1]), {"stream": True}, {"error"}, set()),
    "length": (lambda: whole(finish="length"), {}, {"truncation"}, set()),
    "filtered": (lambda: whole(finish="content_filter"), {}, {"refusal"}, set()),
    "declined": (lambda: whole(content=None, refusal="No."), JSON, {"refusal"}, set()),
    "another model": (lambda: whole(model="gpt-4o-2024-05-13"), {}, set(), {"model_mismatch"}),
    "a call": (lambda: calling("pay", '{"sum":5}'), {"tools": TOOLS}, set(), set()),
    "a bad call": (lambda: calling("pay", '{"sum":"5"}'), {"tools": TOOLS}, {"invalid_tool_call"}, set()),
    "an undeclared tool": (lambda: calling("rm", "{}"), {"tools": TOOLS}, set(), {"undeclared_tool"}),
    "a tool where none was sent": (lambda: calling("pay", "{}"), {}, set(), {"undeclared_tool"}),
    "json": (lambda: whole('{"a":1}'), JSON, set(), set()),
    "no json": (lambda: whole("Sure!"), JSON, {"invalid_json"}, set()),
    "no json, streamed": (
        lambda: stream(events(["Su", "re"], MODEL)),
        {**JSON, "stream": True},
        {"invalid_json"},
        set(),
    ),
    "not over": (lambda: whole("", finish="pause_turn"), JSON, set(), set()),
    "a tool of another alphabet": (
        lambda: calling("öffne😀", "{}"),
        {"tools": [{"type": "function", "function": {"name": "öffne😀"}}]},
        set(),
        set(),
    ),
    "malformed": (lambda: whole(finish="MALFORMED_FUNCTION_CALL"), {}, {"invalid_tool_call"}, set()),
    "unexpected": (lambda: whole(finish="UNEXPECTED_TOOL_CALL"), {}, set(), {"undeclared_tool"}),
}


@pytest.mark.parametrize("name", CASES)
def test_what_was_bad_and_which_wires_were_tripped(
    shared: LiveGateway, upstream: Provider, alias: str, name: str
) -> None:
    """One event per request, with what was bad about it."""
    behave, more, bad, trips = CASES[name]
    event = said(shared, upstream, alias, behave(), **more)
    assert (set(event.bad), set(event.trips)) == (bad, trips)
    assert (event.arm, event.release, event.allocation, event.lane, event.version) == ("canary", NEW.id, 10_000, "*", 2)
    assert event.unit == event.run


def test_values_and_steps_of_a_run(shared: LiveGateway, upstream: Provider, alias: str) -> None:
    """Times, tokens and the number of the step; what is not known is not there."""
    run = {"x-trivet-run": "stepping"}
    for _ in range(2):
        shared.chat(alias, run)
    first, second = told(shared, alias, "stepping", 2)
    assert (first.values["steps"], second.values["steps"]) == (1, 2)
    assert (first.values["input_tokens"], first.values["output_tokens"]) == (5, 3)
    assert 0 < first.values["first_byte_ms"] <= first.values["latency_ms"]
    event = said(shared, upstream, alias, drop)
    assert event.values.keys() == {"steps", "latency_ms"}


def test_a_path_that_names_the_provider_is_read_as_well(shared: LiveGateway, upstream: Provider, alias: str) -> None:
    """The alias is bound and observed there too."""
    upstream.then(whole("Sure!"))
    body = {"model": alias, "messages": [], **JSON}
    assert shared.request("POST", "/openai/chat/completions", body, {"x-trivet-run": "passed"}).status == 200
    (event,) = told(shared, alias, "passed")
    assert event.bad == ("invalid_json",)


def test_who_has_no_part_in_the_rollout_says_nothing(shared: LiveGateway, upstream: Provider, alias: str) -> None:
    """A run from before the rollout, one that named its release, and one of another alias tell no guardrail anything."""
    upstream.then(drop, drop)
    shared.chat(alias, {"x-trivet-run": "early"})
    shared.chat(NEW.id, {"x-trivet-run": "named"})
    event = said(shared, upstream, alias, whole())
    for run in ("early", "named"):
        assert not told(shared, alias, run, 0)
    assert event.bad == ()


@pytest.fixture
def watched(shared: LiveGateway, monkeypatch: pytest.MonkeyPatch) -> str:
    """An alias without a rollout, whose answers are read because probes are declared for it."""
    monkeypatch.setattr(shared.worker.view, "watched", frozenset({"seen"}))
    shared.alias("seen", NEW)
    return "seen"


@pytest.mark.parametrize(
    ("behave", "body", "flags"),
    [
        (lambda: whole('{"a":1}'), JSON, ()),
        (lambda: whole("Sure!"), JSON, ("invalid_json",)),
        (lambda: stream(events(["Su", "re"], MODEL)), {**JSON, "stream": True}, ("invalid_json",)),
        (lambda: calling("pay", '{"sum":"5"}'), {"tools": TOOLS}, ("invalid_tool_call",)),
        (lambda: whole("Sure! " + "x" * checks.ANSWER_BYTES), JSON, ("unchecked",)),
        (lambda: failing(500, "x"), JSON, ()),
        (lambda: whole("Sure!"), {}, ()),
    ],
)
def test_the_journal_of_a_watched_alias_says_what_fits_no_schema(
    shared: LiveGateway,
    upstream: Provider,
    watched: str,
    behave: Callable[[], Behaviour],
    body: dict[str, Any],
    flags: tuple[str, ...],
) -> None:
    """One step as ever, with a flag; no guardrail hears of it, for there is no rollout. The client's bytes are the provider's."""
    upstream.then(behave())
    run = f"seen-{next(NUMBERS)}"
    got = shared.chat(watched, {"x-trivet-run": run}, **body)
    assert got.status in (200, 500)
    (step,) = steps(shared, run)
    assert step.flags == flags
    assert not told(shared, watched, run, 0)


def test_a_watched_alias_in_a_rollout_is_read_once(
    shared: LiveGateway, upstream: Provider, alias: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both the event and the step say what was found."""
    monkeypatch.setattr(shared.worker.view, "watched", frozenset({alias}))
    event = said(shared, upstream, alias, whole("Sure!"), **JSON)
    assert event.bad == ("invalid_json",)
    assert [step.flags for step in steps(shared, event.run)] == [("invalid_json",)]


def test_a_releases_own_tools_are_declared(shared: LiveGateway, upstream: Provider) -> None:
    """With tools that the release serves the request's own do not count; arguments are held to the release's schema."""
    new: tuple[Release, dict[str, bytes]] = made(tools=toolset("look", "pay"), model="openai/gpt-4o-2024-11-20")
    state = served(shared, "serving", made(tools=toolset("look")))
    stored(shared, new)
    split = Split(candidate=new[0].id, salt="s", weights={"*": 10_000}, since=2)
    shared.move(msgspec.structs.replace(state, version=2, split=split), new[0])
    for name, trips in (("pay", ()), ("own", ("undeclared_tool",))):
        mine = {"tools": [chat_tool("look"), chat_tool("own")], "headers": {"x-trivet-tools": ",".join(new[1])}}
        assert said(shared, upstream, "serving", calling(name, "{}"), **mine).trips == trips


def test_a_blocked_release_loses_its_runs(shared: LiveGateway) -> None:
    """A run that cannot go on is lost; its provider is not called, so it has no times."""
    state = shared.alias("lost", OLD)
    challenger = release("openai/gpt-4o-mini-2024-07-18")
    split = Split(candidate=challenger.id, salt="s", weights={"*": 10_000}, since=2)
    state = msgspec.structs.replace(state, version=2, split=split)
    shared.move(state, challenger)
    shared.chat("lost", {"x-trivet-run": "l1"})
    shared.move(msgspec.structs.replace(state, version=3), msgspec.structs.replace(challenger, blocked="bad"))
    assert shared.chat("lost", {"x-trivet-run": "l1"}).status == 409
    event = told(shared, "lost", "l1", 2)[1]
    assert event.bad == ("lost_run",)
    assert event.values == {"steps": 2}


def test_an_answer_that_is_not_read_is_counted_and_still_told(
    shared: LiveGateway, upstream: Provider, alias: str
) -> None:
    """Too long, or too many a second: the event comes without the check, whatever was in the answer."""
    shared.registry.know("alias", [alias])
    long = whole("Sure! " + "x" * checks.ANSWER_BYTES)
    assert said(shared, upstream, alias, long, **JSON).bad == ()
    shared.worker.checks._left, shared.worker.checks._at = -1e9, 1e18
    try:
        assert said(shared, upstream, alias, whole("Sure!"), **JSON).bad == ()
    finally:
        shared.worker.checks._left, shared.worker.checks._at = checks.AT_ONCE, 0.0
    counted = shared.counted
    assert counted[f"unchecked_total{{{alias},too_large}}"] == 1
    assert counted[f"unchecked_total{{{alias},rate}}"] == 1


def test_the_client_gets_the_same_bytes_with_and_without_a_rollout(
    shared: LiveGateway, upstream: Provider, alias: str
) -> None:
    """Status, body and every header of ours but those that name the run's binding are the same, whatever is read afterwards."""
    shared.alias("plain", NEW)
    ours = (
        "x-trivet-request",
        "x-trivet-run",
        "x-trivet-ticket",
        "x-trivet-arm",
        "x-trivet-alias",
        "x-request-id",
        "request-id",
    )
    for name, (behave, more, _, _) in CASES.items():
        if name in ("dropped", "cut"):
            continue
        got: list[Got] = []
        made_once = behave()
        for which in (alias, "plain"):
            upstream.then(made_once)
            got.append(shared.chat(which, {"x-trivet-run": f"same{next(NUMBERS)}"}, **more))
        one, two = ({n: v for n, v in each.headers.items() if n not in ours} for each in got)
        assert (got[0].status, got[0].body, one) == (got[1].status, got[1].body, two), name


@pytest.mark.parametrize(
    ("allocation", "version", "part"), [(500, 2, True), (500, 3, True), (0, 3, False), (500, 1, False)]
)
def test_a_run_takes_part_that_was_drawn_since_the_rollout_began(allocation: int, version: int, part: bool) -> None:
    """One of an earlier rollout has an arm too, and says nothing to this one."""
    stamp = Stamp("t", "r", "tried", OLD.id, "m", allocation=allocation, version=version, at_ms=1)
    assert takes_part(stamp, Split(candidate=NEW.id, salt="s", weights={"*": 500}, since=2)) is part


def test_the_words_are_those_that_guardrails_know() -> None:
    """What is told here has a row in the table of metrics or of tripwires."""
    assert set(BAD_ENDINGS.values()) | {checks.BAD_CALL, checks.BAD_JSON} <= set(METRICS)
    assert {*TRIPS.values(), checks.LEAKED} <= set(TRIPWIRES)


@pytest.fixture(scope="module")
def declared(shared: LiveGateway) -> str:
    """An alias in a rollout that declares a canary string, everybody on the candidate."""
    state = shared.alias("declared", OLD)
    split = Split(candidate=NEW.id, salt="s", weights={"*": 10_000}, since=2)
    plan = msgspec.structs.replace(PLAN, canaries=(CANARY,))
    moving = msgspec.structs.replace(rollout(NEW.id, OLD.id), plan=plan)
    shared.move(msgspec.structs.replace(state, version=2, split=split, rollout=moving), NEW)
    return "declared"


@pytest.mark.parametrize(
    ("behave", "more", "trips"),
    [
        (lambda: whole(f"It is {CANARY}."), {}, ("canary_string",)),
        (lambda: whole(f"It is {CANARY}.", finish="length"), {}, ("canary_string",)),
        (lambda: stream(events(list(f"It is {CANARY}."), MODEL)), {"stream": True}, ("canary_string",)),
        (lambda: calling("pay", json.dumps({"sum": 5, "to": CANARY})), {"tools": TOOLS}, ("canary_string",)),
        (lambda: whole("It is CANARY-0."), {}, ()),
    ],
)
def test_a_canary_string_trips_where_it_is_declared(
    shared: LiveGateway, upstream: Provider, declared: str, behave: Callable[[], Behaviour], more: Any, trips: Any
) -> None:
    """In an answer, a stream or a call, however it ended; it is a tripwire and no metric."""
    event = said(shared, upstream, declared, behave(), **more)
    assert event.trips == trips
    assert set(event.bad) <= {"truncation"}


def test_a_canary_string_is_nobodys_business_elsewhere(shared: LiveGateway, upstream: Provider, alias: str) -> None:
    """A rollout that declares none searches for none, and the incumbent's answers are not searched."""
    assert said(shared, upstream, alias, whole(f"It is {CANARY}.")).trips == ()
    plan = msgspec.structs.replace(PLAN, canaries=(CANARY,))
    moving = msgspec.structs.replace(rollout(NEW.id, OLD.id), plan=plan)
    state = AliasState("a", 1, {"*": Lane(OLD.id)}, rollout=moving)
    for arm, found in ((Arm.CANARY, (CANARY,)), (Arm.STABLE, ())):
        stamp = Stamp("t", "r", "a", NEW.id, "m", arm=arm)
        assert never_of(state, stamp) == found
        assert never_of(msgspec.structs.replace(state, rollout=None), stamp) == never_of(None, stamp) == ()


def test_a_canary_string_in_what_was_not_read_is_counted(
    shared: LiveGateway, upstream: Provider, declared: str
) -> None:
    """Too long to be read: the event says nothing of it, and the counter that nobody looked."""
    shared.registry.know("alias", [declared])
    long = whole(CANARY + "x" * checks.ANSWER_BYTES)
    assert said(shared, upstream, declared, long).trips == ()
    assert shared.counted[f"unchecked_total{{{declared},too_large}}"] == 1
