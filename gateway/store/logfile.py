"""How the host log looks on disk: numbered segments of records, each with length, checksum and JSON.

Rule of the file: a reader survives anything it finds. A torn or changed record is skipped and counted, and reading goes on
at the next record whose checksum holds.
"""

from __future__ import annotations

import hashlib
import os
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

STAMP = 1
LINK = 2
PENDING = 1
"""Flag: written while the store was out of reach."""
MAGIC = b"\xd1T"
HEAD = struct.Struct("<2sBBIIQ")
"""Magic, kind, flags, length of the body, checksum, key."""
BODY_LIMIT = 16 << 10
CHUNK = 32 << 10
"""Bytes a reader takes at a time beyond one largest record: half a millisecond of work."""


class Found(NamedTuple):
    """One whole record: where it is and what it says."""

    segment: int
    offset: int
    kind: int
    flags: int
    key: int
    body: bytes


def stamp_key(tenant: str, run: str, alias: str) -> int:
    """64 bits that name a binding."""
    return _key(f"s\0{tenant}\0{run}\0{alias}")


def link_key(tenant: str, identifier: str) -> int:
    """64 bits that name a tool-call or provider state id of a tenant."""
    return _key(f"l\0{tenant}\0{identifier}")


def _key(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def _checksum(kind: int, flags: int, key: int, body: bytes) -> int:
    return zlib.crc32(body, (kind << 24 | flags << 16) ^ (key & 0xFFFFFFFF) ^ (key >> 32))


def pack_record(kind: int, flags: int, key: int, body: bytes) -> bytes:
    """One record as written; the line end only makes `less` and `grep` bearable."""
    check = zlib.crc32(body, (kind << 24 | flags << 16) ^ (key & 0xFFFFFFFF) ^ (key >> 32))
    return b"%b%b\n" % (HEAD.pack(MAGIC, kind, flags, len(body), check, key), body)


def unpack(data: bytes, segment: int, base: int, *, final: bool) -> tuple[list[Found], int, int]:
    """Whole records in `data` (which begins at offset `base`), bytes used up, stretches skipped as bad.

    Bytes at the end that may still grow into a record are left, unless `final` says that nothing will follow.
    """
    found: list[Found] = []
    at = bad = 0
    end = len(data)
    while at < end:
        record, size = _one(data, at, segment, base)
        if record is not None:
            found.append(record)
            at += size
            continue
        following = _next(data, at + 1, segment, base)
        if following >= 0:
            bad += 1
            at = following
        elif final:
            bad += 1
            at = end
        elif size == 0:
            break
        else:
            bad += 1
            at = _growing(data, at + 1, segment, base)
            break
    return found, at, bad


def _one(data: bytes, at: int, segment: int, base: int) -> tuple[Found | None, int]:
    """The record at `at` and its size; None with size 0 when it is not whole, None with size 1 when it is none."""
    if len(data) - at < HEAD.size:
        return None, 0 if data.startswith(MAGIC[: len(data) - at], at) else 1
    magic, kind, flags, length, checksum, key = HEAD.unpack_from(data, at)
    if magic != MAGIC or length > BODY_LIMIT:
        return None, 1
    start = at + HEAD.size
    if start + length + 1 > len(data):
        return None, 0
    body = data[start : start + length]
    if _checksum(kind, flags, key, body) != checksum:
        return None, 1
    return Found(segment, base + at, kind, flags, key, body), HEAD.size + length + 1


def _next(data: bytes, at: int, segment: int, base: int) -> int:
    """Where the next record whose checksum holds begins; -1 when there is none."""
    while (at := data.find(MAGIC, at)) >= 0:
        if _one(data, at, segment, base)[0] is not None:
            return at
        at += 1
    return -1


def _growing(data: bytes, at: int, segment: int, base: int) -> int:
    """Where a record that is not whole yet may begin; the end of the data when nowhere."""
    while at < len(data) and _one(data, at, segment, base)[1] != 0:
        at = data.find(MAGIC[:1], at + 1)
        if at < 0:
            return len(data)
    return at


def path_of(directory: Path, segment: int) -> Path:
    """The file of a segment."""
    return directory / f"{segment:012d}.log"


def segments(directory: Path) -> list[int]:
    """Numbers of the segments there are, oldest first."""
    try:
        names = os.listdir(directory)  # noqa: PTH208 - names only, and often
    except FileNotFoundError:
        return []
    return sorted(int(name[:-4]) for name in names if name.endswith(".log") and name[:-4].isdigit())


def size_of(directory: Path, segment: int) -> int:
    """Bytes of a segment; 0 when it is gone."""
    try:
        return path_of(directory, segment).stat().st_size
    except FileNotFoundError:
        return 0


def read_piece(directory: Path, segment: int, offset: int, length: int = CHUNK) -> bytes:
    """Up to `length` bytes of a segment; empty when it is gone or ends there."""
    try:
        with path_of(directory, segment).open("rb", buffering=0) as file:
            return os.pread(file.fileno(), length, offset)
    except FileNotFoundError:
        return b""


def record_at(directory: Path, segment: int, offset: int) -> Found | None:
    """The record at a place; None when it is gone or not whole."""
    for length in (2048, HEAD.size + BODY_LIMIT + 1):
        record, _ = _one(read_piece(directory, segment, offset, length), 0, segment, offset)
        if record is not None:
            return record
    return None


def prune(directory: Path, limit: int) -> int:
    """Remove the oldest segments while all together are over `limit` bytes; the newest stays. How many were removed."""
    numbers = segments(directory)
    sizes = {number: size_of(directory, number) for number in numbers}
    total = sum(sizes.values())
    removed = 0
    for number in numbers[:-1]:
        if total <= limit:
            break
        path_of(directory, number).unlink(missing_ok=True)
        total -= sizes[number]
        removed += 1
    return removed


class Reader:
    """Walks the log from a position on; `step` reads one piece. Used from one thread at a time."""

    __slots__ = ("bad", "directory", "offset", "segment")

    def __init__(self, directory: Path, segment: int = 0, offset: int = 0) -> None:
        self.directory = directory
        self.segment = segment
        self.offset = offset
        self.bad = 0

    def step(self) -> list[Found] | None:
        """Records of the next piece; None at the end of what is there now."""
        numbers = [number for number in segments(self.directory) if number >= self.segment]
        if not numbers:
            return None
        if numbers[0] != self.segment:
            self.segment, self.offset = numbers[0], 0
        last = len(numbers) == 1
        data = read_piece(self.directory, self.segment, self.offset, BODY_LIMIT + CHUNK)
        at_end = len(data) < BODY_LIMIT + CHUNK
        found, used, bad = unpack(data, self.segment, self.offset, final=at_end and not last)
        self.bad += bad
        self.offset += used
        if at_end and not last:
            self.segment, self.offset = numbers[1], 0
            return found
        return found if found or used else None

    def behind(self) -> int:
        """Bytes that are not read yet."""
        numbers = [number for number in segments(self.directory) if number >= self.segment]
        total = sum(size_of(self.directory, number) for number in numbers)
        return total - (self.offset if numbers and numbers[0] == self.segment else 0)
