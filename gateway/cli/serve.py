"""`trivet serve`: run the gateway until it is told to end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from gateway import __version__
from gateway.cli import show
from gateway.cli.exits import Exit
from gateway.cli.reach import Failed

if TYPE_CHECKING:
    from gateway.wiring.banner import Served


def serve(
    *,
    config: Annotated[str, Parameter(env_var="TRIVET_CONFIG", show_default=False)] = "",
    roles: str = "live,control,shadow",
    share_port: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Run the gateway: live workers, the background and the shadow process, and the embedded store when it is used.

    SIGTERM or ctrl-C: readiness turns red, the port closes, streams finish (`serve.drain`), the store ends last.
    A second one ends at once. SIGHUP, or a change of the file, reads the configuration again; a broken one is refused
    and the old one stays.

    Parameters
    ----------
    config
        Configuration file; by default config/gateway.yaml, then gateway.yaml, then built-in defaults.
    roles
        Which processes to run, for containers that split them: live, control, shadow.
    share_port
        Join a port that another trivet of the same user serves: for handing over without a refused connection.
    """
    from gateway.wiring import configured, supervise  # noqa: PLC0415 - only this verb runs a gateway
    from gateway.wiring.process import ROLES  # noqa: PLC0415

    named = tuple(dict.fromkeys(part.strip() for part in roles.split(",") if part.strip()))
    unknown = [name for name in named if name not in ROLES]
    if unknown or not named:
        raise Failed(Exit.USAGE, f"--roles takes {', '.join(ROLES)}, not {', '.join(unknown) or 'nothing'}")
    plan = supervise.Plan(config=configured.find(config), roles=named, share_port=share_port)
    try:
        supervise.run(plan, _announce)
    except supervise.CannotServe as error:
        raise Failed(Exit(error.code), str(error)) from error
    return Exit.OK


def _announce(served: Served) -> None:
    from gateway.wiring.banner import banner  # noqa: PLC0415

    said = banner(served, __version__)
    screen = show.console(errors=True)
    screen.print(said.text(), markup=False)
