"""A head that its connection repeats is not looked at again, and nothing that may change is taken from it."""

from __future__ import annotations

import http.client
import json
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self, cast

import msgspec
import pytest

from gateway.core.dialect.routes import find
from gateway.live.standing import Standing, recalled, remember
from gateway.live.view import View
from gateway.settings import tables
from gateway.wire.heads import Memo
from tests.live.gateway import STAMP_KEY, LiveGateway, release
from tests.provider import Provider

PINNED = release("openai/gpt-4o-2024-08-06")
ALICE, BOB = "sk-trivet-alice", "sk-trivet-bob"


class Agent:
    """One connection, as an agent keeps it."""

    def __init__(self, port: int) -> None:
        self._link = http.client.HTTPConnection("127.0.0.1", port, timeout=10)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._link.close()

    def ask(self, key: str, run: str, text: str = "hi") -> tuple[int, str, str]:
        """Status, run and whether the run was new."""
        body = json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": text}]})
        fields = {"content-type": "application/json", "authorization": f"Bearer {key}", "x-trivet-run": run}
        self._link.request("POST", "/v1/chat/completions", body, fields)
        answer = self._link.getresponse()
        answer.read()
        return answer.status, answer.getheader("x-trivet-run", ""), answer.getheader("x-trivet-bound", "")


@pytest.fixture
def keyed(redis_server, provider: Provider, tmp_path: Path):
    """A gateway with two tenants, one of which may ask four times a minute."""
    keys = [
        {"sha256": sha256(ALICE.encode()).hexdigest(), "tenant": "a"},
        {"sha256": sha256(BOB.encode()).hexdigest(), "tenant": "b", "limits": {"requests_per_minute": 4}},
    ]
    providers = {"openai": {"base_url": provider.url, "api_key": "sk-provider", "allow_private": True}}
    with LiveGateway(redis_server.url, tmp_path, providers, auth="keys", keys=keys) as running:
        running.alias("gpt-4o", PINNED)
        yield running


def test_a_repeated_head_means_what_it_meant(keyed: LiveGateway, provider: Provider) -> None:
    """Bodies of other lengths, another run and another key on one connection each get what is theirs, and the provider gets
    every time the fields that it got the first time."""
    bound = ["new", "resumed", "resumed"]
    with Agent(keyed.port) as agent:
        assert [agent.ask(ALICE, "r1", "x" * size) for size in (1, 20, 3)] == [(200, "r1", each) for each in bound]
        assert agent.ask(ALICE, "r2") == (200, "r2", "new")
        assert [agent.ask(BOB, "r2") for _ in range(3)] == [(200, "r2", each) for each in bound]
        assert [agent.ask(ALICE, "not a run!")[0] for _ in range(3)] == [400] * 3
    lines = [[pair for pair in each.headers if pair[0].lower() != "content-length"] for each in provider.requests]
    assert all(each == lines[0] for each in lines)


def test_a_repeated_head_is_still_limited(keyed: LiveGateway) -> None:
    """Limits count every request, whether its head was seen before or not."""
    with Agent(keyed.port) as agent:
        assert [agent.ask(BOB, "r1")[0] for _ in range(6)] == [200, 200, 200, 200, 429, 429]


def test_a_new_view_is_in_force_at_once(keyed: LiveGateway) -> None:
    """A key that a reload takes away is refused on the connection that used it all the time."""
    with Agent(keyed.port) as agent:
        assert {agent.ask(ALICE, "r1")[0] for _ in range(3)} == {200}
        settings = msgspec.structs.replace(keyed.settings, keys=keyed.settings.keys[1:])
        keyed.worker.view = View(settings, tables.pinning(), (STAMP_KEY,), "later")
        assert agent.ask(ALICE, "r1")[0] == 401


def life(view: View, fields: dict[bytes, bytes], **more: Any) -> Any:
    """A request of a chat that was admitted."""
    incoming = SimpleNamespace(memo=Memo(), fields=fields, query=more.pop("query", ""))
    route = find("/v1/chat/completions", ())
    known = {"caller": view.open_caller, "credential": None, "run": "", "route": route, "dialect": object()}
    return SimpleNamespace(**{"view": view, "incoming": incoming, **known, **more})


@pytest.mark.parametrize(
    ("fields", "run"),
    [
        ({b"x-trivet-run": b"r1"}, "r1"),
        ({b"x-trivet-run": b"r 1"}, ""),
        ({}, ""),
        ({b"x-trivet-run": b"r1", b"x-trivet-step": b"s"}, ""),
        ({b"x-trivet-run": b"r1", b"x-trivet-resume": b"required"}, ""),
        ({b"x-trivet-run": b"r1", b"x-trivet-ticket": b"t"}, ""),
    ],
)
def test_only_a_run_that_the_head_alone_names_is_kept(
    fields: dict[bytes, bytes], run: str, gateway: LiveGateway
) -> None:
    """A ticket, a step's label and a resume are looked at for each request, as is a run that may not be one."""
    first = life(gateway.worker.view, fields)
    assert not recalled(cast("Any", first))
    remember(cast("Any", first))
    assert cast("Standing", first.incoming.memo.standing).run == run


def test_what_expires_or_may_hold_a_key_is_not_kept(gateway: LiveGateway) -> None:
    """A credential of the gateway's own, a query, and a head that was not repeated leave nothing behind."""
    view = gateway.worker.view
    for each in (life(view, {}, caller=view.own_callers["probe"]), life(view, {}, query="key=sk")):
        remember(each)
        assert each.incoming.memo.standing is None
    unseen = life(view, {})
    unseen.incoming.memo = None
    remember(unseen)
    assert not recalled(unseen)
