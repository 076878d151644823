"""The legs of a release that is asked for: texts become artifacts, labels become digests, and both are checked before anything is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.control.desk import Desk
from gateway.core.contract.artifact import digest
from gateway.core.contract.fault import Fault, Kind
from gateway.core.contract.prompt import parse
from gateway.core.contract.records import LegAsk, LegText
from gateway.core.contract.release import Leg, Mode
from gateway.core.dialect.leg import leg_artifact
from gateway.core.dialect.toolset import read
from gateway.store import labels, releases


@dataclass(slots=True)
class Brought:
    """What a release brings along: artifacts by digest, and labels for some of them."""

    artifacts: dict[str, bytes] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)


async def leg(desk: Desk, part: str, ask: LegAsk | None, start: Leg, brought: Brought) -> Leg:
    """A leg as asked for, or `start` where nothing is; its text and label are added to `brought`.

    Raises Fault 400 `bad_release` with the part at fault, 409 `label_taken`.
    """
    if ask is None:
        return start
    if ask.mode is Mode.AS_SENT:
        if ask.content or ask.label:
            raise bad(part, "mode `as-sent` takes no content; leave it out")
        return Leg(ask.mode, ask.digest)
    address = ask.digest
    if ask.content:
        try:
            data = leg_artifact(part, ask.mode, ask.content)
        except ValueError as error:
            raise bad(part, str(error)) from error
        address = digest(data)
        if ask.digest and ask.digest != address:
            raise bad(part, f"the content has sha256 {address[:12]}…, not the digest that is given with it")
        brought.artifacts[address] = data
    if ask.label:
        address = await _labelled(desk, part, ask.label, address, brought)
    if address and address not in brought.artifacts:
        await _readable(desk, part, Leg(ask.mode, address))
    return Leg(ask.mode, address)


def bad(part: str, message: str) -> Fault:
    """A release that cannot be made, for this part of it."""
    return Fault(Kind.BAD_REQUEST, "bad_release", f"{part}: {message}", param=part)


async def text_of(desk: Desk, held: Leg, known: Mapping[str, str]) -> LegText:
    """A leg with the text of its artifact and its labels, of those `known`."""
    data = await releases.artifact(desk.store, held.digest) if held.digest else None
    text = data.decode() if data is not None else None
    return LegText(mode=held.mode, digest=held.digest, text=text, labels=labels.of(known, held.digest))


def told(held: Leg, known: Mapping[str, str]) -> str:
    """A leg in a word or two: mode and label, or the beginning of its digest."""
    names = labels.of(known, held.digest)
    return f"{held.mode.value} {names[0] if names else held.digest[:12]}".strip()


async def _labelled(desk: Desk, part: str, label: str, address: str, brought: Brought) -> str:
    """The digest that a label names, or will name once the release is stored."""
    if not labels.LABEL.fullmatch(label):
        raise bad(part, f"a label is written NAME@VERSION, for example support@v7, not {label[:80]!r}")
    known = (await labels.every(desk.store)).get(label, "")
    if not known and not address:
        raise bad(part, f"there is no label {label}; give the file as well, and it gets that label")
    if known and address and known != address:
        raise labels.taken(label, known, address)
    if not known:
        brought.labels[label] = address
    return known or address


async def _readable(desk: Desk, part: str, held: Leg) -> None:
    """Refuse an artifact that is stored, but not as this leg. One that is not stored is for the triple's own check."""
    data = await releases.artifact(desk.store, held.digest)
    if data is None:
        return
    try:
        if part == "tools":
            read(data)
        elif parse(data.decode()).uses_app and held.mode is Mode.VERIFY:
            raise bad(part, "it holds `{{app}}`, so there is nothing to verify: use mode `serve`")
    except ValueError as error:
        raise bad(part, f"artifact {held.digest[:12]}… cannot be read as such: {error}") from error
