"""Runs belong to tenants: the same run id of two tenants is two runs."""

from __future__ import annotations

import re

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.contract.run import Source, Stamp, run_digest


def test_run_digest_is_32_hex_digits() -> None:
    """RUN in key names is 32 lower-case hex digits."""
    assert re.fullmatch("[0-9a-f]{32}", run_digest("acme", "run-1"))


@given(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    st.text(st.characters(exclude_categories=["Cs"])),
)
def test_no_two_tenants_share_a_run(tenant: str, run: str) -> None:
    """However names are cut, (tenant, run) is never another tenant's run."""
    if run:
        assert run_digest(tenant, run) != run_digest(tenant + run[0].replace("\0", "x"), run[1:])


def test_a_stamp_survives_the_store() -> None:
    """A stamp read back is the stamp that was written, and absent fields mean their default."""
    stamp = Stamp(
        tenant="acme",
        run="r",
        alias="gpt-4o",
        release="rel_0",
        model="openai/gpt-4o-2024-08-06",
        source=Source.TOOL_CALL,
    )
    text = msgspec.json.encode(stamp)
    assert msgspec.json.decode(text, type=Stamp) == stamp
    assert b"lane" not in text
