"""`trivet rollout`: giving an alias a new release."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cyclopts import App

from gateway.cli import show
from gateway.cli.exits import Exit
from gateway.cli.moved import exit_code, moved
from gateway.cli.reach import HERE, Reach

if TYPE_CHECKING:
    from gateway.core.contract.records import Moved


def build() -> App:
    """The noun and its verbs."""
    app = App(name="rollout", help="Give an alias a new release.")
    app.command(promote)
    return app


def promote(
    alias: str, /, *, release: str, reason: str, override: str = "", attest: str = "", reach: Reach = HERE
) -> int:
    """Move every lane of an alias to a release. Runs in flight stay on theirs.

    The stakes of the alias decide what this takes: `low` warns, `standard` wants a named override while there is no
    evidence, `high` refuses until gates and canaries say yes.

    Parameters
    ----------
    release
        The release that becomes stable.
    reason
        Why; kept for ever.
    override
        Who overrides a missing proof, where the stakes allow that; recorded for ever.
    attest
        Who says that an id of class unpinnable or unknown is fixed, and why; recorded for ever.
    """
    from gateway.admin.asks import Promote  # noqa: PLC0415

    ask = Promote(alias=alias, release=release, reason=reason, override=override, attested=attest)
    with show.working("waiting for the workers"):
        found: Moved = reach.call("rollout.promote", ask)
    reach.print(found, moved)
    return Exit(exit_code([found]))
