"""A refund desk: an agent of three and more steps on the official openai SDK, as somebody would write it without Trivet.

Rule of the file: what is told about a run is measured from what came back and from what the tools were asked to do; the
agent does not know which model it talks to. Some runs name themselves with `x-trivet-run`, some send no header at all and
are held together by the ids of their tool calls.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from openai import AsyncOpenAI, DefaultAsyncHttpxClient
from openai.types.chat import ChatCompletionMessage, ChatCompletionMessageParam, ChatCompletionToolUnionParam

from gateway.demo.minds import LOOK_UP, REFUND, REPLY, VOUCHER

MODEL = "gpt-4o"
STEPS = 8
"""A run that needs more is broken, and ends."""
TODAY = "TODAY"
"""Where the date stands in a system prompt; each run has its own."""
SYSTEM = (
    f"You are the refund desk of a shop. Today is {TODAY}. Look an order up before you decide. "
    "Orders older than 30 days are never refunded. Reply to the customer, be brief. "
    "Then close the ticket with one line of JSON and nothing else, "
    '{"decision": "refunded"} or {"decision": "refused"}.'
)


def tool(name: str, description: str, argument: str) -> ChatCompletionToolUnionParam:
    """A function tool with one argument, a string."""
    parameters: dict[str, object] = {
        "type": "object",
        "properties": {argument: {"type": "string"}},
        "required": [argument],
    }
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


TOOLS: tuple[ChatCompletionToolUnionParam, ...] = (
    tool(LOOK_UP, "What was ordered and how many days ago.", "order"),
    tool(REFUND, "Send the money back.", "order"),
    tool(REPLY, "Write to the customer.", "text"),
)
"""What the model may ask for. There is code for vouchers too, and nobody offers them yet."""


@dataclass(frozen=True, slots=True)
class Case:
    """A customer's complaint about an order."""

    order: str
    days: int

    @property
    def complaint(self) -> str:
        """What the customer writes."""
        return f"My order {self.order} came broken. I want my money back."

    @property
    def today(self) -> str:
        """The date on which it is worked on: made up from the order's number, so that it is the same in every telling."""
        return f"2026-11-{1 + int(self.order.rpartition('-')[2]) % 28:02}"


@dataclass
class Run:
    """What one run did, step by step, as the agent saw it."""

    case: Case
    name: str = ""
    """The run id it sent, empty when it sent none."""
    tools: list[str] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    """`model` of each answer: the snapshot that the provider says it used."""
    releases: list[str] = field(default_factory=list)
    """`x-trivet-release` of each answer; empty strings from anybody but Trivet."""
    bound: list[str] = field(default_factory=list)
    pins: list[str] = field(default_factory=list)
    run_ids: list[str] = field(default_factory=list)
    """`x-trivet-run` of each answer: the run that Trivet took the request for."""
    reply: str = ""
    closing: str = ""

    @property
    def looked_up_first(self) -> bool:
        """The first tool it called was the look-up."""
        return self.tools[:1] == [LOOK_UP]

    @property
    def refunded(self) -> bool:
        """It sent the money back."""
        return REFUND in self.tools

    @property
    def gave_voucher(self) -> bool:
        """It sent a voucher."""
        return VOUCHER in self.tools

    @property
    def kept_json(self) -> bool:
        """Its closing line was the JSON it was asked for, and true."""
        try:
            said = json.loads(self.closing)
        except ValueError:
            return False
        return bool(said == {"decision": "refunded" if self.refunded else "refused"})

    @property
    def words(self) -> int:
        """Length of its reply to the customer."""
        return len(self.reply.split())

    @property
    def changed_model(self) -> bool:
        """Two steps of this one run were answered by two models."""
        return len(set(self.models)) > 1


Pause = Callable[[], Awaitable[None]]
"""Awaited once in a run, when the first tool is called: the order system takes its time."""


def client(base_url: str, http: DefaultAsyncHttpxClient, *, key: str = "any-word") -> AsyncOpenAI:
    """The SDK as everybody uses it; only the base URL differs between direct and through Trivet."""
    return AsyncOpenAI(base_url=f"{base_url}/v1", api_key=key, http_client=http, max_retries=4, timeout=20.0)


def connections() -> DefaultAsyncHttpxClient:
    """Connections of the SDK that ignore proxies of the environment: everything is on this machine. Close it after use."""
    return DefaultAsyncHttpxClient(trust_env=False)


class Agent:
    """Works on cases through one client, with the system prompt that was deployed with it."""

    def __init__(self, sdk: AsyncOpenAI, *, model: str = MODEL, system: str = SYSTEM) -> None:
        self._sdk = sdk
        self._model = model
        self._system = system
        self.sent: set[str] = set()
        """System prompts that it sent."""

    def redeployed(self, system: str) -> Agent:
        """The same code with another system prompt."""
        return Agent(self._sdk, model=self._model, system=system)

    async def work(self, case: Case, *, name: str = "", pause: Pause | None = None) -> Run:
        """One run from complaint to closing line. Raises what the SDK raises, and RuntimeError for a run without end."""
        run = Run(case, name)
        system = self._system.replace(TODAY, case.today)
        self.sent.add(system)
        messages: list[ChatCompletionMessageParam] = [
            {"role": "system", "content": system},
            {"role": "user", "content": case.complaint},
        ]
        for _ in range(STEPS):
            if REPLY in run.tools:
                run.closing = await self._streamed_step(run, messages)
                return run
            message = await self._step(run, messages)
            if not message.tool_calls:
                run.closing = message.content or ""
                return run
            messages.append(cast("ChatCompletionMessageParam", message.model_dump(exclude_none=True)))
            if pause is not None and not run.tools:
                await pause()
            for call in message.tool_calls:
                assert call.type == "function"
                result = _use(run, call.function.name, call.function.arguments)
                messages.append({"role": "tool", "tool_call_id": call.id, "content": json.dumps(result)})
        raise RuntimeError(f"the run on order {case.order} did not end within {STEPS} steps")

    async def _step(self, run: Run, messages: list[ChatCompletionMessageParam]) -> ChatCompletionMessage:
        raw = await self._sdk.chat.completions.with_raw_response.create(
            model=self._model, messages=messages, tools=TOOLS, extra_headers=_named(run)
        )
        _note(run, raw.headers)
        answer = raw.parse()
        run.models.append(answer.model)
        return answer.choices[0].message

    async def _streamed_step(self, run: Run, messages: list[ChatCompletionMessageParam]) -> str:
        raw = await self._sdk.chat.completions.with_raw_response.create(
            model=self._model,
            messages=messages,
            tools=TOOLS,
            stream=True,
            stream_options={"include_usage": True},
            extra_headers=_named(run),
        )
        _note(run, raw.headers)
        models, pieces, tokens = set[str](), list[str](), 0
        async with raw.parse() as stream:
            async for chunk in stream:
                models.add(chunk.model)
                pieces += [choice.delta.content or "" for choice in chunk.choices]
                tokens += chunk.usage.total_tokens if chunk.usage is not None else 0
        if not tokens:
            raise RuntimeError("the stream ended without the usage that was asked for")
        run.models.append("+".join(sorted(models)))
        return "".join(pieces)


def _use(run: Run, tool: str, arguments: str) -> dict[str, Any]:
    """Do what the model asked for."""
    run.tools.append(tool)
    if tool == LOOK_UP:
        return {"order": run.case.order, "days_since_purchase": run.case.days, "total": "40.00"}
    if tool == REPLY:
        run.reply = str(json.loads(arguments)["text"])
        return {"sent": True}
    if tool == VOUCHER:
        return {"order": run.case.order, "voucher": "10.00"}
    return {"order": run.case.order, "refunded": "40.00"}


def _named(run: Run) -> dict[str, str]:
    return {"x-trivet-run": run.name} if run.name else {}


def _note(run: Run, headers: Mapping[str, str]) -> None:
    run.releases.append(headers.get("x-trivet-release", ""))
    run.bound.append(headers.get("x-trivet-bound", ""))
    run.pins.append(headers.get("x-trivet-pin", ""))
    run.run_ids.append(headers.get("x-trivet-run", ""))


LATE, IN_TIME = range(31, 61), range(15, 31)
"""Days since an order that SYSTEM refuses, and that it refunds."""


def cases(first: int, count: int, days: range = LATE) -> list[Case]:
    """Complaints about orders number `first` and up, of such an age."""
    return [Case(f"A-{n}", days[n % len(days)]) for n in range(first, first + count)]
