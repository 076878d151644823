"""What differs between two releases, part by part, with a line diff where a part is text."""

from __future__ import annotations

import difflib
from typing import Any

import msgspec

from gateway.control.desk import Desk
from gateway.control.legs import told
from gateway.core.contract.records import Change, ReleaseDiff
from gateway.core.contract.release import Leg, Params
from gateway.store import labels, releases


async def differences(desk: Desk, before: str, after: str) -> ReleaseDiff:
    """Every difference from one stored release to another, in the order model, prompt, tools, params."""
    old, new = (await desk.release(before)).triple, (await desk.release(after)).triple
    found: list[Change] = []
    known = await labels.every(desk.store)
    if old.model != new.model:
        found.append(Change(part="model", before=old.model, after=new.model))
    for part, left, right in (("prompt", old.prompt, new.prompt), ("tools", old.tools, new.tools)):
        if left != right:
            lines = _lines(await _text(desk, left), await _text(desk, right))
            found.append(Change(part=part, before=told(left, known), after=told(right, known), lines=lines))
    found += _params(old.params, new.params)
    return ReleaseDiff(before=before, after=after, changes=tuple(found))


def _params(old: Params, new: Params) -> list[Change]:
    found: list[Change] = []
    sides: tuple[tuple[str, dict[str, Any], dict[str, Any]], ...] = (
        ("set", old.set, new.set),
        ("drop", dict.fromkeys(old.drop, True), dict.fromkeys(new.drop, True)),
        ("rename", old.rename, new.rename),
    )
    for verb, left, right in sides:
        found += [
            Change(part=f"params.{verb}.{name}", before=left.get(name), after=right.get(name))
            for name in sorted({*left, *right})
            if name not in left or name not in right or left[name] != right[name]
        ]
    return found


async def _text(desk: Desk, leg: Leg) -> str:
    data = await releases.artifact(desk.store, leg.digest) if leg.digest else None
    if data is None:
        return ""
    if data.startswith(b"["):
        try:
            return msgspec.json.format(data, indent=2).decode()
        except msgspec.DecodeError:
            pass  # a prompt that happens to start with a bracket
    return data.decode()


def _lines(old: str, new: str) -> tuple[str, ...]:
    return tuple(difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=2))[2:]
