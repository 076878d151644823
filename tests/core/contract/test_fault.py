"""Faults: one status per kind, and nothing of the request in the exception's text."""

from __future__ import annotations

import pytest

from gateway.core.contract.fault import STATUS, Fault, Kind, Side


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_a_status(kind: Kind) -> None:
    """Each kind of fault answers with an HTTP error status."""
    assert 400 <= STATUS[kind] <= 599
    assert Fault(kind, "some_code", "What is wrong.").status == STATUS[kind]


def test_status_may_be_overridden() -> None:
    """A provider's own status stands where the fault says so."""
    assert Fault(Kind.OVERLOADED, "overloaded", "Busy.", status=529, side=Side.PROVIDER).status == 529


def test_the_code_is_the_reason_unless_another_is_given() -> None:
    """The rejection counter is labelled with the code by default."""
    assert Fault(Kind.BAD_REQUEST, "invalid_json", "Not JSON.").reason == "invalid_json"
    assert Fault(Kind.BAD_REQUEST, "invalid_json", "Not JSON.", reason="json").reason == "json"


def test_text_of_the_exception_is_only_the_code() -> None:
    """A traceback or a log line of a fault shows its code, not its message."""
    assert str(Fault(Kind.AUTH, "invalid_api_key", "The key is not known.")) == "invalid_api_key"
