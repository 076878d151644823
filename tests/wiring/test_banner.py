"""The start-up message: where to point each SDK, whose key is used, nothing secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.settings.load import read
from gateway.wiring.banner import Served, banner, whose_key

FILE = b"""
auth: open
listen: 0.0.0.0:8080
providers:
  openai: {base_url: "https://api.openai.com", api_key: sk-provider-secret}
  anthropic: {base_url: "https://api.anthropic.com"}
store: {redis: "rediss://user:pass-word@redis.example:6379/0"}
"""


def served(text: bytes = FILE, **members: object) -> Served:
    """A gateway that is ready."""
    settings = read(text, Path("gw.yaml"), {}).settings
    values: dict[str, object] = {
        "data": "0.0.0.0:8080",
        "admin": "127.0.0.1:8081",
        "workers": 2,
        "store_pid": 0,
        "config": "gw.yaml",
        "python": "3.11",
    }
    return Served(settings=settings, warnings=("from the check",), **{**values, **members})  # type: ignore[arg-type]


def test_base_url_per_sdk_and_whose_key() -> None:
    """An SDK's variable with an address that works from here, and one sentence per provider."""
    text = banner(served(), "1.2.3").text()
    assert "OPENAI_BASE_URL=http://localhost:8080/v1" in text
    assert "openai     the gateway's own key (https://api.openai.com)" in text
    assert "anthropic  the caller's own key, forwarded to it only" in text
    assert "Trivet 1.2.3 is ready." in text


def test_nothing_secret() -> None:
    """Neither a key nor a password of a URL."""
    text = banner(served(), "1").text()
    assert "sk-provider-secret" not in text
    assert "pass-word" not in text
    assert "rediss://redis.example:6379/0" in text


def test_warnings_stand_out() -> None:
    """What the check warns of, and an open listener."""
    warnings = banner(served(), "1").warnings
    assert warnings[0] == "from the check"
    assert any("`open`" in w for w in warnings)


def test_without_live_workers_no_url_is_promised() -> None:
    """A container that runs the background process alone has no data port."""
    shown = banner(served(data=""), "1")
    assert shown.base_urls == ()
    assert shown.providers == ()


@pytest.mark.parametrize(("tls", "scheme"), [(b"", "http"), (b"\ntls: {certificate: a.pem, key: b.pem}\n", "https")])
def test_scheme_follows_tls(tls: bytes, scheme: str) -> None:
    """With a certificate the address is https."""
    assert f"{scheme}://localhost:8080/v1" in banner(served(FILE + tls), "1").text()


def test_embedded_store_and_sentinel_are_named() -> None:
    """Where stamps go is said in words."""
    text = banner(served(b"store: {data_dir: /var/lib/trivet}", store_pid=7), "1").text()
    assert "embedded server in /var/lib/trivet/store (process 7)" in text
    sentinel = b"store: {redis: 'redis://x', sentinel: {master: m1, nodes: ['a:1']}}"
    assert "Sentinel m1" in banner(served(sentinel), "1").text()


def test_whose_key_is_never_the_key() -> None:
    """One sentence, no value."""
    provider = served().settings.providers["openai"]
    assert "sk-" not in whose_key(provider)
