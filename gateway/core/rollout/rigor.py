"""Rigor in proportion: what an alias may do at its stakes. The table of DESIGN section 6, as data.

Rule of the file: a judgement is a cell of TABLE and nothing else, so changing what the gateway tolerates changes a cell. A cell
names what would excuse the matter, and the ruling with and without that excuse. Missing evidence is never an excuse.

Two classes are not in DESIGN's table and are judged so:
- `unpinnable`: the vendor publishes no better id. It is pinned by name as well as anybody can: allowed at low and standard with a
  warning and `x-trivet-pin: unknown`. At high a person must attest that it is fixed, and the attestation is recorded; refusing
  it outright would shut out every model that has only an undated id, without making any of them safer.
- `unknown`: nobody has written down what this host promises, or the operator names things himself (Azure deployments, own
  servers). Calling it floating would be as much a guess as calling it pinned, so it is judged as unpinnable is; ids that say of
  themselves that they move are classed floating by the table already.
A floating id cannot be attested: its vendor says that it moves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType

from gateway.core.contract.alias import SideEffects, Stakes
from gateway.core.contract.fault import Fault, Kind, Side
from gateway.core.contract.release import PinClass


@dataclass(frozen=True, slots=True)
class Allowed:
    """Go on."""


@dataclass(frozen=True, slots=True)
class Warned:
    """Go on, tell the person, and put `record` into the history with the act; it stays there for ever."""

    message: str
    record: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """Stop. `message` says what is wrong and what to do; it quotes nothing that a client sent."""

    code: str
    message: str

    def fault(self) -> Fault:
        """The same as a Fault with the status of its code."""
        kind, side = KINDS[self.code]
        retry = kind is Kind.OVERLOADED
        return Fault(kind, self.code, self.message, side=side, retry=retry, retry_after=1 if retry else None)


Ruling = Allowed | Warned | Refused

KINDS: Mapping[str, tuple[Kind, Side]] = MappingProxyType(
    {
        "unpinned_model": (Kind.BAD_REQUEST, Side.CLIENT),
        "gate_not_green": (Kind.CONFLICT, Side.CLIENT),
        "no_shadow": (Kind.CONFLICT, Side.CLIENT),
        "stamp_unavailable": (Kind.OVERLOADED, Side.GATEWAY),
    }
)
"""Kind and side of each code of a refusal."""


class Matter(StrEnum):
    """What is judged: the rows."""

    FLOATING = "floating model in a release"
    UNPINNABLE = "model without a dated id in a release"
    UNKNOWN = "model of unknown class in a release"
    FLOATING_TOOLS = "request with tools on a floating model"
    FLOATING_SERVED = "request without tools on a floating model"
    NO_SHADOW = "promote without shadow"
    NO_GO = "promote without a GO"
    UNSTORED = "new run while neither the store nor the log can keep its stamp"


class Excuse(StrEnum):
    """What a person or a configuration can say to a matter."""

    REASON = "a reason"
    OVERRIDE = "an override with a name and a reason"
    ATTESTED = "an attestation with a reason"
    NO_EFFECTS = "side_effects: none"
    NOT_REAL = "side_effects other than real"
    NONE = "nothing"


ALLOWED = Allowed()


@dataclass(frozen=True, slots=True)
class Cell:
    """The ruling without the excuse, and with it."""

    plain: Ruling
    excuse: Excuse = Excuse.NONE
    excused: Ruling = ALLOWED

    def rule(self, excuses: Mapping[Excuse, str]) -> Ruling:
        """The ruling under what was said; an excuse that was said is added to the record of a warning."""
        said = excuses.get(self.excuse, "")
        if not said:
            return self.plain
        if isinstance(self.excused, Warned):
            return Warned(self.excused.message, (*self.excused.record, f"{self.excuse.value}: {said}"))
        return self.excused


_FLOATS = "model: the id floats, so its vendor may put another model behind it at any time."
_PIN_IT = (
    "Name a snapshot instead, for example the id that answers report in `x-trivet-model` or in the provider's `model`."
)
_NO_DATED = "model: the vendor publishes no id that is tied to a version, so the id is all that is pinned."
_NOT_KNOWN = (
    "model: nothing is known about what this provider promises for the id; answers are marked `x-trivet-pin: unknown`."
)
_SAY_VENDOR = "If it serves a vendor's own ids, set `vendor` of the provider."
_RIDES = "The request carries tools and the alias rides a floating model."
_NO_GATE = "No GO of the alias's declared suites exists for this release in place of what it would replace."

TABLE: Mapping[Matter, Mapping[Stakes, Cell]] = MappingProxyType(
    {
        Matter.FLOATING: {
            Stakes.LOW: Cell(Warned(f"{_FLOATS} Answers are marked `x-trivet-pin: floating`.")),
            Stakes.STANDARD: Cell(
                Refused(
                    "unpinned_model",
                    f"{_FLOATS} {_PIN_IT} If it must float, give the reason in `allow_floating` of the alias.",
                ),
                Excuse.REASON,
                Warned(f"{_FLOATS} It is allowed for the stated reason; answers are marked `x-trivet-pin: floating`."),
            ),
            Stakes.HIGH: Cell(
                Refused(
                    "unpinned_model",
                    f"{_FLOATS} An alias with stakes `high` never floats, whatever the reason. {_PIN_IT}",
                )
            ),
        },
        Matter.UNPINNABLE: {
            Stakes.LOW: Cell(Warned(_NO_DATED)),
            Stakes.STANDARD: Cell(Warned(_NO_DATED)),
            Stakes.HIGH: Cell(
                Refused(
                    "unpinned_model",
                    f"{_NO_DATED} An alias with stakes `high` takes it only with a recorded attestation that it is fixed. "
                    "Attest it with a reason, or name a model with a dated id.",
                ),
                Excuse.ATTESTED,
                Warned(f"{_NO_DATED} It is allowed as attested."),
            ),
        },
        Matter.UNKNOWN: {
            Stakes.LOW: Cell(Warned(f"{_NOT_KNOWN} {_SAY_VENDOR}")),
            Stakes.STANDARD: Cell(Warned(f"{_NOT_KNOWN} {_SAY_VENDOR}")),
            Stakes.HIGH: Cell(
                Refused(
                    "unpinned_model",
                    f"{_NOT_KNOWN} An alias with stakes `high` takes it only with a recorded attestation that it is fixed "
                    f"(a deployment that is not upgraded, weights under a digest). Attest it with a reason. {_SAY_VENDOR}",
                ),
                Excuse.ATTESTED,
                Warned(f"{_NOT_KNOWN} It is allowed as attested."),
            ),
        },
        Matter.FLOATING_SERVED: {
            Stakes.LOW: Cell(ALLOWED),
            Stakes.STANDARD: Cell(ALLOWED),
            Stakes.HIGH: Cell(
                Refused(
                    "unpinned_model",
                    "The alias has stakes `high` and its release floats. An operator must promote a pinned release.",
                )
            ),
        },
        Matter.FLOATING_TOOLS: {
            Stakes.LOW: Cell(
                Refused(
                    "unpinned_model",
                    f"{_RIDES} Promote a pinned release, or say `side_effects: none` for the alias if its tools change nothing.",
                ),
                Excuse.NO_EFFECTS,
            ),
            Stakes.STANDARD: Cell(
                Refused(
                    "unpinned_model",
                    f"{_RIDES} Its `side_effects` are real, so the reason in `allow_floating` does not cover tools. "
                    "Promote a pinned release.",
                ),
                Excuse.NOT_REAL,
            ),
            Stakes.HIGH: Cell(
                Refused(
                    "unpinned_model",
                    f"{_RIDES} At stakes `high` it never may. An operator must promote a pinned release.",
                )
            ),
        },
        Matter.NO_SHADOW: {
            Stakes.LOW: Cell(ALLOWED),
            Stakes.STANDARD: Cell(
                Refused(
                    "no_shadow", "The release has not run in shadow. Shadow it first, or say why not with --reason."
                ),
                Excuse.REASON,
                Warned("Promoted without shadow, for the stated reason.", ("no shadow",)),
            ),
            Stakes.HIGH: Cell(
                Refused(
                    "no_shadow",
                    "The release has not run in shadow, and an alias with stakes `high` needs that. Shadow it first.",
                )
            ),
        },
        Matter.NO_GO: {
            Stakes.LOW: Cell(Warned(f"{_NO_GATE} At stakes `low` it is promoted all the same.", ("no GO",))),
            Stakes.STANDARD: Cell(
                Refused(
                    "gate_not_green",
                    f"{_NO_GATE} To promote it all the same, a person answers for it: --override NAME --reason TEXT, recorded for ever.",
                ),
                Excuse.OVERRIDE,
                Warned("Promoted without a GO, by override. The override stays in the alias's history.", ("no GO",)),
            ),
            Stakes.HIGH: Cell(
                Refused(
                    "gate_not_green",
                    f"{_NO_GATE} An alias with stakes `high` needs one of runs through this gateway, and no override replaces it. "
                    "Rollback works; to promote now, lower the stakes of the alias deliberately.",
                )
            ),
        },
        Matter.UNSTORED: {
            Stakes.LOW: Cell(Warned("The run goes on without a stored stamp; it is counted.")),
            Stakes.STANDARD: Cell(Warned("The run goes on; its ticket is the only stamp it has.", ("ticket",))),
            Stakes.HIGH: Cell(
                Refused(
                    "stamp_unavailable",
                    "The run's stamp cannot be kept: the store and the log of this host are both unavailable, and this alias has stakes "
                    "`high`. Nothing was sent. Retry shortly.",
                )
            ),
        },
    }
)
"""One row per matter, one cell per stakes."""

_OF_CLASS = {
    PinClass.FLOATING: Matter.FLOATING,
    PinClass.UNPINNABLE: Matter.UNPINNABLE,
    PinClass.UNKNOWN: Matter.UNKNOWN,
}
_OF_EFFECTS: Mapping[SideEffects, Mapping[Excuse, str]] = MappingProxyType(
    {
        SideEffects.NONE: {Excuse.NO_EFFECTS: "none", Excuse.NOT_REAL: "none"},
        SideEffects.UNSTATED: {Excuse.NOT_REAL: "unstated"},
        SideEffects.REAL: {},
    }
)


def may_release(stakes: Stakes, pin: PinClass, *, allow_floating: str = "", attested: str = "") -> Ruling:
    """Whether an alias may have a release whose model is of this class.

    `allow_floating` is the alias's stated reason, `attested` a person's recorded statement that an id of class unpinnable or
    unknown is fixed. Messages start with the part of the triple they are about.
    """
    matter = _OF_CLASS.get(pin)
    if matter is None:
        return ALLOWED
    return TABLE[matter][stakes].rule({Excuse.REASON: allow_floating.strip(), Excuse.ATTESTED: attested.strip()})


def may_promote(
    stakes: Stakes, *, go: bool = False, shadowed: bool = False, reason: str = "", override: str = "", lacking: str = ""
) -> Ruling:
    """Whether a release may become stable. `go`: its gate is green, fresh and its own; `override`: who answers for having none.
    `lacking`: sentences on what keeps it from a GO, added to a refusal and to a warning for want of one.

    A refusal wins over warnings, and the missing GO is named before the missing shadow; warnings are joined with their records.
    An override without a reason is none.
    """
    name, why = override.strip(), reason.strip()
    said = {Excuse.REASON: why, Excuse.OVERRIDE: f"{name}: {why}" if name and why else ""}
    open_matters = [matter for matter, settled in ((Matter.NO_GO, go), (Matter.NO_SHADOW, shadowed)) if not settled]
    warnings: list[Warned] = []
    for matter in open_matters:
        ruling = TABLE[matter][stakes].rule(said)
        if matter is Matter.NO_GO and lacking and not isinstance(ruling, Allowed):
            ruling = replace(ruling, message=f"{ruling.message} {lacking}")
        if isinstance(ruling, Refused):
            return ruling
        if isinstance(ruling, Warned):
            warnings.append(ruling)
    if not warnings:
        return ALLOWED
    return Warned(" ".join(w.message for w in warnings), tuple(entry for w in warnings for entry in w.record))


def may_serve_floating(
    stakes: Stakes,
    side_effects: SideEffects,
    has_tools: bool,
    pin: PinClass = PinClass.FLOATING,
) -> Ruling:
    """Whether a request may be answered by a release that is not pinned.

    Only `floating` is judged at this point; an unpinnable or unknown id was judged, and attested, when it was released.
    """
    if pin is not PinClass.FLOATING:
        return ALLOWED
    matter = Matter.FLOATING_TOOLS if has_tools else Matter.FLOATING_SERVED
    return TABLE[matter][stakes].rule(_OF_EFFECTS[side_effects])


def may_bind_unstored(stakes: Stakes) -> Ruling:
    """What a new run gets while neither the store nor the host's log can keep its stamp: low and standard are served and
    counted (standard holds its ticket), high is refused with 503 `stamp_unavailable`, which may be retried.
    """
    return TABLE[Matter.UNSTORED][stakes].rule({})
