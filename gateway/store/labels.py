"""Labels: a name such as `support@v7` for the digest of a prompt or toolset, given once and for ever.

Rule of the file: a label never moves. Whoever read it once knows what it means.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from gateway.core.contract.fault import Fault, Kind
from gateway.store.client import Store

LABEL = re.compile(r"[A-Za-z0-9._:/-]{1,64}@[A-Za-z0-9._-]{1,64}")


async def every(store: Store) -> dict[str, str]:
    """Label to digest, of all labels."""
    fields = await store.read("HGETALL", store.keys.labels())
    return {name.decode(): value.decode() for name, value in fields.items()}


async def give(store: Store, label: str, digest: str) -> None:
    """Name a digest. Naming the same one again changes nothing.

    Raises Fault 400 `bad_label` for what is no label, 409 `label_taken` when it names another digest.
    """
    if not LABEL.fullmatch(label):
        message = f"a label is written NAME@VERSION, for example support@v7, not {label[:80]!r}"
        raise Fault(Kind.BAD_REQUEST, "bad_label", message, param="label")
    if await store.do("HSETNX", store.keys.labels(), label, digest):
        return
    known = (await every(store)).get(label, "")
    if known != digest:
        raise taken(label, known, digest)


def taken(label: str, known: str, wanted: str) -> Fault:
    """A label that names something else."""
    message = f"label {label} names {known[:12]}… for ever; give this text ({wanted[:12]}…) a label of its own"
    return Fault(Kind.CONFLICT, "label_taken", message, param="label")


def of(labels: Mapping[str, str], digest: str) -> tuple[str, ...]:
    """The labels of a digest, in order of their names."""
    return tuple(sorted(label for label, named in labels.items() if named == digest)) if digest else ()
