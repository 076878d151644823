"""`trivet config`: what may stand in the configuration file, and what is in force."""

from __future__ import annotations

from cyclopts import App

from gateway.cli import show
from gateway.cli.exits import Exit
from gateway.cli.reach import HERE, Reach


def build() -> App:
    """The noun and its verbs."""
    app = App(name="config", help="The configuration: what may stand in it, what is in force.")
    app.command(schema)
    app.command(show_, name="show")
    return app


def schema() -> int:
    """Print the JSON Schema of the configuration file, for editors."""
    from gateway.settings.schema import schema as made  # noqa: PLC0415 - only this verb needs it

    show.json(made())
    return Exit.OK


def show_(*, reach: Reach = HERE) -> int:
    """Show the configuration in force in the background process: version and choices, never a secret."""
    from gateway.admin.table import Nothing  # noqa: PLC0415

    record = reach.call("config.show", Nothing())

    def people(found: object) -> None:
        members = {name: getattr(found, name) for name in found.__struct_fields__}  # type: ignore[attr-defined]
        show.facts((name, value) for name, value in members.items() if not isinstance(value, dict))
        for name, value in members.items():
            if isinstance(value, dict):
                show.table((name, ""), sorted(value.items()))

    reach.print(record, people)
    return Exit.OK
