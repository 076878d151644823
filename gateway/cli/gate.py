"""`trivet gate`: whether a candidate may take the incumbent's place, by what both answer to the same questions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cyclopts import App

from gateway.cli import gate_inspect, gate_run, gate_shown
from gateway.cli.reach import HERE, Reach

if TYPE_CHECKING:
    from gateway.core.contract.evidence import GateReport


def build() -> App:
    """The noun and its verbs."""
    app = App(name="gate", help="Whether a candidate may take the incumbent's place, by what both answer.")
    app.command(check)
    app.command(gate_run.run)
    app.command(gate_inspect.inspect)
    return app


def check(alias: str, /, *, release: str, incumbent: str = "", reach: Reach = HERE) -> int:
    """The gate's word on a candidate, from the evidence stored. Ends with 0 for GO, 1 for NO-GO, 2 for INSUFFICIENT.

    Parameters
    ----------
    release
        The candidate.
    incumbent
        What it would replace; by default the release that everybody has.
    """
    from gateway.admin.asks import GateCheck  # noqa: PLC0415 - heavy; --help needs none

    found: GateReport = reach.call("gate.check", GateCheck(alias=alias, release=release, incumbent=incumbent))
    reach.print(found, gate_shown.report)
    return gate_shown.EXITS[found.verdict.value]
