"""What must not stand in any tracked file: places of one machine, package indexes, secrets."""

from __future__ import annotations

import re

import pytest

from tests.house.tree import ROOT, short, text_of, tracked

# Written in pieces, so that this file does not find itself.
MACHINE = re.compile(r"(?<![\w.:/-])/(?:wor" + r"k|far" + r"m|roo" + r"t|opt/v3\d+|home/\w+)/")
INDEX = re.compile(r"--(?:extra-)?index" + r"-url|(?:pypi|registry)\S*/simp" + r"le\b|\"resolved\": *\"http")
SECRETS = {
    "an OpenAI key": re.compile(r"\bsk-(?:proj-|ant-|svcacct-)?[A-Za-z0-9]{40,}"),
    "an AWS key": re.compile(r"\bAKI" + r"A[0-9A-Z]{16}\b"),
    "a Google key": re.compile(r"\bAIz" + r"a[0-9A-Za-z_-]{35}\b"),
    "a GitHub token": re.compile(r"\bgh[pousr]_[A-Za-z0-9]{36,}\b"),
    "a private key": re.compile(r"-----BEGIN (?:[A-Z]+ )?PRIVATE" + r" KEY-----"),
    "a Slack token": re.compile(r"\bxox[abpr]-[0-9A-Za-z-]{10,}"),
}
TOP_LEVEL = {
    *(
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "Makefile",
        ".gitignore",
    ),
    *("gateway", "config", "tests", "deploy", "docs", "bench", ".ci", ".dockerignore"),
}


def found(pattern: re.Pattern[str]) -> list[str]:
    """Each line of a tracked text file that matches."""
    return [
        f"{short(path)}:{number}"
        for path in tracked()
        if (text := text_of(path)) is not None
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def test_no_place_of_one_machine() -> None:
    """No file names a folder that only one machine has."""
    assert found(MACHINE) == []


def test_no_package_index() -> None:
    """No file says where packages come from: that is the installer's business."""
    assert [hit for hit in found(INDEX) if not hit.startswith(("deploy/README.md", "tests/deploy/"))] == []


@pytest.mark.parametrize("kind", SECRETS)
def test_no_secret(kind: str) -> None:
    """No file holds what looks like a real credential."""
    assert found(SECRETS[kind]) == []


def test_top_level_stays_small() -> None:
    """The top of the repository holds what it is meant to hold, and nothing else."""
    strangers = {path.relative_to(ROOT).parts[0] for path in tracked()} - TOP_LEVEL
    assert not strangers, strangers
