"""Asks a release the operator's own prompts, window after window, and raises the alarm when it answers otherwise than it did.

Rule of the file: a provider that is slow, busy or failing raises no alarm and is left alone after its first failure of a piece. What
was asked is stored at once, so whoever goes on asks nothing twice; an alarm opens a drift epoch and does nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from gateway.core.contract.fault import Fault, Kind
from gateway.core.contract.probing import ProbeProgress, Series
from gateway.core.contract.reply import Reply
from gateway.core.contract.sentinel import Alarm, Watched
from gateway.core.contract.suite import Answer, Check, Item, Said
from gateway.core.pinning.identity import opened
from gateway.core.pinning.warm import Sign
from gateway.core.stats import logprobs, mmd
from gateway.sentinel import series as rules
from gateway.sentinel.asking import Prober, Told, party
from gateway.settings import probes as files
from gateway.settings.model import ProbeDeclared, Settings
from gateway.settings.probes import Prompts
from gateway.store import epochs, probes, releases
from gateway.store.client import Store
from gateway.upstream.ownport import DataPort, Party

PIECE_SECONDS = 5.0
"""No call is begun after so much of one piece of work."""
AT_ONCE = 2
"""Calls at the same time: live traffic has the provider's limits to itself."""
X = Item("x", (Said("user", "x"),), Check(), Answer(), Answer(), max_tokens=1)
"""The prompt whose first token's log-probabilities are watched."""
UNKNOWN_MEMBER = 400
"""Status of an endpoint that does not take the members below."""
CHANCES = {"logprobs": True, "top_logprobs": 5}


@dataclass(frozen=True, slots=True)
class Post:
    """Where a piece of work is done. `clock` is wall clock in milliseconds."""

    store: Store
    settings: Settings
    port: Callable[[], DataPort]
    clock: Callable[[], int]


@dataclass(frozen=True, slots=True)
class Target:
    """What is probed."""

    alias: str
    party: Party
    declared: ProbeDeclared
    prompts: Prompts

    @property
    def snapshot(self) -> str:
        """The model behind the release."""
        return self.party.release.triple.model

    @property
    def name(self) -> str:
        """Field of the series."""
        return f"{self.party.release.id}:{self.prompts.digest}"

    @property
    def size(self) -> int:
        """Answers of a window."""
        return len(self.prompts.items) * self.declared.samples

    @property
    def every_ms(self) -> int:
        """From one window to the next; 0 where none begins by itself."""
        return round(self.declared.every * 1000)

    @property
    def chances(self) -> bool:
        """Whether its dialect has log-probabilities."""
        return self.party.dialect == "openai"


async def target(post: Post, alias: str, release: str) -> Target:
    """What is probed. Raises Fault 409 `probes_undeclared`, `probe_prompts`, `probe_impossible`, 404 `release_unknown`."""
    settings = post.settings.aliases.get(alias)
    if settings is None or settings.probes is None:
        message = f"the configuration declares no probes for {alias}: write `aliases: {{{alias}: {{probes: {{prompts: FILE}}}}}}`"
        raise Fault(Kind.CONFLICT, "probes_undeclared", message, param="alias")
    try:
        prompts = files.read(settings.probes)
    except files.PromptsError as error:
        raise Fault(Kind.CONFLICT, "probe_prompts", str(error), param="alias") from error
    found = await releases.get(post.store, release)
    if found is None:
        raise releases.unknown(release)
    asked = await party(post.store, post.settings, found)
    if isinstance(asked, str):
        raise Fault(Kind.CONFLICT, "probe_impossible", f"release {release} cannot be probed: {asked}", param="release")
    return Target(alias, asked, settings.probes, prompts)


async def is_due(post: Post, probed: Target) -> bool:
    """Whether there is something to ask by itself. Raises Fault for the store."""
    watched = await _watched(post, probed)
    if watched.open:
        return False
    series = await probes.get(post.store, probed.snapshot, probed.name)
    now_ms = post.clock()
    if _stale(series, watched):
        return bool(probed.every_ms)
    chances = probed.chances and bool(probed.every_ms) and rules.chances_due(series, now_ms)
    hint = rules.hinted(series, _fingerprints(watched), probed.every_ms, now_ms)
    return chances or hint or rules.due(series, probed.every_ms, now_ms)


async def ask_soon(post: Post, probed: Target, why: str) -> None:
    """Have a window begin whatever the time: something else hints at a change. Raises Fault for the store."""
    await _change(post, probed, lambda s: s if s.going else msgspec.structs.replace(s, wanted=why))


async def work(post: Post, probed: Target, *, begin: bool, seconds: float = PIECE_SECONDS) -> ProbeProgress:
    """Ask for a few seconds and say how far it is. `begin` begins a window where none is in progress.

    Raises Fault: 409 `no_data_port`, and for the store.
    """
    watched = await _watched(post, probed)
    if watched.open:
        series = await _change(post, probed, lambda s: rules.discarded(s) if s.going else s)
        alarm = watched.epoch.alarm
        return _progress(
            probed, series, watched, f"an alarm is open ({alarm}): `trivet drift status {probed.snapshot}`"
        )
    series = await _change(post, probed, lambda s: _begun(s, watched, post.clock(), begin=begin))
    told = ""
    async with Prober(post.store, post.settings, post.port(), post.clock()) as prober:
        until = asyncio.get_running_loop().time() + seconds
        if probed.chances and rules.chances_due(series, post.clock()):
            series, told = await _chances(post, probed, prober, until)
        if not told and series.going:
            series, told = await _window(post, probed, prober, until)
    return _progress(probed, series, await _watched(post, probed), told, post.clock())


async def _window(post: Post, probed: Target, prober: Prober, until: float) -> tuple[Series, str]:
    """Ask on in the window in progress, and compare it once it is whole."""
    samples = probed.declared.samples
    series = await probes.get(post.store, probed.snapshot, probed.name)
    wanted = rules.missing(series, probed.prompts.items, samples)
    found, failures = await _asked(prober, probed.party, wanted, {}, until)
    failed, why = _count(failures), _why(failures)
    texts = [(item.id, said(told.reply)) for item, told in found if told.reply is not None]
    series = await _change(post, probed, lambda s: rules.answered(s, texts, failed, samples))
    now_ms = post.clock()
    if series.going and not rules.missing(series, probed.prompts.items, samples):
        judged = await asyncio.to_thread(rules.whole, series, now_ms)
        series = await _change(post, probed, lambda s: judged if s == series else s)
        if series is judged or series == judged:
            return series, await _said_of(post, probed, series)
    elif rules.hopeless(series, probed.size, now_ms):
        series = await _change(post, probed, lambda s: rules.discarded(s) if s.going else s)
        return series, f"the window was not whole in time and is discarded: {why or 'it took too long'}"
    return series, why


async def _chances(post: Post, probed: Target, prober: Prober, until: float) -> tuple[Series, str]:
    """Ask for log-probabilities until their window is whole, or the time is up. What it says is empty when windows may go on."""
    series = await probes.get(post.store, probed.snapshot, probed.name)
    wanted = [X] * (logprobs.WINDOW - len(series.chances_open) if series.chances else 1)
    found, failures = await _asked(prober, probed.party, wanted, CHANCES, until)
    samples = [rules.sample_of(told.body) for _, told in found]
    if (found and not any(samples)) or any(told.status == UNKNOWN_MEMBER for told in failures):
        # Asked, answered, and nothing told, or not understood: this endpoint has none.
        return await _change(post, probed, lambda s: msgspec.structs.replace(s, chances=False, chances_open=())), ""
    good = [sample for sample in samples if sample]
    now_ms = post.clock()
    failed, before = _count(failures), series.chances_past
    series = await _change(post, probed, lambda s: rules.chanced(s, good, failed, probed.every_ms, now_ms))
    if series.chances_past != before and rules.chances_alarmed(series):
        limit = rules.chances_limit(series) or 0.0
        test = (
            f"log-probabilities of the first token after `x`, {logprobs.WINDOW} answers of {probed.alias} "
            f"({probed.party.release.id}): statistic {series.chances_past[-1]:.3f}, threshold {limit:.3f} from "
            f"{len(series.chances_past) - 1} windows before"
        )
        if series.chances_reference_ms:
            test += f"; reference of {rules.moment(series.chances_reference_ms)}"
        await _alarm(post, probed, Alarm.LOGPROB, "the first token's probabilities of the reference", "others", test)
        return series, f"ALARM: {test}"
    return series, _why(failures)


async def _asked(
    prober: Prober, party: Party, items: list[Item], extra: dict[str, Any], until: float
) -> tuple[list[tuple[Item, Told]], list[Told]]:
    """Ask these until the time is up or a call comes to nothing: the answers, and the failures."""
    found: list[tuple[Item, Told]] = []
    failures: list[Told] = []
    left = iter(items)
    clock = asyncio.get_running_loop().time

    async def slot() -> None:
        for item in left:
            told = await prober.ask(party, item, extra)
            if told.sign is Sign.WORKED:
                found.append((item, told))
            else:
                failures.append(told)
            if failures or clock() >= until:
                return

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(slot())
    return found, failures


def _count(failures: list[Told]) -> int:
    """Those that somebody was asked."""
    return sum(told.asked for told in failures)


def _why(failures: list[Told]) -> str:
    return failures[0].why if failures else ""


async def _said_of(post: Post, probed: Target, series: Series) -> str:
    """What a whole window comes to; the alarm is raised here."""
    if not series.windows:
        return f"the reference is recorded: {probed.size} answers"
    last = series.windows[-1]
    told = f"statistic {last.statistic:.4f}, p {last.p:.4f}"
    if not rules.alarmed(series):
        return f"{told}: " + ("it differs; a second window will say" if rules.doubted(series) else "as the reference")
    before = series.windows[-2]
    test = (
        f"MMD with the Hamming kernel, {len(probed.prompts.items)} prompts with {probed.declared.samples} answers each of "
        f"{probed.alias} ({probed.party.release.id}): {told} after p {before.p:.4f} in the window before, threshold p below "
        f"{mmd.LEVEL:g} in {mmd.WINDOWS} windows in a row; reference of {rules.moment(series.reference_ms)}"
    )
    first, second = f"answers of {rules.moment(series.reference_ms)}", f"answers of {rules.moment(last.at_ms)}"
    await _alarm(post, probed, Alarm.PROBE, first, second, test)
    return f"ALARM: {test}"


async def _alarm(post: Post, probed: Target, alarm: Alarm, before: str, after: str, test: str) -> None:
    """Begin a drift epoch, unless one is open. The watcher of identities tells histories, rollouts and evidence."""

    def make(known: Watched) -> Watched | None:
        return None if known.open else opened(known, alarm, before, after, test, post.clock())

    await epochs.change(post.store, probed.snapshot, make)


def said(reply: Reply) -> str:
    """What a reply says, as one text: words, or what was declined, and calls."""
    if not reply.messages:
        return ""
    message = reply.messages[0]
    calls = [f"\n{call.name}({call.arguments})" for call in message.tool_calls]
    return (message.text or message.refusal) + "".join(calls)


def _stale(series: Series, watched: Watched) -> bool:
    """Whether somebody has acknowledged another behaviour since the reference was begun."""
    return series.epoch < watched.epoch.number and (series.reference_ms > 0 or series.going or series.epoch > 0)


def _begun(series: Series, watched: Watched, now_ms: int, *, begin: bool) -> Series:
    """The series as a piece of work begins: anew after an acknowledgement, with a window where one is to begin."""
    if _stale(series, watched) or not series.epoch:
        series = Series(epoch=watched.epoch.number)
    if begin and not series.going:
        series = msgspec.structs.replace(rules.begun(series, now_ms), chances_next_ms=0)
        series = rules.fingerprinted(series, _fingerprints(watched))
    return series


def _fingerprints(watched: Watched) -> list[str]:
    return [each.fingerprint for each in watched.observed.values()]


async def _watched(post: Post, probed: Target) -> Watched:
    return (await epochs.load(post.store, [probed.snapshot]))[probed.snapshot].watched


async def _change(post: Post, probed: Target, make: Callable[[Series], Series]) -> Series:
    return await probes.change(post.store, probed.snapshot, probed.name, make)


def _progress(probed: Target, series: Series, watched: Watched, told: str, now_ms: int = 0) -> ProbeProgress:
    chances = bool(now_ms) and probed.chances and rules.chances_due(series, now_ms) and not watched.open
    return ProbeProgress(
        alias=probed.alias,
        release=probed.party.release.id,
        snapshot=probed.snapshot,
        prompts=len(probed.prompts.items),
        samples=probed.declared.samples,
        done=sum(map(len, series.open.values())),
        failed=series.failed,
        going=series.going or chances,
        reference_ms=series.reference_ms,
        windows=series.windows[-10:],
        discarded=series.discarded,
        calls=series.calls,
        chances=series.chances if probed.chances else False,
        chances_past=tuple(round(each, 4) for each in series.chances_past[-10:]),
        epoch=watched.epoch.number,
        alarm=str(watched.epoch.alarm or "") if watched.open else "",
        told=told,
        chances_limit=rules.chances_limit(series),
        chances_ms=series.chances_reference_ms,
    )
