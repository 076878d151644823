"""A shadow job: one live exchange to be repeated on a candidate, as the live worker handed it over. Field names are a public interface.

The rule: a job holds the client's own body, before rewriting, and names releases by id: what the candidate gets is made when
the job is worked on, in the same way as the live request was. The body and the answer's bytes stand beside the job, not in it.
"""

from __future__ import annotations

import msgspec

from gateway.core.contract.exchange import Observed, Outcome


class Job(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is known of the live exchange. Times are milliseconds."""

    pair: str
    """Id of the pair to be: `REQUEST.REL` of request id and candidate. The same job delivered twice makes one pair."""
    request: str
    tenant: str
    run: str
    alias: str
    step: int
    primary: str
    """Release that answered."""
    candidate: str
    """Release to compare it with."""
    dialect: str
    operation: str
    """`core.dialect.routes.Operation` of the request."""
    path: str
    """At the provider, with `{model}` where the dialect has the model in its path."""
    at_ms: int
    """Wall clock at admission."""
    query: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    """Fields of the client that belong to the request itself (versions, betas); never a credential."""
    stream: bool = False
    secondary: bool = False
    """Whether the primary's release is asked a second time, for noise."""
    probability: float = 1.0
    """Share of runs that were shadowed when this one was chosen."""
    capture: str = "none"
    """What may be kept of the contents: none, metrics, hashes, redacted, full."""
    status: int = 200
    outcome: Outcome = Outcome.OK
    first_byte_ms: float = 0.0
    total_ms: float = 0.0
    observed: Observed | None = None
    endpoint: str = ""
    replay_ms: int = 0
    """When it was made from a stored pair, to run a candidate over the past; 0 for what is live."""
