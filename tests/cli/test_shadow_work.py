"""`trivet shadow work` in a process of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.cli.exits import Exit
from gateway.cli.reach import Failed
from gateway.cli.shadow_work import work


def test_a_bad_configuration_is_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It says what is wrong with the file, and ends with 2."""
    file = tmp_path / "gateway.yaml"
    file.write_text("listen: [1]\n")
    with pytest.raises(Failed) as caught:
        work(config=str(file))
    assert caught.value.code == Exit.USAGE and "listen" in capsys.readouterr().err
