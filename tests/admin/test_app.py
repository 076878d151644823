"""The admin port over HTTP: rights inside the matched route, audit, JSON errors, health, metrics."""

from __future__ import annotations

import json
from hashlib import sha256

import msgspec
import pytest

from gateway.admin.table import Ask, Nothing, Operation
from gateway.admin.visit import Visit
from gateway.core.contract.fault import Fault, Kind
from gateway.settings.model import AdminSettings, AdminToken
from tests.admin.rig import admin_port

pytestmark = pytest.mark.anyio


class Thing(Ask, frozen=True):
    """A request with a member in the path."""

    name: str
    count: int = 1
    loud: bool = False
    reason: str = ""


class Said(msgspec.Struct):
    """An answer."""

    name: str
    count: int
    loud: bool
    actor: str


async def _say(visit: Visit, ask: Thing) -> Said:
    if ask.name == "nobody":
        raise Fault(Kind.NOT_FOUND, "thing_unknown", "there is no such thing")
    if ask.name == "crash":
        raise RuntimeError("secret-inside")
    return Said(ask.name, ask.count, ask.loud, visit.actor.name)


async def _plain(visit: Visit, _: Nothing) -> Said:
    return Said("", 0, loud=False, actor=visit.actor.name)


TABLE = (
    Operation("thing.show", "GET", "/things/{name}", "read", Thing, Said, _say, "Show."),
    Operation("thing.change", "POST", "/things/{name}/change", "release", Thing, Said, _say, "Change."),
    Operation("status", "GET", "/status", "read", Nothing, Said, _plain, "Status."),
)
TOKENS = AdminSettings(
    metrics="token",
    tokens=(
        AdminToken("alice", sha256(b"alice-secret").hexdigest(), ("read", "release")),
        AdminToken("bob", sha256(b"bob-secret").hexdigest(), ("read",)),
        AdminToken("carol", sha256(b"carol-secret").hexdigest(), ("rollback",)),
    ),
)
ALICE, BOB, CAROL = (f"Bearer {name}-secret" for name in ("alice", "bob", "carol"))


async def test_local_actor_may_do_everything() -> None:
    """A loopback port without tokens answers as `local`, and a change leaves an audit line."""
    async with admin_port(TABLE) as port:
        status, _, body = await port.ask("GET", "/api/v1/things/a%2Fb?count=3&loud=true")
        assert (status, json.loads(body)) == (200, {"name": "a/b", "count": 3, "loud": True, "actor": "local"})
        assert port.audit.written == 0
        status, _, body = await port.ask("POST", "/api/v1/things/x/change", b'{"count": 2}')
        assert (status, json.loads(body)["count"]) == (200, 2)
        assert port.audit.written == 1


async def test_c4_without_token() -> None:
    """C4: with tokens configured, no key, a tenant's key, an odd Host and //admin get 401 or 404 and are audited."""
    async with admin_port(TABLE, TOKENS) as port:
        assert await port.error("GET", "/api/v1/status") == (401, "invalid_admin_token")
        assert await port.error("GET", "/api/v1/status", Authorization="Bearer sk-tenant") == (
            401,
            "invalid_admin_token",
        )
        assert await port.error("GET", "/api/v1/status", Host="a/admin?") == (401, "invalid_admin_token")
        assert await port.error("GET", "//api/v1/status", Authorization=ALICE) == (404, "not_found")
        assert await port.error("GET", "/api/v1/../v1/status", Authorization="x") in (
            (401, "invalid_admin_token"),
            (404, "not_found"),
        )
        assert port.audit.denied >= 3


async def test_rights_are_held_per_operation() -> None:
    """Each operation needs its right; the refusal is 403 and audited, and nothing is done."""
    async with admin_port(TABLE, TOKENS) as port:
        assert (await port.ask("GET", "/api/v1/status", Authorization=BOB))[0] == 200
        assert await port.error("POST", "/api/v1/things/x/change", b"{}", Authorization=BOB) == (403, "right_missing")
        assert (await port.ask("POST", "/api/v1/things/x/change", b"{}", Authorization=ALICE))[0] == 200
        assert await port.error("GET", "/api/v1/status", Authorization=CAROL) == (403, "right_missing")
        assert (port.audit.written, port.audit.denied) == (3, 2)


async def test_metrics_follow_their_setting() -> None:
    """`metrics: token` wants a token with read, `open` wants none."""
    async with admin_port(TABLE, TOKENS) as port:
        assert (await port.ask("GET", "/metrics"))[0] == 401
        assert (await port.ask("GET", "/metrics", Authorization=BOB))[2] == b"trivet_up 1\n"
    async with admin_port(TABLE) as port:
        status, fields, _ = await port.ask("GET", "/metrics", Host="anything.example")
        assert (status, fields["content-type"]) == (200, "text/plain; version=0.0.4")


async def test_health_needs_no_token_and_says_why() -> None:
    """Probes carry no token; readiness is red with the reason while the store is away."""
    async with admin_port(TABLE, TOKENS, ready=False) as port:
        assert (await port.ask("GET", "/livez"))[0] == 200
        status, _, body = await port.ask("GET", "/readyz")
        assert (status, json.loads(body)["store"]) == (503, "store_unavailable")


@pytest.mark.parametrize(
    ("target", "body", "code"),
    [
        ("/api/v1/things/x/change", b"[]", "invalid_json"),
        ("/api/v1/things/x/change", b"{", "invalid_json"),
        ("/api/v1/things/x/change", b'{"count": "2"}', "invalid_request"),
        ("/api/v1/things/x/change", b'{"cuont": 2}', "invalid_request"),
        ("/api/v1/things/x/change", b'{"name": "y"}', "duplicate_parameter"),
    ],
)
async def test_bad_body_is_400_without_echo(target: str, body: bytes, code: str) -> None:
    """A body that does not fit is refused with a stable word, and what was sent is not repeated."""
    async with admin_port(TABLE) as port:
        assert await port.error("POST", target, body) == (400, code)


async def test_bad_query_is_400() -> None:
    """The same for queries: unknown members, wrong types, repeated names."""
    async with admin_port(TABLE) as port:
        for query in ("count=x", "cuont=1", "name=y"):
            assert (await port.ask("GET", f"/api/v1/things/x?{query}"))[0] == 400
        assert await port.error("GET", "/api/v1/things/x?count=1&count=2") == (400, "duplicate_parameter")


async def test_only_json_is_read() -> None:
    """A form post, which a browser sends without asking, is 415."""
    async with admin_port(TABLE) as port:
        answer = await port.error("POST", "/api/v1/things/x/change", b"a=b", Content_Type="text/plain")
        assert answer == (415, "content_type")


async def test_faults_and_errors_have_one_shape() -> None:
    """404 of an operation, 404 and 405 of the router and an unexpected error are JSON with a request id and no detail."""
    async with admin_port(TABLE) as port:
        assert await port.error("GET", "/api/v1/things/nobody") == (404, "thing_unknown")
        assert await port.error("GET", "/nothing") == (404, "not_found")
        status, fields, _ = await port.ask("DELETE", "/api/v1/status")
        assert (status, fields["allow"]) == (405, "GET")
        status, fields, body = await port.ask("GET", "/api/v1/things/crash")
        assert status == 500
        assert b"secret-inside" not in body
        assert fields["x-request-id"].startswith("adm-")


async def test_openapi_is_served() -> None:
    """The document is there for whoever may read."""
    async with admin_port(TABLE, TOKENS) as port:
        assert (await port.ask("GET", "/api/v1/openapi.json"))[0] == 401
        status, _, body = await port.ask("GET", "/api/v1/openapi.json", Authorization=BOB)
        assert (status, json.loads(body)["openapi"]) == (200, "3.1.0")
