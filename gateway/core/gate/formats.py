"""Which reader a log is for: told by its first bytes and its members, never by its name."""

from __future__ import annotations

from gateway.core.gate import inspect_log, lines, promptfoo
from gateway.core.gate.brought import Brought, Unreadable

ZIP = b"PK\x03\x04"


def read(data: bytes, name: str, unpack: inspect_log.Decoder | None = None, scorer: str = "") -> Brought:
    """The scores of one release from a log of Inspect or promptfoo, or from neutral JSON Lines.

    `unpack` decompresses Zstandard, `scorer` chooses among several of Inspect. Raises Unreadable, which names what is wrong.
    """
    if data.startswith(ZIP):
        return inspect_log.read_eval(data, name, unpack, scorer)
    head = data[:4096].lstrip()
    if not head:
        raise Unreadable(f"{name}: is empty")
    first = head.split(b"\n", 1)[0]
    if b'"problem_idx"' in first:
        return lines.read(data, name)
    if b'"status"' in head and b'"eval"' in head:
        return inspect_log.read_json(data, name, scorer)
    if b'"results"' in data[: 1 << 20]:
        return promptfoo.read(data, name)
    raise Unreadable(f"{name}: is neither a log of Inspect or promptfoo nor lines with problem_idx and reward")
