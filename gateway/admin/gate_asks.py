"""What the operations of the eval gate are asked with. Member names are a public interface, as the records of the answers are."""

from __future__ import annotations

from typing import Annotated

import msgspec

from gateway.admin.asks import Id
from gateway.admin.table import Ask
from gateway.core.contract.suite import SuiteKind

Budget = Annotated[int, msgspec.Meta(ge=-1)]
"""Micro-USD; 0 is no limit, -1 what is configured, or what the run was begun with."""


class GatePlanAsk(Ask, frozen=True):
    """What a run would ask and cost."""

    alias: Id
    release: Id
    against: str = ""
    """By default the release that is stable for everybody."""
    suite: SuiteKind | None = None
    """Only this suite; by default all that are declared."""


class GateBegin(Ask, frozen=True):
    """Begin a run."""

    alias: Id
    release: Id
    against: str = ""
    suite: SuiteKind | None = None
    budget_micro: Budget = -1


class GateOne(Ask, frozen=True):
    """One run."""

    id: Id


class GateWork(Ask, frozen=True):
    """Go on with a run for a few seconds."""

    id: Id
    budget_micro: Budget = -1
    again: bool = False
    """First open what was asked and has no score."""
