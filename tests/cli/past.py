"""A store with a shadow's past, and the command line working on it directly: no gateway is needed to look at results."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.cli.app import main
from gateway.control.desk import Desk
from gateway.control.releases import create
from gateway.core.contract.alias import AliasState, Lane
from gateway.core.contract.pair import PairClass
from gateway.core.contract.records import ReleaseAsk
from gateway.settings import tables
from gateway.settings.model import ProviderSettings, Settings, StoreSettings
from gateway.store import aliases
from gateway.store.client import Store
from tests.control.stored import keep
from tests.store.servers import RealRedis

CONFIG = """
store: {{redis: "{url}", data_dir: "{folder}"}}
stamp_keys: [{key}]
capture: redacted
providers: {{openai: {{base_url: "https://api.openai.com", api_key: sk-x}}}}
"""
NOW = 1_700_000_000_000


@dataclass
class Past:
    """Where the store is, the releases in it, and a way to type a command."""

    url: str
    config: Path
    live: str
    candidate: str
    other: str
    """A release that was never a candidate."""

    def type(self, *words: str, status: int = 0) -> None:
        """Run a command in this process; what it prints is pytest's to capture."""
        assert main([*words, "--direct", "--config", str(self.config)]) == status


@contextmanager
def stored(folder: Path) -> Iterator[Past]:
    """Three pairs of `support`: 40 and 41, graver each time; the first line says that they are identical."""
    with RealRedis(folder / "redis") as server:
        config = folder / "gateway.yaml"
        config.write_text(CONFIG.format(url=server.url, folder=folder / "data", key="k" * 40))
        config.chmod(0o600)
        yield asyncio.run(_fill(server.url, config))


async def _fill(url: str, config: Path) -> Past:
    settings = Settings(
        store=StoreSettings(redis=url), providers={"openai": ProviderSettings("https://api.openai.com", "sk-x")}
    )
    async with Store(settings.store) as store:
        desk = Desk(store, settings, tables.pinning(), "alice", NOW)
        days = ("2024-05-13", "2024-08-06", "2024-11-20")
        made = [(await create(desk, ReleaseAsk(model=f"openai/gpt-4o-{day}"))).id for day in days]
        await aliases.create(store, AliasState("support", 1, {"*": Lane(made[0])}), desk.entry("first_release", "t"))
        for number, found in enumerate((PairClass.IDENTICAL, PairClass.DIVERGENT, PairClass.REGRESSION)):
            await keep(store, number, (made[0], made[1]), found=found, severity=number / 4, at_ms=NOW + number)
    return Past(url, config, *made)


Said = pytest.CaptureFixture[str]
