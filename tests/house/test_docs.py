"""Docs in step: what an operator can set, read, scrape or type stands in `docs/`, and nothing else does."""

from __future__ import annotations

import ast
import contextlib
import inspect
import re
import types
import typing
from collections.abc import Iterator
from pathlib import Path

import cyclopts
import msgspec
import pytest

from gateway.cli.app import build
from gateway.cli.exits import Exit
from gateway.core.contract.run import run_digest
from gateway.settings.model import Settings
from gateway.settings.units import UnitError, amount, points, seconds, size
from gateway.store.keys import Keys
from gateway.telemetry.metrics import METRICS
from tests.house.tree import ROOT, parsed, python_files, short, tracked

DOCS = ROOT / "docs"
FIRST_CELL = re.compile(r"^\| `([^`]+)`", re.MULTILINE)
PHASES = ("admit", "identify", "bind", "rewrite", "forward", "relay", "record")


def read(name: str) -> str:
    """A page of the documentation."""
    return (DOCS / name).read_text(encoding="utf-8")


def settings(kind: type[msgspec.Struct], prefix: str = "") -> Iterator[str]:
    """Every key of the configuration file: `a.b`, `list[].key`, `mapping.NAME.key`."""
    hints = typing.get_type_hints(kind)
    for field in msgspec.structs.fields(kind):
        name = f"{prefix}{field.encode_name}"
        yield name
        yield from inner(hints[field.name], name)


def inner(hint: object, name: str) -> Iterator[str]:
    """Keys below one whose type is a struct, a list of structs or a mapping to structs."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        yield from settings(hint, f"{name}.")
    elif origin in {types.UnionType, typing.Union}:
        for each in arguments:
            yield from inner(each, name)
    elif origin is tuple:
        yield from inner(arguments[0], f"{name}[]")
    elif origin is dict:
        yield from inner(arguments[1], f"{name}.NAME")


def test_every_setting_is_documented() -> None:
    """Each key of the configuration file has a row in docs/configuration.md, and each row is a key."""
    known, told = set(settings(Settings)), FIRST_CELL.findall(read("configuration.md"))
    assert sorted(known - set(told)) == [], "keys without a row"
    assert sorted(set(told) - known) == [], "rows without a key"
    assert len(told) == len(set(told)), "a key has two rows"


def shapes() -> dict[str, str]:
    """Each method of Keys to the key it makes of its own parameters' names."""
    names = {"release": "REL", "identifier": "ID"}
    keys, found = Keys(), {}
    for name, method in inspect.getmembers(keys, inspect.ismethod):
        if name.startswith("_"):
            continue
        words = names | ({"digest": "RUN"} if name.endswith("_of") else {})
        values = [words.get(each, each.upper()) for each in inspect.signature(method).parameters]
        found[name] = method(*values).replace(run_digest("TENANT", "RUN"), "RUN")
    return found


def defaults(kind: type[msgspec.Struct], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Every key whose default is a plain value, with that value."""
    hints = typing.get_type_hints(kind)
    for field in msgspec.structs.fields(kind):
        name = f"{prefix}{field.encode_name}"
        if isinstance(field.default, (str, int, float)) and field.default != "":
            yield name, field.default
        for below in (hints[field.name], *typing.get_args(hints[field.name])):
            suffix = {tuple: "[]", dict: ".NAME"}.get(typing.get_origin(hints[field.name]), "")
            if isinstance(below, type) and issubclass(below, msgspec.Struct):
                yield from defaults(below, f"{name}{suffix}.")


def same_default(written: str, value: object) -> bool:
    """Whether a default as an operator reads it is the value that the code has."""
    if isinstance(value, bool | str):
        return written == str(value).lower() if isinstance(value, bool) else written == value
    with contextlib.suppress(UnitError):
        return seconds(written) == value
    for read_unit in (points, amount):
        with contextlib.suppress(UnitError):
            return read_unit(written) == value
    return size(written) == value


def test_every_default_is_documented() -> None:
    """The default that docs/configuration.md gives for a key is the one the code has."""
    told = dict(re.findall(r"^\| `([^`]+)` \| (?:`([^`]*)`)? ?\|", read("configuration.md"), re.MULTILINE))
    wrong = {
        name: (told.get(name), value)
        for name, value in defaults(Settings)
        if not same_default(told.get(name, ""), value)
    }
    assert wrong == {}


def test_every_redis_key_is_documented() -> None:
    """Each key shape of the store has a row in docs/redis.md, and each row is a key shape."""
    known, told = set(shapes().values()), set(FIRST_CELL.findall(read("redis.md").split("## Fields", 1)[0]))
    assert sorted(known - told) == [], "keys without a row"
    assert sorted(told - known) == [], "rows without a key"


def test_every_metric_is_documented() -> None:
    """Each metric has a row in docs/metrics.md with its type and labels, and each row is a metric."""
    known = {row.full: (row.type.value, ", ".join(f"`{label}`" for label in row.labels)) for row in METRICS.values()}
    rows = re.findall(r"^\| `(trivet_\w+)` \| (\w+) \| ([^|]*) \|", read("metrics.md"), re.MULTILINE)
    told = {name: (kind, labels.strip()) for name, kind, labels in rows}
    assert sorted(known.keys() - told.keys()) == [], "metrics without a row"
    assert sorted(told.keys() - known.keys()) == [], "rows without a metric"
    assert {name: told[name] for name in known if told[name] != known[name]} == {}, "another type or other labels"


def verbs(app: cyclopts.App, prefix: str = "") -> Iterator[str]:
    """Every verb of the command line, as it is typed; a noun alone only where it does something itself."""
    for name in app:
        if name.startswith("-"):
            continue
        inner_app = app[name]
        words = f"{prefix}{name}"
        if inner_app.default_command is not None:
            yield words
        yield from verbs(inner_app, f"{words} ")


def test_every_verb_is_documented() -> None:
    """Each verb of the command line has a row in docs/cli.md, and each row is a verb."""
    told = set(FIRST_CELL.findall(read("cli.md").split("## Exit codes", 1)[0]))
    known = set(verbs(build()))
    assert sorted(known - told) == [], "verbs without a row"
    assert sorted(told - known) == [], "rows without a verb"


def test_every_exit_code_is_documented() -> None:
    """Each exit code has a row in docs/cli.md, and each row is an exit code."""
    told = re.findall(r"^\| (\d+) \|", read("cli.md").split("## Exit codes", 1)[1], re.MULTILINE)
    assert [int(code) for code in told] == [int(code) for code in Exit]


def fault_codes() -> dict[str, str]:
    """Every code that the product makes a Fault or a refusal with, to where."""
    found = {}
    for path in python_files("gateway"):
        for node in ast.walk(parsed(path)):
            if not isinstance(node, ast.Call) or len(node.args) < 2:
                continue
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            code = node.args[1]
            if name in {"Fault", "BadMessage"} and isinstance(code, ast.Constant) and isinstance(code.value, str):
                found[code.value] = f"{short(path)}:{node.lineno}"
    return found


def test_every_code_is_documented() -> None:
    """Each code that an error may carry has a row under "Codes" in docs/faults.md, and each row is a code."""
    known, told = fault_codes(), set(FIRST_CELL.findall(read("faults.md").split("## Codes", 1)[1]))
    assert {code: where for code, where in known.items() if code not in told} == {}, "codes without a row"
    source = "\n".join(path.read_text(encoding="utf-8") for path in python_files("gateway"))
    assert [code for code in told if f'"{code}"' not in source] == [], "rows without a code"


def test_life_of_a_request_has_the_phases() -> None:
    """The headings of docs/life-of-a-request.md are the names of the phases, in order, and the front page lists the same."""
    headings = re.findall(r"^## (\w+)$", read("life-of-a-request.md"), re.MULTILINE)
    assert [heading for heading in headings if heading in PHASES] == list(PHASES)
    assert re.findall(r"^\d\. \*\*(\w+)\*\*", (ROOT / "README.md").read_text(), re.MULTILINE) == list(PHASES)


def pages() -> list[Path]:
    """Every Markdown page of the project."""
    return [path for path in tracked() if path.suffix == ".md"]


@pytest.mark.parametrize("page", pages(), ids=short)
def test_links_lead_somewhere(page: Path) -> None:
    """Each link between pages leads to a file that is there."""
    targets = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page.read_text(encoding="utf-8"))
    broken = [target for target in targets if not (page.parent / target).exists() and "RESULTS.md" not in target]
    assert not broken, broken


@pytest.mark.parametrize("page", pages(), ids=short)
def test_one_sentence_per_line(page: Path) -> None:
    """Prose is one sentence per line, so that a change of a sentence is a change of a line."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    prose = [line for line in text.splitlines() if not re.match(r"\s*([-*|#>]|\d+\.|<!--)", line)]
    doubled = [
        line for line in prose if re.search(r"[a-z`)*\d][.!?] [A-Z]", re.sub(r"\b(e\.g|i\.e|etc|vs)\. ", "", line))
    ]
    assert not doubled, doubled


def test_readme_shows_a_command_early() -> None:
    """Whoever opens the front page sees one command before line 35."""
    top = (ROOT / "README.md").read_text().splitlines()[:35]
    assert any(line.startswith("make ") for line in top)
