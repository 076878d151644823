"""One gateway for all tests of the command line: an alias `support` with runs behind it, and a provider that answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.gateway_process import Gateway, running
from tests.provider import Provider

MODEL = "openai/gpt-4o-2024-08-06"
NAMES = ["ordered", "other", "promoted", "rolled", "support"]
"""Its aliases."""


@pytest.fixture(scope="package")
def gateway() -> Iterator[Gateway]:
    """A gateway with one worker and one run `r-1` of two steps. Every file uses it: `support` keeps its first release."""
    with Provider() as provider:
        aliases: dict[str, Any] = {name: {"first_release": {"model": MODEL}} for name in NAMES}
        for name in ("rolled", "ordered"):
            aliases[name]["stakes"] = "low"
        with running({"openai": provider.url}, aliases=aliases) as made:
            for _ in range(2):
                call(made, "support", "r-1")
            yield made


def call(gateway: Gateway, model: str, run: str) -> httpx.Response:
    """One chat completion."""
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
    answer = httpx.post(f"{gateway.base}/v1/chat/completions", json=body, headers={"x-trivet-run": run})
    assert answer.status_code == 200, answer.text
    return answer
