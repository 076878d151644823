"""A command of the demo is the command: its words, its exit code, its output, in its own folder and environment."""

from __future__ import annotations

import json
import os
from pathlib import Path

import anyio
import psutil
import pytest

from gateway import __version__
from gateway.demo.commands import Done, run, warm

BARE = {"PATH": "/usr/bin:/bin"}


def test_it_answers_as_from_a_shell(tmp_path: Path) -> None:
    """Version, help, a usage error and a file of its own folder; nothing is left in that folder."""
    (tmp_path / "gateway.yaml").write_text("nonsense: 1\n")

    async def test() -> list[Done]:
        warm()
        return [
            await run(("--version",), tmp_path, BARE),
            await run(("alias", "--nonsense"), tmp_path, BARE),
            await run(("check", "--config", "gateway.yaml"), tmp_path, BARE),
            await run(("check", "--config", "gateway.yaml"), tmp_path, {**BARE, "TRIVET_NOT_READ": "x"}),
        ]

    version, usage, refused, again = anyio.run(test)
    assert (version.code, version.out.decode().strip()) == (0, __version__)
    assert usage.code == 2
    assert refused.code != 0 and "nonsense" in refused.out.decode() + refused.err
    assert again == refused
    assert [path.name for path in tmp_path.iterdir()] == ["gateway.yaml"]


def test_the_users_environment_stays_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command sees the environment that it is given and nothing of the demo's."""
    monkeypatch.setenv("TRIVET_CONFIG", "/of/the/user.yaml")

    async def test() -> Done:
        return await run(("check",), tmp_path, BARE)

    done = anyio.run(test)
    assert done.code == 0
    assert "/of/the/user.yaml" not in done.out.decode() + done.err


def test_a_cancelled_command_is_killed(tmp_path: Path) -> None:
    """Whoever ends the demo in the middle of a command leaves none."""
    # An embedded store outlives who is killed, for the next one to take over: here nobody would.
    store = {"redis": "redis://127.0.0.1:9/0", "data_dir": "data"}
    listen = {"listen": "127.0.0.1:0"}
    settings = {**listen, "admin": listen, "store": store, "stamp_keys": ["ab" * 32]}
    (tmp_path / "gateway.yaml").write_text(json.dumps(settings))
    begun = psutil.Process()

    async def test() -> None:
        with anyio.move_on_after(0.2):
            await run(("serve", "--config", "gateway.yaml"), tmp_path, {**os.environ})

    anyio.run(test)
    servers = [child for child in begun.children() if "forkserver" in " ".join(child.cmdline())]
    assert len(servers) == 1
    _, alive = psutil.wait_procs(servers[0].children(recursive=True), timeout=5)
    assert alive == []
