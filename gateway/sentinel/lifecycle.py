"""Asks the providers' own model endpoints, once a day, when the snapshots in use retire.

Rule of the file: an answer that does not plainly say something says nothing. A provider that is slow, away, busy or wrong changes
nothing that is known and alarms nobody; it is asked again an hour later. One question at a time, each with a deadline and a bound,
never with a caller's credential, never on the way of a request.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec

from gateway.core.contract.release import Snapshot
from gateway.core.contract.sentinel import Retirement
from gateway.core.pinning.classify import vendor_of
from gateway.core.pinning.lifecycle import PROVIDER, day, vendor_for
from gateway.settings.endpoints import CLIENT, resolved
from gateway.settings.model import EndpointSettings, ProviderSettings
from gateway.store import snapshots
from gateway.store.client import Store
from gateway.telemetry import log as logs

log = logs.Log("lifecycle")

AGAIN_MS = 86_400_000
"""Time between two questions about one snapshot."""
RETRY_MS = 3_600_000
"""The same after a question that was not answered."""
SECONDS = 10.0
"""Longest question, from connecting to the last byte."""
LARGEST = 1 << 20
"""Bytes of an answer that are read."""
ANSWERED = frozenset({"said", "silent"})
"""Results after which a snapshot is left alone for a day: the provider answered, whether or not it says anything of retiring."""


@dataclass(frozen=True, slots=True)
class Question:
    """Where a provider tells of one model. Holds a key: never shown."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    read: Callable[[dict[str, Any], str], tuple[str, str] | None]
    """From the answer and today's date the days of retirement and deprecation, empty for none; None when it says nothing."""
    ca_file: str = ""


def question(provider: str, settings: ProviderSettings, model: str) -> Question | None:
    """What to ask about a model of a configured provider; None where its vendor tells nothing, no key of the gateway's own may be
    used there, or the host is a machine of one's own."""
    if not vendor_for(provider, settings.base_url, settings.vendor):
        return None
    for each in resolved(provider, settings):
        key = _key(settings, each, vendor_of(provider, settings.base_url, settings.vendor))
        if each.vendor in _ASKED and key and (not each.models or model in each.models):
            place, header, read = _ASKED[each.vendor]
            name = quote(each.models.get(model, model).removeprefix("models/"), safe=":@")
            base = each.url.rstrip("/")
            for prefix in ("/openai", "/v1beta", "/v1"):
                base = base.removesuffix(prefix)
            shown = f"Bearer {key}" if header == "authorization" else key
            extra = {"anthropic-version": "2023-06-01"} if each.vendor == "anthropic" else {}
            return Question(f"{base}{place}{name}", {**extra, **each.headers, header: shown}, read, settings.ca_file)
    return None


async def ask(session: aiohttp.ClientSession, asked: Question, today: str) -> tuple[tuple[str, str] | None, str]:
    """What the provider says, and the result in a word: `said`, `silent` when it says nothing of retiring, else what went wrong."""
    limits = aiohttp.ClientTimeout(total=SECONDS)
    try:
        trust = ssl.create_default_context(cafile=asked.ca_file) if asked.ca_file else True
        async with session.get(
            asked.url, headers=asked.headers, timeout=limits, allow_redirects=False, ssl=trust
        ) as answer:
            if answer.status != 200:
                return None, f"status_{answer.status}"
            data = await _bounded(answer)
    except TimeoutError:
        return None, "timeout"
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return None, type(error).__name__
    try:
        body = msgspec.json.decode(data)
        said = asked.read(body, today) if isinstance(body, dict) else None
    except (msgspec.DecodeError, ValueError, TypeError):
        return None, "unreadable"
    return said, "said" if said is not None else "silent"


async def refresh(
    store: Store,
    providers: Mapping[str, ProviderSettings],
    wanted: Iterable[str],
    session: aiohttp.ClientSession,
    now_ms: int,
    today: str,
) -> dict[str, str]:
    """Ask about each snapshot (`provider/model-id`) that is due; results in a word by snapshot. Raises Fault for the store.

    A provider that fails is not asked about its other snapshots in this round.
    """
    known = sorted(set(wanted))
    before = await snapshots.looked(store, known)
    results: dict[str, str] = {}
    failed: set[str] = set()
    for name in known:
        snapshot = Snapshot.parse(name)
        settings = providers.get(snapshot.provider)
        at_ms, word = before[name]
        due = now_ms - at_ms >= (AGAIN_MS if word in ANSWERED else RETRY_MS)
        if settings is None or not due or snapshot.provider in failed:
            continue
        asked = question(snapshot.provider, settings, snapshot.model)
        if asked is None:
            continue
        said, result = await ask(session, asked, today)
        results[name] = result
        if said is not None:
            await snapshots.say(store, Retirement(name, said[0], said[1], "", PROVIDER, now_ms))
        elif result not in ANSWERED:
            failed.add(snapshot.provider)
            log.warning("a provider does not say when a model retires", provider=snapshot.provider, result=result)
        await snapshots.look(store, name, now_ms, result)
    return results


def _key(settings: ProviderSettings, endpoint: EndpointSettings, vendor: str) -> str:
    """The gateway's own key for an endpoint: the background key at hosts of the provider's vendor, else its own; empty for none."""
    background = settings.background_api_key.strip()
    if background and endpoint.vendor == vendor:
        return background
    return endpoint.api_key if endpoint.api_key != CLIENT else ""


async def _bounded(answer: aiohttp.ClientResponse) -> bytes:
    """The body. Raises ValueError when it is larger than LARGEST."""
    data = bytearray()
    async for chunk in answer.content.iter_chunked(1 << 16):
        data += chunk
        if len(data) > LARGEST:
            raise ValueError("too large")
    return bytes(data)


def _openai(body: dict[str, Any], _: str) -> tuple[str, str] | None:
    """`shutdown_date`, a day or null; a compatible server that does not know it says nothing."""
    return (_date(body["shutdown_date"]), "") if "shutdown_date" in body else None


def _anthropic(body: dict[str, Any], today: str) -> tuple[str, str] | None:
    """`retires_at` and `deprecated_at`, times or null; `lifecycle: retired` without a time is as of today."""
    if "lifecycle" not in body and "retires_at" not in body:
        return None
    retires = _date(body.get("retires_at"))
    if not retires and body.get("lifecycle") == "retired":
        retires = today
    return retires, _date(body.get("deprecated_at"))


def _google(body: dict[str, Any], _: str) -> tuple[str, str] | None:
    """`modelStatus.retirementTime`, where the model object carries a status."""
    status = body.get("modelStatus")
    return (_date(status.get("retirementTime")), "") if isinstance(status, dict) else None


def _date(value: object) -> str:
    """The day of a date or time as text; empty for null. Raises ValueError for what is neither."""
    if value is None or value == "":
        return ""
    text = str(value)[:10]
    day(text)
    return text


_ASKED: Mapping[str, tuple[str, str, Callable[[dict[str, Any], str], tuple[str, str] | None]]] = MappingProxyType(
    {
        "openai": ("/v1/models/", "authorization", _openai),
        "anthropic": ("/v1/models/", "x-api-key", _anthropic),
        "google": ("/v1beta/models/", "x-goog-api-key", _google),
    }
)
"""Vendors that tell: path of a model, header of the key, and how to read the answer."""
