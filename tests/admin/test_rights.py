"""Who may act on the admin port."""

from __future__ import annotations

from hashlib import sha256

import pytest

from gateway.admin.rights import EVERYTHING, Actor, host_name, identify
from gateway.core.contract.fault import Fault
from gateway.settings.model import AdminSettings, AdminToken

OPEN = AdminSettings()
TOKENS = AdminSettings(
    tokens=(
        AdminToken("alice", sha256(b"alice-secret").hexdigest(), ("read", "rollback")),
        AdminToken("bob", sha256(b"bob-secret").hexdigest()),
    )
)


def refused(settings: AdminSettings, **headers: str) -> Fault:
    """The fault that these headers get."""
    with pytest.raises(Fault) as caught:
        identify(settings, {name.replace("_", "-"): value for name, value in headers.items()})
    return caught.value


def test_loopback_without_tokens_is_local() -> None:
    """Without tokens the actor is `local` and may do everything."""
    for host in ("127.0.0.1:8081", "localhost", "LOCALHOST:1", "[::1]:8081", "127.0.0.1"):
        assert identify(OPEN, {"Host": host}) is EVERYTHING


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "", "a/admin?", "localhost.", "10.0.0.1:8081"]
)
def test_foreign_host_is_refused(host: str) -> None:
    """DNS rebinding: a name that is not this machine's own gets 421 while no token protects the port."""
    assert refused(OPEN, Host=host).status == 421


def test_own_address_is_a_name() -> None:
    """The address the port listens on is one of its names."""
    assert identify(AdminSettings(listen="127.0.0.2:8081"), {"Host": "127.0.0.2:8081"}) is EVERYTHING


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1:8081", "http://127.0.0.1:9"])
def test_page_of_another_origin_is_refused(origin: str) -> None:
    """A web page cannot use the operator's browser to reach a port without tokens."""
    assert refused(OPEN, Host="127.0.0.1:8081", Origin=origin).status == 403


def test_cross_site_fetch_is_refused() -> None:
    """The same by the browser's own word."""
    assert refused(OPEN, Host="127.0.0.1:8081", Sec_Fetch_Site="cross-site").code == "foreign_origin"
    assert identify(OPEN, {"Host": "127.0.0.1:8081", "Origin": "http://127.0.0.1:8081"}) is EVERYTHING


def test_token_names_the_actor() -> None:
    """A token gives its name and its rights, under any Host."""
    actor = identify(TOKENS, {"Host": "gw.example", "Authorization": "Bearer alice-secret"})
    assert actor == Actor("alice", frozenset({"read", "rollback"}))
    assert identify(TOKENS, {"Authorization": "bearer bob-secret"}).rights == {"read"}


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer alice-secre",
        "Bearer alice-secret2",
        "Basic alice-secret",
        "alice-secret",
        "Bearer \udcff",
    ],
)
def test_wrong_token_is_401(value: str) -> None:
    """Nothing but the whole token under its scheme is accepted, and no answer says how close a guess was."""
    fault = refused(TOKENS, Authorization=value, Host="127.0.0.1")
    assert (fault.status, fault.code) == (401, "invalid_admin_token")
    assert "secret" not in fault.message


def test_missing_right_names_itself() -> None:
    """A refusal says which right is missing and for which token."""
    with pytest.raises(Fault, match="right_missing") as caught:
        Actor("bob", frozenset({"read"})).need("release")
    assert "'release'" in caught.value.message
    assert caught.value.status == 403


def test_host_name_reads_all_forms() -> None:
    """Port, brackets and case are taken off."""
    assert [host_name(h) for h in ("A.b:1", "[::1]:2", "::1", "x")] == ["a.b", "::1", "::1", "x"]
