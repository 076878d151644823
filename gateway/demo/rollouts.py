"""What scenes with a rollout share: a candidate, its manifest, the order to begin, agents that go on working, and where it is.

Rule of the file: every command is one that a user would type, and what is shown of it is its own answer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from itertools import count

import anyio
import msgspec

from gateway.core.contract.alias import AliasState
from gateway.core.contract.records import AliasDetail, HistoryEntry, ReleaseMade
from gateway.core.contract.rolling import RolloutMoved, RolloutStatus
from gateway.core.contract.rollout import Action, Phase, Rollout
from gateway.demo.agent import IN_TIME, MODEL, Run, cases
from gateway.demo.served import GatewayFailed
from gateway.demo.stage import Stage, name_of

LOOK = 0.1
"""Seconds between two looks at a rollout."""
SECONDS = 90.0
"""Longest wait for a rollout to go on."""
AGENTS = 3
"""Agents that work while a rollout goes on."""
ROLLOUT = "rollout_"


async def candidate(stage: Stage, model: str) -> str:
    """Make a release of this model and nothing else; its id."""
    words = ("release", "create", "--model", f"openai/{model}", "--alias", MODEL)
    stage.screen.command("trivet " + " ".join(words))
    made = msgspec.json.decode(await stage.gateway.verb(*words), type=ReleaseMade)
    stage.screen.say(made.id)
    return made.id


def written(stage: Stage, file: str, release: str, lines: Sequence[str]) -> None:
    """Write a manifest beside the configuration, and show what it says."""
    text = "\n".join(("kind: Rollout", f"alias: {MODEL}", f"release: {release}", *lines))
    (stage.gateway.folder / file).write_text(text + "\n", encoding="utf-8")
    for line in (f"{file}:", *lines):
        stage.screen.say(line if line.endswith(".yaml:") else f"  {line}", "dim")


async def start(stage: Stage, file: str, reason: str) -> RolloutMoved:
    """Begin the rollout of a manifest. Raises Refused, GatewayFailed."""
    words = ("rollout", "start", "-f", file, "--yes", "--reason")
    stage.screen.command(f'trivet {" ".join(words)} "{reason}"')
    with stage.screen.working("waiting for the workers"):
        return msgspec.json.decode(await stage.gateway.verb(*words, reason), type=RolloutMoved)


async def seen(stage: Stage) -> AliasState:
    """The alias as it is now."""
    page = await stage.gateway.look(f"aliases/{MODEL}")
    return msgspec.json.decode(page or b"", type=AliasDetail).state


async def until(stage: Stage, there: Callable[[AliasState], bool], what: str) -> AliasState:
    """The alias once its rollout is there, or has ended. Raises GatewayFailed when that takes too long."""
    rollout: Rollout | None = None
    with anyio.move_on_after(SECONDS):
        while True:
            state = await seen(stage)
            rollout = state.rollout
            if there(state) or (rollout is not None and rollout.ended):
                return state
            await anyio.sleep(LOOK)
    where = f"{rollout.phase.value} {' '.join(rollout.causes)}" if rollout is not None else "there is none"
    raise GatewayFailed(f"the rollout was not {what} within {SECONDS:.0f} s: {where}\n{stage.gateway.tail()}")


def in_phase(*phases: Phase) -> Callable[[AliasState], bool]:
    """Whether an alias has a rollout in one of these phases."""
    wanted: Collection[Phase] = frozenset(phases)
    return lambda state: state.rollout is not None and state.rollout.phase in wanted


async def status(stage: Stage) -> RolloutStatus:
    """What a person sees who asks where the rollout is: shown, and given."""
    words = ("rollout", "status", MODEL)
    stage.screen.command("trivet " + " ".join(words))
    found = msgspec.json.decode(await stage.gateway.verb(*words), type=RolloutStatus)
    if found.rollout is not None and found.split is not None:
        waits = "; ".join(wait.what for wait in found.waits)
        stage.screen.say(
            f"{found.rollout.phase.value}, {found.split.weight / 100:g} %; waits for: {waits or 'nothing any more'}"
        )
    stage.screen.table(
        ("metric", "does", "candidate#", "live#", "evidence#", "acts at#", ""),
        [
            (
                each.metric,
                each.action.value,
                f"{each.canary_bad} of {each.canary_units}",
                f"{each.control_bad} of {each.control_units}",
                f"{each.e_value:.3g}",
                f"{each.threshold:g}",
                each.verdict.value,
            )
            for each in (found.facts.findings if found.facts is not None else ())
            if each.action is not Action.OBSERVE
        ],
    )
    return found


async def history(stage: Stage, version: int) -> list[HistoryEntry]:
    """The transitions of the rollout that began with this version of the alias, oldest first."""
    words = ("rollout", "history", MODEL)
    stage.screen.command("trivet " + " ".join(words))
    found = msgspec.json.decode(await stage.gateway.verb(*words), type=list[HistoryEntry])
    return [each for each in reversed(found) if each.version >= version and each.action.startswith(ROLLOUT)]


def tell_history(stage: Stage, entries: Sequence[HistoryEntry]) -> None:
    """The transitions as a table, with seconds since the first."""
    stage.screen.table(
        ("after#", "what", "by", "phase", "candidate#", "why"),
        [
            (
                f"{(each.at_ms - entries[0].at_ms) / 1000:.1f} s",
                each.action.removeprefix(ROLLOUT),
                each.actor,
                phase(each),
                f"{weight(each):g} %",
                each.reason,
            )
            for each in entries
        ],
    )


def phase(entry: HistoryEntry) -> str:
    """The phase that a transition led to."""
    return entry.after.rollout.phase.value if entry.after is not None and entry.after.rollout is not None else ""


def weight(entry: HistoryEntry) -> float:
    """The share of new runs that got the candidate after it, in percent."""
    split = entry.after.split if entry.after is not None else None
    if phase(entry) == Phase.COMPLETED:
        return 100.0
    return split.weight / 100 if split is not None else 0.0


class Traffic:
    """Agents that take one case after the other, and the runs that have ended so far."""

    def __init__(self, stage: Stage, first: int) -> None:
        self._stage = stage
        self._numbers = count(first)
        self._going = True
        self.runs: list[Run] = []

    def stop(self) -> None:
        """Begin no more runs; those begun end in order."""
        self._going = False

    async def work(self) -> None:
        """One agent after the other, until it is stopped."""
        while self._going:
            number = next(self._numbers)
            case = cases(number, 1, IN_TIME)[0]
            self.runs.append(await self._stage.pinned.work(case, name=name_of(case, number, "desk")))


@asynccontextmanager
async def at_work(stage: Stage, first: int) -> AsyncIterator[Traffic]:
    """Agents that work on one case after the other while the context is open; when it closes, all their runs have ended."""
    traffic = Traffic(stage, first)
    async with anyio.create_task_group() as group:
        for _ in range(AGENTS):
            group.start_soon(traffic.work)
        yield traffic
        traffic.stop()


def releases(runs: Sequence[Run], release: str) -> int:
    """Runs whose every step was answered by this release."""
    return sum(set(run.releases) == {release} for run in runs)
