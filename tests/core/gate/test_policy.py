"""What a policy says where nothing else is said."""

from __future__ import annotations

import pytest

from gateway.core.contract.suite import SuiteKind
from gateway.core.gate.policy import DAY_MS, Declared, Policy, Tier


@pytest.mark.parametrize(
    ("kind", "margin", "repeats"),
    [(SuiteKind.TASK, 0.05, 1), (SuiteKind.SAFETY, 0.02, 1), (SuiteKind.REGRESSION, 0.0, 5)],
)
def test_each_kind_has_a_margin_and_repeats(kind: SuiteKind, margin: float, repeats: int) -> None:
    """The kind's own unless the suite says otherwise; a margin of 0 is said, not left out."""
    plain = Declared("s@1", "d" * 64, kind)
    assert (plain.tolerated, plain.asked) == (margin, repeats)
    own = Declared("s@1", "d" * 64, kind, margin=0.0, repeats=3)
    assert (own.tolerated, own.asked) == (0.0, 3)


def test_only_advisory_suites_do_not_block() -> None:
    """Critical and supporting block alike."""
    blocks = {tier: Declared("s@1", "d" * 64, SuiteKind.TASK, tier=tier).blocks for tier in Tier}
    assert blocks == {Tier.CRITICAL: True, Tier.SUPPORTING: True, Tier.ADVISORY: False}


def test_a_policy_is_strict_by_default() -> None:
    """One-sided 5 percent, no regression, two weeks, nothing declared."""
    policy = Policy()
    assert (policy.alpha, policy.allowance, policy.max_age_ms, policy.suites) == (0.05, 0, 14 * DAY_MS, ())
