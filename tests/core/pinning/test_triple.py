"""What keeps a triple from being released, by part."""

from __future__ import annotations

import pytest

from gateway.core.contract.fault import Fault
from gateway.core.contract.release import Leg, Mode, Params, Triple
from gateway.core.pinning.triple import check, problems

A, B = "a" * 64, "b" * 64
MODEL = "openai/gpt-4o-2024-08-06"
GOOD = Triple(
    MODEL,
    Leg(Mode.SERVE, A),
    Leg(Mode.VERIFY, B),
    Params({"temperature": 0}, ("top_k",), {"max_tokens": "max_completion_tokens"}),
)


def parts(triple: Triple) -> list[tuple[str, str]]:
    """Part and message of each problem, with one provider and one artifact of each kind known."""
    return [(p.part, p.message) for p in problems(triple, {"openai": None, "anthropic": ("claude-x",)}, {A, B})]


def test_a_good_triple_passes() -> None:
    """A whole triple, and one that pins only the model, have no problem."""
    assert parts(GOOD) == []
    assert parts(Triple(MODEL)) == []
    check(Triple(MODEL, params=GOOD.params), {"openai": None}, {A, B})


@pytest.mark.parametrize(
    ("triple", "part", "words"),
    [
        (Triple("gpt-4o"), "model", "provider/model-id"),
        (Triple(""), "model", "provider/model-id"),
        (Triple("openai/"), "model", "provider/model-id"),
        (Triple("/gpt-4o"), "model", "provider/model-id"),
        (Triple("anthropic/claude-y"), "model", "no endpoint of provider 'anthropic' serves it"),
        (Triple("mistral/mistral-large-2411"), "model", "no provider 'mistral'; configured are: anthropic, openai"),
        (Triple("openai/gpt 4o"), "model", "printable ASCII"),
        (Triple("openai/gpt-4ö"), "model", "printable ASCII"),
        (Triple("openai/gpt-4o\n"), "model", "printable ASCII"),
        (Triple("openai/" + "x" * 257), "model", "1 to 256"),
        (Triple(MODEL, prompt=Leg(Mode.SERVE)), "prompt", "mode `serve` needs an artifact"),
        (Triple(MODEL, prompt=Leg(Mode.VERIFY)), "prompt", "mode `verify` needs an artifact"),
        (Triple(MODEL, prompt=Leg(Mode.SERVE, "c" * 64)), "prompt", "artifact cccccccccccc… is not stored"),
        (Triple(MODEL, prompt=Leg(Mode.SERVE, "A" * 64)), "prompt", "64 hex digits"),
        (Triple(MODEL, prompt=Leg(Mode.SERVE, "support@v7")), "prompt", "64 hex digits"),
        (Triple(MODEL, prompt=Leg(Mode.AS_SENT, A)), "prompt", "takes no artifact"),
        (Triple(MODEL, tools=Leg(Mode.VERIFY)), "tools", "needs an artifact"),
        (Triple(MODEL, tools=Leg(Mode.SERVE, "c" * 64)), "tools", "is not stored"),
        (Triple(MODEL, tools=Leg(Mode.SERVE, "abc")), "tools", "64 hex digits"),
        (Triple(MODEL, params=Params({"model": "x"})), "params", "`model` belongs to the request"),
        (Triple(MODEL, params=Params(drop=("stream",))), "params", "`stream` belongs to the request"),
        (Triple(MODEL, params=Params(rename={"a": "trivet"})), "params", "`trivet` belongs to the request"),
        (Triple(MODEL, params=Params(rename={"messages": "m"})), "params", "`messages` is governed by the prompt leg"),
        (Triple(MODEL, params=Params(drop=("tools",))), "params", "`tools` is governed by the tools leg"),
        (Triple(MODEL, params=Params({"top_k": 1}, ("top_k",))), "params", "`top_k` is named more than once"),
    ],
)
def test_i2_the_part_at_fault_is_named(triple: Triple, part: str, words: str) -> None:
    """I2: a release with a bad model, a missing or ill-named artifact, or params that reach too far says which part it is."""
    found = parts(triple)
    assert [p for p, _ in found] == [part]
    assert words in found[0][1]


def test_i2_all_problems_are_named_at_once() -> None:
    """I2: three mistakes are one refusal that names all three, by part."""
    triple = Triple("gpt-4o", Leg(Mode.SERVE), Leg(Mode.SERVE, B), Params(drop=("model",)))
    with pytest.raises(Fault) as caught:
        check(triple, {}, set())
    fault = caught.value
    assert (fault.status, fault.code, fault.param) == (400, "bad_release", "model")
    for part in ("model: ", "prompt: ", "tools: ", "params: "):
        assert part in fault.message


def test_no_provider_at_all() -> None:
    """Without a single provider the message says so."""
    assert problems(Triple(MODEL), {}, ())[0].message.endswith("configured are: none.")
