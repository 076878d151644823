"""A leg's file as an artifact."""

from __future__ import annotations

import pytest

from gateway.core.contract.release import Mode
from gateway.core.dialect.leg import leg_artifact


def test_files_become_canonical_bytes() -> None:
    """A prompt loses what an editor adds, a toolset its white space and its dialect."""
    assert leg_artifact("prompt", Mode.SERVE, "Be {{how}}, {{app}}.\r\n") == b"Be {{how}}, {{app}}."
    assert leg_artifact("tools", Mode.VERIFY, '[ {"name": "a"} ]').startswith(b'[{"name":"a",')


@pytest.mark.parametrize(
    ("part", "mode", "text", "said"),
    [
        ("prompt", Mode.SERVE, " \n", "empty"),
        ("prompt", Mode.SERVE, "{{1}}", "begins no variable"),
        ("prompt", Mode.VERIFY, "{{app}}!", "nothing to verify"),
        ("tools", Mode.SERVE, "{", "not JSON"),
    ],
)
def test_what_cannot_be_a_leg(part: str, mode: Mode, text: str, said: str) -> None:
    """What is wrong is said."""
    with pytest.raises(ValueError, match=said):
        leg_artifact(part, mode, text)
