"""`tests/` mirrors `gateway/`: every file of the product has a test file of its name."""

from __future__ import annotations

from tests.house.tree import ROOT, python_files, short

EXCLUDED = {
    "gateway/__main__.py": "two lines that call the command line, which has its own tests",
    "gateway/core/contract/alias.py": "types without behaviour",
    "gateway/core/contract/exchange.py": "types without behaviour",
    "gateway/core/contract/journal.py": "types without behaviour",
    "gateway/settings/model.py": "types without behaviour; what the file may say is tested in test_load.py and test_docs.py",
}
"""Files without a test of their own, each with the reason. Files named __init__.py only name their room."""


def mirror(name: str) -> str:
    """gateway/wire/server.py -> tests/wire/test_server.py."""
    folder, _, file = name.removeprefix("gateway/").rpartition("/")
    return f"tests/{folder}/test_{file}" if folder else f"tests/test_{file}"


def test_every_file_has_its_test() -> None:
    """Whoever opens a file knows where its tests are."""
    files = [short(path) for path in python_files("gateway") if path.name != "__init__.py"]
    missing = {name: mirror(name) for name in files if name not in EXCLUDED and not (ROOT / mirror(name)).is_file()}
    assert not missing, f"files without their test file: {missing}"


def test_exclusions_are_needed() -> None:
    """The list of exclusions holds nothing that is gone or has a test by now."""
    stale = [name for name in EXCLUDED if not (ROOT / name).is_file() and name != "gateway/__main__.py"]
    stale += [name for name in EXCLUDED if (ROOT / mirror(name)).is_file()]
    assert not stale, stale


def test_init_files_only_name_their_room() -> None:
    """An __init__.py is a docstring, re-exports and a version: nothing that would need a test."""
    long = [
        short(path)
        for path in python_files("gateway")
        if path.name == "__init__.py" and len(path.read_text().splitlines()) > 40
    ]
    assert not long, long
