"""`trivet evidence` and `trivet gate check`, on a store: logs in, verdict and exit code out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.cli.evidence import earlier, unpacker
from tests.cli.past import Past, Said, stored
from tests.control.gates import ITEMS, suite_file

GOLDEN = Path(__file__).parents[1] / "golden" / "evals"
GATE = """
aliases:
  support:
    first_release: {{model: openai/gpt-4o-2024-08-06}}
    gate: {{task: "{suite}", safety: external/capitals@3}}
"""


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Past]:
    """One store for the file; `support` declares a task suite and one of another engine."""
    folder = tmp_path_factory.mktemp("evidence")
    with stored(folder) as made:
        text = made.config.read_text() + GATE.format(suite=suite_file(folder))
        made.config.write_text(text)
        yield made


def lines(file: Path, failed: int = 0) -> Path:
    """One release's answers to the task suite, of which so many failed."""
    file.write_text(
        "\n".join(json.dumps({"problem_idx": f"i{at}", "reward": float(at >= failed)}) for at in range(ITEMS))
    )
    return file


def order(past: Past, candidate_log: Path, incumbent_log: Path, *words: str) -> list[str]:
    """The words of an import of the past's candidate."""
    sides = ["--candidate", past.candidate, "--incumbent", past.live]
    logs = ["--candidate-log", str(candidate_log), "--incumbent-log", str(incumbent_log)]
    return ["evidence", "import", "support", *sides, *logs, "--kind", "task", *words]


def test_from_logs_to_a_verdict(past: Past, tmp_path: Path, capsys: Said) -> None:
    """Nothing, green lines, then red ones: INSUFFICIENT, still so for want of the other suite, then NO-GO; each can be seen."""
    past.type("gate", "check", "support", "--release", past.candidate, status=2)
    good, bad = lines(tmp_path / "good"), lines(tmp_path / "bad", 20)
    past.type(*order(past, good, good, "--note", "nightly"), status=2)
    told = capsys.readouterr().out
    assert "imported by local" in told and "my-task@1" in told and "INSUFFICIENT" in told
    past.type(*order(past, bad, good, "--json"), status=1)
    record = json.loads(capsys.readouterr().out)
    assert record["report"]["verdict"] == "NO-GO" and record["row"]["engine"] == "jsonl"
    past.type("evidence", "list", "support")
    assert "nightly" in capsys.readouterr().out
    past.type("evidence", "show", record["digest"][:10], "--items")
    told = capsys.readouterr().out
    assert record["digest"] in told and "i19" in told and "NO-GO" in told
    past.type("gate", "check", "support", "--release", past.candidate, status=1)


def test_logs_of_other_engines(past: Past, capsys: Said) -> None:
    """An Inspect log in both formats, as the suite that the alias takes from another engine."""
    pair = order(past, GOLDEN / "inspect.eval", GOLDEN / "inspect.json", "--json")
    words = [word if word != "task" else "safety" for word in pair]
    past.type(*words, status=1)  # the red task suite of the test before, or INSUFFICIENT alone
    record = json.loads(capsys.readouterr().out)
    assert record["row"]["engine"] == "inspect_ai 0.3.285"
    assert record["row"]["suites"][0]["suite"] == "capitals@3"
    assert "mockllm/model" in record["warnings"][0]


@pytest.mark.parametrize(
    ("candidate", "incumbent", "told"),
    [
        ("gone", "lines.jsonl", "cannot be read"),
        ("promptfoo.json", "promptfoo.json", "says that it asked rel_0123456789abcdef"),
        ("lines.jsonl", "inspect.json", "different suites"),
    ],
)
def test_logs_that_do_not_fit(past: Past, candidate: str, incumbent: str, told: str, capsys: Said) -> None:
    """A file that is not there, of another release, of another suite: nothing is sent."""
    past.type(*order(past, GOLDEN / candidate, GOLDEN / incumbent), status=7)
    assert told in capsys.readouterr().err.replace("\n", " ")


def test_other_items_are_refused(past: Past, tmp_path: Path, capsys: Said) -> None:
    """Scores of other items than the suite declares are no evidence of it."""
    file = tmp_path / "few"
    file.write_text('{"problem_idx": "i0", "reward": 1}')
    past.type(*order(past, file, file), status=7)
    assert "59 of its items are missing" in capsys.readouterr().err.replace("\n", " ")
    past.type("evidence", "list", "support", "--limit", "0", status=2)
    past.type("evidence", "show", "0" * 64, status=1)


def test_a_log_without_a_time_makes_the_other_no_younger() -> None:
    """Evidence is as old as the older of its logs; one that tells no time leaves it at the other's, and two at none."""
    old, new = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00+00:00"
    assert earlier(old, new) == earlier(new, old) == earlier("", old) == earlier(old, "soon") == 1_767_225_600_000
    assert earlier("", "") == 0


def test_the_decoder_is_bounded() -> None:
    """Bytes that unpack to another size than they should are refused."""
    zstandard = pytest.importorskip("zstandard")
    unpack = unpacker()
    assert unpack is not None
    packed = zstandard.compress(b"x" * 1000)
    assert unpack(packed, 1000) == b"x" * 1000
    for data, size in ((packed, 999), (packed, 1001), (b"no", 2)):
        with pytest.raises(ValueError, match=r"is not of|did not|nknown"):
            unpack(data, size)
