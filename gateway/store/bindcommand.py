"""The BIND call as bytes: what never changes is packed once, the rest is put in by one format operation."""

from __future__ import annotations

from gateway.store.resp import argument, literal
from gateway.store.scripts import BIND, sha


class BindCommand:
    """The templates of the three modes of BIND, and the one way to fill them."""

    __slots__ = ("known", "new", "resume")

    def __init__(self, prefix: str, run_ms: int, journal_ms: int) -> None:
        """Lives of the run and of its journal in milliseconds."""
        size, text = len(prefix.encode()), literal(prefix)
        body = b"*11\r\n$7\r\nEVALSHA\r\n$40\r\n%b\r\n$1\r\n2\r\n" % sha(BIND).encode()
        body += b"$%d\r\n%b:run:{%%b}\r\n" % (size + 39, text)
        body += b"$%d\r\n%b:journal:{%%b}\r\n" % (size + 43, text)
        body += b"$%d\r\n%b\r\n$%d\r\n%b\r\n" + argument(b"%d" % run_ms) + argument(b"%d" % journal_ms)
        self.new, self.resume, self.known = (
            body + argument(mode) + b"$%d\r\n%b\r\n" for mode in (b"new", b"resume", b"known")
        )

    @staticmethod
    def fill(template: bytes, run: bytes, alias: str, stamp: bytes, label: str = "") -> bytes:
        """The whole command: `run` is RUN, `stamp` the stamp as JSON."""
        name, word = alias.encode(), label.encode()
        return template % (run, run, len(name), name, len(stamp), stamp, len(word), word)
