"""The prompt variables of a request, read once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.core.dialect.variables import HEADER, NONE, OWN_MEMBER, read

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.core.contract.prompt import Value
    from gateway.live.life import Life


def given(life: Life) -> Mapping[str, Value]:
    """The variables of a request, read once.

    Raises Fault 400 as `core.dialect.variables.read`.
    """
    values = life.variables
    if values is None:
        header = life.incoming.fields.get(HEADER)
        envelope = life.envelope
        raw = envelope.members.get(OWN_MEMBER) if envelope is not None else None
        values = life.variables = NONE if header is None and raw is None else read(raw, header)
    return values
