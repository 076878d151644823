"""One question of the gate: the call to a release through the gateway's own data port, its score, and the judge's word on it.

Rule of the file: what went wrong is never a bad answer. A call that fails is sent once more where that may help, then it has no
score and a reason; only what a model said, or a provider's filter in its place, is scored.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import Self

import aiohttp

from gateway.control.gate_grade import Grader, TooSlow
from gateway.core.contract.exchange import Observed, Usage
from gateway.core.contract.gate_run import Outcome
from gateway.core.contract.release import Release
from gateway.core.contract.reply import Message, Reply
from gateway.core.contract.suite import Item
from gateway.core.diff.finish import Ending, ending
from gateway.core.gate.requests import Asking
from gateway.core.gate.rubric import rubric
from gateway.settings.prices import PriceBook
from gateway.store.gates import Cost
from gateway.upstream.answer import error_code
from gateway.upstream.ownport import DataPort, OwnCalls, Party, assembled

ATTEMPTS = 2
CALL_SECONDS = 180.0
"""Longest call."""
WAIT_SECONDS = 10.0
"""Longest wait before a second attempt, whatever the provider asks for."""
ANSWER_BYTES = 8 << 20
FILTERED = frozenset(("content_filter", "content_policy_violation"))
"""Codes of an error by which a provider declines what was asked."""

REFUSED = frozenset((401, 403, 404))
"""Statuses of the data port itself that say nothing about a release."""

_verdict = re.compile(r"\b(yes|no)\b", re.IGNORECASE).findall


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of a question, and what it took."""

    outcome: Outcome
    cost: Cost


class NotAsked(Exception):
    """The data port did not take the question, so nobody was asked: it is still open. The message says what to do."""


class Caller:
    """Asks. One per piece of work, inside its `async with`."""

    def __init__(self, port: DataPort, prices: PriceBook, now_ms: int) -> None:
        self._url = port.url
        self._prices = prices
        self._calls = OwnCalls(port, "gate", now_ms, seconds=CALL_SECONDS, answer_bytes=ANSWER_BYTES)
        self._grader = Grader()

    async def __aenter__(self) -> Self:
        """Open connections to the data port."""
        await self._calls.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close them."""
        await self._calls.__aexit__()
        await self._grader.close()

    async def ask(self, item: Item, party: Party, judge: Party | None) -> Answered:
        """Ask an item of a release and score the answer. Raises NotAsked and nothing else."""
        reply, cost = await self._reply(item, party)
        if isinstance(reply, str):
            return Answered(Outcome(None, reply), cost)
        said, model = reply.messages[0] if reply.messages else Message(), reply.observed.model
        if ending(said.finish) is Ending.TRUNCATED and not (said.text.strip() or said.tool_calls):
            return Answered(Outcome(None, "no room to answer", model), cost)
        try:
            holds = await self._grader.score(item, reply, judged=True)
        except TooSlow:
            return Answered(Outcome(None, "check too slow", model), cost)
        if not holds or not item.check.judge:
            return Answered(Outcome(holds, "" if holds is not None else "no answer", model), cost)
        if judge is None:
            return Answered(Outcome(None, "judge missing", model), cost)
        word, more = await self._judged(item, said, judge)
        found = float(word) if isinstance(word, bool) else None
        return Answered(Outcome(found, word if isinstance(word, str) else "", model), cost.plus(more))

    async def _judged(self, item: Item, said: Message, judge: Party) -> tuple[bool | str, Cost]:
        """The judge's yes or no, or why there is none. It is not told whose answer it reads."""
        reply, cost = await self._reply(rubric(item, said), judge)
        if isinstance(reply, str):
            return f"judge: {reply}", cost
        words = _verdict(reply.messages[0].text) if reply.messages else []
        if not words:
            return "judge: neither yes nor no", cost
        return words[-1].lower() == "yes", cost

    async def _reply(self, item: Item, party: Party) -> tuple[Reply | str, Cost]:
        """A release's answer, or why there is none, and what it took."""
        asking = party.asking(item)
        cost = Cost()
        why = ""
        for attempt in range(ATTEMPTS):
            try:
                status, wait, body = await self._call(asking)
            except aiohttp.ClientConnectorError as error:
                message = f"the data port {self._url} cannot be reached; the run goes on when the gateway is up"
                raise NotAsked(message) from error
            except (aiohttp.ClientError, OSError) as error:
                status, wait, body, why = 0, 1.0, b"", _reason(error)
            if 200 <= status < 300:
                reply = assembled(asking, body)
                cost = cost.plus(self._cost(party.release, reply.observed))
                if not reply.observed.error:
                    return reply, cost
                why = reply.observed.error
            elif status:
                why = error_code(body) or f"status {status}"
                if why in FILTERED:
                    return Reply(Observed(terminal=True), (Message(refusal=why, finish="content_filter"),)), cost
            if why == "timeout" or (status and status != 429 and status < 500) or attempt == ATTEMPTS - 1:
                break
            await asyncio.sleep(min(wait, WAIT_SECONDS))
        return why, cost

    async def _call(self, asking: Asking) -> tuple[int, float, bytes]:
        """Status, seconds to wait before another attempt, and body. Raises what aiohttp does."""
        answer = await self._calls.send(asking)
        if answer.status in REFUSED and answer.ours:
            code = error_code(answer.body) or f"status {answer.status}"
            raise NotAsked(
                f"the data port {self._url} refused the gate's own call ({code}): does it have the same stamp_keys?"
            )
        told = answer.retry_after
        return answer.status, float(told) if told.isdigit() else 1.0, answer.body

    def _cost(self, release: Release, observed: Observed) -> Cost:
        micro = self._prices.cost(release.triple.model, observed)
        usage = observed.usage or Usage()
        return Cost(1, micro or 0, int(micro is None), usage.input, usage.output)


def _reason(error: Exception) -> str:
    return "timeout" if isinstance(error, TimeoutError) else "connection lost"
