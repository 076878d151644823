"""One call of the sentinel's own: in the release's own words, and only the provider's answer is held against it."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from gateway.core.binding import internal
from gateway.core.contract.artifact import digest
from gateway.core.contract.release import Leg, Mode, PinClass, Release, Triple, release_id
from gateway.core.pinning.warm import Sign
from gateway.sentinel.asking import ONE_TOKEN, Prober, Told, judged, party
from gateway.store import releases
from gateway.upstream.ownport import DataPort
from tests.live.gateway import STAMP_KEY
from tests.provider import Provider
from tests.sentinel.conftest import Scene

pytestmark = pytest.mark.anyio


def body(code: str, message: str = "x") -> bytes:
    """An error as OpenAI gives it."""
    return json.dumps({"error": {"code": code, "message": message}}).encode()


@pytest.mark.parametrize(
    ("status", "data", "ours", "sign"),
    [
        (404, body("model_not_found"), False, Sign.GONE),
        (410, body("", "gpt-4o-2024-11-20 was retired"), False, Sign.GONE),
        (404, b"<html>no such page", False, Sign.TROUBLE),
        (404, body("model_not_found"), True, Sign.TROUBLE),
        (401, body("invalid_api_key"), False, Sign.REFUSED),
        (403, b"", False, Sign.REFUSED),
        (401, body("invalid_api_key"), True, Sign.TROUBLE),
        (400, body("", "Could not finish: max_tokens or model output limit was reached"), False, Sign.WORKED),
        (400, body("unsupported"), False, Sign.TROUBLE),
        (429, body("rate_limited"), False, Sign.TROUBLE),
        (503, b"", False, Sign.TROUBLE),
    ],
)
def test_what_an_error_says(status: int, data: bytes, ours: bool, sign: Sign) -> None:
    """Gone is a 404 or 410 that speaks of the model; refused is a 401 or 403 of the provider's own."""
    kept = Release("rel_1", Triple("openai/gpt-4o-2024-11-20"))
    assert judged(status, data, kept, ours=ours)[0] is sign


async def asked(scene: Scene, release: Release, port: DataPort | None = None) -> Told | str:
    """What a probe of a release comes to."""
    found = await party(scene.store, scene.settings, release)
    if isinstance(found, str):
        return found
    async with Prober(scene.store, scene.settings, port or scene.port(), scene.clock()) as prober:
        return await prober.ask(found, ONE_TOKEN, {})


async def test_a_release_is_asked_with_its_own_prompt(scene: Scene) -> None:
    """A prompt that the release only verifies is sent as an agent would; one with variables cannot be."""
    found: list[Any] = []
    for text in ("Be brief.", "Be {mood}."):
        prompt = text.encode().replace(b"{mood}", b"{{mood}}")
        triple = Triple("openai/gpt-4o-2024-11-20", prompt=Leg(Mode.VERIFY, digest(prompt)))
        kept = Release(release_id(triple), triple, PinClass.PINNED)
        await releases.put(scene.store, kept, {digest(prompt): prompt})
        found.append(await asked(scene, kept))
    assert found[0].sign is Sign.WORKED
    assert found[0].cost == 11
    assert scene.provider.requests[-1].json["messages"][0] == {"role": "system", "content": "Be brief."}
    assert "variables" in found[1]
    assert len(scene.provider.requests) == 1


async def test_what_keeps_a_release_from_being_asked(scene: Scene) -> None:
    """A provider that is gone, a blocked release, and callers' own keys."""
    kept = scene.kept[0]
    assert "blocked" in await asked(scene, msgspec.structs.replace(kept, blocked="bad"))  # type: ignore[operator]
    away = msgspec.structs.replace(kept, triple=Triple("mistral/m"))
    assert "not configured" in await asked(scene, away)  # type: ignore[operator]
    theirs = msgspec.structs.replace(scene.settings.providers["openai"], api_key="client")
    settings = msgspec.structs.replace(scene.settings, providers={"openai": theirs})
    assert "background_api_key" in await party(scene.store, settings, kept)  # type: ignore[operator]
    assert not scene.provider.requests


async def test_a_port_that_refuses_says_nothing_of_the_release(scene: Scene) -> None:
    """Another key, and nobody there: not asked, which is no trouble of the provider's."""
    for port in (DataPort(scene.port().url, b"another key of 16 bytes"), DataPort("http://127.0.0.1:9", STAMP_KEY)):
        found = await asked(scene, scene.kept[0], port)
        assert isinstance(found, Told)
        assert (found.asked, found.sign) == (False, Sign.TROUBLE)
    assert not scene.provider.requests


async def test_the_call_is_a_strangers(scene: Scene) -> None:
    """It carries the role `probe` to the data port, and none of that to the provider."""
    with Provider() as own:
        await asked(scene, scene.kept[0], DataPort(own.url, STAMP_KEY))
        token = own.requests[-1].fields["x-trivet-key"]
    assert internal.verify([STAMP_KEY], token, scene.clock()) == "probe"
    await asked(scene, scene.kept[0])
    sent = scene.provider.requests[-1].fields
    assert sent["authorization"] == "Bearer sk-own"
    assert not [name for name in sent if name.startswith("x-trivet")]
