"""What is wrong with a configuration, said so that it can be mended: file, line, key, what is wrong, what to do."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass

_TELLING = re.compile(r"^[A-Za-z0-9._:/ -]{1,48}$")
_SECRET = re.compile(r"^(sk|pk|rk|key|gsk|hf|xai|AIza|AKIA|ghp)[-_A-Za-z0-9]{16,}$")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong. `key` is a path such as `providers.openai.base_url`; line 0 means the file as a whole."""

    key: str
    message: str
    line: int = 0

    def text(self, file: str) -> str:
        """`file:line: key: message`."""
        place = f"{file}:{self.line}" if self.line else file
        return f"{place}: {self.key}: {self.message}" if self.key else f"{place}: {self.message}"


class SettingsError(Exception):
    """A configuration that cannot be used. Holds every problem found, in the order of the file."""

    def __init__(self, file: str, problems: Iterable[Problem]) -> None:
        self.file = file
        self.problems = tuple(sorted(problems, key=lambda problem: problem.line))
        super().__init__("\n".join(problem.text(file) for problem in self.problems))


def shown(name: str) -> str:
    """A key's name as a message may show it: whatever could be a pasted secret is not shown."""
    if _TELLING.match(name) and not _SECRET.match(name):
        return name
    return "(not shown)"


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean X?` or the list of what is known, or nothing."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; known here: {', '.join(names)}" if names else ""
