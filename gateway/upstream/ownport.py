"""The gateway's own data port, called by the gateway itself: a release is asked as an agent would ask it, under a credential that says
whose call it is, so that it is never taken for an agent's.

Rule of the file: it is no part of a live worker, which answers such calls and makes none.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Self

import aiohttp

from gateway.core.binding import internal
from gateway.core.contract.release import Release
from gateway.core.contract.reply import Reply
from gateway.core.contract.suite import Item
from gateway.core.dialect.base import reply_of
from gateway.core.dialect.legs import Legs
from gateway.core.dialect.registry import DIALECTS
from gateway.core.gate.requests import Asking, request, with_legs

CREDENTIAL_MS = 3_600_000
"""How long a credential holds."""
STAMPED = "x-trivet-release"
"""In every answer for which a provider was asked."""
_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class DataPort:
    """Where this gateway's own data port is, and the key that signs credentials for calls of its own."""

    url: str
    """Without a path."""
    key: bytes = field(repr=False)
    certificate: str = ""
    """PEM file of the port's own certificate; empty for one that the system trusts, and for plain HTTP."""


@dataclass(frozen=True, slots=True)
class Party:
    """A release that is asked, and how."""

    release: Release
    legs: Legs | None
    dialect: str
    bound: str = ""
    """The provider's name for the bound of tokens where it is not the dialect's."""
    signature: str = ""
    """Stands in for what a Gemini model demands of calls in a history."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Members of every request."""

    def asking(self, item: Item, more: Mapping[str, Any] = _NOTHING) -> Asking:
        """The request of an item, with `more` members. Raises Fault and ValueError for one that cannot be made."""
        extra = {**self.extra, **more}
        made = request(item, self.dialect, self.release.id, extra, bound=self.bound, signature=self.signature)
        return with_legs(made, self.legs)


@dataclass(frozen=True, slots=True)
class Answered:
    """What the data port answered."""

    status: int
    body: bytes
    """At most a byte more than was allowed."""
    ours: bool
    """The gateway answered by itself: it says nothing of the release or its provider."""
    retry_after: str = ""


class OwnCalls:
    """Calls under one role, inside its `async with`. `seconds` and `answer_bytes` bound each."""

    def __init__(self, port: DataPort, role: str, now_ms: int, *, seconds: float, answer_bytes: int) -> None:
        self._port = port
        self._seconds = seconds
        self._bytes = answer_bytes
        self._headers = {
            "x-trivet-key": internal.mint(port.key, role, now_ms + CREDENTIAL_MS),
            "content-type": "application/json",
            "cache-control": "no-cache",
        }
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open connections to the data port."""
        connector = aiohttp.TCPConnector(limit=0, ssl=_trusting(self._port.certificate))
        timeout = aiohttp.ClientTimeout(total=self._seconds)
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close them."""
        assert self._session is not None
        await self._session.close()

    async def send(self, asking: Asking) -> Answered:
        """Ask once. Raises what aiohttp does: ClientConnectorError where nobody listens, TimeoutError past `seconds`."""
        assert self._session is not None
        headers = {**self._headers, **asking.headers}
        url = self._port.url + asking.path
        async with self._session.post(url, data=asking.body, headers=headers, allow_redirects=False) as answer:
            body = await answer.content.read(self._bytes + 1)
            while len(body) <= self._bytes and (more := await answer.content.read(self._bytes)):
                body += more
            told = answer.headers
            return Answered(answer.status, body, STAMPED not in told, told.get("retry-after", ""))


def assembled(asking: Asking, body: bytes) -> Reply:
    """A whole answer as the dialect has it."""
    return reply_of(DIALECTS[asking.dialect], asking.operation, body)


def _trusting(certificate: str) -> ssl.SSLContext | bool:
    """The port's own certificate is trusted, under whatever name: it is called by address."""
    if not certificate:
        return True
    context = ssl.create_default_context(cafile=certificate)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context
