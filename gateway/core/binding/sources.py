"""Where the run id of a request may come from, and what a run id may look like.

Rule of the file: a run id is safe in a key, a header and a log line as it stands, and is never read from a credential.
"""

from __future__ import annotations

import re

RUN_ID = re.compile(r"[A-Za-z0-9._:@-]{1,128}")
STATE = "state"
"""Source: `previous_response_id` or `conversation`, by ownership record."""
TOOL_CALLS = "tool_calls"
"""Source: results of tool calls that an answer of the run handed out."""
METADATA = "metadata."
"""Source prefix: a key of the body's `metadata`."""

TELLING_LENGTH = 8
LAST_WORD = re.compile(r"[^A-Za-z0-9]+")
HEADER = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,64}")
METADATA_KEY = re.compile(r"[A-Za-z0-9_.-]{1,64}")
TAKEN = frozenset(
    (
        "authorization",
        "proxy-authorization",
        "cookie",
        "api-key",
        "x-api-key",
        "x-goog-api-key",
        "x-trivet-key",
        "x-trivet-ticket",
        "x-trivet-resume",
        "x-trivet-step",
        "x-trivet-alias",
        "x-trivet-tools",
        "x-trivet-release",
        "x-trivet-capture",
        "x-trivet-vars",
        "connection",
        "content-length",
        "content-type",
        "host",
        "transfer-encoding",
    )
)
"""Headers that carry a credential or mean something else; none of them names a run."""


def valid_run_id(text: str) -> bool:
    """Whether the text may name a run: 1 to 128 of ASCII letters, digits and `._:@-`."""
    return RUN_ID.fullmatch(text) is not None


def telling(identifier: str) -> bool:
    """Whether a tool-call id can be of one call only: its last run of letters and digits has at least TELLING_LENGTH.

    OpenAI's have 24, Mistral's 9. Some servers count instead (`call_0`, `functions.search:0`): those ids come again in every
    run, and a link made of one would tie strangers together.
    """
    return len(LAST_WORD.split(identifier)[-1]) >= TELLING_LENGTH


def bad_source(text: str) -> str:
    """What is wrong with an entry of `runs.sources`, and what to write instead; empty when it may stand."""
    name = text.lower()
    if name in (STATE, TOOL_CALLS):
        return ""
    if name.startswith(METADATA):
        if METADATA_KEY.fullmatch(text[len(METADATA) :]):
            return ""
        return f"{text!r}: after `metadata.` comes a key of 1 to 64 letters, digits, `_`, `.` or `-`"
    if name in TAKEN:
        return f"{text!r} carries a credential or has another meaning, so it cannot name a run: use a header of its own"
    if HEADER.fullmatch(name):
        return ""
    return f"{text!r} is no header name, `{STATE}`, `{TOOL_CALLS}` or `{METADATA}KEY`"
