"""`trivet import`: bring a configuration of another gateway over."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
from cyclopts import App, Parameter

from gateway.cli import show
from gateway.cli.exits import Exit
from gateway.cli.reach import Failed
from gateway.settings.litellm import Dropped, Imported, Moved
from gateway.settings.litellm_models import Left

if TYPE_CHECKING:
    import yaml

SET_ME = "set-me"
SET_URL = "https://set-me.example"


class Report(msgspec.Struct):
    """Answer of `import litellm`."""

    written: str
    """The file, or empty when the text went to standard output or stands in `text`."""
    aliases: tuple[Moved, ...]
    floating: tuple[str, ...]
    fallbacks: tuple[Dropped, ...]
    left: tuple[Left, ...]
    environment: dict[str, str]
    keys: int
    warnings: tuple[str, ...]
    """What `trivet check` says of the result."""
    text: str = ""


def build() -> App:
    """The noun and its verbs."""
    app = App(name="import", help="Bring the configuration of another gateway over.")
    app.command(litellm)
    return app


def litellm(
    file: Path,
    /,
    *,
    out: str = "",
    keep_keys: str = "",
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Write a Trivet configuration from LiteLLM's config.yaml, and say what was not carried over.

    Parameters
    ----------
    file
        LiteLLM's configuration.
    out
        File to write; it must not exist. By default the text goes to standard output, what there is to say to standard error.
    keep_keys
        File with the keys that clients have, one KEY or KEY,TENANT a line, as they are or as the sha256 that LiteLLM's
        database holds. Only the sha256 is written, and clients go on with their key.
    json
        Print one JSON document.
    """
    from gateway.settings import tables  # noqa: PLC0415 - only this verb needs these
    from gateway.settings.litellm import NotLiteLLM, client_keys, convert  # noqa: PLC0415
    from gateway.settings.litellm_yaml import render  # noqa: PLC0415

    try:
        keys = client_keys(_read(Path(keep_keys))) if keep_keys else []
        document, tags = parse(_read(file))
        found = convert(document, tables.pinning(), os.environ, keys)
    except NotLiteLLM as error:
        raise Failed(Exit.USAGE, f"{file}: {error}") from error
    left = (*found.left, *(Left(tag, "not followed; import that file by itself") for tag in tags))
    text = render(found, file.name)
    warnings = _checked(text, found.environment)
    if out:
        _write(Path(out), text)
    elif not json:
        show.raw(text)
    floating = tuple(each.alias for each in found.floating)
    report = Report(
        out,
        found.aliases,
        floating,
        found.fallbacks,
        left,
        found.environment,
        found.keys,
        warnings,
        "" if out else text,
    )
    if json:
        show.json(report)
    else:
        _tell(report, found)
    return Exit.OK


def parse(text: str) -> tuple[object, tuple[str, ...]]:
    """YAML as plain values, and every tag of its own in it (such as `!include x.yaml`), which stays unread.
    Raises Failed."""
    import yaml  # noqa: PLC0415

    tags: list[str] = []

    class Loader(yaml.SafeLoader):
        """Reads values, builds nothing."""

    def unread(_loader: Loader, suffix: str, node: yaml.Node) -> str:
        tags.append(f"!{suffix} {node.value if isinstance(node, yaml.ScalarNode) else ''}".strip())
        return ""

    Loader.add_multi_constructor("!", unread)
    try:
        return yaml.load(text, Loader), tuple(tags)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark is not None else ""
        raise Failed(Exit.USAGE, f"the file is no YAML{where}") from None


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise Failed(
            Exit.USAGE, f"{file}: cannot be read ({getattr(error, 'strerror', None) or 'not UTF-8'})"
        ) from error


def _checked(text: str, wanted: Mapping[str, str]) -> tuple[str, ...]:
    """What `trivet check` says of the text, with a stand-in for each variable that is not set here."""
    from gateway.settings.check import check  # noqa: PLC0415
    from gateway.settings.load import SettingsError, read  # noqa: PLC0415

    stand_ins = {name: SET_URL if what.endswith("host") else f"{SET_ME}-{name}" for name, what in wanted.items()}
    try:
        return tuple(check(read(text.encode(), Path("gateway.yaml"), {**stand_ins, **os.environ})))
    except SettingsError as error:
        raise Failed(Exit.REFUSED, f"what came out would not serve, and nothing was written:\n{error}") from error


def _write(file: Path, text: str) -> None:
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise Failed(Exit.REFUSED, f"{file} exists; name another file or move it away") from None
    except OSError as error:
        raise Failed(Exit.USAGE, f"{file}: cannot be written ({error.strerror})") from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        opened.write(text)


def _tell(report: Report, found: Imported) -> None:
    """The report for people, on standard error where the text has standard output."""
    tell = show.line if report.written else show.note
    if report.written:
        tell(
            f"Wrote {report.written}: {len(found.providers)} providers, {len(report.aliases)} aliases, {report.keys} keys."
        )
    for each in found.aliases:
        if each.alias in report.floating:
            show.warn(f"alias {each.alias} FLOATS on {each.model}: {each.why}")
        elif each.pin != "pinned":
            show.warn(f"alias {each.alias}, {each.model}, is {each.pin}: {each.why}")
        if each.dialect != "openai":
            show.warn(f"alias {each.alias} speaks the {each.dialect} API only; LiteLLM translated, Trivet does not")
    for drop in report.fallbacks:
        show.warn(f"dropped fallback {drop.model} -> {drop.fallback} ({drop.setting}): a run never changes its model")
    for each_left in report.left:
        tell(f"not carried over: {each_left.setting}: {each_left.why}")
    for name, what in sorted(report.environment.items()):
        tell(f"set {name}: {what}")
    for warning in report.warnings:
        show.warn(warning)
