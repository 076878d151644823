"""What is written to the store is read back the same, by either side."""

from __future__ import annotations

import pytest

from gateway.core.contract.alias import AliasState, Lane, Shadow, SideEffects, Split, Stakes
from gateway.core.contract.journal import Plan, Report
from gateway.store.records import (
    alias_fields,
    alias_state,
    decode_entry,
    decode_release,
    decode_stamp,
    encode_entry,
    encode_release,
    encode_stamp,
    releases_of,
)
from tests.store.lives import release, stamp, step

FULL = AliasState(
    name="team/support:1",
    version=7,
    lanes={"*": Lane("rel_1", ("rel_0",)), "tenant:acme": Lane("rel_2"), "segment:early/x": Lane("rel_3")},
    stakes=Stakes.HIGH,
    side_effects=SideEffects.REAL,
    epoch=4,
    split=Split("rel_9", "salt", {"*": 500}),
    shadows=(Shadow("rel_8", "pepper", 1000, started_ms=5),),
    learned=True,
)


def test_alias_round_trip() -> None:
    """Every member of a state survives the hash; fields of other kinds are ignored."""
    assert alias_state({**alias_fields(FULL), "later": "{}"}) == FULL
    plain = AliasState(name="a", version=1, lanes={"*": Lane("rel_1")})
    assert alias_state(alias_fields(plain)) == plain


def test_only_what_new_runs_may_get_is_needed() -> None:
    """A state is usable once lanes and candidate are known; earlier stables may be missing."""
    assert set(releases_of(FULL)) == {"rel_1", "rel_2", "rel_3", "rel_9"}


@pytest.mark.parametrize(
    "fields", [{}, {"name": "a"}, {"name": "a", "version": "x"}, {"name": "a", "version": "1", "lane:*": "{"}]
)
def test_half_a_hash_is_no_state(fields: dict[str, str]) -> None:
    """A hash that is not a whole state is refused."""
    with pytest.raises(ValueError):
        alias_state(fields)


def test_records_round_trip() -> None:
    """Releases, stamps and journal entries are read back as written."""
    assert decode_release(encode_release(release())) == release()
    bound = stamp("r")
    assert decode_stamp(encode_stamp(bound)) == bound
    for entry in (Plan(bound), step(), Report(1, {"ok": True})):
        assert decode_entry(encode_entry(entry)) == entry
