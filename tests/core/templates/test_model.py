"""What is known of an alias's prompts, and how it is kept."""

from __future__ import annotations

import pytest

from gateway.core.templates.align import GAP, SHORT
from gateway.core.templates.model import HOUR_MS, Cluster, Model, Window, name_of, pack, shown, unpack
from gateway.core.templates.text import units


def test_a_model_survives_the_store_in_two_parts() -> None:
    """What is settled is in the lasting part, what may hold a user's data only in the passing one; together they are all."""
    settled = Cluster("p_1", (("You", " help", SHORT), GAP), 1, 2, n=3, runs=2, settled=True, hours={1: 3})
    young = Cluster("p_2", units("You help Alice."), 1, 2, parent="p_1")
    model = Model([settled, young], {"d1": "p_1", "d2": "p_2"}, {"rel_a": Window(1, 2)}, 4, 5)
    lasting, passing = pack(model)
    assert b"Alice" not in lasting and b"Alice" in passing
    assert unpack(lasting, passing) == model
    forgot = unpack(lasting, b"")
    assert forgot.clusters == [settled] and forgot.digests == {} and forgot.unread == 4
    assert unpack(b"", b"") == Model()


@pytest.mark.parametrize(
    "data", [b"{", b"[]", b'{"places":[[0]],"model":{"clusters":[{"id":"p","units":[],"first_ms":1,"last_ms":1}]}}']
)
def test_a_damaged_model_is_refused(data: bytes) -> None:
    """What cannot be read raises ValueError, nothing else."""
    with pytest.raises(ValueError):
        unpack(data, b"")


def test_a_share_is_of_the_last_day() -> None:
    """Requests older than a day count for ever, and for no share."""
    cluster = Cluster("p_1", (), 0, 0)
    cluster.counted(5, 1, 0)
    cluster.counted(3, 1, 30 * HOUR_MS)
    assert (cluster.n, cluster.runs, cluster.recent(30 * HOUR_MS), cluster.hours) == (8, 2, 3, {30: 3})


def test_templates_are_shown_with_their_holes() -> None:
    """People see where values change and what kind they are."""
    made = (*units("Today is 2026-01-02, ask usr_11223344."), ("Hi", SHORT, "!"), GAP)
    assert shown(made) == "Today is {date}, ask {id}.\nHi {...}!\n{...}"
    assert shown(units("\n".join(f"Line {n}." for n in range(1300)))).splitlines()[-1].startswith("{lines ")


def test_ids_tell_the_kind_and_are_stable() -> None:
    """The same text has the same id wherever it is learnt."""
    assert name_of("prompt", units("Hi.")) == name_of("prompt", units("Hi. ")) != name_of("prompt", units("Ho."))
    assert name_of("prompt", ())[:2] == "p_" and name_of("tools", ())[:2] == "t_"
