"""`trivet evidence`: what verdicts of the gate rest on, and scores that another engine made.

Rule of the file: a log is read on this machine, and only its scores, item ids and model names are sent: never what anybody said.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cyclopts import App
from msgspec.structs import replace

from gateway.cli import gate_shown, show
from gateway.cli.exits import Exit
from gateway.cli.reach import HERE, Failed, Reach

if TYPE_CHECKING:
    from gateway.core.contract.proofs import EvidenceDetail, EvidenceRow, EvidenceStored
    from gateway.core.gate.brought import Brought

LARGEST = 512 << 20
"""Bytes of a log."""
MODELS = 10
"""Models of a log that are told per release."""


def build() -> App:
    """The noun and its verbs."""
    app = App(name="evidence", help="Evidence of the eval gate: scores of two releases on the same items.")
    app.command(import_, name="import")
    app.command(list_, name="list")
    app.command(show_, name="show")
    return app


def import_(  # noqa: PLR0913 - a verb has the options it needs
    alias: str,
    /,
    *,
    candidate: str,
    incumbent: str,
    candidate_log: Path,
    incumbent_log: Path,
    kind: Literal["task", "regression", "safety"],
    suite: str = "",
    scorer: str = "",
    note: str = "",
    reach: Reach = HERE,
) -> int:
    """Store what another engine scored of two releases, as imported evidence. Needs the right `release`.

    Logs of Inspect (.eval, .json), results of promptfoo (version 3) and JSON Lines with problem_idx, reward, repeat are read.
    An alias with stakes `high` takes none: run its gate through the gateway. Exit codes as `gate check`: the verdict now.

    Parameters
    ----------
    candidate
        The release that the candidate's log is of.
    incumbent
        The release that the incumbent's log is of.
    candidate_log
        File.
    incumbent_log
        File: the same items, from the same session where that can be.
    kind
        Which of the alias's suites it is of.
    suite
        NAME@VERSION; by default what the alias declares of this kind.
    scorer
        Which of several scorers of an Inspect log.
    note
        A word for whoever looks at it later.
    """
    from gateway.admin.asks import EvidenceImport  # noqa: PLC0415 - heavy; --help needs none
    from gateway.core.contract.suite import SuiteKind  # noqa: PLC0415
    from gateway.core.gate.brought import Unreadable, pair  # noqa: PLC0415

    one, other = _read(candidate_log, scorer), _read(incumbent_log, scorer)
    for release, side in ((candidate, one), (incumbent, other)):
        if side.release and side.release != release:
            raise Failed(Exit.USAGE, f"the log given for {release} says that it asked {side.release}")
    try:
        scores = pair(one, other, SuiteKind(kind), suite)
    except Unreadable as error:
        raise Failed(Exit.USAGE, str(error)) from error
    ask = EvidenceImport(
        alias=alias,
        candidate=candidate,
        incumbent=incumbent,
        suite=replace(scores, suite=suite),
        engine=one.engine,
        started_ms=earlier(one.started, other.started),
        ended_ms=earlier(one.ended, other.ended),
        models={name: tuple(sorted(side.models))[:MODELS] for name, side in ((incumbent, other), (candidate, one))},
        fallbacks=one.fallbacks + other.fallbacks,
        note=note,
    )
    found: EvidenceStored = reach.call("evidence.import", ask)
    reach.print(found, _stored)
    return gate_shown.EXITS[found.report.verdict.value]


def list_(alias: str, /, *, limit: int = 20, reach: Reach = HERE) -> int:
    """List the evidence of an alias, newest first.

    Parameters
    ----------
    limit
        At most so many.
    """
    from gateway.admin.asks import EvidenceList  # noqa: PLC0415

    if limit < 1:
        raise Failed(Exit.USAGE, "--limit must be at least 1")
    found: list[EvidenceRow] = reach.call("evidence.list", EvidenceList(alias=alias, limit=limit))
    reach.print(found, _rows)
    return Exit.OK


def show_(digest: str, /, *, items: bool = False, reach: Reach = HERE) -> int:
    """Show one record: the two releases, each suite, and the verdict under the policy in force now.

    Parameters
    ----------
    items
        Print every item that the two releases score differently.
    """
    from gateway.admin.asks import EvidenceOne  # noqa: PLC0415

    found: EvidenceDetail = reach.call("evidence.show", EvidenceOne(digest=digest))
    reach.print(found, lambda detail: _detail(detail, items=items))
    return Exit.OK


def _read(path: Path, scorer: str) -> Brought:
    from gateway.core.gate import formats  # noqa: PLC0415
    from gateway.core.gate.brought import Unreadable  # noqa: PLC0415

    try:
        if path.stat().st_size > LARGEST:
            raise Failed(Exit.USAGE, f"{path.name} is larger than {LARGEST >> 20} MiB")
        return formats.read(path.read_bytes(), path.name, unpacker(), scorer)
    except Unreadable as error:
        raise Failed(Exit.USAGE, str(error)) from error
    except OSError as error:
        raise Failed(Exit.USAGE, f"{path} cannot be read ({type(error).__name__})") from error


def unpacker() -> Callable[[bytes, int], bytes] | None:
    """A decoder of Zstandard bytes with a bound; None where the extra `inspect-logs` is not installed."""
    try:
        import zstandard  # noqa: PLC0415 - an extra
    except ImportError:
        return None

    def unpack(data: bytes, size: int) -> bytes:
        try:
            with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data)) as stream:
                whole: bytes = stream.read(size + 1)
        except zstandard.ZstdError as error:
            raise ValueError(str(error)) from error
        if len(whole) != size:
            raise ValueError(f"is not of the {size} bytes that its directory says")
        return whole

    return unpack


def _milliseconds(told: str) -> int:
    """A time as an engine writes it; 0 for none and for what is none."""
    with suppress(ValueError):
        moment = datetime.fromisoformat(told)
        return round((moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    return 0


def earlier(*told: str) -> int:
    """The earlier of two times: a log that says none makes the other's no younger. 0 where neither says one."""
    return min((found for found in map(_milliseconds, told) if found), default=0)


def _stored(record: EvidenceStored) -> None:
    word = "stored" if record.new else "was stored before"
    show.line(f"evidence {show.short(record.digest)} {word}: imported by {record.row.actor} from {record.row.engine}")
    for warning in record.warnings:
        show.warn(warning)
    gate_shown.report(record.report)


def _rows(rows: list[EvidenceRow]) -> None:
    show.table(
        ("evidence", "origin", "candidate", "incumbent", "suites", "ended", "by", "engine", "note"),
        [
            (
                show.short(r.digest),
                r.origin.value,
                r.candidate,
                r.incumbent,
                tuple(f"{s.suite} {s.candidate:.1%}/{s.incumbent:.1%} of {s.items}" for s in r.suites),
                show.when(r.ended_ms),
                r.actor,
                r.engine,
                r.note,
            )
            for r in rows
        ],
        empty="no evidence yet; `trivet gate run` makes it",
    )


def _detail(detail: EvidenceDetail, *, items: bool) -> None:
    made = detail.evidence
    show.facts(
        (
            ("evidence", detail.digest),
            ("of", f"{made.candidate} in place of {made.incumbent} on {made.alias}"),
            ("origin", f"{made.origin.value}, {made.engine}, by {made.actor}"),
            ("from", show.when(made.started_ms)),
            ("to", show.when(made.ended_ms)),
            ("models", tuple(f"{release}: {', '.join(models)}" for release, models in sorted(made.models.items()))),
            ("other models", made.fallbacks or ""),
            ("cost", show.money(made.cost_micro) if made.cost_micro else ""),
            ("note", made.note),
        )
    )
    show.table(
        ("suite", "kind", "items#", "repeats#", "no score#", "judge", "digest"),
        [(s.suite, s.kind.value, len(s.scores), s.repeats, s.unscored, s.judge, show.short(s.digest)) for s in made.suites],
    )  # fmt: skip
    if items:
        show.table(
            ("suite", "item", "category", "candidate", "incumbent"),
            [
                (s.suite, each.item, each.category, _scores(each.candidate), _scores(each.incumbent))
                for s in made.suites
                for each in s.scores
                if each.candidate != each.incumbent
            ],
            empty="no item is scored differently",
        )
    show.line("")
    show.line("the verdict now, on all evidence of these two releases:")
    gate_shown.report(detail.report)


def _scores(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:g}" for value in values) or "none"
