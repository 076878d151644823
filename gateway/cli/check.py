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
    found = Checked(name, loaded.config.version, ok=True, warnings=loaded.warnings)
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
