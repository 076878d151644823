"""Proofs against a real gateway: traffic proves for nothing, a probe where there was none, and only the provider's own word kills."""

from __future__ import annotations

from typing import Any

import anyio
import msgspec
import pytest

from gateway.core.contract.alias import AliasState, Lane
from gateway.core.contract.sentinel import Proof
from gateway.core.rollout.notice import worth_telling
from gateway.sentinel import asking
from gateway.sentinel.warm import Survey, look, probe, turn, used
from gateway.store import aliases, proofs
from tests.provider import Behaviour, answer, completion, drop, hang
from tests.sentinel.conftest import Scene

pytestmark = pytest.mark.anyio
HOUR = 3_600_000
OK = Proof.PROVEN
GONE = answer({"error": {"message": "The model does not exist", "code": "model_not_found"}}, 404)


async def looked(scene: Scene, *, probing: bool = True, **members: Any) -> Survey:
    """A look, with the settings' probes changed so."""
    settings = msgspec.structs.replace(scene.settings, probes=msgspec.structs.replace(scene.settings.probes, **members))
    return await look(scene.store, settings, scene.port if probing else None, scene.clock)


async def told(scene: Scene, **more: Any) -> list[tuple[Proof, str]]:
    """Proof and source of each release, stable first."""
    found = (await looked(scene, **more)).proofs
    return [(found[name].proof, found[name].source) for name in scene.ids()]


async def settled(scene: Scene, calls: int) -> None:
    """Wait until the journal has that many calls' ends."""
    with anyio.fail_after(5):
        while True:
            names = ["agent", *scene.ids()]
            found = await scene.store.read_many([("XLEN", scene.store.keys.steps(name)) for name in names])
            if sum(found) >= 2 * calls:
                return
            await anyio.sleep(0.01)


async def test_traffic_proves_and_the_rest_is_asked(scene: Scene) -> None:
    """The stable release's own traffic is proof enough; the two it replaced are asked one question each, once in six hours."""
    assert scene.gateway.chat("agent").status == 200
    await settled(scene, 1)
    assert await told(scene, probing=False) == [(OK, "live"), *[(Proof.UNPROVEN, "")] * 2]
    assert len(scene.provider.requests) == 1
    found = await looked(scene)
    assert [found.proofs[name].source for name in scene.ids()] == ["live", "probe", "probe"]
    assert found.probes == {"worked": 2}
    asked = scene.provider.requests[1:]
    assert {each.json["model"] for each in asked} == {"gpt-4o-2024-08-06", "gpt-4o-2024-05-13"}
    assert all(each.json["max_completion_tokens"] == 1 for each in asked)
    await looked(scene)
    assert len(scene.provider.requests) == 3
    assert (await proofs.taken(scene.store, scene.clock())).calls == 2
    scene.ahead_ms = 6 * HOUR
    assert (await looked(scene)).probes == {"worked": 3}


async def test_a_probe_is_no_traffic(scene: Scene) -> None:
    """It has its own role in the numbers, takes part in no rollout, and is not taken for a proof by traffic."""
    await looked(scene)
    await settled(scene, 3)
    counted = scene.gateway.counted
    assert counted[f"tokens_total{{other,{scene.ids()[0]},probe,input}}"] == 5
    assert not any(name.startswith("tokens_total") and ",live," in name for name in counted)
    assert not await scene.store.do("XLEN", scene.store.keys.exposures("agent"))
    assert not await scene.store.do("XLEN", scene.store.keys.events("agent"))
    assert [source for _, source in await told(scene)] == ["probe"] * 3


BUSY: list[Behaviour] = [answer({}, 429), answer({}, 500), answer({}, 503), drop, hang]


@pytest.mark.parametrize("behaviour", BUSY, ids=["429", "500", "503", "drop", "hang"])
async def test_a_provider_in_trouble_kills_nothing(
    scene: Scene, behaviour: Behaviour, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Busy, failing, lost or silent, for hours: unproven, and asked ever so often but not more."""
    monkeypatch.setattr(asking, "CALL_SECONDS", 0.4)
    scene.provider.default = behaviour
    for hours in (0, 6, 12, 18):
        scene.ahead_ms = hours * HOUR
        found = await looked(scene)
        assert {each.proof for each in found.proofs.values()} == {Proof.UNPROVEN}
        assert found.probes == {"trouble": 1}, "it is left alone after the first"


@pytest.mark.parametrize(
    ("behaviour", "why"),
    [(GONE, "the model is gone"), (answer({"error": {"code": "invalid_api_key"}}, 401), "the credential is refused")],
)
async def test_dead_is_what_the_provider_says_again_and_again(scene: Scene, behaviour: Behaviour, why: str) -> None:
    """Three times over a minute; and the first answer that works brings it back."""
    scene.provider.default = behaviour
    proof = []
    for _ in range(4):
        found = (await looked(scene)).proofs[scene.ids()[1]]
        proof.append(found.proof)
        scene.ahead_ms += 31_000
    assert proof == [Proof.UNPROVEN, Proof.UNPROVEN, Proof.DEAD, Proof.DEAD]
    assert why in found.why
    scene.provider.default = completion()
    scene.ahead_ms += 6 * HOUR
    assert (await looked(scene)).proofs[scene.ids()[1]].proof is OK
    notes = [each for each in await aliases.history(scene.store, "agent") if each.action == "warm"]
    about = [each.reason for each in reversed(notes) if scene.ids()[1] in each.reason]
    assert [why in about[0], about[1]] == [True, f"{scene.ids()[1]} answers again"], (
        "each turn once, and webhooks hear of it"
    )
    assert len(about) == 2
    assert all(worth_telling(each) and "`trivet warm agent` says what is left" in each.note for each in notes)


async def test_traffic_alone_tells_that_a_model_is_gone(scene: Scene) -> None:
    """Agents that run into a 404 of the model are proof of death; a client's own refused key is none."""
    scene.provider.default = answer({"error": {"code": "invalid_api_key"}}, 401)
    for _ in range(4):
        scene.gateway.chat("agent")
    await settled(scene, 4)
    assert await told(scene, probing=False) == [(Proof.UNPROVEN, "")] * 3
    scene.provider.default = GONE
    for _ in range(4):
        scene.gateway.chat("agent")
    await settled(scene, 8)
    found = (await looked(scene, probing=False)).proofs[scene.ids()[0]]
    assert found.refusals > 1
    assert found.proof is Proof.UNPROVEN, "not within a minute"


async def test_a_run_proves_its_release(scene: Scene) -> None:
    """Runs that go on after a promotion prove the release they are bound to."""
    run = {"x-trivet-run": "job-1"}
    assert scene.gateway.chat("agent", run).status == 200
    with anyio.fail_after(5):
        while (await told(scene, probing=False))[0] != (OK, "live"):
            await anyio.sleep(0.01)


@pytest.mark.parametrize(("limit", "calls"), [({"calls": 2}, 2), ({"calls": 0}, 0), ({"budget": 0.000005}, 1)])
async def test_the_day_has_its_limits(scene: Scene, limit: dict[str, Any], calls: int) -> None:
    """Calls and money: what is over them is not asked, and says so."""
    found = await looked(scene, **limit)
    assert len(scene.provider.requests) == calls
    if calls:
        assert any("used up" in each.why for each in found.proofs.values())


async def test_a_release_can_be_asked_on_purpose(scene: Scene) -> None:
    """Whatever proves it, the provider is asked now; nothing is stored by that alone."""
    before = (await looked(scene)).proofs
    asked = len(scene.provider.requests)
    (again,) = await probe(scene.store, scene.settings, scene.port, scene.clock, [before[scene.ids()[0]]])
    assert len(scene.provider.requests) == asked + 1
    assert again.at_ms > before[scene.ids()[0]].at_ms


async def test_used_names_each_release_once(scene: Scene) -> None:
    """Stable, candidate and warm, over all lanes."""
    state = scene.gateway.store.pointers.alias("agent")
    assert state is not None
    assert used([state, state]) == scene.ids()


def test_many_aliases_have_their_turns() -> None:
    """Every one within as many rounds as there are parts, none of them large; few are all read each time."""
    states = {f"a{number}": AliasState(f"a{number}", 1, {"*": Lane("rel_1")}) for number in range(900)}
    rounds = [turn(states, number * 30_000) for number in range(5)]
    assert sorted(name for each in rounds for name in each) == sorted(states)
    assert max(map(len, rounds)) < 250
    few = dict(list(states.items())[:200])
    assert turn(few, 0) == few
