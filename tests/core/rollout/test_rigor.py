"""Rigor in proportion: every cell of the table, as its readers see it."""

from __future__ import annotations

from itertools import product

import pytest

from gateway.core.contract.alias import SideEffects, Stakes
from gateway.core.contract.release import PinClass
from gateway.core.rollout.rigor import (
    KINDS,
    TABLE,
    Allowed,
    Cell,
    Excuse,
    Matter,
    Refused,
    Ruling,
    Warned,
    may_bind_unstored,
    may_promote,
    may_release,
    may_serve_floating,
)

LOW, STANDARD, HIGH = Stakes.LOW, Stakes.STANDARD, Stakes.HIGH
P, F, N, U = PinClass.PINNED, PinClass.FLOATING, PinClass.UNPINNABLE, PinClass.UNKNOWN
RANK = {Allowed: 0, Warned: 1, Refused: 2}


def rank(ruling: Ruling) -> int:
    """0 allowed, 1 warned, 2 refused."""
    return RANK[type(ruling)]


@pytest.mark.parametrize(
    ("stakes", "pin", "floating", "attested", "kind"),
    [
        (LOW, P, "", "", Allowed),
        (STANDARD, P, "", "", Allowed),
        (HIGH, P, "", "", Allowed),
        (LOW, F, "", "", Warned),
        (STANDARD, F, "", "", Refused),
        (STANDARD, F, "  ", "", Refused),
        (STANDARD, F, "chat only", "", Warned),
        (STANDARD, F, "", "it is fixed", Refused),
        (HIGH, F, "", "", Refused),
        (HIGH, F, "chat only", "it is fixed", Refused),
        (LOW, N, "", "", Warned),
        (STANDARD, N, "", "", Warned),
        (HIGH, N, "", "", Refused),
        (HIGH, N, "chat only", "", Refused),
        (HIGH, N, "", "only id there is", Warned),
        (LOW, U, "", "", Warned),
        (STANDARD, U, "", "", Warned),
        (HIGH, U, "", "", Refused),
        (HIGH, U, "chat only", "\t", Refused),
        (HIGH, U, "", "no auto-upgrade on the deployment", Warned),
    ],
)
def test_may_release(stakes: Stakes, pin: PinClass, floating: str, attested: str, kind: type[Ruling]) -> None:
    """A pinned model is always allowed; a floating one is warned of, needs a reason, or is refused, as the stakes grow."""
    ruling = may_release(stakes, pin, allow_floating=floating, attested=attested)
    assert type(ruling) is kind
    if not isinstance(ruling, Allowed):
        assert ruling.message.startswith("model: ")
    if isinstance(ruling, Refused):
        assert ruling.code == "unpinned_model"


def test_i2_a_floating_release_names_the_model_leg() -> None:
    """I2: a refused floating model says which part of the triple it is, what is wrong and what to do."""
    ruling = may_release(STANDARD, F)
    assert isinstance(ruling, Refused)
    assert ruling.message.startswith("model: the id floats")
    assert "Name a snapshot" in ruling.message
    assert "allow_floating" in ruling.message
    high = may_release(HIGH, F)
    assert isinstance(high, Refused)
    assert "never floats" in high.message


def test_reasons_are_recorded() -> None:
    """What a person said to have a model that is not pinned goes into the record, under its kind."""
    floating = may_release(STANDARD, F, allow_floating="chat only")
    assert isinstance(floating, Warned)
    assert floating.record == ("a reason: chat only",)
    attested = may_release(HIGH, U, attested="NoAutoUpgrade")
    assert isinstance(attested, Warned)
    assert attested.record == ("an attestation with a reason: NoAutoUpgrade",)


@pytest.mark.parametrize(
    ("stakes", "effects", "tools", "kind"),
    [
        (LOW, SideEffects.UNSTATED, False, Allowed),
        (LOW, SideEffects.REAL, False, Allowed),
        (LOW, SideEffects.NONE, False, Allowed),
        (LOW, SideEffects.UNSTATED, True, Refused),
        (LOW, SideEffects.REAL, True, Refused),
        (LOW, SideEffects.NONE, True, Allowed),
        (STANDARD, SideEffects.UNSTATED, False, Allowed),
        (STANDARD, SideEffects.REAL, False, Allowed),
        (STANDARD, SideEffects.NONE, False, Allowed),
        (STANDARD, SideEffects.UNSTATED, True, Allowed),
        (STANDARD, SideEffects.REAL, True, Refused),
        (STANDARD, SideEffects.NONE, True, Allowed),
        *((HIGH, effects, tools, Refused) for effects in SideEffects for tools in (False, True)),
    ],
)
def test_may_serve_floating(stakes: Stakes, effects: SideEffects, tools: bool, kind: type[Ruling]) -> None:
    """A request that carries tools rides a floating model at low only if they change nothing, and at high nothing ever does."""
    ruling = may_serve_floating(stakes, effects, has_tools=tools)
    assert type(ruling) is kind
    if isinstance(ruling, Refused):
        assert ruling.code == "unpinned_model"
        assert ruling.fault().status == 400


@pytest.mark.parametrize(
    ("stakes", "effects", "tools", "pin"), [*product(Stakes, SideEffects, (False, True), (P, N, U))]
)
def test_only_floating_is_judged_again(stakes: Stakes, effects: SideEffects, tools: bool, pin: PinClass) -> None:
    """A release that is not floating was judged when it was made, and its requests are served."""
    assert may_serve_floating(stakes, effects, tools, pin) == Allowed()


@pytest.mark.parametrize(
    ("stakes", "go", "shadowed", "reason", "override", "code", "record"),
    [
        (LOW, True, True, "", "", None, ()),
        (LOW, True, False, "", "", None, ()),
        (LOW, False, True, "", "", "warned", ("no GO",)),
        (LOW, False, False, "", "", "warned", ("no GO",)),
        (STANDARD, True, True, "", "", None, ()),
        (STANDARD, True, False, "", "", "no_shadow", ()),
        (STANDARD, True, False, "urgent", "", "warned", ("no shadow", "a reason: urgent")),
        (STANDARD, False, True, "urgent", "", "gate_not_green", ()),
        (STANDARD, False, True, "", "alice", "gate_not_green", ()),
        (STANDARD, False, True, " ", "alice", "gate_not_green", ()),
        (STANDARD, False, False, "", "", "gate_not_green", ()),
        (
            STANDARD,
            False,
            True,
            "urgent",
            "alice",
            "warned",
            ("no GO", "an override with a name and a reason: alice: urgent"),
        ),
        (
            STANDARD,
            False,
            False,
            "urgent",
            "alice",
            "warned",
            ("no GO", "an override with a name and a reason: alice: urgent", "no shadow", "a reason: urgent"),
        ),
        (HIGH, True, True, "", "", None, ()),
        (HIGH, True, False, "urgent", "alice", "no_shadow", ()),
        (HIGH, False, True, "urgent", "alice", "gate_not_green", ()),
        (HIGH, False, False, "urgent", "alice", "gate_not_green", ()),
    ],
)
def test_may_promote(
    stakes: Stakes, go: bool, shadowed: bool, reason: str, override: str, code: str | None, record: tuple[str, ...]
) -> None:
    """Low is warned, standard needs a named override with a reason, high is refused; what was overridden is recorded."""
    ruling = may_promote(stakes, go=go, shadowed=shadowed, reason=reason, override=override)
    if code is None:
        assert ruling == Allowed()
    elif code == "warned":
        assert isinstance(ruling, Warned)
        assert ruling.record == record
    else:
        assert isinstance(ruling, Refused)
        assert ruling.code == code
        assert ruling.fault().status == 409


def test_high_says_why_it_cannot_be_promoted_yet() -> None:
    """At high, promotion without a GO is refused with what is lacking and with what works instead."""
    ruling = may_promote(HIGH, reason="urgent", override="alice", lacking="task@1 is red.")
    assert isinstance(ruling, Refused)
    assert ruling.message.endswith("task@1 is red.")
    assert "Rollback works" in ruling.message


def test_missing_evidence_is_never_green() -> None:
    """Asked without evidence, no stakes are simply allowed to promote."""
    assert [rank(may_promote(stakes)) for stakes in Stakes] == [1, 2, 2]


def test_unstored_runs() -> None:
    """With neither store nor log a new run is served at low, lives by its ticket at standard and gets a 503 at high."""
    assert isinstance(may_bind_unstored(LOW), Warned)
    standard = may_bind_unstored(STANDARD)
    assert isinstance(standard, Warned)
    assert standard.record == ("ticket",)
    high = may_bind_unstored(HIGH)
    assert isinstance(high, Refused)
    fault = high.fault()
    assert (fault.status, fault.code, fault.retry, fault.retry_after) == (503, "stamp_unavailable", True, 1)


def test_the_table_is_whole() -> None:
    """Every matter is judged at every stakes, every code has a status, and every message is a sentence with something to do."""
    assert set(TABLE) == set(Matter)
    for row in TABLE.values():
        assert set(row) == set(Stakes)
        for cell in row.values():
            for ruling in (cell.plain, cell.excused):
                if isinstance(ruling, Refused):
                    assert ruling.code in KINDS
                    assert ruling.message.count(".") >= 2
                if not isinstance(ruling, Allowed):
                    assert ruling.message.endswith(".")


@pytest.mark.parametrize("matter", Matter)
def test_rigor_grows_with_the_stakes(matter: Matter) -> None:
    """What is refused at some stakes is not excused more easily at higher ones, except where a reason was demanded first."""
    ranks = [rank(TABLE[matter][stakes].plain) for stakes in (LOW, STANDARD, HIGH)]
    assert ranks == sorted(ranks)


def test_an_excuse_never_makes_it_worse() -> None:
    """Saying more never turns an allowance into a refusal."""
    for row in TABLE.values():
        for cell in row.values():
            excused = cell.rule(dict.fromkeys(Excuse, "said"))
            assert rank(excused) <= rank(cell.plain)


def test_nothing_cannot_be_an_excuse() -> None:
    """A cell that names no excuse keeps its ruling, and the wrong excuse does not lift it."""
    cell = Cell(Refused("no_shadow", "No."), Excuse.REASON)
    assert cell.rule({}) == cell.plain
    assert cell.rule({Excuse.OVERRIDE: "alice"}) == cell.plain
    assert cell.rule({Excuse.REASON: "x"}) == Allowed()
