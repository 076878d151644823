"""Carries out the legs of a release on one request: puts prompt and tools in, or compares them with what was sent.

Rule of the file: after it the provider gets the release's prompt and tools, or the caller an error that says what differs.
No error tells what a prompt says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.core.contract.artifact import digest, plain
from gateway.core.contract.fault import Fault, Kind
from gateway.core.contract.release import Mode
from gateway.core.dialect import toolset
from gateway.core.dialect.routes import Operation
from gateway.live.eligible import told
from gateway.live.legs import legs_of, sent_toolset
from gateway.live.variables import given, missing, unknown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.core.contract.prompt import Template, Value
    from gateway.live.legs import Legs
    from gateway.live.life import Life
    from gateway.live.worker import Worker

CALLING_NOTHING = frozenset((Operation.COMPACT,))
"""Operations whose model is given no tools by anybody: a release's tools are not missed there."""
NAMES_TOLD = 10
"""Tools named in an error."""


def leg_edits(worker: Worker, life: Life, legs: Legs) -> dict[str, bytes | None]:
    """The edits that put the release's prompt and tools in; empty where both only have to match, and do.

    Raises Fault: 400 `missing_variable`, 409 `prompt_mismatch` or `tools_mismatch`, 400 `leg_unserved` for an operation that
    has no place for what the release carries.
    """
    edits: dict[str, bytes | None] = {}
    template = legs.template
    if template is not None:
        if legs.prompt.mode is Mode.SERVE:
            edits = _prompt(life, legs, template)
        else:
            _verify_prompt(worker, life, legs, template)
    if legs.tools is not None and life.route is not None and life.route.operation not in CALLING_NOTHING:
        if legs.tools_leg.mode is Mode.SERVE:
            edits.update(_tools(life, legs))
        elif sent_toolset(life) not in legs.toolset:
            raise _tools_differ(worker, life, legs)
    return edits


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


def _prompt(life: Life, legs: Legs, template: Template) -> dict[str, bytes | None]:
    envelope = life.envelope
    assert envelope is not None
    values: Mapping[str, Value] = given(life)
    lacking = template.missing(values)
    if lacking:
        raise missing(lacking, legs.release)
    app = (envelope.prompt() or "") if template.uses_app else ""
    edits = envelope.prompt_edit(template.render(values, app))
    if not edits:
        raise _no_place(life, legs, "prompt")
    return edits


def _tools(life: Life, legs: Legs) -> dict[str, bytes | None]:
    dialect, route = life.dialect, life.route
    assert dialect is not None and route is not None
    edits = legs.tools_edit(dialect, route.operation) if route.operation is not None else {}
    if not edits:
        raise _no_place(life, legs, "toolset")
    return edits


def _verify_prompt(worker: Worker, life: Life, legs: Legs, template: Template) -> None:
    assert life.envelope is not None
    sent = life.envelope.prompt()
    at = template.departs(sent, given(life)) if sent is not None else 0
    if at is None:
        return
    if sent is None:
        got = "none"
    else:
        got = f"one with sha256 {digest(plain(sent).encode())[:12]}…, which differs from character {at + 1} on"
    raise Fault(
        Kind.CONFLICT,
        "prompt_mismatch",
        f"Release {legs.release} expects the system prompt {told(worker, legs.prompt.digest)}, and the request sent {got}. "
        "Deploy the agent with the released prompt, or release the new one.",
        param="prompt",
    )


def _tools_differ(worker: Worker, life: Life, legs: Legs) -> Fault:
    assert life.envelope is not None and legs.tools is not None
    raw = life.envelope.toolset()
    got = "none"
    if raw:
        got = f"one with digest {sent_toolset(life)[:12]}…"
        try:
            got += f": {_difference(legs, raw)}"
        except ValueError as error:
            got = f"one that cannot be read: {error}"
    return Fault(
        Kind.CONFLICT,
        "tools_mismatch",
        f"Release {legs.release} expects the toolset {told(worker, legs.tools_leg.digest)}, and the request sent {got}. "
        "Deploy the agent with the released tools, or release the new ones.",
        param="tools",
    )


def _difference(legs: Legs, raw: bytes) -> str:
    """Which tools differ, by name."""
    assert legs.tools is not None
    wanted = dict(zip(toolset.names(legs.tools), legs.tools, strict=True))
    tools = toolset.read(raw)
    sent = dict(zip(toolset.names(tools), tools, strict=True))
    changed = [
        name for name in wanted if name in sent and toolset.canonical([wanted[name]]) != toolset.canonical([sent[name]])
    ]
    groups = (
        ("missing", [name for name in wanted if name not in sent]),
        ("not in the release", [name for name in sent if name not in wanted]),
        ("different", changed),
    )
    told_groups = [f"{word} {', '.join(name[:64] for name in found[:NAMES_TOLD])}" for word, found in groups if found]
    return "; ".join(told_groups) or "the same tools in another order"


def _no_place(life: Life, legs: Legs, what: str) -> Fault:
    route = life.route
    return Fault(
        Kind.BAD_REQUEST,
        "leg_unserved",
        f"Release {legs.release} brings its own {what}, and {route.path if route is not None else 'this path'} has no place for it. "
        "Call an operation that takes one, or another alias.",
        param="model",
    )
