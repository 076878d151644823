"""Splice: a body that two parsers could read differently is refused, and nothing but the edited members changes."""

from __future__ import annotations

import json
import re
import sys
import time
import tracemalloc
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.contract.fault import Fault, Kind
from gateway.core.dialect import splice as module
from gateway.core.dialect.splice import scan, splice, unbounded

INVALID = {
    "empty": b"",
    "blank": b" \n",
    "truncated": b'{"a":1',
    "truncated string": b'{"a":"x',
    "trailing bytes": b'{"a":1}x',
    "trailing object": b'{"a":1}{"a":2}',
    "trailing nul": b'{"a":1}\x00',
    "byte order mark": b'\xef\xbb\xbf{"a":1}',
    "utf-16": '{"a":1}'.encode("utf-16"),
    "utf-16 without mark": '{"a":1}'.encode("utf-16-le"),
    "utf-32": '{"a":1}'.encode("utf-32"),
    "latin-1": '{"a":"ä"}'.encode("latin-1"),
    "latin-1 key": '{"ä":1}'.encode("latin-1"),
    "latin-1 deep key": '{"a":{"ä":1}}'.encode("latin-1"),
    "overlong utf-8": b'{"a":"\xc0\xaf"}',
    "surrogate in utf-8": b'{"a":"\xed\xa0\x80"}',
    "NaN": b'{"a":NaN}',
    "Infinity": b'{"a":Infinity}',
    "minus Infinity": b'{"a":[-Infinity]}',
    "1e400": b'{"a":1e400}',
    "deep 1e400": b'{"a":[{"b":[1, -1.5E+400 ]}]}',
    "padded exponent": b'{"a":1e0000400}',
    "digits without exponent": b'{"a":' + b"9" * 400 + b"}",
    "digits and a small exponent": b'{"a":' + b"9" * 299 + b".5e10}",
    "lone high surrogate": b'{"a":"\\ud800"}',
    "lone low surrogate": b'{"a":"\\uDC00"}',
    "two high surrogates": b'{"a":"\\uD83D\\uD83D"}',
    "deep lone surrogate": b'{"a":{"b":["\\ud800x"]}}',
    "lone surrogate in a key": b'{"\\ud800":1}',
    "lone surrogate in a deep key": b'{"a":{"\\udfff":1}}',
    "control character": b'{"a":"\x01"}',
    "raw newline in a string": b'{"a":"x\ny"}',
    "control character in a key": b'{"a":{"b\x1f":1}}',
    "vertical tab": b'\x0b{"a":1}',
    "leading zero": b'{"a":01}',
    "bare point": b'{"a":1.}',
    "bare exponent": b'{"a":1e}',
    "plus": b'{"a":+1}',
    "bad escape": b'{"a":"\\x"}',
    "short unicode escape": b'{"a":"\\u12"}',
    "trailing comma": b'{"a":1,}',
    "trailing comma in an array": b'{"a":[1,]}',
    "single quotes": b"{'a':1}",
    "bare key": b"{a:1}",
    "comment": b'{"a":1/**/}',
    "Python literal": b'{"a":True}',
    "array": b"[]",
    "null": b"null",
    "string": b'"x"',
    "number": b"1",
}


@pytest.mark.parametrize("case", INVALID)
def test_what_is_not_one_json_object_is_refused(case: str) -> None:
    """Faults row B1: 400 `invalid_json`, no param, reason `json`, and nothing of the body in the message."""
    with pytest.raises(Fault) as caught:
        scan(INVALID[case])
    fault = caught.value
    assert (fault.kind, fault.code, fault.param, fault.reason, fault.status) == (
        Kind.BAD_REQUEST,
        "invalid_json",
        None,
        "json",
        400,
    )
    assert "ä" not in fault.message and "400" not in fault.message


VALID = {
    "empty object": b"{}",
    "blank object": b" { \n } ",
    "long integer": b'{"a":123456789012345678901234567890}',
    "1.0": b'{"a":1.0,"b":1}',
    "small exponent": b'{"a":1e-400}',
    "large exponent that fits": b'{"a":1e308,"b":[1.7e+308]}',
    "escaped pair": b'{"a":"\\uD83D\\uDE00"}',
    "escaped backslash before ud800": b'{"a":"\\\\ud800"}',
    "number in a string": b'{"a":"see: 1e400, or [9e999] and -1e400 "}',
    "hash in a string": b'{"a":"3e400","b":"00e0000e12345"}',
    "no numbers in a string": b'{"a":" 1e000e000 , 1.2.3e000, +.e000 "}',
    "digits in a string": b'{"a":"x: ' + b"9" * 500 + b' "}',
    "delete character": b'{"a":"\x7f"}',
    "non-characters": '{"a":"\ufffe\uffff"}'.encode(),
    "every literal": b'{"a":[true,false,null]}',
    "byte order mark in a string": b'{"a":"\xef\xbb\xbf"}',
}


@pytest.mark.parametrize("case", VALID)
def test_valid_bodies_pass_as_they_are(case: str) -> None:
    """Faults row B4: numbers beyond 64 bits, 1.0, escapes and raw Unicode pass byte for byte."""
    body = VALID[case]
    members = scan(body)
    assert list(members) == list(json.loads(body))
    assert splice(members, {}) == body


@pytest.mark.parametrize("character", ["é", "中", "😀"])
def test_long_text_is_checked_as_a_whole(character: str) -> None:
    """A character may stand across the edge of two pieces, and one that is broken there, or at the end, is found."""
    raw = character.encode()
    for shift in range(5):
        head = b'{"a":"' + b"x" * (module.PIECE_BYTES - 10 + shift)
        tail = b"y" * module.PIECE_BYTES + b'"}'
        body = head + raw * 3 + tail + b" " * (module.PIECE_BYTES // 2)
        assert splice(scan(body), {}) == body
        for bad in (head + raw * 2 + raw[:-1] + tail, head + raw + raw[1:] + tail, head + b'":1}' + raw[:-1]):
            with pytest.raises(Fault) as caught:
                scan(bad)
            assert caught.value.code == "invalid_json"


def nested(levels: int, opener: bytes = b"[", closer: bytes = b"]") -> bytes:
    """An object whose deepest value is on this level."""
    return (
        b'{"a":' + opener * (levels - 1) + (b"1" if opener != b"[" else b"") + closer * (levels - 1) + b',"model":"m"}'
    )


@pytest.mark.parametrize(("opener", "closer"), [(b"[", b"]"), (b'{"k":', b"}")])
def test_1024_levels_are_handled(opener: bytes, closer: bytes) -> None:
    """Faults row B2: the deepest body that is handled is spliced like any other, and stays readable for orjson."""
    body = nested(1024, opener, closer)
    assert orjson.loads(splice(scan(body), {"model": b'"n"'}))["model"] == "n"


@pytest.mark.parametrize("levels", [1025, 5000, 100_000])
@pytest.mark.parametrize(("opener", "closer"), [(b"[", b"]"), (b'{"k":', b"}")])
def test_1025_levels_are_refused(levels: int, opener: bytes, closer: bytes) -> None:
    """Faults row B2: one level more is 400 `json_depth`."""
    with pytest.raises(Fault) as caught:
        scan(nested(levels, opener, closer))
    assert (caught.value.code, caught.value.reason, caught.value.status) == ("json_depth", "json_depth", 400)


def test_deep_and_broken_is_invalid() -> None:
    """A body that is nested deep but not JSON is refused as not JSON."""
    with pytest.raises(Fault) as caught:
        scan(b'{"a":' + b"[" * 1000 + b"]" * 999 + b"}")
    assert caught.value.code == "invalid_json"


def test_deep_and_huge_is_refused() -> None:
    """Beyond DEEP_BYTES a body may not be nested deeper than the decoder follows: no value of it is built."""
    depth = 1010 if module._GUARDED else 1030
    body = b'{"pad":"' + b"x" * module.DEEP_BYTES + b'","a":' + b"[" * depth + b"]" * depth + b"}"
    with pytest.raises(Fault) as caught:
        scan(body)
    assert caught.value.code == "json_depth"


def test_the_bound_holds_where_the_interpreter_allows_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """On interpreters whose C code may recurse deeper, the brackets are counted: same answers."""
    monkeypatch.setattr(module, "_GUARDED", False)
    scan(nested(1024))
    scan(b'{"a":[' + b",".join([b"[]"] * 2000) + b"]}")
    with pytest.raises(Fault) as caught:
        scan(nested(1025))
    assert caught.value.code == "json_depth"


def test_many_brackets_are_not_depth(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of brackets side by side, in strings too, are no nesting; levels count exactly, brackets in strings never."""
    monkeypatch.setattr(module, "_GUARDED", False)
    flat = {"a": [[{"b": "[[[{{{"}] for _ in range(2000)], "s": '"]}' * 700, "t": "[" * 3000}
    assert len(scan(json.dumps(flat).encode())) == 3
    hidden = b'{"a":' + b'["]",' * 1030 + b"1" + b"]" * 1030 + b"}"
    with pytest.raises(Fault) as caught:
        scan(hidden)
    assert caught.value.code == "json_depth"
    scan(b'{"a":' + b'["]",' * 1000 + b"1" + b"]" * 1000 + b',"b":[' + b"[]," * 600 + b"1]}")


def test_the_recursion_limit_is_put_back() -> None:
    """Reading a deep body leaves the interpreter's limit as it was, also when the decoder raises."""
    before = sys.getrecursionlimit()
    scan(nested(1024))

    def fails(raw: bytes | msgspec.Raw) -> int:
        if sys.getrecursionlimit() == before:
            raise RecursionError
        raise msgspec.DecodeError

    with pytest.raises(msgspec.DecodeError):
        unbounded(fails, b"")
    assert sys.getrecursionlimit() == before


DUPLICATES = {
    "model": b'{"model":"a","model":"b"}',
    "same value": b'{"model":"a","messages":[],"model":"a"}',
    "stream": b'{"stream":true,"model":"m","stream":false}',
    "messages": b'{"messages":[],"messages":[1]}',
    "escaped": b'{"model":"a","mod\\u0065l":"b"}',
    "escaped first": b'{"\\u006dodel":"a","model":"b"}',
    "escaped slash": b'{"a/b":1,"a\\/b":2}',
    "far apart": b'{"a":1,"b":2,"c":[{"a":1}],"d":"a","a":1}',
    "three": b'{"a":1,"a":1,"a":1}',
    "empty name": b'{"":1,"":1}',
    "crafted to stay in step": b'{"a":"1","b":"x","a":"1,\\"b\\":"}',
    "second hidden in a string": b'{"a":1,"b":"\\",\\"a\\":1","a":1}',
    "numbers": b'{"a":1,"b":2,"a":11}',
    "not ascii": '{"ä":1,"\\u00e4":2}'.encode(),
    "pair": b'{"\\ud83d\\ude00":1,"\xf0\x9f\x98\x80":2}',
}


@pytest.mark.parametrize("case", DUPLICATES)
def test_a_name_that_stands_twice_is_refused(case: str) -> None:
    """Faults row B3, rule R14: parsers keep the first or the last, so neither is taken, however the name is escaped."""
    with pytest.raises(Fault) as caught:
        scan(DUPLICATES[case])
    assert (caught.value.code, caught.value.reason, caught.value.status) == ("duplicate_key", "json_dup", 400)


def test_nested_repeats_are_not_ours() -> None:
    """Only top-level names decide anything here; what a schema inside does is between client and provider."""
    scan(b'{"tools":[{"a":1,"a":2}]}')


GOLDEN = [
    ("replace", b'{"model":"a","n":1}', {"model": b'"b"'}, b'{"model":"b","n":1}'),
    (
        "replace keeps white space",
        b' { "model" :\t"a" ,\n "n":1 }\n',
        {"model": b'"b"'},
        b' { "model" :\t"b" ,\n "n":1 }\n',
    ),
    ("replace an escaped name", b'{"mod\\u0065l":"a"}', {"model": b'"b"'}, b'{"mod\\u0065l":"b"}'),
    ("only the top level", b'{"t":{"model":"x"},"model":"a"}', {"model": b'"b"'}, b'{"t":{"model":"x"},"model":"b"}'),
    ("drop the first", b'{"a":1, "b":2}', {"a": None}, b'{ "b":2}'),
    ("drop the last", b'{"a":1, "b":2}', {"b": None}, b'{"a":1}'),
    ("drop from the middle", b'{"a":1, "b":2 ,"c":3}', {"b": None}, b'{"a":1,"c":3}'),
    ("drop all", b' {"a":1, "b":2}\n', {"a": None, "b": None}, b" {}\n"),
    ("drop what is not there", b'{"a":1}', {"z": None}, b'{"a":1}'),
    ("append", b'{"a":1}', {"z": b"[2]"}, b'{"a":1,"z":[2]}'),
    ("append to nothing", b" { } ", {"z": b"2"}, b' { "z":2} '),
    ("append after dropping all", b'{"a":1}', {"a": None, "z": b"2"}, b'{"z":2}'),
    ("append an odd name", b'{"a":1}', {'"\n': b"2"}, b'{"a":1,"\\"\\n":2}'),
    (
        "everything at once",
        b'{ "a":1, "b":2, "c":3 }',
        {"a": None, "b": b'"x"', "z": b"null"},
        b'{ "b":"x", "c":3 ,"z":null}',
    ),
    ("rename", b'{"max_tokens": 5,"n":1}', {"max_tokens": None, "m": b"5"}, b'{"n":1,"m":5}'),
]


@pytest.mark.parametrize(("body", "edits", "wanted"), [g[1:] for g in GOLDEN], ids=[g[0] for g in GOLDEN])
def test_edits(body: bytes, edits: dict[str, bytes | None], wanted: bytes) -> None:
    """Each kind of edit, byte for byte."""
    assert splice(scan(body), edits) == wanted


def test_members_are_found_by_their_meaning() -> None:
    """Look-ups take names as JSON means them and give values as sent; `text` reads strings only."""
    members = scan(b' {"mod\\u0065l" : "g\\u0070t", "n": 1.0 , "o":{"x":[1, 2]}}')
    assert members.get("model") == b'"g\\u0070t"'
    assert members.text("model") == "gpt"
    assert members.get("n") == b"1.0"
    assert members.text("n") is None
    assert members.text("none") is None
    assert members.get("o") == b'{"x":[1, 2]}'
    assert members.get("none") is None
    assert "model" in members and "x" not in members
    assert (list(members), len(members)) == (["model", "n", "o"], 3)


def test_too_many_members_are_refused() -> None:
    """A body of thousands of top-level members is no request of any API, and costs time for each."""
    scan(b"{" + b",".join(b'"m%d":1' % n for n in range(10_000)) + b"}")
    for count in (10_001, 600_000):
        with pytest.raises(Fault) as caught:
            scan(b"{" + b",".join(b'"m%d":1' % n for n in range(count)) + b"}")
        assert (caught.value.code, caught.value.reason, caught.value.status) == ("body_too_large", "body_size", 413)


def test_a_large_body_of_very_many_names_is_refused_unread() -> None:
    """Over LARGE_BYTES the colons are counted before anything is built."""
    with pytest.raises(Fault) as caught:
        scan(b'{"a":"' + b":" * module.LARGE_BYTES + b'"}')
    assert caught.value.code == "body_too_large"


def test_a_flood_of_number_like_text_is_refused_soon() -> None:
    """Text made to look like large exponents everywhere cannot hold the process up."""
    start = time.perf_counter()
    with pytest.raises(Fault) as caught:
        scan(b'{"a":"' + b"1e400 " * 2_000_000 + b'"}')
    assert caught.value.code == "body_too_large"
    assert time.perf_counter() - start < 5
    scan(b'{"a":"' + b"1e400 " * 50_000 + b'"}')


# -- properties ------------------------------------------------------------------------------------------------------

names = st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.sampled_from(
    ["model", "stream", "messages", "a"]
)
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    [',"model":"x"', '"}', "\\", "1e400"]
)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(names, values, max_size=8)
blanks = st.text(" \t\r\n", max_size=2)


@st.composite
def bodies(draw: st.DrawFn) -> tuple[bytes, list[tuple[str, bytes]]]:
    """A body written in some odd way, and its members: each name with the bytes of its value."""
    members = []
    parts = []
    for name, value in draw(objects).items():
        text = json.dumps(value, ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 1]))).encode()
        key = json.dumps(name, ensure_ascii=draw(st.booleans()))
        if draw(st.booleans()):
            key = re.sub("[a-z]", lambda m: f"\\u{ord(m[0]):04x}", key) if "\\" not in key else key
        members.append((name, text))
        parts.append(f"{draw(blanks)}{key}{draw(blanks)}:{draw(blanks)}".encode() + text + draw(blanks).encode())
    body = draw(blanks).encode() + b"{" + b",".join(parts) + b"}" + draw(blanks).encode()
    return body, members


@settings(max_examples=200, deadline=None)
@given(bodies(), st.dictionaries(names, st.none() | values.map(lambda v: json.dumps(v).encode()), max_size=4))
def test_splice_decodes_to_the_edited_object(
    written: tuple[bytes, list[tuple[str, bytes]]], edits: dict[str, bytes | None]
) -> None:
    """For any body and edits: the result means the edited object, in order, and untouched values keep their bytes."""
    body, members = written
    scanned = scan(body)
    assert [(name, scanned.get(name)) for name in scanned] == members
    result = splice(scanned, edits)
    wanted: dict[str, Any] = {name: json.loads(value) for name, value in members}
    for name, value in edits.items():
        if value is not None:
            wanted[name] = json.loads(value)
        else:
            wanted.pop(name, None)
    assert list(json.loads(result).items()) == list(wanted.items())
    again = scan(result)
    for name, value in members:
        if name not in edits:
            assert again.get(name) == value
    assert splice(scanned, dict(members)) == body


@settings(max_examples=200, deadline=None)
@given(bodies(), st.data())
def test_duplicates_are_always_refused(written: tuple[bytes, list[tuple[str, bytes]]], data: st.DataObject) -> None:
    """For any body: repeating any of its names anywhere, with any value and any escape, is refused."""
    _, members = written
    if not members:
        return
    name, value = data.draw(st.sampled_from(members))
    other = data.draw(values.map(lambda v: json.dumps(v).encode()) | st.just(value))
    key = (
        "".join(f"\\u{ord(c):04x}" if ord(c) < 0x10000 else c for c in name)
        if data.draw(st.booleans())
        else json.dumps(name)[1:-1]
    )
    parts = [json.dumps(n).encode() + b":" + v for n, v in members]
    parts.insert(data.draw(st.integers(0, len(parts))), f'"{key}":'.encode() + other)
    with pytest.raises(Fault) as caught:
        scan(b"{" + b",".join(parts) + b"}")
    assert caught.value.code == "duplicate_key"


@settings(max_examples=300, deadline=None)
@given(bodies(), st.data())
def test_what_is_accepted_is_what_orjson_accepts(
    written: tuple[bytes, list[tuple[str, bytes]]], data: st.DataObject
) -> None:
    """A second, stricter parser is the judge: of any mutated body, both accept it or both refuse it."""
    body = bytearray(written[0])
    for _ in range(data.draw(st.integers(0, 3))):
        where = data.draw(st.integers(0, len(body)))
        body[where : where + data.draw(st.integers(0, 2))] = data.draw(
            st.sampled_from(
                [b"", b'"', b"\\", b"{", b"}", b"[", b",", b":", b"1", b"e999", b"\xff", b"\x00", b"u", b" ", b"-"]
            )
        )
    try:
        judged = isinstance(orjson.loads(bytes(body)), dict)
    except orjson.JSONDecodeError:
        judged = False
    try:
        scan(bytes(body))
        accepted = True
    except Fault as fault:
        accepted = fault.code == "duplicate_key"
    assert accepted == judged


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text('0123456789.eE+-,: "[]x', max_size=12), max_size=6))
def test_numbers_beyond_a_double_are_found_wherever_they_stand(pieces: list[str]) -> None:
    """Text that looks like numbers is never taken for one, in strings between real numbers."""
    body = json.dumps({"a": [[piece, 1e300, 12] for piece in pieces]}).encode()
    scan(body)
    with pytest.raises(Fault):
        scan(body[:-1] + b',"z":[1e309 ]}')


def test_a_huge_body_costs_no_more_memory_than_its_bytes() -> None:
    """A body of very many values is checked without building any of them."""
    body = b'{"a":[' + b"[]," * 1_000_000 + b'1],"model":"m"}'
    tracemalloc.start()
    scan(body)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * len(body) + 4096


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_bodies_as_json_writers_make_them_are_cut_like_any_other(separators: tuple[str, str]) -> None:
    """The short way for evenly written bodies finds the same members as the long way, and refuses the same duplicates."""
    value = {"model": "a", "n": 1, "messages": [{"role": "user", "content": 'x, y: {"z"}'}], "é": None, "s": ""}
    plain = {name: each for name, each in value.items() if name.isascii()}
    for chosen in (value, plain):
        body = json.dumps(chosen, separators=separators, ensure_ascii=False).encode()
        members = scan(body)
        assert {name: json.loads(members.get(name) or b"") for name in members} == chosen
        assert json.loads(splice(members, {"model": b'"b"', "n": None, "new": b"2"})) == {
            **{name: each for name, each in chosen.items() if name != "n"},
            "model": "b",
            "new": 2,
        }
        odd = b" " + body[:-1] + b" }"
        assert json.loads(scan(odd).get("messages") or b"") == value["messages"]
    twice = json.dumps(plain, separators=separators).encode()[:-1] + f'{separators[0]}"n"{separators[1]}2}}'.encode()
    with pytest.raises(Fault) as refused:
        scan(twice)
    assert refused.value.code == "duplicate_key"
