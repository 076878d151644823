"""Which prompts and toolsets are noticed, and what that may cost."""

from __future__ import annotations

import timeit
from hashlib import sha256
from typing import Any

import pytest

from gateway.core.contract.journal import Sightings
from gateway.core.contract.run import Arm, Pin, Source, Stamp
from gateway.core.dialect.base import Envelope
from gateway.core.dialect.splice import scan
from gateway.live import notice
from gateway.live.notice import Notices
from tests.live.gateway import LiveGateway, release
from tests.live.test_record import steps
from tests.provider import Provider

KEPT = release("openai/gpt-4o-2024-08-06")
TOOLS = [{"type": "function", "function": {"name": "look"}}]


class Line:
    """Keeps what is handed over."""

    def __init__(self) -> None:
        self.told: list[Sightings] = []
        self.texts: list[tuple[str, str, str]] = []

    def seen(self, sightings: Sightings) -> None:
        """A telling."""
        self.told.append(sightings)

    def text(self, alias: str, kind: str, digest: str, text: bytes) -> None:
        """An offer."""
        self.texts.append((alias, kind, digest))


class Sent(Envelope):
    """A request with a prompt and tools of which only the digests matter."""

    def system(self) -> bytes:
        """Any prompt."""
        return b"p"

    def toolset(self) -> bytes:
        """Any tools."""
        return b"[]"


SENT = Sent(scan(b"{}"))


def stamp(run: str = "r1", alias: str = "agent") -> Stamp:
    """A binding."""
    return Stamp("default", run, alias, KEPT.id, KEPT.triple.model, "*", Arm.STABLE, Pin.PINNED, Source.HEADER, 1, 1)


@pytest.fixture
def line() -> Line:
    """Where notices go."""
    return Line()


@pytest.fixture
def notices(line: Line) -> Notices:
    """A table without a store."""
    return Notices(line, lambda: 7)  # type: ignore[arg-type]


def test_known_texts_are_counted_and_offered_once(notices: Notices, line: Line) -> None:
    """Requests and changes of run are told per release, prompt and tools; each text goes out once; nothing new is told."""
    for run in ("r1", "r1", "r2", "r1"):
        assert notices.saw(stamp(run), "p1", "t1", SENT) == ()
    notices.saw(stamp(), "p2", "t1", SENT)
    notices.saw(stamp(), "", "", SENT)
    assert notices.tell() == ["agent"] and notices.tell() == []
    assert line.texts == [("agent", "prompt", "p1"), ("agent", "tools", "t1"), ("agent", "prompt", "p2")]
    (told,) = line.told
    assert (told.alias, told.at_ms, told.unread) == ("agent", 7, 0)
    assert [(row.prompt, row.tools, row.n, row.runs) for row in told.seen] == [("p1", "t1", 4, 3), ("p2", "t1", 1, 1)]


def test_a_flood_of_texts_is_bounded_and_counted(notices: Notices, line: Line) -> None:
    """A prompt that changes with every request costs its bound of offers, another alias keeps its own, and tools are counted."""
    for n in range(1000):
        notices.saw(stamp(f"r{n}"), f"p{n}", "t", SENT)
    notices.saw(stamp(alias="other"), "p", "", SENT)
    notices.tell()
    assert len(line.texts) == notice.NEW_PER_ALIAS + 2
    flood = next(told for told in line.told if told.alias == "agent")
    assert flood.unread + sum(row.n for row in flood.seen if row.prompt) == 1000
    assert sum(row.n for row in flood.seen if row.tools == "t") == 1000
    for alias in range(100):
        notices.saw(stamp(alias=f"a{alias}"), "p", "t", SENT)
    assert len(line.texts) == notice.NEW_PER_ALIAS + 2 + 2 * notice.NEW_PER_WORKER


def test_the_table_is_bounded_and_forgets(notices: Notices, monkeypatch: pytest.MonkeyPatch, line: Line) -> None:
    """However many texts come over the days, the table keeps its bound; now and then all is offered anew."""
    monkeypatch.setattr(notice, "KNOWN", 32)
    for n in range(200):
        notices.saw(stamp(), f"p{n}", "", SENT)
        notices.tell()
    assert len(notices._known) <= 32 and len(notices._offered) <= 33
    offers = len(line.texts)
    for _ in range(notice.FORGET_TELLINGS):
        notices.tell()
    notices.saw(stamp(), "p199", "", SENT)
    assert len(line.texts) == offers + 1


def test_undeclared_texts_are_flagged(notices: Notices) -> None:
    """What the learner found is on the next requests; what it took back is not; an alias it did not name stays."""
    notices.saw(stamp(), "p", "t", SENT)
    notices.mark({"agent": frozenset({"p", "t"})})
    assert notices.saw(stamp(), "p", "t", SENT) == ("undeclared_prompt", "undeclared_tools")
    notices.mark({})
    assert notices.saw(stamp(), "p", "t", SENT) == ("undeclared_prompt", "undeclared_tools")
    notices.mark({"agent": frozenset({"t"})})
    assert notices.saw(stamp(), "p", "t", SENT) == ("undeclared_tools",)
    notices.mark({"agent": frozenset()})
    assert notices.saw(stamp(), "p", "t", SENT) == ()


def test_a_request_pays_for_a_look_up(notices: Notices) -> None:
    """Known or flooding, far below what would be felt: a bound ten times above what was measured."""
    bound, prompts = stamp(), [sha256(b"%d" % n).hexdigest() for n in range(20_000)]
    notices.saw(bound, "p", "t", SENT)
    assert timeit.timeit(lambda: notices.saw(bound, "p", "t", SENT), number=20_000) / 20_000 < 5e-6
    each = iter(prompts)
    assert timeit.timeit(lambda: notices.saw(bound, next(each), "t", SENT), number=20_000) / 20_000 < 10e-6


def test_what_went_to_a_provider_reaches_the_store(gateway: LiveGateway, provider: Provider, redis_server) -> None:
    """Prompt and tools as sent, with the digests of the journal; a refused request leaves nothing; digests come back as flags."""
    del provider
    gateway.alias("gpt-4o", KEPT)
    keys = gateway.store.keys
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello?"}]
    more: dict[str, Any] = {"messages": messages, "tools": TOOLS}
    notices = gateway.worker.notices = Notices(gateway.store.sightings, gateway.worker.now_ms)
    gateway.request("POST", "/v1/chat/completions", b"{")
    gateway.chat("gpt-4o", {"x-trivet-run": "r1"}, **more)
    (step,) = steps(gateway, "r1")
    gateway.wait(lambda: redis_server.ask(f"XLEN {keys.texts()}") == b":2\r\n")
    told = redis_server.ask(f"XRANGE {keys.texts()} - +")
    assert b"Be brief." in told and step.prompt.encode() in told and step.tools.encode() in told

    async def tell() -> None:
        notices.tell()
        notices.mark(await gateway.store.sightings.undeclared(["gpt-4o"]))

    redis_server.ask(f"SADD {keys.undeclared('gpt-4o')} {step.prompt}")
    gateway.call(tell())
    gateway.wait(lambda: redis_server.ask(f"XLEN {keys.sightings()}") == b":1\r\n")
    gateway.chat("gpt-4o", {"x-trivet-run": "r1"}, **more)
    assert steps(gateway, "r1", 2)[1].flags == ("undeclared_prompt",)
    notices.on = False
    gateway.chat("gpt-4o", {"x-trivet-run": "r1"}, **more)
    assert steps(gateway, "r1", 3)[2].flags == ()
