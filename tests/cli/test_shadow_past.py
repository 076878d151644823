"""`trivet shadow rediff|replay|export`, on a store with a shadow's past."""

from __future__ import annotations

import asyncio
import builtins
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.cli import shadow_past
from gateway.settings.model import StoreSettings
from gateway.store import jobs, pairs
from gateway.store.client import Store
from tests.cli.past import Past, Said, stored


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Past]:
    """One store for the file."""
    with stored(tmp_path_factory.mktemp("past")) as made:
        yield made


def test_rediff_goes_on_to_the_end(past: Past, capsys: Said) -> None:
    """Every stored pair is compared again, and the changed classes are told."""
    past.type("shadow", "rediff", "support", "--json")
    told = json.loads(capsys.readouterr().out)
    assert told["looked"] == told["changed"] == 3
    assert told["classes"] == {"identical to divergent": 1, "regression to divergent": 1}
    past.type("shadow", "rediff", "support")
    assert "pairs" in capsys.readouterr().out


def test_replay_hands_over_and_ends_by_its_budget(past: Past, capsys: Said) -> None:
    """With --no-wait the jobs are handed over and it leaves; a candidate whose pairs cost the budget already stops at once."""
    words = ("shadow", "replay", "support", "--since", "2023-01-01", "--candidate")
    past.type(*words, past.other, "--no-wait", "--json")
    assert json.loads(capsys.readouterr().out)["added"] == 3
    past.type(*words, past.other, "--no-wait")
    assert "on their way" in capsys.readouterr().out
    past.type(*words, past.candidate, "--budget", "0.00001", status=1)
    assert "the budget is spent" in capsys.readouterr().err
    past.type(*words, past.other, "--secondary", "2", status=2)


def test_replay_stays_until_every_request_has_its_result(
    past: Past, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It hands over, looks while somebody works, and ends when nothing is on its way; started again there is nothing to do."""
    monkeypatch.setattr(shadow_past, "LOOK_SECONDS", 0.02)
    worker = threading.Thread(target=lambda: asyncio.run(work(past.url, 3)))
    worker.start()
    words = ("shadow", "replay", "support", "--since", "2023-01-01", "--candidate", past.other, "--json")
    try:
        past.type(*words)
    finally:
        worker.join()
    told = json.loads(capsys.readouterr().out)
    assert (told["pairs"], told["done"], told["queued"], told["left"]) == (3, 3, 0, 0)
    past.type(*words)
    assert json.loads(capsys.readouterr().out)["added"] == 0


async def work(url: str, count: int) -> None:
    """End so many jobs, as a worker that finds them unfit."""
    async with Store(StoreSettings(redis=url)) as store:
        await jobs.prepare(store)
        while count:
            for each in await jobs.take(store, "w", 10, 200):
                assert each.job is not None
                await pairs.skip(
                    store, "support", each.job.candidate, each.job.pair, "tools", time.time_ns() // 1_000_000
                )
                await jobs.done(store, [each.id])
                count -= 1


def test_export_as_lines_and_columns(past: Past, capsysbinary: Any, tmp_path: Path) -> None:
    """A record per line, or a table with plain columns and the rest as JSON; both hold every pair."""
    past.type("shadow", "export", "support")
    lines = [json.loads(line) for line in capsysbinary.readouterr().out.splitlines()]
    assert len(lines) == 3 and lines[0]["differences"]
    parquet = pytest.importorskip("pyarrow.parquet")
    past.type("shadow", "export", "support", "--format", "parquet", "-o", str(tmp_path / "x.parquet"))
    rows = parquet.read_table(tmp_path / "x.parquet").to_pylist()
    assert {row["pair"] for row in rows} == {line["pair"] for line in lines}
    assert rows[0]["turn"] == "first" and rows[0]["candidate_cost"] == 10
    assert json.loads(rows[0]["differences"])


def test_parquet_says_what_it_needs(past: Past, capsys: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a file, or without the extra, the refusal says what to do."""
    past.type("shadow", "export", "support", "--format", "parquet", status=2)
    assert "-o" in capsys.readouterr().err
    real = builtins.__import__

    def without(name: str, *args: Any, **more: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real(name, *args, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    past.type("shadow", "export", "support", "--format", "parquet", "-o", str(tmp_path / "y"), status=2)
    assert "trivet[export]" in capsys.readouterr().err
