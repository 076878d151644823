"""Count what was sent, and say which of it no release declares.

Rule of the file: a leg that is served or verified declares what went through under it. A leg that is as-sent declares
nothing, so what its release brings at first is its baseline: until so many runs in a row, over so long a time, bring
nothing new. What comes later is undeclared until somebody accepts it.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.core.templates.learn import settle
from gateway.core.templates.model import Cluster, Model, Window

RELEASES_KEPT = 16
"""Releases named by a template, and baselines remembered by a model."""


@dataclass(frozen=True, slots=True)
class Patience:
    """When a baseline is closed: after so many quiet runs, and not before so many milliseconds."""

    runs: int = 20
    ms: int = 300_000


@dataclass(frozen=True, slots=True)
class Sight:
    """So many requests carried a text under a release. `governed`: the release verified the text or put its own in place."""

    release: str
    digest: str
    n: int
    runs: int
    at_ms: int
    governed: bool = False


def count(model: Model, sight: Sight, patience: Patience) -> None:
    """Count requests of one text, and note what their release says of it."""
    cluster = model.cluster(model.digests.get(sight.digest, ""))
    if cluster is None:
        model.unread += sight.n
        return
    fresh = cluster.n == 0
    cluster.counted(sight.n, sight.runs, sight.at_ms)
    settle(cluster)
    if sight.governed:
        if sight.release not in cluster.declared:
            cluster.declared = (*cluster.declared, sight.release)[-RELEASES_KEPT:]
    elif _window(model, sight, patience, fresh=fresh) and not (cluster.baseline or cluster.declared):
        cluster.baseline = sight.release


def undeclared(model: Model) -> list[Cluster]:
    """Templates that no release declares and nobody accepted, those used most first."""
    return sorted((each for each in model.clusters if each.undeclared), key=lambda each: -each.n)


def requests(model: Model) -> dict[str, int]:
    """Undeclared templates to the requests that ever had them."""
    return {each.id: each.n for each in model.clusters if each.undeclared}


def more(model: Model, before: dict[str, int]) -> int:
    """Requests found undeclared since `before`: those of a template that became so are counted from its first."""
    return sum(max(0, n - before.get(identifier, 0)) for identifier, n in requests(model).items())


def marked(model: Model, limit: int) -> list[str]:
    """Digests of texts that are undeclared, the last `limit`: a worker flags the steps that bring them."""
    wanted = {each.id for each in model.clusters if each.undeclared}
    return [digest for digest, identifier in model.digests.items() if identifier in wanted][-limit:] if wanted else []


def _window(model: Model, sight: Sight, patience: Patience, *, fresh: bool) -> bool:
    """Whether the release's baseline takes this text; a text that is new keeps the window open."""
    window = model.windows.get(sight.release)
    if window is None:
        while len(model.windows) >= RELEASES_KEPT:
            del model.windows[next(iter(model.windows))]
        window = model.windows[sight.release] = Window(sight.at_ms)
    if window.closed:
        return False
    if fresh:
        window.quiet = 0
        return True
    window.quiet = min(window.quiet + sight.runs, patience.runs)
    window.closed = window.quiet >= patience.runs and sight.at_ms - window.since_ms >= patience.ms
    return True
