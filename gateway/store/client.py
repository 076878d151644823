"""The control side's connection to the store, over redis-py. Live workers never import this file.

Rule of the file: no retries inside the library, so a write happens at most once per call and a hung server costs its
timeout and no more; every server or network error leaves here as a Fault that says what to do, without the password.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn, Self
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    MaxConnectionsError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as LostConnection
from redis.exceptions import TimeoutError as LateAnswer

from gateway.core.contract.fault import Fault, Kind, Side
from gateway.settings.model import StoreSettings
from gateway.store.embedded import address
from gateway.store.keys import Keys

CLIENT_NAME = "trivet-control"
COMMAND_SECONDS = 0.15
"""Limit of one small command, a pointer write among them."""
CONNECT_SECONDS = 0.5
"""Limit of a connect; TLS and a Sentinel look-up fit in."""
READ_SECONDS = 5.0
"""Limit of one command of a list, where an operator waits."""


class Store:
    """Keys and two small connection pools: `do` for writes and single reads, `read` for lists that may take longer."""

    def __init__(self, settings: StoreSettings, *, url: str = "", command_seconds: float = COMMAND_SECONDS) -> None:
        """`url` overrides `settings.redis`: the running embedded server. Nothing connects before the first command."""
        self.settings = settings
        self.keys = Keys(settings.prefix)
        self.url = url or store_url(settings)
        self.where = without_secrets(self.url, settings)
        self._watchers: list[Any] = []
        self._quick: Any = self._connect(command_seconds)
        self._slow: Any = self._connect(READ_SECONDS)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection."""
        for client in (self._quick, self._slow, *self._watchers):
            await client.aclose()

    async def do(self, *command: str | bytes | float) -> Any:
        """One command, sent once, answered within COMMAND_SECONDS. Raises Fault."""
        return await self._send(self._quick, command)

    async def read(self, *command: str | bytes | float) -> Any:
        """One reading command, answered within READ_SECONDS. Raises Fault."""
        return await self._send(self._slow, command)

    async def read_many(self, commands: Sequence[Sequence[str | bytes | float]]) -> list[Any]:
        """Reading commands in one round trip; answers in order. Raises Fault."""
        if not commands:
            return []
        pipeline: Any = self._slow.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        try:
            return list(await pipeline.execute())
        except (RedisError, OSError) as error:
            self._raise(error)

    async def script(self, text: str, digest: str, keys: Sequence[str], arguments: Sequence[str | bytes | int]) -> Any:
        """Run a script by its sha1, sending its text when the server does not have it. Raises Fault."""
        try:
            return await self._quick.execute_command("EVALSHA", digest, len(keys), *keys, *arguments)
        except NoScriptError:
            return await self.do("EVAL", text, len(keys), *keys, *arguments)
        except (RedisError, OSError) as error:
            self._raise(await self._settled(self._quick, error))

    async def _send(self, redis: Any, command: Sequence[str | bytes | float]) -> Any:
        try:
            return await redis.execute_command(*command)
        except (RedisError, OSError) as error:
            self._raise(await self._settled(redis, error))

    async def _settled(self, redis: Redis, error: Exception) -> Exception:
        """After READONLY forget the connections: the next command looks the primary up again (F8)."""
        if isinstance(error, ReadOnlyError):
            await redis.connection_pool.disconnect(inuse_connections=False)
        return error

    def _raise(self, error: Exception) -> NoReturn:
        raise store_fault(error, self.where) from error

    def _connect(self, seconds: float) -> Any:
        settings, parts = self.settings, _parsed(self.url)
        limits: dict[str, Any] = {
            "socket_timeout": seconds,
            "socket_connect_timeout": CONNECT_SECONDS,
            "retry": Retry(NoBackoff(), 0),
            "protocol": 2,
        }
        kind = parts.pop("connection_class", None)
        if kind is not None and kind.__name__ == "SSLConnection":
            limits |= {"ssl": True, "ssl_cert_reqs": "required", "ssl_check_hostname": True}
            if settings.ca_file:
                limits["ssl_ca_certs"] = settings.ca_file
        who = {key: parts[key] for key in ("username", "password", "db") if key in parts}
        if settings.sentinel is not None:
            nodes = [_host_port(node) for node in settings.sentinel.nodes]
            watchers = Sentinel(nodes, sentinel_kwargs=limits)  # type: ignore[no-untyped-call]
            self._watchers += watchers.sentinels
            return watchers.master_for(settings.sentinel.master, client_name=CLIENT_NAME, **who, **limits)
        if "path" in parts:
            return Redis(client_name=CLIENT_NAME, unix_socket_path=parts["path"], **who, **limits)
        host, port = parts.get("host", "localhost"), parts.get("port", 6379)
        return Redis(client_name=CLIENT_NAME, host=host, port=port, **who, **limits)


def store_url(settings: StoreSettings) -> str:
    """The URL of the store: as configured, or where the embedded server of this data directory was started.

    Raises Fault `store_unavailable` when the store is embedded and not running.
    """
    if settings.redis != "embedded":
        return settings.redis
    url = address(settings.data_dir)
    if not url:
        raise unavailable(
            f"the embedded store in {settings.data_dir} is not running. "
            "Start it with `trivet serve`, or run this command where the gateway runs, or give store.redis a URL."
        )
    return url


def without_secrets(url: str, settings: StoreSettings) -> str:
    """An address fit for people and logs: user, password and query are left out."""
    if settings.sentinel is not None:
        return f"sentinel {settings.sentinel.master} at {', '.join(settings.sentinel.nodes)}"
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return f"unix://{parts.path}"
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"


def unavailable(message: str) -> Fault:
    """The store cannot be used now; nothing was changed or it is unknown whether it was."""
    return Fault(Kind.OVERLOADED, "store_unavailable", message, side=Side.GATEWAY, retry=True)


def store_fault(error: Exception, where: str) -> Fault:
    """What a redis-py error means to the one who asked. The server's own words are not repeated: they may quote data."""
    for kinds, code, message in _MEANINGS:
        if isinstance(error, kinds) and not (code == "store_misconf" and "MISCONF" not in str(error)):
            return Fault(Kind.OVERLOADED, code, f"store {where}: {message}", side=Side.GATEWAY, retry=code in _PASSING)
    word = str(error).partition(" ")[0]
    code = word if word.isupper() and word.isascii() and len(word) < 24 else type(error).__name__
    return Fault(Kind.INTERNAL, "store_error", f"store {where}: the server answered {code}", side=Side.GATEWAY)


_MEANINGS: tuple[tuple[tuple[type[Exception], ...], str, str], ...] = (
    ((BusyLoadingError,), "store_loading", "the server is still loading its data; try again in a moment"),
    (
        (AuthenticationError, AuthorizationError),
        "store_auth",
        "user or password refused; check store.redis and the server's ACL (`trivet store acl` prints what is needed)",
    ),
    (
        (NoPermissionError,),
        "store_auth",
        "the user may not do this; `trivet store acl` prints the rights that are needed",
    ),
    ((MaxConnectionsError,), "store_unavailable", "too many connections are open"),
    (
        (ReadOnlyError,),
        "store_readonly",
        "this server is a replica; after a failover try again, or point store.redis at the primary or its Sentinels",
    ),
    ((OutOfMemoryError,), "store_full", "the server's memory is full and it refuses writes; raise maxmemory"),
    ((ResponseError,), "store_misconf", "the server cannot write to its disk and refuses writes; free space there"),
    (
        (LateAnswer,),
        "store_timeout",
        "no answer in time; the change may or may not have been made: look before retrying",
    ),
    (
        (LostConnection, OSError),
        "store_unavailable",
        "cannot be reached; is the server running, and the address right?",
    ),
)
_PASSING = frozenset({"store_loading", "store_unavailable", "store_readonly", "store_timeout"})


def _parsed(url: str) -> dict[str, Any]:
    try:
        return dict(parse_url(url))
    except ValueError as error:
        raise Fault(
            Kind.BAD_REQUEST,
            "store_url",
            "store.redis must be `embedded` or start with redis://, rediss:// or unix://",
            param="store.redis",
        ) from error


def _host_port(node: str) -> tuple[str, int]:
    host, colon, port = node.rpartition(":")
    return (host.strip("[]"), int(port)) if colon else (node, 26379)
