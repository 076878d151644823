"""Carries out the legs of a release on a live request (`core.dialect.carry`), and holds its variables to the alias's prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.core.contract.fault import Fault
from gateway.core.dialect import carry
from gateway.core.dialect.variables import NONE, unknown
from gateway.live.legs import legs_of, sent_toolset
from gateway.live.variables import given

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.core.dialect.legs import Legs
    from gateway.live.life import Life
    from gateway.live.worker import Worker


def leg_edits(worker: Worker, life: Life, legs: Legs) -> Mapping[str, bytes | None]:
    """The edits that put the release's prompt and tools in. Raises Fault as `core.dialect.carry.leg_edits`, and as
    `variables.given`."""
    dialect, route, envelope = life.dialect, life.route, life.envelope
    assert dialect is not None and route is not None and envelope is not None
    values = given(life) if legs.template is not None else NONE
    sent = sent_toolset(life) if legs.compares else ""
    return carry.leg_edits(legs, dialect, route, envelope, values, sent, worker.store.pointers.labels_of)


async def check_variables(worker: Worker, life: Life) -> None:
    """Read the variables of a request. Raises Fault as `variables.given`, and 400 `unknown_variable` for one
    that neither the bound release's prompt uses nor that of any release the alias has or had.

    A variable that only another release of the alias uses is no slip: an application starts to send it before the pointer
    moves, and goes on while old runs end.
    """
    values = given(life)
    template = life.legs.template if life.legs is not None else None
    left = values.keys() - template.variables if template is not None else set(values)
    if not left:
        return
    for name in _releases(life):
        try:
            release = worker.store.pointers.release(name) or await worker.store.fetch_release(name)
            legs = await legs_of(worker, life.view, release) if release is not None else None
        except Fault:
            release = None
        if release is None:
            return  # what it uses cannot be known now, so nothing is called a slip
        if legs is not None and legs.template is not None:
            left -= legs.template.variables
            if not left:
                return
    raise unknown(min(left))


def _releases(life: Life) -> list[str]:
    """Every release that the alias has or had, as far as its pointers remember."""
    state = life.state
    if state is None:
        return []
    found = [name for lane in state.lanes.values() for name in (lane.release, *lane.previous)]
    return list(dict.fromkeys(found if state.split is None else (*found, state.split.candidate)))
