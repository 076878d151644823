"""`trivet shadow start|stop|status` against a real gateway."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cli.conftest import MODEL, call
from tests.gateway_process import Gateway, running
from tests.provider import Provider

CANDIDATE = "openai/gpt-4o-2024-11-20"


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    """A gateway that captures everything of everybody, with two runs behind it."""
    with (
        Provider() as provider,
        running(
            {"openai": provider.url}, aliases={"support": {"first_release": {"model": MODEL}}}, capture="full"
        ) as made,
    ):
        for run in ("r-1", "r-2"):
            call(made, "support", run)
        yield made


def test_start_says_the_cost_first_and_stop_ends_it(gateway: Gateway) -> None:
    """I8: full capture takes --yes; the estimate and the cap are printed before; workers confirm; status knows; stop ends it."""
    new = gateway.json("release", "create", "--model", CANDIDATE)["id"]
    words = ("shadow", "start", "support", "--candidate", new, "--rate", "0.5", "--for", "48h", "--reason", "cheaper")
    assert "say --yes" in gateway.cli(*words, status=2).stderr
    done = gateway.cli(*words, "--yes")
    assert "requests of the last day" in done.stdout and "cap of all shadows, a day" in done.stdout
    assert done.stdout.index("cap of all") < done.stdout.index("shadow_start support")
    assert "confirmed within" in done.stdout and "50.00% of runs, 20% twice until" in done.stdout
    assert gateway.json("shadow", "status")["shadows"][0]["running"] is True
    assert CANDIDATE in gateway.cli("shadow", "status", "support").stdout
    assert "at most 1" in gateway.cli(*words[:6], "1.5", "--reason", "t", status=1).stderr
    ended = gateway.json("shadow", "stop", "support", "--reason", "enough")
    assert ended["changed"] and ended["after"] == []
    assert "nothing to do" in gateway.cli("shadow", "stop", "support", "--reason", "enough").stdout


def test_erase_prints_a_receipt(gateway: Gateway) -> None:
    """I9: asked first, then everything of the tenant is gone and the receipt says how much; the metric counts it."""
    words = ("tenant", "erase", "default", "--reason", "they left")
    assert "say --yes" in gateway.cli(*words, status=2).stderr
    assert gateway.json("run", "show", "r-1")["steps"]
    told = gateway.cli(*words, "--yes")
    assert "run 2" in told.stdout and "receipt" in told.stdout
    assert "no run r-1" in gateway.cli("run", "show", "r-1", status=1).stderr
    assert gateway.json(*words, "--yes")["removed"] == {}
    assert b'trivet_erasures_total{result="done"} 2' in gateway.get(gateway.admin + "/metrics")[1]
