"""Variables of a request, as they are read. What becomes of them is in `test_carry.py`."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given as draws
from hypothesis import strategies as st

from gateway.core.contract.fault import Fault
from gateway.core.dialect.base import Envelope
from gateway.core.dialect.splice import scan
from gateway.core.dialect.variables import NONE
from gateway.live.variables import given

VALUES = st.dictionaries(
    st.text(min_size=1, max_size=5).filter(lambda name: name != "app"),
    st.one_of(st.text(max_size=5), st.integers(-9, 9), st.booleans(), st.floats(allow_nan=False, allow_infinity=False)),
    max_size=3,
)


def life(body: Any = None, header: Any = None) -> Any:
    """As much of a request's life as this looks at."""
    fields = {b"x-trivet-vars": json.dumps(header).encode()} if header is not None else {}
    envelope = Envelope(scan(json.dumps(body).encode())) if body is not None else None
    return SimpleNamespace(variables=None, envelope=envelope, incoming=SimpleNamespace(fields=fields))


@draws(VALUES, VALUES)
def test_body_and_header_are_one(body: dict[str, Any], header: dict[str, Any]) -> None:
    """Both may bring variables; a name in both must have one value."""
    one = life({"trivet": {"vars": body}}, header)
    if any(body[name] != header[name] for name in body.keys() & header.keys()):
        with pytest.raises(Fault, match="ambiguous_variable"):
            given(one)
    else:
        assert given(one) == {**body, **header}
        assert given(one) is given(one)


def test_none_is_none() -> None:
    """A request without variables costs no object."""
    assert given(life({"model": "m"})) is NONE
    assert given(life()) is NONE
    assert given(life({"trivet": {}})) == {}
