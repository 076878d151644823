"""A visit knows what its actor may see."""

from __future__ import annotations

from typing import Any, cast

from gateway.admin.rights import Actor
from gateway.admin.visit import Visit


def test_rights_are_the_actors() -> None:
    """`may` is true for rights of the token and for no other."""
    visit = Visit(Actor("a", frozenset({"read"})), cast(Any, None), cast(Any, None))
    assert visit.may("read")
    assert not visit.may("content")
