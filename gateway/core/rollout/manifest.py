"""A rollout as a person writes it (`kind: Rollout`), and the plan it stands for with every default filled in.

Rule of the file: what is not understood is refused with the member it stands in, and nothing is guessed. Shares and durations are
read here and not by `settings.units`, because the plan is the core's and the core imports nothing above it: a share is `5%` or a
number between 0 and 1, a duration `90s`, `30m`, `12h`, `7d`, `1h30m` or a number of seconds.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NoReturn

import msgspec

from gateway.core.contract.alias import EVERYONE
from gateway.core.contract.fault import Fault, Kind
from gateway.core.contract.rollout import Action, Guardrail, Plan, Stage
from gateway.core.rollout.metrics import METRICS, default_guardrail, has_value, is_known

Amount = float | str
_WHOLE = 10_000
_MS = {"ms": 1, "s": 1000, "m": 60_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 7 * 86_400_000}
_NUMBER = r"[0-9]{1,9}(?:\.[0-9]{1,9})?"
_DURATION = re.compile(rf"(?:{_NUMBER}\s*(?:ms|s|min|m|h|d|w)\s*)+")
_PART = re.compile(rf"({_NUMBER})\s*(ms|s|min|m|h|d|w)")
_SHARE = re.compile(rf"({_NUMBER})\s*%")
MOST_CANARIES = 8
_CANARY = re.compile(r"""[ !#-&(-\[\]-_a-~]{8,100}""")
_LANE = re.compile(r"\*|(?:tenant|segment):[A-Za-z0-9._:/-]{1,64}")
_BOUNDS = {"above": "p95", "below": "p05"}


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One step: what is left out comes from the preset."""

    weight: Amount
    bake: Amount | None = None
    runs: int | None = None
    approve: bool = False


class LaneSteps(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A lane with steps of its own."""

    lane: str
    steps: tuple[Step, ...] | None = None


class ShadowPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the shadow has to show: requests compared three ways, the share of runs, the share of pairs that get a second live
    answer, and failed calls that are tolerated."""

    trios: int | None = None
    rate: Amount | None = None
    secondary: Amount | None = None
    failures: Amount | None = None


class Watch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A guardrail: what is left out stays as the metric has it by default."""

    action: Action | None = None
    ratio: float | None = None
    above: Amount | None = None
    below: Amount | None = None
    noninferior: float | None = None


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The file. `guardrails` changes single metrics; those that are not named keep their default."""

    kind: Literal["Rollout"]
    alias: str
    release: str
    preset: Literal["default", "low-traffic"] = "default"
    lanes: tuple[LaneSteps | str, ...] = (EVERYONE,)
    """In order: a lane begins when the one before it has had its last step."""
    by: Literal["run", "tenant", "user"] = "run"
    steps: tuple[Step, ...] | None = None
    """Of every lane that has none of its own."""
    promoting: Step | None = None
    shadow: ShadowPart = ShadowPart()
    skip_shadow: str = ""
    """The reason to go without a shadow."""
    guardrails: dict[str, Action | Watch] = {}
    alpha: float = 0.05
    grace: Amount | None = None
    deadline: Amount | None = None
    approval: Amount | None = None
    trips: int = 3
    canaries: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Preset:
    """Defaults that go together: `bake` and `runs` are of a step that does not say its own."""

    steps: tuple[Step, ...]
    promoting: Step
    bake: str
    runs: int
    trios: int
    rate: str
    grace: str
    deadline: str
    observed: tuple[str, ...] = ()
    """Metrics that only report unless the manifest names them."""


PRESETS: Mapping[str, Preset] = {
    "default": Preset(
        steps=(
            Step("1%", "1h", 100),
            Step("5%", "2h", 200),
            Step("25%", "4h", 400),
            Step("50%", "8h", 400),
        ),
        promoting=Step("95%", "24h", 400),
        bake="1h",
        runs=100,
        trios=50,
        rate="10%",
        grace="24h",
        deadline="7d",
    ),
    "low-traffic": Preset(
        steps=(Step("10%", "24h", 30), Step("50%", "48h", 60)),
        promoting=Step("90%", "72h", 60),
        bake="24h",
        runs=30,
        trios=50,
        rate="100%",
        grace="72h",
        deadline="28d",
        observed=("latency_ms", "steps"),
    ),
}
"""`default` grows in Argo's customary steps; 100 canary runs see a tripling of a base rate of 2 % (rollout.md 3.2). `low-traffic`
has few steps, because each needs runs, and waits longer, because they come slowly: it sees only what is much worse. Its values are
observed: the p95 of the incumbent takes a hundred observations, which few runs may not bring, and without it a stage ends frozen."""
_FAILURES, _APPROVAL = "5%", "3d"
_SECONDARY: Amount = "20%"


_WORDS = {"kind": ("Rollout",), "preset": ("default", "low-traffic"), "by": ("run", "tenant", "user")}
"""Members that take a word out of few; any other such member is what a guardrail does."""


def read(value: object) -> Manifest:
    """The manifest in a decoded YAML or JSON value. Raises Fault 400 `manifest_bad` that names the member."""
    try:
        return msgspec.convert(value, Manifest)
    except msgspec.ValidationError as error:
        told, _, place = str(error).partition(" - at `$")
        member = place.rstrip("`").lstrip(".") or "the manifest"
        if told.startswith("Invalid enum value"):
            told = f"must be one of {', '.join(_WORDS.get(member, tuple(Action)))}"
        _refuse(member, re.sub(r" value '.*'", " value", told))


def plan_of(manifest: Manifest) -> Plan:
    """The plan with every default filled in and checked. Raises Fault 400 `manifest_bad` that names the member."""
    preset = PRESETS[manifest.preset]
    stages = _stages(manifest, preset)
    promoting = _stage("promoting", EVERYONE, manifest.promoting or preset.promoting, preset)
    if promoting.weight <= max(stage.weight for stage in stages):
        _refuse("promoting.weight", "must be above the weight of every step")
    deadline = _positive("deadline", manifest.deadline, preset.deadline)
    for stage in (*stages, promoting):
        if stage.bake_ms >= deadline:
            _refuse("deadline", f"must be longer than every bake; the one of {stage.weight / 100:g} % lasts as long")
    if not 0 < manifest.alpha <= 0.5:
        _refuse("alpha", "must be above 0 and at most 0.5")
    if manifest.trips < 1:
        _refuse("trips", "must be 1 or more")
    trios, rate = _shadow(manifest, preset)
    part = manifest.shadow
    return Plan(
        stages=stages,
        promoting=promoting,
        guardrails=_guardrails(manifest, preset),
        by=manifest.by,
        trios=trios,
        shadow_rate=rate,
        shadow_secondary=share("shadow.secondary", _SECONDARY if part.secondary is None else part.secondary),
        shadow_failures=share("shadow.failures", _FAILURES if part.failures is None else part.failures),
        alpha=manifest.alpha,
        grace_ms=_positive("grace", manifest.grace, preset.grace),
        deadline_ms=deadline,
        approval_ms=_positive("approval", manifest.approval, _APPROVAL),
        trips=manifest.trips,
        canaries=_canaries(manifest.canaries),
    )


def _canaries(given: Sequence[str]) -> tuple[str, ...]:
    if len(given) > MOST_CANARIES:
        _refuse(
            "canaries", f"must be {MOST_CANARIES} or fewer: each answer of the candidate is searched for all of them"
        )
    for place, each in enumerate(given):
        if not _CANARY.fullmatch(each):
            message = (
                "must be 8 to 100 visible ASCII characters without quotes and backslashes, such as CANARY-7f3a91c2"
            )
            _refuse(f"canaries[{place}]", message)
    return tuple(given)


def _stages(manifest: Manifest, preset: Preset) -> tuple[Stage, ...]:
    if not manifest.lanes:
        _refuse("lanes", "must name at least one lane; leave it out for everybody")
    stages: list[Stage] = []
    for place, entry in enumerate(manifest.lanes):
        lane, own = (entry, None) if isinstance(entry, str) else (entry.lane, entry.steps)
        if not _LANE.fullmatch(lane):
            _refuse(f"lanes[{place}]", "must be *, tenant:NAME or segment:NAME")
        if any(stage.lane == lane for stage in stages):
            _refuse(f"lanes[{place}]", "names a lane that was named before")
        member = "steps" if own is None else f"lanes[{place}].steps"
        stages += _steps(member, lane, own if own is not None else manifest.steps, preset)
    return tuple(stages)


def _steps(member: str, lane: str, steps: Sequence[Step] | None, preset: Preset) -> list[Stage]:
    given = preset.steps if steps is None else steps
    if not given:
        _refuse(member, "must have at least one step; leave it out for the preset's")
    stages = [_stage(f"{member}[{place}]", lane, step, preset) for place, step in enumerate(given)]
    for place, (before, after) in enumerate(pairwise(stages), start=1):
        if after.weight <= before.weight:
            _refuse(f"{member}[{place}].weight", "must be above that of the step before")
    return stages


def _stage(member: str, lane: str, step: Step, preset: Preset) -> Stage:
    weight = share(f"{member}.weight", step.weight)
    if not 0 < weight < _WHOLE:
        _refuse(f"{member}.weight", "must be above 0 and below 100 %: without a control nothing can be compared")
    runs = preset.runs if step.runs is None else step.runs
    if runs < 1:
        _refuse(f"{member}.runs", "must be 1 or more: no step ends without having been seen")
    bake = duration_ms(f"{member}.bake", preset.bake if step.bake is None else step.bake)
    return Stage(lane, weight, bake, runs, step.approve)


def _shadow(manifest: Manifest, preset: Preset) -> tuple[int, int]:
    """Trios and rate; no trios for a rollout that skips its shadow."""
    part = manifest.shadow
    rate = share("shadow.rate", preset.rate if part.rate is None else part.rate)
    if manifest.skip_shadow.strip():
        return 0, rate
    trios = preset.trios if part.trios is None else part.trios
    if trios < 1:
        _refuse("shadow.trios", "must be 1 or more; to go without a shadow give the reason in skip_shadow")
    if rate < 1:
        _refuse("shadow.rate", "must be above 0; to go without a shadow give the reason in skip_shadow")
    if part.secondary is not None and share("shadow.secondary", part.secondary) < 1:
        _refuse("shadow.secondary", "must be above 0: without a second live answer no pair becomes a trio")
    return trios, rate


def _guardrails(manifest: Manifest, preset: Preset) -> tuple[Guardrail, ...]:
    """Every metric the gateway sees, by its default or as preset or manifest change it, then the outcomes that are named."""
    for name in manifest.guardrails:
        if not is_known(name):
            _refuse(f"guardrails.{name[:64]}", f"is not a metric; there are {', '.join(METRICS)} and outcome.NAME")
    names = [*METRICS, *(name for name in manifest.guardrails if name not in METRICS)]
    asked = {**dict.fromkeys(preset.observed, Action.OBSERVE), **manifest.guardrails}
    found = tuple(_guardrail(name, asked.get(name)) for name in names)
    if all(each.action is not Action.ROLLBACK for each in found):
        _refuse("guardrails", "must have one metric that rolls back; without any, time alone would promote")
    return found


def _guardrail(name: str, asked: Action | Watch | None) -> Guardrail:
    default = default_guardrail(name)
    if asked is None:
        return default
    if isinstance(asked, Action):
        return msgspec.structs.replace(default, action=asked)
    member = f"guardrails.{name}"
    changes: dict[str, object] = {
        key: value for key in Watch.__struct_fields__ if (value := getattr(asked, key)) is not None
    }
    for key in ("ratio", "noninferior"):
        value = changes.get(key)
        if isinstance(value, float) and not (math.isfinite(value) and 0 < value <= 100):
            _refuse(f"{member}.{key}", "must be above 0 and at most 100")
    for key, word in _BOUNDS.items():
        if key not in changes:
            continue
        if not has_value(name):
            _refuse(f"{member}.{key}", "is for metrics with a value; this one is yes or no")
        bound = changes[key]
        if isinstance(bound, str) and bound != word:
            _refuse(f"{member}.{key}", f"must be a number, or {word} of the incumbent before the rollout")
    if "above" in changes or "below" in changes:
        changes = {"above": "", "below": "", **changes}
    return msgspec.structs.replace(default, **changes)


def share(member: str, value: Amount) -> int:
    """A share of 10,000. Raises Fault 400 `manifest_bad` for anything else, or for one finer than 0.01 %."""
    if isinstance(value, str):
        found = _SHARE.fullmatch(value.strip())
        if found is None:
            _refuse(member, "must be a share such as 5%, or a number between 0 and 1")
        whole = float(found[1]) * 100
    else:
        whole = float(value) * _WHOLE
    if not 0 <= whole <= _WHOLE:
        _refuse(member, "must be a share such as 5%, or a number between 0 and 1")
    if abs(whole - round(whole)) > 1e-6:
        _refuse(member, "must not be finer than 0.01 %")
    return round(whole)


def duration_ms(member: str, value: Amount) -> int:
    """Milliseconds. Raises Fault 400 `manifest_bad` for anything that is not a duration."""
    if isinstance(value, str):
        text = value.strip()
        if not _DURATION.fullmatch(text):
            _refuse(member, "must be a duration such as 30m, 12h or 7d, or a number of seconds")
        return round(sum(float(amount) * _MS[unit] for amount, unit in _PART.findall(text)))
    if not math.isfinite(value) or value < 0:
        _refuse(member, "must be a duration such as 30m, 12h or 7d, or a number of seconds")
    return round(value * 1000)


def _positive(member: str, value: Amount | None, default: str) -> int:
    found = duration_ms(member, default if value is None else value)
    if found < 1:
        _refuse(member, "must be above 0")
    return found


def _refuse(member: str, problem: str) -> NoReturn:
    raise Fault(Kind.BAD_REQUEST, "manifest_bad", f"{member}: {problem}", param=member)
