"""LiteLLM's `model_list` as hosts, the models they serve and the groups that clients ask for.

The rule: hosts are joined to one provider only where a group has the same snapshot on both. A group that spreads over
different models keeps its first one; the others are named as left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import msgspec

from gateway.core.contract.release import PinClass
from gateway.core.pinning.classify import classify, vendor_of
from gateway.core.pinning.table import PinTable
from gateway.settings.check import RESERVED
from gateway.settings.litellm_tables import BARE, MODEL_MEMBERS, OTHERWISE, PREFIXES, REASONS, UNREACHED, Prefix
from gateway.settings.urls import AddressError, target

ENV = "os.environ/"
LARGEST_WEIGHT = 1000


class Left(msgspec.Struct, frozen=True):
    """A setting that was not carried over, and why."""

    setting: str
    why: str


@dataclass(frozen=True, slots=True)
class Host:
    """One account at one host."""

    url: str
    key: str
    """A reference to the environment."""
    vendor: str
    api_version: str
    organization: str

    @property
    def texts(self) -> tuple[str, ...]:
        """Everything that may be a reference."""
        return self.url, self.key, self.api_version, self.organization

    @property
    def private(self) -> bool:
        """Whether it may only be called with `allow_private`."""
        try:
            target(self.url, private=False)
        except AddressError:
            return not self.url.startswith("${")
        return False


@dataclass(frozen=True, slots=True)
class Deployment:
    """An entry of `model_list`: a host's own name of a model, and the snapshot it stands for."""

    host: Host
    prefix: Prefix
    deployed: str
    snapshot: str
    weight: float
    order: int
    timeout: float


@dataclass(slots=True)
class Provider:
    """Hosts that share a snapshot in some group. `models` is snapshot to deployment, by host; weights are by host too."""

    name: str
    prefix: Prefix
    hosts: list[Host]
    models: dict[Host, dict[str, str]]
    weights: dict[Host, int]
    timeout: float
    judged_as: str
    """Vendor whose rows of the pinning table apply."""

    @property
    def plain(self) -> bool:
        """One host that knows every model by its own name needs no list of endpoints."""
        return len(self.hosts) == 1 and all(a == b for a, b in self.models[self.hosts[0]].items())


@dataclass(slots=True)
class Reader:
    """Reads entries, and remembers what it left out and which variables are wanted."""

    timeout: float = 0.0
    leftovers: list[Left] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    _literals: dict[str, str] = field(default_factory=dict)

    def left(self, setting: str, why: str) -> None:
        """Note what is not carried over."""
        found = Left(setting, why)
        if found not in self.leftovers:
            self.leftovers.append(found)

    def groups(self, entries: Sequence[object]) -> dict[str, list[Deployment]]:
        """The deployments of each `model_name`, in the order of the file."""
        found: dict[str, list[Deployment]] = {}
        for index, entry in enumerate(entries):
            where = f"model_list[{index}]"
            params = entry.get("litellm_params") if isinstance(entry, dict) else None
            if not isinstance(entry, dict) or not isinstance(params, dict) or not isinstance(params.get("model"), str):
                self.left(where, "has no litellm_params.model")
                continue
            made = self._deployment(where, {**params, **_beside(entry)}, entry.get("model_info") or {})
            if made is not None:
                found.setdefault(str(entry.get("model_name", params["model"])), []).append(made)
        return found

    def _deployment(self, where: str, params: Mapping[str, Any], info: Any) -> Deployment | None:
        word, model = _split(params["model"], str(params.get("custom_llm_provider") or ""), bool(_base(params)))
        prefix = PREFIXES.get(word)
        if prefix is None or not model or model == "*":
            why = "a wildcard is no alias" if model == "*" else "its API is not one of the four that Trivet speaks"
            self.left(f"{where} ({params['model']})", UNREACHED.get(word, why))
            return None
        url = self._reference(_base(params), f"{prefix.provider} host", "URL") or prefix.url
        if not url:
            self.left(f"{where} ({params['model']})", "has no api_base")
            return None
        for name in params:
            if name in REASONS or name not in MODEL_MEMBERS:
                self.left(f"model_list[].litellm_params.{name}", REASONS.get(name, _default_of(name)))
        organization = self._reference(str(params.get("organization") or ""), "OpenAI organization", "ORG")
        version = self._reference(str(params.get("api_version") or ""), "Azure api-version", "VERSION")
        key = self._reference(str(params.get("api_key") or ""), f"key of {prefix.provider}", prefix.key)
        if not key:
            key = self._wanted(prefix.key, f"key of {prefix.provider}")
        host = Host(_trimmed(url), key, prefix.vendor, version if prefix.vendor == "azure" else "", organization)
        base = str(info.get("base_model") or "") if isinstance(info, dict) else ""
        snapshot = base.rpartition("/")[2] or model
        timeout = _number(params.get("stream_timeout") or params.get("timeout")) or self.timeout
        weight = _number(params.get("weight")) or _number(params.get("rpm")) or _number(params.get("tpm")) or 1.0
        return Deployment(host, prefix, model, snapshot, weight, int(_number(params.get("order")) or 1), timeout)

    def _reference(self, value: str, what: str, name: str) -> str:
        """A value as it may stand in the file: plain where it is no secret, else `${NAME}`."""
        if value.startswith(ENV):
            return self._wanted(value.removeprefix(ENV), what)
        if not value or name in {"URL", "VERSION", "ORG"}:
            return value
        number = 1
        while value not in self._literals and f"{name}_{number}" in self.environment:
            number += 1
        return self._wanted(
            self._literals.setdefault(value, f"{name}_{number}"), f"{what}; it stands in LiteLLM's file in the clear"
        )

    def _wanted(self, name: str, what: str) -> str:
        self.environment.setdefault(name, what)
        return "${" + name + "}"


def together(
    groups: Mapping[str, Sequence[Deployment]], pins: PinTable, reader: Reader
) -> tuple[tuple[Provider, ...], dict[str, tuple[Provider, list[Deployment]]]]:
    """The providers, and for each group its provider and the deployments that serve its one snapshot."""
    kept = {name: _same(name, group, pins, reader) for name, group in groups.items()}
    root: dict[Host, Host] = {}

    def find(host: Host) -> Host:
        while root.setdefault(host, host) != host:
            host = root[host]
        return host

    for group in kept.values():
        for each in group[1:]:
            root[find(each.host)] = find(group[0].host)
    parts: dict[Host, list[Deployment]] = {}
    shares: dict[Host, Deployment] = {}
    for group in sorted(kept.values(), key=len, reverse=True):
        for each in group:
            parts.setdefault(find(each.host), [])
            told = shares.setdefault(each.host, each)
            if len(group) > 1 and (told.weight, told.order) != (each.weight, each.order):
                why = "an endpoint has one weight for all models; that of the largest group was taken"
                reader.left(f"model_list {each.snapshot}: weight at {each.host.url}", why)
    for group in kept.values():
        for each in group:
            parts[find(each.host)].append(each)
    taken: set[str] = set()
    made = {first: _provider(part, shares, taken) for first, part in parts.items()}
    return tuple(made.values()), {name: (made[find(group[0].host)], group) for name, group in kept.items()}


def _same(name: str, group: Sequence[Deployment], pins: PinTable, reader: Reader) -> list[Deployment]:
    """The deployments of a group that serve the snapshot of its first one. A floating name is the same only at one vendor."""
    first = min(group, key=lambda each: each.order)
    pinned = classify(pins, _judged(first), first.snapshot).pin is PinClass.PINNED
    kept = []
    for each in group:
        if each.snapshot == first.snapshot and (pinned or each.prefix == first.prefix):
            kept.append(each)
        else:
            why = f"the group {name} begins with {first.snapshot}; an alias has one model, and traffic is not spread over several"
            reader.left(f"model_list {name}: {each.prefix.provider} {each.snapshot}", why)
    return [first, *(each for each in kept if each is not first)]


def _judged(each: Deployment) -> str:
    """The vendor whose rows apply: an Azure deployment whose base model is known is judged as that model."""
    if each.prefix.vendor == "azure":
        return "openai" if each.snapshot != each.deployed else "azure"
    return vendor_of(
        each.prefix.provider if each.host.url == each.prefix.url else "", each.host.url, each.prefix.vendor
    )


def _provider(part: Sequence[Deployment], told: Mapping[Host, Deployment], taken: set[str]) -> Provider:
    first = next((each for each in part if each.prefix.provider == "openai"), part[0])
    hosts = list(dict.fromkeys([first.host, *(each.host for each in part)]))
    models: dict[Host, dict[str, str]] = {host: {} for host in hosts}
    for each in part:
        models[each.host].setdefault(each.snapshot, each.deployed)
    least = min(told[host].order for host in hosts)
    shares = {host: told[host].weight for host in hosts if told[host].order == least}
    smallest, scale = min(shares.values()), _scale(shares)
    weights = {
        host: min(LARGEST_WEIGHT, max(1, round(shares[host] / smallest * scale))) if host in shares else 0
        for host in hosts
    }
    judged = next((_judged(each) for each in part if each.snapshot != each.deployed), _judged(first))
    return Provider(
        _name(first, taken), first.prefix, hosts, models, weights, max(each.timeout for each in part), judged
    )


def _scale(shares: Mapping[Host, float]) -> int:
    """What makes whole numbers of shares such as 0.7 and 0.3."""
    smallest = min(shares.values())
    return next(
        (
            n
            for n in (1, 2, 3, 4, 10)
            if all(abs(s / smallest * n - round(s / smallest * n)) < 0.01 for s in shares.values())
        ),
        10,
    )


def _name(first: Deployment, taken: set[str]) -> str:
    """A provider's name: the vendor's at its own host, else what its host is called."""
    name = first.prefix.provider
    if first.prefix.url and first.host.url != first.prefix.url and not first.host.url.startswith("${"):
        label = (urlsplit(first.host.url).hostname or "").partition(".")[0]
        name = re.sub(r"[^a-z0-9-]", "-", label.lower()).strip("-")[:24] or name
        if name in RESERVED or name.isdigit():
            name = f"{first.prefix.provider}-{name}"
    given, number = name, 1
    while name in taken:
        number += 1
        name = f"{given}-{number}"
    taken.add(name)
    return name


def _split(model: str, said: str, based: bool) -> tuple[str, str]:
    """LiteLLM's own reading of `prefix/model`."""
    prefix, slash, rest = model.partition("/")
    if said:
        return said, rest if prefix == said and slash else model
    if slash and (prefix in PREFIXES or prefix in UNREACHED):
        return prefix, rest
    if slash and not based:
        return prefix, rest
    return next((word for begins, word in BARE if model.startswith(begins)), "openai"), model


def _beside(entry: Mapping[str, Any]) -> dict[str, Any]:
    """`rpm`, `tpm` and `weight`, which may stand beside `litellm_params` too."""
    return {name: entry[name] for name in ("rpm", "tpm", "weight") if name in entry}


def _base(params: Mapping[str, Any]) -> str:
    return str(params.get("api_base") or params.get("base_url") or "")


def _trimmed(url: str) -> str:
    return url.rstrip("/").removesuffix("/chat/completions")


def _number(value: object) -> float:
    try:
        found = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else 0.0
    except ValueError:
        return 0.0
    return found if 0 < found < 1e12 else 0.0


def _default_of(name: str) -> str:
    """A member such as `temperature` is a default that clients may override at LiteLLM, and an order in a release."""
    known = {"temperature", "top_p", "max_tokens", "max_completion_tokens", "seed", "stop", "reasoning_effort", "n"}
    return (
        "a default there, an order here: write it in `params.set` of a release if clients must not override it"
        if name in known
        else OTHERWISE
    )
