"""`trivet demo`: the story from the first answer to a pinned model that is not what it was, on real processes, in about a minute.

Rule of the file: it ends with 1 when anything it claimed was not so, so it is a test as well; whatever ends it, nothing it
started is left.
"""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
from openai import OpenAIError

from gateway.demo.agent import Agent, client, connections
from gateway.demo.crashes import crash
from gateway.demo.drifted import drift
from gateway.demo.exam import Exam
from gateway.demo.gates import gate
from gateway.demo.listener import Listener
from gateway.demo.promoted import promote
from gateway.demo.prompts import serve_policy
from gateway.demo.provider import MockProvider
from gateway.demo.real import tell_real
from gateway.demo.releases import release
from gateway.demo.reverted import revert
from gateway.demo.scenes import learn, move
from gateway.demo.screen import Screen
from gateway.demo.served import Gateway, GatewayFailed, Refused, configuration
from gateway.demo.shadows import shadow
from gateway.demo.stage import Stage
from gateway.demo.undeclared import notice

HELD, NOT_HELD, INTERRUPTED = 0, 1, 130
"""Exit codes: everything claimed was so; something was not; told to end."""
UNHURRIED = (0.01, 0.04)
"""Seconds the mock provider takes when somebody watches."""


async def tell(*, real: bool = False, fast: bool = False, seed: int = 7, screen: Screen | None = None) -> int:
    """Tell the story; the exit code. Ctrl-C, SIGTERM and a closed terminal end it, and everything it started, with 130."""
    shown = screen or Screen(fast=fast)
    code = INTERRUPTED
    async with anyio.create_task_group() as group:

        async def listen() -> None:
            with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
                async for _ in signals:
                    group.cancel_scope.cancel()

        group.start_soon(listen)
        code = await _told(shown, seed, real=real)
        group.cancel_scope.cancel()
    if code == INTERRUPTED:
        shown.say("Told to end: every process it had started is gone.")
    return code


async def _told(screen: Screen, seed: int, *, real: bool) -> int:
    began = anyio.current_time()
    code = HELD
    try:
        if real:
            code = await tell_real(screen)
        else:
            await _scenes(screen, seed)
    except* (GatewayFailed, Refused, OpenAIError) as failed:
        for each in _single(failed):
            screen.claim(str(each) or type(each).__name__, held=False)
    return code or _end(screen, anyio.current_time() - began)


def _single(group: BaseExceptionGroup[Exception]) -> Iterator[Exception]:
    """The exceptions of a group of groups."""
    for each in group.exceptions:
        if isinstance(each, BaseExceptionGroup):
            yield from _single(each)
        else:
            yield each


async def _scenes(screen: Screen, seed: int) -> None:
    async with AsyncExitStack() as stack:
        folder = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="trivet-demo-", ignore_cleanup_errors=True))
        )
        provider = MockProvider(seed, exam=Exam.read(seed))
        if not screen.fast:
            provider.latency = UNHURRIED
        url = await stack.enter_async_context(provider.serving())
        screen.say("Made-up models under borrowed names, a provider that moves a name, agents on the openai SDK.")
        screen.say("Gateway, store, sockets and crashes are real; every number below was measured.")
        with screen.working("starting trivet serve"):
            gateway = await stack.enter_async_context(Gateway.running(folder, configuration(folder, "openai", url)))
        running = gateway.processes()
        screen.say(
            f"seed {seed}; provider {url}; trivet serve http://{running.data}: {', '.join(running.parts)}", "dim"
        )
        direct, pinned = [await stack.enter_async_context(connections()) for _ in range(2)]
        stage = Stage(screen, provider, gateway, Agent(client(url, direct)), Agent(client(gateway.url, pinned)))
        first = await learn(stage)
        await move(stage, first)
        await crash(stage, first)
        await release(stage, first)
        await serve_policy(stage, first)
        await notice(stage)
        await shadow(stage, first)
        listener = Listener()
        await stack.enter_async_context(listener.serving())
        await gate(stage, listener)
        better = await promote(stage, first)
        cheaper = await revert(stage, better, listener)
        await drift(stage, better, cheaper, listener)


def _end(screen: Screen, seconds: float) -> int:
    screen.heading(f"{len(screen.held)} of {len(screen.held) + len(screen.failed)} claims held, in {seconds:.0f} s.")
    for text in screen.failed:
        screen.say(f"did not hold: {text.splitlines()[0]}", "bold red")
    screen.say("With a real provider it is one step:")
    screen.command("OPENAI_API_KEY=... trivet serve          # or without a key: your agent's own is forwarded")
    screen.command("export OPENAI_BASE_URL=http://127.0.0.1:8080/v1   # your agent, unchanged")
    return NOT_HELD if screen.failed else HELD
