"""The account of a key or a tenant: what it may use, what it has used in this process, and what others have, as far as is known.

Rule of the file: a look costs a few comparisons of plain numbers. `cap_…` is how far this worker's own counts may go; what
other workers use is taken off it when they say so, and while they cannot be heard this worker keeps to its share.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from gateway.core.contract.fault import Fault, Kind
from gateway.live.window import SLOTS, Window
from gateway.store.shares import RUN_MS, Told, Use

if TYPE_CHECKING:
    from gateway.settings.model import LimitSettings

NO_CAP = 1 << 62
NEVER = float("-inf")
IDLE_SECONDS = RUN_MS / 1000
"""A run counts as running until so long after its last request began; a run of one request only while it is served."""
DAY_MS = 86_400_000
LATER_SECONDS = 60.0
"""A client is told to come again by itself when that is no later than this."""
MICRO = 1_000_000


class Limited(Fault):
    """A refusal by a limit. `limit` (requests, tokens, runs, spend) and `scope` (key, tenant) are metric labels."""

    def __init__(self, account: Account, limit: str, code: str, message: str, wait: float) -> None:
        super().__init__(
            Kind.RATE,
            code,
            message,
            retry=wait <= LATER_SECONDS,
            retry_after=max(1.0, wait),
            reason=f"limit_{limit}",
        )
        self.limit = limit
        self.scope = account.scope


@dataclass(slots=True)
class Elsewhere:
    """What other workers use, by their last word."""

    requests: int = 0
    tokens: int = 0
    loose: int = 0
    """Runs of one request that are being served."""
    spent: int = 0
    workers: int = 0


class Account:
    """Of one key or tenant. Not thread-safe: one event loop owns it. Money is millionths of a US dollar."""

    __slots__ = (
        "cap_requests",
        "cap_runs",
        "cap_spent",
        "cap_tokens",
        "changed",
        "day",
        "elsewhere",
        "in_flight",
        "limits",
        "loose",
        "name",
        "requests",
        "reserved",
        "runs",
        "runs_elsewhere",
        "scope",
        "spent",
        "tokens",
        "touched",
        "workers",
    )

    def __init__(self, scope: str, name: str, limits: LimitSettings, workers: int) -> None:
        """`workers` is how many share the limits at least."""
        self.scope = scope
        self.name = name
        self.requests, self.tokens = Window(), Window()
        self.runs: dict[str, float] = {}
        """Runs with a request lately, by when it began; the longest silent first."""
        self.loose = 0
        self.runs_elsewhere: set[str] = set()
        """Digests of runs that only other workers serve."""
        self.touched: set[str] = set()
        """Runs the others have not been told about."""
        self.in_flight = self.reserved = self.spent = self.day = 0
        self.elsewhere = Elsewhere()
        self.workers = workers
        self.changed = True
        self.limits = limits
        self.alone()

    @property
    def id(self) -> str:
        """Its name in the store: `key/…` or `tenant/…`."""
        return f"{self.scope}/{self.name}"

    # -- on the way of a request --------------------------------------------------------------------------------------

    def check(self, now: float, at_ms: int) -> None:
        """Raise Limited when one more request is too much; nothing is counted yet."""
        if self.requests.at(now) >= self.cap_requests:
            raise self._refusal("requests", self.requests, now, self.cap_requests - 1, self.limits.requests_per_minute)
        if self.tokens.at(now) + self.reserved >= self.cap_tokens:
            raise self._refusal("tokens", self.tokens, now, self.cap_tokens - 1, self.limits.tokens_per_minute)
        if self.limits.usd_per_day:
            self._today(at_ms)
            if self.spent >= self.cap_spent:
                raise Limited(
                    self,
                    "spend",
                    "spend_limit_reached",
                    f"This {self.scope} has spent its {self.limits.usd_per_day:g} USD of today; the next UTC day brings new ones.",
                    (DAY_MS - at_ms % DAY_MS) / 1000,
                )

    def count(self, now: float) -> None:
        """One more request, which `left` ends."""
        self.requests.add(now, 1)
        self.in_flight += 1
        self.changed = True

    def hold(self, run: str, *, named: bool, tokens: int, now: float) -> None:
        """Keep a place for a run, and tokens until the true ones are known. Raises Limited when there is no room."""
        if self.tokens.at(now) + self.reserved >= self.cap_tokens:
            raise self._refusal("tokens", self.tokens, now, self.cap_tokens - 1, self.limits.tokens_per_minute)
        if self.limits.concurrent_runs:
            self._place(run, named=named, now=now)
        elif not named:
            self.loose += 1
        self.reserved += tokens

    def _place(self, run: str, *, named: bool, now: float) -> None:
        runs = self.runs
        seen = runs.pop(run, NEVER) if named else NEVER
        if seen < now - IDLE_SECONDS:
            self._forget(now)
            if len(runs) + self.loose + len(self.runs_elsewhere) >= self.cap_runs:
                self._join(run, now)
        if named:
            runs[run] = now
            self.touched.add(run)
        else:
            self.loose += 1

    def _join(self, run: str, now: float) -> None:
        """No room for a new run; one that another worker serves is none. Raises Limited."""
        digest = run_digest(run)
        if digest in self.runs_elsewhere:
            self.runs_elsewhere.discard(digest)
            return
        oldest = next(iter(self.runs.values()), now)
        raise Limited(
            self,
            "runs",
            "rate_limited",
            f"This {self.scope} has its {self.limits.concurrent_runs} runs going; one is over {IDLE_SECONDS:g} seconds "
            "after its last request. Runs that are going go on.",
            max(1.0, oldest + IDLE_SECONDS - now) if not self.loose else 1.0,
        )

    def _forget(self, now: float) -> None:
        runs, before = self.runs, now - IDLE_SECONDS
        while runs and runs[oldest := next(iter(runs))] < before:
            del runs[oldest]

    def left(self, now: float, at_ms: int, *, loose: bool, reserved: int, used: tuple[int, int]) -> None:
        """The request is over: `used` are its tokens and its cost; what was kept for it is free again."""
        self.in_flight -= 1
        self.reserved -= reserved
        if loose:
            self.loose -= 1
        tokens, cost = used
        if tokens:
            self.tokens.add(now, tokens)
        if cost:
            self._today(at_ms)
            self.spent += cost
        self.changed = True

    def _refusal(self, what: str, window: Window, now: float, down_to: int, limit: int) -> Limited:
        wait = min(window.wait(now, max(0, down_to)), float(SLOTS))
        made = Limited(
            self,
            what,
            "rate_limited",
            f"This {self.scope} may use {limit} {what} a minute and has. Send the request again after the seconds that "
            "retry-after says.",
            min(LATER_SECONDS, max(1.0, wait)),
        )
        made.lines = (
            f"x-ratelimit-limit-{what}: {limit}\r\nx-ratelimit-remaining-{what}: 0\r\n"
            f"x-ratelimit-reset-{what}: {max(1, round(wait))}s\r\n"
        )
        return made

    # -- with the other workers ---------------------------------------------------------------------------------------

    def report(self, now: float, at_ms: int) -> Use:
        """What this worker has to say; it is said again whole each time, so saying it twice does no harm."""
        if self.limits.usd_per_day:
            self._today(at_ms)
        self._forget(now)
        self.changed = False
        touched, self.touched = self.touched, set()
        return Use(
            account=self.id,
            requests=self.requests.at(now),
            tokens=self.tokens.at(now) + self.reserved,
            loose=self.loose,
            spent=self.spent,
            day=self.day,
            runs=tuple(run_digest(run) for run in touched),
            runs_kept=2 * self.limits.concurrent_runs,
        )

    def told(self, told: Told) -> None:
        """What the others have used, by the store: this worker may use the rest."""
        self.elsewhere = Elsewhere(told.requests, told.tokens, told.loose, told.spent, told.workers)
        self.runs_elsewhere = set(told.runs).difference(map(run_digest, self.runs)) if told.runs else set()
        self._caps()

    def _caps(self) -> None:
        limits, other = self.limits, self.elsewhere
        self.cap_requests = limits.requests_per_minute - other.requests if limits.requests_per_minute else NO_CAP
        self.cap_tokens = limits.tokens_per_minute - other.tokens if limits.tokens_per_minute else NO_CAP
        self.cap_runs = limits.concurrent_runs - other.loose if limits.concurrent_runs else NO_CAP
        self.cap_spent = round(limits.usd_per_day * MICRO) - other.spent if limits.usd_per_day else NO_CAP

    def unheard(self, runs: tuple[str, ...]) -> None:
        """A report may not have come through: what it said goes into the next one."""
        self.changed = True
        self.touched.update(run for run in self.runs if run_digest(run) in runs)

    def alone(self) -> None:
        """The store cannot be asked: keep to one share among the workers there were, and to a share of the money that was left."""
        limits, sharers = self.limits, self._sharers()
        self.runs_elsewhere = set()
        self.cap_requests = max(1, limits.requests_per_minute // sharers) if limits.requests_per_minute else NO_CAP
        self.cap_tokens = max(1, limits.tokens_per_minute // sharers) if limits.tokens_per_minute else NO_CAP
        self.cap_runs = max(1, limits.concurrent_runs // sharers) if limits.concurrent_runs else NO_CAP
        left = max(0, round(limits.usd_per_day * MICRO) - self.spent - self.elsewhere.spent)
        self.cap_spent = self.spent + left // sharers if limits.usd_per_day else NO_CAP

    def renew(self, limits: LimitSettings, *, heard: bool) -> None:
        """New limits; what was counted stays."""
        self.limits = limits
        if heard:
            self._caps()
        else:
            self.alone()

    def _today(self, at_ms: int) -> None:
        """On another UTC day nothing is spent yet, here or elsewhere, until the others say so.

        A clock that went back over midnight goes on with the day it had; only one that was wrong by days begins anew.
        """
        day = at_ms // DAY_MS
        if self.day - 1 <= day <= self.day:
            return
        self.day, self.spent, self.elsewhere.spent = day, 0, 0
        if self.limits.usd_per_day:
            self.cap_spent = round(self.limits.usd_per_day * MICRO) // self._sharers()

    def _sharers(self) -> int:
        return max(self.workers, self.elsewhere.workers + 1)


def run_digest(run: str) -> str:
    """How a run of an account is named in the store: enough of its sha256 to tell it from the account's other runs."""
    return sha256(run.encode()).hexdigest()[:20]
