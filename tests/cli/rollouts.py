"""A manifest that a test can wait for, and traffic for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.cli.conftest import call
from tests.gateway_process import Gateway

NEW = "openai/gpt-4o-2024-11-20"
OBSERVED = dict.fromkeys(("latency_ms", "cost_micro", "steps", "lost_run"), "observe")
"""What a few runs of one request say nothing of."""


def manifest(folder: Path, alias: str, release: str, **more: Any) -> Path:
    """A file with two steps without bake, a run or two each, and no shadow."""
    steps = [{"weight": "40%", "bake": 0, "runs": 1}, {"weight": "60%", "bake": 0, "runs": 1}]
    value = {
        "kind": "Rollout",
        "alias": alias,
        "release": release,
        "steps": steps,
        "promoting": {"weight": "90%", "bake": 0, "runs": 1},
        "skip_shadow": "nothing to compare yet",
        "guardrails": OBSERVED,
        **more,
    }
    file = folder / "m.yaml"
    file.write_text(yaml.safe_dump(value, sort_keys=False))
    return file


@contextmanager
def traffic(gateway: Gateway, alias: str) -> Iterator[None]:
    """Runs of one request each, a hundred in a second, until the end."""
    over = threading.Event()

    def serve() -> None:
        number = 0
        while not over.is_set():
            number += 1
            call(gateway, alias, f"{alias}-{number}")
            time.sleep(0.01)

    serving = threading.Thread(target=serve)
    serving.start()
    try:
        yield
    finally:
        over.set()
        serving.join(10)
