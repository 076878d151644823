"""From a LiteLLM proxy configuration to one of Trivet's: what is carried over, and by name everything that is not.

The rule: nothing is lost silently and no secret is copied. A key becomes a reference to the environment, a client's key its
sha256; fallbacks to another model are dropped on purpose, because a run keeps its release.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from gateway.core.contract.release import PinClass
from gateway.core.pinning.classify import classify
from gateway.core.pinning.table import PinTable
from gateway.settings.litellm_models import ENV, Deployment, Left, Provider, Reader, together
from gateway.settings.litellm_tables import FALLBACKS, OTHERWISE, REASONS

NAME = re.compile(r"[A-Za-z0-9._:/-]{1,64}")


class Moved(msgspec.Struct, frozen=True):
    """An alias that was carried over. `pin` is the class of its model, `why` what the table says of it."""

    alias: str
    model: str
    pin: str
    why: str
    dialect: str
    endpoints: int


class Dropped(msgspec.Struct, frozen=True):
    """A fallback to another model, which Trivet never takes."""

    model: str
    fallback: str
    setting: str


class Imported(msgspec.Struct, frozen=True):
    """A conversion. `left` is everything else that was not carried over, `environment` what must be set before the start."""

    aliases: tuple[Moved, ...]
    fallbacks: tuple[Dropped, ...]
    left: tuple[Left, ...]
    environment: dict[str, str]
    keys: int
    providers: tuple[Provider, ...] = ()
    client_keys: tuple[tuple[str, str], ...] = ()
    """sha256 and tenant."""

    @property
    def floating(self) -> tuple[Moved, ...]:
        """Aliases whose model may change under them."""
        return tuple(each for each in self.aliases if each.pin == PinClass.FLOATING.value)


class NotLiteLLM(ValueError):
    """The file is not a LiteLLM configuration; the message says why and quotes nothing of it."""


def convert(
    document: object, pins: PinTable, environment: Mapping[str, str], keys: Iterable[tuple[str, str]] = ()
) -> Imported:
    """Convert a parsed configuration. `keys` are (sha256, tenant) of clients that go on with the key they have;
    `environment` is read for the master key only, of which the sha256 is kept. Raises NotLiteLLM."""
    known = isinstance(document, dict) and ("model_list" in document or "include" in document)
    if not isinstance(document, dict) or not known or not isinstance(document.get("model_list", []), list | None):
        raise NotLiteLLM("the file has no `model_list`; name LiteLLM's config.yaml")
    sections = {name: _section(document, name) for name in ("router_settings", "litellm_settings", "general_settings")}
    reader = Reader(_seconds(sections))
    groups = reader.groups(document.get("model_list") or [])
    providers, placed = together(groups, pins, reader)
    aliases = {name: _moved(name, *placed[name], pins) for name in placed if _named(name, reader)}
    for name, group in _group_aliases(sections["router_settings"]):
        if group in aliases and _named(name, reader):
            aliases[name] = msgspec.structs.replace(aliases[group], alias=name)
        else:
            reader.left("router_settings.model_group_alias." + name, f"names no model that was carried over: {group}")
    found = tuple(dict.fromkeys((*keys, *_master(sections["general_settings"], environment, reader))))
    _rest(document, sections, reader)
    return Imported(
        tuple(aliases.values()),
        tuple(_fallbacks(sections)),
        tuple(reader.leftovers),
        _wanted(providers, reader.environment),
        len(found),
        providers,
        found,
    )


def client_keys(text: str) -> list[tuple[str, str]]:
    """The lines `KEY[,TENANT]` of a file as (sha256, tenant). A key is as the client sends it, or already the sha256 that
    LiteLLM's database holds (`token` of LiteLLM_VerificationToken). Raises NotLiteLLM with the line, never the key."""
    found: list[tuple[str, str]] = []
    for number, line in enumerate(text.splitlines(), 1):
        key, _, tenant = (part.strip() for part in line.partition(","))
        if not key or key.startswith("#") or (number == 1 and key.lower() in {"key", "token", "sha256"}):
            continue
        tenant = tenant or "default"
        if len(key) < 8 or not key.isascii() or not key.isprintable() or " " in key:
            raise NotLiteLLM(f"line {number} of the keys is no key; write KEY or KEY,TENANT")
        if not NAME.fullmatch(tenant):
            raise NotLiteLLM(
                f"line {number} of the keys names a tenant that has other characters than A-Z a-z 0-9 . _ : / -"
            )
        hashed = key.lower() if re.fullmatch(r"[0-9a-fA-F]{64}", key) else hashlib.sha256(key.encode()).hexdigest()
        found.append((hashed, tenant))
    return found


def _section(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    section = document.get(name) or {}
    if not isinstance(section, dict):
        raise NotLiteLLM(f"`{name}` is no mapping")
    return {str(key): value for key, value in section.items()}


def _seconds(sections: Mapping[str, Mapping[str, Any]]) -> float:
    for section, name in (("router_settings", "timeout"), ("litellm_settings", "request_timeout")):
        value = sections[section].get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
            return float(value)
    return 0.0


def _named(name: str, reader: Reader) -> bool:
    if NAME.fullmatch(name) and not name.startswith("rel_"):
        return True
    why = "a wildcard is no alias: unknown names are refused, passed or learned as `unmanaged` says"
    reader.left(f"model_list.{name}", why if "*" in name else "an alias has only A-Z a-z 0-9 . _ : / - and 64 of them")
    return False


def _moved(name: str, provider: Provider, served: Sequence[Deployment], pins: PinTable) -> Moved:
    first = served[0]
    verdict = classify(pins, provider.judged_as, first.snapshot)
    return Moved(
        name, f"{provider.name}/{first.snapshot}", verdict.pin.value, verdict.why, first.prefix.dialect, len(served)
    )


def _wanted(providers: Iterable[Provider], environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that the providers which came out refer to."""
    said = [text for each in providers for host in each.hosts for text in host.texts]
    return {name: what for name, what in environment.items() if "${" + name + "}" in said}


def _group_aliases(router: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    given = router.get("model_group_alias")
    for name, group in given.items() if isinstance(given, dict) else ():
        yield str(name), str(group.get("model", "")) if isinstance(group, dict) else str(group)


def _fallbacks(sections: Mapping[str, Mapping[str, Any]]) -> Iterable[Dropped]:
    for section in ("router_settings", "litellm_settings"):
        for setting in FALLBACKS:
            given = sections[section].get(setting)
            rows = [given] if isinstance(given, dict) else given if isinstance(given, list) else []
            for row in rows:
                pairs = row.items() if isinstance(row, dict) else (("*", [row]),)
                for model, others in pairs:
                    for other in others if isinstance(others, list) else [others]:
                        named = other.get("model", "") if isinstance(other, dict) else other
                        yield Dropped(str(model), str(named), f"{section}.{setting}")


def _master(general: Mapping[str, Any], environment: Mapping[str, str], reader: Reader) -> Iterable[tuple[str, str]]:
    """The master key, when it can be read: its sha256 is a key of the tenant `default`."""
    given = general.get("master_key")
    if not isinstance(given, str) or not given:
        return
    if given.startswith(ENV):
        name = given.removeprefix(ENV)
        given = environment.get(name, "")
        if not given:
            why = f"{name} is not set here, so its sha256 is not known; set it and import again, or `trivet key new`"
            reader.left("general_settings.master_key", why)
            return
    yield hashlib.sha256(given.encode()).hexdigest(), "default"


def _rest(document: Mapping[str, Any], sections: Mapping[str, Mapping[str, Any]], reader: Reader) -> None:
    """Everything that nothing above has read."""
    read = {"router_settings": {"model_group_alias", "timeout"}, "litellm_settings": {"request_timeout"}}
    for section, members in sections.items():
        for name in members:
            if name not in FALLBACKS and name != "master_key" and name not in read.get(section, ()):
                reader.left(f"{section}.{name}", REASONS.get(name, OTHERWISE))
    for name, value in document.items():
        if name == "environment_variables" and isinstance(value, dict):
            for variable in value:
                reader.left(f"environment_variables.{variable}", "set it in the environment of `trivet serve`")
        elif name == "include":
            for file in value if isinstance(value, list) else [value]:
                reader.left(f"include {file}", "not followed; import that file by itself")
        elif name != "model_list" and name not in sections:
            reader.left(str(name), REASONS.get(str(name), OTHERWISE))
