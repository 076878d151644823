"""What `config show` shows."""

from __future__ import annotations

from pathlib import Path

import msgspec

from gateway.admin.configview import bare, config_view
from gateway.settings.load import read

FILE = b"""
auth: keys
admin: {tokens: [{name: alice, sha256: %s}]}
store: {redis: "redis://user:pass-word-1@h:1/2?x=secret-q", data_dir: /tmp/x}
stamp_keys: ["stamp-key-0123456789abcdef0123456789abcdef"]
keys: [{sha256: %s, tenant: t}]
providers:
  openai: {base_url: "https://api.openai.com", api_key: sk-provider-secret, headers: {x-a: header-secret}}
  anthropic: {base_url: "https://api.anthropic.com"}
""" % (b"a" * 64, b"b" * 64)


def test_i7_nothing_secret_is_shown() -> None:
    """I7: keys, hashes of keys, passwords and header values are not in the view; whose key is used is."""
    view = config_view(read(FILE, Path("gw.yaml"), {}))
    text = msgspec.json.encode(view).decode()
    for secret in ("pass-word-1", "secret-q", "stamp-key", "sk-provider", "header-secret", "a" * 64, "b" * 64):
        assert secret not in text
    assert view.store == "redis://h:1/2"
    assert "a key of the gateway" in view.providers["openai"]
    assert "the key of the caller" in view.providers["anthropic"]
    assert view.admin_tokens == ("alice (read)",)


def test_bare_keeps_words() -> None:
    """`embedded` is no URL and stays."""
    assert bare("embedded") == "embedded"
