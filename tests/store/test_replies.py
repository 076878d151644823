"""Replies meet their commands in order, and a connection that has ended hands out nothing more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gateway.store.replies import Replies
from gateway.store.resp import ReplyError
from gateway.store.sinks import Sink


class Line:
    """Notes what a connection tells the line it belongs to."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.on_push: Callable[[bytes], None] = self.told.append
        self.replies = Replies(self)

    def drop(self, kind: str) -> None:
        """Given up."""
        self.told.append(kind)
        self.replies.open = False

    def refused(self, sink: Sink, reply: ReplyError) -> None:
        """An error of the server."""
        sink.fail(reply)

    def gone(self, replies: Replies, kind: str) -> None:
        """Lost."""
        self.told.append((replies, kind))


class Taker:
    """A sink that notes what it gets."""

    def __init__(self, then: Callable[[], None] = lambda: None) -> None:
        self.got: list[Any] = []
        self._then = then

    def done(self, value: Any) -> None:
        """An answer."""
        self.got.append(value)
        self._then()

    def fail(self, error: BaseException) -> None:
        """An error."""
        self.got.append(error)

    def counted(self, count: int) -> None:
        """Answers by number."""
        self.got.append(("counted", count))


def test_answers_come_in_order_whatever_comes_between() -> None:
    """Messages answer nothing; an error fails its own command only."""
    line, takers = Line(), [Taker(), Taker(), Taker()]
    line.replies.sinks.extend(takers)
    line.replies.data_received(b":1\r\n>3\r\n+message\r\n+c\r\n+hi\r\n-ERR no\r\n:3\r\n")
    assert [taker.got for taker in takers[::2]] == [[1], [3]]
    assert isinstance(takers[1].got[0], ReplyError)
    assert line.told == [b"hi"]
    assert line.replies.answered == 3


def test_a_quiet_sink_is_told_the_number() -> None:
    """Answers nobody looks at are counted once a read; an error among them still fails its command."""
    line, quiet, other = Line(), Taker(), Taker()
    line.replies.quiet = quiet
    line.replies.sinks.extend([quiet, other, quiet, quiet, quiet])
    line.replies.data_received(b":1\r\n:2\r\n:3\r\n")
    assert (quiet.got, other.got) == ([("counted", 2)], [2])
    line.replies.data_received(b":4\r\n-ERR no\r\n")
    assert quiet.got[1] == 4
    assert isinstance(quiet.got[2], ReplyError)


def test_a_reply_too_many_ends_the_connection() -> None:
    """What answers no command drops the line, and so do bytes that are no reply; of that read nothing is handed out."""
    line, taker = Line(), Taker()
    line.replies.sinks.append(taker)
    line.replies.data_received(b":1\r\n:2\r\n:3\r\n")
    assert (taker.got, line.told) == ([1], ["desync"])
    line, taker = Line(), Taker()
    line.replies.sinks.append(taker)
    line.replies.data_received(b":1\r\nHTTP/1.1\r\n")
    assert (taker.got, line.told) == ([], ["desync"])


def test_nothing_after_the_end() -> None:
    """When a sink drops the connection, the rest of the read reaches nobody, and no later read does."""
    for junk in (b"", b"-ERR no\r\n"):
        line, last = Line(), Taker()
        line.replies.sinks.extend([Taker(lambda line=line: line.drop("asked")), last, last])  # type: ignore[misc]
        line.replies.data_received(b":1\r\n:2\r\n" + junk)
        line.replies.data_received(b":3\r\n")
        assert (last.got, line.told) == ([], ["asked"])
    line.replies.connection_lost(None)
    assert line.told[1:] == [(line.replies, "closed")]
