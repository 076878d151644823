"""Exchanges captured for the shadow through the in-process gateway on a real store."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from gateway.core.contract.alias import Lane, Shadow
from gateway.core.contract.job import Job
from gateway.live.capture import Copy
from gateway.store import caps, jobs
from gateway.store.client import Store
from gateway.store.jobs import Delivery
from tests.live.gateway import LiveGateway, release
from tests.provider import Behaviour, Provider, answer, events, stream
from tests.store.servers import RealRedis

STABLE, CANDIDATE = release("openai/gpt-4o-2024-08-06"), release("openai/gpt-4o-2024-11-20")
ASKED = {"model": "support", "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture(scope="module")
def gateway(
    module_redis: RealRedis, upstream: Provider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveGateway]:
    """A gateway whose alias `support` has a candidate alongside, for every run."""
    providers = {"openai": {"base_url": upstream.url, "api_key": "sk-provider-secret", "allow_private": True}}
    tenants = {"default": {"capture": "full"}}
    folder = tmp_path_factory.mktemp("gateway")
    with LiveGateway(module_redis.url, folder, providers, tenants=tenants, shadow={"job_bytes": 4000}) as running:
        running.ready()
        running.alias("support", STABLE, shadows=(Shadow(CANDIDATE.id, "salt", 10_000, 5_000),))
        running.alias("plain", STABLE)
        running.alias("half", STABLE, shadows=(Shadow(CANDIDATE.id, "salt", 5_000),))
        running.alias("over", STABLE, shadows=(Shadow(CANDIDATE.id, "salt", 10_000, until_ms=1),))
        running.alias("self", STABLE, lanes={"*": Lane(STABLE.id)}, shadows=(Shadow(STABLE.id, "salt", 10_000),))
        yield running


@pytest.fixture(autouse=True)
def counted(gateway: LiveGateway) -> None:
    """Each test counts from nothing."""
    gateway.store.counters.shadow_taken = 0
    gateway.store.counters.shadow_dropped.clear()


def taken(gateway: LiveGateway, count: int) -> list[Delivery]:
    """The jobs that came in, once there are so many."""

    async def take() -> list[Delivery]:
        async with Store(gateway.settings.store) as store:
            await jobs.prepare(store)
            found = await jobs.take(store, "test", 1000, 1)
            await jobs.done(store, [each.id for each in found])
            return found

    gateway.wait(lambda: gateway.store.counters.shadow_taken >= count)
    return gateway.call(take())


def test_an_exchange_is_handed_over_whole(gateway: LiveGateway, upstream: Provider) -> None:
    """The job holds the client's own body, the provider's own answer, and what was observed; never a credential."""
    head = {
        "authorization": "Bearer sk-caller-secret",
        "x-trivet-run": "run-1",
        "openai-beta": "x=1",
        "cookie": "a=secret",
    }
    got = gateway.request("POST", "/v1/chat/completions?x=1", ASKED, head)
    assert got.status == 200
    (one,) = taken(gateway, 1)
    job = one.job
    assert job is not None
    assert one.body == json.dumps(ASKED).encode()
    assert one.reply == got.body
    assert (job.primary, job.candidate, job.alias, job.run) == (STABLE.id, CANDIDATE.id, "support", "run-1")
    assert (job.path, job.query, job.stream, job.capture) == ("/v1/chat/completions", "x=1", False, "full")
    assert dict(job.headers)["openai-beta"] == "x=1"
    assert job.observed is not None and job.observed.terminal and job.total_ms > 0
    assert b"secret" not in msgspec.json.encode(job) + one.body + one.reply


def test_a_stream_is_handed_over_byte_for_byte(gateway: LiveGateway, upstream: Provider) -> None:
    """What the client got of a stream is what the job has."""
    upstream.then(stream(events(["It ", "costs ", "40."])))
    got = gateway.request("POST", "/v1/chat/completions", {**ASKED, "stream": True}, {"x-trivet-run": "run-2"})
    (one,) = taken(gateway, 1)
    assert one.reply == got.body and b"[DONE]" in one.reply
    assert one.job is not None and one.job.stream


@pytest.mark.parametrize(
    ("model", "head"),
    [("plain", {}), ("over", {}), ("self", {}), ("support", {"x-trivet-capture": "none"}), ("gpt-4o-2024-08-06", {})],
)
def test_what_is_in_no_shadow_is_not_captured(gateway: LiveGateway, model: str, head: dict[str, str]) -> None:
    """No shadow, one that is over, a candidate that is live itself, a header that lowers to none, no alias: nothing is offered."""
    assert gateway.request("POST", "/v1/chat/completions", {**ASKED, "model": model}, head).status == 200
    assert gateway.request("POST", "/v1/chat/completions", ASKED, {"x-trivet-run": "after"}).status == 200
    (one,) = taken(gateway, 1)
    assert one.job is not None and one.job.run == "after"


def test_a_header_may_only_lower(gateway: LiveGateway) -> None:
    """The header lowers what is kept, and cannot raise it or say anything else."""
    for mode in ("metrics", "nonsense"):
        gateway.request("POST", "/v1/chat/completions", ASKED, {"x-trivet-capture": mode})
    assert sorted(each.job.capture for each in taken(gateway, 2) if each.job) == ["full", "metrics"]


def test_a_run_is_shadowed_whole_or_not_at_all(gateway: LiveGateway) -> None:
    """At a rate of one half about half of the runs are chosen, and each with all of its steps."""
    for number in range(30):
        for _ in range(2):
            gateway.request(
                "POST", "/v1/chat/completions", {**ASKED, "model": "half"}, {"x-trivet-run": f"half-{number}"}
            )
    gateway.request("POST", "/v1/chat/completions", ASKED, {"x-trivet-run": "last"})
    gateway.wait(lambda: gateway.store.offers._asked == 0 and not gateway.store.offers._queue)
    found = [each.job.run for each in taken(gateway, 1) if each.job and each.job.run != "last"]
    assert {found.count(run) for run in found} == {2}
    assert 5 <= len(set(found)) <= 25


@pytest.mark.parametrize(
    ("body", "reply", "reason"),
    [
        ({**ASKED, "user": "x" * 5000}, None, "too_large"),
        (ASKED, answer({"id": "x", "choices": [], "pad": "x" * 5000}), "too_large"),
        (
            ASKED,
            answer({"error": {"message": "x", "type": "server_error", "param": None, "code": None}}, 500),
            "primary_failed",
        ),
    ],
)
def test_what_is_no_answer_to_compare_with_is_counted(
    gateway: LiveGateway, upstream: Provider, body: dict[str, Any], reply: Behaviour | None, reason: str
) -> None:
    """A request or an answer over the bound, and a live answer that failed, are dropped by reason."""
    if reply is not None:
        upstream.then(reply)
    gateway.request("POST", "/v1/chat/completions", body, {"x-stainless-retry-count": "1"})
    gateway.wait(lambda: gateway.store.counters.shadow_dropped)
    assert gateway.store.counters.shadow_dropped == {reason: 1}


def test_a_live_refusal_pauses_the_shadow(gateway: LiveGateway, upstream: Provider) -> None:
    """E13: when the provider refuses a live request for its rate, every shadow worker hears at once to leave it alone.

    The refused request need not be in the shadow itself, as most are not.
    """
    refused = {"error": {"message": "slow down", "type": "rate_limit", "param": None, "code": "rate_limit_exceeded"}}
    upstream.then(answer(refused, 429, {"retry-after": "60"}))
    before = time.time() * 1000
    head = {"x-stainless-retry-count": "1", "x-trivet-capture": "none"}
    assert gateway.request("POST", "/v1/chat/completions", ASKED, head).status == 429

    async def paused() -> dict[str, int]:
        async with Store(gateway.settings.store) as store:
            return await caps.pauses(store, int(before))

    gateway.wait(lambda: gateway.call(paused()))
    assert gateway.call(paused())["openai"] >= before + 59_000


def test_a_copy_never_holds_more_than_its_room() -> None:
    """Once an answer is too large nothing of it is kept; what goes through is sent first, whatever becomes of the copy."""
    sent: list[bytes] = []
    copy = Copy((), "full", 10)
    send = copy.through(sent.append)
    for piece in (b"12345", b"67890", b"!", b"more"):
        send(piece)
    assert sent == [b"12345", b"67890", b"!", b"more"]
    assert copy.pieces == [] and copy.room < 0


def test_a_job_reads_back_as_it_was_made(gateway: LiveGateway) -> None:
    """Pair ids name request and candidate; the share of secondaries is drawn by request."""
    for number in range(20):
        gateway.request("POST", "/v1/chat/completions", ASKED, {"x-trivet-run": f"s-{number}"})
    found: list[Job] = [each.job for each in taken(gateway, 20) if each.job is not None]
    assert all(job.pair == f"{job.request}.{CANDIDATE.id}" for job in found)
    assert 2 <= sum(job.secondary for job in found) <= 18
