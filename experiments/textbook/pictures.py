"""Parts of pictures that several experiments draw."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from experiment import interval
from plain_networks import Signals, propagation


def points(axis: Any, places: Sequence[float], samples: Sequence[np.ndarray], **style: Any) -> None:
    """Draw the means of samples with their 95 % intervals, joined by a line."""
    found = [interval(one) for one in samples]
    errors = np.transpose([(p.value - p.low, p.high - p.value) for p in found])
    axis.errorbar(places, [p.value for p in found], errors, **{"marker": "o", "markersize": 4, "capsize": 2, **style})


def gradients_by_layer(axis: Any, networks: Mapping[str, tuple[Any, float]], signals: Mapping[str, Signals]) -> None:
    """Draw the gradient at each layer of random networks, every sixth as a dot, and the formula of wide networks as a line."""
    for number, (name, (f, gain)) in enumerate(networks.items()):
        measured = signals[name].backward.mean(axis=0) / math.log(10)
        layers = np.arange(1, len(measured) + 1)
        theory = propagation(f, gain, len(layers)).backward / math.log(10)
        axis.plot(layers, theory, color=f"C{number}", linewidth=1)
        axis.plot(layers[::6], measured[::6], "o", color=f"C{number}", markersize=4, label=name)
    axis.set(xlabel="layer", ylabel="log10 of the gradient, last layer = 0")


def depth_axis(axis: Any, depths: Sequence[int]) -> None:
    """Mark these depths, evenly spread for equal factors."""
    axis.set(xlabel="hidden layers", xscale="log")
    axis.set_xticks(depths, [str(depth) for depth in depths])
    axis.minorticks_off()


def bare(*axes: Any, grid: bool = True) -> None:
    """Take the frame away, but for the axes; with faint horizontal lines."""
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        if grid:
            axis.grid(axis="y", color="#eeeeee")
