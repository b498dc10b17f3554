"""08: does saturation stop learning?"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from experiment import Experiment, Interval, Outcome, Prediction, Result, Table, exact, interval, main, shown
from pictures import bare, points
from plain_networks import digits, scores, seeds_of

from jaxopt_lite import activations as act
from jaxopt_lite import optimizers as opt
from jaxopt_lite import sweeps, training
from jaxopt_lite.flax import MLP

RATE = 0.1
STARTS = tuple(range(1, 21))
SHIFTS = (0.0, 5.0, 10.0, 20.0)
FUNCTIONS = (act.sigmoid, act.tanh, act.soft_sign, act.relu, act.leaky_relu, act.silu)
EPS_START = math.log(1e8)  # where exp(−s) is Adam's eps


def squared(f: Callable[[jax.Array], jax.Array]) -> Callable[[jax.Array], jax.Array]:
    """Half the squared error of a unit f(z) that should be 1."""
    return lambda z: (f(z) - 1) ** 2 / 2


UNITS = {
    "sigmoid, cross entropy": lambda z: -act.log_sigmoid(z),
    "sigmoid": squared(act.sigmoid),
    "tanh": squared(act.tanh),
    "softsign": squared(act.soft_sign),
    "leaky relu": squared(act.leaky_relu),
    "relu": squared(act.relu),
    "silu": squared(act.silu),
}


class Size(NamedTuple):
    unit_steps: int = 100_000
    steps: int = 300
    seeds: int = 10
    sgd: tuple[float, ...] = (0.03, 0.1, 0.3)
    adam: tuple[float, ...] = (1e-3, 3e-3, 1e-2)


def escape(loss: Callable[[jax.Array], jax.Array], tx: Any, steps: int) -> np.ndarray:
    """Steps from z = −s to z ≥ 0 for each start s; infinite if it takes more."""

    def step(i: jax.Array, state: Any) -> Any:
        z, inner, escaped = state
        updates, inner = tx.update(jax.grad(loss)(z), inner, z)
        z = z + updates
        return z, inner, jnp.where((z >= 0) & jnp.isinf(escaped), i + 1.0, escaped)

    @jax.jit
    @jax.vmap
    def run(z: jax.Array) -> jax.Array:
        return jax.lax.fori_loop(0, steps, step, (z, tx.init(z), jnp.float32(jnp.inf)))[2]

    return np.asarray(run(-jnp.array(STARTS, jnp.float32)))


def predicted(name: str, start: float) -> float:
    """Steps of gradient flow, ∫ dz / (η |slope of the loss|) from −s to 0."""
    z = np.linspace(-start, 0, 20_001)
    s, e = 1 / (1 + np.exp(-z)), 4 * np.exp(2 * z) / (1 + np.exp(2 * z)) ** 2
    slope = {
        "sigmoid, cross entropy": 1 - s,
        "sigmoid": (1 - s) * s * (1 - s),
        "tanh": (1 - np.tanh(z)) * e,
        "softsign": (1 - z / (1 - z)) / (1 - z) ** 2,
        "leaky relu": (1 - 0.01 * z) * 0.01,
    }[name]
    return float(np.trapezoid(1 / slope, z)) / RATE


def trained(seed: int, size: Size) -> dict[tuple[str, str, float], np.ndarray]:
    """Test accuracy by activation, optimizer and shift of the first layer: by seed, at the best rate on validation data."""

    def build(trial: Any, rngs: Any) -> MLP:
        model = MLP((64, 64, 64, 10), trial["activation"], rngs=rngs)
        model.layers[0].bias[...] = jnp.full(64, -1.0) * trial["shift"]
        return model

    space = {
        "activation": sweeps.choice(list(FUNCTIONS)),
        "shift": sweeps.values(list(SHIFTS)),
        "optimizer": sweeps.choice([opt.sgd(sweeps.values(list(size.sgd))), opt.adam(sweeps.values(list(size.adam)))]),
    }
    task = training.supervised(build, digits(seed))
    results = sweeps.run(task, space, steps=size.steps, seeds=seeds_of(seed, size.seeds), keep=0, progress=False)
    return {
        (one.columns["activation"], one.columns["optimizer"], one.columns["shift"]): scores(
            results, one, "test_accuracy"
        )
        for one in results.best("activation", "optimizer", "shift")
    }


CHECKED = {"sigmoid, cross entropy": 20, "sigmoid": 8, "tanh": 4, "softsign": 20, "leaky relu": 20}

PREDICTIONS = (
    Prediction(
        f"One unit that starts at z = −s and should be 1, sgd with rate {RATE}: the steps until z ≥ 0 are those of the formula within 10 %, at "
        + ", ".join(f"{name} s = {start}: {predicted(name, start):.3g}" for name, start in CHECKED.items())
        + ".",
        "dz/dt = η |slope of the loss|, integrated from −s to 0. Squared error: the slope falls as exp(−s) for the sigmoid, 8 exp(−2s) for tanh, 2/s² for the softsign, and "
        "is 0.01 and more for leaky relu, so the time grows as exp(s), exp(2s)/16, s³/6 and s. With cross entropy it is 1 at any depth of the saturation. Steps "
        "of length 0.1 or less are the flow to a few percent.",
        True,
    ),
    Prediction(
        "One unit, sgd: relu and silu never leave, for any s ≥ 2.",
        "relu has derivative 0 there. silu falls from z = −∞ to its minimum at −1.28, so below it the gradient points away from 0.",
        True,
    ),
    Prediction(
        f"One unit, Adam with rate {RATE}: sigmoid, s = 10: between s/η = 100 and 200 steps, where sgd needs {predicted('sigmoid', 10):.2g}; "
        f"s = 20: at least 3 times s/η, since exp(−20) is below Adam's eps.",
        "Adam divides the gradient by its own size, so that a step has length η, whatever the saturation, while the gradient is above eps = 10⁻⁸, that is up to "
        f"s = ln 10⁸ = {EPS_START:.1f}. As the gradient grows while the unit leaves, its mean lags behind, and steps are shorter or longer by a factor of up to 2.",
        True,
    ),
    Prediction(
        "One unit, float32, Adam: tanh leaves for s up to 7 and never for s from 10 on.",
        "float32 holds numbers next to 1 in steps of 6·10⁻⁸. tanh(−s) = −1 + 2 exp(−2s) rounds to −1 when 2 exp(−2s) < 3·10⁻⁸, s > 9.0, and a derivative that is computed from the "
        "output, 1 − tanh², is then exactly 0.",
        True,
    ),
    Prediction(
        "Network on digits whose first layer starts with all biases at −10, Adam: relu at most 0.2 in test accuracy; sigmoid, softsign and leaky relu within 0.05 of "
        "biases at 0.",
        "Pre-activations have mean −10 and deviation 1: no relu unit is active for any input, its derivative is 0, and what comes out is a constant, which gets the share of one class, "
        "0.1. The others have derivatives of 5·10⁻⁵, 0.008 and 0.01, which Adam rescales.",
        True,
    ),
    Prediction(
        "The same with biases at −20: tanh at most 0.2 with sgd and with Adam.",
        "All outputs are −1 to the last bit of float32.",
        True,
    ),
)


def measure(seed: int, small: bool) -> Result:
    size = Size(unit_steps=300, steps=5, seeds=2, sgd=(0.1,), adam=(1e-2,)) if small else Size()
    sgd = {name: escape(loss, opt.sgd(RATE), size.unit_steps) for name, loss in UNITS.items()}
    adam = {name: escape(loss, opt.adam(RATE), size.unit_steps // 10) for name, loss in UNITS.items()}
    accuracy = trained(seed, size)
    ratio = {name: float(sgd[name][start - 1]) / predicted(name, start) for name, start in CHECKED.items()}
    stuck = [name for name in ("relu", "silu") if np.isinf(sgd[name][1:]).all()]
    stuck_adam = [name for name in ("relu", "silu") if np.isinf(adam[name][1:]).all()]
    silu_slope = float(jax.grad(act.silu)(-8.0))
    fast, late = float(adam["sigmoid"][9]), float(adam["sigmoid"][19])
    leaves = np.isfinite(adam["tanh"])
    last = max((s for s, left in zip(STARTS, leaves, strict=True) if left), default=0)

    def drop(f: str, optimizer: str, shift: float) -> Interval:
        found = interval(accuracy[f, optimizer, 0.0] - accuracy[f, optimizer, shift])
        return Interval(*(0.0 if abs(part) < 1e-6 else part for part in found))  # accuracies are float32

    def mean(f: str, optimizer: str, shift: float) -> float:
        return float(accuracy[f, optimizer, shift].mean())

    drops = {f: drop(f, "adam", 10.0) for f in ("sigmoid", "soft_sign", "leaky_relu")}
    tanh = {optimizer: mean("tanh", optimizer, 20.0) for optimizer in ("sgd", "adam")}
    outcomes = (
        Outcome(
            "measured ÷ formula: " + ", ".join(f"{name} {r:.3f}" for name, r in ratio.items()),
            all(abs(r - 1) <= 0.1 for r in ratio.values()),
        ),
        Outcome(f"never for any s from 2 to 20: {', '.join(stuck) or 'none'}", len(stuck) == 2),
        Outcome(f"s = 10: {fast:.0f} steps; s = 20: {late:.0f}", 100 <= fast <= 200 and late >= 600),
        Outcome(f"tanh leaves for s up to {last}", bool(leaves[:7].all()) and not leaves[9:].any()),
        Outcome(
            f"relu {mean('relu', 'adam', 10.0):.3f}; below biases at 0 by {', '.join(f'{f} {shown(d, 2)}' for f, d in drops.items())}",
            mean("relu", "adam", 10.0) <= 0.2 and all(d.value <= 0.05 for d in drops.values()),
        ),
        Outcome(f"sgd {tanh['sgd']:.3f}, Adam {tanh['adam']:.3f}", max(tanh.values()) <= 0.2),
    )
    failing = {
        optimizer: [f.__name__ for f in FUNCTIONS if drop(f.__name__, optimizer, 10.0).low > 0.3]
        for optimizer in ("sgd", "adam")
    }
    saturating = ("sigmoid", "tanh", "relu")
    stopped = {optimizer: [f for f in saturating if f in names] for optimizer, names in failing.items()}
    verdict = (
        "holds" if len(stopped["adam"]) == 3 else "holds if" if stopped["sgd"] or stopped["adam"] else "does not hold"
    )
    begin = {
        "holds": "Holds",
        "holds if": "Holds if the derivative is exactly 0 or the optimizer does not rescale gradients",
        "does not hold": "Does not hold",
    }[verdict]
    never = f"{' and '.join(stuck) or 'no'} units do not leave with sgd from any s ≥ 2"
    if stuck_adam:
        never += f" ({' and '.join(stuck_adam)} not with Adam either)"
    if "silu" in stuck and silu_slope < 0:
        never += f", silu though its derivative is not 0 ({silu_slope:.2g} at −8): its slope points away from 0 there"

    def listed(names: list[str]) -> str:
        return (
            f"all {len(FUNCTIONS)} ({', '.join(names)})" if len(names) == len(FUNCTIONS) else ", ".join(names) or "none"
        )

    return Result(
        outcomes,
        verdict,  # type: ignore[arg-type]
        f"{begin}: from z = −8 a sigmoid unit with squared error needs {sgd['sigmoid'][7]:.0f} steps of sgd (rate {RATE}), with cross entropy {sgd['sigmoid, cross entropy'][7]:.0f}, "
        f"with Adam {adam['sigmoid'][7]:.0f}; {never}. Of the networks whose first layer starts with biases −10 these do not learn with sgd: {listed(failing['sgd'])}; "
        f"with Adam: {listed(failing['adam'])}.",
        f"steps to leave z = −8, sigmoid with squared error: {sgd['sigmoid'][7]:.0f} with sgd, {adam['sigmoid'][7]:.0f} with Adam; accuracy lost by a start at −10 with Adam: "
        f"sigmoid {shown(drops['sigmoid'], 2)}, relu {shown(drop('relu', 'adam', 10.0), 2)}",
        {
            **{f"steps ÷ formula, {name}": exact(r) for name, r in ratio.items()},
            "steps of Adam, sigmoid, s = 10": exact(fast),
            **{
                f"accuracy lost from biases 0 to −10 with Adam, {f.__name__}": drop(f.__name__, "adam", 10.0)
                for f in FUNCTIONS
            },
        },
        [
            Table(
                "Test accuracy of 64-64-64-10 on digits by the biases with which the first layer starts, at the best rate of each by validation accuracy, with 95 % intervals.",
                ["activation", "optimizer", *(f"−{shift:.0f}" if shift else "0" for shift in SHIFTS)],
                [
                    [f.__name__, optimizer, *(shown(interval(accuracy[f.__name__, optimizer, s])) for s in SHIFTS)]
                    for f in FUNCTIONS
                    for optimizer in ("sgd", "adam")
                ],
            )
        ],
        picture(sgd, adam, accuracy, size),
        f"Left and centre: steps that one unit takes from z = −s to 0, with sgd and with Adam, rate {RATE}; lines: formula for sgd, s/η for Adam; units that do not leave in "
        f"{size.unit_steps} (sgd) or {size.unit_steps // 10} steps (Adam) are not drawn. Right: test accuracy of networks with Adam, with 95 % intervals.",
    )


def picture(
    sgd: dict[str, np.ndarray],
    adam: dict[str, np.ndarray],
    accuracy: dict[tuple[str, str, float], np.ndarray],
    size: Size,
) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.8), layout="constrained")
    left, centre, right = figure.subplots(1, 3)
    for number, name in enumerate(CHECKED):
        left.plot(STARTS, [predicted(name, s) for s in STARTS], color=f"C{number}", linewidth=1)
        left.plot(STARTS, sgd[name], "o", color=f"C{number}", markersize=4, label=name)
        centre.plot(STARTS, adam[name], "o", color=f"C{number}", markersize=4)
    centre.plot(STARTS, np.array(STARTS) / RATE, color="black", linewidth=1)
    left.set(yscale="log", ylim=(5, 2e5), xlabel="start s", ylabel="steps until z ≥ 0", title="sgd")
    centre.set(yscale="log", ylim=(5, 2e5), xlabel="start s", title="Adam")
    left.legend(fontsize=7, frameon=False, loc="lower right")
    for number, f in enumerate(FUNCTIONS):
        samples = [accuracy[f.__name__, "adam", shift] for shift in SHIFTS]
        points(right, [-s for s in SHIFTS], samples, color=f"C{number + 3}", label=f.__name__)
    right.set(
        xlabel="biases of the first layer at the start", ylabel="test accuracy", ylim=(0, 1.02), title="networks, Adam"
    )
    right.legend(fontsize=7, frameon=False, loc="center")
    bare(left, centre, right)
    return figure


EXPERIMENT = Experiment(
    number=8,
    title="Saturation",
    claim="Saturated units stop learning.",
    predictions=PREDICTIONS,
    protocol=f"One unit: the loss is (f(z) − 1)²/2, or cross entropy for label 1, as a function of the pre-activation z alone; z starts at −s, s from 1 to 20; sgd and Adam with rate {RATE}, "
    "float32, at most 100,000 steps (Adam 10,000). Nothing is random. Network: 64-64-64-10, Flax's default weights, digits, split with the seed (1077, 360, 360), inputs of mean 0 and "
    "variance 1; all biases of the first layer start at 0, −5, −10 or −20; 300 steps of 64 examples, sgd (0.03, 0.1, 0.3) and Adam (0.001, 0.003, 0.01), the best rate by "
    "validation accuracy for each activation, optimizer and start, 10 seeds, differences paired by seed.",
    rule="a network has stopped if a start at −10 costs more than 0.3 in test accuracy (lower end of the interval). Holds if with Adam those of sigmoid, tanh and relu all do; "
    "does not hold if none does with sgd or Adam; else holds under a condition.",
    measure=measure,
    script=__file__,
)

if __name__ == "__main__":
    raise SystemExit(main(EXPERIMENT))
