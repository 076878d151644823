"""What is kept of the probes by which a change of a model's behaviour is noticed: a reference, the window in progress, and what
earlier windows came to.

Rule of the file: texts are answers to the operator's own prompts, never anybody's traffic.
"""

from __future__ import annotations

import msgspec

from gateway.core.contract.records import Record

Texts = dict[str, tuple[str, ...]]
"""Answers by prompt."""
Chances = tuple[dict[str, float], ...]
"""Log-probabilities of the first token, a sample each."""


class Window(msgspec.Struct, frozen=True, omit_defaults=True):
    """A whole window, compared with the reference."""

    at_ms: int
    """When its last answer came."""
    statistic: float
    p: float
    calls: int


class Series(msgspec.Struct, frozen=True, omit_defaults=True):
    """The probes of one release with one set of prompts: a field of `trivet:probe:{SNAPSHOT}`."""

    epoch: int = 0
    """Drift epoch that the reference was recorded in."""
    reference: Texts = {}
    reference_ms: int = 0
    """When it was whole; 0 for none yet."""
    open: Texts = {}
    """The window in progress."""
    begun_ms: int = 0
    """When the last window was begun."""
    going: bool = False
    """A window is in progress."""
    failed: int = 0
    """Calls of the window in progress that came to nothing."""
    windows: tuple[Window, ...] = ()
    """Whole ones since the reference, oldest first."""
    discarded: int = 0
    """Windows that were not whole in time; they say nothing."""
    calls: int = 0
    """All of them, since the reference was begun."""
    wanted: str = ""
    """Why a window is to begin now, whatever the time."""
    fingerprints: tuple[str, ...] = ()
    """Those that answers had when windows began; another one hints at a change."""
    chances: bool | None = None
    """Whether answers come with log-probabilities; None while nobody asked."""
    chances_reference: Chances = ()
    chances_reference_ms: int = 0
    chances_open: Chances = ()
    chances_past: tuple[float, ...] = ()
    """Statistics of whole windows of log-probabilities, oldest first."""
    chances_next_ms: int = 0
    """When the next of them is to begin."""
    chances_failed: int = 0
    """Calls for the one in progress that came to nothing."""


class Passive(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the traffic of a stable release shows by itself: a field `passive:ALIAS:REL` of `trivet:probe:{SNAPSHOT}`."""

    seen: str = ""
    """The last entry of the alias's stream of runs of one request that is in here."""
    runs_ms: int = 0
    """Runs that were bound until then are in here."""
    units: int = 0
    """Requests and runs since the reference was begun."""
    lengths: tuple[int, ...] = ()
    """Output tokens of the first of them."""
    long: int = 0
    """Tokens above which an answer is long; 0 while that is not known."""
    bad: dict[str, int] = {}
    """Bad ones of the reference, by metric."""
    rates: dict[str, float] = {}
    """Rate that is tolerated, by metric, once the reference is whole."""
    sums: dict[str, tuple[float, ...]] = {}
    """The detector's sums, by metric."""
    alarms: int = 0
    alarm: str = ""
    """The metric that rose last,"""
    alarm_ms: int = 0
    """and when."""
    test: str = ""
    """It in words: the test, its statistic and threshold, and the reference."""
    unread: int = 0
    """Units of the reference whose answers nobody read for what their schema says."""
    reference_ms: int = 0
    """When the reference was whole."""


class ProbeProgress(Record, frozen=True):
    """How far the window of a release is, and what the last one came to: `trivet drift probe`."""

    alias: str
    release: str
    snapshot: str
    prompts: int
    samples: int
    done: int
    """Answers of the window in progress, of prompts times samples."""
    failed: int
    going: bool
    """There is more to ask: call again."""
    reference_ms: int
    """When the reference was recorded; 0 while this window is to be it."""
    windows: tuple[Window, ...]
    """The newest whole ones, oldest first."""
    discarded: int
    calls: int
    chances: bool | None
    """Whether log-probabilities are watched; None while nobody asked."""
    chances_past: tuple[float, ...]
    epoch: int
    alarm: str
    """Why the epoch is open: empty when nothing is."""
    told: str
    """What this call came to, in words."""
    chances_limit: float | None = None
    """What the newest of them had to exceed; None while there was too little to judge by."""
    chances_ms: int = 0
    """When their reference was recorded."""
