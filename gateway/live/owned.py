"""What a provider keeps for one tenant is not another's to read, though the gateway calls with one key for all of them.

The rule: with `auth: keys` a body may name a file, a store of files or cached content that a record says is its tenant's, and
with the right `provider-state` any.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.core.contract.fault import Fault, Kind
from gateway.core.dialect.named import ANY_MARKS, MARKS, MOST, files

if TYPE_CHECKING:
    from gateway.live.life import Life
    from gateway.live.worker import Worker


async def check_named(worker: Worker, life: Life, sent: bytes) -> None:
    """Raise Fault 403 `missing_right` for a body that names what is not known to be its tenant's. It says nothing of the run:
    many may read the same."""
    if life.view.auth != "keys" or "provider-state" in life.caller.rights:
        return
    route, envelope = life.route, life.envelope
    assert route is not None
    if route.alias and envelope is not None and envelope.held:
        await _check(worker, life, envelope.held.rpartition("/")[2], "cachedContent")
    named = files(sent, MARKS.get(route.dialect, ANY_MARKS) if route.operation is not None else ANY_MARKS)
    if named is None:
        raise Fault(
            Kind.FORBIDDEN,
            "missing_right",
            f"This key lacks the right `provider-state`, and the body names more than {MOST} files, or is too large to look for "
            "them.",
        )
    for each in named:
        await _check(worker, life, each, "file_id")


async def _check(worker: Worker, life: Life, identifier: str, param: str) -> None:
    if await worker.store.linked(life.caller.tenant, (identifier,)) is None:
        raise Fault(
            Kind.FORBIDDEN,
            "missing_right",
            "This key may not use a file or other content that a provider keeps by its name: it lacks the right "
            "`provider-state`, and the name is not known to be its own. Upload it through this gateway, or ask for the right.",
            param=param,
        )
