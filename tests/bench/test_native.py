"""The bench's own C programs: the mock answers as a provider does, and the load generator counts what it got."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import bodies, build
from bench.__main__ import free_ports
from bench.measure import SCENARIOS, Loader, get_json, running

pytestmark = pytest.mark.skipif(not shutil.which("gcc") and not shutil.which("cc"), reason="no C compiler")


@pytest.fixture(scope="module")
def loader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loader]:
    """A mock that runs, and a load generator for it."""
    build.compile_native()
    folder = tmp_path_factory.mktemp("bench")
    bodies.write(folder)
    (port,) = free_ports(1)
    with running([str(build.BUILD / "mock"), "--port", str(port)], 0, folder / "mock.log"):
        for _ in range(100):
            try:
                get_json(port)
                break
            except OSError:
                pass
        yield Loader(
            build.BUILD / "load",
            folder,
            port,
            0.2,
            ("--keys", "4", "--run-steps", "3", "--conns", "4", "--warm", "0.05"),
        )


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_every_request_is_answered_and_counted(loader: Loader, scenario: object) -> None:
    """In every scenario the mock has seen as many requests as were sent, and all answers were whole."""
    result = loader.run(scenario, loader.mock)  # type: ignore[arg-type]
    assert result["errors"] == 0
    assert result["requests"] == result["sent"] > 0


def test_a_missing_header_is_an_error(loader: Loader) -> None:
    """An answer without the header that was asked for counts as an error, not as an answer."""
    result = loader.run(SCENARIOS[0], loader.mock, require="x-trivet-release")
    assert result["ok"] == 0
    assert result["errors"] == result["sent"] > 0


def test_bodies_have_their_sizes(tmp_path: Path) -> None:
    """The bodies are of the sizes the results speak of."""
    bodies.write(tmp_path)
    sizes = {path.stem: path.stat().st_size for path in tmp_path.iterdir()}
    assert 1800 <= sizes["2k"] <= 2300
    assert 63000 <= sizes["64k"] <= 67000
