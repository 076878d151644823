"""`unmanaged: learn`: a floating name becomes a pin, when it may and when it can."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from gateway.core.contract.alias import Stakes
from gateway.live.learn import NAMES_KEPT, NOTES_KEPT, PinLearner
from tests.anthropic_answers import message
from tests.live.gateway import LiveGateway, release
from tests.provider import Provider, Received, Reply, answer, completion, events, stream

ANSWERS = "gpt-4o-2024-08-06"


async def upstream(received: Received, reply: Reply) -> None:
    """A provider that resolves gpt-4o, and has the snapshot."""
    if received.method == "GET":
        await answer({"id": ANSWERS, "object": "model"})(received, reply)
        return
    asked = received.json["model"]
    await completion(model=ANSWERS if asked == "gpt-4o" else asked)(received, reply)


@contextlib.contextmanager
def learning(redis_url: str, answering: Provider, tmp_path: Path, **settings: Any) -> Iterator[LiveGateway]:
    """A gateway that learns, as the worker process does; `told` holds what it has told."""
    one = {"base_url": answering.url, "api_key": "sk-provider", "allow_private": True, **settings.pop("provider", {})}
    with LiveGateway(redis_url, tmp_path, {"openai": one}, **settings) as gateway:
        gateway.ready()
        told: list[tuple[str, str]] = []
        learner = PinLearner(
            gateway.store, gateway.upstreams, gateway.worker.now_ms, lambda name, model: told.append((name, model))
        )
        gateway.worker.learner = learner
        gateway.told = told  # type: ignore[attr-defined]
        ended = threading.Event()

        async def work() -> asyncio.Task[None]:
            task = asyncio.ensure_future(learner.work())
            task.add_done_callback(lambda _task: ended.set())
            return task

        task = gateway.call(work())
        yield gateway
        gateway.call(_cancel(task))
        assert ended.wait(5)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def proofs(provider: Provider) -> list[Received]:
    """Calls that only prove that a snapshot can be called."""
    return [r for r in provider.requests if r.method == "GET" or r.json.get("max_tokens") == 1]


def never_learned(gateway: LiveGateway) -> None:
    """Give learning the time it takes, and see that it did not happen."""
    gateway.call(asyncio.sleep(0.2))
    assert gateway.store.pointers.alias("gpt-4o") is None


@pytest.mark.parametrize("streamed", [False, True])
def test_a_floating_name_is_a_pin_after_its_first_answer(
    redis_server, provider: Provider, tmp_path: Path, streamed: bool
) -> None:
    """First floating, then learned: an alias of stakes standard, proven by one call, that a move of the name does not move."""
    provider.default = upstream
    with learning(redis_server.url, provider, tmp_path) as gateway:
        if streamed:
            provider.then(stream(events(["x"], model=ANSWERS)))
        first = gateway.chat("gpt-4o", {"x-trivet-run": "r1"}, stream=streamed)
        assert first.headers["x-trivet-pin"] == "floating"
        gateway.wait(lambda: gateway.store.pointers.alias("gpt-4o") is not None)
        assert [r.target for r in proofs(provider)] == [f"/v1/models/{ANSWERS}"]
        state = gateway.store.pointers.alias("gpt-4o")
        assert state is not None
        assert (state.learned, state.stakes) == (True, Stakes.STANDARD)
        later = gateway.chat("gpt-4o", {"x-trivet-run": "r2"})
        assert later.headers["x-trivet-pin"] == "learned"
        assert later.headers["x-trivet-model"] == f"openai/{ANSWERS}"
        assert provider.requests[-1].json["model"] == ANSWERS
        assert gateway.told == [("gpt-4o", f"openai/{ANSWERS}")]  # type: ignore[attr-defined]


def test_a_run_that_began_floating_stays_as_it_began(redis_server, provider: Provider, tmp_path: Path) -> None:
    """A run keeps its binding for life, a floating one too."""
    provider.default = upstream
    with learning(redis_server.url, provider, tmp_path) as gateway:
        gateway.chat("gpt-4o", {"x-trivet-run": "r1"})
        gateway.wait(lambda: gateway.store.pointers.alias("gpt-4o") is not None)
        again = gateway.chat("gpt-4o", {"x-trivet-run": "r1"})
        assert (again.headers["x-trivet-pin"], again.headers["x-trivet-bound"]) == ("floating", "resumed")


def test_without_a_models_route_one_token_is_the_proof(redis_server, provider: Provider, tmp_path: Path) -> None:
    """Where the provider has no model object, the snapshot answers one token."""
    with learning(redis_server.url, provider, tmp_path) as gateway:
        provider.then(completion(model=ANSWERS), answer({"error": {"message": "no"}}, 404), completion())
        gateway.chat("gpt-4o")
        gateway.wait(lambda: gateway.store.pointers.alias("gpt-4o") is not None)
        assert (proofs(provider)[-1].json["model"], proofs(provider)[-1].json["max_tokens"]) == (ANSWERS, 1)


def test_what_cannot_be_called_is_not_learned_and_tried_again_later(
    redis_server, provider: Provider, tmp_path: Path
) -> None:
    """A refused proof makes no alias; the next answer to the name gives another try."""
    with learning(redis_server.url, provider, tmp_path) as gateway:
        no = answer({"error": {"message": "no"}}, 403)
        provider.then(completion(model=ANSWERS), no, no)
        gateway.chat("gpt-4o")
        never_learned(gateway)
        provider.default = upstream
        gateway.chat("gpt-4o")
        gateway.wait(lambda: gateway.store.pointers.alias("gpt-4o") is not None)


@pytest.mark.parametrize("answered", ["gpt-4o", "gpt-4o-latest", "something-new", ""])
def test_an_answer_that_pins_nothing_teaches_nothing(
    redis_server, provider: Provider, tmp_path: Path, answered: str
) -> None:
    """Only an id that the table knows as pinned becomes a release; the name goes on floating, marked."""
    provider.default = completion(model=answered) if answered else answer({"id": "c", "choices": [{}], "model": ""})
    with learning(redis_server.url, provider, tmp_path) as gateway:
        gateway.chat("gpt-4o")
        never_learned(gateway)
        assert len(provider.requests) == 1


@pytest.mark.parametrize("policy", ["refuse", "pass"])
def test_only_the_policy_learn_learns(redis_server, provider: Provider, tmp_path: Path, policy: str) -> None:
    """`refuse` calls nobody, `pass` calls and leaves it at that."""
    provider.default = upstream
    with learning(redis_server.url, provider, tmp_path, unmanaged=policy) as gateway:
        got = gateway.chat("gpt-4o")
        assert got.status == (400 if policy == "refuse" else 200)
        never_learned(gateway)
        assert len(provider.requests) == (0 if policy == "refuse" else 1)


def test_with_keys_it_takes_the_right(redis_server, provider: Provider, tmp_path: Path) -> None:
    """A key without `learn` passes as floating and teaches nothing; the proof of one with it is made with its own credential."""
    provider.default = upstream
    keys = [
        {"sha256": sha256(b"sk-plain").hexdigest(), "tenant": "a"},
        {"sha256": sha256(b"sk-learns").hexdigest(), "tenant": "a", "rights": ["learn"]},
    ]
    settings = {"auth": "keys", "keys": keys, "provider": {"api_key": "client"}}
    with learning(redis_server.url, provider, tmp_path, **settings) as gateway:
        own = {"authorization": "Bearer sk-own"}
        got = gateway.chat("gpt-4o", {"x-trivet-key": "sk-plain", **own})
        assert (got.status, got.headers["x-trivet-pin"]) == (200, "floating")
        never_learned(gateway)
        gateway.chat("gpt-4o", {"x-trivet-key": "sk-learns", **own})
        gateway.wait(lambda: gateway.store.pointers.alias("gpt-4o") is not None)
        assert [r.fields["authorization"] for r in proofs(provider)] == ["Bearer sk-own"]


def test_a_port_for_anybody_learns_from_nobody(redis_server, provider: Provider, tmp_path: Path) -> None:
    """`auth: open` has no right `learn`: a stranger does not make aliases."""
    provider.default = upstream
    with learning(redis_server.url, provider, tmp_path, auth="open") as gateway:
        assert gateway.chat("gpt-4o").status == 200
        never_learned(gateway)


def test_names_and_notes_are_bounded(redis_server, provider: Provider, tmp_path: Path) -> None:
    """Over the number of names nothing more is learned, and a full queue drops: no request ever waits for it."""
    with learning(redis_server.url, provider, tmp_path) as gateway:
        learner, view = gateway.worker.learner, gateway.worker.view
        assert learner is not None

        async def many() -> int:
            for number in range(NOTES_KEPT + 20):
                learner.saw(view, "openai", f"name-{number}", ANSWERS, None)
            return learner._notes.qsize()  # type: ignore[attr-defined]

        assert gateway.call(many()) == NOTES_KEPT
        assert NAMES_KEPT == 100


def test_an_alias_that_exists_is_never_written_over(redis_server, provider: Provider, tmp_path: Path) -> None:
    """A note that comes late, after somebody made the alias, changes nothing."""
    provider.default = upstream
    with learning(redis_server.url, provider, tmp_path) as gateway:
        state = gateway.alias("gpt-4o", release("openai/gpt-4o-2024-11-20"))
        learner, view = gateway.worker.learner, gateway.worker.view
        assert learner is not None

        async def late() -> None:
            learner.saw(view, "openai", "gpt-4o", ANSWERS, None)

        gateway.call(late())
        gateway.wait(lambda: len(proofs(provider)) == 1)
        gateway.call(asyncio.sleep(0.1))
        assert gateway.store.pointers.alias("gpt-4o") == state
        assert gateway.told == []  # type: ignore[attr-defined]


CLAUDE = "claude-sonnet-4-5-20250929"


async def anthropic(received: Received, reply: Reply) -> None:
    """A provider of Anthropic's API, which answers nothing without its version."""
    assert received.fields["anthropic-version"]
    if received.method == "GET":
        await answer({"type": "model", "id": CLAUDE})(received, reply)
        return
    await message(model=CLAUDE)(received, reply)


def test_a_name_of_anthropics_is_learned_too(redis_server, tmp_path: Path) -> None:
    """Its snapshot is proven with the header that the API wants."""
    provider = {"vendor": "anthropic"}
    with (
        Provider(anthropic) as answering,
        learning(redis_server.url, answering, tmp_path, provider=provider) as gateway,
    ):
        asked = {"model": "claude-sonnet-4-5", "max_tokens": 9, "messages": []}
        version = {"anthropic-version": "2023-06-01"}
        assert gateway.request("POST", "/v1/messages", asked, version).headers["x-trivet-pin"] == "floating"
        gateway.wait(lambda: gateway.store.pointers.alias("claude-sonnet-4-5") is not None)
        got = gateway.request("POST", "/v1/messages", asked, version)
        assert (got.headers["x-trivet-pin"], got.headers["x-trivet-model"]) == ("learned", f"openai/{CLAUDE}")
