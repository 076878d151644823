"""The prompt within a system instruction."""

from __future__ import annotations

import pytest

from gateway.core.contract.fault import Fault
from gateway.core.dialect.gemini.prompt import replaced, text


@pytest.mark.parametrize(
    ("instruction", "said", "after"),
    [
        (b"", None, b'{"parts":[{"text":"N\\n"}]}'),
        (b'"s"', None, b'{"parts":[{"text":"N\\n"}]}'),
        (b'{"role":"user"}', None, b'{"role":"user","parts":[{"text":"N\\n"}]}'),
        (b'{"parts":[ {"text" : "s"} ], "role":"x"}', "s", b'{"parts":[{"text" : "N\\n"}], "role":"x"}'),
        (b'{"parts":{"text":"s"}}', "s", b'{"parts":[{"text":"N\\n"}]}'),
        (b'{"parts":[{"x":1.0},{"text":"\\u00e9","y":2},{"text":"t"}]}', "é",
         b'{"parts":[{"x":1.0},{"text":"N\\n","y":2},{"text":"t"}]}'),
        (b'{"parts":[{"text":5}]}', None, b'{"parts":[{"text":"N\\n"},{"text":5}]}'),
        (b'{"parts":[]}', None, b'{"parts":[{"text":"N\\n"}]}'),
    ],
)  # fmt: skip
def test_the_first_text_part_is_the_prompt(instruction: bytes, said: str | None, after: bytes) -> None:
    """It is what is read and what is replaced; every other part keeps its bytes."""
    assert text(instruction) == said
    assert replaced(instruction, "N\n") == after
    assert text(after) == "N\n"


@pytest.mark.parametrize("instruction", [b'{"parts":[],"parts":[]}', b'{"parts":[{"text":"a","text":"b"}]}'])
def test_an_ambiguous_instruction_is_refused(instruction: bytes) -> None:
    """A provider that reads the other member would get another prompt than the one served."""
    with pytest.raises(Fault) as caught:
        replaced(instruction, "x")
    assert caught.value.code == "duplicate_key"
