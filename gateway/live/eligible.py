"""Which releases a run can take: those whose tools its executor can run, and whose prompt its request can fill.

Rule of the file: a candidate is never the reason for an error. A run that cannot take it stays on the stable release.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.core.binding.decide import can_run
from gateway.core.contract.fault import Fault, Kind
from gateway.core.contract.release import Mode
from gateway.core.dialect import carry
from gateway.live.legs import legs_of, sent_toolset
from gateway.live.variables import given

if TYPE_CHECKING:
    from gateway.core.contract.release import Release
    from gateway.core.dialect.legs import Legs
    from gateway.live.life import Life
    from gateway.live.worker import Worker

HEADER = b"x-trivet-tools"
DIGEST_LENGTH = 64
LISTS_KEPT, LIST_BYTES = 1000, 1024
"""Values of the header that are kept read, and how long one may be to be kept."""


def listed(worker: Worker, life: Life) -> frozenset[str] | None:
    """The digests of the toolsets that `x-trivet-tools` names; None without the header. Labels nobody gave are passed over.

    Raises Fault 400 `bad_tools_list` for a word that is neither a label nor a digest.
    """
    value = life.incoming.fields.get(HEADER)
    if value is None:
        return None
    labels = worker.store.pointers.labels
    known = life.view.lists.get(value)
    if known is not None and known[0] is labels:
        return known[1]
    found: set[str] = set()
    for word in value.decode("latin-1").split(","):
        name = word.strip()
        if "@" in name:
            found.add(labels.get(name, ""))
        elif len(name) == DIGEST_LENGTH:
            found.add(name)
        elif name:
            raise Fault(
                Kind.BAD_REQUEST,
                "bad_tools_list",
                "x-trivet-tools lists labels such as support-tools@v3, or digests of 64 hex digits, with commas between them.",
                param="x-trivet-tools",
            )
    digests = frozenset(found - {""})
    if len(value) <= LIST_BYTES:
        if len(life.view.lists) >= LISTS_KEPT:
            life.view.lists.clear()
        life.view.lists[value] = (labels, digests)
    return digests


async def barred(worker: Worker, life: Life, candidate: Release | None, stable: Release | None) -> str:
    """Why a run that would be bound to `stable` cannot take `candidate` instead; empty when it can. Never raises for the
    candidate's sake.

    One of `unavailable` (it is blocked, another model answers for it on a strict alias, or its artifacts are not at hand),
    `tools`, `variables`, `prompt`.
    """
    if candidate is None or candidate.blocked or (candidate.drifted and strict(life)):
        return "unavailable"
    try:
        legs = await legs_of(worker, life.view, candidate)
    except Fault:
        return "unavailable"
    if legs is None:
        return ""
    same_tools = stable is not None and stable.triple.tools == candidate.triple.tools
    if legs.tools is not None and not same_tools:
        sent = sent_toolset(life) if life.envelope is not None else None
        if not can_run(legs.tools_leg.mode, legs.toolset, listed(worker, life), sent):
            return "tools"
    if legs.template is None or (stable is not None and stable.triple.prompt == candidate.triple.prompt):
        return ""
    if legs.prompt.mode is Mode.SERVE:
        return "variables" if legs.template.missing(given(life)) else ""
    if life.envelope is None:
        return ""
    sent_prompt = life.envelope.prompt()
    matches = sent_prompt is not None and legs.template.departs(sent_prompt, given(life)) is None
    return "" if matches else "prompt"


def strict(life: Life) -> bool:
    """Whether the alias takes no new runs on a release for which another model answers."""
    declared = life.view.settings.aliases.get(life.alias)
    return declared is not None and declared.strict


def refuse_unlisted(worker: Worker, life: Life, legs: Legs | None) -> None:
    """Raise Fault 409 `tools_not_listed` when the executor lists the toolsets it can run and the one served is not among
    them, 400 as `listed`."""
    digests = listed(worker, life)
    if digests is None or legs is None or legs.tools_leg.mode is not Mode.SERVE:
        return
    sent = sent_toolset(life) if life.envelope is not None else None
    if not can_run(Mode.SERVE, legs.toolset, digests, sent):
        raise Fault(
            Kind.CONFLICT,
            "tools_not_listed",
            f"The run is bound to release {legs.release}, which serves toolset {told(worker, legs.tools_leg.digest)}; "
            "x-trivet-tools does not list it. Keep its code until `trivet release runs` says that it may go.",
            param="x-trivet-tools",
        )


def told(worker: Worker, digest: str) -> str:
    """A digest for people: its labels where it has some, and its beginning."""
    return carry.told(digest, worker.store.pointers.labels_of)
