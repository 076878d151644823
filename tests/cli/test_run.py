"""`trivet run`: list, show, restart."""

from __future__ import annotations

import pytest

from gateway.cli.run import calls
from gateway.core.contract.exchange import Outcome
from gateway.core.contract.journal import Step
from tests.cli.conftest import call
from tests.gateway_process import Gateway


def test_list_newest_first(gateway: Gateway) -> None:
    """Runs with their release and model; a run of one request is not among them."""
    call(gateway, "support", "r-2")
    rows = gateway.json("run", "list", "--since", "1h")
    names = [row["run"] for row in rows]
    assert names[0] == "r-2"
    assert "r-1" in names
    assert "r-2" in gateway.cli("run", "list", "--limit", "5").stdout
    gateway.cli("run", "list", "--limit", "0", status=2)


def test_show_is_a_table_of_steps(gateway: Gateway) -> None:
    """Asked, pinned and answering model, status, times, tokens and cost of each step, and the sums of the run."""
    found = gateway.json("run", "show", "r-1")
    assert [step["step"] for step in found["steps"]][:2] == [1, 2]
    assert found["stamps"][0]["alias"] == "support"
    assert found["steps"][0]["cost_micro"] == 43  # 5 at 2.50 and 3 at 10.00 US dollars per million, half up
    table = gateway.shell("run", "show", "r-1").stdout
    for word in ("bound to", "steps", "support", "openai/gpt-4o-2024-08-06", "200 ok", "5/3", "$0.000043"):
        assert word in table


def test_restart_names_the_new_run(gateway: Gateway) -> None:
    """A new run on the current releases, which a request can use at once; the old run stays."""
    made = gateway.json("run", "restart", "r-1")
    answer = call(gateway, "support", made["run"])
    assert answer.headers["x-trivet-bound"] == "resumed"
    assert made["old"] == "r-1"
    assert gateway.json("run", "show", "r-1")["run"] == "r-1"


def test_unknown_run_is_1(gateway: Gateway) -> None:
    """A run that nobody knows."""
    gateway.cli("run", "show", "nobody", status=1)


@pytest.mark.parametrize(
    ("attempts", "log", "endpoint", "shown"),
    [
        (1, (), "openai", "1"),
        (2, ("429",), "openai", "2: 429, openai"),
        (2, ("openai:429",), "openai#1", "2: openai:429, openai#1"),
        (1, (), "openai#1", "1: openai#1"),
        (2, ("openai:connect", "openai#1:connect"), "openai#1", "2: openai:connect, openai#1:connect"),
    ],
)
def test_calls_say_whom_they_reached(attempts: int, log: tuple[str, ...], endpoint: str, shown: str) -> None:
    """A failover is seen in the steps of a run: who did not serve it and who did."""
    entry = Step(
        "req",
        1,
        "a",
        "rel",
        "m",
        "p/m",
        "m",
        Outcome.OK,
        200,
        0,
        1.0,
        attempts=attempts,
        attempt_log=log,
        endpoint=endpoint,
    )
    assert calls(entry) == shown
