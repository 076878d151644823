"""The room's errors: what they carry, and that they quote nothing."""

from __future__ import annotations

import pytest

from gateway.wire.errors import (
    BadMessage,
    ClientGone,
    ConnectFailed,
    DeadlineExceeded,
    Draining,
    UpstreamBroken,
    UpstreamLost,
    WireError,
)


def test_each_is_a_wire_error_with_its_facts() -> None:
    """One base class catches all of them, and each keeps what its reader decides by."""
    bad = BadMessage(400, "bad_path", "path")
    lost = UpstreamLost(sent=True, began=False)
    assert (bad.status, bad.code, bad.reason, bad.message) == (400, "bad_path", "path", "bad path")
    assert (lost.sent, lost.began) == (True, False)
    assert ClientGone("wait").phase == DeadlineExceeded("wait").phase == "wait"
    assert ConnectFailed("dns").kind == "dns"
    assert UpstreamBroken("chunk").reason == "chunk"
    for error in (
        bad,
        lost,
        ClientGone("x"),
        DeadlineExceeded("x"),
        Draining(),
        ConnectFailed("x"),
        UpstreamBroken("x"),
    ):
        with pytest.raises(WireError):
            raise error
    assert repr(bad) == "BadMessage(400, 'bad_path', 'path')"
