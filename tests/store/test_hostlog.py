"""The host log takes records in one write, finds them again, and tells at once when the disk does not play along."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.store import hostlog
from gateway.store.counters import StoreCounters
from gateway.store.hostlog import HostLog, LogFailed
from gateway.store.logfile import PENDING, STAMP, segments
from gateway.wire.flow import run
from tests.store.lives import until

pytestmark = pytest.mark.anyio


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[HostLog]:
    """An empty log."""
    opened = HostLog(tmp_path / "stamps", 1 << 20, StoreCounters())
    yield opened
    await opened.close()


async def appended(log: HostLog, key: int, body: bytes) -> None:
    """Append and wait, as a flow does."""
    await log.append(STAMP, 0, key, body)


async def committed(log: HostLog, key: int, body: bytes) -> None:
    """Commit and wait, as a flow does."""
    await log.commit(STAMP, PENDING, key, body)


async def found(log: HostLog, key: int) -> list[bytes]:
    """Bodies under a key."""
    return [record.body for record in await run(log.find(key))]


async def test_append_then_find(log: HostLog) -> None:
    """What was appended is found, in order; other keys are not."""
    await asyncio.gather(*[run(appended(log, n % 3 + 1, b"%d" % n)) for n in range(9)])
    assert await found(log, 1) == [b"0", b"3", b"6"]
    assert await found(log, 99) == []
    assert log._counters.log_appended == 9


async def test_one_write_per_iteration(log: HostLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred records of one loop iteration are one write."""
    writes: list[int] = []
    real = os.write
    monkeypatch.setattr(hostlog.os, "write", lambda fd, data: writes.append(len(data)) or real(fd, data))
    await asyncio.gather(*[run(appended(log, 1, b"x")) for _ in range(100)])
    assert len(writes) == 1


async def test_a_note_never_fails(log: HostLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the store vouches for is written too, but neither a failing nor a slow disk holds its run up."""

    async def noted(body: bytes) -> None:
        await log.note(STAMP, 1, body)

    await run(noted(b"x"))
    assert await found(log, 1) == [b"x"]
    committing = run(committed(log, 2, b"y"))
    await asyncio.sleep(0)
    behind = run(noted(b"z"))
    assert not behind.done()
    await committing
    await behind
    assert await found(log, 1) == [b"x", b"z"]

    slow = threading.Event()
    monkeypatch.setattr(hostlog, "COMMIT_SECONDS", 0.05)
    monkeypatch.setattr(hostlog.os, "fsync", lambda _fd: slow.wait(5))
    late = run(committed(log, 2, b"late"))
    await asyncio.sleep(0)
    await asyncio.wait_for(run(noted(b"during")), 1)
    await asyncio.wait_for(run(noted(b"after")), 1)
    slow.set()
    with pytest.raises(LogFailed):
        await late
    await asyncio.sleep(0.1)
    assert await found(log, 1) == [b"x", b"z", b"during", b"after"]

    def full(_fd: int, _data: bytes) -> int:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(hostlog.os, "write", full)
    await run(noted(b"lost"))
    assert log._counters.log_errors == {"slow": 1, "full": 1}


async def test_group_commit(log: HostLog) -> None:
    """Many commits share few fsyncs, and each is found afterwards."""
    await asyncio.gather(*[run(committed(log, n + 1, b"x")) for n in range(200)])
    assert log._counters.log_fsyncs <= 3
    assert await found(log, 200) == [b"x"]


async def test_two_workers_share_the_log(log: HostLog) -> None:
    """What one worker writes another finds, in one order for both."""
    other = HostLog(log.directory, 1 << 20, StoreCounters())
    for n in range(20):
        await run(appended((log, other)[n % 2], 5, b"%d" % n))
    assert await found(log, 5) == await found(other, 5) == [b"%d" % n for n in range(20)]
    await other.close()


async def test_survives_a_restart(log: HostLog) -> None:
    """A new process finds what the old one wrote."""
    await run(appended(log, 5, b"kept"))
    after = HostLog(log.directory, 1 << 20, StoreCounters())
    assert await found(after, 5) == [b"kept"]
    await after.close()


async def test_big_log_is_read_in_a_thread(log: HostLog) -> None:
    """A log too big to be read on the spot is read in a thread, and many who ask share that."""
    body = b"x" * 200
    for _ in range(4):
        await asyncio.gather(*[run(appended(log, n + 1, body)) for n in range(500)])
    after = HostLog(log.directory, 1 << 20, StoreCounters())
    answers = await asyncio.gather(*[found(after, n + 1) for n in range(50)])
    assert all(answer == [body] * 4 for answer in answers)
    await after.close()


async def test_total_is_bounded(tmp_path: Path) -> None:
    """Segments rotate by size and the oldest go; the newest records stay findable."""
    counters = StoreCounters()
    log = HostLog(tmp_path, 300_000, counters)
    for n in range(60):
        await asyncio.gather(*[run(appended(log, n * 100 + k + 1, b"y" * 180)) for k in range(100)])
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 300_000 + 100_000
    assert counters.log_evicted > 5
    assert await found(log, 5999) == [b"y" * 180]
    assert await found(log, 1) == []
    await log.close()


async def test_idle_worker_does_not_write_into_a_removed_segment(tmp_path: Path) -> None:
    """A worker that slept while others rotated its segment away notices before anything is lost."""
    idle, busy = HostLog(tmp_path, 200_000, StoreCounters()), HostLog(tmp_path, 200_000, StoreCounters())
    await run(appended(idle, 1, b"first"))
    for _ in range(30):
        await asyncio.gather(*[run(appended(busy, 7, b"z" * 200)) for _ in range(100)])
    assert 1 not in segments(tmp_path)
    await run(appended(idle, 2, b"late"))
    assert await found(busy, 2) == [b"late"]
    await idle.close()
    await busy.close()


async def test_g3_disk_full_is_an_error_at_once(log: HostLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """G3: a full disk fails the commit with its kind, is counted, and the log works again when there is room."""

    def full(fd: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "no room")

    with monkeypatch.context() as patched:
        patched.setattr(hostlog.os, "write", full)
        with pytest.raises(LogFailed) as failed:
            await run(committed(log, 1, b"x"))
        assert failed.value.kind == "full"
    await run(committed(log, 1, b"y"))
    assert await found(log, 1) == [b"y"]
    assert log._counters.log_errors == {"full": 1}


async def test_g3_short_write_leaves_a_torn_record_that_is_skipped(
    log: HostLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G3: what a filling disk took of a record is skipped and counted; records after it are found."""
    real = os.write
    with monkeypatch.context() as patched:
        patched.setattr(hostlog.os, "write", lambda fd, data: real(fd, data[:-9]))
        with pytest.raises(LogFailed):
            await run(committed(log, 1, b"torn"))
    await run(committed(log, 1, b"whole"))
    assert await found(log, 1) == [b"whole"]
    assert log._counters.log_bad == 1


async def test_g3_read_only_directory(tmp_path: Path) -> None:
    """G3: a directory that cannot be written is an error at once."""
    (tmp_path / "stamps").write_text("a file where the directory should be")
    log = HostLog(tmp_path / "stamps", 1 << 20, StoreCounters())
    with pytest.raises(LogFailed):
        await run(committed(log, 1, b"x"))
    assert sum(log._counters.log_errors.values()) == 1
    await log.close()


async def test_g3_slow_fsync(log: HostLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """G3: nobody waits for a disk longer than the limit, nobody at all while it is known to be slow, and it recovers."""
    real = os.fsync
    stuck = True

    def slow(fd: int) -> None:
        import time  # noqa: PLC0415

        while stuck:
            time.sleep(0.01)
        real(fd)

    monkeypatch.setattr(hostlog, "COMMIT_SECONDS", 0.1)
    monkeypatch.setattr(hostlog.os, "fsync", slow)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    with pytest.raises(LogFailed) as failed:
        await run(committed(log, 1, b"x"))
    assert failed.value.kind == "slow"
    assert loop.time() - begun < 0.3
    begun = loop.time()
    with pytest.raises(LogFailed):
        await run(committed(log, 2, b"y"))
    assert loop.time() - begun < 0.05
    stuck = False
    await until(lambda: not log._slow)
    await run(committed(log, 3, b"z"))
    assert await found(log, 1) == [b"x"], "it got there after all"
