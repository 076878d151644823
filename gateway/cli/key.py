"""`trivet key`: keys of the data port. A key is shown once; the configuration keeps its sha256."""

from __future__ import annotations

import hashlib
import secrets
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import App, Parameter

from gateway.cli import show
from gateway.cli.exits import Exit
from gateway.cli.reach import HERE, Failed, Reach
from gateway.settings.model import ADMIN_RIGHTS, RIGHTS, KeySettings, LimitSettings, Name

PREFIX = "sk-trivet-"
"""What a key begins with: SDKs and leak scanners know the shape."""


class NewKey(msgspec.Struct):
    """A key, on the one occasion that it can be seen."""

    key: str
    sha256: str
    yaml: str
    """The line for the configuration."""
    under: str
    """Where the line goes: `keys` or `admin.tokens`."""


class KeyRow(msgspec.Struct):
    """A configured key, without the key."""

    sha256: str
    tenant: str
    segment: str
    rights: tuple[str, ...]
    line: int
    allow: tuple[str, ...] = ()
    limits: dict[str, float] = {}
    """Those that the key has, by their names in the configuration."""
    tenant_limits: dict[str, float] = {}
    """Those of its tenant."""


def build() -> App:
    """The noun and its verbs."""
    app = App(name="key", help="Keys of the data port and tokens of the admin port.")
    app.command(new)
    app.command(list_, name="list")
    app.command(revoke)
    return app


def new(
    tenant: str = "default",
    /,
    *,
    segment: str = "",
    right: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    limit: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    allow: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    admin: Annotated[str, Parameter(name="--admin-token")] = "",
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Make a key. It is printed once and kept nowhere; put the printed line into the configuration.

    Parameters
    ----------
    tenant
        Whose runs the key's requests are.
    segment
        Group of tenants, for lanes.
    right
        pass-through, provider-state, learn, pin-release; for an admin token read, content, rollback, rollout, release.
    limit
        Such as requests_per_minute=60; the others are tokens_per_minute, concurrent_runs and usd_per_day.
    allow
        Alias or model name that the key may ask for, `*` in it stands for anything; without one it may ask for all.
    admin
        Make a token of the admin port with this name instead.
    json
        Print one JSON document.
    """
    allowed = ADMIN_RIGHTS if admin else RIGHTS
    for name in right:
        if name not in allowed:
            raise Failed(Exit.USAGE, f"there is no right {name!r} here; choose from {', '.join(allowed)}")
    for name in filter(None, (tenant, segment, admin)):
        _named(name)
    secret = PREFIX + secrets.token_urlsafe(32)
    digest = hashlib.sha256(secret.encode()).hexdigest()
    rights = f", rights: [{', '.join(right)}]" if right else ""
    if admin:
        made = NewKey(secret, digest, f"- {{name: {admin}, sha256: {digest}{rights}}}", "admin.tokens")
    else:
        group = f", segment: {segment}" if segment else ""
        rest = f"{group}{rights}{_allowed(allow)}{_limited(limit)}"
        made = NewKey(secret, digest, f"- {{sha256: {digest}, tenant: {tenant}{rest}}}", "keys")
    if json:
        show.json(made)
        return Exit.OK
    show.line(made.key, "bold")
    show.note(f"Shown once. Add this under `{made.under}` in the configuration; it takes effect within a second:")
    show.line(f"  {made.yaml}")
    return Exit.OK


def list_(*, reach: Reach = HERE) -> int:
    """List the keys of the configuration file."""
    config = reach.loaded().config
    tenants = config.settings.tenants
    rows = [
        KeyRow(
            k.sha256,
            k.tenant,
            k.segment,
            k.rights,
            config.line(f"keys[{index}]"),
            k.allow,
            limits_of(k.limits),
            limits_of(tenants[k.tenant].limits) if k.tenant in tenants else {},
        )
        for index, k in enumerate(config.settings.keys)
    ]

    def people(found: list[KeyRow]) -> None:
        show.table(
            ("sha256", "tenant", "segment", "rights", "allow", "limits", "tenant's", "line#"),
            [
                (
                    show.short(k.sha256),
                    k.tenant,
                    k.segment,
                    k.rights,
                    k.allow,
                    shown_limits(k.limits),
                    shown_limits(k.tenant_limits),
                    k.line or "",
                )
                for k in found
            ],
            empty=f"no keys; auth is {config.settings.auth}",
        )

    reach.print(rows, people)
    return Exit.OK


UNITS = {
    "requests_per_minute": "requests/min",
    "tokens_per_minute": "tokens/min",
    "concurrent_runs": "runs",
    "usd_per_day": "USD/day",
}
"""Each limit as a column has room for it."""


def limits_of(limits: LimitSettings) -> dict[str, float]:
    """The limits that are set, by name."""
    return {name: value for name in UNITS if (value := getattr(limits, name))}


def shown_limits(limits: dict[str, float]) -> tuple[str, ...]:
    """Limits for people."""
    return tuple(f"{value:g} {UNITS[name]}" for name, value in limits.items())


def _limited(words: tuple[str, ...]) -> str:
    """The `limits` member of a key's line. Raises Failed for what is no limit."""
    found = dict(word.partition("=")[::2] for word in words)
    try:
        limits = msgspec.convert(found, LimitSettings, strict=False)
    except msgspec.ValidationError as error:
        raise Failed(Exit.USAGE, f"--limit takes NAME=NUMBER, with NAME one of {', '.join(UNITS)}") from error
    inner = ", ".join(f"{name}: {value:g}" for name, value in limits_of(limits).items())
    return f", limits: {{{inner}}}" if inner else ""


def _allowed(names: tuple[str, ...]) -> str:
    """The `allow` member of a key's line."""
    for name in names:
        _named(name.replace("*", "x"))
    return f", allow: [{', '.join(msgspec.json.encode(name).decode() for name in names)}]" if names else ""


def revoke(sha256: str, /, *, reach: Reach = HERE) -> int:
    """Take a key out of the configuration file. Streams in flight finish; its next request gets 401.

    Parameters
    ----------
    sha256
        The key's sha256 or its first digits, at least 8; `trivet key list` shows them. Never the key itself.
    """
    if len(sha256) < 8 or set(sha256) - set("0123456789abcdef"):
        raise Failed(Exit.USAGE, "give at least the first 8 hex digits of the key's sha256, as `trivet key list` shows")
    config = reach.loaded().config
    found = [k for k in config.settings.keys if k.sha256.startswith(sha256)]
    if len(found) != 1:
        raise Failed(Exit.REFUSED, f"{len(found)} keys of {config.path} begin with {sha256}; exactly one must")
    if not config.path.is_file():
        raise Failed(Exit.REFUSED, "the built-in defaults hold no keys")
    _take_out(config.path, found[0])

    def people(key: KeySettings) -> None:
        show.line(f"Key {show.short(key.sha256)} of tenant {key.tenant} is out of {config.path}.")
        show.note("A running gateway notices within a second. Its stamps stay.")

    reach.print(found[0], people)
    return Exit.OK


def without_item(text: str, digest: str) -> str:
    """The YAML text without the item of `keys` that has this sha256; every other line stays as it is.

    Raises Failed when the item shares a line with another one.
    """
    import yaml  # noqa: PLC0415 - only this verb reads YAML marks

    root = yaml.compose(text, Loader=yaml.SafeLoader)
    members = root.value if root is not None else []
    items = [node for key, value in members if key.value == "keys" for node in value.value]
    for index, item in enumerate(items):
        if not any(k.value == "sha256" and v.value == digest for k, v in item.value):
            continue
        lines = text.splitlines(keepends=True)
        first, last = item.start_mark.line, item.end_mark.line
        if item.end_mark.column > 0:
            last += 1  # a mark inside a line means that line belongs to the item
        neighbours = [other for at, other in enumerate(items) if at != index]
        shared = any(
            other.start_mark.line <= last - 1 and first <= other.end_mark.line - (other.end_mark.column == 0)
            for other in neighbours
        )
        if shared or not lines[first].lstrip().startswith("-"):
            raise Failed(Exit.REFUSED, f"line {first + 1} holds more than this key; take it out by hand")
        del lines[first:last]
        if not neighbours:  # an empty list must still read as a list
            key = next(k for k, _ in members if k.value == "keys")
            lines[key.start_mark.line] = "keys: []\n"
        return "".join(lines)
    raise Failed(Exit.REFUSED, "the key is not written out in this file; take it out where it comes from")


def _take_out(path: Path, key: KeySettings) -> None:
    from gateway.wiring import configured  # noqa: PLC0415

    text = without_item(path.read_text(encoding="utf-8"), key.sha256)
    try:
        configured.understand(text.encode(), path)
    except configured.Refused as error:
        raise Failed(Exit.REFUSED, f"without this key the file would not be valid, so it stays: {error}") from error
    new = path.with_name(path.name + ".new")
    new.write_text(text, encoding="utf-8")
    new.chmod(path.stat().st_mode & 0o777)
    new.replace(path)


def _named(name: str) -> None:
    try:
        msgspec.convert(name, Name)
    except msgspec.ValidationError as error:
        raise Failed(Exit.USAGE, f"{name!r} is not a name: use up to 64 of A-Z a-z 0-9 . _ : / -") from error
