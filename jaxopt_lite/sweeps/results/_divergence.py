"""When and how a run diverged, from its records and its curve of the loss."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from jaxopt_lite.diagnostics import Diagnosis

if TYPE_CHECKING:
    from jaxopt_lite.sweeps.results._results import Results

_GROWN = 10.0  # a gradient norm is usual up to so many times that of the start


class Divergence(NamedTuple):
    """How a run diverged.

    Attributes:
        step: the first step known at which its loss is not finite.
        evidence: what grew before, as the rest of a sentence; "" if nothing is known.
        threshold: for clipping, about the norm of the gradient while the training was healthy.
    """

    step: int
    evidence: str
    threshold: float


def divergence(results: "Results", row: int, diagnoses: Mapping[int, Diagnosis]) -> Divergence:
    """How the run in a row of the table diverged.

    Args:
        results: the table.
        row: the row.
        diagnoses: the state of its layers by step, in the order of the steps.
    """
    finite = {step: one for step, one in diagnoses.items() if math.isfinite(one.loss)}
    lost = [step for step in diagnoses if step not in finite]
    step = min([*lost, _curve_ends(results, row)])
    norms = {s: d.gradient_norm for s, d in finite.items() if s < step and 0 < d.gradient_norm < math.inf}
    if not norms:
        return Divergence(step, _loss_evidence(results, row), 1.0)
    first = next(iter(norms.values()))
    usual = {s: norm for s, norm in norms.items() if norm <= _GROWN * first}
    (begin, small), (end, large) = list(usual.items())[-1], max(norms.items(), key=lambda pair: pair[1])
    threshold = float(f"{max(usual.values()):.1g}")
    if large <= _GROWN * small or end <= begin:
        return Divergence(step, _loss_evidence(results, row), threshold)
    grown = f"{large / small:.0f}" if large / small < 1000 else f"10^{math.log10(large / small):.0f}"
    return Divergence(step, f": the gradient norm grew {grown}-fold from step {begin:,} to {end:,}", threshold)


def _curve_ends(results: "Results", row: int) -> int:
    """The last step of the stretch of the curve in which the loss is first not finite; else the last step made."""
    points = results.curves[row].get("loss")
    last = int(results.columns["step"][row])
    if points is None or np.isfinite(points).all():
        return last
    return min(last, (int(np.argmin(np.isfinite(points))) + 1) * int(results.facts["stride"]))


def _loss_evidence(results: "Results", row: int) -> str:
    """How much the loss grew before it ceased to be finite, as the rest of a sentence."""
    points = np.asarray(results.curves[row].get("loss", ()), float)
    finite = points[: int(np.argmin(np.isfinite(points)))] if not np.isfinite(points).all() else points
    if not finite.size or finite[-1] <= _GROWN * finite.min():
        return ""
    step, stride = int(np.argmin(finite)), int(results.facts["stride"])
    return f": the loss grew from {finite.min():.3g} to {finite[-1]:.3g} in {(finite.size - 1 - step) * stride:,} steps"
