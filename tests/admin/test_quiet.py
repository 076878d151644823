"""aiohttp quotes nothing of what does not parse: not to the client, not in the log."""

from __future__ import annotations

import json
import logging

import pytest

from tests.admin.rig import admin_port

pytestmark = pytest.mark.anyio
SECRET = "sk-very-secret-0123456789"


@pytest.mark.parametrize(
    "line",
    [
        f"Authorization: Bearer {SECRET}\x01".encode(),
        f"Authorization: Bearer {SECRET}\nX: y".encode(),
        f"Authorization : Bearer {SECRET}".encode(),
        f"{SECRET}".encode(),
        f"Content-Length: {SECRET}".encode(),
    ],
)
async def test_r13_secret_of_a_malformed_request_is_not_echoed(line: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """R13: a malformed header with a secret gets our JSON, and the secret is in neither answer nor log."""
    caplog.set_level(logging.DEBUG)
    async with admin_port(()) as port:
        got = await port.raw(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n" + line + b"\r\n\r\n")
    head, _, body = got.partition(b"\r\n\r\n")
    assert head.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400")), got
    assert json.loads(body)["error"]["code"] == "bad_request"
    assert SECRET.encode() not in got
    assert SECRET not in caplog.text


async def test_what_is_no_http_is_answered_in_json() -> None:
    """A TLS hello or a line of noise gets a JSON 400 and a closed connection; the port lives on."""
    async with admin_port(()) as port:
        got = await port.raw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n")
        assert b"400" in got.split(b"\r\n", 1)[0]
        assert (await port.ask("GET", "/livez"))[0] == 200
