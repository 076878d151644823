"""The listener believes what the gateway signs, and nothing else."""

from __future__ import annotations

import aiohttp
import anyio

from gateway.control.webhooks import signed
from gateway.demo.listener import Listener, verified

BODY = b'{"type": "trivet.promote", "data": {}}'


def test_a_signed_message_is_believed_and_another_is_not() -> None:
    """The gateway's own signature holds; one of other bytes, of another secret or none at all is answered with 401."""

    async def test() -> None:
        listener = Listener()
        fields = signed(listener.secret, "agent/1-0", 1_764_000_000, BODY)
        async with listener.serving() as url, aiohttp.ClientSession() as session:
            taken = await session.post(url, data=BODY, headers=fields)
            refused = await session.post(url, data=BODY)
        assert (taken.status, refused.status) == (204, 401)
        assert [each.signed for each in listener.told] == [True, False]
        found = await listener.until("trivet.promote", 1.0)
        assert found is not None and found.signed
        assert await listener.until("trivet.rollback", 0.05) is None
        assert await listener.until("trivet.promote", 0.05, about="another") is None
        assert not verified(listener.secret, fields, BODY + b" ")
        assert not verified(Listener().secret, fields, BODY)

    anyio.run(test)
