"""Every key of the store, in one place. The braces are literal hash tags; names are percent-encoded so that no name can break out of its tag.

`docs/redis.md` documents each of these as a public interface, and a test keeps the two in step.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from urllib.parse import quote

from gateway.core.contract.run import run_digest

SCHEMA = 1
"""Schema version of everything below, kept in the `store` hash."""


DIGESTS = 1024
"""Runs whose RUN a worker has at hand; a step needs it twice."""


def remembered_digest() -> Callable[[str, str], bytes]:
    """`run_digest` as bytes, with a memory of the last runs."""
    return lru_cache(DIGESTS)(_digest)


def _digest(tenant: str, run: str) -> bytes:
    return run_digest(tenant, run).encode()


class Keys:
    """Key names under one prefix."""

    __slots__ = ("prefix",)

    def __init__(self, prefix: str = "trivet") -> None:
        self.prefix = prefix

    def store(self) -> str:
        """Hash: `instance` (random id of this store), `schema`, after a bootstrap `replaces` (`records.StoreIdentity`)."""
        return f"{self.prefix}:store"

    def aliases(self) -> str:
        """Set: names of all aliases."""
        return f"{self.prefix}:aliases"

    def releases(self) -> str:
        """Sorted set: release ids by creation time in milliseconds."""
        return f"{self.prefix}:releases"

    def workers(self) -> str:
        """Hash: worker id to its heartbeat."""
        return f"{self.prefix}:workers"

    def pointers(self) -> str:
        """Pub/sub channel: `ALIAS VERSION` after every pointer write, `REL 0` after a release record changed (block, unblock)."""
        return f"{self.prefix}:pointers"

    def artifact(self, digest: str) -> str:
        """String: canonical bytes of a prompt or toolset."""
        return f"{self.prefix}:artifact:{{{digest}}}"

    def labels(self) -> str:
        """Hash: label to the digest it names for ever."""
        return f"{self.prefix}:labels"

    def release(self, release: str) -> str:
        """String: a release as JSON."""
        return f"{self.prefix}:release:{{{release}}}"

    def release_runs(self, release: str) -> str:
        """Sorted set: RUN ids bound to the release, by the time of their last known binding."""
        return f"{self.prefix}:release-runs:{{{release}}}"

    def alias(self, alias: str) -> str:
        """Hash: version, epoch, stakes, a field per lane, the rollout."""
        return f"{self.prefix}:alias:{{{quote(alias, safe='')}}}"

    def history(self, alias: str) -> str:
        """Stream, never trimmed: every pointer write and transition."""
        return f"{self.prefix}:history:{{{quote(alias, safe='')}}}"

    def run(self, tenant: str, run: str) -> str:
        """Hash: a stamp per alias, the step counter; ttl."""
        return f"{self.prefix}:run:{{{run_digest(tenant, run)}}}"

    def journal(self, tenant: str, run: str) -> str:
        """Stream, ttl: plan, steps, outcomes of a run."""
        return f"{self.prefix}:journal:{{{run_digest(tenant, run)}}}"

    def steps(self, alias: str) -> str:
        """Stream, capped: plan and step of runs of one request."""
        return f"{self.prefix}:steps:{{{quote(alias, safe='')}}}"

    def link(self, tenant: str, identifier: str) -> str:
        """String, ttl: a tool-call or provider state id to its run."""
        return f"{self.prefix}:link:{{{quote(tenant, safe='')}/{quote(identifier, safe='')}}}"

    def limits(self, account: str) -> str:
        """Hash: what each worker used of the limits of `key/…` or `tenant/…` in its last minute."""
        return f"{self.prefix}:limits:{{{quote(account, safe='/')}}}"

    def limit_runs(self, account: str) -> str:
        """Sorted set: runs of an account that go on, by their last request."""
        return f"{self.prefix}:limit-runs:{{{quote(account, safe='/')}}}"

    def spend(self, account: str, day: str) -> str:
        """Hash, ttl: what each worker spent of an account's money on a UTC day."""
        return f"{self.prefix}:spend:{{{quote(account, safe='/')}}}:{day}"

    def exposures(self, alias: str) -> str:
        """Stream, bounded: which run was bound to which arm."""
        return f"{self.prefix}:exposures:{{{quote(alias, safe='')}}}"

    def events(self, alias: str) -> str:
        """Stream, bounded: guardrail observations."""
        return f"{self.prefix}:events:{{{quote(alias, safe='')}}}"

    def rollout_counts(self, alias: str) -> str:
        """Hash: what was counted of the rollout in progress or the last one, and how far the streams are read."""
        return f"{self.prefix}:rollout-counts:{{{quote(alias, safe='')}}}"

    def rollout_units(self, alias: str) -> str:
        """Set, ttl: units already counted, by metric; what makes each count once."""
        return f"{self.prefix}:rollout-units:{{{quote(alias, safe='')}}}"

    def control(self) -> str:
        """Hash: the control process that holds the lease, and when it last said so (by the store's clock)."""
        return f"{self.prefix}:control"

    def evidence(self, digest: str) -> str:
        """String: gate evidence as canonical JSON."""
        return f"{self.prefix}:evidence:{{{digest}}}"

    def evidences(self, alias: str) -> str:
        """Sorted set: digests of an alias's evidence, by the time it ended."""
        return f"{self.prefix}:evidences:{{{quote(alias, safe='')}}}"

    def gate(self, gate: str) -> str:
        """Hash, ttl: a gate run in progress, and the scores it has so far."""
        return f"{self.prefix}:gate:{{{quote(gate, safe='')}}}"

    def snapshot(self, snapshot: str) -> str:
        """Hash: what the sentinel knows of `provider/model-id`: its retirement, when it was asked, who was warned."""
        return f"{self.prefix}:snapshot:{{{quote(snapshot, safe='')}}}"

    def identities(self) -> str:
        """Stream, bounded, ttl: who answered for which snapshot, as answers say it, told by live workers."""
        return f"{self.prefix}:identities"

    def proofs(self) -> str:
        """Hash: release to whether it can be called, by its last calls."""
        return f"{self.prefix}:proofs"

    def probe(self, snapshot: str) -> str:
        """Hash, ttl: answers to probes of `provider/model-id`, a field per release and set of prompts."""
        return f"{self.prefix}:probe:{{{quote(snapshot, safe='')}}}"

    def probe_spend(self, day: str) -> str:
        """Hash, ttl: what the gateway's own probes took of a UTC day."""
        return f"{self.prefix}:probe-spend:{day}"

    def webhooks(self) -> str:
        """Hash: webhook and alias to the newest entry of its history that the webhook was told of."""
        return f"{self.prefix}:webhooks"

    def sightings(self) -> str:
        """Stream, bounded, ttl: which prompts and toolsets live workers saw, by digest, until the learner has read it."""
        return f"{self.prefix}:sightings"

    def texts(self) -> str:
        """Stream, bounded, ttl: prompts and toolsets as sent that were not seen before, until the learner has read them."""
        return f"{self.prefix}:texts"

    def templates(self, alias: str) -> str:
        """Hash: templates of prompts and toolsets that were seen in several requests."""
        return f"{self.prefix}:templates:{{{quote(alias, safe='')}}}"

    def learning(self, alias: str) -> str:
        """Hash, ttl: texts that are not settled yet, and the digests of those that are."""
        return f"{self.prefix}:learning:{{{quote(alias, safe='')}}}"

    def undeclared(self, alias: str) -> str:
        """Set: digests of prompts and toolsets that no release declares."""
        return f"{self.prefix}:undeclared:{{{quote(alias, safe='')}}}"

    def shadow_jobs(self) -> str:
        """Stream with one consumer group: live exchanges that wait for their candidate."""
        return f"{self.prefix}:shadow:jobs"

    def shadow_dead(self) -> str:
        """Stream, bounded: jobs that failed every time, with why."""
        return f"{self.prefix}:shadow:dead"

    def shadow_state(self) -> str:
        """Hash: what all shadow workers share: pauses, and what was spent."""
        return f"{self.prefix}:shadow:state"

    def shadow_done(self, alias: str) -> str:
        """Sorted set: pair ids that have their result, by time; bounded by the age a job can have."""
        return f"{self.prefix}:shadow-done:{{{quote(alias, safe='')}}}"

    def shadow_counts(self, alias: str) -> str:
        """Hash: results by candidate and word, `REL pair:identical`, `REL skip:tools` and so on."""
        return f"{self.prefix}:shadow-counts:{{{quote(alias, safe='')}}}"

    def shadow_replays(self, alias: str) -> str:
        """Sorted set, ttl: pair ids of a replay that were handed over, by time; bounded by the age a job can have."""
        return f"{self.prefix}:shadow-replays:{{{quote(alias, safe='')}}}"

    def erasures(self) -> str:
        """Stream, never trimmed: receipts of what was erased."""
        return f"{self.prefix}:erasures"

    def diffs(self, alias: str) -> str:
        """Stream, bounded: a line per pair, with its differences."""
        return f"{self.prefix}:diffs:{{{quote(alias, safe='')}}}"

    def pair(self, tenant: str, pair: str) -> str:
        """Hash, ttl: the exchanges of a pair and what is different between them."""
        return f"{self.prefix}:pair:{{{quote(tenant, safe='')}/{quote(pair, safe='')}}}"

    def run_of(self, digest: str) -> str:
        """The key of `run`, from RUN itself."""
        return f"{self.prefix}:run:{{{digest}}}"

    def journal_of(self, digest: str) -> str:
        """The key of `journal`, from RUN itself."""
        return f"{self.prefix}:journal:{{{digest}}}"
