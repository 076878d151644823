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
from gateway.core.pinning.triple import DIGEST

if TYPE_CHECKING:
    from gateway.core.contract.records import (
        BlockResult,
        LegText,
        ReleaseDetail,
        ReleaseDiff,
        ReleaseMade,
        ReleaseRow,
        ReleaseUse,
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
    prompt: Annotated[str, Parameter(show_default=False)] = ""
    """File with the system prompt, `{{variables}}` and all; or the label or digest of one that is stored."""
    prompt_mode: Mode = Mode.SERVE
    """serve puts the prompt in, verify refuses another one, as-sent leaves it to the agent."""
    prompt_label: str = ""
    """A name for the prompt, for ever, such as support@v7."""
    tools: Annotated[str, Parameter(show_default=False)] = ""
    """File with the toolset as JSON, in the shape of any dialect; or the label or digest of one that is stored."""
    tools_mode: Mode = Mode.SERVE
    """serve puts the toolset in, verify refuses another one, as-sent leaves it to the agent."""
    tools_label: str = ""
    """A name for the toolset, for ever, such as support-tools@v3."""
    put: Annotated[tuple[str, ...], Parameter(name="--set", negative="", show_default=False)] = ()
    """NAME=VALUE, VALUE as JSON: a member of the request to set."""
    drop: Annotated[tuple[str, ...], Parameter(negative="", show_default=False)] = ()
    """A member of the request to drop."""
    rename: Annotated[tuple[str, ...], Parameter(negative="", show_default=False)] = ()
    """OLD=NEW: a member of the request to send under another name."""
    base: Annotated[str, Parameter(name=("--base", "--from"))] = ""
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
        prompt=_leg(wanted.prompt, wanted.prompt_mode, wanted.prompt_label),
        tools=_leg(wanted.tools, wanted.tools_mode, wanted.tools_label),
        params=_params(wanted),
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
                    r.prompt,
                    r.tools,
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
                ("drifted", held.drifted and f"{held.drifted}; `trivet drift status` tells more"),
                ("created", f"{show.when(held.created_ms)} by {held.actor}" if held.created_ms else ""),
                ("note", held.note),
            )
        )
        for name, leg in (("prompt", detail.prompt), ("tools", detail.tools)):
            if leg.text:
                show.line(f"\n{name}:", "bold")
                show.line(leg.text if name == "prompt" else _spread(leg.text))

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
    """List runs that are bound to a release, and say whether the code of its tools may be removed.

    Parameters
    ----------
    since
        Bound since then: 90m, 24h, 7d, or a UTC time such as 2026-11-02T08:00.
    """
    from gateway.admin.asks import ReleaseRuns  # noqa: PLC0415

    found: ReleaseUse = reach.call("release.runs", ReleaseRuns(release=release, since_ms=since_ms(since), limit=limit))

    def people(use: ReleaseUse) -> None:
        run_table(list(use.runs))
        tools = f"tools {use.labels[0] if use.labels else use.toolset[:12]}" if use.toolset else "its agents' own tools"
        until = f", the last until {show.when(use.ends_ms)} unless it goes on" if use.ends_ms else ""
        show.line(f"{use.bound} {'run is' if use.bound == 1 else 'runs are'} bound{until}.")
        if use.removable:
            show.line(f"The code of {tools} may be removed: nothing can call it any more.", "green")
        else:
            show.line(f"Keep the code of {tools}: {'; '.join(use.why)}.", "yellow")
        for warning in use.warnings:
            show.warn(warning)

    reach.print(found, people)
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


def _leg(what: str, mode: Mode, label: str) -> LegAsk | None:
    """A leg from a file, else from the label or digest of something stored."""
    if not what:
        return LegAsk(mode=mode) if mode is Mode.AS_SENT else None
    file = Path(what)
    if not file.exists():
        if "@" in what:
            return LegAsk(mode=mode, label=what)
        if DIGEST.fullmatch(what):
            return LegAsk(mode=mode, digest=what, label=label)
    try:
        return LegAsk(mode=mode, content=file.read_text(encoding="utf-8"), label=label)
    except (OSError, UnicodeDecodeError) as error:
        raise Failed(Exit.USAGE, f"{file} cannot be read as UTF-8 text") from error


def _params(wanted: Wanted) -> Params | None:
    renamed = {}
    for text in wanted.rename:
        old, equals, new = text.partition("=")
        if not equals or not old or not new:
            raise Failed(
                Exit.USAGE, f"--rename {text!r} must be written OLD=NEW, for example max_tokens=max_completion_tokens"
            )
        renamed[old] = new
    return Params(_pairs(wanted.put), wanted.drop, renamed) if wanted.put or wanted.drop or renamed else None


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
    named = f" {', '.join(leg.labels)}" if leg.labels else ""
    return leg.mode.value + named + (f" {show.short(leg.digest)}" if leg.digest else "")


def _spread(text: str) -> str:
    """A toolset, one tool a block."""
    try:
        return msgspec.json.format(text, indent=2)
    except msgspec.DecodeError:
        return text


def _value(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
