"""What releases declare, as templates that learnt ones are held against."""

from __future__ import annotations

import msgspec
import pytest

from gateway.control.declared import Declarations, Declared, named, text_units
from gateway.control.desk import Desk
from gateway.core.contract.alias import Split
from gateway.core.contract.release import Mode
from tests.control.conftest import Make, Place, with_legs

pytestmark = pytest.mark.anyio
TOOL = '[{"name":"look","description":"Looks.","parameters":{"type":"object","properties":{}}}]'


async def declared(desk: Desk, letter: str, **legs: tuple[Mode, str]) -> Declared:
    """What a release with these legs declares."""
    release = await with_legs(desk, letter, **legs)
    return (await Declarations().of(desk, {release, "rel_unknown", ""}))[release]


async def test_a_prompt_covers_its_texts_whatever_the_variables_hold(desk: Desk) -> None:
    """Variables are holes, a line of one may hold any number of lines; another word is another prompt."""
    found = await declared(desk, "B", prompt=(Mode.VERIFY, "Help {{name}}, today.\n{{docs}}\nBe brief."))
    assert found.governs == (True, False)
    assert found.covers(0, text_units("prompt", b'"Help Bob Stone, today.\\nA doc.\\nAnother.\\nBe brief."'))
    assert not found.covers(0, text_units("prompt", b'"Help Bob Stone, today.\\nA doc.\\nBe rude."'))
    assert not found.covers(1, text_units("tools", TOOL.encode()))


@pytest.mark.parametrize(
    "sent",
    [
        b'[{"type":"function","function":{"name":"look","description":"Looks.","parameters":{"type":"object","properties":{}}}}]',
        b'[{"name":"look","description":"Looks.","input_schema":{"type":"object","properties":{}}}]',
        b'[{"type":"function","name":"look","description":"Looks.","parameters":{"type":"object","properties":{}}}]',
    ],
)
async def test_a_toolset_covers_every_dialects_form_of_it(desk: Desk, sent: bytes) -> None:
    """Tools are compared in neutral words; another description is another toolset."""
    found = await declared(desk, "B", tools=(Mode.SERVE, TOOL))
    assert found.governs == (False, True)
    assert found.covers(1, text_units("tools", sent))
    assert not found.covers(1, text_units("tools", sent.replace(b"Looks.", b"Drops.")))


async def test_what_lets_the_application_through_governs_nothing(desk: Desk) -> None:
    """A prompt with the application's own in it, and one of an unknown form, answer for nothing."""
    assert (await declared(desk, "B", prompt=(Mode.SERVE, "Be kind. {{ app }}"))).governs == (False, False)
    assert (await declared(desk, "C", prompt=(Mode.SERVE, "Be {{kind"))).legs == (None, None)


async def test_an_alias_names_stable_warm_and_candidate(placed: Place, made: Make) -> None:
    """Every release that its runs may be bound to now, or that rollback may return to."""
    state = await placed("agent", {"*": "BA"})
    state = msgspec.structs.replace(state, split=Split(candidate="rel_c", salt="s", weights={"*": 1}))
    assert named(state) == {await made("A"), await made("B"), "rel_c"}


def test_tools_that_nobody_can_read_are_compared_as_they_are() -> None:
    """A cut or strange toolset is a text like any other."""
    assert text_units("tools", b'[{"name":"lo') and text_units("tools", b"[1]") and text_units("tools", b"") == ()
