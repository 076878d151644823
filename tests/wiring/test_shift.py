"""What a shadow process loads with its first job."""

from __future__ import annotations

import anyio
import pytest

from gateway.settings.model import Settings
from gateway.store.client import Store
from gateway.telemetry.counters import Registry, flat
from gateway.wiring.shift import Crew


def test_a_crew_counts_from_its_start_and_takes_new_settings() -> None:
    """Its numbers are in the registry, and a reload reaches caller and connections."""

    async def main() -> None:
        settings, registry = Settings(), Registry()
        async with Store(settings.store, url="redis://127.0.0.1:1") as store:
            crew = Crew(settings, registry, store, store, "w", lambda: "")
            crew.renew(settings)
            assert flat(registry.snapshot())["shadow_errors_total"] == 0
            with anyio.move_on_after(0.05) as scope:
                await crew.run()
            assert scope.cancelled_caught

    anyio.run(main)


@pytest.mark.parametrize("module", ["gateway.shadow.work", "jsonschema", "rapidfuzz", "gateway.upstream.call"])
def test_an_idle_shadow_process_is_small(module: str) -> None:
    """What compares and calls is loaded with the first job only."""
    import subprocess  # noqa: PLC0415
    import sys  # noqa: PLC0415

    code = f"import sys, gateway.wiring.shadow; sys.exit({module!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
