"""`unmanaged: learn`: from the first answers to a floating name to an alias that is pinned to what the provider resolved it to.

A name becomes an alias when the answering id is classed pinned and one call proved that this very credential can call it.
Nothing here runs on a request's path: `saw` puts a note into a bounded queue, `work` reads it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gateway.core.contract.alias import EVERYONE, AliasState, Lane, Stakes
from gateway.core.contract.fault import Fault
from gateway.core.contract.release import PinClass, Release, Triple, release_id
from gateway.core.pinning.classify import classify
from gateway.live.view import View
from gateway.live.worker import Learner
from gateway.upstream.call import Ask
from gateway.wire import flow

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.store.live import LiveStore
    from gateway.upstream.call import Upstreams

NAMES_KEPT = 100
"""At most this many names are ever learned by one store (DESIGN section 6)."""
NOTES_KEPT = 32
"""Notes that may wait; a name that finds no place is seen again with its next answer."""
VERSION = (b"anthropic-version", b"2023-06-01")
"""Anthropic answers nothing without it; for all others it is a header they do not know."""
PROOF = b'{"model":"%b","max_tokens":1,"messages":[{"role":"user","content":"."}]}'


class PinLearner(Learner):
    """Learns aliases from answers."""

    __slots__ = ("_busy", "_notes", "_now_ms", "_store", "_told", "_upstreams")

    def __init__(
        self, store: LiveStore, upstreams: Upstreams, now_ms: Callable[[], int], told: Callable[[str, str], None]
    ) -> None:
        self._store = store
        self._upstreams = upstreams
        self._now_ms = now_ms
        self._told = told
        self._busy: set[tuple[str, str]] = set()
        self._notes: asyncio.Queue[tuple[str, str, str, bytes | None]] = asyncio.Queue(NOTES_KEPT)

    def saw(self, view: View, provider: str, asked: str, answered: str, credential: bytes | None) -> None:
        """Note that `asked` was answered by `answered`."""
        if (asked, answered) in self._busy or asked == answered:
            return
        if self._notes.full() or self._learned() >= NAMES_KEPT:
            return
        if classify(view.pins, view.vendors[provider], answered).pin is not PinClass.PINNED:
            return
        self._busy.add((asked, answered))
        self._notes.put_nowait((provider, asked, answered, credential))

    def _learned(self) -> int:
        """How many aliases were learned so far."""
        states = map(self._store.pointers.alias, self._store.pointers.aliases)
        return sum(state.learned for state in states if state is not None)

    async def work(self) -> None:
        """Prove and create, one name after the other, until cancelled."""
        while True:
            provider, asked, answered, credential = await self._notes.get()
            try:
                await self._learn(provider, asked, answered, credential)
            except Fault:
                # Not callable now, or the store is away: the next answer to this name tries again.
                pass
            finally:
                self._busy.discard((asked, answered))

    async def _learn(self, provider: str, asked: str, answered: str, credential: bytes | None) -> None:
        if not await self._callable(provider, answered, credential):
            return
        triple = Triple(model=f"{provider}/{answered}")
        now = self._now_ms()
        note = f"learned: the provider answered {asked} with {answered}"
        release = Release(release_id(triple), triple, PinClass.PINNED, now, "learn", note)
        state = AliasState(
            name=asked, version=1, lanes={EVERYONE: Lane(release.id)}, stakes=Stakes.STANDARD, learned=True
        )
        if await flow.run(self._store.create_alias(state, release)):
            self._told(asked, str(release.snapshot))

    async def _callable(self, provider: str, model: str, credential: bytes | None) -> bool:
        """One call with the snapshot's own name: the model object where the provider has one, else one token."""
        if await self._status("GET", f"/v1/models/{model}", provider, model, None, credential) == 200:
            return True
        body = PROOF % model.encode()
        return await self._status("POST", "/v1/chat/completions", provider, model, body, credential) == 200

    async def _status(
        self, method: str, path: str, provider: str, model: str, body: bytes | None, credential: bytes | None
    ) -> int:
        headers = [VERSION, *([(b"content-type", b"application/json")] if body is not None else [])]
        ask = Ask(
            provider=provider,
            model=model,
            method=method,
            path=path,
            query="",
            headers=headers,
            body=body,
            credential=credential,
            retryable=False,
            generation=body is not None,
            client_retry=1,
        )

        async def status() -> int:
            answer = await self._upstreams.call(ask)
            while await answer.out.chunk():
                pass
            return answer.out.status

        return await flow.run(status())
