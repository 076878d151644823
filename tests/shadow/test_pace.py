"""When the shadow gives way: refusals, and quotas that are nearly spent."""

from __future__ import annotations

import pytest

from gateway.shadow.pace import LONGEST, Pace, pace

NOW = 1_800_000_000.0
WENT = Pace(limited=False, seconds=0.0)


@pytest.mark.parametrize(
    ("status", "fields", "body", "expected"),
    [
        (200, {}, b"", WENT),
        (500, {"retry-after": "9"}, b"", WENT),
        (429, {"retry-after": "7"}, b"", Pace(limited=True, seconds=7.0)),
        (529, {}, b"", Pace(limited=True, seconds=10.0)),
        (503, {"retry-after-ms": "100"}, b"", Pace(limited=True, seconds=1.0)),
        (429, {"retry-after": "99999"}, b"", Pace(limited=True, seconds=LONGEST)),
        (429, {}, b'{"error":{"code":"insufficient_quota"}}', Pace(limited=True, seconds=300.0)),
    ],
)
def test_refusals(status: int, fields: dict[str, str], body: bytes, expected: Pace) -> None:
    """A refusal for rate or load pauses for as long as the provider says, within bounds."""
    assert told(status, fields, body) == expected


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({"x-ratelimit-limit-requests": "100", "x-ratelimit-remaining-requests": "5"}, 0.0),
        ({"x-ratelimit-limit-requests": "100", "x-ratelimit-remaining-requests": "4"}, 10.0),
        ({"x-ratelimit-remaining-requests": "0"}, 0.0),
        (quota := {"x-ratelimit-limit-tokens": "1000", "x-ratelimit-remaining-tokens": "1"}, 10.0),
        ({**quota, "x-ratelimit-reset-tokens": "1m2.5s"}, 62.5),
        ({**quota, "x-ratelimit-reset-tokens": "20ms"}, 1.0),
        ({**quota, "x-ratelimit-reset-tokens": "30"}, 30.0),
        ({**quota, "x-ratelimit-reset-tokens": "soon"}, 10.0),
        ({**quota, "x-ratelimit-reset-tokens": "9h"}, LONGEST),
        (
            {
                "anthropic-ratelimit-input-tokens-limit": "1000",
                "anthropic-ratelimit-input-tokens-remaining": "10",
                "anthropic-ratelimit-input-tokens-reset": "2027-01-15T08:00:40Z",
                "anthropic-ratelimit-requests-limit": "50",
                "anthropic-ratelimit-requests-remaining": "49",
            },
            40.0,
        ),
    ],
)
def test_low_quotas(fields: dict[str, str], seconds: float) -> None:
    """Under a twentieth of a quota the rest is live traffic's, until it is back; what is not told is no reason."""
    assert told(200, fields) == Pace(limited=False, seconds=seconds)


def told(status: int, fields: dict[str, str], body: bytes = b"") -> Pace:
    """The judgement of an answer."""
    return pace(status, {name.encode(): value.encode() for name, value in fields.items()}, body, lambda: NOW)
