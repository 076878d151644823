"""What happens to a model name that is no alias: to which provider it goes, and what `unmanaged` makes of a name that floats.

Only an id that the pinning table knows as pinned passes without a word; the table speaks per vendor, never by the look of a name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.core.contract.fault import Fault, Kind
from gateway.core.contract.release import PinClass
from gateway.core.contract.run import Pin
from gateway.core.pinning.classify import Verdict, classify

if TYPE_CHECKING:
    from gateway.live.life import Life

PIN_OF_CLASS = {
    PinClass.PINNED: Pin.PINNED,
    PinClass.FLOATING: Pin.FLOATING,
    PinClass.UNPINNABLE: Pin.UNKNOWN,
    PinClass.UNKNOWN: Pin.UNKNOWN,
}
"""What `x-trivet-pin` says of a model id without a release."""


def provider_of(life: Life) -> str:
    """The provider that a name without an alias goes to: its own prefix, the route's, else the dialect's default.

    Raises Fault 404 `model_not_found` when there is none.
    """
    view, route = life.view, life.route
    assert route is not None
    if route.provider:
        return route.provider
    prefix, slash, rest = life.asked.partition("/")
    if slash and rest and prefix in view.provider_names:
        return prefix
    default = view.default_provider.get(route.dialect or "openai", "")
    if not default:
        raise Fault(
            Kind.NOT_FOUND,
            "model_not_found",
            "The model is no alias of this gateway, and no provider is configured for this path. "
            "Add the alias, or set `default_provider` for this dialect.",
            param="model",
            reason="model",
        )
    return default


def bare_model(life: Life) -> str:
    """The model id without the provider prefix it was routed by."""
    prefix, slash, rest = life.asked.partition("/")
    if slash and rest and prefix == life.provider and not (life.route is not None and life.route.provider):
        return rest
    return life.asked


def class_of(life: Life) -> Verdict:
    """What the pinning table says of the model that was asked for; `provider` must be known."""
    return classify(life.view.pins, life.view.vendors[life.provider], bare_model(life))


def decide(life: Life) -> Pin:
    """What an unaliased model may do. Raises Fault 400 `unpinned_model` under `refuse`."""
    verdict = class_of(life)
    if verdict.pin is not PinClass.PINNED and life.view.unmanaged == "refuse":
        raise Fault(
            Kind.BAD_REQUEST,
            "unpinned_model",
            f"The model is {verdict.pin.value}, not pinned ({verdict.why}), and this gateway serves pinned models only. "
            "Ask for a snapshot, or create an alias for it: `trivet release create`.",
            param="model",
            reason="model",
        )
    return PIN_OF_CLASS[verdict.pin]
