"""`trivet demo --real`: the same moves with real inference: two quantisations of one small model behind one name, and under one id.

Rule of the file: temperature 0 and every question asked twice first, so that what changes after the move is the model and
not the dice; equal means equal to the last character.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import msgspec
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionMessageParam

from gateway.core.contract.records import ReleaseMade
from gateway.core.contract.sentinel import DriftRow
from gateway.demo import drifted, quantise
from gateway.demo.agent import client, connections
from gateway.demo.checkpoints import Checkpoints
from gateway.demo.local_llm import LocalModel, ModelFailed, serving
from gateway.demo.scenes import learned
from gateway.demo.screen import Screen
from gateway.demo.served import Gateway, GatewayFailed, configuration

FLOATING = "chat-small-latest"
"""`-latest` is what the pinning table knows as a name that moves, on one's own servers too."""
PROVIDER = "local"
QUESTIONS = ("Name three colours.", "What is 12 plus 30? Answer with a number.", "Reply yes or no: is the sky blue?")
TALK = ("My order came broken. What can I do?", "And how long will that take?")
"""The two steps of a run that is in the middle when the name moves."""
TOKENS = 24
PROBES = (
    *QUESTIONS,
    "What is the capital of France?",
    "What do bees make?",
    "Name a fruit that is yellow.",
    "How many days has a week?",
    "My parcel is late. What can I do?",
)
SAMPLES, PROBE_TOKENS = 2, 8
"""At a temperature of 0 two answers say as much as ten."""
UNTOLD = ("logprobs", "top_logprobs")
"""What this provider does not tell, as many do not: then the answers alone have to show it."""
CANNOT = 2
"""Exit code when something has to be installed first."""


class Provider(Checkpoints):
    """Real checkpoints at a provider that tells answers and no probabilities. Nothing of a question is kept for the next one."""

    def altered(self, asked: dict[str, Any]) -> dict[str, Any]:
        """The request without what is not told."""
        return {name: value for name, value in asked.items() if name not in UNTOLD} | {"cache_prompt": False}


@dataclass
class Talk:
    """Somebody who asks: its answers, and the models that gave them."""

    sdk: AsyncOpenAI
    model: str
    run: str
    messages: list[ChatCompletionMessageParam] = field(default_factory=list)
    models: list[str] = field(default_factory=list)

    async def say(self, text: str) -> str:
        """Ask the next thing in this conversation."""
        self.messages.append({"role": "user", "content": text})
        answer = await self.sdk.chat.completions.create(
            model=self.model,
            messages=self.messages,
            temperature=0,
            max_tokens=TOKENS,
            extra_headers={"x-trivet-run": self.run},
            extra_body={"cache_prompt": False},
        )
        said = answer.choices[0].message.content or ""
        self.messages.append({"role": "assistant", "content": said})
        self.models.append(answer.model)
        return said


async def tell_real(screen: Screen) -> int:
    """Tell the short story; 0 when it could be told, 2 when packages are missing. Claims go to the screen."""
    missing = quantise.missing()
    if missing:
        screen.say(f"--real needs {', '.join(missing)}. Install it and try again:", "bold")
        screen.command(quantise.INSTALL)
        return CANNOT
    try:
        async with AsyncExitStack() as stack:
            await _scenes(screen, stack)
    except (ModelFailed, FileNotFoundError) as failed:
        raise GatewayFailed(str(failed)) from failed
    return 0


async def _scenes(screen: Screen, stack: AsyncExitStack) -> None:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="trivet-demo-", ignore_cleanup_errors=True)))
    screen.say("SmolLM2 135M on this machine, twice: as published (Q4_1), and quantised again to Q4_0.")
    old_file = quantise.shipped()
    with screen.working("quantising again, some 10 seconds the first time"):
        new_file = await anyio.to_thread.run_sync(quantise.requantised, old_file, quantise.cache())
    with screen.working("loading both models"):
        models = [
            await stack.enter_async_context(serving(file, f"smollm2-135m@sha256:{quantise.digest(file)}", folder / log))
            for file, log in ((old_file, "old.log"), (new_file, "new.log"))
        ]
    provider = Provider(FLOATING, models)
    url = await stack.enter_async_context(provider.serving())
    with screen.working("starting trivet serve"):
        gateway = await stack.enter_async_context(Gateway.running(folder, configuration(folder, PROVIDER, url)))
    direct, pinned = [client(base, await stack.enter_async_context(connections())) for base in (url, gateway.url)]
    held = await _learn(screen, pinned, gateway)
    await _move(screen, provider, direct, pinned)
    with screen.working("loading the model once more"):
        silent = await stack.enter_async_context(serving(new_file, models[0].name, folder / "silent.log"))
    await _drift(screen, provider, gateway, held, silent)


async def _learn(screen: Screen, pinned: AsyncOpenAI, gateway: Gateway) -> str:
    """The model that the name is pinned to."""
    screen.heading(f"1. {FLOATING} becomes a pin")
    await Talk(pinned, FLOATING, "learn").say(QUESTIONS[0])
    with screen.working("the gateway proves the checkpoint callable"):
        detail = await learned(gateway, FLOATING)
    held = detail.models[detail.state.lanes["*"].release]
    screen.claim(f"{FLOATING} is pinned to {held[:40]}...", "@sha256:" in held)
    return held


async def _move(screen: Screen, provider: Checkpoints, direct: AsyncOpenAI, pinned: AsyncOpenAI) -> None:
    old, new = provider.models
    screen.heading(f"2. The provider puts the Q4_0 checkpoint behind {FLOATING}")
    with screen.counting("asking", 4 * len(QUESTIONS) + 2 * len(TALK)) as advance:
        before = await _ask(direct, "direct-1")
        again = await _ask(direct, "direct-2")
        screen.claim("before the move, asked twice: the same answers to the last character", before == again)
        first = await _ask(pinned, "pinned-1")
        talks = [Talk(direct, FLOATING, "direct-talk"), Talk(pinned, FLOATING, "pinned-talk")]
        for talk in talks:
            await talk.say(TALK[0])
            advance()
        provider.move(new)
        for talk in talks:
            await talk.say(TALK[1])
            advance()
        after = await _ask(direct, "direct-3")
        kept = await _ask(pinned, "pinned-2")
    screen.table(
        ("asked", "before the move", "direct, after it", "Trivet, after it"),
        [tuple(" ".join(said.split()) for said in row) for row in zip(QUESTIONS, before, after, kept, strict=True)],
    )
    changed = sum(one != other for one, other in zip(before, after, strict=True))
    screen.claim(f"direct: {changed} of {len(QUESTIONS)} answers changed", changed > 0)
    screen.claim(f"Trivet: {len(QUESTIONS)} of {len(QUESTIONS)} answers the same", kept == first == before)
    screen.claim("direct: the run in the middle changed its model", talks[0].models == [old, new])
    screen.claim("Trivet: the run in the middle kept it", talks[1].models == [old, old])


async def _drift(screen: Screen, provider: Provider, gateway: Gateway, held: str, silent: LocalModel) -> None:
    """The other checkpoint under the pinned id itself: found by what it answers, for nothing else tells."""
    screen.heading("3. The provider serves Q4_0 under the id of the published weights")
    words = ("release", "create", "--alias", FLOATING, "--from", "stable", "--set", "temperature=0")
    screen.command("trivet " + " ".join(words))
    made = msgspec.json.decode(await gateway.verb(*words), type=ReleaseMade)
    order = ("rollout", "promote", FLOATING, "--release", made.id, "--override", "demo", "--reason", "reproducible")
    screen.command("trivet " + " ".join(order))
    await gateway.verb(*order)
    (gateway.folder / "probes.jsonl").write_text("\n".join(map(json.dumps, PROBES)) + "\n", encoding="utf-8")
    probes = {"prompts": "probes.jsonl", "samples": SAMPLES, "tokens": PROBE_TOKENS}
    await gateway.declare(aliases={FLOATING: {"first_release": {"model": held}, "probes": probes}})
    before = await drifted.compared(screen, gateway, FLOATING)
    drifted.tell_reference(screen, before)
    provider.change(silent.name, silent)
    drifted.tell_alarm(screen, before, await drifted.alarmed(screen, gateway, FLOATING))
    screen.command("trivet drift status")
    rows = msgspec.json.decode(await gateway.verdict("drift", "status"), type=list[DriftRow])
    for row in rows:
        screen.say(f"{row.snapshot[:40]}..., epoch {row.epoch}, {row.alarm}: {'; '.join(row.advice)}", "dim")
    names = {seen.model for row in rows for seen in row.observed}
    screen.claim("every answer has named the published weights, before and after", names == {silent.name})


async def _ask(sdk: AsyncOpenAI, run: str) -> Sequence[str]:
    """Every question, each in a run and a conversation of its own."""
    return [await Talk(sdk, FLOATING, f"{run}-{n}").say(question) for n, question in enumerate(QUESTIONS)]
