"""Each script is one atomic step with the reply its text promises."""

from __future__ import annotations

import pytest

from gateway.core.contract.alias import AliasState, Lane, Split
from gateway.store.records import alias_fields, alias_state, encode_stamp
from gateway.store.scripts import BIND, CREATE_ALIAS, HEARTBEAT, LIVE, REPLAY, WRITE_POINTER, sha
from tests.store.lives import KEYS, Command, stamp, state
from tests.store.servers import RealRedis


@pytest.fixture
def tell(redis_server: RealRedis) -> Command:
    """Commands to an empty server."""
    return Command(redis_server)


def stored(tell: Command, name: str = "a") -> AliasState:
    """The state the store holds."""
    flat = [part.decode() for part in tell("HGETALL", KEYS.alias(name))]
    return alias_state(dict(zip(flat[::2], flat[1::2], strict=True)))


def test_names_are_what_the_server_says(tell: Command) -> None:
    """`sha` is the name the server gives a script."""
    for text in LIVE:
        assert tell("SCRIPT", "LOAD", text).decode() == sha(text)


def replay(tell: Command, release: str, at: int, steps: int = 0) -> list[object]:
    """REPLAY of one stamp of run r."""
    keys = (KEYS.run("t", "r"), KEYS.journal("t", "r"))
    data = encode_stamp(stamp("r", release, at=at))
    answer: list[object] = tell("EVAL", REPLAY, 2, *keys, "a", data, 10_000, 20_000, steps)
    return answer


def test_replay_fates(tell: Command) -> None:
    """Written, there already, there and earlier (kept), there and later (replaced); steps never go down."""
    tag = KEYS.run("t", "r")[-33:-1].encode()
    assert replay(tell, "rel_1", 500, 3) == [tag, 1]
    assert replay(tell, "rel_1", 400) == [tag, 0]
    assert replay(tell, "rel_2", 600) == [tag, 2]
    assert tell("HGET", KEYS.run("t", "r"), "steps") == b"3"
    assert replay(tell, "rel_3", 100, 1) == [tag, 3]
    assert b"rel_3" in tell("HGET", KEYS.run("t", "r"), "stamp:a")
    assert tell("XLEN", KEYS.journal("t", "r")) == 2
    assert tell("HGET", KEYS.run("t", "r"), "steps") == b"3"


def test_bind_says_when_the_stamp_is_the_given_one(tell: Command) -> None:
    """The stored stamp is told only where it differs from the given one."""
    keys = (KEYS.run("t", "r"), KEYS.journal("t", "r"))
    one, two = encode_stamp(stamp("r", "rel_1")), encode_stamp(stamp("r", "rel_2"))
    tag = KEYS.run("t", "r")[-33:-1].encode()
    assert tell("EVAL", BIND, 2, *keys, "a", one, 1000, 1000, "new", "") == [tag, 1, 1]
    assert tell("EVAL", BIND, 2, *keys, "a", one, 1000, 1000, "known", "") == [tag, 0, 2]
    assert tell("EVAL", BIND, 2, *keys, "a", two, 1000, 1000, "new", "") == [tag, 0, 3, one]
    assert tell("EVAL", BIND, 2, *keys, "b", two, 1000, 1000, "resume", "") == [tag, -1, 0]


def test_pointer_compare_and_set(tell: Command) -> None:
    """A write needs the stored version and an epoch that is not older; a refused write changes nothing."""
    tell.create(state(1))
    assert tell.move(state(2, lane="rel_2"))[:2] == [b"ok", 2]
    assert tell.move(state(2, lane="rel_3")) == [b"version", 2]
    assert stored(tell).lanes["*"].release == "rel_2"
    assert tell.move(state(9, "nobody")) == [b"missing", 0]
    keys = (KEYS.alias("a"), KEYS.history("a"))
    fields = [part for pair in alias_fields(state(3)).items() for part in pair]
    write = ("EVAL", WRITE_POINTER, 2, *keys, 2)
    assert tell(*write, 5, KEYS.pointers(), "a", 0, *fields)[:2] == [b"ok", 3]
    assert tell("EVAL", WRITE_POINTER, 2, *keys, 3, 4, KEYS.pointers(), "a", 0, *fields) == [b"epoch", 5]
    assert stored(tell).epoch == 5
    assert tell("XLEN", KEYS.history("a")) == 3


def test_a_written_state_is_whole(tell: Command) -> None:
    """Lanes and split that the new state does not have are gone; fields of other kinds stay."""
    full = AliasState("a", 1, {"*": Lane("rel_1"), "tenant:x": Lane("rel_2")}, split=Split("rel_3", "salt", {"*": 5}))
    tell.create(full)
    tell("HSET", KEYS.alias("a"), "later", "{}")
    assert stored(tell) == full
    tell.move(state(2, lane="rel_2"))
    assert stored(tell) == state(2, lane="rel_2")
    assert tell("HGET", KEYS.alias("a"), "later") == b"{}"


def test_create_only_once(tell: Command) -> None:
    """An alias is created once; a restored one keeps its version."""
    tell.create(state(7))
    keys = (KEYS.alias("a"), KEYS.history("a"))
    fields = [part for pair in alias_fields(state(1, lane="rel_x")).items() for part in pair]
    assert tell("EVAL", CREATE_ALIAS, 2, *keys, KEYS.pointers(), "a", 0, *fields) == [b"exists", 7]
    assert stored(tell) == state(7)


def test_heartbeat_is_dated_by_the_store(tell: Command) -> None:
    """A heartbeat carries the store's time, so that no two clocks are compared."""
    word, at = tell("EVAL", HEARTBEAT, 1, KEYS.workers(), "w", '"host":"h","pid":1}')
    assert word == b"beat"
    seconds, micros = tell("TIME")
    assert abs(int(seconds) * 1000 + int(micros) // 1000 - at) < 2000
    assert tell("HGET", KEYS.workers(), "w") == b'{"at_ms":%d,"host":"h","pid":1}' % at
