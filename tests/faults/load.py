"""A load of runs against a gateway, and what must be true of their stamps afterwards.

A lane is one keep-alive connection that takes one run after the other through its steps, at a pace. Every request says its
run in the prompt too, so the provider's recorder knows which run each of its requests belongs to: what it saw is compared
with the answers, the store and the host log.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import threading
import time
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

import msgspec
import redis

from gateway.core.contract.run import Stamp
from gateway.store.logfile import STAMP, Reader
from tests.gateway_process import Gateway, port_of
from tests.provider import Provider
from tests.store.proxy import Proxy

T = TypeVar("T")
ALIAS = "support"
FIRST, SECOND = "openai/gpt-4o-2024-08-06", "openai/gpt-4o-2024-11-20"
"""Models of the alias's first release, and of the one that tests promote."""
ALIASES = {ALIAS: {"first_release": {"model": FIRST}}}
STAMP_KEYS = ["stamp-key-of-the-fault-tests-0123456789abcdef"]
"""For gateways whose store is not the embedded one."""
FINAL = 12
"""How often a lane whose connection breaks connects again, with growing pauses, before it gives a request up."""


@dataclass(slots=True)
class Call:
    """One request of a run. Status 0: the connection broke before the answer was whole."""

    run: str
    at: float
    took: float = 0.0
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def model(self) -> str:
        """The snapshot that the gateway says it called."""
        return self.headers.get("x-trivet-model", "")

    @property
    def code(self) -> str:
        """The error's code."""
        return str(json.loads(self.body)["error"]["code"])


def request(run: str, alias: str = ALIAS, headers: dict[str, str] | None = None, **members: Any) -> bytes:
    """The bytes of a chat completion that belongs to a run."""
    body = json.dumps({"model": alias, "messages": [{"role": "user", "content": run}], **members}).encode()
    lines = "".join(f"{name}: {value}\r\n" for name, value in {"x-trivet-run": run, **(headers or {})}.items() if value)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: t\r\ncontent-type: application/json\r\n{lines}"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def ask(gateway: Gateway, run: str, alias: str = ALIAS, *, text: str = "", **headers: str) -> Call:
    """One request on a connection of its own, that says `text` or its run. Headers are given with `_` for `-`; an empty one is left out."""
    given = {"x-trivet-run": run, **{name.replace("_", "-"): value for name, value in headers.items()}}
    body = json.dumps({"model": alias, "messages": [{"role": "user", "content": text or run}]})
    fields = {"content-type": "application/json", **{name: value for name, value in given.items() if value}}
    link = http.client.HTTPConnection("127.0.0.1", port_of(gateway.base), timeout=20)
    begun = time.monotonic()
    try:
        link.request("POST", "/v1/chat/completions", body, fields)
        got = link.getresponse()
        data = got.read()
    finally:
        link.close()
    found = {name.lower(): value for name, value in got.getheaders()}
    return Call(run, begun, time.monotonic() - begun, got.status, found, data)


class Load:
    """Runs against a gateway from a thread of its own, until `stop`. `rate` is requests a second over all lanes."""

    def __init__(
        self, gateway: Gateway, *, rate: float = 200, lanes: int = 20, steps: int = 4, name: str = "r"
    ) -> None:
        self.calls: list[Call] = []
        self._gateway = gateway
        self._gap = lanes / rate
        self._lanes = lanes
        self._steps = steps
        self._name = name
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    def stop(self) -> list[Call]:
        """End after the requests at hand; everything that was called."""
        self._stop.set()
        self._thread.join(30)
        assert not self._thread.is_alive(), "a call waits without end"
        return self.calls

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(self._lanes):
                group.create_task(self._lane(number))

    async def _lane(self, number: int) -> None:
        due = time.monotonic() + self._gap * number / self._lanes
        count = number  # some lane begins a run at any time
        link: Link | None = None
        while not self._stop.is_set():
            run = f"{self._name}-{number}-{count // self._steps}"
            await asyncio.sleep(due - time.monotonic())
            call = Call(run, time.monotonic())
            self.calls.append(call)
            link = await self._call(call, link)
            call.took = time.monotonic() - call.at
            count += 1
            due = max(due + self._gap, time.monotonic() - self._gap)
        if link is not None:
            link.close()

    async def _call(self, call: Call, link: Link | None) -> Link | None:
        try:
            link = link or await Link.open(port_of(self._gateway.base))
            async with asyncio.timeout(20):
                await link.call(call)
            return link
        except (OSError, EOFError, ValueError):
            if link is not None:
                link.close()
            return None


class Link:
    """One keep-alive connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> Link:
        """Connect; for a moment nobody may listen, while a worker is started again."""
        for turn in range(FINAL):
            try:
                return cls(*await asyncio.open_connection("127.0.0.1", port))
            except OSError:
                await asyncio.sleep(0.02 * 2 ** min(turn, 5))
        raise ConnectionRefusedError

    async def call(self, call: Call) -> None:
        """Send and read the whole answer into `call`. Raises EOFError when it is cut."""
        self._writer.write(request(call.run))
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        lines = (line.partition(":") for line in head[1:] if line)
        headers = {name.lower(): value.strip() for name, _, value in lines}
        call.body = await self._reader.readexactly(int(headers["content-length"]))
        call.headers = headers
        call.status = int(head[0].split(" ")[1])
        if headers.get("connection") == "close":
            raise EOFError

    def close(self) -> None:
        """Let go."""
        self._writer.close()


# --- what is known of stamps -------------------------------------------------------------------------------------------


def seen(provider: Provider) -> dict[str, set[str]]:
    """The models that each run's requests asked the provider for."""
    found: dict[str, set[str]] = defaultdict(set)
    for received in list(provider.requests):
        asked = received.json
        found[asked["messages"][0]["content"]].add("openai/" + asked["model"])
    return found


def logged(data_dir: Path) -> dict[str, list[Stamp]]:
    """The stamps of the host log by run, in its order."""
    found: dict[str, list[Stamp]] = defaultdict(list)
    reader = Reader(data_dir / "stamps")
    while (records := reader.step()) is not None:
        for record in records:
            if record.kind == STAMP:
                stamp = msgspec.json.decode(record.body, type=Stamp)
                found[stamp.run].append(stamp)
    return found


def flags(data_dir: Path) -> dict[str, int]:
    """Flags of the last stamp record of each run in the host log: PENDING when it was bound without the store."""
    found: dict[str, int] = {}
    reader = Reader(data_dir / "stamps")
    while (records := reader.step()) is not None:
        for record in records:
            if record.kind == STAMP:
                found[msgspec.json.decode(record.body, type=Stamp).run] = record.flags
    return found


def stored(url: str) -> dict[str, Stamp]:
    """The stamps of the store by run."""
    with connected(url) as client:
        keys = list(client.scan_iter("trivet:run:*", count=1000))
        pipe = client.pipeline(transaction=False)
        for key in keys:
            pipe.hget(key, f"stamp:{ALIAS}")
        values = [value for value in pipe.execute() if value is not None]
    stamps = [msgspec.json.decode(value, type=Stamp) for value in values]
    return {stamp.run: stamp for stamp in stamps}


@contextlib.contextmanager
def connected(url: str) -> Iterator[Any]:
    """A plain client of the store, to look and to meddle."""
    client = redis.Redis.from_url(url, socket_timeout=5)
    try:
        yield client
    finally:
        client.close()


def kept(provider: Provider, data_dir: Path, url: str = "", calls: list[Call] | None = None) -> list[str]:
    """What is wrong with the stamps of the runs whose requests the provider saw. Empty is good.

    Every run has asked for one model only; has a stamp of that model in the log; and one in the store, if its URL is given.
    """
    wrong = []
    log = logged(data_dir)
    store = stored(url) if url else None
    asked = seen(provider)
    for run, models in asked.items():
        if len(models) != 1:
            wrong.append(f"{run} asked for {sorted(models)}")
        if not log.get(run) or {log[run][0].model} != models:
            wrong.append(f"{run} asked for {models}, the log says {[stamp.model for stamp in log.get(run, [])]}")
        if store is not None and (run not in store or {store[run].model} != models):
            wrong.append(f"{run} asked for {models}, the store says {store.get(run)}")
    told = (call for call in calls or () if call.status == 200)
    return wrong + [f"{call.run} was told {call.model}" for call in told if call.model not in asked[call.run]]


# --- times ---------------------------------------------------------------------------------------------------------------


def during(calls: list[Call], begin: float, end: float) -> list[Call]:
    """Calls that began in a window of `time.monotonic()`."""
    return [call for call in calls if begin <= call.at < end]


def percentile(calls: list[Call], share: float) -> float:
    """A percentile of the durations, seconds."""
    ordered = sorted(call.took for call in calls)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


# --- the gateway's other side ----------------------------------------------------------------------------------------------


def admin(gateway: Gateway, path: str, **members: Any) -> Any:
    """POST to the admin API; the record it answers with."""
    data = json.dumps(members).encode()
    asked = urllib.request.Request(gateway.admin + "/api/v1" + path, data, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(asked, timeout=20) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            raise AssertionError(error.read().decode()) from None


def promote(gateway: Gateway, model: str = SECOND, alias: str = ALIAS) -> str:
    """Make a release of a model and move the alias to it; its id. Workers have acknowledged it when this returns."""
    made = admin(gateway, "/releases", model=model)
    release = str(made["release"]["id"] if isinstance(made["release"], dict) else made["release"])
    admin(gateway, f"/aliases/{alias}/promote", release=release, reason="test", override="tester")
    return release


def numbers(gateway: Gateway) -> dict[str, float]:
    """All samples of /metrics, as `name{label="value"}` without the prefix."""
    status, text = gateway.get(gateway.admin + "/metrics")
    assert status == 200
    found = {}
    for line in text.decode().splitlines():
        if not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            found[name.removeprefix("trivet_")] = float(value)
    return found


def total(samples: dict[str, float], name: str) -> float:
    """The sum of a metric's samples; 0 when there is none. `name` may go on with a part of the labels."""
    return sum(value for key, value in samples.items() if key.startswith(name))


def until(condition: Callable[[], object], seconds: float = 10.0, what: str = "it") -> float:
    """Wait until something holds; how long it took."""
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < seconds, f"{what} did not happen in {seconds} s"
        time.sleep(0.03)
    return time.monotonic() - begun


def settled(gateway: Gateway) -> None:
    """Wait until every worker has the store back and nothing of the log is left to replay."""

    def done() -> bool:
        found = numbers(gateway)
        return total(found, 'redis_up{line="stamps"}') == 1 and total(found, "stamp_wal_pending") == 0

    # Numbers are written once a second: what is read now may be from before the fault.
    time.sleep(1.1)
    until(done, 15, "the replay of the log")


class ProxyThread:
    """The mangling proxy in a thread of its own, for a gateway in processes of its own."""

    def __init__(self, target: int) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.proxy = Proxy(target)

    def __enter__(self) -> Proxy:
        self._thread.start()
        self.do(self.proxy.__aenter__())
        return self.proxy

    def __exit__(self, *_exc: object) -> None:
        self.do(self.proxy.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the proxy's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def reset(self) -> None:
        """Abort what is connected now."""

        async def abort() -> None:
            self.proxy.reset()

        self.do(abort())
