"""What a run of the gate asks, what keeps it from beginning, and about what it costs, before anything is paid for.

Rule of the file: money comes from the price table and is unknown where that is silent; what an answer will take is reckoned from
what items allow and said to be so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gateway.control.desk import Desk
from gateway.control.moves import callable_or_fault
from gateway.core.contract.alias import EVERYONE
from gateway.core.contract.exchange import Usage
from gateway.core.contract.fault import Fault, Kind
from gateway.core.contract.gate_run import GatePlan, GateSuite, SuiteRun
from gateway.core.contract.release import Mode, PinClass, Release
from gateway.core.contract.suite import Item, Suite, SuiteKind
from gateway.core.dialect.legs import as_sent, parsed
from gateway.core.dialect.registry import DIALECTS
from gateway.core.dialect.toolset import names
from gateway.core.dialect.variables import OWN_MEMBER
from gateway.core.gate import checks
from gateway.core.gate.feasible import forecast
from gateway.core.gate.requests import OPERATIONS, allowed, manner, whole
from gateway.core.gate.rubric import JUDGE_TOKENS
from gateway.core.gate.suite import SuiteError, judged, label
from gateway.core.pinning.classify import vendor_of
from gateway.core.pinning.prices import cost
from gateway.settings import gates, tables
from gateway.settings.endpoints import dialects, unattended
from gateway.settings.model import GateSettings
from gateway.settings.prices import PriceBook
from gateway.store import releases
from gateway.store.artifacts import named
from gateway.upstream.ownport import Party

BYTES_PER_TOKEN = 4
WORDS = 25
"""Tokens that even a short answer comes with."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked for. `against` is empty for the release that is stable for everybody; `kinds` is empty for every suite."""

    alias: str
    release: str
    against: str = ""
    kinds: tuple[SuiteKind, ...] = ()


@dataclass(frozen=True, slots=True)
class Prepared:
    """An order with everything it names."""

    gate: GateSettings
    candidate: Party
    incumbent: Party
    judge: Party | None
    suites: tuple[tuple[SuiteRun, Suite], ...]
    refusals: tuple[str, ...]

    @property
    def parties(self) -> tuple[Party, Party]:
        """Candidate and incumbent."""
        return self.candidate, self.incumbent


async def prepare(desk: Desk, order: Order) -> Prepared:
    """Read everything that an order names.

    Raises Fault: 404 for unknown names, 409 `gate_undeclared`, `gate_suite`, `release_blocked`, `release_dead`.
    """
    state = await desk.alias(order.alias)
    gate = declared(desk, order.alias)
    everybody = state.lanes.get(EVERYONE)
    against = order.against or (everybody.release if everybody is not None else "")
    if not against:
        message = f"alias {order.alias} has no release for everybody; name one with --against"
        raise Fault(Kind.BAD_REQUEST, "no_incumbent", message, param="against")
    suites = tuple(chosen(gate, order.kinds))
    refusals: list[str] = []
    candidate = await party(desk, gate, order.release, refusals)
    incumbent = candidate if against == order.release else await party(desk, gate, against, refusals)
    judge = await party(desk, gate, gate.judge, refusals, judge=True) if gate.judge else None
    if not suites:
        refusals.append("every suite of the gate is run by another engine; `trivet evidence import` takes its logs")
    if judge is None and any(judged(suite) for _, suite in suites):
        refusals.append(f"a suite has rubrics: name a judge as aliases.{order.alias}.gate.judge")
    return Prepared(gate, candidate, incumbent, judge, suites, tuple(dict.fromkeys(refusals)))


def declared(desk: Desk, alias: str) -> GateSettings:
    """The gate of an alias. Raises Fault 409 `gate_undeclared`."""
    settings = desk.settings.aliases.get(alias)
    if settings is None or settings.gate is None:
        message = f"the configuration declares no gate for {alias}: write `aliases: {{{alias}: {{gate: {{task: …}}}}}}`"
        raise Fault(Kind.CONFLICT, "gate_undeclared", message, param="alias")
    return settings.gate


def chosen(gate: GateSettings, kinds: Sequence[SuiteKind] = ()) -> Iterator[tuple[SuiteRun, Suite]]:
    """The suites of a gate, of these kinds. Raises Fault 409 `gate_suite` for one that cannot be used."""
    places = gates.named(gate)
    for kind in kinds:
        if kind not in places:
            raise Fault(Kind.CONFLICT, "gate_suite", f"the gate declares no suite of kind {kind.value}", param="suite")
    for kind, where in places.items():
        if (kinds and kind not in kinds) or (not kinds and gates.external(where)):
            continue
        suite = read(where, kind)
        repeats = int(getattr(gate.repeats, kind.value))
        yield SuiteRun(label(suite), kind, where, suite.digest, len(suite.items), repeats), suite


def read(where: str, kind: SuiteKind) -> Suite:
    """A suite that can be used. Raises Fault 409 `gate_suite`."""
    try:
        suite = gates.read(where, kind)
    except SuiteError as error:
        raise Fault(Kind.CONFLICT, "gate_suite", str(error), param="suite") from error
    wrong = next(checks.unproven(suite), None)
    if wrong is not None:
        raise Fault(Kind.CONFLICT, "gate_suite", f"{label(suite)}, item {wrong[0]!r}: {wrong[1]}", param="suite")
    return suite


async def party(desk: Desk, gate: GateSettings, release: str, refusals: list[str], *, judge: bool = False) -> Party:
    """A release as it is asked; what keeps it from being asked is added to `refusals`. Raises Fault as `prepare`."""
    found = await desk.release(release)
    callable_or_fault(desk, found)
    name = found.snapshot.provider
    provider = desk.settings.providers[name]
    if not unattended(name, provider):
        refusals.append(
            f"provider {name} is called with its callers' own keys, and nobody calls for a gate: "
            f"write `providers: {{{name}: {{background_api_key: …}}}}`"
        )
    spoken = dialects(name, provider)
    wanted: str = "" if judge else gate.dialect
    if wanted and spoken and wanted not in spoken:
        refusals.append(f"gate.dialect is {wanted}, and provider {name} speaks {', '.join(spoken)}")
    dialect = wanted or next((each for each in spoken if each in OPERATIONS), "openai")
    legs = None
    if not as_sent(found):
        data = {digest: await releases.artifact(desk.store, digest) for digest in named(found)}
        try:
            legs = parsed(found, data.get)
        except ValueError as error:
            refusals.append(f"the prompt or the tools of {release} cannot be read: {error}")
    vendor = vendor_of(name, provider.base_url, provider.vendor)
    bound, signature = manner(dialect, vendor, found.snapshot.model)
    return Party(found, legs, dialect, bound, signature, {} if judge else gate.request)


def book(desk: Desk) -> PriceBook:
    """The prices of the configuration in force."""
    providers = desk.settings.providers
    vendors = {name: vendor_of(name, each.base_url, each.vendor) for name, each in providers.items()}
    return PriceBook(providers, vendors, tables.prices())


async def plan(desk: Desk, order: Order) -> GatePlan:
    """What a run would ask and cost. Raises Fault as `prepare`."""
    made = await prepare(desk, order)
    policy = gates.policy(desk.settings.aliases[order.alias])
    groups = {run.kind: [item.group for item in suite.items] for run, suite in made.suites}
    usual, most = Reckoned(book(desk)), Reckoned(book(desk))
    rubrics = 0
    for run, suite in made.suites:
        for item in suite.items:
            for each in made.parties:
                size = len(each.asking(item).body) + brought(each)
                room = allowed(item, each.extra)
                usual.add(each.release, size, min(room, likely(item)), run.repeats)
                most.add(each.release, size, room, run.repeats)
            if item.check.judge and made.judge is not None:
                rubrics += 2 * run.repeats
                usual.add(made.judge.release, 400 * BYTES_PER_TOKEN, 50, 2 * run.repeats)
                most.add(made.judge.release, 800 * BYTES_PER_TOKEN, JUDGE_TOKENS, 2 * run.repeats)
    forecasts = {
        each.kind: forecast(each, len(groups[each.kind]), policy.alpha, groups=groups[each.kind])
        for each in policy.suites
        if each.kind in groups
    }
    rows = tuple(
        GateSuite(
            r.suite,
            r.kind,
            r.digest,
            r.items,
            r.repeats,
            2 * r.items * r.repeats,
            forecasts[r.kind].say.removeprefix(r.suite + ": "),
        )
        for r, _ in made.suites
    )
    return GatePlan(
        alias=order.alias,
        candidate=made.candidate.release.id,
        candidate_model=made.candidate.release.triple.model,
        incumbent=made.incumbent.release.id,
        incumbent_model=made.incumbent.release.triple.model,
        suites=rows,
        calls=sum(row.calls for row in rows),
        judged=rubrics,
        input_tokens=round(usual.input),
        output_tokens=round(usual.output),
        cost_micro=usual.micro,
        most_micro=most.micro,
        budget_micro=round(made.gate.budget * 1_000_000),
        refusals=made.refusals,
        warnings=(*(each.say for each in forecasts.values() if not each.possible), *warnings(made, most)),
    )


def likely(item: Item) -> float:
    """Tokens that an answer will have: about three times the example's, for models say more than is needed."""
    size = len(item.good.text) + sum(len(call.name) + len(str(call.arguments)) for call in item.good.calls)
    return WORDS + 3 * size / BYTES_PER_TOKEN


class Reckoned:
    """Tokens and money of calls that are still to be made."""

    def __init__(self, prices: PriceBook) -> None:
        self._prices = prices
        self.input = self.output = self._micro = 0.0
        self.unknown: dict[str, None] = {}

    def add(self, release: Release, size: float, output: float, times: int) -> None:
        """Calls with so many bytes and tokens out."""
        read = size / BYTES_PER_TOKEN
        self.input += times * read
        self.output += times * output
        price = self._prices.find(release.triple.model)
        if price is None:
            self.unknown[release.triple.model] = None
        else:
            self._micro += times * cost(Usage(round(read), round(output)), price)

    @property
    def micro(self) -> int | None:
        """Millionths of a dollar; None when a price is not known."""
        return None if self.unknown else round(self._micro)


def brought(each: Party) -> int:
    """Bytes that a release puts into a request besides what is sent."""
    legs = each.legs
    if legs is None:
        return 0
    prompt = legs.prompt.mode is Mode.SERVE and legs.template is not None
    size = sum(len(part) for part in legs.template.parts) if prompt and legs.template is not None else 0
    if legs.tools_leg.mode is Mode.SERVE and legs.tools is not None:
        edit = legs.tools_edit(DIALECTS[each.dialect], OPERATIONS[each.dialect])
        size += sum(len(value) for value in edit.values() if value is not None)
    return size


def warnings(made: Prepared, most: Reckoned) -> Iterator[str]:
    """What to look at before a run begins."""
    for model in most.unknown:
        yield f"no price is known of {model}, so neither estimate nor budget holds; write it under providers.NAME.prices"
    if made.gate.budget and most.micro is not None and most.micro > made.gate.budget * 1_000_000:
        yield f"long answers would cost more than the budget of {made.gate.budget:g} USD, where the run stops"
    items = [item for _, suite in made.suites for item in suite.items]
    for each in dict.fromkeys(party.release.id for party in made.parties):
        found = next(party for party in made.parties if party.release.id == each)
        yield from (f"{each}: {sentence}" for sentence in _of_release(found, items))


def _of_release(each: Party, items: Sequence[Item]) -> Iterator[str]:
    release, legs = each.release, each.legs
    if release.pin is PinClass.FLOATING:
        yield "its model floats: what it scores today says nothing about tomorrow"
    if release.triple.prompt.mode is Mode.AS_SENT:
        told = sum(item.messages[0].role == "system" for item in items)
        if told < len(items):
            yield f"it brings no prompt, and {len(items) - told} items have none either: they are asked without one"
    if legs is not None and legs.template is not None and not whole(legs.template):
        given = each.extra.get(OWN_MEMBER)
        values = given.get("vars", {}) if isinstance(given, dict) else {}
        missing = sorted(legs.template.variables - set(values))
        if missing:
            yield f"its prompt needs {', '.join(missing)}: write gate.request: {{trivet: {{vars: {{…}}}}}}"
    if legs is not None and legs.tools is not None:
        own = set(names(legs.tools))
        strange = sum(bool({tool.name for tool in item.tools} - own) for item in items)
        if strange:
            yield (
                f"its own tools stand in place of those of {strange} items, which bring tools that it does not have: "
                "such an alias needs a suite of its own tools"
            )
        if any(tool.hosted for tool in legs.tools):
            yield "it has tools that its provider runs by itself: the gate's questions may act"
