"""The examples in docs/ that read a shadow's results without Trivet, run as they stand against a real server."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import msgspec
import pytest

from gateway.core.contract.pair import Difference, Dimension, Side
from gateway.store import pairs
from gateway.store.client import Store
from tests.house.tree import ROOT
from tests.store.test_pairs import line

pytestmark = pytest.mark.anyio


async def fill(store: Store) -> None:
    """Three pairs of `support`, two of them with a secondary that differs in the text."""
    noise = (Difference(Dimension.TEXT, "$.text", "a", "b", 0.25),)
    for number in range(3):
        told = line(number)
        if number:
            told = msgspec.structs.replace(told, secondary=Side("rel_1", total_ms=11.0, cost=7), noise=noise)
        await pairs.finish(store, "support", "rel_2", told, 1000)


def run(store: Store, *words: str) -> str:
    """What a Python process prints that sees nothing of Trivet."""
    known = {**os.environ, "REDIS_URL": store.url, "ALIAS": "support"}
    known.pop("PYTHONPATH", None)
    done = subprocess.run([sys.executable, *words], env=known, cwd="/", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def test_ten_lines_read_the_diffs(store: Store) -> None:
    """docs/shadow-diffs.py counts classes and lists the gravest pairs, in at most ten lines that do something."""
    await fill(store)
    path = ROOT / "docs" / "shadow-diffs.py"
    told = run(store, str(path), "support")
    assert "('rel_2', 'later', 'divergent'): 3" in told and "numbers at $.text" in told
    working = [
        each for each in path.read_text().splitlines() if each.strip() and not each.startswith(("#", "import", "from"))
    ]
    assert len(working) <= 10


async def test_the_notebook_runs_from_top_to_bottom(store: Store) -> None:
    """docs/shadow-diffs.ipynb is a notebook without outputs; its cells run as one program and tell rates with their noise."""
    await fill(store)
    text = (ROOT / "docs" / "shadow-diffs.ipynb").read_text()
    book = json.loads(text)
    cells = [each for each in book["cells"] if each["cell_type"] == "code"]
    assert book["nbformat"] == 4 and cells
    assert all(each["outputs"] == [] and each["execution_count"] is None for each in cells)
    told = run(store, "-c", "\n".join("".join(each["source"]) for each in cells))
    assert "numbers" in told and "raw 100.0%  noise   0.0%  excess +100.0%" in told
    assert "text" in told and "candidate  median" in told
