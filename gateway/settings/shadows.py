"""What the settings say about a shadow: whether it may be, what somebody has to answer for, and what `trivet check` says of it.

Rule of the file: what is refused is refused with the line of the configuration that would allow it. `control.shadows` holds a
shadow that is started by hand against the same rules as the ones that a file declares.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from gateway.core.contract.release import Snapshot
from gateway.settings.endpoints import dialects, unattended
from gateway.settings.load import Config
from gateway.settings.model import Settings
from gateway.settings.problems import shown

WHOLE = 10_000
"""Rates are kept as parts of this."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a shadow may not be: the code, the key of the configuration, and what is wrong with the line to write."""

    code: str
    key: str
    message: str


def captures(settings: Settings) -> dict[str, str]:
    """What is kept of pairs: `*` for everybody, and tenants with a word of their own."""
    own = {name: tenant.capture for name, tenant in settings.tenants.items() if tenant.capture is not None}
    return {"*": settings.capture, **own}


def refusals(settings: Settings, stable: Snapshot, candidate: Snapshot, secondary: float) -> Iterator[Refusal]:
    """Everything that keeps this candidate from running beside this release. Both providers must be configured."""
    if all(mode == "none" for mode in captures(settings).values()):
        message = (
            "nothing of a pair would be kept: write `capture: full` (or redacted, hashes, metrics) at the top level of the "
            "configuration, or `tenants: {NAME: {capture: full}}` for some"
        )
        yield Refusal("capture_none", "capture", message)
    if candidate.provider != stable.provider and candidate.provider not in settings.shadow.providers:
        listed = ", ".join((*settings.shadow.providers, candidate.provider))
        message = (
            f"requests of {stable.provider} would be sent to {candidate.provider}: "
            f"write `shadow: {{providers: [{listed}]}}` in the configuration if they may be"
        )
        yield Refusal("shadow_provider", "shadow.providers", message)
    for name in dict.fromkeys((candidate.provider, *((stable.provider,) if secondary else ()))):
        if not unattended(name, settings.providers[name]):
            message = (
                f"provider {name} is called with its callers' own keys, and nobody calls for a shadow: "
                f"write `providers: {{{name}: {{background_api_key: ...}}}}` in the configuration"
            )
            yield Refusal("shadow_key", f"providers.{name}.background_api_key", message)
    spoken = [dialects(name, settings.providers[name]) for name in (stable.provider, candidate.provider)]
    if all(spoken) and not set(spoken[0]) & set(spoken[1]):
        message = (
            f"{stable.provider} speaks {', '.join(spoken[0])}, {candidate.provider} {', '.join(spoken[1])}: a candidate is "
            f"asked in the dialect of the live request; `providers.{candidate.provider}.dialects` says what it speaks"
        )
        yield Refusal("shadow_dialect", f"providers.{candidate.provider}.dialects", message)
    if not settings.shadow.ttl:
        yield Refusal("shadow_ttl", "shadow.ttl", "pairs would be kept for no time at all: write `shadow: {ttl: 7d}`")


def to_acknowledge(settings: Settings, rate: int) -> tuple[str, ...]:
    """What a person has to answer for before a shadow of this rate starts (faults.md I8), a sentence each."""
    found = []
    if rate >= WHOLE:
        found.append("every run is shadowed: its provider is paid twice for all of the traffic")
    if "full" in captures(settings).values():
        where = "store.shadow_redis" if settings.store.shadow_redis else "store.redis"
        found.append(f"capture is full: what agents and models say is kept readable in {where} for shadow.ttl")
    if not settings.shadow.budget:
        found.append("shadow.budget is 0: nothing limits what is spent")
    return tuple(found)


def findings(config: Config) -> Iterator[tuple[str, str, str]]:
    """What `trivet check` says: level, key and message."""
    settings = config.settings
    if not settings.shadow.ttl:
        message = "must be longer than nothing: what is not kept cannot be compared or looked at; the default is 7d"
        yield "error", "shadow.ttl", message
    for index, pattern in enumerate(settings.shadow.redact):
        try:
            re.compile(pattern)
        except re.error as error:
            yield "error", f"shadow.redact[{index}]", f"is no regular expression: {error}"
    for name in settings.shadow.providers:
        if name not in settings.providers:
            yield "error", "shadow.providers", f"names {shown(name)}, which is not configured"
    for name, alias in settings.aliases.items():
        stable = _snapshot(settings, alias.first_release.model)
        for index, declared in enumerate(alias.shadow):
            key = f"aliases.{shown(name)}.shadow[{index}]"
            if round(declared.rate * WHOLE) < 1:
                yield "error", f"{key}.rate", "must be above 0, at least 0.0001"
            candidate = _snapshot(settings, declared.release.model)
            if candidate is None or stable is None:
                continue  # said where the model is looked at
            secondary = settings.shadow.secondary if declared.secondary is None else declared.secondary
            for refusal in refusals(settings, stable, candidate, secondary):
                yield "error", key, f"cannot run: {refusal.message}"
            if not declared.acknowledge:
                for sentence in to_acknowledge(settings, round(declared.rate * WHOLE)):
                    yield "error", key, f"{sentence}; write `acknowledge: true` beside its release to answer for that"


def _snapshot(settings: Settings, model: str) -> Snapshot | None:
    try:
        found = Snapshot.parse(model)
    except ValueError:
        return None
    return found if found.provider in settings.providers else None
