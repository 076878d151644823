"""What this process saw lately: a bounded memory in two halves, cheaper than a list of last uses."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """Keeps at least the last `size` keys that were put or found, at most twice as many."""

    __slots__ = ("_old", "_size", "_young")

    def __init__(self, size: int) -> None:
        self._size = size
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}

    def put(self, key: K, value: V) -> None:
        """Remember."""
        young = self._young
        young[key] = value
        if len(young) >= self._size:
            self._old = young
            self._young = {}

    def get(self, key: K) -> V | None:
        """What was put last under the key, if it is still known."""
        value = self._young.get(key)
        if value is not None:
            return value
        value = self._old.get(key)
        if value is not None:
            self.put(key, value)
        return value

    def __len__(self) -> int:
        return len(self._young.keys() | self._old.keys())
