"""The eval gates that a configuration declares: their suites read from files, the policy they make, and what is wrong with them.

Rule of the file: a suite that this host cannot read is never left out of a policy. It stands in it without a digest, so nothing
is evidence of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from gateway.core.contract.suite import Head, Suite, SuiteKind
from gateway.core.gate import checks, rubric, suite
from gateway.core.gate.policy import Declared, Policy
from gateway.core.gate.suite import SuiteError
from gateway.settings import tables
from gateway.settings.gate_rules import external, named
from gateway.settings.load import Config
from gateway.settings.model import BUILTIN, EXTERNAL, AliasSettings, GateSettings
from gateway.settings.problems import shown

__all__ = ["external", "findings", "identity", "named", "policy", "read"]

LARGEST = 64 << 20
"""Bytes of a suite file."""

_builtin = re.compile(r"builtin/([a-z][a-z0-9_]*)@([0-9]{1,6})").fullmatch


def read(where: str, kind: SuiteKind | None = None) -> Suite:
    """A suite as the configuration names it: a file, or a built-in one.

    Raises SuiteError for what cannot be read, for a suite that is not of `kind`, and for one that another engine runs.
    """
    found = suite.read(*_opened(where))
    _fits(found.head, where, kind)
    return found


def identity(where: str, kind: SuiteKind) -> tuple[str, str]:
    """Name and digest of a suite as `read` gives them, without a look at its items. Raises SuiteError as `read`."""
    head, digest = suite.identity(*_opened(where))
    _fits(head, where, kind)
    return suite.label(head), digest


def policy(alias: AliasSettings) -> Policy:
    """The policy of an alias; one without suites where it declares no gate."""
    gate = alias.gate
    if gate is None:
        return Policy(stakes=alias.stakes)
    return Policy(
        suites=tuple(_declared(gate, kind, where) for kind, where in named(gate).items()),
        allowance=gate.allowance,
        unscored=gate.unscored,
        max_age_ms=round(gate.max_age * 1000),
        stakes=alias.stakes,
        judge=gate.judge,
        rubric=rubric.digest() if gate.judge else "",
    )


def findings(config: Config) -> Iterator[tuple[str, str, str]]:
    """What `trivet check` says of the suites that a configuration declares, reading them all: level, key and message."""
    for name, alias in config.settings.aliases.items():
        if alias.gate is not None:
            yield from _findings(f"aliases.{shown(name)}.gate", alias.gate)


def _findings(key: str, gate: GateSettings) -> Iterator[tuple[str, str, str]]:
    for kind, where in named(gate).items():
        if external(where):
            continue
        place = f"{key}.{kind.value}"
        try:
            found = read(where, kind)
        except SuiteError as error:
            yield from (("error", place, line) for line in str(error).splitlines())
            continue
        for item, why in checks.unproven(found):
            yield "error", place, f"item {item!r}: {why}"
        if suite.judged(found) and not gate.judge:
            yield "warning", f"{key}.judge", f"is missing: {kind.value} has items that only a judge can score"


def _declared(gate: GateSettings, kind: SuiteKind, where: str) -> Declared:
    if external(where):
        return _as_declared(gate, kind, where.removeprefix(EXTERNAL), "")
    try:
        name, digest = identity(where, kind)
    except SuiteError:
        name, digest = Path(where).name, ""
    return _as_declared(gate, kind, name, digest, external=False)


def _as_declared(gate: GateSettings, kind: SuiteKind, name: str, digest: str, *, external: bool = True) -> Declared:
    return Declared(
        suite=name,
        digest=digest,
        kind=kind,
        margin=getattr(gate.margins, kind.value, None),
        ceiling=getattr(gate.ceilings, kind.value, None),
        repeats=getattr(gate.repeats, kind.value),
        external=external,
    )


def _opened(where: str) -> tuple[bytes, str]:
    """The bytes of a suite, and what errors call it."""
    if external(where):
        raise SuiteError(where, [(0, "is run by another engine; `trivet evidence import` takes its logs")])
    if not where.startswith(BUILTIN):
        return _bytes(where), Path(where).name
    told = _builtin(where)
    try:
        if told is None:
            raise FileNotFoundError
        return tables.suite(told[1]), where
    except FileNotFoundError as error:
        names = ", ".join(f"builtin/{kind.value}@1" for kind in SuiteKind)
        raise SuiteError(where, [(0, f"there is no such built-in suite; there are {names}")]) from error


def _fits(head: Head, where: str, kind: SuiteKind | None) -> None:
    """Raises SuiteError for a suite of another kind, or another version of a built-in one."""
    told = _builtin(where)
    if told is not None and head.version != int(told[2]):
        message = f"this version of Trivet has {suite.label(head)}: write that, and gather evidence anew"
        raise SuiteError(where, [(1, message)])
    if kind is not None and head.kind is not kind:
        raise SuiteError(where, [(1, f"is a suite of kind {head.kind.value}, not {kind.value}")])


def _bytes(where: str) -> bytes:
    path = Path(where)
    try:
        if path.stat().st_size > LARGEST:
            raise SuiteError(path.name, [(0, f"is larger than {LARGEST >> 20} MiB")])
        return path.read_bytes()
    except OSError as error:
        message = f"cannot be read ({type(error).__name__}); a path is relative to the configuration's folder"
        raise SuiteError(path.name, [(0, message)]) from error
