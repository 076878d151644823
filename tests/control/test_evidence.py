"""The verdict from what is stored."""

from __future__ import annotations

import pytest

from gateway.control.desk import Desk
from gateway.control.evidence import report_for
from gateway.core.contract.evidence import Word
from tests.control.conftest import Make, Place

pytestmark = pytest.mark.anyio


async def test_an_alias_without_suites_is_never_green(desk: Desk, made: Make, placed: Place) -> None:
    """Nothing declared, nothing stored: INSUFFICIENT, and it says so."""
    await placed("usual", {"*": "A"})
    report = await report_for(desk, "usual", await made("B"), await made("A"))
    assert (report.verdict, report.why) == (Word.INSUFFICIENT, ("no suite is declared",))
