"""What an operation is done with: the desk of the control room, and who stands before it.

The admin API and the command line's direct mode make the same visit, so both run the same operations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.admin.rights import Actor

if TYPE_CHECKING:
    from gateway.control.desk import Desk
    from gateway.settings.load import Config


@dataclass(frozen=True, slots=True)
class Visit:
    """One operation's surroundings."""

    actor: Actor
    desk: Desk
    config: Config

    def may(self, right: str) -> bool:
        """Whether the actor has a right that only widens the answer."""
        return right in self.actor.rights
