"""An eval suite: items in neutral words, each with the checks its answer must pass. A file is JSON Lines: a head, then items.

Rule of the file: an item is whole by itself. It says what is asked, what may be called, what a good answer does, and shows one
answer that passes and one that does not, so that a check that could not fail is noticed before it is used.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class SuiteKind(StrEnum):
    """What a suite is for; each kind has a margin and a verdict of its own."""

    TASK = "task"
    REGRESSION = "regression"
    SAFETY = "safety"


class Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The first line of a suite file."""

    suite: str
    """Name; `builtin/…` is Trivet's own."""
    version: int
    kind: SuiteKind
    about: str = ""


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A tool call: of the history an item comes with, or of the answer to it."""

    name: str
    arguments: dict[str, object] = {}
    id: str = ""


class Offered(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A tool that the model may call."""

    name: str
    description: str = ""
    parameters: dict[str, object] = {}
    """JSON Schema of the arguments."""


class Said(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One message of an item. The release brings the system prompt, so `system` is rare: an agent's own, before the rest."""

    role: str
    """system, user, assistant or tool."""
    content: str = ""
    calls: tuple[Asked, ...] = ()
    """Of an assistant: the calls it made."""
    call: str = ""
    """Of a tool: id of the call this is the result of."""


class Check(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What must hold of an answer: every member that is there. Texts are compared with white space folded, case kept
    where `exact` or `regex` say so themselves."""

    exact: tuple[str, ...] = ()
    """The text is one of these, after trimming white space, quotes and a final full stop; case is ignored."""
    contains: tuple[str, ...] = ()
    """Every one of these is in the text; case is ignored. A `|` inside separates alternatives of which one must be."""
    lacks: tuple[str, ...] = ()
    """None of these is in the text or in the arguments of a call; case is ignored."""
    regex: str = ""
    """Found somewhere in the text (Python syntax, case matters unless `(?i)`)."""
    json: dict[str, object] | None = None
    """The text is JSON (a code fence around it is taken off) that fits this JSON Schema."""
    calls: tuple[Asked, ...] = ()
    """Each of these is called; arguments named here have these values (strings: case and outer white space ignored)."""
    not_called: tuple[str, ...] = ()
    """None of these tools is called; `*` is any tool."""
    refused: bool | None = None
    """The answer declines (True), or does not decline (False)."""
    judge: str = ""
    """A rubric that the pinned judge answers with yes or no. Needs `judge` in the alias's gate."""


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An example of an answer."""

    text: str = ""
    calls: tuple[Asked, ...] = ()


class Item(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One line of a suite after its head."""

    id: str
    messages: tuple[Said, ...]
    check: Check
    good: Answer
    """Passes the check."""
    bad: Answer
    """Does not."""
    tools: tuple[Offered, ...] = ()
    category: str = ""
    group: str = ""
    """Items that share a source are one cluster."""
    max_tokens: int = 300


class Suite(msgspec.Struct, frozen=True):
    """A suite as read. `digest` is the sha256 of its canonical bytes, 64 hex digits."""

    head: Head
    items: tuple[Item, ...]
    digest: str
