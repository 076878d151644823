"""A stored pair compared again with the rules of this version.

The rule: only a pair whose contents were kept whole is compared again. Of a redacted one some differences could not be seen any
more, and its line would then say less than is known.
"""

from __future__ import annotations

import msgspec

from gateway.core.contract.job import Job
from gateway.core.contract.pair import Line
from gateway.shadow import compare
from gateway.shadow.compare import Call, Tools
from gateway.store.pairs import Contents


def job_of(contents: Contents) -> Job | None:
    """The job that a pair was made from; None where it was not kept whole."""
    stored = contents.about.get("job", "")
    if contents.about.get("capture") != "full" or not stored or not contents.request:
        return None
    return msgspec.json.decode(stored, type=Job)


def again(line: Line, contents: Contents, tools: tuple[bytes, bytes]) -> Line | None:
    """The line as it would be today; None where the pair was not kept whole. `tools` are the canonical toolsets of the primary
    and the candidate, empty where a release brings none."""
    job = job_of(contents)
    if job is None:
        return None
    second = Call(line.secondary, contents.secondary) if line.secondary is not None else None
    return compare.line(
        job,
        contents.request,
        Call(line.primary, contents.primary),
        Call(line.candidate, contents.candidate),
        second,
        Tools(*tools),
    )
