"""What all answers have in common: header lines, links, and how a lost one is told."""

from __future__ import annotations

import pytest

from gateway.live.answers import cut_fault
from tests.live.gateway import LiveGateway, release
from tests.provider import Provider, answer, chat_body, completion, raw, tool_call

PINNED = release("openai/gpt-4o-2024-08-06")


def test_account_headers_stay_and_the_providers_own_pass(gateway: LiveGateway, provider: Provider) -> None:
    """C6: cookies and account names are not the client's; neither is a forged stamp of the provider's."""
    gateway.alias("gpt-4o", PINNED)
    extra = {"set-cookie": "a=b", "X-Trivet-Release": "rel_forged", "X-Own": "1"}
    provider.then(answer(chat_body("x", "gpt-4o-2024-08-06"), headers=extra))
    got = gateway.chat("gpt-4o")
    assert "set-cookie" not in got.headers
    assert (got.headers["x-own"], got.headers["x-trivet-release"]) == ("1", PINNED.id)


def test_ids_of_an_answer_link_and_another_model_is_flagged(gateway: LiveGateway, provider: Provider) -> None:
    """D10: the answer passes, and the alias's count of mismatches grows."""
    gateway.alias("gpt-4o", PINNED)
    provider.then(completion(model="gpt-3", tool_calls=[tool_call("call_answers0001")]))
    got = gateway.chat("gpt-4o")
    linked = gateway.flow(gateway.store.linked("default", ("call_answers0001",)))
    assert linked is not None and linked.run == got.headers["x-trivet-run"]
    assert any("model_mismatch_total" in name and value == 1 for name, value in gateway.counted.items())


def test_a_cut_is_the_providers_fault_and_is_not_tried_again() -> None:
    """It may have been worked on, and paid for."""
    fault = cut_fault("x")
    assert (fault.code, fault.status, fault.retry) == ("upstream_cut", 502, False)


@pytest.mark.parametrize("body", [b'{"id":', b""])
def test_a_lost_answer_is_an_error(gateway: LiveGateway, provider: Provider, body: bytes) -> None:
    """Nothing of it had been sent, so the client gets an error in its shape."""
    gateway.alias("gpt-4o", PINNED)
    provider.then(
        raw(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n" + body, close=True)
    )
    assert gateway.chat("gpt-4o").json["error"]["code"] == "upstream_cut"
