"""22: which optimizers cope with parameters of different scales, and with which kind of difference?"""

import math
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from experiment import Experiment, Interval, Outcome, Prediction, Result, Table, interval, main, shown
from flax import nnx
from rivals import Rival, compete, ratio, within

from jaxopt_lite import optimizers as opt
from jaxopt_lite import training

DIMENSIONS = 32
CONDITIONS = (1, 100, 10_000, 1_000_000)
ADAPTIVE_RATES = 10.0 ** np.arange(-3, 4.1, 0.25)
ADAPTIVE = {  # the small numbers against division by 0 would hide the smallest gradients
    "adagrad": partial(opt.adagrad, initial_accumulator_value=0.0, eps=1e-30),
    "rmsprop": partial(opt.rmsprop, eps=1e-30),
    "adam": partial(opt.adam, eps=1e-16),
}
KINDS = {"curvature": "curvatures differ", "units": "units differ", "rotated": "curvatures differ, axes rotated"}
COLOURS = {"sgd": "C0", "momentum": "C9", "adagrad": "C2", "rmsprop": "C1", "adam": "C3"}
TABULAR_RATES = {
    "raw": {"sgd": (-7.0, -3.0), "momentum": (-7.5, -3.5), "adam": (-2.0, 2.0)},
    "standardised": {"sgd": (-3.0, 1.0), "momentum": (-4.0, 0.0), "adam": (-4.0, 0.0)},
}


class Size(NamedTuple):
    draws: int = 8
    most: int = 30_000
    tabular_steps: int = 1000
    selecting: int = 3
    scoring: int = 12


class Valley(NamedTuple):
    """Quadratics ½ wᵀ H w, one for each draw, and when their minimum counts as reached.

    Attributes:
        basis: orthogonal matrices (draws, n, n) whose columns are the axes; None for the coordinate axes.
        curvature: the eigenvalues (n,).
        start: (draws, n).
        weight: what a squared coordinate along an axis counts (n,).
    """

    basis: Any
    curvature: jax.Array
    start: jax.Array
    weight: jax.Array


def valley(kind: str, condition: float, seed: int, draws: int) -> Valley:
    """Curvatures from 1/condition to 1; standard normal starts, or with `units` 1/√curvature times these."""
    curvature = jnp.geomspace(1 / condition, 1.0, DIMENSIONS)
    start_key, basis_key = jax.random.split(jax.random.key(seed))
    start = jax.random.normal(start_key, (draws, DIMENSIONS))
    basis = (
        jnp.linalg.qr(jax.random.normal(basis_key, (draws, DIMENSIONS, DIMENSIONS)))[0] if kind == "rotated" else None
    )
    if kind == "units":
        return Valley(None, curvature, start / jnp.sqrt(curvature), curvature)
    return Valley(basis, curvature, start, jnp.ones(DIMENSIONS))


@partial(jax.jit, static_argnums=0)
def steps_needed(make: Any, rates: jax.Array, valley: Valley, most: Any) -> tuple[jax.Array, jax.Array]:
    """For each draw the steps until the first of the rates has reduced the weighted distance to a hundredth, and which.

    All rates run together. Draws that no rate finishes get `most`.
    """

    def along_axes(w: jax.Array) -> jax.Array:
        return w if valley.basis is None else jnp.einsum("dij,dri->drj", valley.basis, w)

    def slope(w: jax.Array) -> jax.Array:
        scaled = valley.curvature * along_axes(w)
        return scaled if valley.basis is None else jnp.einsum("dij,drj->dri", valley.basis, scaled)

    def square(w: jax.Array) -> jax.Array:
        return jnp.sum(valley.weight * along_axes(w) ** 2, axis=-1)

    def advance(carry: Any) -> Any:
        w, states, step, needed, which = carry
        updates, states = jax.vmap(lambda rate, g, s: make(rate).update(g, s), (0, 1, 0), (1, 0))(
            rates, slope(w), states
        )
        w, step = w + updates, step + 1
        done = square(w) < 1e-4 * first
        new = done.any(axis=1) & (needed == most)
        return w, states, step, jnp.where(new, step, needed), jnp.where(new, done.argmax(axis=1), which)

    w = jnp.repeat(valley.start[:, None], len(rates), axis=1)
    first = square(w)
    states = jax.vmap(lambda rate, w: make(rate).init(w), (0, 1))(rates, w)
    draws = len(valley.start)
    carry = w, states, jnp.int32(0), jnp.full(draws, most, jnp.int32), jnp.zeros(draws, jnp.int32)
    carry = jax.lax.while_loop(lambda c: (c[2] < most) & (c[3] == most).any(), advance, carry)
    return carry[3], carry[4]


def plain(rate_and_momentum: jax.Array) -> Any:
    return opt.sgd(rate_and_momentum[0], momentum=rate_and_momentum[1])


def rivals(condition: float) -> dict[str, tuple[Any, np.ndarray]]:
    """For each optimizer what makes it of a rate, and the rates; the best settings of sgd and momentum are known."""
    root = math.sqrt(condition)
    adaptive = {name: (make, ADAPTIVE_RATES) for name, make in ADAPTIVE.items()}
    momentum = 4 / (1 + 1 / root) ** 2, ((root - 1) / (root + 1)) ** 2
    return {
        "sgd": (plain, np.array([(2 / (1 + 1 / condition), 0.0)])),
        "momentum": (plain, np.array([momentum])),
        **adaptive,
    }


def quadratics(seed: int, size: Size) -> dict[str, dict[str, dict[int, np.ndarray]]]:
    """Steps by draw: by kind of difference, optimizer and condition number."""
    found: dict[str, dict[str, dict[int, np.ndarray]]] = {}
    for kind in KINDS:
        for condition in CONDITIONS:
            made = valley(kind, condition, seed, size.draws)
            for name, (make, rates) in rivals(condition).items():
                steps, _ = steps_needed(make, jnp.asarray(rates, jnp.float32), made, size.most)
                found.setdefault(kind, {}).setdefault(name, {})[condition] = np.asarray(steps)
    return found


def tabular(scaled: bool, seed: int, size: Size) -> dict[str, Rival]:
    """Logistic regression on breast_cancer, whose features have deviations from 0.003 to 570."""
    from sklearn.datasets import load_breast_cancer

    x, y = load_breast_cancer(return_X_y=True)
    x = (x - x.mean(0)) / x.std(0) if scaled else x
    order = np.random.default_rng(seed).permutation(len(x))
    parts = np.split(order, [299, 434])
    data = tuple((x[rows].astype(np.float32), y[rows].astype(np.int32)) for rows in parts)
    task = training.supervised(
        lambda trial, rngs: nnx.Linear(30, 2, rngs=rngs), data, batch_size=32, name="breast_cancer"
    )
    makers = {"sgd": opt.sgd, "momentum": partial(opt.sgd, momentum=0.9), "adam": opt.adam}
    ends = TABULAR_RATES["standardised" if scaled else "raw"]
    optimizers = {name: (make, 10.0 ** np.linspace(*ends[name], 9)) for name, make in makers.items()}
    return compete(task, optimizers, size.tabular_steps, seed, size.selecting, size.scoring)


def measure(seed: int, small: bool) -> Result:
    size = Size(2, 50, 20, 1, 2) if small else Size()
    found = quadratics(seed, size)
    return report(found, {"raw": tabular(False, seed, size), "standardised": tabular(True, seed, size)}, size)


def growth(steps: Mapping[int, np.ndarray], low: int, high: int) -> Interval:
    """The power of the condition number with which the steps grow between two of them."""
    return interval(np.log(steps[high] / steps[low]) / np.log(high / low))


def report(found: dict[str, dict[str, dict[int, np.ndarray]]], real: dict[str, dict[str, Rival]], size: Size) -> Result:
    curvature, units, rotated = (found[kind] for kind in KINDS)
    least, _, middle, most = CONDITIONS
    descent = {c: interval(curvature["sgd"][c] / c) for c in (100, middle)}
    same = {name: ratio(curvature[name][most], curvature[name][least]) for name in ADAPTIVE}
    slopes = {name: growth(units[name], 100, most) for name in ("rmsprop", "adam")}
    adagrad = ratio(units["adagrad"][most], units["adagrad"][least])
    turned = ratio(rotated["adam"][middle], curvature["adam"][middle])
    lost = {
        name: interval(real["standardised"][name].scores["test_accuracy"] - real["raw"][name].scores["test_accuracy"])
        for name in real["raw"]
    }
    outcomes = [
        Outcome(
            ", ".join(f"κ = {c:,}: {shown(value)} κ" for c, value in descent.items()),
            all(within(value, 1.2, 2.1) for value in descent.values()),
        ),
        Outcome(
            ", ".join(f"{name} {shown(value)}" for name, value in same.items()),
            all(within(value, 0.95, 1.05) for value in same.values()),
        ),
        Outcome(
            f"RMSProp {shown(slopes['rmsprop'])}, Adam {shown(slopes['adam'])}; AdaGrad {shown(adagrad)} times",
            within(slopes["rmsprop"], 0.35, 0.55) and within(slopes["adam"], 0.25, 0.6) and adagrad.value <= 3,
        ),
        Outcome(f"{shown(turned)} times", turned.value >= 10),
        Outcome(
            ", ".join(f"{name} {shown(value)}" for name, value in lost.items()),
            lost["sgd"].value >= 0.02 and within(lost["adam"], -0.02, 0.02),
        ),
    ]
    adam_units = ratio(units["adam"][most], units["adam"][least])
    verdict, sentence = judged(same["adam"], adam_units, turned, curvature, lost)
    return Result(
        outcomes=outcomes,
        verdict=verdict,
        sentence=sentence,
        effect=(
            f"from condition number 1 to a million Adam's steps grow by a factor of {shown(same['adam'])} where curvatures differ along the "
            f"axes and of {shown(adam_units)} where the units of the parameters differ"
        ),
        numbers={
            **{f"steps of sgd / κ, κ = {c}": value for c, value in descent.items()},
            **{f"curvatures, {name}, steps at κ = 10⁶ / at 1": value for name, value in same.items()},
            **{f"units, {name}, power of κ": value for name, value in slopes.items()},
            "units, adagrad, steps at κ = 10⁶ / at 1": adagrad,
            "units, adam, steps at κ = 10⁶ / at 1": adam_units,
            "adam, κ = 10⁴, steps rotated / along axes": turned,
            **{f"breast_cancer, test accuracy standardised - raw, {name}": value for name, value in lost.items()},
        },
        tables=tables(found, real, size),
        figure=picture(found, size),
        caption=(
            f"Steps until the weighted distance is a hundredth of the start, at the best learning rate; mean of {size.draws} draws. Points "
            f"at the upper end did not get there in {size.most:,} steps."
        ),
    )


def judged(
    same: Interval,
    units: Interval,
    turned: Interval,
    curvature: dict[str, dict[int, np.ndarray]],
    lost: dict[str, Interval],
) -> tuple[Any, str]:
    """Verdict and sentence by the rule."""
    slow = curvature["sgd"][10_000].mean() / curvature["sgd"][1].mean()
    figures = (
        f"from condition number 1 to 10,000 the steps of sgd grow by a factor of {slow:,.0f}; Adam's steps grow by a factor of {shown(same)} "
        f"up to a million where only the curvatures along the axes differ, of {shown(units)} where the units of the parameters differ, so that "
        f"distances do too, and at 10,000 of {shown(turned)} when the axes are rotated; on breast_cancer with features in their own units "
        f"Adam loses {shown(lost['adam'], 2)} in test accuracy and sgd {shown(lost['sgd'], 2)}"
    )
    if same.high < 2 and units.high < 2 and turned.high < 2:
        return "holds", f"Holds: {figures}."
    if same.high < 2:
        distances = "" if units.high < 2 else " and distances do not differ"
        return "holds if", f"Holds if the curvatures differ along the coordinate axes{distances}: {figures}."
    return "does not hold", f"Does not hold: {figures}."


def tables(
    found: dict[str, dict[str, dict[int, np.ndarray]]], real: dict[str, dict[str, Rival]], size: Size
) -> list[Table]:
    def cell(steps: np.ndarray) -> str:
        return f"> {size.most:,}" if (steps >= size.most).any() else f"{steps.mean():,.0f}"

    first = Table(
        f"Steps to a hundredth of the distance at the best rate, mean of {size.draws} draws, by condition number.",
        ["what differs", "optimizer", *[f"κ = {c:,}" for c in CONDITIONS]],
        [
            [label, name, *[cell(found[kind][name][c]) for c in CONDITIONS]]
            for kind, label in KINDS.items()
            for name in found[kind]
        ],
    )
    second = Table(
        f"breast_cancer, logistic regression, {size.tabular_steps} steps, {size.scoring} seeds, means with 95 % intervals.",
        ["features", "optimizer", "best rate", "test accuracy", "test loss"],
        [
            [
                features,
                name,
                f"{rival.rate:.2g}{'' if rival.inside else ' (end of the list)'}",
                shown(interval(rival.scores["test_accuracy"])),
                shown(interval(rival.scores["test_loss"])),
            ]
            for features, of_features in real.items()
            for name, rival in of_features.items()
        ],
    )
    return [first, second]


def picture(found: dict[str, dict[str, dict[int, np.ndarray]]], size: Size) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 3.4), layout="constrained")
    axes = figure.subplots(1, 3, sharey=True)
    for axis, (kind, label) in zip(axes, KINDS.items(), strict=True):
        for name, by_condition in found[kind].items():
            means = [by_condition[c].mean() for c in CONDITIONS]
            axis.plot(CONDITIONS, means, marker="o", markersize=4, color=COLOURS[name], label=name)
        axis.set(title=label, xlabel="condition number κ", xscale="log", yscale="log", ylim=(1, 2 * size.most))
        axis.title.set_fontsize(10)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("steps to a hundredth")
    axes[0].legend(frameon=False, fontsize=8)
    return figure


EXPERIMENT = Experiment(
    number=22,
    title="Parameters of different scales",
    claim="Adaptive optimizers cope with parameters of very different scales; plain descent does not.",
    predictions=[
        Prediction(
            "Curvatures from 1/κ to 1: sgd at its best rate needs 1.6 κ steps to a hundredth of the distance, within 1.2 to 2.1.",
            "At the rate 2/(1 + 1/κ) the modes at both ends shrink by 1 − 2/κ in a step, the others faster. They are √(2/32) = 1/4 of the "
            "distance: ln(100/4) κ/2 = 1.6 κ. The bounds are for the random start.",
            True,
        ),
        Prediction(
            "The same: AdaGrad, RMSProp and Adam need 1.00 times as many steps at κ = 10⁶ as at 1, within 5 %.",
            "Each divides a gradient by an average of its own size. So the curvature of a coordinate cancels exactly, and the path is "
            "that with curvature 1, whatever κ is (but for the number added against division by 0, here made tiny).",
            True,
        ),
        Prediction(
            "Units differ (starts 1/√curvature times larger): the steps grow as κ to the power 0.44 for RMSProp (0.35 to 0.55) and 0.25 "
            "to 0.6 for Adam between 100 and 10⁶; AdaGrad needs at most 3 times the steps at 10⁶.",
            "RMSProp moves by its rate η: the furthest coordinate takes √κ/η steps. It ends in a cycle of ±η/2, so that η²/4 Σ λ_j ≤ 10⁻⁴ · "
            "32 bounds η. Both give steps 50 √(κ Σλ_j / 32), where Σ λ_j ≈ 32/ln κ: 232 at 100 and 13,500 at 10⁶, "
            "the power 0.44. Adam: the same, with a longer memory. AdaGrad at a rate as large as the furthest distance overshoots in "
            "near coordinates once, which fills their sums with the square of the overshoot; their rate is then about 1/curvature, "
            "as in Newton's method.",
            True,
        ),
        Prediction(
            "Rotated axes, κ = 10⁴: Adam needs at least 10 times the steps that it needs along the axes.",
            "After a rotation every coordinate's gradient is a mixture of all curvatures of the same size: dividing by it changes "
            "nothing of the condition number, and momentum's √κ = 100 remains.",
            False,
        ),
        Prediction(
            "breast_cancer, raw features against standardised: sgd loses at least 0.02 of test accuracy, Adam between −0.02 and 0.02.",
            "Raw, the features' variances span 10 decades: sgd's rate is bounded by the largest, and features of deviation below 1 do not "
            "learn in 1000 steps.",
            False,
        ),
    ],
    protocol=(
        f"Quadratics in {DIMENSIONS} dimensions, curvatures evenly spread on a logarithmic scale from 1/κ to 1, 8 random starts (and "
        "rotations). A parameter in a unit s times smaller is s times larger and has 1/s² of the curvature: with units the starts are "
        "1/√curvature times larger, and a squared coordinate counts with its curvature. sgd and momentum at the best settings known "
        "from theory; AdaGrad, RMSProp and Adam each at the best of 29 rates from 10⁻³ to 10⁴, for each draw. breast_cancer: 299, 135 and "
        "135 examples drawn with the seed, logistic regression, batches of 32, 1000 steps, 9 rates √10 apart, selected by validation accuracy with "
        "3 seeds, scored by test accuracy with 12 others."
    ),
    rule=(
        "Adam copes with a difference if its steps grow less than twofold (upper end of the interval) from κ = 1 to 10⁶, or for rotated axes "
        "to 10⁴ compared with the axes. Holds if it copes with all three; holds under a condition if with different curvatures along the axes; else "
        "does not hold."
    ),
    measure=measure,
    script=__file__,
)

if __name__ == "__main__":
    raise SystemExit(main(EXPERIMENT))
