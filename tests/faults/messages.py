"""Messages for the rows of bad HTTP, and the gateway they are sent to: two tenants, short deadlines, an echoing provider."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

from tests.faults.watch import Answer, House, Watch, is_openai_error
from tests.gateway_process import running
from tests.provider import Provider, Received, Reply, answer, chat_body

KEY, OTHER_KEY = "tk-first-tenant-key-0123456789", "tk-other-tenant-key-0123456789"
MODEL = "gpt-4o-2024-08-06"
BODY = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": "Hello?"}]}).encode()
BODY_CAP = 1 << 20
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer " + KEY.encode() + b"\r\n"
GOOD = HEAD + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY
CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)


async def echo(received: Received, reply: Reply) -> None:
    """Answer with the text of the last message."""
    asked = received.json if received.body else {}
    text = asked["messages"][-1]["content"] if "messages" in asked else "-"
    await answer(chat_body(text, asked.get("model", "")))(received, reply)


@contextlib.contextmanager
def keyed_house() -> Iterator[House]:
    """A gateway with `auth: keys` and deadlines of a second."""
    keys = [
        {"sha256": sha256(KEY.encode()).hexdigest(), "tenant": "first", "rights": ["pass-through", "provider-state"]},
        {"sha256": sha256(OTHER_KEY.encode()).hexdigest(), "tenant": "other"},
    ]
    serve = {
        "head_timeout": 1,
        "body_timeout": 1,
        "idle_timeout": 1,
        "body_bytes": BODY_CAP,
        "upload_bytes": 2 * BODY_CAP,
    }
    with (
        Provider(echo) as provider,
        running({"openai": provider.url}, auth="keys", keys=keys, unmanaged="pass", serve=serve) as gateway,
        House(gateway, provider, KEY, secrets=(KEY, OTHER_KEY)) as house,
    ):
        yield house


def refused(watch: Watch, cases: list[bytes], status: int | set[int], code: str, reason: str) -> list[Answer]:
    """Send each case with a good request behind it: one error in OpenAI's shape, then the end; the provider sees nothing."""
    statuses = {status} if isinstance(status, int) else status

    def send(case: bytes) -> Answer:
        got = watch.raw(case + GOOD)
        assert got.status in statuses, (case[:120], got.status, got.body)
        assert got.code == code, (case[:120], got.body)
        assert is_openai_error(got), got.headers
        assert got.closed, case[:120]
        assert got.headers["connection"] == "close"
        assert not got.rest, (case[:120], got.rest)
        return got

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(send, cases))
    assert watch.no_calls()
    watch.expect("rejected_total", len(cases), reason=reason)
    return answers


def head(*lines: bytes, first: bytes = b"POST /v1/chat/completions HTTP/1.1") -> bytes:
    """A head with Host, key and these lines."""
    return b"\r\n".join((first, b"Host: gateway", b"Authorization: Bearer " + KEY.encode(), *lines)) + b"\r\n\r\n"


def rss(watch: Watch) -> int:
    """Resident bytes of the live worker."""
    return int(Path(f"/proc/{watch.gateway.pid('live-0')}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def cpu(watch: Watch) -> float:
    """CPU seconds the live worker has used."""
    fields = Path(f"/proc/{watch.gateway.pid('live-0')}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
