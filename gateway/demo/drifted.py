"""The eleventh scene: the provider puts another model behind a pinned id and keeps the name; then behind another id, openly.

Rule of the file: the provider tells nobody. What is said of the change is what the gateway's own commands found, and the way back
is the very command that they offer.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence

import anyio
import msgspec

from gateway.core.contract.alias import AliasState
from gateway.core.contract.evidence import GateReport, Word
from gateway.core.contract.probing import ProbeProgress
from gateway.core.contract.records import HistoryEntry, Moved, ReleaseMade
from gateway.core.contract.rollout import Phase
from gateway.core.contract.sentinel import Alarm, DriftRow, WarmRow
from gateway.core.stats import mmd
from gateway.demo import rollouts
from gateway.demo.agent import MODEL, Run, cases
from gateway.demo.exam import SUITES
from gateway.demo.gates import declared
from gateway.demo.listener import Listener, Told
from gateway.demo.measure import QUESTIONS, RARE, fisher, share
from gateway.demo.minds import BETTER, CANDIDATE, LENIENT, NEW
from gateway.demo.releases import followed, moved
from gateway.demo.screen import Screen, milliseconds, percent
from gateway.demo.served import Gateway, GatewayFailed
from gateway.demo.stage import Stage, work_all

PROMPTS, SAMPLES = 12, 6
"""Questions of a window of probes, and answers to each."""
QUESTION = "Order B-{number} came broken; it was bought {days} days ago. Do I get my money back?"
RUNS = 24
"""Before the change, after it, and after the way back."""
WINDOWS = 4
"""Windows after the change, at most, until there is an alarm; it takes two that differ."""
MANIFEST = (
    "skip_shadow: head office waits",
    "steps:",
    "  - {weight: 20%, bake: 1h, runs: 100}",
)
SILENT, OPEN = f"openai/{BETTER}", f"openai/{NEW}"
"""Models that are changed under their names: by one that keeps the name, and by one that gives its own."""
PLACES = {-1: "candidate", 0: "stable"}
REFUNDS = "refunded against the policy"
"""The behaviour that LENIENT has otherwise."""
DRIFT_SECONDS = 20.0
"""Later than this after an alarm is too late to be frozen, or to be told."""
OFFERED = re.compile(r"`trivet rollback \S+ --to (rel_[0-9a-f]{16}) ")
"""The command that `trivet drift status` offers."""


async def drift(stage: Stage, live: str, cheaper: str, listener: Listener) -> None:
    """Scene 11. `live` is stable and on BETTER; the gate said GO for `cheaper` in its place."""
    screen = stage.screen
    screen.heading("11. The provider changes a pinned model and keeps its name")
    first = await _reference(stage, listener)
    before = await work_all(stage.pinned, cases(120_000, RUNS), "desk")
    version = await _canary(stage)
    stage.provider.change(BETTER, LENIENT)
    screen.say(f"The provider puts another model behind {BETTER} and says nothing.")
    tell_alarm(screen, first, await alarmed(screen, stage.gateway, MODEL))
    with screen.working("agents at work"):
        after = on(live, await work_all(stage.pinned, cases(121_000, RUNS), "desk"))
    tell_names(screen, after)
    await _stale(stage, cheaper)
    began = time.monotonic()
    proofs = await _warm(stage)
    await _noticed(stage)
    took = time.monotonic() - began
    found = await _status(stage)
    tell_openly(screen, found[OPEN], took)
    tell_frozen(screen, await _frozen(stage, version), found[SILENT])
    tell_heard(screen, await listener.until("trivet.drift", DRIFT_SECONDS, about=SILENT))
    offered = tell_offer(screen, found, proofs)
    words = ("rollback", MODEL, "--to", offered, "--reason")
    screen.command(f'trivet {" ".join(words)} "another model answers"')
    done = await moved(stage, *words, "another model answers")
    again = await work_all(stage.pinned, cases(122_000, RUNS), "desk")
    tell_back(screen, done, await rollouts.seen(stage), offered)
    tell_runs(screen, (on(live, before), after, on(offered, again)))
    await screen.read(1.5)


def on(release: str, runs: Sequence[Run]) -> list[Run]:
    """The runs of which every step is of this release: the others got the canary."""
    return [run for run in runs if set(run.releases) == {release}]


def questions() -> list[str]:
    """What is asked: about orders in time, and about late ones."""
    return [QUESTION.format(number=number, days=25 + 4 * number) for number in range(PROMPTS)]


async def _reference(stage: Stage, listener: Listener) -> ProbeProgress:
    """Declare probes, have the reference recorded, and a window compared while nothing has changed."""
    screen = stage.screen
    asked = questions()
    (stage.gateway.folder / "probes.jsonl").write_text("\n".join(map(json.dumps, asked)) + "\n", encoding="utf-8")
    settings = declared(listener)
    settings["aliases"][MODEL]["probes"] = {"prompts": "probes.jsonl", "samples": SAMPLES}
    await stage.gateway.declare(**settings)
    screen.say(f"probes.jsonl: {PROMPTS} questions such as: {asked[0]}", "dim")
    screen.say(f"aliases.{MODEL}.probes: {{prompts: probes.jsonl, samples: {SAMPLES}}}", "dim")
    done = await compared(screen, stage.gateway, MODEL)
    tell_reference(screen, done)
    return done


async def probe(screen: Screen, gateway: Gateway, alias: str) -> ProbeProgress:
    """Run a window now. Raises GatewayFailed when it was not whole."""
    words = ("drift", "probe", alias)
    screen.command("trivet " + " ".join(words))
    with screen.working("asking the same questions again"):
        done = msgspec.json.decode(await gateway.verdict(*words), type=ProbeProgress)
    if done.going and not done.alarm:
        raise GatewayFailed(f"a window of probes was not whole: {done.told}")
    screen.say(done.told, "dim")
    return done


async def compared(screen: Screen, gateway: Gateway, alias: str) -> ProbeProgress:
    """Run windows until there is a reference and one that was compared with it."""
    done = await probe(screen, gateway, alias)
    while not done.windows and not done.alarm:
        done = await probe(screen, gateway, alias)
    return done


async def alarmed(screen: Screen, gateway: Gateway, alias: str) -> ProbeProgress:
    """Run windows until one of them is alarmed, or nobody can wait any longer."""
    done = await probe(screen, gateway, alias)
    for _ in range(WINDOWS - 1):
        if done.alarm:
            break
        done = await probe(screen, gateway, alias)
    return done


def tell_reference(screen: Screen, done: ProbeProgress) -> None:
    """Say that there is a reference, and that the same model does not look like another one."""
    size = done.prompts * done.samples
    screen.claim(
        f"{size} answers are the reference, and {sum(each.calls for each in done.windows)} more are no alarm: "
        f"p {', '.join(f'{each.p:.3f}' for each in done.windows)}",
        done.reference_ms > 0 and bool(done.windows) and not done.alarm and not done.discarded,
    )


async def _canary(stage: Stage) -> int:
    """Begin a rollout of another prompt on the live model, past the gate; the version of the alias that began it."""
    screen = stage.screen
    words = ("release", "create", "--alias", MODEL, "--from", "stable", "--prompt", "policy.md")
    screen.command("trivet " + " ".join(words))
    made = msgspec.json.decode(await stage.gateway.verb(*words), type=ReleaseMade)
    screen.say(made.id)
    rollouts.written(stage, "policy.yaml", made.id, MANIFEST)
    begun = await rollouts.start(stage, "policy.yaml", "head office")
    order = ("rollout", "override", MODEL, "--name", "demo", "--reason")
    screen.command(f'trivet {" ".join(order)} "head office answers for it"')
    await stage.gateway.verb(*order, "head office answers for it")
    return begun.version


def tell_names(screen: Screen, runs: Sequence[Run]) -> None:
    """Say that what is on the wire shows nothing: the answers still name the pinned model."""
    answers = sum(len(run.models) for run in runs)
    screen.claim(
        f"{answers} answers to {len(runs)} runs, and every one names {BETTER}: by the name nobody can tell",
        bool(runs) and all(set(run.models) == {BETTER} for run in runs),
    )


def tell_alarm(screen: Screen, before: ProbeProgress, done: ProbeProgress) -> None:
    """Say after how many windows and calls there was an alarm, and on which numbers."""
    last = done.windows[-mmd.WINDOWS :]
    screen.claim(
        f"alarm after {len(done.windows) - len(before.windows)} windows, {done.calls - before.calls} calls: "
        f"p {' and '.join(f'{each.p:.4f}' for each in last)}; it takes {mmd.WINDOWS} below {mmd.LEVEL:g} in a row",
        done.alarm == Alarm.PROBE and not before.alarm and len(done.windows) > len(before.windows),
    )


async def _stale(stage: Stage, candidate: str) -> None:
    """Ask the gate for a word that it said before the change."""
    words = ("gate", "check", MODEL, "--release", candidate)
    stage.screen.command("trivet " + " ".join(words))
    tell_stale(stage.screen, msgspec.json.decode(await stage.gateway.verdict(*words), type=GateReport))


def tell_stale(screen: Screen, report: GateReport) -> None:
    """Say that evidence about what answered before no longer counts, and why."""
    screen.say("; ".join(report.stale), "dim")
    screen.claim(
        f"the GO of scene 10 no longer counts: {report.verdict.value}, evidence of both suites is stale",
        report.verdict is Word.INSUFFICIENT
        and len(report.stale) == len(SUITES)
        and all(BETTER in why for why in report.stale),
    )


async def _warm(stage: Stage) -> list[WarmRow]:
    """Have every release that the alias can go back to asked one question now."""
    screen = stage.screen
    stage.provider.move(NEW, CANDIDATE)
    screen.say(f"And openly: from now on {CANDIDATE} answers for {NEW}.")
    words = ("warm", MODEL, "--probe")
    screen.command("trivet " + " ".join(words))
    with screen.working("asking every release"):
        rows = msgspec.json.decode(await stage.gateway.verdict(*words), type=list[WarmRow])
    screen.table(
        ("place", "release", "model", "proof", "by", "why"),
        [(PLACES.get(r.place, f"back {r.place}"), r.release, r.model, r.proof.value, r.source, r.why) for r in rows],
    )
    return rows


async def _noticed(stage: Stage) -> None:
    """Return when both models have an alarm. Raises GatewayFailed when they get none."""
    with stage.screen.working("the gateway reads who answers"), anyio.move_on_after(DRIFT_SECONDS):
        while True:
            page = await stage.gateway.look("drift")
            found = {row.snapshot for row in msgspec.json.decode(page or b"[]", type=list[DriftRow]) if row.open}
            if {SILENT, OPEN} <= found:
                return
            await anyio.sleep(0.05)
    raise GatewayFailed(f"{SILENT} and {OPEN} have no alarm each after {DRIFT_SECONDS:.0f} s\n{stage.gateway.tail()}")


async def _status(stage: Stage) -> Mapping[str, DriftRow]:
    """What a person sees who asks whether it is still the same models; by model."""
    screen = stage.screen
    screen.command("trivet drift status")
    said = await stage.gateway.verdict("drift", "status")
    rows = {row.snapshot: row for row in msgspec.json.decode(said, type=list[DriftRow])}
    screen.table(
        ("model", "epoch#", "why", "answers now", "used by"),
        [
            (
                row.snapshot,
                row.epoch,
                f"{row.alarm}, open" if row.open else row.alarm,
                ", ".join(dict.fromkeys(each.model for each in row.observed)),
                ", ".join(dict.fromkeys(use.role for use in row.used)),
            )
            for row in rows.values()
        ],
    )
    for sentence in rows[SILENT].advice:
        screen.say(sentence, "dim")
    return rows


def tell_openly(screen: Screen, found: DriftRow, took: float) -> None:
    """Say that an answer that names another model was enough for an alarm, and how soon it was seen."""
    screen.claim(
        f"openly, one answer is enough: {found.after} in place of {found.before}, epoch {found.epoch}, "
        f"seen {milliseconds(took)} after the question",
        found.open and found.alarm == Alarm.MODEL and (found.before, found.after) == (NEW, CANDIDATE),
    )


async def _frozen(stage: Stage, version: int) -> list[HistoryEntry]:
    """The history of the rollout once it is frozen."""
    with stage.screen.working("the rollout"), anyio.move_on_after(DRIFT_SECONDS):
        await rollouts.until(stage, rollouts.in_phase(Phase.FROZEN), "frozen")
    entries = await rollouts.history(stage, version)
    rollouts.tell_history(stage, entries)
    return entries


def tell_frozen(screen: Screen, entries: Sequence[HistoryEntry], found: DriftRow) -> None:
    """Say that the rollout was frozen by itself for this change, how soon after the alarm, and where it stands."""
    last = entries[-1]
    rollout = last.after.rollout if last.after is not None else None
    cause = f"drift:{found.snapshot}@{found.epoch}"
    screen.claim(
        f"the rollout was frozen by {last.actor} {milliseconds((last.at_ms - found.since_ms) / 1000)} after the alarm, "
        f"{cause}; it stays at {rollouts.weight(last):g} %",
        rollout is not None and rollout.phase is Phase.FROZEN and rollout.causes == (cause,) and last.actor == "trivet",
    )


def tell_heard(screen: Screen, told: Told | None) -> None:
    """Say that somebody outside was told of it, in a message with a signature that holds."""
    screen.claim(
        f"a webhook heard of it: {told.body.get('type') if told is not None else 'nothing'}; its signature holds",
        told is not None and told.signed,
    )


def tell_offer(screen: Screen, found: Mapping[str, DriftRow], proofs: Sequence[WarmRow]) -> str:
    """Say where it offers to go back to: the newest proven release on a model without an alarm.

    Raises GatewayFailed where it offers nothing.
    """
    match = next(filter(None, map(OFFERED.search, found[SILENT].advice)), None)
    if match is None:
        raise GatewayFailed(f"no way back is offered: {'; '.join(found[SILENT].advice)}")
    former = sorted((row.place, row.release, row.model) for row in proofs if row.place > 0)
    ready = {row.release for row in proofs if row.ready and not found[row.model].open}
    best = next(((release, model) for _, release, model in former if release in ready), ("", "none"))
    screen.claim(
        f"the way back it offers is the newest of {len(former)} that is proven and on a model without an alarm: "
        f"{match[1]}, {best[1]}",
        best[0] == match[1],
    )
    return match[1]


def tell_back(screen: Screen, done: Moved, state: AliasState, offered: str) -> None:
    """Say that it went there in one write, and that the rollout ended with it."""
    rollout = state.rollout
    screen.claim(
        f"rolled back; {followed(done)}; the rollout is {rollout.phase.value if rollout is not None else 'gone'}",
        done.changed
        and not done.acknowledged.silent
        and done.acknowledged.slowest < 1000
        and state.lanes["*"].release == offered
        and state.split is None
        and rollout is not None
        and rollout.phase is Phase.ROLLED_BACK,
    )


def tell_runs(screen: Screen, runs: tuple[Sequence[Run], Sequence[Run], Sequence[Run]]) -> None:
    """Say what runs did before the change, after it, and after the way back."""
    found = [[share(each, asks) for each in runs] for asks in QUESTIONS.values()]
    screen.table(
        ("of so many runs", "before#", "changed#", "by chance#", "rolled back#", "by chance#"),
        [
            (name, before, changed, percent(fisher(before, changed)), back, percent(fisher(before, back)))
            for name, (before, changed, back) in zip(QUESTIONS, found, strict=True)
        ],
    )
    refunds = found[list(QUESTIONS).index(REFUNDS)]
    screen.claim(
        f"refunded against the policy: {' > '.join(map(str, refunds))}: beyond chance, and as before",
        fisher(refunds[0], refunds[1]) < RARE <= fisher(refunds[0], refunds[2]),
    )
