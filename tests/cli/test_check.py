"""`trivet check`: would it serve?"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.cli.app import main
from gateway.wiring.configured import understand
from tests.gateway_process import Gateway

GOOD = "providers:\n  openai: {base_url: 'https://api.openai.com'}\n"


def check(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, object], str]:
    """Exit code, document, and the file's name."""
    file = tmp_path / "gw.yaml"
    file.write_text(text)
    code = main(["check", "--config", str(file), "--json"])
    return code, json.loads(capsys.readouterr().out), str(file)


def test_good_file_is_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that would serve."""
    code, found, _ = check(tmp_path, GOOD, capsys)
    assert (code, found["ok"]) == (0, True)


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        (GOOD + "lissten: 127.0.0.1:1\n", 3, "lissten"),
        (GOOD + "serve: {workers: many}\n", 3, "serve.workers"),
        (GOOD + "listen: 0.0.0.0:8080\n", 3, "listen"),
        ("providers:\n  openai: {base_url: 'http://169.254.169.254/'}\n", 2, "providers.openai.base_url"),
    ],
)
def test_i1_bad_file_is_2_with_line_and_key(
    text: str, line: int, key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """I1, I6, C7: what is wrong is said with file, line and key."""
    code, found, file = check(tmp_path, text, capsys)
    assert code == 2
    problems = found["problems"]
    assert isinstance(problems, list)
    assert any(p.startswith(f"{file}:{line}: {key}") for p in problems), problems


def test_suites_of_a_gate_are_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A broken suite is told with its own line, at the line that names it, and only here: a gateway starts with it."""
    (tmp_path / "s.jsonl").write_text('{"suite":"s","version":1,"kind":"task"}\n{}\n')
    text = GOOD + "aliases:\n  a:\n    first_release: {model: openai/gpt-4o-2024-08-06}\n    gate: {task: s.jsonl}\n"
    code, found, file = check(tmp_path, text, capsys)
    assert (code, found["ok"]) == (2, False)
    assert str(found["problems"]).startswith(f"['{file}:6: aliases.a.gate.task: s.jsonl:2: is no item")
    assert understand(text.encode(), Path(file)).warnings == ()


def test_built_in_defaults_are_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any file the built-in defaults serve."""
    monkeypatch.chdir(tmp_path)
    assert main(["check"]) == 0


def test_live_asks_the_store(gateway: Gateway) -> None:
    """With --live the store's safety and the aliases it knows."""
    found = gateway.json("check", "--live")
    assert found["store"]["safe"] is True
    known = {row["name"]: f"version {row['version']}" for row in gateway.json("status")["aliases"]}
    assert found["aliases"] == known
    assert known["other"] in gateway.shell("check", "--live").stdout


def test_live_without_a_store_is_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A store that is not there is unreachable, and the sentence says what to do."""
    file = tmp_path / "gw.yaml"
    file.write_text(GOOD + f"store: {{data_dir: {tmp_path}/data}}\n")
    assert main(["check", "--live", "--config", str(file)]) == 3
    assert "trivet serve" in capsys.readouterr().err
