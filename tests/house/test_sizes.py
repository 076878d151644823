"""Sizes and names: no file, function or signature outgrows its reader, and no attic is opened."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.house.tree import ROOT, parsed, python_files, short

FILE_LINES = 500
"""A file aims at 400 lines. The best of this field stay below 410 to 660 at their largest."""
FUNCTION_LINES = 60
"""Under 2 % of the functions of h11, hypercorn and structlog are longer. The docstring is not counted: a verb's is its help."""
PARAMETERS = 7
"""Then it is a frozen dataclass. Keyword-only options with a default are not counted: a caller may leave them out."""
ATTICS = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "managers"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(folders: tuple[str, ...]) -> Iterator[tuple[Path, Function]]:
    """Every function of these folders with its file."""
    for path in python_files(*folders):
        for node in ast.walk(parsed(path)):
            if isinstance(node, Function):
                yield path, node


def parameters(function: Function) -> int:
    """Parameters a caller has to think of: all but self, cls and keyword-only ones with a default."""
    spec = function.args
    positional = [argument.arg for argument in (*spec.posonlyargs, *spec.args)]
    if positional and positional[0] in {"self", "cls"}:
        positional = positional[1:]
    return len(positional) + sum(default is None for default in spec.kw_defaults)


def lines(function: Function) -> int:
    """Lines of a function without its docstring."""
    first = function.body[0]
    documented = (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    )
    whole = (function.end_lineno or function.lineno) - function.lineno + 1
    return whole - ((first.end_lineno or first.lineno) - first.lineno + 1) if documented else whole


def test_files_stay_short() -> None:
    """No Python file has more than 500 lines."""
    sizes = {
        short(path): len(path.read_text().splitlines()) for path in python_files("gateway", "bench", "deploy", "tests")
    }
    long = {name: size for name, size in sizes.items() if size > FILE_LINES}
    assert not long, f"split by noun: {long}"


def test_functions_stay_short() -> None:
    """No function of the product has more than 60 lines."""
    long = [
        f"{short(path)}:{node.lineno} {node.name} has {size} lines"
        for path, node in functions(("gateway", "bench", "deploy"))
        if (size := lines(node)) > FUNCTION_LINES
    ]
    assert not long, long


def test_signatures_stay_narrow() -> None:
    """No function of the product takes more than seven parameters."""
    wide = [
        f"{short(path)}:{node.lineno} {node.name} takes {count}"
        for path, node in functions(("gateway", "bench", "deploy"))
        if (count := parameters(node)) > PARAMETERS
    ]
    assert not wide, f"make it a frozen dataclass: {wide}"


def test_no_attic() -> None:
    """A function lives with its noun: no file or folder is called utils, helpers, common, misc or manager."""
    names = [path.relative_to(ROOT) for path in python_files("gateway", "tests", "bench", "deploy")]
    attics = [
        str(name) for name in names if ATTICS & {part.removesuffix(".py").removeprefix("test_") for part in name.parts}
    ]
    assert not attics, attics
