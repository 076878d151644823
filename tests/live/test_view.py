"""What a worker looks up per request, prepared once per configuration."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import msgspec
import pytest

from gateway.core.dialect.routes import RouteKind
from gateway.live.view import DEFAULT_TENANT, ROUTES_KEPT, View
from gateway.settings import tables
from gateway.settings.model import RIGHTS, Settings

KEY = b"0123456789abcdef0123456789abcdef"
ONE = {"base_url": "https://api.openai.com"}


def view(**settings: Any) -> View:
    """The view of a configuration."""
    return View(msgspec.convert({"providers": {"openai": ONE}, **settings}, Settings), tables.pinning(), (KEY,), "v")


def test_a_key_is_found_by_its_hash_with_tenant_segment_rights_and_names() -> None:
    """The key's own segment comes before the one its tenant is listed in."""
    a, b = sha256(b"a"), sha256(b"b")
    seen = view(
        auth="keys",
        segments={"early": ["acme", "bolt"]},
        keys=[
            {"sha256": a.hexdigest(), "tenant": "acme", "rights": ["learn"], "aliases": {"x": "y"}},
            {"sha256": b.hexdigest(), "tenant": "bolt", "segment": "late"},
        ],
    )
    first, second = seen.callers[a.digest()], seen.callers[b.digest()]
    assert (first.tenant, first.segment, first.rights, first.aliases) == ("acme", "early", {"learn"}, {"x": "y"})
    assert (second.segment, second.rights) == ("late", frozenset())


@pytest.mark.parametrize(("auth", "rights"), [("none", set(RIGHTS)), ("open", set(RIGHTS) - {"learn"})])
def test_without_keys_everybody_is_one_tenant(auth: str, rights: set[str]) -> None:
    """On loopback everything is allowed; a port that anybody may reach learns nothing from strangers."""
    caller = view(auth=auth).open_caller
    assert (caller.tenant, caller.segment, caller.rights) == (DEFAULT_TENANT, "", rights)


def test_a_dialects_default_provider_is_its_vendors_unless_one_is_named() -> None:
    """The first provider of the vendor, a named one instead, none where there is neither."""
    mine = {"mine": {"base_url": "https://llm.example.com", "vendor": "self-hosted"}}
    vendors = {"openai": "openai", "responses": "openai", "anthropic": "", "gemini": ""}
    assert view().default_provider == vendors
    assert view(providers=mine).default_provider["openai"] == ""
    named = view(providers=mine, default_provider={"openai": "mine"}).default_provider
    assert (named["openai"], named["responses"]) == ("mine", "mine"), "both are OpenAI's"


def test_routes_are_remembered_within_a_bound() -> None:
    """The same path gives the same object; ids in paths never grow the memory without end."""
    seen = view()
    route = seen.route("/v1/chat/completions")
    assert seen.route("/v1/chat/completions") is route
    assert route.kind is RouteKind.DIALECT
    for number in range(ROUTES_KEPT + 10):
        seen.route(f"/v1/files/{number}")
    assert len(seen.routes) <= ROUTES_KEPT


def test_the_split_secret_is_not_the_key_that_signs() -> None:
    """Who can guess an arm has learned nothing about tickets."""
    assert KEY not in view().split_secret
    assert view().split_secret == view().split_secret
