"""A request whose provider has several endpoints: what keeps its endpoint, and its bytes for each endpoint's own model name.

The rule: which endpoint is called is decided while calling, so the body is spelled then, from the same edits; with one
endpoint nothing of this is on the way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.core.binding.decide import split_unit
from gateway.core.contract.run import Source
from gateway.core.dialect.carry import placed
from gateway.core.dialect.splice import splice
from gateway.upstream.choice import Spread

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.live.life import Life
    from gateway.live.view import Target


def spread(life: Life, target: Target, edits: Mapping[str, bytes | None]) -> None:
    """Set `spread`. `edits` are those that made `body` for the target's own name of the model."""
    assert life.route is not None and life.envelope is not None
    life.spread = Spread(
        dialect=life.route.dialect,
        unit=unit(life),
        spell=Spelled(life, target.model, edits),
        at=life.keeper,
        stays=bool(life.envelope.state_id),
    )


def unit(life: Life) -> str:
    """What keeps its endpoint: the run, or for a nameless one what the agent opens with, so that the turns of one
    conversation find the provider's prompt cache again."""
    if life.source is not Source.NONE or life.envelope is None:
        return life.run
    return split_unit(life.view.split_secret, life.caller.tenant, life.alias, life.envelope.opening())


class Spelled:
    """Path and body of one request, by the name that an endpoint knows the model by."""

    __slots__ = ("_edits", "_life", "_model")

    def __init__(self, life: Life, model: str, edits: Mapping[str, bytes | None]) -> None:
        self._life = life
        self._model = model
        self._edits = edits

    def __call__(self, name: str) -> tuple[str, bytes]:
        """Path and body for an endpoint that calls the model `name`."""
        life = self._life
        if name == self._model:
            return life.path, life.body
        assert life.dialect is not None and life.envelope is not None and life.route is not None
        edits = life.envelope.fitted({**self._edits, **life.dialect.model_edit(name)}, name)
        return placed(life.route.path, name), splice(life.envelope.members, edits) if edits else life.body
