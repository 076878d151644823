"""Logs without secrets."""

from __future__ import annotations

import ast
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.telemetry.log import FIELDS, Log, Redactor, configure

SECRET = "sk-" + "Abc123" * 4


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    """Log lines as JSON; logging is as before afterwards."""
    root = logging.getLogger()
    handlers, level, raising = root.handlers[:], root.level, logging.raiseExceptions
    stream = io.StringIO()
    configure("json", "debug", ["configured-secret"], stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("gateway").setLevel(logging.NOTSET)
    logging.raiseExceptions = raising


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    """The lines written."""
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_line_is_one_event(out: io.StringIO) -> None:
    """An event is one JSON line with time, level, room and its fields."""
    Log("wiring").info("worker started", pid=7, port=8080)
    [line] = lines(out)
    assert line.pop("time") > 0
    assert line == {"level": "info", "room": "wiring", "event": "worker started", "pid": 7, "port": 8080}


def test_fields_that_are_not_on_the_list_are_left_out(out: io.StringIO) -> None:
    """Nobody logs a header or a body by accident."""
    Log("live").warning("odd", headers={"authorization": SECRET}, body=SECRET, status=400)
    assert SECRET not in out.getvalue()
    assert lines(out)[0]["status"] == 400


@pytest.mark.parametrize(
    "text",
    [
        SECRET,
        f"Bearer {SECRET}",
        "bearer hunter2hunter2",
        "Authorization: Basic dXNlcjpwYXNzd29yZA==",
        "redis://user:hunter2@host:6379/0",
        "rediss://:hunter2@host",
        "api_key=hunter2",
        '{"api-key": "hunter2"}',
        "x-api-key: hunter2",
        "cookie: a=b; c=hunter2",
        "x-trivet-ticket: hunter2",
        "AIza" + "B1c" * 12,
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
        "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8S9t0U1",
        "configured-secret",
    ],
)
def test_i7_what_looks_like_a_key_is_taken_out(out: io.StringIO, text: str) -> None:
    """A key in an event or a field does not reach the line."""
    Log("live").error(f"failed with {text} here", problem=text)
    written = out.getvalue()
    for part in (text, "hunter2", "dXNlcjpwYXNzd29yZA==", "B1cB1c", "c2ln", "K1l2M3"):
        assert part not in written
    assert "(redacted)" in written


@pytest.mark.parametrize(
    "text",
    [
        "rel_0123456789abcdef",
        "openai/gpt-4o-2024-08-06",
        "a" * 64,
        "0123456789abcdef" * 4,
        "127.0.0.1:8080",
        "https://api.openai.com/v1",
        "token expired",
        "3f2b0c1d-1111-2222-3333-444455556666",
    ],
)
def test_what_is_no_key_stays(text: str) -> None:
    """Releases, models, digests and addresses are readable."""
    assert Redactor().clean(text) == text


def test_a17_libraries_leak_nothing(out: io.StringIO) -> None:
    """What aiohttp says about a malformed request, with its text and its exception, is replaced by a plain line."""
    logger = logging.getLogger("aiohttp.server")
    try:
        raise ValueError(f"bad header Authorization: Bearer {SECRET}")
    except ValueError:
        logger.exception("Error handling request from %s: %s", "peer", SECRET)
    [line] = lines(out)
    assert line["event"] == "a request was refused or failed; its text is not logged"
    assert line["error"] == "ValueError"
    assert SECRET not in out.getvalue()
    assert "Traceback" not in out.getvalue()


def test_other_libraries_are_quiet(out: io.StringIO) -> None:
    """Access logs and chatter of libraries are not written; their warnings are, redacted."""
    logging.getLogger("aiohttp.access").info("GET /?key=%s", SECRET)
    logging.getLogger("redis").debug("hello")
    assert out.getvalue() == ""
    logging.getLogger("redis").warning("cannot reach redis://u:%s@h", "hunter2")
    assert "hunter2" not in out.getvalue()
    assert lines(out)[0]["room"] == "redis"


def test_lines_cannot_be_forged(out: io.StringIO) -> None:
    """Line ends and control bytes in a value cannot make another line."""
    Log("live").info("a\nb\x1b[31m", problem="x\r\ny")
    assert len(out.getvalue().splitlines()) == 1
    assert "\x1b" not in out.getvalue()


def test_a_message_that_cannot_be_formatted(out: io.StringIO) -> None:
    """A library's broken message is a line, not a crash."""
    logging.getLogger("redis").warning("%d", "x")
    assert lines(out)[0]["event"] == "a message that could not be put together"


def test_console_is_for_people() -> None:
    """The console form is one readable line."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    try:
        configure("console", "info", (), stream)
        Log("wiring").info("listening", address="127.0.0.1:8080")
        Log("wiring").debug("not shown")
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        logging.getLogger("gateway").setLevel(logging.NOTSET)
        logging.raiseExceptions = True
    assert stream.getvalue().endswith(" info    wiring     listening  address=127.0.0.1:8080\n")


@given(st.text(max_size=200))
def test_cleaning_never_fails_and_gives_one_line(text: str) -> None:
    """Any text becomes one line of bounded length."""
    cleaned = Redactor(["secret-secret"]).clean(text)
    assert len(cleaned.splitlines()) <= 1
    assert len(cleaned) <= 2010


def test_every_field_in_the_source_is_on_the_list() -> None:
    """Each keyword that the gateway logs is a field of the list, so nothing is lost in silence."""
    strange = []
    for path in (Path(__file__).parents[2] / "gateway").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            owner = node.func.value
            name = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
            if node.func.attr in {"debug", "info", "warning", "error"} and name.lower().strip("_") == "log":
                strange += [
                    f"{path.name}:{node.lineno} {k.arg}" for k in node.keywords if k.arg and k.arg not in FIELDS
                ]
    assert not strange, strange
