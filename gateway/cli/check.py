"""`trivet check`: would this configuration serve?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
from cyclopts import Parameter

from gateway.cli import show
from gateway.cli.exits import Exit
from gateway.cli.reach import Failed

if TYPE_CHECKING:
    from gateway.core.contract.records import Safety
    from gateway.settings.load import Config


class Checked(msgspec.Struct):
    """Answer of `check`."""

    config: str
    version: str
    ok: bool
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    store: Safety | None = None
    aliases: dict[str, str] = {}
    """Alias to what is found about it in the store; with --live."""


def check(
    *,
    config: Annotated[str, Parameter(env_var="TRIVET_CONFIG", show_default=False)] = "",
    live: Annotated[bool, Parameter(negative="")] = False,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Check the configuration, and with --live the store. Exit code 0 when it would serve.

    Parameters
    ----------
    config
        Configuration file; by default config/gateway.yaml, then gateway.yaml, then built-in defaults.
    live
        Also ask the store whether it keeps what it acknowledges, and whether its aliases fit the file.
    json
        Print one JSON document.
    """
    from gateway.wiring import configured  # noqa: PLC0415 - only this verb reads a whole configuration

    path = configured.find(config)
    name = str(path or configured.BUILT_IN_NAME)
    try:
        loaded = configured.read(path)
    except configured.Refused as error:
        _print(Checked(name, "", ok=False, problems=tuple(str(error).splitlines())), json=json)
        return Exit.USAGE
    problems, warnings = _suites(loaded.config)
    found = Checked(name, loaded.config.version, not problems, problems, loaded.warnings + warnings)
    if problems:
        _print(found, json=json)
        return Exit.USAGE
    code = Exit.OK
    if live:
        from gateway.wiring.direct import Unreachable, look  # noqa: PLC0415

        try:
            seen = look(path)
        except Unreachable as error:
            raise Failed(Exit.UNREACHABLE, str(error)) from error
        found.store, found.aliases = seen.store, seen.aliases
        if not seen.store.safe:
            found.ok = False
            code = Exit.REFUSED
    _print(found, json=json)
    return code


def _suites(config: Config) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Errors and warnings of the gates' suites and of probe prompts. A gateway starts with broken ones: live traffic needs none."""
    if all(alias.gate is None and alias.probes is None for alias in config.settings.aliases.values()):
        return (), ()
    from gateway.settings import gates, probes  # noqa: PLC0415 - heavy; most configurations declare neither
    from gateway.settings.check import Level, placed  # noqa: PLC0415

    found = placed(config, (*gates.findings(config), *probes.findings(config)))
    told = {level: tuple(e.text(str(config.path)) for e in found if e.level is level) for level in Level}
    return told[Level.ERROR], told[Level.WARNING]


def _print(found: Checked, *, json: bool) -> None:
    if json:
        show.json(found)
        return
    for problem in found.problems:
        show.refuse(problem)
    for warning in found.warnings:
        show.warn(warning)
    if found.store is not None:
        for warning in found.store.warnings:
            show.warn(f"store: {warning}")
        for untold in found.store.untold:
            show.warn(f"store: the server does not tell {untold}; `store.assume: durable` vouches for it")
        show.table(("alias", "in the store"), sorted(found.aliases.items()), empty="no aliases")
    if found.ok:
        show.line(f"{found.config} is good (version {found.version})")
