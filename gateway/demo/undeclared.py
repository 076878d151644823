"""The sixth scene: somebody deploys the agent with another sentence in its prompt, and no release says so.

Rule of the file: what is noticed is read from the gateway's own commands, and how soon by its count of requests.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import anyio
import msgspec

from gateway.core.contract.records import TemplateList, TemplateRow
from gateway.demo.agent import MODEL, SYSTEM, cases
from gateway.demo.screen import milliseconds
from gateway.demo.served import GatewayFailed
from gateway.demo.stage import Caught, Stage, work_all

WAS, IS = "Reply to the customer, be brief.", "Reply to the customer, and always offer a gift."
"""The sentence that changes."""
HELD = 3
"""Runs of the redeployed agent that are stopped after their first request, until it is noticed."""
HANDFUL = 5
NOTICE_SECONDS = 20.0


async def notice(stage: Stage) -> None:
    """Scene 6."""
    screen = stage.screen
    screen.heading("6. A prompt is shipped without a release")
    agent, caught = stage.pinned.redeployed(SYSTEM.replace(WAS, IS)), Caught()
    screen.say(
        f"The agent is deployed again, {HELD} runs make their first request. Its prompt had a sentence that now says:"
    )
    screen.say(IS)
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: work_all(agent, cases(70_000, HELD), "desk", caught=caught))
        await caught.until(HELD)
        began = time.monotonic()
        with screen.working("the gateway learns what is sent"):
            await _noticed(stage)
        took = time.monotonic() - began
        screen.command(f"trivet alias undeclared {MODEL}")
        rows = msgspec.json.decode(await stage.gateway.verb("alias", "undeclared", MODEL), type=list[TemplateRow])
        known = msgspec.json.decode(await stage.gateway.look(f"aliases/{MODEL}/prompts") or b"", type=TemplateList)
        tell(stage, rows, known, took)
        caught.let_go()
    await screen.read(1.5)


async def _noticed(stage: Stage) -> None:
    """Return when something undeclared is listed. Raises GatewayFailed."""
    with anyio.move_on_after(NOTICE_SECONDS):
        while True:
            page = await stage.gateway.look(f"undeclared?alias={MODEL}")
            if page is not None and msgspec.json.decode(page):
                return
            await anyio.sleep(0.05)
    raise GatewayFailed(f"the changed prompt was not noticed within {NOTICE_SECONDS:.0f} s\n{stage.gateway.tail()}")


def tell(stage: Stage, rows: Sequence[TemplateRow], known: TemplateList, took: float) -> None:
    """Say what is undeclared, after how many requests and seconds, and that the dated prompts are one template."""
    screen = stage.screen
    usual = [row for row in known.templates if row.leg == "prompt" and row.state == "baseline"]
    said = {line for row in usual for line in (row.text or "").splitlines()}
    news = [line for row in rows for line in (row.text or "").splitlines() if line not in said]
    screen.table(
        ("id", "leg", "state", "requests#", "what no other prompt says"),
        [(row.id, row.leg, row.state, row.requests, " / ".join(news)) for row in rows],
    )
    requests = sum(row.requests for row in rows)
    screen.claim(
        f"noticed after {requests} requests, {milliseconds(took)} after the last of them, down to the sentence",
        len(rows) == 1 and rows[0].leg == "prompt" and requests <= HANDFUL and news == [IS],
    )
    sent = len(stage.pinned.sent)
    screen.claim(
        f"before it {sent} different prompts came, with another date each: {len(usual)} template, nothing else to look at",
        sent > HANDFUL and len(usual) == 1 and len(known.templates) == len({"prompt", "tools"}) + len(rows),
    )
