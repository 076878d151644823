"""What is known of the prompts, or the toolsets, of one alias: clusters of texts, each with its template and its counts.

Rule of the file: data only, and all of it can be stored. A cluster that is not settled may hold a user's data in its
literals and is kept for a short time; a settled one was seen in several requests and is kept for good.
"""

from __future__ import annotations

from hashlib import sha256

import msgspec

from gateway.core.templates.align import GAP, HOLE_MARK, Place
from gateway.core.templates.text import CHUNK_MARK, KIND_MARK, Unit

HOUR_MS = 3_600_000
WINDOW_HOURS = 24
"""Hours over which a share is told."""


class Delta(msgspec.Struct, frozen=True, array_like=True):
    """One change against the template of the parent; the value itself is not kept, only which one it is and its length."""

    start: Place
    end: Place
    value: str
    size: int
    plain: bool


class Cluster(msgspec.Struct, omit_defaults=True):
    """Texts of one template. `n` counts requests, `runs` runs as far as they can be told apart."""

    id: str
    units: tuple[Unit, ...]
    first_ms: int
    last_ms: int
    n: int = 0
    runs: int = 0
    hours: dict[int, int] = {}
    """Requests per hour since the epoch, of the last WINDOW_HOURS."""
    parent: str = ""
    """The template that it differs from by `changes`; empty for the first of its kind."""
    changes: tuple[Delta, ...] = ()
    settled: bool = False
    baseline: str = ""
    """The release whose first requests brought it."""
    declared: tuple[str, ...] = ()
    """Releases that verified it, or put theirs in its place."""
    accepted: str = ""
    """Who accepted it although no release declares it."""
    told: bool = False
    """Its first sight as undeclared is in the alias's history."""

    @property
    def undeclared(self) -> bool:
        """Seen in several requests, and nobody answers for it."""
        return self.settled and not (self.baseline or self.declared or self.accepted)

    def counted(self, n: int, runs: int, at_ms: int) -> None:
        """Add requests that were seen until `at_ms`."""
        hour = at_ms // HOUR_MS
        self.n += n
        self.runs += runs
        self.last_ms = max(self.last_ms, at_ms)
        kept = {h: m for h, m in self.hours.items() if h > hour - WINDOW_HOURS}
        kept[hour] = kept.get(hour, 0) + n
        self.hours = kept

    def recent(self, now_ms: int) -> int:
        """Requests of the last WINDOW_HOURS."""
        first = now_ms // HOUR_MS - WINDOW_HOURS
        return sum(n for hour, n in self.hours.items() if hour > first)


class Window(msgspec.Struct, omit_defaults=True):
    """The time in which what is new belongs to a release that declares nothing itself."""

    since_ms: int
    quiet: int = 0
    """Runs in a row that brought nothing new."""
    closed: bool = False


class Model(msgspec.Struct, omit_defaults=True):
    """Everything learnt of one kind (`prompt` or `tools`) for one alias."""

    clusters: list[Cluster] = []
    digests: dict[str, str] = {}
    """sha256 of a text as sent to the id of its cluster; the last ones."""
    windows: dict[str, Window] = {}
    """Release to its baseline's window; the last ones."""
    unread: int = 0
    """Requests whose text was never offered: more different texts came than the bound lets through."""
    folded: int = 0
    """Requests of templates that were forgotten because there were too many."""

    def cluster(self, identifier: str) -> Cluster | None:
        """A cluster by its id."""
        return next((each for each in self.clusters if each.id == identifier), None)


class _Stored(msgspec.Struct, omit_defaults=True):
    """A model as stored: every unit once, clusters name theirs by position."""

    units: list[Unit] = []
    places: list[list[int]] = []
    model: Model = msgspec.field(default_factory=Model)


def pack(model: Model) -> tuple[bytes, bytes]:
    """What is kept for good, and what may be kept for a short time only."""
    settled = [each for each in model.clusters if each.settled]
    learning = [each for each in model.clusters if not each.settled]
    lasting = Model(settled, {}, model.windows, model.unread, model.folded)
    return _packed(lasting), _packed(Model(learning, model.digests))


def unpack(lasting: bytes, passing: bytes) -> Model:
    """The model of both parts; either may be empty. Raises ValueError for what this version cannot read."""
    kept, young = _unpacked(lasting), _unpacked(passing)
    kept.clusters += young.clusters
    known = {each.id for each in kept.clusters}
    kept.digests = {digest: each for digest, each in young.digests.items() if each in known}
    return kept


def shown(units: tuple[Unit, ...]) -> str:
    """A template for people: a line per unit, `{...}` for what changes, `{date}`, `{time}`, `{id}` for values of a kind."""
    return "\n".join(_line(unit) for unit in units)


def name_of(kind: str, units: tuple[Unit, ...]) -> str:
    """The id of a template: `p_` or `t_` and 10 hex digits of what it was when it was first seen."""
    text = "\n".join("".join(unit) for unit in units)
    return f"{kind[:1]}_{sha256(text.encode('utf-8', 'replace')).hexdigest()[:10]}"


def _line(unit: Unit) -> str:
    if unit == GAP:
        return "{...}"
    words = []
    for at, token in enumerate(unit):
        if token[0] == HOLE_MARK:
            words.append(" {...}" if at and unit[at - 1][-1].isalnum() else "{...}")
        elif token[0] == CHUNK_MARK:
            words.append(f"{{lines {token[1:]}}}")
        else:
            bare = token.removeprefix(" ")
            words.append(f"{token[: -len(bare)]}{{{bare[1:]}}}" if bare[:1] == KIND_MARK else token)
    return "".join(words)


def _packed(model: Model) -> bytes:
    places: dict[Unit, int] = {}
    rows = [[places.setdefault(unit, len(places)) for unit in each.units] for each in model.clusters]
    bare = [msgspec.structs.replace(each, units=()) for each in model.clusters]
    return msgspec.json.encode(_Stored(list(places), rows, msgspec.structs.replace(model, clusters=bare)))


def _unpacked(data: bytes) -> Model:
    if not data:
        return Model()
    stored = msgspec.json.decode(data, type=_Stored)
    model = stored.model
    try:
        for each, row in zip(model.clusters, stored.places, strict=True):
            each.units = tuple(stored.units[place] for place in row)
    except IndexError as error:
        raise ValueError("a template names a line that is not there") from error
    return model
