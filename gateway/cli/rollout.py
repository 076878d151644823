"""`trivet rollout`: giving an alias a new release, by one write or step by step."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from gateway.cli import rollout_orders, rollout_show, show
from gateway.cli.confirm import confirmed
from gateway.cli.exits import Exit
from gateway.cli.moved import exit_code, moved
from gateway.cli.reach import HERE, Failed, Reach

if TYPE_CHECKING:
    from gateway.control.plans import RolloutPlan
    from gateway.core.contract.records import Moved
    from gateway.core.contract.rolling import RolloutMoved
    from gateway.core.contract.shadowing import ShadowPlan
    from gateway.core.rollout.manifest import Manifest

File = Annotated[Path, Parameter(name=("--file", "-f"))]


def build() -> App:
    """The noun and its verbs."""
    app = App(name="rollout", help="Give an alias a new release, by one write or step by step.")
    app.command(plan)
    app.command(start)
    rollout_show.add(app)
    app.command(promote)
    rollout_orders.add(app)
    return app


def plan(*, file: File, release: str = "", reach: Reach = HERE) -> int:
    """Say what a rollout would take: days and runs of each stage, and the smallest regression it can see. Nothing is changed.

    Ends with 1 when the rollout would be refused.

    Parameters
    ----------
    file
        The manifest; config/rollouts has an example.
    release
        The candidate, in place of the manifest's.
    """
    found = _planned(_manifest(file, release), reach)
    reach.print(found, rollout_show.plan)
    return Exit.REFUSED if found.refused else Exit.OK


def start(
    *,
    file: File,
    reason: str,
    release: str = "",
    supersede: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    attest: str = "",
    yes: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    reach: Reach = HERE,
) -> int:
    """Begin a rollout: shadow, gate, canary in stages, and only then the pointer. Prints first what it will take.

    Guardrails roll it back by themselves; `rollout status --watch` shows it, `rollout abort` and `rollback` end it at any time.

    Parameters
    ----------
    file
        The manifest; config/rollouts has an example.
    reason
        Why; kept for ever.
    release
        The candidate, in place of the manifest's.
    supersede
        Abort the rollout in progress first; its candidate is barred.
    attest
        Who says that an id of class unpinnable or unknown is fixed, and why; recorded for ever.
    yes
        Answer for what needs an answer: what the shadow will cost and keep, and the rollout that is superseded.
    """
    from gateway.admin.rollout_asks import RolloutStart  # noqa: PLC0415 - heavy; --help needs none

    manifest = _manifest(file, release)
    found = _planned(manifest, reach)
    if not reach.json:
        rollout_show.plan(found)
    acknowledge = _to_acknowledge(manifest, found, reach)
    if supersede:
        acknowledge = (*acknowledge, f"the rollout of {manifest.alias} in progress is aborted")
    if acknowledge and not yes:
        confirmed(f"{'; '.join(acknowledge)}. Start it?")
    ask = RolloutStart(
        manifest.alias, manifest, reason, supersede=supersede, acknowledged=bool(acknowledge), attested=attest
    )
    with show.working("waiting for the workers"):
        done: RolloutMoved = reach.call("rollout.start", ask)
    reach.print(done, rollout_show.moved)
    return rollout_orders.ended(done)


def promote(
    alias: str, /, *, release: str, reason: str, override: str = "", attest: str = "", reach: Reach = HERE
) -> int:
    """Move every lane of an alias to a release. Runs in flight stay on theirs.

    The stakes of the alias decide what this takes: `low` warns without a GO of the gate, `standard` wants one or a named
    override, `high` takes only a GO of runs through this gateway, and a shadow. `gate check` says where a release stands.

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


def _manifest(file: Path, release: str) -> Manifest:
    """The manifest of a file. Raises Failed with the line of what is wrong."""
    import msgspec  # noqa: PLC0415

    from gateway.settings.manifest import read  # noqa: PLC0415
    from gateway.settings.problems import SettingsError  # noqa: PLC0415

    try:
        found = read(file.read_text(encoding="utf-8"), str(file))
    except (OSError, UnicodeDecodeError) as error:
        raise Failed(Exit.USAGE, f"{file} cannot be read: {getattr(error, 'strerror', None) or 'not UTF-8'}") from error
    except SettingsError as error:
        raise Failed(Exit.USAGE, str(error)) from error
    return msgspec.structs.replace(found, release=release) if release else found


def _planned(manifest: Manifest, reach: Reach) -> RolloutPlan:
    import msgspec  # noqa: PLC0415

    from gateway.admin.rollout_asks import RolloutPlanAsk  # noqa: PLC0415

    ask = RolloutPlanAsk(manifest.alias, msgspec.json.encode(manifest).decode())
    found: RolloutPlan = reach.call("rollout.plan", ask)
    return found


def _to_acknowledge(manifest: Manifest, found: RolloutPlan, reach: Reach) -> tuple[str, ...]:
    """What somebody has to answer for before the candidate runs in shadow."""
    from gateway.admin.asks import ShadowPlanAsk  # noqa: PLC0415

    if manifest.skip_shadow.strip():
        return ()
    ask = ShadowPlanAsk(manifest.alias, manifest.release, found.plan.shadow_rate / 10_000)
    told: ShadowPlan = reach.call("shadow.plan", ask)
    return told.acknowledge
