"""The demo's gateway is a real one, is asked through the real command line, and ends with the demo."""

from __future__ import annotations

from pathlib import Path

import anyio
import msgspec
import psutil
import pytest

from gateway.demo.served import Gateway, GatewayFailed, Part, Refused, configuration, kill


def test_it_serves_answers_commands_and_ends(tmp_path: Path) -> None:
    """Ready when `running` gives it; verbs answer JSON or are refused; a killed worker is back; afterwards nothing is left."""
    seen: list[Part] = []

    async def test() -> None:
        settings = configuration(tmp_path, "openai", "http://127.0.0.1:9", workers=1)
        async with Gateway.running(tmp_path, settings) as gateway:
            running = gateway.processes()
            seen.extend(running.parts.values())
            assert set(running.parts) == {"supervisor", "live-0", "control", "shadow", "store"}
            assert gateway.url == f"http://{running.data}"
            assert msgspec.json.decode(await gateway.verb("alias", "list")) == []
            assert await gateway.look("aliases/nobody") is None
            with pytest.raises(Refused):
                await gateway.verb("alias", "show", "nobody")
            with pytest.raises(GatewayFailed, match="code 2"):
                await gateway.verb("alias", "--nonsense")
            assert 0 < await gateway.declare(capture="none") < 5
            with pytest.raises(Refused, match="nobody"):
                await gateway.verdict("gate", "check", "nobody", "--release", "rel_0123456789abcdef")
            old = running.workers
            kill(old)
            new = await gateway.restarted(old)
            assert new.workers["live-0"].pid != old["live-0"].pid
            seen.extend(new.parts.values())

    anyio.run(test)
    assert not [part for part in seen if psutil.pid_exists(part.pid)]


def test_why_it_did_not_start_is_told(tmp_path: Path) -> None:
    """The end of its log is in the message."""

    async def test() -> None:
        with pytest.raises(GatewayFailed, match="nonsense"):
            async with Gateway.running(tmp_path, {"nonsense": 1}):
                pass

    anyio.run(test)


def test_the_users_own_keys_do_not_reach_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables of real providers and of another Trivet stay outside."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-real")
    monkeypatch.setenv("TRIVET_ADMIN_URL", "http://elsewhere")
    monkeypatch.setenv("REDIS_URL", "redis://elsewhere")
    held = Gateway(tmp_path).environment
    assert not {"OPENAI_API_KEY", "TRIVET_ADMIN_URL", "REDIS_URL"} & held.keys()
    assert "PATH" in held
