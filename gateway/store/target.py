"""Where the store is: the URL of the settings, the embedded server of this host, or the primary the Sentinels name.

Looked up anew before every connect, because all three may move.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast
from urllib.parse import parse_qs, unquote, urlsplit

from gateway.settings.model import SentinelSettings, StoreSettings
from gateway.store import embedded
from gateway.store.resp import Desync, Parser, pack

SENTINEL_SECONDS = 0.3
"""How long one sentinel may take to answer before the next is asked."""


class NoTarget(Exception):
    """There is nowhere to connect to now; `kind` is a metric label, the message is for people."""

    def __init__(self, kind: str, message: str) -> None:
        self.kind = kind
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Target:
    """One server. `path` is a unix socket; otherwise `host` and `port`."""

    host: str = ""
    port: int = 6379
    path: str = ""
    tls: bool = False
    user: str = ""
    password: str = ""
    db: int = 0


def parse(url: str) -> Target:
    """Read redis://, rediss:// or unix:// with user, password and database. Raises ValueError without echoing the URL."""
    parts = urlsplit(url)
    user = unquote(parts.username or "")
    password = unquote(parts.password or "")
    query = parse_qs(parts.query)
    if parts.scheme == "unix":
        if not parts.path:
            raise ValueError(
                "store.redis: a unix:// URL needs the path of a socket, for example unix:///run/redis.sock"
            )
        password = password or query.get("password", [""])[0]
        user = user or query.get("username", [""])[0]
        return Target(path=unquote(parts.path), user=user, password=password, db=_db(query.get("db", ["0"])[0]))
    if parts.scheme not in {"redis", "rediss"}:
        raise ValueError("store.redis must be `embedded` or start with redis://, rediss:// or unix://")
    return Target(
        host=parts.hostname or "localhost",
        port=parts.port or 6379,
        tls=parts.scheme == "rediss",
        user=user,
        password=password,
        db=_db(parts.path.strip("/") or query.get("db", ["0"])[0]),
    )


def _db(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise ValueError("store.redis: the path of the URL is a database number")
    return int(text)


class Finder:
    """Answers where to connect now. One per connection; holds no secret it was not given."""

    def __init__(self, settings: StoreSettings) -> None:
        self._settings = settings
        self._first = 0
        if settings.redis != "embedded":
            parse(settings.redis)

    async def find(self) -> Target:
        """The server to connect to. Raises NoTarget."""
        settings = self._settings
        url = settings.redis
        if url == "embedded":
            url = embedded.address(settings.data_dir)
            if not url:
                raise NoTarget("refused", f"the embedded store in {settings.data_dir} is not running")
        target = parse(url)
        if settings.sentinel is None:
            return target
        host, port = await self._primary(settings.sentinel, self.context(target))
        return Target(host, port, "", target.tls, target.user, target.password, target.db)

    def context(self, target: Target) -> ssl.SSLContext | None:
        """TLS settings of a target, verified against `store.ca_file` or the system's authorities; None without TLS."""
        if not target.tls:
            return None
        return ssl.create_default_context(cafile=self._settings.ca_file or None)

    async def _primary(self, sentinel: SentinelSettings, tls: ssl.SSLContext | None) -> tuple[str, int]:
        nodes = sentinel.nodes
        for turn in range(len(nodes)):
            at = (self._first + turn) % len(nodes)
            try:
                async with asyncio.timeout(SENTINEL_SECONDS):
                    found = await _ask(nodes[at], sentinel.master, tls)
            except (OSError, Desync, TimeoutError):
                continue
            if found is not None:
                self._first = at
                return found
        raise NoTarget("sentinel", f"no sentinel names a primary for {sentinel.master!r}")


async def _ask(node: str, master: str, tls: ssl.SSLContext | None) -> tuple[str, int] | None:
    host, colon, port = node.rpartition(":")
    if not colon:
        host, port = node, "26379"
    host = host.strip("[]")
    reader, writer = await asyncio.open_connection(host, int(port), ssl=tls)
    try:
        writer.write(pack("SENTINEL", "GET-MASTER-ADDR-BY-NAME", master))
        parser = Parser()
        while True:
            data = await reader.read(65536)
            if not data:
                return None
            for reply in parser.feed(data):
                if isinstance(reply, list) and len(reply) == 2:
                    pair = cast("Sequence[bytes]", reply)
                    return pair[0].decode(), int(pair[1])
                return None
    finally:
        writer.close()
