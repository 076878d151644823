"""The settings held against each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.settings.check import Level, check, findings
from gateway.settings.load import Config, SettingsError, read

A, B = "a" * 64, "b" * 64
PROVIDER = 'providers: {openai: {base_url: "https://api.openai.com", api_key: "${K}"}}\n'


def config(text: str, path: Path = Path("f.yaml")) -> Config:
    """A configuration with one good provider, unless the text has its own."""
    return read((text + ("" if "providers:" in text else PROVIDER)).encode(), path, {"K": "k" * 20})


def errors(text: str) -> list[str]:
    """The keys of errors."""
    return [each.key for each in findings(config(text)) if each.level is Level.ERROR]


def warnings(text: str) -> list[str]:
    """The keys of warnings."""
    return [each.key for each in findings(config(text)) if each.level is Level.WARNING]


def test_defaults_are_fine() -> None:
    """A plain file has nothing to say about."""
    assert findings(config("")) == []


def test_c7_off_loopback_needs_auth() -> None:
    """Listening beyond this machine takes keys, or the deliberate word open."""
    assert errors("listen: 0.0.0.0:8080\n") == ["listen"]
    assert errors("listen: 0.0.0.0:8080\nauth: open\n") == []
    assert errors(f"listen: 0.0.0.0:8080\nauth: keys\nkeys: [{{sha256: {A}, tenant: t}}]\n") == []
    with pytest.raises(SettingsError, match=r"f.yaml:1: listen: listens beyond this machine while auth is none"):
        check(config("listen: 0.0.0.0:8080\n"))


def test_c7_admin_off_loopback_needs_tokens() -> None:
    """The admin port beyond this machine takes tokens."""
    assert errors("admin: {listen: '0.0.0.0:8081'}\n") == ["admin.listen"]
    assert errors(f"admin: {{listen: '0.0.0.0:8081', tokens: [{{name: a, sha256: {A}}}]}}\n") == []


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("listen: 8080\n", "listen"),
        ("listen: 127.0.0.1:8081\n", "admin.listen"),
        ("admin: {metrics: token}\n", "admin.metrics"),
        ("tls: {certificate: nope.pem, key: nope.key}\n", "tls.certificate"),
        ("auth: keys\n", "auth"),
        (f"auth: keys\nkeys: [{{sha256: {A}, tenant: t}}, {{sha256: {A}, tenant: u}}]\n", "keys[1].sha256"),
        (f"admin: {{tokens: [{{name: a, sha256: {A}}}, {{name: a, sha256: {B}}}]}}\n", "admin.tokens[1].name"),
        (f"admin: {{tokens: [{{name: a, sha256: {A}}}, {{name: b, sha256: {A}}}]}}\n", "admin.tokens[1].sha256"),
        ("segments: {x: [t], y: [t]}\n", "segments.y[0]"),
        (f"auth: keys\nkeys: [{{sha256: {A}, tenant: trivet/gate}}]\n", "keys[0].tenant"),
        (f"auth: keys\nsegments: {{x: [t]}}\nkeys: [{{sha256: {A}, tenant: t, segment: y}}]\n", "keys[0].segment"),
        ("store: {redis: 'http://x'}\nstamp_keys: [kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk]\n", "store.redis"),
        ("store: {redis: 'redis://x'}\n", "stamp_keys"),
        ("stamp_keys: [short]\n", "stamp_keys[0]"),
        ("store: {sentinel: {master: m, nodes: ['h:1']}}\n", "store.sentinel"),
        ("store: {ca_file: nope.pem}\n", "store.ca_file"),
        ("runs: {ttl: 0}\n", "runs.ttl"),
        ("runs: {sources: [x-run, 'a b']}\n", "runs.sources[1]"),
        ("default_provider: {openai: nope}\n", "default_provider.openai"),
        ("default_provider: {opnai: openai}\n", "default_provider.opnai"),
        ("aliases: {a: {first_release: {model: opnai/m}}}\n", "aliases.a.first_release.model"),
        ("aliases: {a: {first_release: {model: m}}}\n", "aliases.a.first_release.model"),
        ("aliases: {rel_a: {first_release: {model: openai/m}}}\n", "aliases.rel_a"),
        ("aliases: {a: {first_release: {model: openai/m, prompt: {file: no.md}}}}\n", "aliases.a.first_release.prompt.file"),
        ("aliases: {a: {first_release: {model: openai/m, tools: {file: no.json}}}}\n", "aliases.a.first_release.tools.file"),
        ("aliases: {a: {first_release: {model: openai/m, tools: {file: no.json, mode: verify}}}}\n", "aliases.a.first_release.tools.file"),
        ("aliases: {a: {first_release: {model: openai/m, params: {set: {model: x}}}}}\n", "aliases.a.first_release.params.set"),
        ("aliases: {a: {first_release: {model: openai/m, params: {rename: {x: model}}}}}\n", "aliases.a.first_release.params.rename"),
        (f"auth: keys\nkeys: [{{sha256: {A}, tenant: t, aliases: {{m: rel_x}}}}]\n", "keys[0].aliases.m"),
    ],
)  # fmt: skip
def test_i1_each_contradiction_is_an_error(text: str, key: str) -> None:
    """Settings that contradict each other or name what is not there are errors, at their key."""
    assert errors(text) == [key] or key in errors(text)
    with pytest.raises(SettingsError):
        check(config(text))


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ("base_url: 'http://api.openai.com'", "base_url"),
        ("base_url: 'https://10.0.0.1'", "base_url"),
        ("base_url: 'https://u:p@api.openai.com'", "base_url"),
        ("base_url: 'https://2130706433'", "base_url"),
        (
            "base_url: 'https://x.example', endpoints: [{url: 'https://169.254.169.254', api_key: k}]",
            "endpoints[0].url",
        ),
        ("base_url: 'https://x.example', api_key: ''", "api_key"),
        ("base_url: 'https://x.example', api_key: \"a\\nb\"", "api_key"),
        ("base_url: 'https://x.example', background_api_key: client", "background_api_key"),
        ("base_url: 'https://x.example', auth_header: cookie", "auth_header"),
        ("base_url: 'https://x.example', dialects: [opena]", "dialects[0]"),
        ("base_url: 'https://x.example', headers: {x: \"a\\r\\nb: c\"}", "headers.x"),
        ("base_url: 'https://x.example', headers: {'a b': c}", "headers.a b"),
        ("base_url: 'https://x.example', ca_file: nope.pem", "ca_file"),
    ],
)
def test_i6_providers(settings: str, key: str) -> None:
    """Each way in which a provider cannot or must not be called is an error, at its key."""
    assert errors(f"providers: {{p: {{{settings}}}}}\n") == [f"providers.p.{key}"]


def test_i6_allow_private_is_by_name() -> None:
    """One provider's allow_private opens nothing for another."""
    text = (
        "providers: {a: {base_url: 'http://127.0.0.1:1', allow_private: true}, b: {base_url: 'http://127.0.0.1:1'}}\n"
    )
    assert errors(text) == ["providers.b.base_url"]


@pytest.mark.parametrize("name", ["v1", "trivet", "livez", "A", "a/b", "x y"])
def test_provider_names_are_path_segments(name: str) -> None:
    """A provider cannot take the name of a route, or one that no path segment can be."""
    try:
        assert errors(f"providers: {{'{name}': {{base_url: 'https://x.example'}}}}\n")
    except SettingsError:
        assert name == "x y"


def test_warnings_do_not_stop() -> None:
    """What is only odd is told, with file and line, and does not stop a start."""
    text = f"keys: [{{sha256: {A}, tenant: t}}]\nruns: {{ttl: 30d, max_age: 1d}}\n"
    assert check(config(text)) == [
        "f.yaml:1: keys: are not looked at while auth is none; use auth: keys",
        "f.yaml:2: runs.max_age: is shorter than runs.ttl: tickets expire before their runs do",
    ]
    assert warnings("providers: {}\n") == ["providers"]
    assert warnings("tenants: {default: {}, acme: {limits: {usd_per_day: 5 USD/day}}}\n") == ["tenants.acme"]
    assert warnings("aliases: {a: {first_release: {model: openai/m, prompt: {file: x, mode: as-sent}}}}\n") == [
        "aliases.a.first_release.prompt.mode"
    ]
    assert warnings("aliases: {a: {stakes: high, allow_floating: why, first_release: {model: openai/m}}}\n") == [
        "aliases.a.allow_floating"
    ]
    assert warnings("aliases: {a: {strict: true, stakes: low, first_release: {model: openai/m}}}\n") == [
        "aliases.a.strict"
    ]
    client = "providers: {openai: {base_url: 'https://api.openai.com'}}\n"
    assert warnings(f"auth: keys\nkeys: [{{sha256: {A}, tenant: t}}]\nsegments: {{x: [u]}}\n{client}") == [
        "segments.x[0]",
        "providers.openai.api_key",
    ]


def test_files_are_looked_for_beside_the_configuration(tmp_path: Path) -> None:
    """A prompt file is found relative to the configuration's folder."""
    (tmp_path / "p.md").write_text("prompt")
    text = "aliases: {a: {first_release: {model: openai/m, prompt: {file: p.md}}}}\n"
    assert findings(config(text, tmp_path / "gateway.yaml")) == []


def test_i2_a_leg_that_cannot_be_released_is_found_offline(tmp_path: Path) -> None:
    """I2: a slip in a prompt's variables or a tool without a name is told by `trivet check`, with its key."""
    (tmp_path / "p.md").write_text("{{ 1 }}")
    (tmp_path / "t.json").write_text('[{"description": "x"}]')
    legs = "prompt: {file: p.md}, tools: {file: t.json, mode: verify}"
    text = f"aliases: {{a: {{first_release: {{model: openai/m, {legs}}}}}}}\n"
    found = findings(config(text, tmp_path / "gateway.yaml"))
    assert [each.key.rpartition("release.")[2] for each in found] == ["prompt.file", "tools.file"]
    assert "line 1, column 1" in found[0].message
    assert "tool 1 has no name" in found[1].message


def test_a_relative_configuration_path_is_fine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Named by a relative path, a configuration finds its files in its own folder too."""
    (tmp_path / "config").mkdir()
    for name in ("c.pem", "k.pem"):
        (tmp_path / "config" / name).write_text("x")
        (tmp_path / "config" / name).chmod(0o600)
    monkeypatch.chdir(tmp_path)
    text = (
        "tls: {certificate: c.pem, key: k.pem}\nstore: {ca_file: c.pem}\n"
        "providers: {openai: {base_url: 'https://x.example', ca_file: c.pem}}\n"
    )
    assert findings(config(text, Path("config/gateway.yaml"))) == []


def test_i7_no_secret_in_a_finding() -> None:
    """However wrong the settings, no finding quotes a key."""
    text = (
        "stamp_keys: [secret-1]\nstore: {redis: 'http://u:secret-2@h'}\n"
        'providers: {p: {base_url: \'https://u:secret-3@h.example\', api_key: "secret-4\\n!", headers: {x: "secret-5\\n!"}}}\n'
    )
    found = findings(config(text))
    assert len(found) >= 5
    assert "secret" not in "".join(each.text("f") for each in found)


@pytest.mark.parametrize("name", ["gateway", "keys", "legs", "production"])
def test_the_examples_are_good(name: str) -> None:
    """Every file in config/ loads and checks without a finding, gateway.yaml with an empty environment."""
    path = Path(__file__).parents[2] / "config" / f"{name}.yaml"
    made_up = {
        "OPENAI_API_KEY": "o" * 20,
        "AZURE_OPENAI_API_KEY": "z" * 20,
        "REDIS_URL": "rediss://trivet:pw@redis.example.com:6379/0",
        "TRIVET_STAMP_KEY": "s" * 40,
    }
    loaded = read(path.read_bytes(), path, {} if name == "gateway" else made_up)
    assert [each for each in findings(loaded) if each.key != "tls.key"] == []
