"""What serving both legs costs at 64 KB with 20 tools, in every dialect: the bound of the live path, and the bodies it is measured with."""

from __future__ import annotations

import json

import pytest

from bench import dialects, fingerprint
from bench.dialects import SPOKEN, Spoken
from gateway.core.contract.release import Mode
from gateway.core.dialect.registry import DIALECTS
from gateway.core.dialect.routes import find
from gateway.core.dialect.toolset import read

by_dialect = pytest.mark.parametrize("spoken", SPOKEN, ids=lambda spoken: spoken.name)


@by_dialect
@pytest.mark.parametrize("mode", [Mode.SERVE, Mode.VERIFY])
def test_both_legs_stay_under_the_bound(spoken: Spoken, mode: Mode) -> None:
    """Putting prompt and tools in, or comparing them, with both fingerprints of the journal, takes less than 150 µs."""
    assert fingerprint.cost(spoken, mode) < fingerprint.BOUND


@by_dialect
def test_the_bodies_are_an_agent_of_64_kb_with_20_tools(spoken: Spoken) -> None:
    """Every dialect's body has its size, its tools and its prompt, as the gateway reads them."""
    body = dialects.body(spoken, served=False)
    route = find(spoken.path_of(served=False), ())
    assert route.operation is not None
    envelope = DIALECTS[spoken.name].read(route.operation, body)
    assert 64_000 <= len(body) <= 68_000
    assert len(read(envelope.toolset())) == dialects.TOOLS
    assert "support agent of a parcel service" in (envelope.prompt() or "")


@by_dialect
def test_what_is_measured_puts_both_legs_in(spoken: Spoken) -> None:
    """What goes upstream has the released prompt with its variable filled in, the released tools, and no member of ours."""
    sent = fingerprint.request(spoken, Mode.SERVE)().decode()
    assert "You answer Ann." in sent
    assert sent.count("never guess its id") == dialects.TOOLS
    assert "trivet" not in json.loads(sent)
