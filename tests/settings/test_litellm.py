"""From LiteLLM's configuration to Trivet's: nothing is lost silently, nothing secret is copied."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gateway.cli.imports import parse
from gateway.settings import tables
from gateway.settings.check import check
from gateway.settings.litellm import Imported, NotLiteLLM, client_keys, convert
from gateway.settings.litellm_yaml import render
from gateway.settings.load import Config, read

GOLDEN = Path(__file__).parent.parent / "golden" / "litellm"
PINS = tables.pinning()


def imported(document: Any, environment: dict[str, str] | None = None) -> Imported:
    """A document, converted."""
    return convert(document, PINS, environment or {})


def config(found: Imported) -> Config:
    """What `trivet check` reads and passes, with every wanted variable set."""
    values = {
        name: "https://n.openai.azure.com" if what.endswith("host") else name
        for name, what in found.environment.items()
    }
    made = read(render(found, "x.yaml").encode(), Path("gateway.yaml"), values)
    check(made)
    return made


def models(*entries: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A document with these `litellm_params`, all of the group `m` unless they say another."""
    listed = [{"model_name": each.pop("group", "m"), "litellm_params": each} for each in map(dict, entries)]
    return {"model_list": listed, **more}


@pytest.mark.parametrize("name", ["team", "awkward"])
def test_golden(name: str) -> None:
    """The text and the report of a whole configuration; write both anew after a change that is meant."""
    document, _ = parse((GOLDEN / f"{name}.yaml").read_text())
    found = imported(document)
    text = render(found, f"{name}.yaml")
    report = {"fallbacks": found.fallbacks, "left": found.left, "environment": found.environment}
    assert text == (GOLDEN / f"{name}.trivet.yaml").read_text()
    assert json.loads(msgspec.json.encode(report)) == json.loads((GOLDEN / f"{name}.report.json").read_text())
    config(found)
    for secret in ("sk-in-the-clear", "sk-master", "none-needed", "hunter2"):
        assert secret not in text + json.dumps(msgspec.to_builtins(report))


def test_endpoints_only_where_the_snapshot_is_the_same() -> None:
    """Two hosts become one provider when a group has one pinned snapshot on both, and stay two where it floats."""
    azure = {"model": "azure/prod", "api_base": "https://n.openai.azure.com", "api_key": "os.environ/A"}
    both = models({"model": "openai/gpt-4o-2024-08-06"}, azure)
    both["model_list"][1]["model_info"] = {"base_model": "azure/gpt-4o-2024-08-06"}
    (provider,) = config(imported(both)).settings.providers.values()
    assert [each.models["gpt-4o-2024-08-06"] for each in provider.endpoints] == ["gpt-4o-2024-08-06", "prod"]
    floating = models({"model": "openai/gpt-4o"}, azure)
    floating["model_list"][1]["model_info"] = {"base_model": "azure/gpt-4o"}
    found = imported(floating)
    assert [each.alias for each in found.floating] == ["m"]
    assert not config(found).settings.providers["openai"].endpoints
    assert any("spread over several" in each.why for each in found.left)


def test_weights_and_orders() -> None:
    """Shares become whole numbers, a later order a standby."""
    shares = [
        {"model": "openai/gpt-4o-2024-08-06", "api_key": f"os.environ/K{n}", "weight": w}
        for n, w in enumerate((0.7, 0.3))
    ]
    late = {"model": "openai/gpt-4o-2024-08-06", "api_key": "os.environ/K3", "order": 2}
    (provider,) = config(imported(models(*shares, late))).settings.providers.values()
    assert [each.weight for each in provider.endpoints] == [7, 3, 0]


@pytest.mark.parametrize(
    ("model", "provider", "dialect"),
    [
        ("gpt-4o-2024-08-06", "openai", "openai"),
        ("claude-3-5-haiku-20241022", "anthropic", "anthropic"),
        ("gemini/gemini-2.5-pro", "gemini", "gemini"),
        ("openrouter/openai/gpt-4o-2024-08-06", "openrouter", "openai"),
        ("groq/llama-3.3-70b-versatile", "groq", "openai"),
    ],
)
def test_prefixes(model: str, provider: str, dialect: str) -> None:
    """A model's prefix, or its look where it has none as LiteLLM reads it, says the provider and the API it speaks."""
    found = imported(models({"model": model}))
    (alias,) = found.aliases
    assert (alias.model.partition("/")[0], alias.dialect) == (provider, dialect)
    assert list(config(found).settings.providers) == [provider]
    assert ("Speaks the" in render(found, "x")) == (dialect != "openai")


def test_the_master_key_is_kept_by_its_sha256() -> None:
    """Clients that use it go on; what cannot be read is said."""
    document = models({"model": "gpt-4o-2024-08-06"}, general_settings={"master_key": "os.environ/M"})
    hashed = hashlib.sha256(b"sk-master").hexdigest()
    assert imported(document, {"M": "sk-master"}).client_keys == ((hashed, "default"),)
    found = imported(document)
    assert found.client_keys == ()
    assert [each.setting for each in found.left] == ["general_settings.master_key"]
    assert config(imported(document, {"M": "sk-master"})).settings.auth == "keys"


def test_client_keys_are_kept_as_they_are_or_as_litellm_has_them() -> None:
    """A key and the sha256 of it in LiteLLM's database come to the same; a bad line is named, not quoted."""
    hashed = hashlib.sha256(b"sk-client-1").hexdigest()
    text = f"token,tenant\n# ours\nsk-client-1, team-a\n{hashed.upper()}\n\n"
    assert client_keys(text) == [(hashed, "team-a"), (hashed, "default")]
    for bad in ("short", "sk-client-1, a b"):
        with pytest.raises(NotLiteLLM) as caught:
            client_keys(f"# x\n{bad}")
        assert "line 2" in str(caught.value)
        assert bad.partition(",")[0] not in str(caught.value)


@pytest.mark.parametrize(
    "document", [None, [], {"model_list": {}}, {"model_list": [], "router_settings": [1]}, {"providers": {}}]
)
def test_what_is_not_litellm_is_refused(document: object) -> None:
    """Another file is said to be another file."""
    with pytest.raises(NotLiteLLM):
        imported(document)


words = st.sampled_from(
    ["m", "*", "a b", "openai/gpt-4o", "azure/x", "bedrock/y", "gpt-4o-2024-08-06", "os.environ/K", "x" * 80]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 500) | words, lambda v: st.lists(v, max_size=3), max_leaves=4
)
params = st.dictionaries(
    st.sampled_from(["model", "api_key", "api_base", "weight", "order", "rpm", "timeout", "organization", "extra"]),
    values,
)
entries = st.fixed_dictionaries({}, optional={"model_name": words, "litellm_params": params, "model_info": values})


@given(listed=st.lists(entries, max_size=5), router=st.dictionaries(words, values), fallbacks=values)
def test_any_file_is_converted_or_refused(listed: list[Any], router: dict[str, Any], fallbacks: Any) -> None:
    """Whatever stands in it, the conversion ends, and its text is YAML that names each alias's provider."""
    sections = {**router, "fallbacks": fallbacks, "model_group_alias": {"other": "m"}}
    found = imported({"model_list": listed, "router_settings": sections, "include": fallbacks})
    made = yaml.safe_load(render(found, "x"))
    for alias in made["aliases"].values():
        assert alias["first_release"]["model"].partition("/")[0] in made["providers"]
