"""Transitions reach their webhooks: in order, signed, again after a failure, never lost by a restart."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import aiohttp
import anyio
import msgspec
import pytest
from aiohttp import web

from gateway.control.desk import Desk
from gateway.control.promote import promote
from gateway.control.webhooks import Messenger, signed
from gateway.settings.model import WebhookSettings
from tests.control.conftest import Make, Place

pytestmark = pytest.mark.anyio
SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()


@dataclass
class Receiver:
    """A real server that takes messages, or answers with `status`."""

    url: str = ""
    status: int = 204
    released: asyncio.Event = field(default_factory=asyncio.Event)
    """What an answer to a message for `/hook/slow` waits for."""
    quick: int = 0
    """Messages that came for `/hook`."""
    came: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        self.came.append(({k.lower(): v for k, v in request.headers.items()}, await request.read()))
        self.quick += request.path == "/hook"
        if request.path != "/hook":
            await self.released.wait()
        return web.Response(status=self.status, headers={"location": "http://127.0.0.1:9/"})


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver on a free port."""
    found = Receiver()
    app = web.Application()
    app.router.add_post("/hook", found.take)
    app.router.add_post("/hook/slow", found.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield found
    await runner.cleanup()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """What calls them."""
    async with aiohttp.ClientSession() as one:
        yield one


def told(desk: Desk, url: str, **more: object) -> Desk:
    """The desk with one webhook."""
    webhook = msgspec.convert(
        {"name": "oncall", "url": url, "secret": SECRET, "allow_private": True, **more}, WebhookSettings
    )
    return replace(desk, settings=msgspec.structs.replace(desk.settings, webhooks=(webhook,)))


async def moved(desk: Desk, make: Make, *letters: str) -> None:
    """Promote releases one after the other."""
    for letter in letters:
        await promote(desk, "agent", await make(letter), "better", timeout=0)


async def test_every_transition_is_told_once_in_order(
    desk: Desk, made: Make, placed: Place, receiver: Receiver, session: aiohttp.ClientSession
) -> None:
    """What happened before the webhook was there is not told; what happens then is, in order, with a signature that verifies."""
    await placed("agent", {"*": "A"})
    one, messenger = told(desk, receiver.url), Messenger()
    assert await messenger.round(one, session, 0) == 0
    await moved(one, made, "B", "C")
    assert await messenger.round(one, session, 1) == 2
    assert await Messenger().round(one, session, 2) == 0, "a restart tells nothing again"
    bodies = [msgspec.json.decode(body) for _, body in receiver.came]
    assert [body["data"]["releases"]["after"]["*"] for body in bodies] == [await made("B"), await made("C")]
    assert bodies[1]["data"]["revert"].startswith("trivet rollback agent")
    fields, body = receiver.came[0]
    content = f"{fields['webhook-id']}.{fields['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.digest(b"s" * 32, content, hashlib.sha256)).decode()
    assert fields["webhook-signature"] == f"v1,{expected}"


@pytest.mark.parametrize("status", [302, 404, 500])
async def test_what_is_not_taken_is_sent_again(
    desk: Desk, made: Make, placed: Place, receiver: Receiver, session: aiohttp.ClientSession, status: int
) -> None:
    """A refused message keeps its place and its id, waits longer, and comes before what happened after it."""
    await placed("agent", {"*": "A"})
    one, messenger = told(desk, receiver.url), Messenger()
    await messenger.round(one, session, 0)
    await moved(one, made, "B", "C")
    receiver.status = status
    assert await messenger.round(one, session, 1) == 0
    assert await messenger.round(one, session, 5.9) == 0
    assert len(receiver.came) == 1, "it waits before it tries again, and follows no redirect"
    assert messenger.waiting_ms["oncall"] > 0
    receiver.status = 200
    assert await messenger.round(one, session, 6.1) == 2
    ids = [fields["webhook-id"] for fields, _ in receiver.came]
    assert ids[0] == ids[1] != ids[2]
    assert messenger.waiting_ms["oncall"] == 0
    assert messenger.results == {("oncall", "failed"): 1, ("oncall", "taken"): 2}


async def test_a_slow_receiver_has_nobody_wait_but_itself(
    desk: Desk, made: Make, placed: Place, receiver: Receiver, session: aiohttp.ClientSession
) -> None:
    """While the first webhook thinks about its message, the second has taken all of its own."""
    await placed("agent", {"*": "A"})
    slow, quick = (
        told(desk, url, name=name).settings.webhooks[0]
        for name, url in (("slow", f"{receiver.url}/slow"), ("quick", receiver.url))
    )
    one = replace(desk, settings=msgspec.structs.replace(desk.settings, webhooks=(slow, quick)))
    messenger = Messenger()
    await messenger.round(one, session, 0)
    await moved(one, made, "B", "C")
    running = asyncio.create_task(messenger.round(one, session, 1))
    with anyio.fail_after(5):
        while receiver.quick < 2:
            await asyncio.sleep(0.01)
    assert not running.done()
    receiver.released.set()
    assert await running == 4


async def test_a_message_is_given_up_in_the_end(
    desk: Desk, made: Make, placed: Place, session: aiohttp.ClientSession
) -> None:
    """A receiver that is gone for good holds nothing up for ever: what is too old is counted and left."""
    await placed("agent", {"*": "A"})
    one, messenger = told(desk, "http://127.0.0.1:9/hook", give_up=60), Messenger()
    await messenger.round(one, session, 0)
    await moved(one, made, "B")
    await messenger.round(one, session, 1)
    assert messenger.results == {("oncall", "failed"): 1}
    await messenger.round(replace(one, now_ms=one.now_ms + 61_000), session, 100)
    assert messenger.results["oncall", "given_up"] == 1


async def test_only_what_was_asked_for(
    desk: Desk, made: Make, placed: Place, receiver: Receiver, session: aiohttp.ClientSession
) -> None:
    """A webhook hears of its aliases and actions; the rest passes it by."""
    await placed("agent", {"*": "A"})
    messenger = Messenger()
    for more in ({"aliases": ("other-*",)}, {"name": "b", "actions": ("rollback",)}):
        one = told(desk, receiver.url, **more)
        await messenger.round(one, session, 0)
    await moved(desk, made, "B")
    for more in ({"aliases": ("other-*",)}, {"name": "b", "actions": ("rollback",)}):
        assert await messenger.round(told(desk, receiver.url, **more), session, 1) == 0
    assert receiver.came == []


def test_a_known_signature() -> None:
    """The example of the Standard Webhooks specification comes out."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    fields = signed(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert fields["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
