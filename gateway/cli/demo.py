"""`trivet demo`: the whole story on this machine, without any provider's key."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Annotated

from cyclopts import Parameter

from gateway.cli.exits import Exit
from gateway.cli.reach import Failed


def demo(
    *,
    real: Annotated[bool, Parameter(negative="")] = False,
    fast: Annotated[bool, Parameter(negative="")] = False,
    seed: int = 7,
) -> int:
    """Watch a provider move a model behind its alias, and the runs behind Trivet stay on theirs.

    Starts a mock provider, an embedded store and the gateway in a temporary folder, lets agents work through the official
    openai SDK, crashes and resumes them, rolls back and prints the time it took, changes a prompt with a release and without
    one, lets a candidate answer in the shadow, stops one at the gate, promotes one by steps, takes one back that fails,
    and notices that a pinned model is not what it was.
    Nothing leaves this machine.

    Parameters
    ----------
    real
        Use two real quantisations of a small model, served on this machine (extra `local-llm`).
    fast
        Without pauses for the reader.
    seed
        Seed of the mock provider's noise.
    """
    import anyio  # noqa: PLC0415 - only this verb runs a loop

    if importlib.util.find_spec("openai") is None:
        raise Failed(Exit.USAGE, "the demo speaks through the official SDK: pip install 'trivet[demo,embedded]'")
    story = importlib.import_module("gateway.demo.story")
    code = anyio.run(lambda: story.tell(real=real, fast=fast, seed=seed))
    return int(code or Exit.OK)
