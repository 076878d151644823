"""Whether a triple can become a release, and if not, which part of it is at fault.

Rule of the file: a person who made a mistake in three places learns of all three at once, each named by its part of the triple.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from gateway.core.contract.fault import Fault, Kind
from gateway.core.contract.release import Leg, Mode, Params, Snapshot, Triple

DIGEST = re.compile(r"[0-9a-f]{64}")
MODEL_ID = re.compile(r"[!-~]{1,256}")
OWN = frozenset(("model", "stream", "trivet"))
"""Members of a request that a release never sets, drops or renames: the snapshot, and what belongs to the request."""
LEG_MEMBERS: Mapping[str, frozenset[str]] = {
    "prompt": frozenset(("messages", "system", "systemInstruction", "system_instruction", "instructions")),
    "tools": frozenset(("tools", "functions")),
}
"""Members that a leg of its own governs, so params keep off them."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one part: model, prompt, tools or params."""

    part: str
    message: str


def problems(
    triple: Triple, providers: Mapping[str, Collection[str] | None], artifacts: Collection[str]
) -> tuple[Problem, ...]:
    """All that keeps a triple from being released, in the order model, prompt, tools, params; empty when nothing does.

    `providers` are the configured names, each with the model ids that its endpoints serve, None where they serve any;
    `artifacts` are the digests that are stored.
    """
    return (
        *_model(triple.model, providers),
        *_leg("prompt", triple.prompt, artifacts),
        *_leg("tools", triple.tools, artifacts),
        *_params(triple.params),
    )


def check(triple: Triple, providers: Mapping[str, Collection[str] | None], artifacts: Collection[str]) -> None:
    """Raises Fault 400 `bad_release` with every problem in its message and the first part at fault as `param`."""
    found: Sequence[Problem] = problems(triple, providers, artifacts)
    if found:
        message = " ".join(f"{problem.part}: {problem.message}" for problem in found)
        raise Fault(Kind.BAD_REQUEST, "bad_release", message, param=found[0].part)


def _model(text: str, providers: Mapping[str, Collection[str] | None]) -> list[Problem]:
    try:
        snapshot = Snapshot.parse(text)
    except ValueError:
        return [Problem("model", "it must be written provider/model-id, for example openai/gpt-4o-2024-08-06.")]
    found = []
    if snapshot.provider not in providers:
        known = ", ".join(sorted(providers)) or "none"
        found.append(Problem("model", f"there is no provider {snapshot.provider[:64]!r}; configured are: {known}."))
    served = providers.get(snapshot.provider)
    if served is not None and snapshot.model not in served:
        found.append(
            Problem(
                "model", f"no endpoint of provider {snapshot.provider[:64]!r} serves it; add it to `models` of one."
            )
        )
    if not MODEL_ID.fullmatch(snapshot.model):
        found.append(Problem("model", "the id must be 1 to 256 printable ASCII characters without spaces."))
    return found


def _leg(part: str, leg: Leg, artifacts: Collection[str]) -> list[Problem]:
    if leg.mode is Mode.AS_SENT:
        return [Problem(part, "mode `as-sent` takes no artifact; leave it out.")] if leg.digest else []
    if not leg.digest:
        return [Problem(part, f"mode `{leg.mode.value}` needs an artifact; give its file, or use `as-sent`.")]
    if not DIGEST.fullmatch(leg.digest):
        return [Problem(part, "the artifact's digest must be the 64 hex digits of a sha256.")]
    if leg.digest not in artifacts:
        return [Problem(part, f"artifact {leg.digest[:12]}… is not stored; store it with the release, by its file.")]
    return []


def _params(params: Params) -> list[Problem]:
    touched = (*params.set, *params.drop, *params.rename, *params.rename.values())
    found = [
        Problem("params", f"`{name}` belongs to the request and cannot be changed.")
        for name in sorted(OWN & set(touched))
    ]
    for part, members in LEG_MEMBERS.items():
        found += [
            Problem("params", f"`{name}` is governed by the {part} leg.") for name in sorted(members & set(touched))
        ]
    twice = sorted({name for name in touched if touched.count(name) > 1})
    found += [Problem("params", f"`{name[:64]}` is named more than once in set, drop and rename.") for name in twice]
    return found
