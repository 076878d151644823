"""What every fault test holds a gateway process to, and raw connections to it.

    with House(gateway, provider) as house:
        with house.watch("a10") as watch:
            answer = watch.raw(b"GET / HTTP/2.0\\r\\n\\r\\n")
            watch.expect("rejected_total", 1, reason="version")

After each watch: the processes that were there still live, no descriptor leaked, a valid request succeeds, and no secret
stands in a log, the store or any other file of the gateway, nor in any answer seen. At the end of the house: nothing is in
flight, no handler failed, and the counters have grown by exactly what the tests said (numbers are written once a second,
so they are looked at once).
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.gateway_process import Gateway, port_of
from tests.provider import Provider

_SAMPLE = re.compile(r"(\w+)(?:\{(.*)\})? (\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
LARGEST_SCANNED = 64 << 20


Ledger = list[tuple[str, str, dict[str, str], float, bool]]
"""Test, counter, labels, how much it grows, whether it may grow by more."""


@dataclass
class Answer:
    """What came back on a raw connection. `closed` says that the gateway ended it; `rest` is what followed the answer."""

    status: int
    headers: dict[str, str]
    body: bytes
    closed: bool
    rest: bytes = b""
    raw: bytes = b""

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The error's code."""
        return str(self.json["error"]["code"])


def is_openai_error(answer: Answer) -> bool:
    """Whether an error answer is in OpenAI's shape, with the headers every error of the gateway carries."""
    error = answer.json["error"]
    return (
        set(error) == {"message", "type", "param", "code"}
        and answer.headers["content-type"] == "application/json"
        and answer.headers["x-should-retry"] in ("true", "false")
        and answer.headers["x-request-id"] == answer.headers["request-id"] != ""
    )


def parse(data: bytes, *, head: bool = False) -> tuple[Answer, bytes] | None:
    """The first answer in `data` and what follows it; None while it is incomplete. Interim answers are skipped."""
    while True:
        top, found, rest = data.partition(b"\r\n\r\n")
        if not found:
            return None
        first, *lines = top.decode("latin-1").split("\r\n")
        status = int(first.split(" ")[1])
        if status >= 200:
            break
        data = rest
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    raw = top + found
    if head or status in (204, 304):
        return Answer(status, headers, b"", closed=False, raw=raw), rest
    if headers.get("transfer-encoding") == "chunked":
        body, position = b"", 0
        while True:
            end = rest.find(b"\r\n", position)
            if end < 0:
                return None
            size = int(rest[position:end], 16)
            if len(rest) < end + 4 + size:
                return None
            body += rest[end + 2 : end + 2 + size]
            position = end + 4 + size
            if not size:
                return Answer(status, headers, body, closed=False, raw=raw + body), rest[position:]
    length = int(headers.get("content-length", "0"))
    if len(rest) < length:
        return None
    return Answer(status, headers, rest[:length], closed=False, raw=raw + rest[:length]), rest[length:]


class Raw:
    """A client connection of bytes."""

    def __init__(self, port: int, timeout: float = 10.0) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.data = b""
        self.closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.socket.close()

    def send(self, data: bytes, *, pieces: int = 0, gap: float = 0.0) -> bool:
        """Send all; in pieces of a size when asked. False when the gateway closed meanwhile."""
        try:
            for start in range(0, len(data), pieces or max(1, len(data))):
                self.socket.sendall(data[start : start + pieces] if pieces else data)
                if gap:
                    time.sleep(gap)
        except OSError:
            self.closed = True
            return False
        return True

    def more(self) -> bool:
        """Read once; False at the end."""
        try:
            data = self.socket.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        self.data += data
        self.closed = self.closed or not data
        return bool(data)

    def answer(self, *, head: bool = False) -> Answer:
        """The next whole answer. Raises TimeoutError when none comes, EOFError when the connection ends before it."""
        while True:
            found = parse(self.data, head=head)
            if found is not None:
                answer, self.data = found
                return answer
            if not self.more():
                raise EOFError(f"closed after {len(self.data)} bytes")

    def to_end(self) -> bytes:
        """Everything until the gateway closes."""
        while self.more():
            pass
        return self.data


@dataclass
class Watch:
    """A gateway and its provider under watch."""

    gateway: Gateway
    provider: Provider
    key: str = ""
    """A good data-port key for the closing request; none when the gateway asks for none."""
    model: str = "gpt-4o-2024-08-06"
    secrets: set[bytes] = field(default_factory=set)
    seen: list[bytes] = field(default_factory=list)
    """Bytes of every answer."""
    calls: int = 0
    """Requests the provider had seen when the test began."""
    admin_headers: dict[str, str] = field(default_factory=dict)
    test: str = ""
    ledger: Ledger = field(default_factory=list)

    @property
    def port(self) -> int:
        """The data port."""
        return port_of(self.gateway.base)

    def raw(self, data: bytes, *, pieces: int = 0, gap: float = 0.0, timeout: float = 10.0) -> Answer:
        """Send bytes on a connection of its own and read the answer and all that follows until the gateway closes.

        A connection that stays open half a second after an answer counts as open.
        """
        with Raw(self.port, timeout) as link:
            link.send(data, pieces=pieces, gap=gap)
            answer = link.answer()
            link.socket.settimeout(0.5)
            try:
                answer.rest = link.to_end()
                answer.closed = True
            except TimeoutError:
                answer.rest = link.data
            self.seen.append(answer.raw + answer.rest)
            return answer

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        *,
        key: str | None = None,
        timeout: float = 10.0,
    ) -> Answer:
        """One well-formed request on a connection of its own, with the good key unless another is given ("" for none)."""
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        fields = {"content-type": "application/json"} if data is not None else {}
        if key != "" and (key or self.key):
            fields["authorization"] = f"Bearer {key or self.key}"
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            link.request(method, path, data, {**fields, **(headers or {})})
            got = link.getresponse()
            answer = Answer(got.status, {n.lower(): v for n, v in got.getheaders()}, got.read(), closed=got.will_close)
        finally:
            link.close()
        self.seen.append(repr(answer.headers).encode() + answer.body)
        return answer

    def chat(
        self, model: str = "", headers: dict[str, str] | None = None, *, key: str | None = None, **members: Any
    ) -> Answer:
        """A chat completion."""
        body = {"model": model or self.model, "messages": [{"role": "user", "content": "Hello?"}], **members}
        return self.ask("POST", "/v1/chat/completions", body, headers, key=key)

    # --- what was counted -----------------------------------------------------------------------------------------

    def settle(self, part: str = "live-0") -> dict[str, float]:
        """All samples by name and labels, once the worker has written its numbers after this call began."""
        pid = self.gateway.pid(part)
        file = self.gateway.data_dir / "run" / "metrics" / f"{part.replace('-', '')}-{pid}.json"
        asked = time.time_ns()
        until = time.monotonic() + 5
        while not file.exists() or file.stat().st_mtime_ns <= asked:
            assert time.monotonic() < until, "the worker writes no numbers"
            time.sleep(0.02)
        return self.scrape()

    def scrape(self) -> dict[str, float]:
        """All samples of the admin port's /metrics."""
        status, text = self.gateway.get(self.gateway.admin + "/metrics", self.admin_headers)
        assert status == 200
        self.seen.append(text)
        found: dict[str, float] = {}
        for line in text.decode().splitlines():
            match = _SAMPLE.fullmatch(line)
            if match is not None and not line.startswith("#"):
                found[sample(match[1].removeprefix("trivet_"), dict(_LABEL.findall(match[2] or "")))] = float(match[3])
        return found

    def expect(self, name: str, count: float, *, at_least: bool = False, **labels: str) -> None:
        """Counters with these labels (and any others) grow by this much during this test. Looked at by the house."""
        self.ledger.append((self.test, name, labels, count, at_least))

    def no_calls(self) -> bool:
        """Whether the provider has seen nothing since the test began."""
        return len(self.provider.requests) == self.calls

    # --- what must hold after every test ---------------------------------------------------------------------------

    def begin(self) -> None:
        """Remember how things are."""
        self._parts = {name: part["pid"] for name, part in self.gateway.parts().items()}
        self._fds = self.descriptors()
        self.calls = len(self.provider.requests)

    def descriptors(self) -> int:
        """Open descriptors of the live workers, less their connections to the provider."""
        pids = [part["pid"] for name, part in self.gateway.parts().items() if name.startswith("live")]
        return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids) - self.provider.open

    def alive(self) -> None:
        """The processes are those that were there, and nobody restarted."""
        assert {name: part["pid"] for name, part in self.gateway.parts().items()} == self._parts
        assert all(Path(f"/proc/{pid}").exists() for pid in self._parts.values())

    def check(self, *, same_processes: bool = True) -> None:
        """The invariants."""
        if same_processes:
            self.alive()
        answer = self.chat()
        assert answer.status == 200, answer.body
        if same_processes:
            until = time.monotonic() + 5
            while self.descriptors() > self._fds:
                assert time.monotonic() < until, f"{self.descriptors()} descriptors, {self._fds} before"
                time.sleep(0.02)
        assert not self.leaks()

    def leaks(self) -> list[str]:
        """Where a secret stands though it should not."""
        found = [f"an answer: {seen[:200]!r}" for seen in self.seen for secret in self.secrets if secret in seen]
        for path, data in files(self.gateway):
            found += [f"{path} holds {secret[:4]!r}..." for secret in self.secrets if secret in data]
        return found


def files(gateway: Gateway) -> Iterator[tuple[Path, bytes]]:
    """Every file the gateway writes: logs, metrics, host log, the store's own. Not its configuration and the kept copy."""
    for path in gateway.folder.rglob("*"):
        if path == gateway.config or path.suffix in (".yaml", ".good") or not path.is_file():
            continue
        with contextlib.suppress(OSError):
            if path.stat().st_size < LARGEST_SCANNED:
                yield path, path.read_bytes()


def sample(name: str, labels: Mapping[str, str]) -> str:
    """How a sample is called here."""
    inner = ",".join(f"{label}={labels[label]}" for label in sorted(labels))
    return f"{name}{{{inner}}}" if inner else name


@dataclass
class House:
    """A gateway that serves the tests of a module, one after the other, and the ledger of what they should have counted."""

    gateway: Gateway
    provider: Provider
    key: str = ""
    model: str = "gpt-4o-2024-08-06"
    secrets: tuple[str, ...] = ()
    admin_headers: dict[str, str] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=list)
    before: dict[str, float] = field(default_factory=dict)

    def _watch(self, test: str = "") -> Watch:
        secrets = {b"sk-provider-test-key", *(secret.encode() for secret in self.secrets)}
        return Watch(
            self.gateway,
            self.provider,
            self.key,
            self.model,
            secrets,
            admin_headers=self.admin_headers,
            test=test,
            ledger=self.ledger,
        )

    def __enter__(self) -> Self:
        """One request first, so that the connections and files that stay open are open when a test counts them."""
        watch = self._watch()
        answer = watch.chat()
        assert answer.status == 200, answer.body
        self.before = watch.settle()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_rest: object) -> None:
        if kind is None and self.gateway.process is not None:
            self.close()

    @contextlib.contextmanager
    def watch(self, test: str) -> Iterator[Watch]:
        """Watch during one test."""
        watch = self._watch(test)
        watch.begin()
        yield watch
        watch.check()

    def close(self) -> None:
        """Hold the counters to the ledger."""
        watch = self._watch()
        last = watch.settle()
        until = time.monotonic() + 5
        while last.get("in_flight", 0):
            assert time.monotonic() < until, "requests are in flight that nobody waits for"
            last = watch.settle()
        assert grown(last, self.before, "handler_errors_total", {}) == 0, self.gateway.log[-2000:]
        keys = {(name, tuple(sorted(labels.items()))) for _, name, labels, _, _ in self.ledger}
        wrong = []
        for name, labels in sorted(keys):
            rows = [row for row in self.ledger if (row[1], tuple(sorted(row[2].items()))) == (name, labels)]
            wanted, least = sum(row[3] for row in rows), any(row[4] for row in rows)
            found = grown(last, self.before, name, dict(labels))
            if found < wanted or (found > wanted and not least):
                wrong.append(
                    f"{sample(name, dict(labels))} grew by {found}, not {wanted}: {[(r[0], r[3]) for r in rows]}"
                )
        assert not wrong, wrong
        assert not watch.leaks()


def grown(last: Mapping[str, float], before: Mapping[str, float], name: str, labels: Mapping[str, str]) -> float:
    """How much the samples of a name that carry these labels have grown together."""
    wanted = {f"{label}={value}" for label, value in labels.items()}
    total = 0.0
    for key, value in last.items():
        found, _, inner = key.partition("{")
        if found == name and wanted <= set(inner.removesuffix("}").split(",")):
            total += value - before.get(key, 0.0)
    return total
