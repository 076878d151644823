"""What the settings of an eval gate may be, without a look at its suites: every process that reads a configuration holds to it.

Rule of the file: it reads no file and needs nothing that live traffic does not need. A suite that cannot be used keeps nothing
from starting; `settings.gates` reads suites, for `trivet check` and for the gate itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from gateway.core.contract.alias import Stakes
from gateway.core.contract.suite import SuiteKind
from gateway.settings.load import Config
from gateway.settings.model import EXTERNAL, GateSettings
from gateway.settings.problems import shown

OWNED = frozenset(("model", "stream", "messages", "input", "contents", "tools"))
"""Members of a request that the gate writes itself."""

_external = re.compile(r"external/[A-Za-z0-9._:/#+-]{1,100}@[A-Za-z0-9._+-]{1,32}").fullmatch
_release = re.compile(r"rel_[0-9a-f]{16}").fullmatch


def named(gate: GateSettings) -> dict[SuiteKind, str]:
    """The suites that a gate declares: absolute paths and built-in names."""
    found = {kind: str(getattr(gate, kind.value)) for kind in SuiteKind}
    return {kind: where for kind, where in found.items() if where}


def external(where: str) -> bool:
    """Whether another engine runs a suite, so that this gateway does not know its items."""
    return where.startswith(EXTERNAL)


def findings(config: Config) -> Iterator[tuple[str, str, str]]:
    """What is wrong: level, key and message."""
    for name, alias in config.settings.aliases.items():
        if alias.gate is not None:
            yield from _findings(f"aliases.{shown(name)}.gate", alias.gate, alias.stakes)


def _findings(key: str, gate: GateSettings, stakes: Stakes) -> Iterator[tuple[str, str, str]]:
    if not named(gate):
        yield "error", key, "names no suite: write task, regression or safety"
    if gate.max_age <= 0:
        yield "error", f"{key}.max_age", "must be longer than nothing: evidence would expire at once"
    if gate.judge and not _release(gate.judge):
        message = "must be a release id, rel_ and 16 hex digits; `trivet release create` prints one"
        yield "error", f"{key}.judge", message
    if not gate.budget and stakes is not Stakes.LOW:
        yield "warning", f"{key}.budget", "is 0: nothing limits what a run of the gate may cost"
    for name in sorted(OWNED & gate.request.keys()):
        yield "error", f"{key}.request.{name}", "is what the gate asks itself; leave it out"
    for kind, where in named(gate).items():
        if external(where):
            yield from _foreign(f"{key}.{kind.value}", where, stakes)


def _foreign(place: str, where: str, stakes: Stakes) -> Iterator[tuple[str, str, str]]:
    if not _external(where):
        yield "error", place, "must be written external/NAME@VERSION, as the engine's log names the suite"
    if stakes is Stakes.HIGH:
        message = "is run by another engine, and at stakes `high` only runs through this gateway are evidence"
        yield "error", place, message
