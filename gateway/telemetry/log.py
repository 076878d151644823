"""Logs: one event a line, as JSON or for a person, with fields from one list and nothing that looks like a key.

Header values, bodies, queries and exception texts of foreign libraries never get in: a field that is not in FIELDS is left
out, aiohttp's own messages (which quote what they could not parse) are replaced by their kind, and every line passes the
redactor last.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterable
from typing import Any, TextIO

ROOT = "gateway"
FIELDS: dict[str, str] = {
    "action": "what was done on the admin port",
    "actor": "who did it, by token name",
    "address": "where we listen",
    "age": "seconds",
    "alias": "alias",
    "arm": "stable or canary",
    "attempts": "calls to the provider, or deliveries of a job",
    "code": "stable machine word of a fault",
    "config": "configuration version",
    "count": "how many",
    "dropped": "how many were not kept",
    "error": "type of an exception, or an errno word",
    "exit": "exit status of a process",
    "file": "path of a file of ours",
    "key": "key of the configuration",
    "kind": "which of a few",
    "lane": "lane",
    "line": "line of a file",
    "mode": "mode of working",
    "model": "provider/model-id",
    "ms": "milliseconds",
    "name": "name of a thing of ours",
    "outcome": "how an exchange ended",
    "override": "who answers for a missing proof",
    "phase": "phase of a request or process",
    "pid": "process id",
    "port": "port number",
    "problem": "what is wrong and what to do",
    "provider": "provider name of the configuration",
    "reason": "why",
    "release": "release id",
    "request": "request id of ours",
    "result": "how it went",
    "role": "role of a process",
    "run": "run id",
    "seconds": "seconds",
    "signal": "signal name",
    "size": "bytes",
    "slot": "place of a process",
    "state": "state of a thing",
    "status": "HTTP status",
    "step": "step of a run",
    "stop_runs": "whether runs in flight were stopped",
    "tenant": "tenant",
    "to": "release id",
    "url": "base URL of ours, without credentials",
    "version": "version of a pointer or of the gateway",
    "where": "file and line of our code",
    "worker": "worker id",
    "workers": "how many workers",
}
"""Every field a log line may have, beside time, level, event and room."""

REDACTED = "(redacted)"
_SECRETS = re.compile(
    r"(?P<line>(?i:\b(?:authorization|cookie)[\"']?\s*[:=]\s*[\"']?))[^\r\n\"']+"
    r"|(?P<scheme>(?i:\bbearer\s+))[^\s,;\"']{4,}"
    r"|(?P<basic>(?i:\bbasic\s+))[A-Za-z0-9+/=]{12,}"
    r"|(?P<user>://)[^/\s@]+@"
    r"|(?P<pair>(?i:\b(?:x-)?(?:api[-_]?key|goog-api-key|trivet-key|trivet-ticket|password|secret|token)"
    r"[\"']?\s*[:=]\s*[\"']?))[^\s,;\"'}]+"
    r"|\b(?:sk|pk|rk|tv|gsk|xai|hf|ghp|gho|glpat|r8|pplx|fw|nvapi)[-_][A-Za-z0-9_-]{12,}"
    r"|\bAIza[A-Za-z0-9_-]{20,}|\bAKIA[A-Z0-9]{12,}|\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_.-]+"
    r"|(?<![A-Za-z0-9_:/.-])(?=[A-Za-z_-]*[0-9])(?=[A-Z0-9_-]*[a-z])(?=[a-z0-9_-]*[A-Z])[A-Za-z0-9_-]{40,}"
)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\u2028\u2029\x85]")
_LONGEST = 2000


class Redactor:
    """Takes out what looks like a key, and every string named as one in `secrets` (8 characters or more)."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._known = tuple(sorted({each for each in secrets if len(each) >= 8}, key=len, reverse=True))

    def clean(self, text: str) -> str:
        """The text on one line, shortened, without secrets."""
        text = text[: 4 * _LONGEST]
        for secret in self._known:
            if secret in text:
                text = text.replace(secret, REDACTED)
        text = _SECRETS.sub(_kept, text)
        text = _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text)
        return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."


def _kept(match: re.Match[str]) -> str:
    """What stays of a match: the words before the secret."""
    if match["user"]:
        return f"{match['user']}{REDACTED}@"
    return f"{match['scheme'] or match['basic'] or match['line'] or match['pair'] or ''}{REDACTED}"


class Log:
    """Writes events of one room: `log.info("worker started", pid=1, port=8080)`. Never raises."""

    __slots__ = ("_logger",)

    def __init__(self, room: str) -> None:
        self._logger = logging.getLogger(f"{ROOT}.{room}")

    def debug(self, event: str, **fields: object) -> None:
        """For whoever looks for a fault."""
        self._write(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: object) -> None:
        """Something happened as it should."""
        self._write(logging.INFO, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """Somebody should look at this."""
        self._write(logging.WARNING, event, fields)

    def error(self, event: str, **fields: object) -> None:
        """Something failed."""
        self._write(logging.ERROR, event, fields)

    def _write(self, level: int, event: str, fields: dict[str, object]) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, "%s", event, extra={"fields": fields})


class Lines(logging.Formatter):
    """Renders records of ours and of others; nothing a library says goes out unread."""

    def __init__(self, redactor: Redactor, *, as_json: bool) -> None:
        super().__init__()
        self._redactor = redactor
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        event, fields = self._content(record)
        level = record.levelname.lower()
        room = record.name.removeprefix(f"{ROOT}.")
        if self._as_json:
            line = {"time": round(record.created, 3), "level": level, "room": room, "event": event, **fields}
            return json.dumps(line, ensure_ascii=False)
        clock = self.formatTime(record, "%H:%M:%S")
        tail = "".join(f"  {name}={value}" for name, value in fields.items())
        return f"{clock} {level:<7} {room:<10} {event}{tail}"

    def _content(self, record: logging.LogRecord) -> tuple[str, dict[str, Any]]:
        given = getattr(record, "fields", None)
        own = record.name == ROOT or record.name.startswith(f"{ROOT}.")
        fields: dict[str, Any] = {}
        if own and isinstance(given, dict):
            fields = {name: self._value(value) for name, value in given.items() if name in FIELDS}
        if record.exc_info and record.exc_info[0] is not None:
            fields["error"] = record.exc_info[0].__name__
            fields.setdefault("where", f"{record.module}:{record.lineno}")
        if not own and quoting(record.name):
            return "a request was refused or failed; its text is not logged", fields
        try:
            message = record.getMessage()
        except (TypeError, ValueError, KeyError):
            message = "a message that could not be put together"
        return self._redactor.clean(message), fields

    def _value(self, value: object) -> object:
        if value is None or isinstance(value, bool | int | float):
            return value
        return self._redactor.clean(str(value))


def quoting(logger: str) -> bool:
    """Whether a library's logger is known to quote what peers sent."""
    return logger.split(".", 1)[0] in {"aiohttp", "httpx", "httpcore", "urllib3", "openai", "anthropic"}


class Quiet(logging.Filter):
    """Lets our own records through, and of others only warnings and worse."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written."""
        return record.name == ROOT or record.name.startswith(f"{ROOT}.") or record.levelno >= logging.WARNING


def configure(
    style: str = "auto", level: str = "info", secrets: Iterable[str] = (), stream: TextIO | None = None
) -> logging.Handler:
    """Send all logging of this process to `stream` (standard error). `style`: json, console, or auto (console on a terminal).

    Replaces the handlers of the root logger; call once per process. Returns the handler, for tests to remove.
    """
    out = stream or sys.stderr
    as_json = style == "json" or (style == "auto" and not out.isatty())
    handler = logging.StreamHandler(out)
    handler.setFormatter(Lines(Redactor(secrets), as_json=as_json))
    handler.addFilter(Quiet())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger(ROOT).setLevel(level.upper())
    logging.raiseExceptions = False
    return handler
