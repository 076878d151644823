"""Which releases an alias names."""

from __future__ import annotations

from gateway.core.contract.alias import AliasState, Lane, Shadow, Split
from gateway.core.rollout.named import named


def test_each_release_stands_once_in_its_first_role() -> None:
    """Stable before candidate before warm, over all lanes."""
    lanes = {"*": Lane("a", ("b", "c")), "tenant:x": Lane("b", ("a", "d"))}
    state = AliasState("agent", 1, lanes, split=Split("c", "s"), shadows=(Shadow("e", "s"), Shadow("a", "s")))
    assert named(state) == (("stable", "a"), ("stable", "b"), ("candidate", "c"), ("candidate", "e"), ("warm", "d"))
