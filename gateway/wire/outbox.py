"""Short writes that leave together at the end of a turn of the loop.

A write wakes whoever waits at the other end, and to wake a sleeping process costs more than to send the bytes. Under load
one turn of the loop reads many requests; written back to back, their bytes wake each peer once. A lone request waits for
nothing: its turn ends at once. Held bytes keep their order: whoever writes past the outbox, or closes, releases them first.
"""

from __future__ import annotations

import asyncio
from typing import Protocol


class Holder(Protocol):
    """A connection that holds bytes to be written."""

    def release(self) -> None:
        """Write what is held, if anything still is. Must not raise."""


class Outbox:
    """Who holds bytes in this turn of the loop."""

    __slots__ = ("_holders",)

    def __init__(self) -> None:
        self._holders: list[Holder] = []

    def add(self, holder: Holder) -> None:
        """Have `holder` released at the end of this turn. Needs a running loop."""
        holders = self._holders
        if not holders:
            asyncio.get_running_loop().call_soon(self._flush)
        holders.append(holder)

    def _flush(self) -> None:
        holders, self._holders = self._holders, []
        for holder in holders:
            holder.release()
