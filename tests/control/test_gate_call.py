"""One question: what a model said is scored, what went wrong is told, and what nobody was asked stays open."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.control import gate_call
from gateway.control.gate_call import Caller, NotAsked
from gateway.control.gate_grade import Grader
from gateway.core.binding import internal
from gateway.core.contract.gate_run import Outcome
from gateway.core.contract.release import Release, Triple
from gateway.core.contract.suite import Answer, Check, Item, Said
from gateway.settings.model import PriceSettings, ProviderSettings
from gateway.settings.prices import PriceBook
from gateway.store.gates import Cost
from gateway.upstream.ownport import DataPort, Party
from tests.ports import free_port
from tests.provider import Behaviour, Provider, answer, chat_body

pytestmark = pytest.mark.anyio

KEY = b"k" * 32
NOW = 1_700_000_000_000
OURS = {"x-trivet-release": "rel_1"}
PARTY = Party(Release("rel_1", Triple("p/m")), None, "openai")
BOOK = PriceBook({"p": ProviderSettings(base_url="", prices={"*": PriceSettings(1.0, 2.0)})}, {"p": "openai"})


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run on asyncio, as the product does."""
    return "asyncio"


@pytest.fixture(scope="module")
def port() -> Iterator[Provider]:
    """Stands for the data port."""
    with Provider() as provider:
        yield provider


def item(**check: Any) -> Item:
    """An item with this check."""
    return Item("a", (Said("user", "2+2?"),), Check(**check), Answer("4"), Answer("5"))


def said(text: str, **members: Any) -> Behaviour:
    """An answer of a release."""
    return answer(chat_body(text, "m", **members), headers=OURS)


def failed(status: int, code: str, **headers: str) -> Behaviour:
    """An error of a provider, or of the port itself where `headers` do not say which release it was."""
    return answer(
        {"error": {"message": "x", "code": code}}, status, {name.replace("_", "-"): v for name, v in headers.items()}
    )


async def ask(port: Provider, asked: Item, *behaviours: Behaviour, judge: Party | None = None) -> tuple[Outcome, Cost]:
    """What comes of a question when the port behaves so."""
    port.queued.clear()
    port.then(*behaviours)
    async with Caller(DataPort(port.url, KEY), BOOK, NOW) as caller:
        found = await caller.ask(asked, PARTY, judge)
    return found.outcome, found.cost


async def test_an_answer_is_scored_and_paid(port: Provider) -> None:
    """The call names the release, carries the gate's own credential and no run, and costs what the table says."""
    outcome, cost = await ask(port, item(contains=("4",)), said("It is 4."))
    assert outcome == Outcome(1.0, "", "m")
    assert cost == Cost(1, 11, 0, 5, 3)
    sent = port.requests[-1]
    assert sent.json["model"] == "rel_1"
    assert internal.verify([KEY], sent.fields["x-trivet-key"], NOW) == "gate"
    assert "x-trivet-run" not in sent.fields


@pytest.mark.parametrize(
    ("behaviours", "outcome"),
    [
        ((failed(429, "slow", retry_after="0", **OURS), said("4")), Outcome(1.0, "", "m")),
        ((failed(500, "a", retry_after="0", **OURS), failed(503, "b", **OURS)), Outcome(None, "b")),
        ((failed(400, "bad_item", **OURS),), Outcome(None, "bad_item")),
        ((failed(401, "provider_key", **OURS),), Outcome(None, "provider_key")),
        ((answer({"choices": []}, headers=OURS),), Outcome(None, "no answer")),
    ],
)
async def test_failures_have_a_reason_and_no_score(
    port: Provider, behaviours: tuple[Behaviour, ...], outcome: Outcome
) -> None:
    """A second attempt where that may help, never a third."""
    before = len(port.requests)
    assert (await ask(port, item(contains=("4",)), *behaviours))[0] == outcome
    assert len(port.requests) - before == len(behaviours)


async def test_an_answer_without_room_is_no_answer(port: Provider) -> None:
    """A model that reasoned until its bound said nothing; one that was filtered declined."""
    cut = {"choices": [{"index": 0, "finish_reason": "length", "message": {"content": ""}}]}
    assert (await ask(port, item(contains=("4",)), answer(cut, headers=OURS)))[0] == Outcome(None, "no room to answer")
    assert (await ask(port, item(refused=True), failed(400, "content_filter", **OURS)))[0].score == 1.0


async def test_what_the_port_refuses_is_not_asked(port: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """A credential that is not taken, and a port that is not there: the question stays open."""
    with pytest.raises(NotAsked, match="stamp_keys"):
        await ask(port, item(contains=("4",)), failed(401, "invalid_api_key"))
    async with Caller(DataPort(f"http://127.0.0.1:{free_port()}", KEY), BOOK, NOW) as caller:
        with pytest.raises(NotAsked, match="cannot be reached"):
            await caller.ask(item(contains=("4",)), PARTY, None)
    monkeypatch.setattr(gate_call, "CALL_SECONDS", 0.05)

    async def hang(*_: object) -> None:
        await asyncio.sleep(5)

    assert (await ask(port, item(contains=("4",)), hang))[0] == Outcome(None, "timeout")


async def test_the_judge_decides_what_only_it_can(port: Provider) -> None:
    """Its last word counts; without one there is no score; an answer that fails otherwise costs no judge."""
    asked = item(contains=("4",), judge="Polite?")
    for word, outcome in (
        ("Hm. Not impolite, so yes.", Outcome(1.0, "", "m")),
        ("NO", Outcome(0.0, "", "m")),
        ("Perhaps.", Outcome(None, "judge: neither yes nor no", "m")),
    ):
        found, cost = await ask(port, asked, said("4"), said(word), judge=PARTY)
        assert (found, cost.calls) == (outcome, 2)
    assert "Polite?" in port.requests[-1].json["messages"][0]["content"]
    assert (await ask(port, asked, said("5"), judge=PARTY))[1].calls == 1
    assert (await ask(port, asked, said("4")))[0] == Outcome(None, "judge missing", "m")


async def test_a_pattern_is_searched_elsewhere(port: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is found counts; a search that takes too long is no score."""
    monkeypatch.setattr(gate_call, "Grader", lambda: Grader(0.3))
    assert (await ask(port, item(regex=r"\b4\b"), said("It is 4.")))[0].score == 1.0
    slow = item(regex=".*a.*b.*c")
    assert (await ask(port, slow, said("ab" * 4000)))[0] == Outcome(None, "check too slow", "m")
