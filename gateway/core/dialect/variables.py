"""Prompt variables as a request gives them: in the body's `trivet.vars`, or in the header `x-trivet-vars`.

Rule of the file: a variable that cannot mean anything is an error that names it, never silently left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from gateway.core.contract.fault import Fault, Kind
from gateway.core.contract.prompt import APP, Value
from gateway.core.dialect.splice import unbounded

OWN_MEMBER = "trivet"
"""The body member that is ours and never goes upstream."""
HEADER = b"x-trivet-vars"
NONE: Mapping[str, Value] = MappingProxyType({})

_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_values = msgspec.json.Decoder(dict[str, Any]).decode


def unknown(name: str) -> Fault:
    """No prompt that the alias has or had uses this variable."""
    return Fault(
        Kind.BAD_REQUEST,
        "unknown_variable",
        f"The variable `{name[:64]}` is used by no prompt of this alias's releases. Leave it out, or release a prompt that has it.",
        param=name[:64],
    )


def missing(name: str, release: str) -> Fault:
    """The prompt that is served needs a variable that the request does not give."""
    return Fault(
        Kind.BAD_REQUEST,
        "missing_variable",
        f"The prompt of release {release} needs the variable `{name}`: send it in the body as "
        f'"trivet": {{"vars": {{"{name}": …}}}}, or in the header x-trivet-vars.',
        param=name,
    )


def read(raw: bytes | None, header: bytes | None) -> Mapping[str, Value]:
    """The variables in the body's own member and in the header, as sent; empty where there is none.

    Raises Fault 400: `bad_variables` for what is no object of strings, numbers and booleans, `ambiguous_variable` when body
    and header give a name two values, `unknown_variable` for the reserved `app`.
    """
    values: dict[str, Value] = {}
    if raw is not None:
        own = _decode(_object, raw, OWN_MEMBER)
        if "vars" in own:
            values = _checked(_decode(_values, own["vars"], "trivet.vars"), "trivet.vars")
    if header is not None:
        if not header.isascii():
            raise _bad(
                "x-trivet-vars", "must be ASCII; write other characters as \\u escapes, or send them in the body"
            )
        for name, value in _checked(_decode(_values, header, "x-trivet-vars"), "x-trivet-vars").items():
            if name in values and values[name] != value:
                raise Fault(
                    Kind.BAD_REQUEST,
                    "ambiguous_variable",
                    f"The variable `{name[:64]}` has one value in the body and another in x-trivet-vars. Send it once.",
                    param=name[:64],
                )
            values[name] = value
    if APP in values:
        raise Fault(
            Kind.BAD_REQUEST,
            "unknown_variable",
            "The variable `app` is reserved: it stands for the system prompt that the request itself sends.",
            param=APP,
        )
    return values


def _decode(decode: Any, raw: bytes | msgspec.Raw, where: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = unbounded(decode, raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _bad(where, "must be a JSON object") from None
    return found


def _checked(values: dict[str, Any], where: str) -> dict[str, Value]:
    for name, value in values.items():
        if not isinstance(value, str | int | float):
            raise _bad(f"{where}.{name[:64]}", "must be a string, a number or a boolean")
    return values


def _bad(where: str, what: str) -> Fault:
    return Fault(Kind.BAD_REQUEST, "bad_variables", f"`{where}` {what}.", param=where)
