"""Probes against a real gateway: the same model raises no alarm, another one does within two windows, a provider in trouble never."""

from __future__ import annotations

import asyncio
import json
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, Self

import anyio
import msgspec
import pytest

from gateway.core.contract.alias import Shadow, Split
from gateway.core.contract.fault import Fault
from gateway.core.contract.probing import ProbeProgress
from gateway.core.contract.release import Snapshot
from gateway.core.contract.sentinel import Alarm, Sighted
from gateway.core.pinning.identity import acknowledged
from gateway.core.stats.mmd import LEVEL
from gateway.sentinel import asking
from gateway.sentinel.probes import AT_ONCE, Post, is_due, target, work
from gateway.settings.model import AliasSettings, ProbeDeclared, ReleaseSettings, Settings
from gateway.store import aliases, epochs, probes
from gateway.upstream.ownport import DataPort
from tests.live.gateway import STAMP_KEY
from tests.provider import Behaviour, Received, Reply, answer, chat_body, completion, drop, hang
from tests.sentinel.conftest import Scene, gateway
from tests.store.servers import RealRedis

pytestmark = pytest.mark.anyio
HOUR = 3_600_000
PROMPTS, SAMPLES = 6, 5
WORDS = [
    "the",
    "a",
    "small",
    "large",
    "model",
    "says",
    "answers",
    "yes",
    "no",
    "blue",
    "green",
    "seven",
    "eight",
    "because",
    "then",
]


def mind(seed: int, *, tilt: float = 0.0, chances: float | None = None) -> Behaviour:
    """A model that answers each prompt with words drawn at random, a share `tilt` of them others than usual; `chances` is the
    log-probability of its first token, where it tells any."""
    draw = random.Random(seed)

    async def behave(received: Received, reply: Reply) -> None:
        asked = received.json
        prompt = asked["messages"][-1]["content"]
        usual = random.Random(prompt).sample(WORDS, 4)
        text = " ".join(draw.choice("XYZ") if draw.random() < tilt else draw.choice(usual) for _ in range(12))
        body = chat_body(text, asked["model"])
        if asked.get("logprobs") and chances is not None:
            top = [{"token": "a", "logprob": chances + draw.gauss(0, 0.05)}, {"token": "b", "logprob": -3.0}]
            body["choices"][0]["logprobs"] = {"content": [{**top[0], "top_logprobs": top}]}
        await answer(body)(received, reply)

    return behave


@pytest.fixture
def settings(scene: Scene, tmp_path: Path) -> Settings:
    """The gateway's, with probes of `agent`."""
    file = tmp_path / "prompts.jsonl"
    file.write_text("\n".join(json.dumps(f"Question {number}?") for number in range(PROMPTS)))
    declared = ProbeDeclared(str(file), samples=SAMPLES, every=3600.0)
    alias = AliasSettings(ReleaseSettings(scene.kept[0].triple.model), probes=declared)
    return msgspec.structs.replace(scene.settings, aliases={"agent": alias})


Window = Callable[..., Any]


@pytest.fixture
def window(scene: Scene, settings: Settings) -> Window:
    """Run a window to its end, an hour after the last one; what it came to."""
    post = Post(scene.store, settings, scene.port, scene.clock)

    async def run(*, pieces: int = 100) -> ProbeProgress:
        scene.ahead_ms += HOUR
        probed = await target(post, "agent", scene.ids()[0])
        done = await work(post, probed, begin=True)
        for _ in range(pieces):
            if not done.going:
                break
            done = await work(post, probed, begin=False)
        return done

    return run


async def epoch(scene: Scene) -> Any:
    """The drift epoch of the stable release's model."""
    model = scene.kept[0].triple.model
    return (await epochs.load(scene.store, [model]))[model].watched


async def test_the_same_model_is_not_flagged(scene: Scene, window: Window) -> None:
    """The first window is the reference; five more of the same model raise nothing, at 30 calls each."""
    scene.provider.default = mind(1)
    first = await window()
    assert (first.done, first.going, first.windows) == (0, False, ())
    assert first.reference_ms
    assert first.chances is False, "it tells no log-probabilities, and is not asked again"
    asked = len(scene.provider.requests)
    for _ in range(5):
        found = await window()
    assert len(scene.provider.requests) - asked == 5 * PROMPTS * SAMPLES
    assert len(found.windows) == 5
    assert not found.alarm
    assert (await epoch(scene)).epoch.number == 1


async def test_another_model_behind_the_name_is_flagged(scene: Scene, settings: Settings, window: Window) -> None:
    """Two windows in a row open a drift epoch that names test, statistic, threshold and reference; until it is acknowledged
    nobody is asked, and then a new reference is recorded."""
    scene.provider.default = mind(1)
    await window()
    await window()
    scene.provider.default = mind(2, tilt=0.6)
    first = await window()
    assert first.windows[-1].p < LEVEL
    assert not first.alarm
    second = await window()
    assert second.alarm == "probe"
    assert "ALARM" in second.told
    found = (await epoch(scene)).epoch
    assert (found.number, found.alarm) == (2, Alarm.PROBE)
    for word in ("MMD", "statistic", "p below 0.01", "reference of", f"{PROMPTS} prompts", scene.ids()[0]):
        assert word in found.test
    asked = len(scene.provider.requests)
    assert "alarm is open" in (await window()).told
    post = Post(scene.store, settings, scene.port, scene.clock)
    assert not await is_due(post, await target(post, "agent", scene.ids()[0]))
    assert len(scene.provider.requests) == asked
    await epochs.change(scene.store, scene.kept[0].triple.model, lambda known: acknowledged(known, scene.clock()))
    assert await is_due(post, await target(post, "agent", scene.ids()[0]))
    anew = await window()
    assert (anew.windows, anew.alarm, anew.epoch) == ((), "", 3)
    assert anew.reference_ms > second.reference_ms
    assert not (await window()).alarm


def probes_only(behaviour: Behaviour, live: Behaviour) -> Behaviour:
    """Probes are answered so, and agents otherwise."""

    async def behave(received: Received, reply: Reply) -> None:
        asked = received.json["messages"][-1]["content"]
        await (live if asked == LIVE else behaviour)(received, reply)

    return behave


async def slow(received: Received, reply: Reply) -> None:
    """The right answer, when nobody waits for it any more."""
    await asyncio.sleep(0.5)
    await mind(1)(received, reply)


class Traffic:
    """Agents that ask without a pause, inside its `with`: what each got, and in how many seconds."""

    def __init__(self, scene: Scene) -> None:
        self.got: list[tuple[int, bytes, float]] = []
        self._scene, self._over = scene, threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while len(self.got) < 25 or not self._over.wait(0.005):
            began = time.monotonic()
            got = self._scene.gateway.chat("agent", messages=[{"role": "user", "content": LIVE}])
            self.got.append((got.status, got.body, time.monotonic() - began))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(10)

    def unharmed(self) -> bool:
        """Each got the one answer, and as fast as ever."""
        return {each[:2] for each in self.got} == {self.got[0][:2]} and median(each[2] for each in self.got) < 0.15


LIVE = "Hello?"
BUSY = {"retry-after": "60", "x-ratelimit-remaining-requests": "0"}
TROUBLE: dict[str, Behaviour] = {
    "slow": slow,
    "silent": hang,
    "errors": answer({"error": {"message": "no"}}, 503),
    "lost": drop,
    "429": answer({"error": {"message": "busy"}}, 429, BUSY),
}


@pytest.mark.parametrize("how", TROUBLE)
async def test_a_provider_that_answers_probes_badly_raises_no_alarm_and_harms_nobody(
    scene: Scene, window: Window, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Slowly, with errors or with 429: windows that cannot be whole are discarded and counted, every agent meanwhile gets its answer
    as fast as ever, and the next whole window is compared as if nothing had been."""
    said = completion("Hi.", "gpt-4o-2024-11-20")
    scene.provider.default = probes_only(mind(1), said)
    await window()
    scene.provider.default = probes_only(TROUBLE[how], said)
    monkeypatch.setattr(asking, "CALL_SECONDS", 0.2)
    with Traffic(scene) as agents:
        for number in (1, 2):
            found = await window()
            assert (found.discarded, found.windows, found.alarm) == (number, (), "")
            assert "not whole in time" in found.told
    assert agents.unharmed()
    asked = [each for each in scene.provider.requests if each.json["messages"][-1]["content"] != LIVE]
    assert len(asked) - PROMPTS * SAMPLES < 30, "it is left alone"
    assert (await epoch(scene)).epoch.number == 1
    assert not any(name.startswith("breaker_state") and value for name, value in scene.gateway.counted.items())
    monkeypatch.setattr(asking, "CALL_SECONDS", 30.0)
    scene.provider.default = probes_only(mind(3), said)
    healed = await window()
    assert (len(healed.windows), healed.alarm) == (1, "")


async def test_a_window_goes_on_where_it_was(scene: Scene, window: Window) -> None:
    """A failure in the middle costs that call alone, and nothing is asked twice."""
    scene.provider.default = mind(1)
    scene.provider.then(*[mind(1)] * 10, answer({}, 400))
    done = await window(pieces=0)
    assert done.going
    assert 5 <= done.done < PROMPTS * SAMPLES
    assert (await window()).reference_ms
    assert len(scene.provider.requests) < PROMPTS * SAMPLES + 12


async def test_log_probabilities_are_watched(scene: Scene, window: Window) -> None:
    """Where answers have them: a reference and a past are recorded at once, jitter is no alarm, another model is."""
    scene.provider.default = mind(1, chances=-0.5)
    first = await window()
    assert first.chances is True
    assert len(first.chances_past) == 5
    assert not first.alarm
    for _ in range(2):
        found = await window()
    assert len(found.chances_past) == 7
    assert not found.alarm
    scene.provider.default = mind(1, chances=-4.5)
    moved = await window()
    assert moved.alarm == "logprob"
    test = (await epoch(scene)).epoch.test
    assert "log-probabilities" in test
    assert "threshold 1.000" in test
    assert "reference of 20" in test
    assert (moved.chances_limit, len(first.chances_past)) == (1.0, 5)


@pytest.mark.parametrize(("limit", "most"), [({"calls": 12}, 12), ({"budget": 12 * 11e-6}, 12 + AT_ONCE - 1)])
async def test_the_budget_of_a_day_holds(scene: Scene, settings: Settings, limit: dict[str, Any], most: int) -> None:
    """Calls, and money, over it are not spent; the window waits for the next day, and nothing is held against the provider."""
    scene.provider.default = mind(1)
    few = msgspec.structs.replace(settings, probes=msgspec.structs.replace(settings.probes, **limit))
    post = Post(scene.store, few, scene.port, scene.clock)
    probed = await target(post, "agent", scene.ids()[0])
    for _ in range(4):
        done = await work(post, probed, begin=True)
    assert 12 <= len(scene.provider.requests) <= most
    assert (done.failed, done.discarded) == (0, 0)
    assert f"used up (probes.{next(iter(limit))})" in done.told


async def test_another_fingerprint_has_a_window_begin(scene: Scene, settings: Settings, window: Window) -> None:
    """Not one that was there when an earlier window began."""
    scene.provider.default = mind(1)
    model = scene.kept[0].triple.model

    async def answers(fingerprint: str) -> None:
        seen = {"openai": Sighted(model, fingerprint)}
        await epochs.change(scene.store, model, lambda known: msgspec.structs.replace(known, observed=seen))

    await answers("fp_1")
    await window()
    post = Post(scene.store, settings, scene.port, scene.clock)
    probed = await target(post, "agent", scene.ids()[0])
    scene.ahead_ms += HOUR // 2
    assert not await is_due(post, probed)
    await answers("fp_2")
    assert await is_due(post, probed)
    await window()
    scene.ahead_ms += HOUR // 2
    await answers("fp_1")
    assert not await is_due(post, probed)


async def test_what_cannot_be_probed_is_said(scene: Scene, settings: Settings) -> None:
    """No declaration, a file that is gone, a release that nobody has."""
    for wanted, release, code in (
        (scene.settings, scene.ids()[0], "probes_undeclared"),
        (settings, "rel_0000000000000000", "release_unknown"),
    ):
        with pytest.raises(Fault) as refused:
            await target(Post(scene.store, wanted, scene.port, scene.clock), "agent", release)
        assert refused.value.code == code
    Path(settings.aliases["agent"].probes.prompts).unlink()  # type: ignore[union-attr]
    with pytest.raises(Fault, match="probe_prompts"):
        await target(Post(scene.store, settings, scene.port, scene.clock), "agent", scene.ids()[0])


async def test_probes_take_nothing_from_anybody(
    sentinel_redis: RealRedis, tmp_path: Path, settings: Settings, scene: Scene
) -> None:
    """A whole window of an alias with a shadow, a rollout and a caller with one request a minute: nothing is offered to the shadow,
    nobody is exposed, no event is told, and the caller has its request still, which counts everywhere."""
    limits = {"default": {"limits": {"requests_per_minute": 1}}}
    candidate = scene.kept[1]
    with gateway(sentinel_redis, tmp_path / "other", scene.provider, tenants=limits, capture="full") as other:
        other.ready()
        split = Split(candidate=candidate.id, salt="s", weights={"*": 5_000}, since=2)
        shadow = Shadow(scene.kept[2].id, "salt", 10_000)
        state = await aliases.get(scene.store, "agent")
        assert state is not None
        other.move(msgspec.structs.replace(state, version=2, split=split, shadows=(shadow,)), scene.kept[0])
        scene.provider.default = mind(1)
        post = Post(scene.store, settings, lambda: DataPort(f"http://127.0.0.1:{other.port}", STAMP_KEY), scene.clock)
        probed = await target(post, "agent", scene.ids()[0])
        while (await work(post, probed, begin=True)).going:
            pass
        keys = scene.store.keys
        streams = [keys.shadow_jobs(), keys.exposures("agent"), keys.events("agent"), keys.steps("agent")]
        assert len(scene.provider.requests) == PROMPTS * SAMPLES + 1
        assert [await scene.store.do("XLEN", key) for key in streams] == [0, 0, 0, 0]
        assert [other.chat("agent").status for _ in range(2)] == [200, 429]
        with anyio.fail_after(5):
            while [await scene.store.do("XLEN", key) > 0 for key in streams] != [True, True, True, True]:
                await anyio.sleep(0.01)
        roles = {name.split(",")[2] for name in other.counted if name.startswith("tokens_total")}
        assert roles == {"probe", "live"}


async def test_probes_are_no_traffic(scene: Scene, window: Window) -> None:
    """They are of the role `probe`, name a release and no alias, and their answers are kept for the snapshot alone."""
    scene.provider.default = mind(1)
    await window()
    assert not await scene.store.do("XLEN", scene.store.keys.steps("agent"))
    assert not any(name.startswith("tokens_total") and ",live," in name for name in scene.gateway.counted)
    snapshot = str(Snapshot.parse(scene.kept[0].triple.model))
    (name,) = await scene.store.do("HKEYS", scene.store.keys.probe(snapshot))
    assert name.decode().startswith(scene.ids()[0])
    assert len((await probes.get(scene.store, snapshot, name.decode())).reference) == PROMPTS
