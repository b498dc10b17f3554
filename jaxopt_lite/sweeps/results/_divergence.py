"""When and how a run diverged, from its records and its curve of the loss."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from jaxopt_lite.diagnostics import Diagnosis

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


def divergence(losses: np.ndarray, stride: int, last: int, diagnoses: Mapping[int, Diagnosis]) -> Divergence:
    """How a run diverged.

    Args:
        losses: the curve of its loss; empty if it has none.
        stride: steps in a point of the curve.
        last: the last step that it made.
        diagnoses: the state of its layers by step, in the order of the steps.
    """
    finite = {step: one for step, one in diagnoses.items() if math.isfinite(one.loss)}
    lost = [step for step in diagnoses if step not in finite]
    step = min([*lost, _curve_ends(losses, stride, last)])
    norms = {s: d.gradient_norm for s, d in finite.items() if s < step and 0 < d.gradient_norm < math.inf}
    if not norms:
        return Divergence(step, _loss_evidence(losses, stride), 1.0)
    first = next(iter(norms.values()))
    usual = {s: norm for s, norm in norms.items() if norm <= _GROWN * first}
    (begin, small), (end, large) = list(usual.items())[-1], max(norms.items(), key=lambda pair: pair[1])
    threshold = float(f"{max(usual.values()):.1g}")
    if large <= _GROWN * small or end <= begin:
        return Divergence(step, _loss_evidence(losses, stride), threshold)
    grown = f"{large / small:.0f}" if large / small < 1000 else f"10^{math.log10(large / small):.0f}"
    return Divergence(step, f": the gradient norm grew {grown}-fold from step {begin:,} to {end:,}", threshold)


def _curve_ends(losses: np.ndarray, stride: int, last: int) -> int:
    """The last step of the stretch of the curve in which the loss is first not finite; else the last step made."""
    finite = np.isfinite(losses)
    return last if finite.all() else min(last, (int(np.argmin(finite)) + 1) * stride)


def _loss_evidence(losses: np.ndarray, stride: int) -> str:
    """How much the loss grew before it ceased to be finite, as the rest of a sentence."""
    finite = losses if np.isfinite(losses).all() else losses[: int(np.argmin(np.isfinite(losses)))]
    if not finite.size or finite.min() <= 0 or finite[-1] <= _GROWN * finite.min():
        return ""
    step = int(np.argmin(finite))
    return f": the loss grew from {finite.min():.3g} to {finite[-1]:.3g} in {(finite.size - 1 - step) * stride:,} steps"
