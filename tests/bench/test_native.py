"""The bench's own C programs: the mock answers as a provider does, and the load generator counts what it got."""

from __future__ import annotations

import contextlib
import shutil
import socket
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import bodies, build
from bench.dialects import SPOKEN, Spoken
from bench.measure import SCENARIOS, Loader, Scenario, free_ports, get_json, running
from gateway.core.dialect.registry import DIALECTS
from gateway.core.dialect.routes import find

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
                time.sleep(0.02)
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


@pytest.mark.parametrize("spoken", SPOKEN, ids=lambda spoken: spoken.name)
def test_the_mock_answers_in_the_dialect_of_the_path(loader: Loader, spoken: Spoken) -> None:
    """Each route's answer is read by its dialect as a whole one, with text and usage."""
    path = spoken.path_of(served=False)
    request = urllib.request.Request(f"http://127.0.0.1:{loader.mock}{path}", b"{}")
    with urllib.request.urlopen(request, timeout=10) as answer:
        said = answer.read()
    operation = find(path, ()).operation
    assert operation is not None
    assembler = DIALECTS[spoken.name].assembler(operation, stream=False)
    assembler.feed(said)
    reply = assembler.finish()
    assert "quick brown" in reply.messages[0].text
    assert reply.observed.usage is not None
    assert reply.observed.usage.output == 160


def test_answers_are_compared(loader: Loader) -> None:
    """The same answer to every request is told as one digest, and an id that changes as a difference."""
    same, again = (loader.run(SCENARIOS[0], loader.mock) for _ in range(2))
    assert same["different"] == 0
    assert same["digest"] == again["digest"]
    changing = loader.run(Scenario("ids", "2k", path="/v1/responses"), loader.mock)
    assert changing["different"] == changing["sent"] - 1


@pytest.mark.parametrize(("word", "least", "most"), [("hang", 0, 0), ("drip", 1, 200), ("flood", 1 << 20, 1 << 30)])
def test_a_bad_provider_behaves_badly(tmp_path: Path, word: str, least: int, most: int) -> None:
    """It says nothing, next to nothing, or more than anybody can take, and still tells its counters."""
    (port,) = free_ports(1)
    with running([str(build.BUILD / "mock"), "--port", str(port), "--behave", word], 0, tmp_path / "log"):
        until = time.monotonic() + 5
        while time.monotonic() < until:
            with contextlib.suppress(OSError):
                get_json(port)
                break
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}")
            client.settimeout(0.3)
            got = 0
            with contextlib.suppress(TimeoutError):
                while got < least or not least:
                    got += len(client.recv(65536))
        assert least <= got <= most
        assert get_json(port)["requests"] == 1


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
