"""Where a request goes: a configured base and an enumerated path, joined here and nowhere else (faults.md R3).

A base that already ends in a version (`/v1`, `/api/paas/v4`) or in `/openai` stands for the `/v1` of the path, as the base
URLs of SDKs do; any other base is a plain prefix.
"""

from __future__ import annotations

import re

from gateway.settings.urls import AddressError, Target, target

__all__ = ["AddressError", "Target", "joined", "safe", "target"]

_VERSIONED = re.compile(r"/(?:v[0-9]+(?:(?:alpha|beta)[0-9]*)?|openai)$")
_LEADING = re.compile(r"^/v1(?:alpha|beta)?(?=/|$)")
_SAFE = re.compile(r"^/[!-\"$-\[\]-~]*\Z")


def joined(base: str, path: str) -> str:
    """The path of the request line: `base` is a Target's path, `path` starts with a slash."""
    if base and _VERSIONED.search(base):
        path = _LEADING.sub("", path)
    return base + path or "/"


def safe(path: str) -> bool:
    """The last look before a path goes on the wire: printable ASCII without backslash or #, no dot segments, no `//`."""
    if not _SAFE.match(path) or "//" in path:
        return False
    lowered = path.lower()
    if "%2f" in lowered or "%5c" in lowered or "%00" in lowered or "%0d" in lowered or "%0a" in lowered:
        return False
    return not any(part in {".", ".."} for part in lowered.replace("%2e", ".").split("/"))
