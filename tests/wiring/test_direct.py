"""Operations straight on the store, while the admin port is away."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.admin.operations import OPERATIONS
from gateway.admin.table import Nothing
from gateway.core.contract.fault import Fault
from gateway.wiring.direct import Unreachable, admin_address, look, perform
from tests.gateway_process import running


def test_same_operation_same_record() -> None:
    """What the port answers and what is done directly are one and the same record; the actor is this machine's user."""
    aliases = {"support": {"first_release": {"model": "openai/gpt-4o-2024-08-06"}}}
    with running(aliases=aliases) as gateway:
        rows = perform(gateway.config, OPERATIONS["alias.list"], Nothing())
        assert [row.name for row in rows] == ["support"]
        assert gateway.json("alias", "list") == gateway.json("alias", "list", "--direct")
        assert look(gateway.config).aliases == {"support": "version 1"}
        assert admin_address(gateway.config) == gateway.admin


def test_without_a_running_store_it_says_how_to_start(tmp_path: Path) -> None:
    """An embedded store that is not running is a Fault with the way out; an unused wildcard address is reachable as loopback."""
    file = tmp_path / "gw.yaml"
    providers = "providers: {openai: {base_url: 'https://api.openai.com'}}"
    file.write_text(f"store: {{data_dir: {tmp_path}/data}}\n{providers}\n")
    with pytest.raises(Fault) as caught:
        perform(file, OPERATIONS["alias.list"], Nothing())
    assert "trivet serve" in caught.value.message
    with pytest.raises(Unreachable):
        look(file)
    assert admin_address(file) == "http://127.0.0.1:8081"
