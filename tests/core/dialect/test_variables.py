"""Variables in a body and in a header: one set, or an error that names the one that is wrong."""

from __future__ import annotations

import pytest

from gateway.core.contract.fault import Fault
from gateway.core.dialect.variables import missing, read, unknown


def test_body_and_header_together() -> None:
    """Both places count, and what neither has is not there."""
    assert read(b'{"vars":{"a":1,"b":"x"}}', b'{"c":true,"a":1}') == {"a": 1, "b": "x", "c": True}
    assert read(None, None) == {} and read(b'{"other":1}', None) == {}


@pytest.mark.parametrize(
    ("raw", "header", "code", "param"),
    [
        (b"3", None, "bad_variables", "trivet"),
        (b'{"vars":3}', None, "bad_variables", "trivet.vars"),
        (b'{"vars":{"a":[]}}', None, "bad_variables", "trivet.vars.a"),
        (None, b"{", "bad_variables", "x-trivet-vars"),
        (None, '{"a":"é"}'.encode(), "bad_variables", "x-trivet-vars"),
        (b'{"vars":{"a":1}}', b'{"a":2}', "ambiguous_variable", "a"),
        (None, b'{"app":"x"}', "unknown_variable", "app"),
    ],
)
def test_what_means_nothing_is_named(raw: bytes | None, header: bytes | None, code: str, param: str) -> None:
    """Each slip is a 400 that says where it is."""
    with pytest.raises(Fault, match=code) as caught:
        read(raw, header)
    assert (caught.value.status, caught.value.param) == (400, param)


def test_what_is_told_of_a_variable() -> None:
    """One nobody uses, and one that is needed."""
    assert unknown("x").code == "unknown_variable" and "rel_1" in missing("x", "rel_1").message
