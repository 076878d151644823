"""References to the environment inside the configuration: `${NAME}` and `${NAME:-default}`.

Like a shell: a default also stands in for an empty variable; `$${` is a literal `${`. What a variable holds never reaches
a message: errors name the variable and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_REFERENCE = re.compile(r"\$\$\{|\$\{(?:([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|)")


class ReferenceProblem(ValueError):
    """A reference that cannot be filled in; the message names the variable, never its value."""


def expand(text: str, environment: Mapping[str, str]) -> tuple[str, bool]:
    """Fill in every reference; also tells whether there was one. Raises ReferenceProblem."""
    if "${" not in text:
        return text, False
    found = False

    def fill(match: re.Match[str]) -> str:
        nonlocal found
        if match[0] == "$${":
            return "${"
        name, default = match[1], match[2]
        if name is None:
            raise ReferenceProblem("has a broken reference; write ${NAME} or ${NAME:-default}")
        found = True
        value = environment.get(name)
        if default is not None and not value:
            return default
        if value is None:
            raise ReferenceProblem(
                f"needs the environment variable {name}, which is not set; set it or write ${{{name}:-default}}"
            )
        return value

    return _REFERENCE.sub(fill, text), found
