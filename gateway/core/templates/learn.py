"""Learn templates from texts as they come: where values change a hole is made, where a sentence changed a template begins.

Rule of the file: one thing tells a value from a deploy. A value is another one each time; a changed sentence comes back
the same. So a hole needs several different values in its place that hardly any run repeats, and a text that differs from a
template waits, unsettled, until either its value was one of many or it was seen again.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from gateway.core.templates.align import GAP, LONG, SHORT, Change, Fit, Place, fit, joined
from gateway.core.templates.model import Cluster, Delta, Model, name_of
from gateway.core.templates.text import Unit

VALUES = 3
"""Different values in one place that make a hole of it, where they look like names or numbers."""
PLAIN_VALUES = 4
"""The same for ordinary words and long spans; only values that no second run brought count."""
MANY_VALUES = 8
"""So many make a hole of it even when up to RARE_RUNS runs brought each."""
RARE_RUNS = 3
SEEN_RUNS = 2
SEEN_REQUESTS = 5
"""Runs, or requests of one run, that settle a template; one that differs by a name or a number needs NAMED_RUNS."""
NAMED_RUNS = 3
NEAR = 0.5
"""Share of changed tokens up to which a text is a variant of a template."""
SHARED_TOKENS = 16
"""So many tokens in common make it one all the same: a document may be longer than the instructions around it."""
TRIED = 4
"""Templates that a text is laid along."""
SETTLED_KEPT = 64
SETTLED_TOKENS = 200_000
LEARNING_KEPT = 48
LEARNING_TOKENS = 40_000
"""Templates, and texts that nothing has settled yet, with the tokens of all their different lines: what a model may weigh."""
DIGESTS_KEPT = 600
LEARNING_MS = 3_600_000
"""How long a text that nothing settles is kept."""
ROUNDS = 4
"""Passes over the variants of a template, and depth of variants of variants, after holes were made."""


def read(model: Model, kind: str, digest: str, units: tuple[Unit, ...], at_ms: int) -> Cluster:
    """Take in a text that was not seen before; returns the cluster it belongs to, with nothing counted yet."""
    known = model.cluster(model.digests.get(digest, ""))
    if known is not None:
        return known
    cluster = _place(model, kind, units, at_ms)
    model.digests[digest] = cluster.id
    while len(model.digests) > DIGESTS_KEPT:
        del model.digests[next(iter(model.digests))]
    if cluster.parent:
        parent = model.cluster(cluster.parent)
        if parent is not None:
            _generalise(model, parent)
            cluster = model.cluster(model.digests[digest]) or cluster
    return cluster


def settle(cluster: Cluster) -> bool:
    """Whether the cluster became settled by what was counted last."""
    if cluster.settled:
        return False
    named = bool(cluster.changes) and not any(change.plain for change in cluster.changes)
    enough = cluster.runs >= (NAMED_RUNS if named else SEEN_RUNS)
    cluster.settled = enough or (not named and cluster.n >= SEEN_REQUESTS)
    return cluster.settled


def prune(model: Model, now_ms: int) -> None:
    """Keep the bounds: least used templates go, texts that nothing settled go after LEARNING_MS."""
    settled = [each for each in model.clusters if each.settled]
    learning = [each for each in model.clusters if not each.settled and each.last_ms > now_ms - LEARNING_MS]
    settled.sort(key=lambda each: (each.recent(now_ms), each.last_ms), reverse=True)
    learning.sort(key=lambda each: each.last_ms, reverse=True)
    held: set[Unit] = set()
    lasting = _within(settled, SETTLED_KEPT, SETTLED_TOKENS, held)
    model.folded += sum(each.n for each in settled[lasting:])
    passing = _within(learning, LEARNING_KEPT, LEARNING_TOKENS, held)
    kept = {each.id for each in (*settled[:lasting], *learning[:passing])}
    if len(kept) == len(model.clusters):
        return
    model.clusters = [each for each in model.clusters if each.id in kept]
    model.digests = {digest: each for digest, each in model.digests.items() if each in kept}
    for each in model.clusters:
        if each.parent and each.parent not in kept:
            each.parent, each.changes = "", ()


def _within(ranked: list[Cluster], most: int, tokens: int, held: set[Unit]) -> int:
    """How many of the first clusters fit the bounds, one at least; their lines join `held`, which weigh nothing again."""
    weight = 0
    for at, cluster in enumerate(ranked[:most]):
        fresh = set(cluster.units).difference(held)
        weight += sum(map(len, fresh))
        if weight > tokens and at:
            return at
        held |= fresh
    return min(len(ranked), most)


def _place(model: Model, kind: str, units: tuple[Unit, ...], at_ms: int) -> Cluster:
    """The cluster of a text: one whose template says it, or a new one."""
    found = _nearest(model, units)
    if found is None:
        return _new(model, kind, units, at_ms)
    parent, laid = found
    if not laid.changes:
        return parent
    same = next((each for each in model.clusters if each.units == laid.skeleton), None)
    if same is not None:
        return same
    child = _new(model, kind, laid.skeleton, at_ms)
    child.parent, child.changes = parent.id, _deltas(laid)
    return child


def _new(model: Model, kind: str, units: tuple[Unit, ...], at_ms: int) -> Cluster:
    name = name_of(kind, units)
    known = model.cluster(name)
    if known is not None and known.units == units:
        return known
    while model.cluster(name) is not None:
        name = name_of(kind, ((name,), *units))
    cluster = Cluster(name, units, at_ms, at_ms)
    model.clusters.append(cluster)
    return cluster


def _nearest(model: Model, units: tuple[Unit, ...]) -> tuple[Cluster, Fit] | None:
    """The template that a text differs least from, if it is near at all. Unsettled variants are nobody's template."""
    mine, words = set(units), {token for unit in units for token in unit}
    ranked = sorted(
        (each for each in model.clusters if each.settled or not each.parent),
        key=lambda each: (
            -len(mine.intersection(each.units)),
            -len(words.intersection(token for unit in each.units for token in unit)),
            each.first_ms,
            each.id,
        ),
    )
    best: tuple[Cluster, Fit] | None = None
    for cluster in ranked[:TRIED]:
        laid = fit(cluster.units, units)
        if not laid.changes:
            return cluster, laid
        if _near(cluster.units, units, laid) and (best is None or laid.cost < best[1].cost):
            best = cluster, laid
    return best


def _near(template: tuple[Unit, ...], text: tuple[Unit, ...], laid: Fit) -> bool:
    whole = sum(map(len, template)) + sum(map(len, text))
    return laid.cost <= NEAR * whole or whole - laid.cost >= 2 * SHARED_TOKENS


def _deltas(laid: Fit) -> tuple[Delta, ...]:
    return tuple(Delta(c.start, c.end, _digest(c), len(c.value), c.plain) for c in laid.changes)


def _digest(change: Change) -> str:
    return sha256("\n".join(change.value).encode("utf-8", "replace")).hexdigest()[:12]


def _generalise(model: Model, parent: Cluster) -> None:
    """Make holes where the parent's variants prove them, and fold the variants that the parent then says."""
    for _ in range(ROUNDS):
        children = [each for each in model.clusters if each.parent == parent.id]
        spans = [group for group in _groups(children) if _proven(group)]
        if not spans:
            return
        parent.units = _with_holes(parent.units, spans)
        for child in children:
            _refit(model, parent, child)


def _refit(model: Model, parent: Cluster, child: Cluster, depth: int = 0) -> None:
    """Lay a variant along its parent's new template, and its own variants along what it is then."""
    if model.cluster(child.id) is not child:
        return  # folded meanwhile
    laid = fit(parent.units, child.units)
    child.units, child.changes = laid.skeleton, _deltas(laid)
    into = (
        parent
        if not laid.changes
        else next((each for each in model.clusters if each is not child and each.units == child.units), None)
    )
    if into is not None:
        _fold(model, child, into)
    elif depth < ROUNDS:
        for each in [each for each in model.clusters if each.parent == child.id]:
            _refit(model, child, each, depth + 1)


def _fold(model: Model, gone: Cluster, into: Cluster) -> None:
    into.n += gone.n
    into.runs += gone.runs
    into.first_ms, into.last_ms = min(into.first_ms, gone.first_ms), max(into.last_ms, gone.last_ms)
    into.hours = {h: into.hours.get(h, 0) + gone.hours.get(h, 0) for h in {*into.hours, *gone.hours}}
    into.settled = into.settled or gone.settled
    into.baseline = into.baseline or gone.baseline
    into.accepted = into.accepted or gone.accepted
    into.declared = tuple(dict.fromkeys((*into.declared, *gone.declared)))
    into.told = into.told or gone.told
    model.clusters.remove(gone)
    for digest, identifier in model.digests.items():
        if identifier == gone.id:
            model.digests[digest] = into.id
    for each in model.clusters:
        if each.parent == gone.id:
            each.parent = "" if each is into else into.id
            if each.parent:
                each.changes = _deltas(fit(into.units, each.units))


Spotted = list[tuple[Cluster, Delta]]


def _groups(children: Iterable[Cluster]) -> list[Spotted]:
    """Changes of all variants, those that overlap together."""
    spotted = sorted(
        ((child, change) for child in children for change in child.changes),
        key=lambda pair: (pair[1].start, pair[1].end),
    )
    groups: list[Spotted] = []
    end: Place = (-1, -1)
    for child, change in spotted:
        if groups and (change.start < end or change.start == groups[-1][0][1].start):
            groups[-1].append((child, change))
            end = max(end, change.end)
        else:
            groups.append([(child, change)])
            end = change.end
    return groups


def _proven(group: Spotted) -> bool:
    """Whether the values in one place are many and hardly repeated; what the parent has there is one of them."""
    runs: dict[str, int] = {}
    for child, change in group:
        runs[change.value] = runs.get(change.value, 0) + child.runs
    if not any(change.plain for _, change in group):
        return len(runs) + 1 >= VALUES
    loose = sum(count <= 1 for count in runs.values())
    rare = sum(count <= RARE_RUNS for count in runs.values())
    return loose + 1 >= PLAIN_VALUES or rare + 1 >= MANY_VALUES


def _with_holes(units: tuple[Unit, ...], groups: list[Spotted]) -> tuple[Unit, ...]:
    made = list(units)
    for group in reversed(groups):
        start, end = group[0][1].start, max(change.end for _, change in group)
        (unit, first), (last, stop) = start, end
        if unit == last and first >= 0 and not (first == 0 and stop == len(made[unit])):
            size = max(stop - first, *(change.size for _, change in group))
            made[unit] = _with_hole(made[unit], first, stop, LONG if size > 4 else SHORT)
        else:
            made[unit : last if stop < 0 else last + 1] = [GAP]
    return joined(made)


def _with_hole(unit: Unit, start: int, stop: int, hole: str) -> Unit:
    """A unit with a hole for these tokens; holes beside it become part of it."""
    while start > 0 and unit[start - 1] in {SHORT, LONG}:
        start -= 1
        hole = LONG
    while stop < len(unit) and unit[stop] in {SHORT, LONG}:
        stop += 1
        hole = LONG
    return (*unit[:start], hole, *unit[stop:])
