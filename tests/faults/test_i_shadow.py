"""Rows I8 and I9: a shadow that somebody has to answer for, and erasing a tenant while the shadow writes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from hashlib import sha256

import pytest

from tests.faults import load
from tests.faults.shadows import BACKGROUND, Stage, late, stage

KEYS = {name: f"tk-shadow-{name}-0123456789abcdef" for name in ("acme", "other")}
SAID = {name: f"the secret of {name}" for name in KEYS}


@pytest.fixture(scope="module")
def at() -> Iterator[Stage]:
    """One gateway with two tenants."""
    keys = [{"sha256": sha256(secret.encode()).hexdigest(), "tenant": name} for name, secret in KEYS.items()]
    with stage({"late": late}, auth="keys", keys=keys, key=BACKGROUND) as made:
        yield made


def say(at: Stage, tenant: str, run: str) -> int:
    """One request of a tenant that says its secret; the status."""
    head = {"authorization": "", "x-trivet-key": KEYS[tenant], "x-trivet-run": run}
    return at.ask("late", head, messages=[{"role": "user", "content": SAID[tenant]}])[0]


def test_i8_what_needs_an_answer_is_refused_without(at: Stage) -> None:
    """I8: every run, contents kept readable: refused in words and nothing changed, until somebody answers for it."""
    candidate = at.gateway.json("release", "create", "--model", "openai/gpt-4o-2024-11-20")["release"]["id"]
    words = ("shadow", "start", "plain", "--candidate", candidate, "--rate", "1", "--reason", "test")
    refused = at.gateway.cli(*words, status=None)
    assert refused.returncode != 0
    assert "every run" in (refused.stdout + refused.stderr) and "full" in (refused.stdout + refused.stderr)
    assert not at.gateway.json("shadow", "status", "plain")["shadows"]
    at.gateway.cli(*words, "--yes")
    (running,) = at.gateway.json("shadow", "status", "plain")["shadows"]
    assert running["running"] and running["candidate"] == candidate
    at.gateway.cli("shadow", "stop", "plain", "--reason", "test")


def test_i9_a_tenant_is_erased_while_the_shadow_writes(at: Stage) -> None:
    """I9: with jobs waiting, in hand and done, nothing of the tenant is left and nothing is written later; another's stays."""
    assert say(at, "other", "o1") == 200
    at.ended("late", 1)
    statuses: list[int] = []
    lanes = [
        threading.Thread(target=lambda n=n: statuses.extend(say(at, "acme", f"a{n}") for _ in range(10)))
        for n in range(3)
    ]
    for each in lanes:
        each.start()
    load.until(lambda: sum(at.counts("late").values()) >= 5, 10, "the first pairs")
    for each in lanes:
        each.join(20)
    assert statuses == [200] * 30
    assert SAID["acme"].encode() in at.stored()
    told = at.gateway.json("tenant", "erase", "acme", "--reason", "they left", "--yes")
    assert told["receipt"] and told["removed"]["pair"] >= 1 and told["removed"].get("job", 0) >= 1, told
    load.until(lambda: at.depth() == 0, 10, "an empty queue")
    load.until(lambda: say(at, "other", "o2") == 200, 1, "another's answer")
    load.until(lambda: at.stored().count(b"trivet:pair:{other/") >= 2 and not at.depth(), 5, "another's pair")
    left = at.stored()
    assert SAID["acme"].encode() not in left and b"pair:{acme" not in left
    assert SAID["other"].encode() in left
    assert at.gateway.get(at.gateway.admin + "/metrics")[1].count(b'trivet_erasures_total{result="done"} 1') == 1
