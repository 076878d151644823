"""Inspect's logs, real ones of 0.3.285 in both formats: whole runs are read, anything else is refused."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.evidence import unpacker
from gateway.core.gate.brought import Unreadable
from gateway.core.gate.inspect_log import read_eval, read_json

GOLDEN = Path(__file__).parents[2] / "golden" / "evals"
JSON, EVAL = (GOLDEN / "inspect.json").read_bytes(), (GOLDEN / "inspect.eval").read_bytes()
Change = Callable[[dict[str, Any]], object]


def changed(change: Change) -> bytes:
    """The JSON log with something done to it."""
    log = json.loads(JSON)
    change(log)
    return json.dumps(log).encode()


def repacked(log: dict[str, Any]) -> bytes:
    """A log as a `.eval` whose entries any Python can read."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for sample in log.pop("samples"):
            archive.writestr(f"samples/{sample['id']}_epoch_{sample['epoch']}.json", json.dumps(sample))
        archive.writestr("reductions.json", json.dumps(log.pop("reductions")))
        archive.writestr("header.json", json.dumps(log))
    return made.getvalue()


def test_a_json_log_is_read() -> None:
    """Scores of both epochs by item, the suite with its version, the engine with its version, who answered and when."""
    found = read_json(JSON, "f")
    assert found.items == {"c0": (1.0, 1.0), "c1": (0.0, 1.0), "c2": (1.0, 1.0)}
    assert (found.suite, found.engine) == ("capitals@3", "inspect_ai 0.3.285")
    assert (dict(found.models), found.fallbacks, found.release) == ({"mockllm/model": 6}, 0, "")
    assert found.categories == {"c0": "x", "c1": "x", "c2": "x"}
    assert found.started.startswith("2026-") and found.ended.startswith("2026-")


def test_both_formats_say_the_same() -> None:
    """One log as JSON and as an archive: the same scores, models and times; a real archive of Zstandard entries is read too."""
    assert read_eval(repacked(json.loads(JSON)), "f", None) == read_json(JSON, "f")
    found = read_eval(EVAL, "f", unpacker())
    assert set(found.items) == {"c0", "c1", "c2"}
    assert all(len(values) == 2 for values in found.items.values())
    assert found.suite == "capitals@3"


def test_without_the_decoder_the_way_out_is_told() -> None:
    """Where Zstandard cannot be read, the error names the extra and the option of Inspect that spares it."""
    with pytest.raises(Unreadable, match=r"trivet\[inspect-logs\].*--log-format json"):
        read_eval(EVAL, "f", None)


def test_letters_are_not_guessed() -> None:
    """Where the scores of epochs do not come to Inspect's own number, that number alone is taken."""

    def other(log: dict[str, Any]) -> None:
        for sample in log["samples"]:
            sample["scores"]["includes"]["value"] = "GOOD"

    assert read_json(changed(other), "f").items == {"c0": (1.0,), "c1": (0.5,), "c2": (1.0,)}
    best = changed(lambda log: log["reductions"][0]["samples"][1].update(value=1.0))
    assert read_json(best, "f").items["c1"] == (1.0,)


def test_samples_that_failed_have_no_score() -> None:
    """An error or an invalidated sample is neither passed nor failed."""
    for member in ("error", "invalidation"):

        def fail(log: dict[str, Any], member: str = member) -> None:
            log["samples"][4][member] = {"message": "m"}
            log["reductions"][0]["samples"][1]["value"] = 0.0

        assert read_json(changed(fail), "f").items["c1"] == (0.0, None)


def test_answers_by_another_model_are_counted() -> None:
    """By the model that the sample's output names, and by what Inspect itself notes."""
    other = read_json(changed(lambda log: log["samples"][0]["output"].update(model="other")), "f")
    assert (other.fallbacks, dict(other.models)) == (1, {"other": 1, "mockllm/model": 5})
    noted = changed(lambda log: log["samples"][0].update(model_fallbacks=[{"fallback_model": "x", "count": 3}]))
    assert read_json(noted, "f").fallbacks == 3


def test_the_release_stands_in_the_models_name() -> None:
    """A run through the gateway asked a release by its id."""
    made = changed(lambda log: log["eval"].update(model="openai-api/trivet/rel_0123456789abcdef"))
    assert read_json(made, "f").release == "rel_0123456789abcdef"


def test_nan_is_no_score() -> None:
    """Inspect writes NaN for what could not be scored."""

    def none(log: dict[str, Any]) -> None:
        log["reductions"][0]["samples"][0]["value"] = float("nan")
        for at in (0, 3):
            log["samples"][at]["scores"]["includes"]["value"] = float("nan")

    found = read_json(changed(none), "f")
    assert found.items["c0"] == (None, None)
    assert found.items["c1"] == (0.0, 1.0)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda log: log.update(status="error"), "ended as 'error'"),
        (lambda log: log.update(status="cancelled"), "ended as 'cancelled'"),
        (lambda log: log.update(status="started"), "ended as 'started'"),
        (lambda log: log.update(invalidated=True), "were invalidated"),
        (lambda log: log.update(version=3), "of log version 3"),
        (lambda log: log.pop("eval"), "is no log of Inspect"),
        (lambda log: log.update(reductions=[]), "has no reductions"),
        (lambda log: log["reductions"].append({"scorer": "two", "samples": []}), "several scorers, includes, two"),
        (lambda log: log["reductions"][0]["samples"][0].update(value=7), "sample c0: the score is '7'"),
        (lambda log: log["reductions"][0]["samples"][0].update(value={"a": 1}), "sample c0: the score is"),
        (lambda log: log["reductions"][0].update(samples=[]), "scored nothing"),
    ],
)
def test_runs_that_are_no_evidence(change: Change, told: str) -> None:
    """Refused with what is wrong, in either format."""
    with pytest.raises(Unreadable, match=told):
        read_json(changed(change), "f")


def test_a_scorer_is_chosen() -> None:
    """By name; one that is not there is told with those that are."""
    two = changed(lambda log: log["reductions"].append({**log["reductions"][0], "scorer": "two"}))
    assert len(read_json(two, "f", "includes").items) == 3
    with pytest.raises(Unreadable, match="has no scorer three"):
        read_json(two, "f", "three")


@pytest.mark.parametrize("cut", [0, 3, 40, 2000, len(EVAL) - 10])
def test_an_archive_that_was_cut(cut: int) -> None:
    """Whatever is left of a file, it is refused, never half read."""
    with pytest.raises(Unreadable):
        read_eval(EVAL[:cut], "f", unpacker())


def test_an_archive_that_lies() -> None:
    """Damaged entries, an archive of something else, and one that would fill the memory."""
    damaged = bytearray(EVAL)
    damaged[700:900] = bytes(200)
    with pytest.raises(Unreadable):
        read_eval(bytes(damaged), "f", unpacker())
    empty = io.BytesIO()
    with zipfile.ZipFile(empty, "w") as archive:
        archive.writestr("x.json", "{}")
    with pytest.raises(Unreadable, match=r"has no header\.json"):
        read_eval(empty.getvalue(), "f", None)


@pytest.mark.slow
def test_a_fresh_log_of_inspect(tmp_path: Path) -> None:
    """The Inspect that is installed, if it is, writes logs that are read; it runs its own mock model, without a network."""
    pytest.importorskip("inspect_ai")
    text = (  # the tokeniser would fetch its tables from the network; lengths do
        "import tiktoken\n"
        "tiktoken.get_encoding = lambda *_, **__: type('E', (), {'__getattr__': lambda *_: lambda t, **_: [0] * len(t)})()\n"
        "from inspect_ai import Task, eval\nfrom inspect_ai.dataset import Sample\nfrom inspect_ai.scorer import includes\n"
        "task = Task(dataset=[Sample(id=f'c{i}', input='q', target='mockllm') for i in range(3)], scorer=includes())\n"
        "for form in ('json', 'eval'):\n"
        "    eval(task, model='mockllm/model', log_dir=form, log_format=form, epochs=2, display='none')\n"
    )
    subprocess.run([sys.executable, "-c", text], cwd=tmp_path, check=True)
    (plain,), (packed,) = list(tmp_path.glob("json/*.json")), list(tmp_path.glob("eval/*.eval"))
    one = read_json(plain.read_bytes(), "f")
    assert one.items == read_eval(packed.read_bytes(), "f", unpacker()).items
    assert one.items == {f"c{i}": (1.0, 1.0) for i in range(3)}
