"""A desk whose alias `usual` has a gate, for tests of what is said and done before and without a gateway."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from gateway.control.desk import Desk
from gateway.settings.model import GateSettings, MarginSettings, PriceSettings, ProviderSettings
from gateway.upstream.ownport import DataPort


def suite(items: int = 12, **members: Any) -> str:
    """Sums, with these members in each item."""
    rows: list[dict[str, Any]] = [{"suite": "sums", "version": 1, "kind": "task"}]
    for number in range(items):
        right = str(number + 1000)
        base = {
            "id": f"sum-{number}",
            "messages": [{"role": "user", "content": f"{number} + 1000?"}],
            "check": {"contains": [right]},
            "good": {"text": right},
            "bad": {"text": "no"},
        }
        rows.append({**base, **members})
    return "\n".join(json.dumps(row) for row in rows)


def gated(desk: Desk, folder: Path, text: str = "", url: str = "", **members: Any) -> Desk:
    """The desk with a gate on `usual` whose task suite is `text`, and providers that can be called unattended."""
    (folder / "suite.jsonl").write_text(text or suite())
    gate = GateSettings(task=str(folder / "suite.jsonl"), margins=MarginSettings(task=0.25))
    settings = desk.settings
    alias = msgspec.structs.replace(settings.aliases["usual"], gate=msgspec.structs.replace(gate, **members))
    key = ProviderSettings(base_url="https://api.openai.com", api_key="sk-o", prices={"*": PriceSettings(2.5, 10.0)})
    changed = msgspec.structs.replace(
        settings, aliases={**settings.aliases, "usual": alias}, providers={**settings.providers, "openai": key}
    )
    return replace(desk, settings=changed, data_port=lambda: DataPort(url, b"k" * 32))
