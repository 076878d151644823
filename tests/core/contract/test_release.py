"""Release ids: the same triple has the same id, another triple another."""

from __future__ import annotations

import hashlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.contract.release import Leg, Mode, Params, Release, Snapshot, Triple, canonical, release_id

MODEL = "openai/gpt-4o-2024-08-06"


def test_id_is_the_digest_of_the_canonical_bytes() -> None:
    """A release can be named by whoever has its triple: rel_ and 16 hex digits of the sha256."""
    assert canonical(Triple(model=MODEL)) == b'{"model":"openai/gpt-4o-2024-08-06"}'
    assert (
        release_id(Triple(model=MODEL))
        == "rel_" + hashlib.sha256(b'{"model":"openai/gpt-4o-2024-08-06"}').hexdigest()[:16]
    )


def test_everything_the_provider_can_see_changes_the_id() -> None:
    """Model, prompt, tools, their modes and the params are inside the digest."""
    triples = [
        Triple(model=MODEL),
        Triple(model="openai/gpt-4o-2024-11-20"),
        Triple(model=MODEL, prompt=Leg(Mode.SERVE, "a" * 64)),
        Triple(model=MODEL, prompt=Leg(Mode.VERIFY, "a" * 64)),
        Triple(model=MODEL, tools=Leg(Mode.SERVE, "a" * 64)),
        Triple(model=MODEL, params=Params(set={"temperature": 0})),
        Triple(model=MODEL, params=Params(drop=("temperature",))),
        Triple(model=MODEL, params=Params(rename={"max_tokens": "max_completion_tokens"})),
    ]
    assert len({release_id(triple) for triple in triples}) == len(triples)


def test_what_is_about_a_release_does_not_change_its_id() -> None:
    """Blocking a release or noting something on it leaves its id alone."""
    triple = Triple(model=MODEL)
    blocked = Release(id=release_id(triple), triple=triple, blocked="wrong answers", note="of Tuesday", created_ms=7)
    assert release_id(blocked.triple) == blocked.id
    assert msgspec.json.decode(msgspec.json.encode(blocked), type=Release) == blocked


@given(st.permutations(["temperature", "top_p", "seed", "user"]))
def test_order_of_params_does_not_matter(names: list[str]) -> None:
    """Two people who write the same params in another order make the same release."""
    made = Triple(model=MODEL, params=Params(set=dict.fromkeys(names, 1)))
    assert release_id(made) == release_id(Triple(model=MODEL, params=Params(set=dict.fromkeys(sorted(names), 1))))


@pytest.mark.parametrize("text", ["gpt-4o", "/gpt-4o", "openai/", ""])
def test_a_model_without_provider_is_refused(text: str) -> None:
    """A model is written provider/model-id; the error shows how."""
    with pytest.raises(ValueError, match="provider/model-id"):
        Snapshot.parse(text)


def test_a_model_id_may_hold_slashes() -> None:
    """Only the first slash parts provider and model."""
    snapshot = Snapshot.parse("openrouter/meta/llama-4")
    assert (snapshot.provider, snapshot.model, str(snapshot)) == (
        "openrouter",
        "meta/llama-4",
        "openrouter/meta/llama-4",
    )
