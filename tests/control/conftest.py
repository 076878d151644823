"""A desk on a real, empty server: providers with pinned ids, an alias `agent` on release A with A's predecessor known."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from gateway import data
from gateway.control.desk import Desk
from gateway.control.releases import create
from gateway.core.contract.alias import AliasState, Lane, SideEffects, Stakes
from gateway.core.contract.artifact import digest
from gateway.core.contract.records import ReleaseAsk
from gateway.core.contract.release import Leg, Mode, Params, PinClass, Release, Triple, release_id
from gateway.core.pinning.table import PinTable, parse
from gateway.settings.model import AliasSettings, ProviderSettings, ReleaseSettings, Settings, StoreSettings
from gateway.store import aliases, releases
from gateway.store.client import Store
from tests.store.servers import RealRedis

MODELS = {
    "A": "openai/gpt-4o-2024-05-13",
    "B": "openai/gpt-4o-2024-08-06",
    "C": "openai/gpt-4o-2024-11-20",
    "D": "openai/gpt-4o-mini-2024-07-18",
}
"""Pinned ids of the table, by letter."""


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run on asyncio, as the product does."""
    return "asyncio"


@pytest.fixture(scope="package")
def package_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRedis]:
    """A server for the whole package."""
    server = RealRedis(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest.fixture(scope="package")
def pins() -> PinTable:
    """The table that ships."""
    return parse((Path(data.__file__).parent / "pinning.toml").read_text())


@pytest.fixture
async def desk(package_redis: RealRedis, pins: PinTable, tmp_path: Path) -> AsyncIterator[Desk]:
    """A desk of alice on an empty server; alias `agent` is declared with stakes `low`."""
    if package_redis.process is None or package_redis.process.poll() is not None:
        package_redis.start()
    package_redis.ask("FLUSHALL")
    settings = Settings(
        store=StoreSettings(redis=package_redis.url, data_dir=str(tmp_path / "data")),
        providers={
            "openai": ProviderSettings(base_url="https://api.openai.com"),
            "anthropic": ProviderSettings(base_url="https://api.anthropic.com"),
        },
        aliases={
            name: AliasSettings(ReleaseSettings(MODELS["A"]), stakes=stakes, side_effects=SideEffects.NONE)
            for name, stakes in (("agent", Stakes.LOW), ("usual", Stakes.STANDARD), ("grave", Stakes.HIGH))
        },
    )
    store = Store(settings.store)
    yield Desk(store=store, settings=settings, pins=pins, actor="alice", now_ms=1_700_000_000_000)
    await store.close()


Make = Callable[[str], Awaitable[str]]
Place = Callable[..., Awaitable[AliasState]]


@pytest.fixture
def made(desk: Desk) -> Make:
    """Make the release of a letter; its id."""

    async def make(letter: str) -> str:
        return (await create(desk, ReleaseAsk(model=MODELS[letter]))).id

    return make


async def with_legs(desk: Desk, letter: str, params: Params | None = None, **legs: tuple[Mode, str]) -> str:
    """Store a release whose legs this version does not make, as a newer one would; its id."""
    texts = {digest(text.encode()): text.encode() for _, text in legs.values()}
    made = {part: Leg(mode, digest(text.encode())) for part, (mode, text) in legs.items()}
    triple = Triple(MODELS[letter], params=params or Params(), **made)
    release = Release(release_id(triple), triple, PinClass.PINNED, desk.now_ms, "newer")
    assert await releases.put(desk.store, release, texts)
    return release.id


@pytest.fixture
def placed(desk: Desk, made: Make) -> Place:
    """Make an alias whose lanes are written as letters, the stable first and then its predecessors: `placed("agent", **{"*": "BA"})`."""

    async def place(name: str, lanes: dict[str, str]) -> AliasState:
        pointers = {}
        for lane, letters in lanes.items():
            ids = [await made(letter) for letter in letters]
            pointers[lane] = Lane(ids[0], tuple(ids[1:]))
        stakes = desk.settings.aliases[name].stakes
        state = AliasState(name, 1, pointers, stakes=stakes)
        assert await aliases.create(desk.store, state, desk.entry("first_release", "test"))
        return state

    return place
