"""Reading a configuration file."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.settings.load import Config, SettingsError, load, read
from gateway.settings.model import Settings

FILE = Path("f.yaml")


def test_empty_file_is_all_defaults() -> None:
    """A file that says nothing changes nothing."""
    assert read(b"# nothing here\n", FILE, {}).settings == Settings()


def test_version_is_of_the_bytes() -> None:
    """The version tells two files apart and is the same for the same bytes, whatever the environment holds."""
    text = b'providers: {openai: {base_url: "https://api.openai.com", api_key: "${K:-client}"}}'
    one, two = read(text, FILE, {}), read(text, FILE, {"K": "secret"})
    assert one.version == two.version
    assert len(one.version) == 12
    assert one.version != read(text + b"\n", FILE, {}).version
    assert one.settings.providers["openai"].api_key == "client"
    assert two.settings.providers["openai"].api_key == "secret"
    assert two.referenced == {"providers.openai.api_key"}


def test_i7_no_secret_in_a_repr() -> None:
    """Printing settings, on purpose or in a crash text, shows no key and no password."""
    text = b"""
stamp_keys: [stamp-secret-stamp-secret-stamp-secret]
store: {redis: "redis://user:pass-secret@host/0", shadow_redis: "redis://:pass-secret@host"}
providers:
  openai:
    base_url: https://api.openai.com
    api_key: api-secret
    background_api_key: background-secret
    headers: {x-extra: header-secret}
    endpoints: [{url: "https://api.openai.com", api_key: endpoint-secret}]
"""
    config = read(text, FILE, {})
    assert "secret" not in repr(config)
    assert "secret" not in repr(config.settings)
    assert "secret" not in str(config.settings)


def test_i1_every_problem_with_file_line_and_key() -> None:
    """All mistakes of a file come in one error, in order."""
    with pytest.raises(SettingsError) as caught:
        read(b"lisen: x\nruns:\n  ttl: soon\nkeys:\n  - {sha256: abc}\n", FILE, {})
    assert str(caught.value).splitlines() == [
        "f.yaml:1: lisen: unknown key; did you mean listen?",
        "f.yaml:3: runs.ttl: must be a duration such as 30s, 5m, 72h or 30d, or a number of seconds",
        "f.yaml:5: keys[0].sha256: must be a sha256: 64 lower-case hex digits; `trivet key new` prints one",
        "f.yaml:5: keys[0].tenant: is missing; it has no default",
    ]


def test_missing_and_unreadable_files(tmp_path: Path) -> None:
    """A file that is not there, or a folder in its place, is told plainly."""
    with pytest.raises(SettingsError, match="there is no such file"):
        load(tmp_path / "nope.yaml", {})
    with pytest.raises(SettingsError, match="cannot be read"):
        load(tmp_path, {})


def test_not_utf8() -> None:
    """A file in another encoding names the line."""
    with pytest.raises(SettingsError, match=r"f.yaml:2: is not UTF-8"):
        read("a: 1\nb: é\n".encode("latin-1"), FILE, {})


def test_byte_order_mark_is_no_problem() -> None:
    """Editors that begin a file with a byte order mark do no harm."""
    assert read(b"\xef\xbb\xbflisten: 127.0.0.1:9\n", FILE, {}).settings.listen == "127.0.0.1:9"


def test_places() -> None:
    """Files are found beside the configuration, and lines for keys or what surrounds them."""
    config = read(b"auth: none\nadmin:\n  listen: 127.0.0.1:1\n", Path("/etc/trivet/gateway.yaml"), {})
    assert config.resolve("prompts/a.md") == Path("/etc/trivet/prompts/a.md")
    assert config.resolve("/x/a.md") == Path("/x/a.md")
    assert (config.line("admin.listen"), config.line("admin.tokens[0].name"), config.line("nope")) == (3, 2, 0)


def test_certificate_files_are_beside_the_configuration() -> None:
    """Certificates are named relative to the configuration's folder, whatever directory the gateway was started in."""
    text = (
        b"tls: {certificate: c.pem, key: /k.pem}\nstore: {ca_file: s.pem}\n"
        b"providers: {p: {base_url: 'https://x.example', ca_file: p.pem}, q: {base_url: 'https://x.example'}}\n"
    )
    made = read(text, Path("/etc/trivet/gateway.yaml"), {}).settings
    assert made.tls is not None
    assert (made.tls.certificate, made.tls.key) == ("/etc/trivet/c.pem", "/k.pem")
    assert made.store.ca_file == "/etc/trivet/s.pem"
    assert (made.providers["p"].ca_file, made.providers["q"].ca_file) == ("/etc/trivet/p.pem", "")


@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """No file makes the reader fail in another way than by SettingsError."""
    try:
        assert isinstance(read(data, FILE, {}), Config)
    except SettingsError:
        pass
