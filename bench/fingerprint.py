"""What the legs of a release cost inside the live path, without sockets: both fingerprints of the journal, and the splice."""

from __future__ import annotations

import time
import timeit
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from bench import dialects
from bench.dialects import Spoken
from gateway.core.contract.artifact import digest
from gateway.core.contract.prompt import parse
from gateway.core.contract.release import Leg, Mode, Params, Release, Triple
from gateway.core.dialect import carry
from gateway.core.dialect.legs import Legs, neutral
from gateway.core.dialect.registry import DIALECTS
from gateway.core.dialect.routes import find
from gateway.core.dialect.splice import splice
from gateway.core.dialect.toolset import canonical, read

BOUND = 150.0
"""Microseconds of CPU that fingerprinting and splicing together may cost at 64 KB."""
WIRE_MODEL = "model-2026-01-01"


def cost(spoken: Spoken, mode: Mode, *, number: int = 20, repeat: int = 30) -> float:
    """Microseconds of CPU per request, the least of `repeat` measurements."""
    once = request(spoken, mode)
    return min(timeit.repeat(once, timer=time.process_time, number=number, repeat=repeat)) / number * 1e6


def request(spoken: Spoken, mode: Mode) -> Callable[[], bytes]:
    """What is done to one request of 64 KB that was read already; returns what goes upstream.

    With `verify` the release expects just what is sent. The neutral digest of the toolset counts as known, as it is to a live
    worker from the second request on.
    """
    body = dialects.body(spoken, served=True)
    dialect, route = DIALECTS[spoken.name], find(spoken.path_of(served=True), ())
    assert route.operation is not None
    envelope = dialect.read(route.operation, body)
    sent = envelope.toolset()
    verify = mode is Mode.VERIFY
    prompt = (envelope.prompt() or "") if verify else dialects.prompt()
    tools = read(sent) if verify else read(dialects.released_tools())
    triple = Triple(spoken.snapshot, Leg(mode, digest(prompt.encode())), Leg(mode, digest(canonical(tools))))
    legs = Legs(Release("rel_1", triple), parse(prompt), tools)
    named = dialect.model_edit(WIRE_MODEL)
    known = {sha256(sent).hexdigest(): neutral(sent)}
    params = Params()

    def once() -> bytes:
        fresh = unread(envelope)
        tools_sent = sha256(fresh.toolset()).hexdigest()
        found = carry.leg_edits(legs, dialect, route, fresh, dialects.VARIABLES, known[tools_sent], lambda _digest: ())
        changed = splice(fresh.members, carry.edits(fresh, named, WIRE_MODEL, params, found))
        sha256(fresh.system()).hexdigest()
        return changed

    return once


def unread(envelope: Any) -> Any:
    """The envelope as it is before anybody asked it for prompt or tools: what it found out since is not carried over."""
    kind: Any = type(envelope)
    made = kind.__new__(kind)
    for slot in {slot for each in kind.__mro__ for slot in getattr(each, "__slots__", ())}:
        if slot.startswith("_"):
            setattr(made, slot, None)
        elif hasattr(envelope, slot):
            setattr(made, slot, getattr(envelope, slot))
    return made
