"""Calls to the gateway's own data port: whose they are, how much is read, and which certificate is trusted."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.core.binding import internal
from gateway.core.contract.fault import Fault
from gateway.core.contract.release import Release, Triple
from gateway.core.contract.suite import Answer, Check, Item, Said
from gateway.upstream.ownport import CREDENTIAL_MS, DataPort, OwnCalls, Party, assembled
from tests.provider import Provider, answer, chat_body, hang

pytestmark = pytest.mark.anyio

KEY = b"k" * 32
NOW = 1_700_000_000_000
ITEM = Item("a", (Said("user", "2+2?"),), Check(), Answer("4"), Answer("5"))
PARTY = Party(Release("rel_1", Triple("p/m")), None, "openai", extra={"top_p": 0.5, "user": "us"})


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run on asyncio, as the product does."""
    return "asyncio"


def calls(port: DataPort, **more: Any) -> OwnCalls:
    """Calls of the gate."""
    return OwnCalls(port, "gate", NOW, **{"seconds": 5.0, "answer_bytes": 1000, **more})


async def test_a_release_is_asked_under_a_credential_of_the_role() -> None:
    """The release is named, members of the one request win over those of all, and the answer says who gave it."""
    with Provider(answer(chat_body("4", "m"), headers={"x-trivet-release": "rel_1"})) as port:
        async with calls(DataPort(port.url, KEY)) as own:
            asking = PARTY.asking(ITEM, {"user": "me"})
            told = await own.send(asking)
        (received,) = port.requests
    assert (told.status, told.ours) == (200, False)
    assert assembled(asking, told.body).messages[0].text == "4"
    assert (received.json["top_p"], received.json["user"]) == (0.5, "me")
    credential = received.fields["x-trivet-key"]
    assert internal.verify((KEY,), credential, NOW + CREDENTIAL_MS - 1) == "gate"
    with pytest.raises(Fault):
        internal.verify((KEY,), credential, NOW + CREDENTIAL_MS + 1)


async def test_what_the_gateway_says_itself_is_told_apart() -> None:
    """An answer without the stamp of a release came of no provider; how long to wait is handed on."""
    with Provider(answer({"error": {}}, 503, {"retry-after": "7"})) as port:
        async with calls(DataPort(port.url, KEY)) as own:
            told = await own.send(PARTY.asking(ITEM))
    assert (told.status, told.ours, told.retry_after) == (503, True, "7")


async def test_an_answer_is_bounded_in_size_and_time() -> None:
    """One byte more than is allowed shows that there was more; a call has an end."""
    with Provider(hang) as port:
        port.then(answer(chat_body("x" * 5000, "m")))
        async with calls(DataPort(port.url, KEY)) as own:
            assert 1000 < len((await own.send(PARTY.asking(ITEM))).body) < 3000
        async with calls(DataPort(port.url, KEY), seconds=0.1) as own:
            with pytest.raises(TimeoutError):
                await own.send(PARTY.asking(ITEM))


async def test_the_ports_own_certificate_is_trusted_under_any_name(certificate: tuple[Path, Path]) -> None:
    """The port is called by address, whatever name its certificate has; another certificate is not believed."""
    chain, key = certificate

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await writer.drain()
        writer.close()

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(chain, key)
    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with calls(DataPort(url, KEY, str(chain))) as own:
            assert (await own.send(PARTY.asking(ITEM))).status == 204
        async with calls(DataPort(url, KEY)) as own:
            with pytest.raises(aiohttp.ClientConnectorError):
                await own.send(PARTY.asking(ITEM))
