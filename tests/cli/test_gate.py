"""`trivet gate check`: the verdict as an exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.past import Said, stored
from tests.control.gates import ITEMS, suite_file

GATE = """
aliases:
  support:
    first_release: {{model: openai/gpt-4o-2024-08-06}}
    gate: {{task: "{suite}"}}
"""


@pytest.mark.parametrize(("failed", "code", "word"), [(None, 2, "INSUFFICIENT"), (0, 0, "GO"), (30, 1, "NO-GO")])
def test_exit_codes(
    tmp_path_factory: pytest.TempPathFactory, failed: int | None, code: int, word: str, capsys: Said
) -> None:
    """0 for GO, 1 for NO-GO, 2 for INSUFFICIENT; `--json` prints the whole report."""
    folder: Path = tmp_path_factory.mktemp("gate")
    with stored(folder) as past:
        past.config.write_text(past.config.read_text() + GATE.format(suite=suite_file(folder)))
        if failed is not None:
            sides = ["--candidate", past.candidate, "--incumbent", past.live, "--kind", "task"]
            logs: list[str] = []
            for side, count in (("candidate", failed), ("incumbent", 0)):
                rows = [{"problem_idx": f"i{at}", "reward": int(at >= count)} for at in range(ITEMS)]
                (folder / side).write_text("\n".join(json.dumps(row) for row in rows))
                logs += [f"--{side}-log", str(folder / side)]
            past.type("evidence", "import", "support", *sides, *logs, status=code)
        capsys.readouterr()
        past.type("gate", "check", "support", "--release", past.candidate, status=code)
        assert word in capsys.readouterr().out
        past.type("gate", "check", "support", "--release", past.candidate, "--json", status=code)
        record = json.loads(capsys.readouterr().out)
        assert (record["verdict"], record["incumbent"]) == (word, past.live)
