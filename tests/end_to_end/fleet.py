"""Agents of several tenants that work through a gateway, and the models they get: the traffic of a rollout.

Every run says its own name in its first message, so the provider knows which run each of its requests belongs to. What is
wrong with a run is drawn from its name and its model, not from chance at the time: a call that is repeated fails again.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Self

from tests.faults.load import Link as Plain
from tests.gateway_process import Gateway, port_of
from tests.provider import Provider, Received, Reply, answer, chat_body, tool_call

ALIAS = "support"
TENANTS = {"staff": "internal", "acme": "", "bolt": "", "corn": "", "dune": ""}
"""Tenant to its segment."""
KEYS = {tenant: f"tk-{tenant}-0123456789abcdef0123" for tenant in TENANTS}
CALLERS_KEY, BACKGROUND_KEY = "sk-of-the-agents-0123456789abcdef", "sk-background-0123456789abcdef"
"""Credentials at the provider: of live calls, and of what the gateway calls by itself."""
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "look",
            "parameters": {"type": "object", "properties": {"where": {"type": "string"}}, "required": ["where"]},
        },
    }
]
KEEP = 6
"""Runs of a lane that wait for their last step: they are resumed when so many more have begun, stages later."""
PATIENCE = 40
"""How often a step whose connection broke is sent again, with growing pauses."""
STEPS = 3
BAD_KINDS = ("error", "error", "error", "error", "refusal", "invalid_tool_call")
"""How runs go wrong, in this proportion; without tools, errors in place of bad calls."""


def draw(name: str, what: str) -> float:
    """A number from 0 to 1 that a name always gets."""
    return int.from_bytes(sha256(f"{what}\0{name}".encode()).digest()[:6], "big") / (1 << 48)


class Models:
    """What the provider does: each model misbehaves in its share of runs. Suite items are always answered right."""

    def __init__(self, rates: dict[str, float], seed: str = "") -> None:
        self.rates = rates
        self.seed = seed
        self.asked: dict[str, set[str]] = {}
        """Run's name to the models that live traffic asked for."""
        self.bad_at: dict[str, float] = {}
        """Model to the wall clock of its first bad answer to live traffic."""
        self.provider: Provider | None = None

    def bad(self, model: str, name: str) -> str:
        """How a run goes wrong under a model; empty when it does not."""
        if draw(name, f"{self.seed} {model}") >= self.rates[model]:
            return ""
        kind = BAD_KINDS[int(draw(name, "kind") * len(BAD_KINDS))]
        return kind if kind != "invalid_tool_call" or takes_tools(name) else "error"

    async def behave(self, received: Received, reply: Reply) -> None:
        """Answer as the model that is asked for would."""
        assert self.provider is not None
        self.provider.requests.clear()  # a long run would keep every body
        asked = received.json
        model, said = asked["model"], asked["messages"]
        name = said[0]["content"]
        if name.startswith("sum "):
            await answer(chat_body(str(int(name[4:]) + 1000), model))(received, reply)
            return
        step = sum(each["role"] != "assistant" for each in said)
        kind = self.bad(model, name) if step == 1 + (draw(name, "step") < 0.5 and not takes_tools(name)) else ""
        if CALLERS_KEY in received.fields["authorization"]:
            self.asked.setdefault(name, set()).add(model)
            if kind:
                self.bad_at.setdefault(model, time.time())
        await self._answer(kind, step, (name, model), (received, reply))

    async def _answer(self, kind: str, step: int, who: tuple[str, str], link: tuple[Received, Reply]) -> None:
        name, model = who
        if kind == "error":
            await answer({"error": {"message": "overheated", "type": "server_error", "code": None}}, 500)(*link)
        elif kind == "refusal":
            body = chat_body("", model)
            body["choices"][0]["message"] |= {"content": None, "refusal": "I cannot help with that."}
            await answer(body)(*link)
        elif takes_tools(name) and step == 1:
            arguments = json.dumps({"where": 5 if kind else "here"})
            call = tool_call(f"call_{sha256(name.encode()).hexdigest()[:24]}", "look", arguments)
            await answer(chat_body("", model, tool_calls=[call]))(*link)
        else:
            await answer(chat_body("It costs 40.", model))(*link)


def takes_tools(name: str) -> bool:
    """Whether a run's first step is a tool call; every nameless run's is, for nothing else tells its second step apart."""
    return ".t" in name


@dataclass(slots=True)
class Step:
    """One answered request of a run."""

    status: int
    release: str
    arm: str
    new: bool
    """The gateway says that this request bound the run."""
    worker: str
    sent: float
    """Wall clock."""
    at: float
    run: str
    called: bool
    """It was a tool call."""


@dataclass(slots=True)
class Run:
    """One run as its agent saw it."""

    name: str
    tenant: str
    named: bool
    steps: list[Step] = field(default_factory=list)
    broken: int = 0
    """Attempts whose connection broke."""

    @property
    def releases(self) -> set[str]:
        """Releases that answered it."""
        return {step.release for step in self.steps}

    @property
    def first(self) -> Step:
        """Its first answer."""
        return self.steps[0]

    @property
    def id(self) -> str:
        """The run id that the gateway gave or took."""
        return self.first.run


class Link(Plain):
    """A keep-alive connection of one tenant's agent."""

    async def step(self, run: Run, number: int) -> Step:
        """One request of a run. Raises EOFError, OSError, ValueError when the connection breaks."""
        data = _request(run, number)
        sent = time.time()
        self._writer.write(data)
        top = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        found = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in top[1:] if line)}
        body = await self._reader.readexactly(int(found["content-length"]))
        status = int(top[0].split(" ")[1])
        if "x-trivet-release" not in found:
            raise ValueError(f"status {status} without a stamp")
        step = Step(
            status,
            found["x-trivet-release"],
            found["x-trivet-arm"],
            found["x-trivet-bound"] == "new",
            found["x-trivet-request"][:16],
            sent,
            time.time(),
            found["x-trivet-run"],
            b'"tool_calls": [' in body,
        )
        run.steps.append(step)
        if found.get("connection") == "close":
            raise EOFError
        return step


def _request(run: Run, number: int) -> bytes:
    said: list[dict[str, Any]] = [{"role": "user", "content": run.name}]
    tools = takes_tools(run.name)
    identifier = f"call_{sha256(run.name.encode()).hexdigest()[:24]}"
    for step in range(2, number + 1):
        if tools and step == 2:
            call = tool_call(identifier, "look", '{"where": "here"}')
            said.append({"role": "assistant", "content": None, "tool_calls": [call]})
            said.append({"role": "tool", "tool_call_id": identifier, "content": "40"})
        else:
            said += [{"role": "assistant", "content": "It costs 40."}, {"role": "user", "content": "Sure?"}]
    body = json.dumps({"model": ALIAS, "messages": said, **({"tools": TOOLS} if tools else {})}).encode()
    top = "POST /v1/chat/completions HTTP/1.1\r\nhost: t\r\ncontent-type: application/json\r\n"
    top += f"x-trivet-key: {KEYS[run.tenant]}\r\nauthorization: Bearer {CALLERS_KEY}\r\n"
    if run.named:
        top += f"x-trivet-run: {run.name}\r\n"
    return f"{top}content-length: {len(body)}\r\n\r\n".encode() + body


class Fleet:
    """Agents from a thread of their own, until the block ends; runs that are open then take their last step.

    One lane in five is of each tenant. Of five runs one is nameless, one is resumed much later, the others go straight through.
    """

    def __init__(self, gateway: Gateway, *, rate: float, lanes: int = 10, name: str = "f") -> None:
        self.runs: list[Run] = []
        self.begun: Counter[int] = Counter()
        """Runs by lane."""
        self.broken: Counter[str] = Counter()
        self._gateway = gateway
        self._gap = lanes / rate
        self._lanes = lanes
        self._name = name
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._work()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive(), "a call waits without end"

    def more(self, runs: int, seconds: float = 30.0) -> None:
        """Wait until every lane has begun so many more runs."""
        until, before = time.monotonic() + seconds, Counter(self.begun)
        while any(self.begun[lane] < before[lane] + runs for lane in range(self._lanes)):
            assert time.monotonic() < until, f"{self.begun} after {before}"
            time.sleep(0.01)

    async def _work(self) -> None:
        async with asyncio.TaskGroup() as group:
            for lane in range(self._lanes):
                group.create_task(_Lane(self, lane, self._gateway).work(self._stop, self._gap))

    def names(self, lane: int) -> Iterator[tuple[str, str, bool]]:
        """Name, tenant and whether it sends its name, of the runs of a lane."""
        tenant = list(TENANTS)[lane % len(TENANTS)]
        count = 0
        while True:
            count += 1
            nameless = count % 5 == 0
            tools = nameless or count % 3 == 0
            yield f"{self._name}-{lane}-{count}{'.t' if tools else ''}", tenant, not nameless


class _Lane:
    """One agent: one run after the other on one connection, and some of them later."""

    def __init__(self, fleet: Fleet, number: int, gateway: Gateway) -> None:
        self._fleet = fleet
        self._number = number
        self._gateway = gateway
        self._link: Link | None = None
        self._open: deque[Run] = deque()
        self._due = 0.0

    async def work(self, stop: threading.Event, gap: float) -> None:
        """Runs until `stop`, a request each `gap` seconds."""
        self._due = time.monotonic() + gap * draw(str(self._number), "begin")
        for name, tenant, named in self._fleet.names(self._number):
            if stop.is_set():
                break
            run = Run(name, tenant, named)
            self._fleet.runs.append(run)
            self._fleet.begun[self._number] += 1
            later = len(self._fleet.runs) % 5 == 1 and named
            for step in range(1, STEPS if later or not named else STEPS + int(draw(name, "long") < 0.5)):
                await self._step(run, step, gap)
                if not named and not run.first.called:
                    break  # it was given no call whose result it could bring, and nothing else names the run
            if later:
                self._open.append(run)
            if len(self._open) > KEEP * 4:
                await self._step(self._open.popleft(), STEPS, gap)
        while self._open:
            await self._step(self._open.popleft(), STEPS, 0.0)
        if self._link is not None:
            self._link.close()

    async def _step(self, run: Run, number: int, gap: float) -> None:
        """One step, sent again until it is answered."""
        await asyncio.sleep(self._due - time.monotonic())
        self._due = max(self._due + gap, time.monotonic() - gap)
        for attempt in range(PATIENCE):
            before = len(run.steps)
            try:
                if self._link is None:
                    self._link = Link(*await asyncio.open_connection("127.0.0.1", port_of(self._gateway.base)))
                async with asyncio.timeout(20):
                    await self._link.step(run, number)
                return
            except (OSError, EOFError, ValueError, TimeoutError) as error:
                if self._link is not None:
                    self._link.close()
                self._link = None
                if len(run.steps) > before:
                    return
                run.broken += 1
                self._fleet.broken[str(error) or type(error).__name__] += 1
                await asyncio.sleep(0.02 * 2 ** min(attempt, 5))
        raise AssertionError(f"{run.name} was never answered")
