"""`trivet release`: immutable triples of model, prompt and tools."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from cyclopts import App, Parameter

from gateway.cli import show
from gateway.cli.confirm import confirmed
from gateway.cli.exits import Exit
from gateway.cli.reach import HERE, Failed, Reach
from gateway.cli.since import since_ms
from gateway.core.contract.records import LegAsk, ReleaseAsk
from gateway.core.contract.release import Mode, Params

if TYPE_CHECKING:
    from gateway.core.contract.records import (
        BlockResult,
        LegText,
        ReleaseDetail,
        ReleaseDiff,
        ReleaseMade,
        ReleaseRow,
        RunRow,
    )


def build() -> App:
    """The noun and its verbs."""
    app = App(name="release", help="Releases: immutable triples of model, prompt and tools.")
    app.command(create)
    app.command(list_, name="list")
    app.command(show_, name="show")
    app.command(diff)
    app.command(runs)
    app.command(block)
    app.command(unblock)
    return app


@Parameter(name="*")
@dataclass(frozen=True)
class Wanted:
    """The release to make."""

    model: str = ""
    """`provider/model-id`, for example openai/gpt-4o-2024-08-06."""
    prompt: Annotated[Path | None, Parameter(show_default=False)] = None
    """File with the system prompt. This version refuses it: the client's own prompt passes."""
    prompt_mode: Mode = Mode.SERVE
    """serve puts the prompt in, verify refuses another one: neither is carried out by this version."""
    tools: Annotated[Path | None, Parameter(show_default=False)] = None
    """File with the toolset as JSON. This version refuses it: the client's own tools pass."""
    tools_mode: Mode = Mode.VERIFY
    """verify refuses another toolset, serve puts it in: neither is carried out by this version."""
    put: Annotated[tuple[str, ...], Parameter(name="--set", negative="", show_default=False)] = ()
    """NAME=VALUE, VALUE as JSON: a member of the request to set."""
    drop: Annotated[tuple[str, ...], Parameter(negative="", show_default=False)] = ()
    """A member of the request to drop."""
    base: str = ""
    """Change this release instead of starting anew: an id, or `stable` of --alias."""
    alias: str = ""
    """Whose stakes decide whether the model may float, and whose stable release `--base stable` means."""
    lane: str = "*"
    """Lane of --alias that `--base stable` means."""
    note: str = ""
    """A word for people; not part of the id."""
    allow_floating: str = ""
    """The reason to accept a floating model, at stakes `standard`."""
    attest: str = ""
    """Who says that an id of class unpinnable or unknown is fixed, and why."""


NOTHING = Wanted()


def create(*, wanted: Wanted = NOTHING, reach: Reach = HERE) -> int:
    """Store a release and print its id. The same triple always has the same id."""
    if not wanted.model and not wanted.base:
        raise Failed(Exit.USAGE, "give --model provider/model-id, or --base to change a release")
    ask = ReleaseAsk(
        model=wanted.model,
        prompt=_leg(wanted.prompt, wanted.prompt_mode),
        tools=_leg(wanted.tools, wanted.tools_mode),
        params=Params(_pairs(wanted.put), wanted.drop) if wanted.put or wanted.drop else None,
        base=wanted.base,
        alias=wanted.alias,
        lane=wanted.lane,
        note=wanted.note,
        allow_floating=wanted.allow_floating,
        attested=wanted.attest,
    )
    made: ReleaseMade = reach.call("release.create", ask)

    def people(found: ReleaseMade) -> None:
        show.line(found.id)
        if not found.new:
            show.note("This triple was stored before; nothing was changed.")
        for warning in found.warnings:
            show.warn(warning)

    reach.print(made, people)
    return Exit.OK


def list_(*, limit: int = 100, reach: Reach = HERE) -> int:
    """List releases, newest first, and where each is stable."""
    from gateway.admin.asks import ReleaseList  # noqa: PLC0415

    found: list[ReleaseRow] = reach.call("release.list", ReleaseList(limit=limit))
    reach.print(
        found,
        lambda rows: show.table(
            ("release", "model", "pin", "prompt", "tools", "serves", "blocked", "created", "by", "note"),
            [
                (
                    r.id,
                    r.model,
                    r.pin.value,
                    show.short(r.prompt),
                    show.short(r.tools),
                    r.serves,
                    r.blocked,
                    show.when(r.created_ms),
                    r.actor,
                    r.note,
                )
                for r in rows
            ],
            empty="no releases yet; `trivet release create` makes one",
        ),
    )
    return Exit.OK


def show_(release: str, /, *, reach: Reach = HERE) -> int:
    """Show a release: its triple, where it serves, how many runs are bound to it."""
    from gateway.admin.asks import ReleaseOne  # noqa: PLC0415

    found: ReleaseDetail = reach.call("release.show", ReleaseOne(release=release))

    def people(detail: ReleaseDetail) -> None:
        held = detail.release
        params = held.triple.params
        show.facts(
            (
                ("release", held.id),
                ("model", held.triple.model),
                ("pin", held.pin.value),
                ("prompt", _leg_text(detail.prompt)),
                ("tools", _leg_text(detail.tools)),
                ("set", msgspec.json.encode(params.set).decode() if params.set else ""),
                ("drop", params.drop),
                ("rename", msgspec.json.encode(params.rename).decode() if params.rename else ""),
                ("serves", detail.serves),
                ("rollback may return to it in", detail.warm),
                ("runs bound", detail.runs),
                ("blocked", held.blocked),
                ("created", f"{show.when(held.created_ms)} by {held.actor}" if held.created_ms else ""),
                ("note", held.note),
            )
        )
        for name, leg in (("prompt", detail.prompt), ("tools", detail.tools)):
            if leg.text:
                show.line(f"\n{name}:", "bold")
                show.line(leg.text)

    reach.print(found, people)
    return Exit.OK


def diff(release: str, to: str, /, *, reach: Reach = HERE) -> int:
    """Show what differs between two releases. Exit code 1 when they differ, as diff(1) does."""
    from gateway.admin.asks import ReleaseDiffAsk  # noqa: PLC0415

    found: ReleaseDiff = reach.call("release.diff", ReleaseDiffAsk(release=release, to=to))

    def people(record: ReleaseDiff) -> None:
        if not record.changes:
            show.line("The same triple.")
        for change in record.changes:
            show.line(change.part, "bold")
            if change.lines:
                for text in change.lines:
                    show.line(text.rstrip("\n"), {"+": "green", "-": "red"}.get(text[:1], ""))
            else:
                show.line(f"- {_value(change.before)}", "red")
                show.line(f"+ {_value(change.after)}", "green")

    reach.print(found, people)
    return Exit.REFUSED if found.changes else Exit.OK


def runs(release: str, /, *, since: str = "", limit: int = 100, reach: Reach = HERE) -> int:
    """List runs that are bound to a release.

    Parameters
    ----------
    since
        Bound since then: 90m, 24h, 7d, or a UTC time such as 2026-11-02T08:00.
    """
    from gateway.admin.asks import ReleaseRuns  # noqa: PLC0415

    found: list[RunRow] = reach.call(
        "release.runs", ReleaseRuns(release=release, since_ms=since_ms(since), limit=limit)
    )
    reach.print(found, run_table)
    return Exit.OK


def run_table(rows: list[RunRow]) -> None:
    """Runs as a table; `trivet run list` prints the same."""
    show.table(
        ("run", "tenant", "alias", "release", "model", "lane", "arm", "bound at"),
        [(r.run, r.tenant, r.alias, r.release, r.model, r.lane, r.arm, show.when(r.at_ms)) for r in rows],
        empty="no runs",
    )


def block(
    release: str, /, *, reason: str, yes: Annotated[bool, Parameter(negative="")] = False, reach: Reach = HERE
) -> int:
    """Stop the runs of a release: from now on they get 409 `release_blocked`, never another model.

    Parameters
    ----------
    reason
        Why; kept for ever.
    yes
        Do not ask.
    """
    if not yes and not reach.json:
        confirmed(f"Runs in flight on {release} will fail with 409. Block it?")
    return _block("release.block", release, reason, reach)


def unblock(release: str, /, *, reason: str, reach: Reach = HERE) -> int:
    """Let the runs of a release go on."""
    return _block("release.unblock", release, reason, reach)


def _block(operation: str, release: str, reason: str, reach: Reach) -> int:
    from gateway.admin.asks import ReleaseBlock  # noqa: PLC0415

    found: BlockResult = reach.call(operation, ReleaseBlock(release=release, reason=reason))

    def people(result: BlockResult) -> None:
        state = f"blocked: {result.blocked}" if result.blocked else "may be called"
        show.line(f"{result.release} {'is now' if result.changed else 'was already'} {state}")
        for alias, acknowledged in result.acknowledged.items():
            show.line(f"  {alias}: {len(acknowledged.milliseconds)} workers in {show.lasting(acknowledged.slowest)}")
            for worker in acknowledged.silent:
                show.warn(f"{worker} has not confirmed")
        if result.note:
            show.note(result.note)

    reach.print(found, people)
    return Exit.INCOMPLETE if any(a.silent for a in found.acknowledged.values()) else Exit.OK


def _leg(file: Path | None, mode: Mode) -> LegAsk | None:
    if file is None:
        return None
    try:
        return LegAsk(mode=mode, content=file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise Failed(Exit.USAGE, f"{file} cannot be read as UTF-8 text") from error


def _pairs(texts: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise Failed(Exit.USAGE, f"--set {text!r} must be written NAME=VALUE, for example temperature=0")
        try:
            found[name] = msgspec.json.decode(value.encode())
        except msgspec.DecodeError:
            found[name] = value  # a word without quotes is a string, as one expects on a command line
    return found


def _leg_text(leg: LegText) -> str:
    return leg.mode.value + (f" {show.short(leg.digest)}" if leg.digest else "")


def _value(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
