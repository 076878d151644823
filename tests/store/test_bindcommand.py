"""The packed BIND is the command it is meant to be, whatever the names are made of."""

from __future__ import annotations

import pytest

from gateway.store.bindcommand import BindCommand
from gateway.store.resp import Parser
from gateway.store.scripts import BIND, sha


@pytest.mark.parametrize("prefix", ["trivet", "100%s-ü"])
def test_every_part_is_where_the_script_looks_for_it(prefix: str) -> None:
    """Keys, arguments and mode are counted by bytes, and a percent sign in a name stays one."""
    commands = BindCommand(prefix, 1000, 2000)
    run, stamp = b"d" * 32, b'{"run":"%s"}'
    for mode in ("new", "resume", "known"):
        (parts,) = Parser().feed(commands.fill(getattr(commands, mode), run, "ä%d", stamp, "l%b"))
        keys = [f"{prefix}:run:{{{'d' * 32}}}", f"{prefix}:journal:{{{'d' * 32}}}"]
        arguments = ["ä%d", stamp.decode(), "1000", "2000", mode, "l%b"]
        assert [part.decode() for part in parts] == ["EVALSHA", sha(BIND), "2", *keys, *arguments]
