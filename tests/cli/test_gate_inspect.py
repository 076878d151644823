"""Inspect is run on both releases at once, through this gateway's data port; that its logs are read is tested elsewhere."""

from __future__ import annotations

import json
import os
import sys
import time
from hashlib import sha256
from pathlib import Path

import pytest

from gateway.cli.exits import Exit
from gateway.cli.gate_inspect import environment, found, inspect, logs
from gateway.cli.reach import Failed, Reach
from gateway.core.binding.internal import verify
from gateway.wiring.dataport import VARIABLE

FAKE = """
import json, os, pathlib, sys
words = dict(zip(sys.argv[1:], sys.argv[2:]))
if "broken" in sys.argv[1]:
    sys.exit("it is broken")
said = {"argv": sys.argv[1:], "url": os.environ["TRIVET_BASE_URL"], "cwd": os.getcwd()}
(pathlib.Path(words["--log-dir"]) / "x.json").write_text(json.dumps(said))
"""


def test_both_releases_are_asked(tmp_path: Path) -> None:
    """Each by its id as the model, in the folder of the task's file, with a log of its own."""
    (tmp_path / "fake.py").write_text(FAKE)
    (tmp_path / "sums.py").write_text("")
    command = [sys.executable, str(tmp_path / "fake.py")]
    made = {**os.environ, "TRIVET_BASE_URL": "http://127.0.0.1:1/v1"}
    task = f"{tmp_path / 'sums.py'}@small"
    told = [json.loads(log.read_text()) for log in logs(command, task, ("rel_1", "rel_2"), made, folder=tmp_path)]
    assert [each["argv"][:3] for each in told] == [
        ["sums.py@small", "--model", f"openai-api/trivet/{release}"] for release in ("rel_1", "rel_2")
    ]
    assert {each["cwd"] for each in told} == {str(tmp_path)}
    (tmp_path / "again").mkdir()
    with pytest.raises(Failed, match="it is broken"):
        logs(command, "broken", ("rel_1", "rel_2"), made, folder=tmp_path / "again")


def test_it_calls_as_the_gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the data port's address and a credential of the gateway's own for a day, and nothing that a tenant has."""
    monkeypatch.delenv(VARIABLE, raising=False)
    file = tmp_path / "gateway.yaml"
    file.write_text(f"store: {{data_dir: {tmp_path}/data}}\nstamp_keys: ['{'k' * 40}']\nlisten: 127.0.0.1:8099\n")
    made = environment(Reach(config=str(file)))
    assert made["TRIVET_BASE_URL"] == "http://127.0.0.1:8099/v1"
    assert verify([sha256(b"k" * 40).digest()], made["TRIVET_API_KEY"], time.time_ns() // 1_000_000) == "gate"
    file.write_text(f"store: {{data_dir: {tmp_path}/data}}\nlisten: 127.0.0.1:0\n")
    with pytest.raises(Failed, match="no gateway of this configuration"):
        environment(Reach(config=str(file)))


def test_without_inspect_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the package nor the command; and words that cannot be meant are usage."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Failed, match=r"trivet\[inspect\]") as caught:
        found()
    assert caught.value.code == Exit.USAGE
    with pytest.raises(Failed):
        inspect("x", alias="a", release="r", kind="task", epochs=0)
