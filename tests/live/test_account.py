"""The account of a key or a tenant: what it lets in, alone, together and while others cannot be heard."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.live.account import DAY_MS, IDLE_SECONDS, Account, Limited, run_digest
from gateway.settings.model import LimitSettings
from gateway.store.shares import Told

NOON = DAY_MS * 20_000 + DAY_MS // 2
NOBODY = Told(0, 0, 0, 0, 0, ())


def account(workers: int = 1, **limits: float) -> Account:
    """An account that has heard from the store."""
    made = Account("key", "k", LimitSettings(**limits), workers)  # type: ignore[arg-type]
    made.told(NOBODY if workers == 1 else Told(0, 0, 0, workers - 1, 0, ()))
    return made


def refused(made: Account, now: float = 0.0, at_ms: int = NOON) -> Limited | None:
    """Ask for one more request; count it when it is let in."""
    try:
        made.check(now, at_ms)
    except Limited as error:
        return error
    made.count(now)
    return None


@given(st.lists(st.floats(0, 20, width=32), max_size=80), st.integers(1, 6))
def test_no_minute_has_more_requests_than_the_limit(gaps: list[float], limit: int) -> None:
    """Whatever the pace, no 60 seconds let in more than the limit; and who waits as told is let in."""
    made, let_in, now = account(requests_per_minute=limit), [], 1000.0
    for gap in gaps:
        now += gap
        error = refused(made, now)
        if error is None:
            let_in.append(now)
            assert sum(at > now - 60 for at in let_in) <= limit
        else:
            assert error.retry_after is not None and 1 <= error.retry_after <= 60
            assert refused(made, now + error.retry_after + 1.0) is None
            now += error.retry_after + 1.0
            let_in.append(now)


@given(st.lists(st.tuples(st.floats(0, 20, width=32), st.integers(0, 500), st.integers(0, 500)), max_size=40))
def test_tokens_overrun_by_no_more_than_one_request(requests: list[tuple[float, int, int]]) -> None:
    """With one request at a time, a minute holds at most the limit and what the last one brought."""
    made, used, now = account(tokens_per_minute=1000), [], 1000.0
    for gap, guess, true in requests:
        now += gap
        if refused(made, now) is not None:
            continue
        made.hold("r", named=True, tokens=guess, now=now)
        before = sum(n for at, n in used if at > now - 60)
        assert before < 1000
        made.left(now, NOON, loose=False, reserved=guess, used=(true, 0))
        used.append((now, true))
        assert (made.in_flight, made.reserved) == (0, 0)


def test_tokens_in_flight_count_by_their_estimate() -> None:
    """Requests that are being served keep others out before their tokens are known, and make room when they turn out small."""
    made = account(tokens_per_minute=100)
    assert refused(made) is None
    made.hold("r", named=True, tokens=100, now=0.0)
    error = refused(made)
    assert error is not None
    assert (error.limit, error.lines.split("\r\n")[0]) == ("tokens", "x-ratelimit-limit-tokens: 100")
    made.left(0.0, NOON, loose=False, reserved=100, used=(5, 0))
    assert refused(made) is None


def test_money_is_of_a_utc_day() -> None:
    """Who has spent the day's money is refused until midnight, without a retry, and starts the next day with all of it."""
    made = account(usd_per_day=0.01)
    assert refused(made) is None
    made.left(0.0, NOON, loose=False, reserved=0, used=(10, 10_000))
    error = refused(made)
    assert error is not None
    assert (error.code, error.limit, error.retry) == ("spend_limit_reached", "spend", False)
    assert error.retry_after == DAY_MS / 2000
    assert refused(made, at_ms=NOON + DAY_MS // 2) is None
    assert refused(made, at_ms=NOON + DAY_MS // 2 - 1) is None, "a clock that goes back over midnight goes on"
    assert refused(made, at_ms=NOON + 40 * DAY_MS) is None
    assert refused(made, at_ms=NOON) is None, "a clock that was wrong by days begins anew"


def test_a_run_that_goes_is_never_kept_out() -> None:
    """A new run finds no room, those that are going go on, and one that fell silent makes room."""
    made = account(concurrent_runs=2)
    for run, now in (("a", 0.0), ("b", 10.0), ("a", 20.0)):
        made.hold(run, named=True, tokens=0, now=now)
    with pytest.raises(Limited) as error:
        made.hold("c", named=True, tokens=0, now=30.0)
    assert (error.value.limit, error.value.retry) == ("runs", False)
    assert error.value.retry_after == 10.0 + IDLE_SECONDS - 30.0
    made.hold("b", named=True, tokens=0, now=40.0)
    made.hold("c", named=True, tokens=0, now=21.0 + IDLE_SECONDS)
    assert set(made.runs) == {"b", "c"}


def test_a_run_of_one_request_counts_while_it_is_served() -> None:
    """Agents that name no run take a place for as long as their request lasts."""
    made = account(concurrent_runs=1)
    made.hold("r-1", named=False, tokens=0, now=0.0)
    with pytest.raises(Limited) as error:
        made.hold("r-2", named=False, tokens=0, now=0.0)
    assert (error.value.retry, error.value.retry_after) == (True, 1.0)
    made.count(0.0)
    made.left(1.0, NOON, loose=True, reserved=0, used=(0, 0))
    made.hold("r-2", named=False, tokens=0, now=1.0)


def test_what_others_use_is_taken_off() -> None:
    """Requests, tokens, runs and money of other workers count; a run that another worker serves is not a new one."""
    made = account(requests_per_minute=5, concurrent_runs=3, usd_per_day=1)
    made.told(Told(4, 0, 1, 1, 900_000, (run_digest("x"), run_digest("y"))))
    assert (made.cap_requests, made.cap_spent, made.cap_runs) == (1, 100_000, 2)
    with pytest.raises(Limited):
        made.hold("z", named=True, tokens=0, now=0.0)
    made.hold("x", named=True, tokens=0, now=0.0)
    assert made.runs_elsewhere == {run_digest("y")}
    made.told(Told(0, 0, 0, 1, 0, (run_digest("x"), run_digest("y"))))
    assert made.runs_elsewhere == {run_digest("y")}


@given(st.integers(1, 4), st.integers(1, 20), st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=120))
def test_together_they_exceed_by_what_was_not_yet_told(
    workers: int, limit: int, events: list[tuple[int, bool]]
) -> None:
    """The stated error: whenever a worker lets a request in, all of them have at most the limit and what it had not heard of."""
    accounts = [account(workers, requests_per_minute=limit) for _ in range(workers)]
    said = [0] * workers
    heard = [0] * workers
    for number, exchanges in events:
        at = number % workers
        made = accounts[at]
        if exchanges:
            said[at] = made.report(0.0, NOON).requests
            heard[at] = sum(said) - said[at]
            made.told(Told(heard[at], 0, 0, workers - 1, 0, ()))
        elif refused(made) is None:
            others = sum(each.requests.total for each in accounts) - made.requests.total
            assert made.requests.total + others <= limit + (others - heard[at])


@given(st.integers(1, 8), st.integers(1, 100), st.integers(0, 50))
def test_alone_the_shares_make_no_more_than_the_whole(workers: int, limit: int, spent: int) -> None:
    """Workers that cannot hear each other let in the limit together, or one request each where it is smaller than they are."""
    shares, money = 0, 0
    for _ in range(workers):
        made = account(workers, requests_per_minute=limit, usd_per_day=limit)
        made.told(Told(0, 0, 0, workers - 1, spent * 1_000_000, ()))
        made.alone()
        shares += made.cap_requests
        money += made.cap_spent
    assert shares <= max(limit, workers)
    assert money <= max(0, limit - spent) * 1_000_000


def test_new_limits_keep_the_counts() -> None:
    """A reload changes what is allowed, not what was used."""
    made = account(requests_per_minute=2)
    assert [refused(made) for _ in range(2)] == [None, None]
    made.renew(LimitSettings(requests_per_minute=3), heard=True)
    assert refused(made) is None
    assert refused(made) is not None


def test_a_report_that_was_lost_is_made_again() -> None:
    """Runs the others have not heard of go into the next report."""
    made = account(concurrent_runs=5)
    made.hold("a", named=True, tokens=0, now=0.0)
    first = made.report(0.0, NOON)
    made.unheard(first.runs)
    assert made.report(0.0, NOON).runs == first.runs == (run_digest("a"),)
    assert made.report(0.0, NOON).runs == ()
