"""The real table against a real gateway: rights widen or narrow what an operation does, and nothing else."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import pytest

from gateway.admin.operations import OPERATIONS
from gateway.core.contract.artifact import canonical_prompt, digest
from gateway.core.contract.release import Leg, Mode, Release, Triple, release_id
from gateway.settings.model import ADMIN_RIGHTS, StoreSettings
from gateway.store import releases
from gateway.store.client import Store
from tests.gateway_process import Gateway, running

NAMES = {"reader": ("read",), "author": ("read", "content", "release"), "oncall": ("rollback",), "lead": ADMIN_RIGHTS}


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    """A gateway with four named tokens."""
    tokens = [
        {"name": name, "sha256": sha256(f"{name}-token".encode()).hexdigest(), "rights": list(rights)}
        for name, rights in NAMES.items()
    ]
    aliases = {"support": {"first_release": {"model": "openai/gpt-4o-2024-08-06"}}}
    with running(admin={"tokens": tokens}, aliases=aliases) as made:
        yield made


def ask(gateway: Gateway, name: str, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
    """One call with a named token: status and document."""
    request = urllib.request.Request(
        f"{gateway.admin}/api/v1{path}",
        method=method,
        data=json.dumps(body).encode() if body is not None else None,
        headers={"authorization": f"Bearer {name}-token", "content-type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


async def stored(gateway: Gateway, text: str) -> str:
    """A release with a prompt, put into the store as a gateway that serves prompts would; its id."""
    data = canonical_prompt(text)
    triple = Triple("openai/gpt-4o-2024-11-20", prompt=Leg(Mode.SERVE, digest(data)))
    async with Store(StoreSettings(redis="embedded", data_dir=str(gateway.data_dir))) as store:
        await releases.put(store, Release(release_id(triple), triple), {digest(data): data})
    return release_id(triple)


def test_texts_need_the_right_content(gateway: Gateway) -> None:
    """A prompt's text is for tokens with `content`; its digest is for every reader."""
    one, other = asyncio.run(stored(gateway, "You are a parrot.")), asyncio.run(stored(gateway, "You are an owl."))
    full = ask(gateway, "author", "GET", f"/releases/{one}")[1]
    lean = ask(gateway, "reader", "GET", f"/releases/{one}")[1]
    assert full["prompt"]["text"] == "You are a parrot."
    assert lean["prompt"]["text"] is None
    assert lean["prompt"]["digest"] == full["prompt"]["digest"]
    path = f"/releases/{one}/diff?to={other}"
    assert "parrot" in json.dumps(ask(gateway, "author", "GET", path)[1])
    assert "parrot" not in json.dumps(ask(gateway, "reader", "GET", path)[1])


def test_history_names_the_token(gateway: Gateway) -> None:
    """Who did it is the token's name, in the audit line and for ever in the alias's history."""
    new = ask(gateway, "lead", "POST", "/releases", {"model": "openai/gpt-4o-2024-05-13"})[1]["id"]
    body = {"release": new, "reason": "why not", "override": "me"}
    assert ask(gateway, "reader", "POST", "/aliases/support/promote", body)[0] == 403
    assert ask(gateway, "lead", "POST", "/aliases/support/promote", body)[0] == 200
    status, moved = ask(gateway, "oncall", "POST", "/aliases/support/rollback", {"reason": "wrong"})
    assert (status, moved["changed"]) == (200, True)
    actors = [entry["actor"] for entry in ask(gateway, "reader", "GET", "/aliases/support/history")[1]]
    assert actors[:2] == ["oncall", "lead"]
    lines = [e for e in gateway.events if e.get("event") == "admin action" and e.get("alias") == "support"]
    assert [(e["actor"], e["result"]) for e in lines[-3:]] == [
        ("reader", "right_missing"),
        ("lead", "done"),
        ("oncall", "done"),
    ]


def test_stopping_runs_needs_the_right_release(gateway: Gateway) -> None:
    """`stop_runs` blocks a release, so a token that may only roll back is refused, and nothing moves."""
    before = ask(gateway, "reader", "GET", "/aliases/support")[1]["state"]["version"]
    body = {"reason": "wrong", "stop_runs": True}
    assert ask(gateway, "oncall", "POST", "/aliases/support/rollback", body)[1]["error"]["code"] == "right_missing"
    assert ask(gateway, "reader", "GET", "/aliases/support")[1]["state"]["version"] == before


def test_c3_unknown_ids_are_404_whatever_they_hold(gateway: Gateway) -> None:
    """C3: ids with wildcards or foreign characters are simply unknown, with the same words."""
    for path in (
        "/runs/nobody",
        "/runs/%2A",
        "/runs/a%5Bb%5D%3F",
        "/releases/%2A",
        "/aliases/%2A",
        "/aliases/..%2F..%2Fetc",
    ):
        status, body = ask(gateway, "reader", "GET", path)
        assert status == 404, (path, body)


def test_every_read_answers(gateway: Gateway) -> None:
    """Each GET without a name in its path answers a reader with a document."""
    for operation in OPERATIONS.values():
        if operation.method == "GET" and not operation.in_path():
            assert ask(gateway, "reader", "GET", operation.path)[0] == 200, operation.name


def test_secrets_of_tokens_are_nowhere(gateway: Gateway) -> None:
    """No token and no hash of one is in the log or in what the port answers."""
    shown = json.dumps(ask(gateway, "lead", "GET", "/config")[1]) + gateway.log
    for name in NAMES:
        assert f"{name}-token" not in shown
        assert sha256(f"{name}-token".encode()).hexdigest() not in shown
