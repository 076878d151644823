"""What makes a release's request out of a client's: model, prompt, tools and params as edits of the body's own members.

Rule of the file: pure, and the only such place, so that whoever repeats a request (the shadow) sends what live would have sent.
After it the provider gets the release's prompt and tools, or the caller an error that says what differs. No error tells what a
prompt says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

import msgspec

from gateway.core.contract.artifact import digest, plain
from gateway.core.contract.fault import Fault, Kind
from gateway.core.contract.release import Mode, Params
from gateway.core.dialect import toolset
from gateway.core.dialect.gemini.model import in_path
from gateway.core.dialect.legs import neutral
from gateway.core.dialect.routes import Operation
from gateway.core.dialect.variables import OWN_MEMBER, missing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gateway.core.contract.prompt import Template, Value
    from gateway.core.dialect.base import Dialect, Envelope
    from gateway.core.dialect.legs import Legs
    from gateway.core.dialect.routes import Route
    from gateway.core.dialect.splice import Members

    LabelsOf = Callable[[str], Sequence[str]]
    """Labels that a digest was given, for errors."""

CALLING_NOTHING = frozenset((Operation.COMPACT,))
"""Operations whose model is given no tools by anybody: a release's tools are not missed there."""
NAMES_TOLD = 10
"""Tools named in an error."""
NO_PARAMS = Params()
AS_SENT: Mapping[str, bytes | None] = {}
"""The edits of a release without legs."""


def edits(
    envelope: Envelope,
    named: Mapping[str, bytes | None],
    model: str,
    params: Params,
    legs: Mapping[str, bytes | None],
) -> Mapping[str, bytes | None]:
    """Every edit of a body: `named` is the dialect's `model_edit` to `model`, the name the provider knows the release's model
    by, and `legs` what `leg_edits` found. Empty for a body that stays as it is. Never changes what it is given."""
    members = envelope.members
    found = named if envelope.model != model else AS_SENT
    if legs or OWN_MEMBER in members.spans or params.set or params.drop or params.rename:
        found = {**params_edits(params, members), **found, **legs}
        if OWN_MEMBER in members:
            found[OWN_MEMBER] = None
    return found if named else envelope.fitted(found, model)


def params_edits(params: Params, members: Members) -> dict[str, bytes | None]:
    """The member edits of a release's params: drop, then rename, then set."""
    found: dict[str, bytes | None] = {}
    for name in params.drop:
        if members.get(name) is not None:
            found[name] = None
    for old, new in params.rename.items():
        value = members.get(old)
        if value is not None and old not in found:
            found[old] = None
            found[new] = value
    for name, value in params.set.items():
        found[name] = msgspec.json.encode(value)
    return found


def placed(path: str, model: str) -> str:
    """A route's path with the model in it, where the dialect has it there."""
    return in_path(path, model) if "{model}" in path else path


def without_key(query: str) -> str:
    """A query without the parameter that some clients put their key into."""
    if not query:
        return query
    return "&".join(part for part in query.split("&") if unquote_plus(part.partition("=")[0]).lower() != "key")


def leg_edits(
    legs: Legs,
    dialect: Dialect,
    route: Route,
    envelope: Envelope,
    values: Mapping[str, Value],
    sent: str,
    labels_of: LabelsOf,
) -> dict[str, bytes | None]:
    """The edits that put the release's prompt and tools in; empty where both only have to match, and do.

    `values` are the request's variables, and `sent` the neutral digest of its toolset, which matters only where the legs
    compare it. Raises Fault: 400 `missing_variable`, 409 `prompt_mismatch` or `tools_mismatch`, 400 `leg_unserved` for an
    operation that has no place for what the release carries.
    """
    found: dict[str, bytes | None] = {}
    template = legs.template
    if template is not None:
        if envelope.stored_prompt:
            raise _stored(legs, labels_of)
        if legs.prompt.mode is Mode.SERVE:
            found = _prompt(legs, route, envelope, template, values)
        else:
            _verify_prompt(legs, envelope, template, values, labels_of)
    if legs.tools is not None and route.operation not in CALLING_NOTHING:
        if not legs.compares:
            found.update(_tools(legs, dialect, route))
        elif sent not in legs.toolset:
            raise _tools_differ(legs, envelope, labels_of)
    return found


def told(address: str, labels_of: LabelsOf) -> str:
    """A digest for people: its labels where it has some, and its beginning."""
    names = labels_of(address)
    return f"{', '.join(names)} ({address[:12]}…)" if names else f"{address[:12]}…"


def _prompt(
    legs: Legs, route: Route, envelope: Envelope, template: Template, values: Mapping[str, Value]
) -> dict[str, bytes | None]:
    lacking = template.missing(values)
    if lacking:
        raise missing(lacking, legs.release)
    app = (envelope.prompt() or "") if template.uses_app else ""
    found = envelope.prompt_edit(template.render(values, app))
    if not found:
        raise _no_place(legs, route, "prompt")
    return found


def _tools(legs: Legs, dialect: Dialect, route: Route) -> dict[str, bytes | None]:
    found = legs.tools_edit(dialect, route.operation) if route.operation is not None else {}
    if not found:
        raise _no_place(legs, route, "toolset")
    return found


def _verify_prompt(
    legs: Legs, envelope: Envelope, template: Template, values: Mapping[str, Value], labels_of: LabelsOf
) -> None:
    sent = envelope.prompt()
    at = template.departs(sent, values) if sent is not None else 0
    if at is None:
        return
    if sent is None:
        got = "none"
    else:
        got = f"one with sha256 {digest(plain(sent).encode())[:12]}…, which differs from character {at + 1} on"
    raise Fault(
        Kind.CONFLICT,
        "prompt_mismatch",
        f"Release {legs.release} expects the system prompt {told(legs.prompt.digest, labels_of)}, and the request sent {got}. "
        "Deploy the agent with the released prompt, or release the new one.",
        param="prompt",
    )


def _stored(legs: Legs, labels_of: LabelsOf) -> Fault:
    return Fault(
        Kind.CONFLICT,
        "prompt_mismatch",
        f"Release {legs.release} brings the system prompt {told(legs.prompt.digest, labels_of)}, and the request asks for a "
        "template that the provider stores. Send no `prompt`, or release what the template says.",
        param="prompt",
    )


def _tools_differ(legs: Legs, envelope: Envelope, labels_of: LabelsOf) -> Fault:
    raw = envelope.toolset()
    got = "none"
    if raw:
        got = f"one with digest {neutral(raw)[:12]}…"
        try:
            got += f": {_difference(legs, raw)}"
        except ValueError as error:
            got = f"one that cannot be read: {error}"
    return Fault(
        Kind.CONFLICT,
        "tools_mismatch",
        f"Release {legs.release} expects the toolset {told(legs.tools_leg.digest, labels_of)}, and the request sent {got}. "
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


def _no_place(legs: Legs, route: Route, what: str) -> Fault:
    return Fault(
        Kind.BAD_REQUEST,
        "leg_unserved",
        f"Release {legs.release} brings its own {what}, and {route.path} has no place for it. "
        "Call an operation that takes one, or another alias.",
        param="model",
    )
