"""What a person orders of a rollout in progress. None of it needs the process that drives rollouts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from gateway.cli import show
from gateway.cli.exits import Exit
from gateway.cli.reach import HERE, Reach
from gateway.cli.rollout_show import moved

if TYPE_CHECKING:
    import msgspec

    from gateway.core.contract.rolling import RolloutMoved


def add(app: App) -> None:
    """The verbs that change a rollout."""
    for verb in (approve, freeze, resume, abort, skip, override, retry):
        app.command(verb)


def approve(alias: str, /, *, reason: str = "", reach: Reach = HERE) -> int:
    """Let the next stage begin, where the manifest or the stakes ask for a person. An approval that nobody gives expires.

    Parameters
    ----------
    reason
        Why; kept for ever. Needed at stakes `high`.
    """
    from gateway.admin.rollout_asks import RolloutApprove  # noqa: PLC0415 - heavy; --help needs none

    return _say("rollout.approve", RolloutApprove(alias, reason), reach)


def freeze(alias: str, /, *, reason: str, reach: Reach = HERE) -> int:
    """Widen no further. Weights stay, guardrails stay armed; `rollout resume` goes on.

    Parameters
    ----------
    reason
        Why; kept for ever.
    """
    from gateway.admin.rollout_asks import RolloutWord  # noqa: PLC0415

    return _say("rollout.freeze", RolloutWord(alias, reason), reach)


def resume(
    alias: str,
    /,
    *,
    reason: str,
    accept_inconclusive: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    reach: Reach = HERE,
) -> int:
    """Go on in spite of what froze it, until the next stage begins. Nothing that was counted is forgotten.

    Parameters
    ----------
    reason
        Why; kept for ever.
    accept_inconclusive
        Accept that this stage left a metric open or without data; recorded for the stage, and not asked again in it.
    """
    from gateway.admin.rollout_asks import RolloutResume  # noqa: PLC0415

    return _say("rollout.resume", RolloutResume(alias, reason, accept_inconclusive=accept_inconclusive), reach)


def abort(alias: str, /, *, reason: str, reach: Reach = HERE) -> int:
    """End a rollout, in any phase: weight 0 in one write, and the candidate barred until `rollout retry`.

    Runs in flight stay on the release they are bound to. Asking twice is harmless.

    Parameters
    ----------
    reason
        Why; kept for ever.
    """
    from gateway.admin.rollout_asks import RolloutWord  # noqa: PLC0415

    return _say("rollout.abort", RolloutWord(alias, reason), reach)


def skip(alias: str, /, *, reason: str, reach: Reach = HERE) -> int:
    """Go on without the rest of the shadow, where the stakes allow it.

    Parameters
    ----------
    reason
        Why; kept for ever.
    """
    from gateway.admin.rollout_asks import RolloutWord  # noqa: PLC0415

    return _say("rollout.skip", RolloutWord(alias, reason), reach)


def override(alias: str, /, *, reason: str, name: str = "", reach: Reach = HERE) -> int:
    """Go on without a GO of the gate, where the stakes allow it. Name and reason stay in the history for ever.

    Parameters
    ----------
    reason
        Why.
    name
        Who answers for it; by default who orders it.
    """
    from gateway.admin.rollout_asks import RolloutOverride  # noqa: PLC0415

    return _say("rollout.override", RolloutOverride(alias, reason, name), reach)


def retry(alias: str, /, *, reason: str, release: str = "", reach: Reach = HERE) -> int:
    """Lift the bar of a candidate that was aborted, rolled back or expired, so that it may be rolled out again.

    Parameters
    ----------
    reason
        Why; kept for ever.
    release
        Which; by default the last rollout's candidate.
    """
    from gateway.admin.rollout_asks import RolloutRetry  # noqa: PLC0415

    return _say("rollout.retry", RolloutRetry(alias, reason, release), reach)


def ended(record: RolloutMoved) -> Exit:
    """INCOMPLETE when a worker kept silent."""
    return Exit.INCOMPLETE if record.changed and record.acknowledged.silent else Exit.OK


def _say(operation: str, ask: msgspec.Struct, reach: Reach) -> Exit:
    with show.working("waiting for the workers"):
        found: RolloutMoved = reach.call(operation, ask)
    reach.print(found, moved)
    return ended(found)
