"""What the shadow's loop needs of others, so that it can be run without them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from gateway.core.contract.alias import AliasState
from gateway.core.contract.exchange import Observed
from gateway.core.contract.job import Job
from gateway.core.contract.release import Release
from gateway.shadow.compare import Call, Tools


@dataclass(frozen=True, slots=True)
class Called:
    """A call, and what its answer says about how much more the provider will take."""

    call: Call
    wait_seconds: float = 0.0
    """How long the provider should be left alone: it refused for its rate, or little of its quota is left. 0 when all is well."""
    limited: bool = False
    """The provider refused for its rate: the answer says nothing about the release."""


class Skip(Exception):
    """The job cannot become a pair; `reason` is one word."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class Caller(Protocol):
    """Calls a release with a live request."""

    async def call(self, job: Job, body: bytes, release: Release, edits: Mapping[str, bytes]) -> Called:
        """One call, never repeated. `edits` are set in the body besides what the release sets. Raises Skip."""

    def same_vendor(self, one: Release, other: Release) -> bool:
        """Whether both releases' providers are the same vendor's."""

    def allowed(self, live: Release, candidate: Release) -> bool:
        """Whether traffic that is live at the one's provider may be sent to the other's."""

    def cost(self, model: str, observed: Observed | None) -> int | None:
        """What an exchange with a model costs in micro-USD by the price table; None where that is not known."""


class Catalogue(Protocol):
    """Reads what the main store has. Both raise Fault while it cannot be used."""

    async def alias(self, name: str) -> AliasState | None:
        """An alias as it is now, or was a moment ago."""

    async def release(self, identifier: str) -> Release | None:
        """A release by id."""

    async def tools(self, primary: Release, candidate: Release) -> Tools:
        """Toolsets that the two releases bring themselves."""
