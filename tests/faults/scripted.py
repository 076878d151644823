"""Many providers on one scripted server: each is configured under a path of its own, and answers from a script of its own.

So every test has a provider with its own connections, breaker, budget and label, and nothing carries over to the next.
"""

from __future__ import annotations

import http.client
import json
import time
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import Any

from openai import OpenAI

from tests.faults.watch import Watch
from tests.provider import Behaviour, Provider, Received, Reply, completion

MODEL = "gpt-4o-2024-08-06"
KEY = "sk-provider-test-key"
FIELDS = {"content-type": "application/json"}
UNSAID: dict[str, Any] = {"attempts": 1, "attempt_log": [], "code": "", "excerpt": "", "flags": [], "usage": None}
"""What a journal entry leaves out, because it is the usual."""


@dataclass
class Scripts:
    """The default behaviour of a `Provider`. What no script answers gets a completion."""

    queued: defaultdict[str, deque[Behaviour]] = field(default_factory=lambda: defaultdict(deque))

    async def __call__(self, received: Received, reply: Reply) -> None:
        queue = self.queued[name_of(received)]
        behaviour = queue.popleft() if queue else completion()
        await behaviour(received, reply)

    def then(self, name: str, *behaviours: Behaviour) -> None:
        """Queue behaviours for the next requests to one provider."""
        self.queued[name].extend(behaviours)


def name_of(received: Received) -> str:
    """Which configured provider a request was meant for."""
    return received.target.split("/")[1]


def settings(url: str, **more: Any) -> dict[str, Any]:
    """A provider as configured: OpenAI's, at this URL."""
    return {"base_url": url, "api_key": KEY, "vendor": "openai", "allow_private": True, **more}


def alias_of(name: str, model: str = MODEL) -> dict[str, Any]:
    """An alias whose first release is a model of one provider."""
    return {"first_release": {"model": f"{name}/{model}"}}


@dataclass
class Case:
    """One test's view: the gateway under watch, and the scripts."""

    watch: Watch
    scripts: Scripts
    provider: Provider
    runs: list[str] = field(default_factory=list)

    def calls(self, name: str) -> list[Received]:
        """What one provider has seen so far."""
        return [each for each in list(self.provider.requests) if name_of(each) == name]

    def wait_call(self, name: str, count: int = 1, seconds: float = 5.0) -> Received:
        """The last request to a provider once there are `count`."""
        until = time.monotonic() + seconds
        while len(found := self.calls(name)) < count:
            assert time.monotonic() < until, f"{len(found)} of {count} requests came"
            time.sleep(0.002)
        return found[-1]

    def look(self, run: str, number: int = 1) -> dict[str, Any] | None:
        """The journal's entry of a step of a run, if there is one; its stamp must be there too."""
        status, body = self.watch.gateway.get(f"{self.watch.gateway.admin}/api/v1/runs/{run}")
        if status != 200:
            return None
        found = json.loads(body)
        assert found["stamps"], found
        steps = [step for step in found["steps"] if step["step"] == number]
        return UNSAID | steps[0] if steps else None

    def step(self, run: str, number: int = 1) -> dict[str, Any]:
        """The same, waited for: entries are written behind the answer."""
        until = time.monotonic() + 5
        while (found := self.look(run, number)) is None:
            assert time.monotonic() < until, f"the journal has no step {number} of {run}"
            time.sleep(0.02)
        return found

    def sdk(self, **more: Any) -> OpenAI:
        """The official client, with its own defaults."""
        return OpenAI(base_url=self.watch.gateway.base + "/v1", api_key="unused", **more)

    def stream(self, model: str, run: str = "", timeout: float = 15.0) -> Streamed:
        """A streamed completion, read to its end, whatever kind of end that is."""
        link = self.open(model, run, timeout=timeout)
        try:
            got = link.getresponse()
            headers = {name.lower(): value for name, value in got.getheaders()}
            try:
                return Streamed(got.status, got.read(), headers, clean=True)
            except http.client.IncompleteRead as cut:
                return Streamed(got.status, cut.partial, headers, clean=False)
        finally:
            link.close()

    def open(
        self, model: str, run: str = "", *, stream: bool = True, timeout: float = 15.0
    ) -> http.client.HTTPConnection:
        """A connection on which a completion has been asked for."""
        link = http.client.HTTPConnection("127.0.0.1", self.watch.port, timeout=timeout)
        body = {"model": model, "stream": stream, "messages": [{"role": "user", "content": "Hello?"}]}
        link.request("POST", "/v1/chat/completions", json.dumps(body), FIELDS | ({"x-trivet-run": run} if run else {}))
        return link


@dataclass
class Streamed:
    """A streamed answer. `clean` says that it ended with the terminal chunk."""

    status: int
    body: bytes
    headers: dict[str, str]
    clean: bool


def leave(link: http.client.HTTPConnection) -> float:
    """Close a client connection at once; returns the moment."""
    if link.sock is not None:
        link.sock.close()
    link.close()
    return time.monotonic()
