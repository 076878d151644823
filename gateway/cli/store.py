"""`trivet store`: where stamps and pointers are kept, and whether they are safe there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from gateway.cli import show
from gateway.cli.confirm import confirmed
from gateway.cli.exits import Exit
from gateway.cli.reach import HERE, Reach

if TYPE_CHECKING:
    from gateway.core.contract.records import Recovered, Safety


def build() -> App:
    """The noun and its verbs; without a verb it says where, whether safe, and how big."""
    app = App(name="store", help="Where stamps and pointers are kept, and whether they are safe there.")
    app.default(where)
    app.command(acl)
    app.command(restore)
    app.command(bootstrap)
    return app


def where(*, reach: Reach = HERE) -> int:
    """Say where the store is, whether it keeps what it acknowledges, and its size. Exit code 1 when it is not safe."""
    from gateway.admin.table import Nothing  # noqa: PLC0415

    found: Safety = reach.call("store.show", Nothing())

    def people(record: Safety) -> None:
        limit = f" of {show.size(record.max_bytes)}" if record.max_bytes else ""
        show.facts(
            (
                ("where", record.where),
                ("server", record.server or "does not tell"),
                ("safe", record.safe),
                ("policy", record.policy or "does not tell"),
                ("append-only file", "does not tell" if record.appendonly is None else record.appendonly),
                ("fsync", record.appendfsync),
                ("size", f"{show.size(record.used_bytes)}{limit}, {record.keys} keys"),
                ("instance", record.instance or "nothing was ever written"),
                ("schema", record.schema or ""),
            )
        )
        for warning in record.warnings:
            show.warn(warning)
        if record.untold and not record.assumed:
            show.warn(
                f"the server does not tell {show.plain(record.untold)}. If it persists and never evicts, "
                "say `store.assume: durable`."
            )

    reach.print(found, people)
    return Exit.OK if found.safe else Exit.REFUSED


def acl(user: str = "trivet", /, *, reach: Reach = HERE) -> int:
    """Print the ACL line that gives a Redis user what Trivet needs and no more.

    Parameters
    ----------
    user
        Name of the Redis user.
    """
    from gateway.store.acl import acl_line  # noqa: PLC0415

    show.line(acl_line(user, reach.loaded().config.settings.store.prefix))
    return Exit.OK


def restore(*, reason: str, yes: Annotated[bool, Parameter(negative="")] = False, reach: Reach = HERE) -> int:
    """Put the pointers this host remembers into a store that lost them.

    Parameters
    ----------
    reason
        Why; kept for ever.
    yes
        Do not ask.
    """
    if not yes and not reach.json:
        confirmed("Write this host's copy of all pointers into the store?")
    return _recover("store.restore", reason, reach)


def bootstrap(*, reason: str, yes: Annotated[bool, Parameter(negative="")] = False, reach: Reach = HERE) -> int:
    """Accept an empty store as new: pointers this host remembers are given up, first releases are made again.

    Parameters
    ----------
    reason
        Why; kept for ever.
    yes
        Do not ask.
    """
    if not yes and not reach.json:
        confirmed("Give up the pointers this host remembers and begin anew?")
    return _recover("store.bootstrap", reason, reach)


def _recover(operation: str, reason: str, reach: Reach) -> int:
    from gateway.admin.asks import StoreAsk  # noqa: PLC0415

    found: Recovered = reach.call(operation, StoreAsk(reason=reason))

    def people(record: Recovered) -> None:
        show.line(f"{record.action}: store {record.instance}, {record.releases} releases")
        show.table(("alias",), [(name,) for name in record.aliases], empty="no aliases")
        for warning in record.warnings:
            show.warn(warning)

    reach.print(found, people)
    return Exit.OK
