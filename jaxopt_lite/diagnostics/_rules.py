"""The rules that turn statistics into a verdict: what each measures, its limit, and which of several comes first."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from jaxopt_lite.diagnostics._layer import Layer, typical


class Rule(NamedTuple):
    """One trouble.

    Attributes:
        statistic: what is compared, in the words of the table that `diagnose` prints.
        limit: the limit.
        meaning: what it means for training.

    Example:
        >>> RULES["dead"]
        Rule(statistic='share of units that are dead', limit=0.5, meaning='they are constant and get no gradient')
    """

    statistic: str
    limit: float
    meaning: str


RULES: dict[str, Rule] = {
    "not finite": Rule("values that are NaN or infinite", 0, "no step is possible"),
    "no gradient": Rule("the gradient at the last layer is 0", 0, "nothing is learned"),
    "dead": Rule("share of units that are dead", 0.5, "they are constant and get no gradient"),
    "saturated": Rule("share of entries that are flat, beyond what is usual", 0.5, "little gradient passes"),
    "exploding": Rule("gradient, or size of signals, grows through the layers by", 1e2, "steps diverge"),
    "vanishing": Rule("gradient relative to the last layer", 1e-3, "the first layers do not learn"),
    "collapsed": Rule("likeness of different inputs before an activation", 0.98, "what distinguishes inputs is lost"),
    "rate high": Rule("first update / weights, the median of the layers", 0.5, "one step replaces the weights"),
    "rate low": Rule("first update / weights, the median of the layers", 1e-6, "a million steps change little"),
    "linear": Rule("no operation of the network is curved", 0, "layers without activations are one linear map"),
    "not zero-centred": Rule(
        "absolute mean / root mean square of an activation", 0.8, "a hint: slower, rarely a cause"
    ),
}
_ALIKE_DEAD = 0.75  # where inputs are alike, a unit of relu is off for all of them in one case of two
_OFF = 0.75  # of the entries of relu beyond the usual half: nearly dead
HINTS = ("not zero-centred",)


def judged(layers: Sequence[Layer]) -> list[Layer]:
    """The layers with the rules that each of them breaks."""
    last = layers[-1].gradient
    largest, out = 0.0, []
    update = typical(layers)
    fast, slow = update > RULES["rate high"].limit, 0 < update < RULES["rate low"].limit
    for layer in layers:
        ratio = layer.gradient / last if last and math.isfinite(last) else math.nan
        largest = max(largest, ratio)  # a query may have little gradient while the value beside it has much
        growth = layer.rms / layers[0].rms if layers[0].rms else 0.0
        flat, off = _excess(layer), layer.can_die and layer.one_sided
        broken = {
            "not finite": not layer.finite,
            "no gradient": last == 0,
            "dead": has_dead_units(layer) or (off and flat > _OFF),
            "saturated": flat > RULES["saturated"].limit and not off,
            "exploding": ratio > RULES["exploding"].limit or growth > RULES["exploding"].limit,
            "vanishing": math.isfinite(ratio) and largest < RULES["vanishing"].limit,
            "collapsed": bool(layer.activation) and layer.alike > RULES["collapsed"].limit,
            "rate high": fast and layer.update > RULES["rate high"].limit,
            "rate low": slow and layer.update < RULES["rate low"].limit,
            "not zero-centred": bool(layer.activation) and layer.offset > RULES["not zero-centred"].limit,
        }
        troubles = tuple(name for name, is_broken in broken.items() if is_broken)
        out.append(layer._replace(ratio=ratio, troubles=troubles))
    return out


def _excess(layer: Layer) -> float:
    """Flat entries, of those that are not flat usually: half of them are where only one side is flat."""
    usual = max(layer.usual, 0.5) if layer.one_sided else layer.usual
    return (layer.saturated - usual) / max(1 - usual, 1e-6)


def has_dead_units(layer: Layer) -> bool:
    """Whether so many units of a layer are dead that the layer is."""
    return layer.can_die and layer.dead > (_ALIKE_DEAD if layer.alike > 0.9 else RULES["dead"].limit)


def main_trouble(layers: Sequence[Layer], linear: bool) -> tuple[str, Layer | None]:
    """The trouble to cure first, and the first layer that has it; "healthy" if there is none.

    Dead and saturated layers explain small gradients, so they come before vanishing ones. Gradients that vanish or
    explode explain collapse, and all of these explain the size of updates. Of dead, saturated and collapsed layers the
    first in the network is the cause of the rest.
    """
    numbers = {name: [i for i, layer in enumerate(layers) if name in layer.troubles] for name in RULES}
    present = {name: having[0] for name, having in numbers.items() if having and name not in HINTS}
    for name in ("not finite", "no gradient"):
        if name in present:
            return name, layers[present[name]]
    local = min((n for n in ("dead", "saturated", "collapsed") if n in present), key=present.__getitem__, default=None)
    if local in ("dead", "saturated"):
        return local, layers[present[local]]
    for name in ("exploding", "vanishing", "collapsed", "rate high", "rate low"):
        if name in present:
            return name, layers[present[name]]
    return ("linear", None) if linear else ("healthy", None)
