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
from gateway.demo.stage import Caught, Stage, work_all

WAS, IS = "Reply to the customer, be brief.", "Reply to the customer, and always offer a gift."
"""The sentence that changes."""
HANDFUL = 5
"""Most runs of the redeployed agent, each held after its first request, until it is noticed."""
APART = 0.8
"""Seconds between two of them."""
NOTICE_SECONDS = 15.0
"""After the last of them."""


async def notice(stage: Stage) -> None:
    """Scene 6."""
    screen = stage.screen
    screen.heading("6. A prompt is shipped without a release")
    agent, caught = stage.pinned.redeployed(SYSTEM.replace(WAS, IS)), Caught()
    screen.say("The agent is deployed again with another sentence in its prompt, and one run after the other begins:")
    screen.say(IS)
    async with anyio.create_task_group() as group:
        began = time.monotonic()
        with screen.working("the gateway learns what is sent"):
            for count, case in enumerate(cases(70_000, HANDFUL), 1):
                group.start_soon(work_all, agent, [case], "desk", caught)
                await caught.until(count)
                if await _noticed(stage, APART if count < HANDFUL else NOTICE_SECONDS):
                    break
        took = time.monotonic() - began
        screen.command(f"trivet alias undeclared {MODEL}")
        rows = msgspec.json.decode(await stage.gateway.verb("alias", "undeclared", MODEL), type=list[TemplateRow])
        known = msgspec.json.decode(await stage.gateway.look(f"aliases/{MODEL}/prompts") or b"", type=TemplateList)
        tell(stage, rows, known, took)
        caught.let_go()
    await screen.read(1.0)


async def _noticed(stage: Stage, seconds: float) -> bool:
    """Whether something undeclared is listed within so many seconds."""
    with anyio.move_on_after(seconds):
        while True:
            page = await stage.gateway.look(f"undeclared?alias={MODEL}")
            if page is not None and msgspec.json.decode(page):
                return True
            await anyio.sleep(0.05)
    return False


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
        f"noticed after {requests} requests, {milliseconds(took)} after the first of them, down to the sentence",
        len(rows) == 1 and rows[0].leg == "prompt" and requests <= HANDFUL and news == [IS],
    )
    sent = len(stage.pinned.sent)
    screen.claim(
        f"before it {sent} different prompts came, with another date each: {len(usual)} template, nothing else to look at",
        sent > HANDFUL and len(usual) == 1 and len(known.templates) == len({"prompt", "tools"}) + len(rows),
    )
