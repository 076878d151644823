"""The runs API: start, show, report, restart, each for the tenant's own runs only."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.core.contract.alias import Lane, Split
from gateway.core.contract.journal import Report, Step
from gateway.live.runs import ALIASES_PER_RUN, METRICS_PER_REPORT
from tests.live.gateway import Got, LiveGateway, release
from tests.provider import Provider

OLD = release("openai/gpt-4o-2024-08-06")
NEW = release("openai/gpt-4o-2024-11-20")


def post(gateway: LiveGateway, path: str, body: Any = None, **headers: str) -> Got:
    """A call of the runs API."""
    return gateway.request("POST", f"/trivet/runs{path}", body, headers)


def test_a_run_is_started_on_all_its_aliases_before_anything_is_asked(gateway: LiveGateway, provider: Provider) -> None:
    """Release, model, legs, pin, arm and ticket per alias; requests of the run then resume, wherever the pointer went."""
    state = gateway.alias("support", OLD)
    gateway.alias("writer", NEW)
    got = post(gateway, "", {"aliases": ["support", "writer"], "run": "job-1"})
    assert (got.status, got.json["run"]) == (200, "job-1")
    bound = got.json["aliases"]
    assert (bound["support"]["release"], bound["writer"]["model"]) == (OLD.id, "openai/gpt-4o-2024-11-20")
    assert (bound["support"]["pin"], bound["support"]["arm"], bound["support"]["prompt"]) == ("pinned", "stable", "")
    assert not provider.requests
    gateway.move(msgspec.structs.replace(state, version=2, lanes={"*": Lane(NEW.id, (OLD.id,))}), NEW)
    one = gateway.chat("support", {"x-trivet-run": "job-1", "x-trivet-resume": "required"})
    two = gateway.chat("support", {"x-trivet-ticket": bound["support"]["ticket"]})
    for answer in (one, two):
        assert (answer.headers["x-trivet-bound"], answer.headers["x-trivet-release"]) == ("resumed", OLD.id)


def test_starting_again_changes_nothing(gateway: LiveGateway) -> None:
    """A client that retries the start gets the same binding; without an id each start is a run of its own."""
    gateway.alias("support", OLD)
    first = post(gateway, "", {"aliases": ["support"], "run": "job-1"}).json
    second = post(gateway, "", {"aliases": ["support"], "run": "job-1"}).json
    assert first["aliases"]["support"]["release"] == second["aliases"]["support"]["release"]
    made = {post(gateway, "", {"aliases": ["support"]}).json["run"] for _ in range(3)}
    assert len(made) == 3


def test_a_run_is_shown_with_its_steps_counted(gateway: LiveGateway) -> None:
    """What a run is bound to, and how many requests it has made."""
    gateway.alias("support", OLD)
    for _ in range(2):
        gateway.chat("support", {"x-trivet-run": "r1"})
    gateway.wait(lambda: gateway.request("GET", "/trivet/runs/r1").json["steps"] == 2)
    shown = gateway.request("GET", "/trivet/runs/r1").json
    assert (shown["run"], shown["aliases"]["support"]["release"]) == ("r1", OLD.id)


def test_a_run_that_is_started_is_exposed_when_it_is_bound(gateway: LiveGateway, redis_server) -> None:
    """Its arm was drawn then, and its requests only resume it: guardrails hear of it once, and again of the run of a restart."""
    state = gateway.alias("support", OLD)
    split = Split(candidate=NEW.id, salt="grain", weights={"*": 10_000}, since=2)
    gateway.move(msgspec.structs.replace(state, version=2, split=split), NEW)
    for _ in range(2):
        assert post(gateway, "", {"aliases": ["support"], "run": "job-1"}).json["aliases"]["support"]["arm"] == "canary"
    assert gateway.chat("support", {"x-trivet-run": "job-1"}).headers["x-trivet-bound"] == "resumed"
    key = gateway.store.keys.exposures("support")
    gateway.wait(lambda: redis_server.ask(f"XLEN {key}") == b":1\r\n")
    told = redis_server.ask(f"XRANGE {key} - +")
    for word in (b"job-1", b"grain", b"canary", NEW.id.encode(), b"10000"):
        assert word in told
    assert post(gateway, "/job-1/restart", {"run": "job-2"}).status == 200
    gateway.wait(lambda: b"job-2" in redis_server.ask(f"XRANGE {key} - +"))
    assert redis_server.ask(f"XLEN {key}") == b":2\r\n"


def test_an_outcome_is_in_the_journal_and_within_a_rollout_among_the_aliases_events(
    gateway: LiveGateway, redis_server
) -> None:
    """Numbers and yes or no, by metric, for every alias of the run; of a run from before the rollout no guardrail hears."""
    state = gateway.alias("support", OLD)
    gateway.chat("support", {"x-trivet-run": "r0"})
    split = Split(candidate=NEW.id, salt="s", weights={"*": 10_000}, since=2)
    gateway.move(msgspec.structs.replace(state, version=2, split=split), NEW)
    gateway.chat("support", {"x-trivet-run": "r1"})
    for run in ("r0", "r1"):
        got = post(gateway, f"/{run}/outcome", {"solved": True, "stars": 4.5})
        assert (got.status, got.json) == (200, {"run": run, "recorded": True})
        entries = gateway.flow(gateway.store.run_record("default", run)).entries
        (report,) = [entry for entry in entries if isinstance(entry, Report)]
        assert report.metrics == {"solved": True, "stars": 4.5}
    key = gateway.store.keys.events("support")
    gateway.wait(lambda: b"outcome.stars" in redis_server.ask(f"XRANGE {key} - +"))
    told = redis_server.ask(f"XRANGE {key} - +")
    assert b"outcome.solved" in told
    assert b'"r1"' in told
    assert b'"r0"' not in told


def test_a_restart_is_a_new_run_on_the_current_release(gateway: LiveGateway) -> None:
    """The old run stays as it was; the new one has what the pointer says now."""
    state = gateway.alias("support", OLD)
    gateway.chat("support", {"x-trivet-run": "r1"})
    gateway.move(msgspec.structs.replace(state, version=2, lanes={"*": Lane(NEW.id, (OLD.id,))}), NEW)
    again = post(gateway, "/r1/restart").json
    assert again["run"] != "r1"
    assert again["aliases"]["support"]["release"] == NEW.id
    assert post(gateway, "/r1/restart", {"run": "r2"}).json["run"] == "r2"
    assert gateway.request("GET", "/trivet/runs/r1").json["aliases"]["support"]["release"] == OLD.id


@pytest.mark.parametrize("taken", ["r1", "r2"])
def test_a_restart_into_a_run_that_exists_is_refused(gateway: LiveGateway, taken: str) -> None:
    """A run keeps its triple for life, so neither itself nor another bound run can be what it is restarted as."""
    gateway.alias("support", OLD)
    for run in ("r1", "r2"):
        gateway.chat("support", {"x-trivet-run": run})
    got = post(gateway, "/r1/restart", {"run": taken})
    assert (got.status, got.json["error"]["code"]) == (409, "run_bound_elsewhere")


def test_a_restart_leaves_out_what_no_release_stood_for(gateway: LiveGateway) -> None:
    """A floating name that the run also used has nothing to be bound to; the aliases with releases have."""
    gateway.alias("support", OLD)
    for name in ("support", "gpt-4o"):
        gateway.chat(name, {"x-trivet-run": "r1"})
    assert list(post(gateway, "/r1/restart").json["aliases"]) == ["support"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"aliases": []}, 400, "bad_aliases"),
        ({"aliases": ["support"] * (ALIASES_PER_RUN + 1)}, 400, "bad_aliases"),
        ({"aliases": ["nobody"]}, 404, "model_not_found"),
        ({"aliases": ["support"], "run": "a b"}, 400, "bad_run_id"),
        ({"aliases": "support"}, 400, "invalid_body"),
        ({"aliases": ["support"], "more": 1}, 400, "invalid_body"),
        ({}, 400, "invalid_body"),
        (b"{", 400, "invalid_json"),
    ],
)
def test_a_bad_start_is_refused(gateway: LiveGateway, body: Any, status: int, code: str) -> None:
    """Each mistake has its own code; nothing is bound."""
    gateway.alias("support", OLD)
    got = post(gateway, "", body)
    assert (got.status, got.json["error"]["code"]) == (status, code)


@pytest.mark.parametrize("metrics", [{}, {"": 1}, {"m" * 65: 1}, {f"m{n}": 1 for n in range(METRICS_PER_REPORT + 1)}])
def test_odd_outcomes_are_refused(gateway: LiveGateway, metrics: dict[str, int]) -> None:
    """Names and numbers of metrics are bounded; what is no number does not fit."""
    gateway.alias("support", OLD)
    gateway.chat("support", {"x-trivet-run": "r1"})
    assert post(gateway, "/r1/outcome", metrics).json["error"]["code"] == "bad_outcome"
    assert post(gateway, "/r1/outcome", {"a": "text"}).json["error"]["code"] == "invalid_body"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "", 405),
        ("POST", "/r1", 405),
        ("GET", "/r1/outcome", 405),
        ("POST", "/r1/other", 404),
        ("GET", "/nobody", 404),
        ("GET", "/a%20b", 404),
        ("POST", "/nobody/restart", 404),
    ],
)
def test_other_calls_are_refused(gateway: LiveGateway, method: str, path: str, status: int) -> None:
    """Unknown runs and actions are 404, other methods 405 with Allow."""
    gateway.alias("support", OLD)
    gateway.chat("support", {"x-trivet-run": "r1"})
    got = gateway.request(method, f"/trivet/runs{path}", {"a": 1} if method == "POST" else None)
    assert got.status == status
    assert ("allow" in got.headers) is (status == 405)


@pytest.fixture
def tenants(redis_server, provider: Provider, tmp_path: Path) -> Iterator[LiveGateway]:
    """A gateway with tenants a and b."""
    keys = [{"sha256": sha256(f"sk-{name}".encode()).hexdigest(), "tenant": name} for name in ("a", "b")]
    providers = {"openai": {"base_url": provider.url, "api_key": "k", "allow_private": True}}
    with LiveGateway(redis_server.url, tmp_path, providers, auth="keys", keys=keys) as running:
        running.alias("support", OLD)
        yield running


def test_a_run_of_another_tenant_is_a_run_nobody_knows(tenants: LiveGateway) -> None:
    """Show, outcome and restart are 404 for others, the same as for a run that never was; both may have a run of one name."""
    mine = {"authorization": "Bearer sk-a"}
    assert post(tenants, "", {"aliases": ["support"], "run": "r1"}, **mine).status == 200
    for path, body in (("/r1/outcome", {"m": 1}), ("/r1/restart", {})):
        got = post(tenants, path, body, authorization="Bearer sk-b")
        assert (got.status, got.json["error"]["code"]) == (404, "run_not_found")
    assert tenants.request("GET", "/trivet/runs/r1", headers={"authorization": "Bearer sk-b"}).status == 404
    assert tenants.request("GET", "/trivet/runs/r1").status == 401
    assert post(tenants, "", {"aliases": ["support"], "run": "r1"}, authorization="Bearer sk-b").status == 200
    entries = tenants.flow(tenants.store.run_record("b", "r1")).entries
    assert not [entry for entry in entries if isinstance(entry, Step | Report)]
    assert tenants.request("GET", "/trivet/runs/r1", headers=mine).status == 200
