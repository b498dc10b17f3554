"""20: is the learning rate critical, and is its upper edge at 2 divided by the largest curvature?"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
from experiment import Experiment, Interval, Outcome, Prediction, Result, Table, exact, interval, main, shown
from flax import nnx
from rivals import seeds_of, within

from jaxopt_lite import activations as act
from jaxopt_lite import optimizers as opt
from jaxopt_lite import sweeps, training
from jaxopt_lite.flax import MLP

ACTIVATIONS = {"relu": act.relu, "tanh": act.tanh}
RATIOS = 2.0 ** np.arange(-1, 4.3, 0.25)
EDGE_OF_STABILITY = {"1/λ₀": 1.0, "1/(2 λ₀)": 0.5}
MAKE = {
    "sgd": (opt.sgd, -2.5),
    "momentum": (partial(opt.sgd, momentum=0.9), -3.5),
    "rmsprop": (opt.rmsprop, -4.5),
    "adam": (opt.adam, -4.5),
}
HALF_DECADES = 10


class Size(NamedTuple):
    examples: int = 256
    linear_steps: int = 2000
    steps: int = 300
    long: int = 4000
    seeds: int = 5
    default_steps: int = 500
    default_seeds: int = 10


def half_square(outputs: jax.Array, y: jax.Array) -> jax.Array:
    return 0.5 * jnp.sum((outputs - y) ** 2, axis=-1)


def full_batch(activation: Any, size: Size, seed: int) -> training.Task:
    """Regression on one-hot classes of some digits, by full batches: an MLP, or a linear model for activation None."""
    x, y = (np.asarray(part) for part in training.builtin("digits").data[0])
    rows = np.random.default_rng(seed).permutation(len(x))[: size.examples]
    data = x[rows], np.eye(10, dtype=np.float32)[y[rows]]

    def build(trial: Any, rngs: nnx.Rngs) -> Any:
        return nnx.Linear(64, 10, rngs=rngs) if activation is None else MLP([64, 64, 64, 10], activation, rngs=rngs)

    return training.supervised(build, (data, data), half_square, "full", name="digits, squared error")


def sharpness(model: Any, x: jax.Array, y: jax.Array) -> float:
    """Largest curvature of the mean loss, by 300 steps of the power method."""
    return float(_sharpness(*nnx.split(model), x, y))


@partial(jax.jit, static_argnums=0)
def _sharpness(graph: Any, state: Any, x: jax.Array, y: jax.Array) -> jax.Array:
    flat, back = jax.flatten_util.ravel_pytree(state)
    slope = jax.grad(lambda w: jnp.mean(half_square(nnx.merge(graph, back(w))(x), y)))

    def times_hessian(v: jax.Array) -> jax.Array:
        return jax.jvp(slope, (flat,), (v,))[1]

    def turn(_: int, v: jax.Array) -> jax.Array:
        product = times_hessian(v)
        return product / jnp.linalg.norm(product)

    v = jax.lax.fori_loop(0, 300, turn, jnp.ones_like(flat) / jnp.sqrt(flat.size))
    return jnp.vdot(v, times_hessian(v))


def trained(task: training.Task, rate: float, steps: int, seed: int) -> tuple[float, float]:
    """Largest curvature and loss after gradient descent."""
    found = training.run(task, {"optimizer": opt.sgd(rate)}, steps=steps, seed=seed)
    return sharpness(found.model(), *task.data[0]), found.scores["train_loss"]


def edges(
    task: training.Task, curvatures: np.ndarray, ratios: np.ndarray, steps: int, losses: Any, seeds: Any
) -> np.ndarray:
    """By seed, the rate above which the loss does not fall, in units of 2 / curvature.

    It is the geometric mean of the last rate with which the loss ends below its start and the next one.
    """
    rates = ratios * 2 / curvatures.mean()
    results = sweeps.run(
        task, {"optimizer": opt.sgd(sweeps.values(rates))}, seeds=seeds, steps=steps, keep=0, progress=False
    )
    ends = np.nan_to_num(np.array(results.columns["train_loss"]), nan=np.inf).reshape(len(rates), len(seeds))
    fails = ~(ends < np.asarray(losses))
    first = np.where(fails.any(0), fails.argmax(0), len(rates) - 1)
    edge = np.sqrt(rates[np.maximum(first - 1, 0)] * rates[first])
    return edge * curvatures / 2


class Found(NamedTuple):
    """What was measured; arrays by seed."""

    linear: float
    edges: dict[str, np.ndarray]
    stability: dict[str, np.ndarray]
    default: dict[str, np.ndarray]  # test accuracy (rates, seeds) by optimizer
    validation: dict[str, np.ndarray]


def default_sweep(seed: int, size: Size) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Test and validation accuracy on digits, (rates, seeds), by optimizer; 0.1 where a run diverged."""
    made = {name: make(sweeps.values(rates_of(name))) for name, (make, _) in MAKE.items()}
    results = sweeps.run(
        training.builtin("digits"),
        {"activation": act.relu, "optimizer": sweeps.choice(made)},
        seeds=seeds_of(seed, size.default_seeds),
        steps=size.default_steps,
        keep=0,
        progress=False,
    )

    def scores(name: str, score: str) -> np.ndarray:
        rows = [i for i, label in enumerate(results.columns["optimizer"]) if label == name]
        values = np.array([results.columns[score][i] for i in rows], float)
        return np.nan_to_num(values, nan=0.1).reshape(-1, size.default_seeds)

    return tuple({name: scores(name, score) for name in MAKE} for score in ("test_accuracy", "validation_accuracy"))


def rates_of(name: str) -> list[float]:
    return [float(10 ** (MAKE[name][1] + i / 2)) for i in range(HALF_DECADES)]


def measure(seed: int, small: bool) -> Result:
    size = Size(32, 20, 10, 20, 2, 20, 2) if small else Size()
    seeds = seeds_of(seed, size.seeds)
    linear_task = full_batch(None, size, seed)
    curvature, loss = trained(linear_task, 0.0, 1, seeds[0])
    linear = edges(linear_task, np.array([curvature]), np.arange(0.9, 1.1, 0.005), size.linear_steps, [loss], seeds[:1])
    found_edges, stability = {}, {}
    for name, activation in ACTIVATIONS.items():
        task = full_batch(activation, size, seed)
        curvatures, losses = np.array([trained(task, 0.0, 1, one) for one in seeds]).T
        found_edges[name] = edges(task, curvatures, RATIOS, size.steps, losses, seeds)
        if name == "tanh":
            for label, factor in EDGE_OF_STABILITY.items():
                rates = factor / curvatures
                ends = [trained(task, float(r), size.long, s)[0] for r, s in zip(rates, seeds, strict=True)]
                stability[label] = np.array(ends) * rates / 2
    test, validation = default_sweep(seed, size)
    return report(Found(float(linear[0]), found_edges, stability, test, validation), size)


def costs(found: Found, name: str, steps: int) -> Interval:
    """Test accuracy lost by a rate that many half decades away from the best, by seed."""
    best = int(found.validation[name].mean(1).argmax())
    test = found.default[name]
    other = best + steps
    return interval(test[best] - (test[other] if 0 <= other < len(test) else 0.1))


def report(found: Found, size: Size) -> Result:
    edge = {name: interval(values) for name, values in found.edges.items()}
    stable = {label: interval(values) for label, values in found.stability.items()}
    above = {name: costs(found, name, 2) for name in MAKE}
    below = {name: costs(found, name, -2) for name in MAKE}
    best = {name: test[int(found.validation[name].mean(1).argmax())].mean() for name, test in found.default.items()}
    between = max(best.values()) - min(best.values())
    along = float(np.median([test.mean(1).max() - test.mean(1).min() for test in found.default.values()]))
    outcomes = [
        Outcome(f"{found.linear:.3f}", abs(found.linear - 1) <= 0.01),
        Outcome(
            f"relu {shown(edge['relu'])}, tanh {shown(edge['tanh'])}",
            within(edge["relu"], 2, 6) and within(edge["tanh"], 1, 3),
        ),
        Outcome(
            ", ".join(f"rate {label}: {shown(value)}" for label, value in stable.items()),
            all(within(value, 0.9, 1.2) for value in stable.values()),
        ),
        Outcome(
            f"{along:.2f} between rates, {between:.3f} between optimizers, {along / between:.0f} times",
            bool(along >= 10 * between),
        ),
        Outcome(
            f"above: {', '.join(f'{n} {shown(c)}' for n, c in above.items())}; below: "
            f"{', '.join(f'{n} {shown(c)}' for n, c in below.items())}",
            all(c.value >= 0.1 for c in above.values()) and all(0.0 <= c.value <= 0.1 for c in below.values()),
        ),
    ]
    verdict, sentence = judged(above, below, along, between)
    return Result(
        outcomes=outcomes,
        verdict=verdict,
        sentence=sentence,
        effect=(
            f"a rate ten times too high costs {min(c.value for c in above.values()):.2f} to "
            f"{max(c.value for c in above.values()):.2f} of test accuracy, ten times too low {min(c.value for c in below.values()):.3f} "
            f"to {max(c.value for c in below.values()):.3f}"
        ),
        numbers={
            "linear model, edge of divergence in units of 2/λ_max": exact(found.linear),
            **{f"{name} network, edge in units of 2/λ₀": edge[name] for name in edge},
            **{f"rate {label}: curvature at the end in units of 2/rate": value for label, value in stable.items()},
            **{f"test accuracy lost ten times above the best rate, {n}": c for n, c in above.items()},
            **{f"test accuracy lost ten times below the best rate, {n}": c for n, c in below.items()},
            "spread of test accuracy between rates": exact(along),
            "spread of test accuracy between optimizers": exact(between),
        },
        tables=[table(found, size)],
        figure=picture(found),
        caption=(
            f"Left: test accuracy on digits after {size.default_steps} steps by learning rate, mean over {size.default_seeds} seeds. "
            "Right: where gradient descent on the full batch stops working, and the largest curvature after long training, "
            "each in units of theory's 2/λ and 2/rate; points are seeds."
        ),
    )


def judged(above: dict[str, Interval], below: dict[str, Interval], along: float, between: float) -> tuple[Any, str]:
    """Verdict and sentence by the rule."""

    def span(many: dict[str, Interval]) -> str:
        return f"{min(c.value for c in many.values()):.3f} to {max(c.value for c in many.values()):.3f}"

    figures = (
        f"for {', '.join(above)} on digits a rate ten times above the best costs {span(above)} of test accuracy, ten times below "
        f"{span(below)}; between rates of the list accuracy varies by {along:.2f}, between optimizers at their best rate by {between:.3f}"
    )
    too_high, too_low = (all(c.low > 0.05 for c in many.values()) for many in (above, below))
    if too_high and too_low:
        return "holds", f"Holds: {figures}."
    if too_high:
        return "holds if", f"Holds if the rate is too high, less if it is too low: {figures}."

    def forgiving(many: dict[str, Interval]) -> str:
        return ", ".join(f"{name} {shown(cost, 2)}" for name, cost in many.items() if cost.low <= 0.05) or "none"

    return "does not hold", (
        f"Does not hold, as it is not true of all optimizers: {figures}. Not clearly more than 0.05 is lost ten times too high by {forgiving(above)}, and "
        f"ten times too low by {forgiving(below)}."
    )


def table(found: Found, size: Size) -> Table:
    rows = []
    for name, test in found.default.items():
        best = int(found.validation[name].mean(1).argmax())
        rows.append([name, f"{rates_of(name)[best]:.2g}", *[f"{value:.3f}" for value in test.mean(1)]])
    header = ["optimizer", "best rate", *[f"rate {i + 1}" for i in range(HALF_DECADES)]]
    lists = ", ".join(f"{name} {rates_of(name)[0]:.2g}" for name in MAKE)
    return Table(
        f"Test accuracy by rate; rates are √10 apart and start at: {lists}. The best one is selected by validation accuracy.",
        header,
        rows,
    )


def picture(found: Found) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.6, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
    for name, colour in zip(MAKE, ("C0", "C9", "C1", "C3"), strict=True):
        left.plot(rates_of(name), found.default[name].mean(1), color=colour, marker=".", label=name)
    left.set(xlabel="learning rate", ylabel="test accuracy", xscale="log", ylim=(0, 1.02))
    left.legend(frameon=False, fontsize=8, loc="lower center")
    shown_at = {"linear,\nedge": np.array([found.linear])}
    shown_at |= {f"{name},\nedge": values for name, values in found.edges.items()}
    shown_at |= {f"tanh, rate\n{label}": values for label, values in found.stability.items()}
    for nth, values in enumerate(shown_at.values()):
        right.plot(np.full(len(values), nth), values, "o", color="C0" if nth < 3 else "C3", alpha=0.7)
    right.axhline(1, color="grey", linewidth=1, linestyle=":")
    right.set_xticks(range(len(shown_at)), shown_at, fontsize=8)
    right.set(ylabel="edge · λ₀ / 2 (blue),  λ · rate / 2 (red)", yscale="log", ylim=(0.2, 12))
    right.set_yticks([0.2, 0.5, 1, 2, 5, 10], ["0.2", "0.5", "1", "2", "5", "10"])
    for axis in (left, right):
        axis.spines[["top", "right"]].set_visible(False)
    return figure


EXPERIMENT = Experiment(
    number=20,
    title="The learning rate is critical",
    claim="The learning rate is critical: too large and training diverges, too small and it takes too long.",
    predictions=[
        Prediction(
            "Linear model, squared error, full batch: gradient descent diverges above 1.00 times 2/λ_max, within 1 %.",
            "On a quadratic the error along the eigenvector of λ is multiplied by 1 − η λ in each step, whose size is 1 at "
            "η = 2/λ. Above by 1 % it grows by 2 % a step, a factor 10¹⁷ in 2000 steps. The list of rates is 0.5 % apart.",
            True,
        ),
        Prediction(
            "Networks with two hidden layers, squared error, full batch: the edge, in units of 2/λ₀ with the largest curvature "
            "λ₀ at the start, is between 2 and 6 for relu and between 1 and 3 for tanh.",
            "Above 2/λ₀ the loss first rises, but curvature is not fixed: weights shrink along the unstable direction until it "
            "is below 2/η (the catapult of Lewkowycz et al. 2020, who find 4/λ₀ for smooth functions and up to 12/λ₀ for relu: "
            "2 and 6 in our unit).",
            True,
        ),
        Prediction(
            "tanh network, full batch, 4000 steps at the rates 1/λ₀ and 1/(2 λ₀): the largest curvature ends at 2/rate, within "
            "−10 % to +20 %.",
            "While curvature is below 2/η descent is stable and curvature grows; above it steps overshoot along that direction, "
            "which lowers it again: 2/η attracts from both sides (the edge of stability, Cohen et al. 2021).",
            True,
        ),
        Prediction(
            "Default task, digits: test accuracy varies between the listed rates at least 10 times as much as between sgd, "
            "momentum, RMSProp and Adam at their best rates.",
            "Rates differ by 4.5 decades, so that some diverge (accuracy 0.1) or hardly move; at the best rate all of them fit the "
            "training data, and what remains is the difference between good solutions, about 0.02.",
            False,
        ),
        Prediction(
            "A rate ten times above the best costs at least 0.1 of test accuracy for each, ten times below at most 0.1.",
            "Above: the best rate is within a factor 2 to 10 of the edge, so that ten times are beyond it. Below: ten times fewer "
            "effective steps, 50 instead of 500, which reach most of the accuracy on digits.",
            False,
        ),
    ],
    protocol=(
        "Squared error on one-hot classes of 256 digits drawn with the seed, full batches, gradient descent: a linear model, and the MLP "
        "64-64-64-10 with relu and tanh, 5 initialisations. λ is the largest eigenvalue of the Hessian, by 300 steps of the power "
        "method. The edge is the rate above which the loss after 300 steps (linear: 2000) is not below its start, on a list of "
        "rates a factor 2^¼ (linear: 0.5 %) apart. The default task: digits, relu, batches of 64, 500 steps, sgd, momentum 0.9, RMSProp and Adam "
        "at 10 rates each, √10 apart, 10 seeds; the best rate is selected by validation accuracy, accuracies are those on test "
        "data. A diverged run counts as accuracy 0.1."
    ),
    rule=(
        "holds if a rate ten times too high and one ten times too low both cost more than 0.05 of test accuracy (lower end of the "
        "interval) for each of the four optimizers; holds under a condition if only the high one does; else does not hold."
    ),
    measure=measure,
    script=__file__,
)

if __name__ == "__main__":
    raise SystemExit(main(EXPERIMENT))
