"""02: do bounded activations stabilise training?"""

import math
from typing import Any, NamedTuple

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
from experiment import Experiment, Outcome, Prediction, Result, Table, exact, interval, main, shown
from pictures import bare
from plain_networks import Function, digits, scores, seeds_of

from jaxopt_lite import activations as act
from jaxopt_lite import optimizers as opt
from jaxopt_lite import sweeps, training
from jaxopt_lite.flax import MLP, initialise, outputs

SIZES = (64, 64, 64, 10)
BOUNDED = ("relu below 6", "relu below 1", "identity within ±6", "identity within ±1", "tanh", "sigmoid")
UNBOUNDED = ("relu", "identity")
LOSSES = ("cross_entropy", "mse")
NEAR = 0.05  # a rate "still learns" if its accuracy is at most this much below the best


def relu_below(x: jax.Array, bound: jax.Array) -> jax.Array:
    return jnp.clip(x, 0, bound)


def within(x: jax.Array, bound: jax.Array) -> jax.Array:
    return jnp.clip(x, -bound, bound)


class Size(NamedTuple):
    steps: int = 300
    seeds: int = 10
    decades: tuple[float, ...] = tuple(np.arange(-1.5, 4.01, 0.5).tolist())


class Stability(NamedTuple):
    """Of one network and loss, over rate and seed: whether the run diverged, and its test accuracy (0 if it did)."""

    diverged: np.ndarray
    accuracy: np.ndarray


def name_of(columns: dict[str, Any]) -> str:
    """The name of a network in tables."""
    names = {"relu_below": ("relu", "relu below {:g}"), "within": ("identity", "identity within ±{:g}")}
    f, bound = str(columns["activation"]), columns.get("bound")
    if f not in names:
        return f
    return names[f][0] if bound == math.inf else names[f][1].format(bound)


def stability(data: Any, loss: str, seed: int, size: Size) -> dict[str, Stability]:
    """Every network with every learning rate."""
    if loss == "mse":
        data = tuple((x, np.eye(10, dtype=np.float32)[y]) for x, y in data)
    bounds = sweeps.values([1.0, 6.0, math.inf])
    space = {
        "activation": sweeps.choice(
            [act.bind(relu_below, bound=bounds), act.bind(within, bound=bounds), act.tanh, act.sigmoid]
        ),
        "optimizer": opt.sgd(sweeps.values([10.0**d for d in size.decades])),
    }
    task = training.supervised(lambda t, rngs: MLP(SIZES, t["activation"], rngs=rngs), data, loss)
    seeds = seeds_of(seed, size.seeds)
    results = sweeps.run(task, space, steps=size.steps, seeds=seeds, keep=0, progress=False)
    found: dict[str, dict[float, tuple[np.ndarray, np.ndarray]]] = {}
    for one in results.settings():
        bad = np.array([results.columns["status"][row] == "diverged" for row in one.trials])
        accuracy = np.zeros(len(bad)) if loss == "mse" else np.nan_to_num(scores(results, one, "test_accuracy"))
        found.setdefault(name_of(one.columns), {})[one.columns["learning_rate"]] = (bad, accuracy)
    return {
        name: Stability(*(np.array([by_rate[rate][i] for rate in sorted(by_rate)]) for i in (0, 1)))
        for name, by_rate in found.items()
    }


def first_diverging(one: Stability, size: Size) -> float:
    """The lowest rate at which at least half of the seeds diverge; infinite if there is none."""
    often = one.diverged.mean(axis=1) >= 0.5
    return 10 ** size.decades[int(np.argmax(often))] if often.any() else math.inf


def last_learning(one: Stability, size: Size) -> np.ndarray:
    """For each seed log10 of the highest rate that still learns."""
    learns = one.accuracy >= one.accuracy.max(axis=0) - NEAR
    return np.array([size.decades[np.flatnonzero(column)[-1]] for column in learns.T])


def sharpness(f: Function, data: Any, seed: int) -> float:
    """Largest eigenvalue of the Hessian of the mean squared error over the training part before training."""
    x, y = data[0][0], np.eye(10, dtype=np.float32)[data[0][1]]

    def build(_: Any, rngs: Any) -> MLP:
        return MLP(SIZES, f, rngs=rngs)

    weights = initialise(build, None, x[:1], jax.random.key(seed))
    flat, unravel = jax.flatten_util.ravel_pytree(weights.params)

    def loss(flat: jax.Array) -> jax.Array:
        params = weights._replace(params=unravel(flat))
        return jnp.mean((outputs(build, None, params, x, jax.random.key(0), train=False)[0] - y) ** 2)

    def power(_: int, v: jax.Array) -> jax.Array:
        product = jax.jvp(jax.grad(loss), (flat,), (v / jnp.linalg.norm(v),))[1]
        return product

    v = jax.random.normal(jax.random.key(seed), flat.shape)
    return float(jnp.linalg.norm(jax.jit(lambda v: jax.lax.fori_loop(0, 50, power, v))(v)))


PREDICTIONS = (
    Prediction(
        "Cross entropy, bounded: no run diverges (becomes NaN or infinite) at any rate up to 10⁴.",
        "The gradient of cross entropy at the logits is at most √2 an example, and the units before the last layer are at most B. So a "
        "step changes the last kernel by at most η√2·B√64, the second kernel by at most η√2·B√64 times the norm of the last, the first "
        "likewise: after T steps the three grow at most as Tη, (Tη)² and (Tη)³ up to factors of 10², which for T = 300 and η = 10⁴ "
        "is 10²², far below 3·10³⁸.",
        True,
    ),
    Prediction(
        "Cross entropy, unbounded (relu, identity): at least half of the runs diverge from some rate between 0.3 and 30 on.",
        "The gradient of one layer of three contains the product of the other two. If a step makes all weights η times a number of "
        "order 1 and η is large, the next gradient is of order η², the weights of order η³, then η⁹: the exponent triples with each step "
        "and leaves float32 (10³⁸) after four steps for η = 3. Below, the loss falls before that. The curvature of "
        "cross entropy at the start is of order 1 to 10, so training becomes unstable (2/λ) at 0.2 to 2; a factor of 15 is left "
        "for the step from unstable to divergent.",
        True,
    ),
    Prediction(
        "Mean squared error, unbounded: the first rate with at least half of the runs divergent lies between 2/λ and 12/λ, give or "
        "take one step of the grid of rates (√10), for the largest eigenvalue λ of the Hessian before training.",
        "Gradient descent on a quadratic diverges above 2/λ. Networks escape by moving to flatter places up to 4/λ (linear) and "
        "about 12/λ (relu): Lewkowycz et al. 2020.",
        True,
    ),
    Prediction(
        "Mean squared error, bounded: all six diverge too, from a rate between 0.1 and 50 on.",
        "Whatever the hidden layers do, the last layer is a linear regression on its inputs h, with Hessian (2/10) E hhᵀ. Saturated at B, h has "
        "squared length 64B² + 1, spread over at least 1 and at most 65 directions: λ is between 0.2·(64B² + 1)/65 and 0.2·(64B² + 1), and "
        "2/λ between 0.15 and 10 for B = 1. Units that rest at half of their bound make it 4 times larger; larger bounds lower it.",
        True,
    ),
    Prediction(
        "Cross entropy: the highest rate that still learns (test accuracy within 0.05 of the network's best) is for relu below 6 at most "
        "10 times that of relu: finite numbers are not yet learning.",
        "Up to the edge of stability the units of relu below 6 hardly ever reach 6 (inputs of variance 1, pre-activations of order 1), "
        "so both networks have the same curvature and the same edge. Beyond it the clipped units have derivative 0 and learn no more.",
        True,
    ),
    Prediction(
        "Cross entropy, rate 1000: tanh is finite in all runs but loses at least 0.05 in test accuracy against its best rate.",
        "One step moves the weights so far that tanh is ±1 with derivative 0: the hidden layers are frozen as random sign features, and the "
        "last layer alone learns, by the perceptron's rule.",
        False,
    ),
)


def measure(seed: int, small: bool) -> Result:
    size = Size(steps=5, seeds=2, decades=(-1.0, 1.0, 3.0)) if small else Size()
    data = digits(seed)
    by_loss = {loss: stability(data, loss, seed, size) for loss in LOSSES}
    ce, mse = by_loss["cross_entropy"], by_loss["mse"]
    sharp = {"relu": act.relu, "identity": act.identity}
    curvature = {name: float(np.mean([sharpness(f, data, s) for s in seeds_of(seed, 3)])) for name, f in sharp.items()}
    edge = {loss: {name: first_diverging(one, size) for name, one in found.items()} for loss, found in by_loss.items()}
    learning = {name: last_learning(one, size) for name, one in ce.items()}
    factor = interval(learning["relu below 6"] - learning["relu"])
    best = {name: one.accuracy.mean(axis=1).max() for name, one in ce.items()}
    at = int(np.argmin(np.abs(np.array(size.decades) - 3)))
    loss_of_tanh = interval(ce["tanh"].accuracy.max(axis=0) - ce["tanh"].accuracy[at])
    diverged = sum(int(ce[name].diverged.sum()) for name in BOUNDED)
    runs = sum(ce[name].diverged.size for name in BOUNDED)
    ratios = {name: edge["mse"][name] * curvature[name] for name in UNBOUNDED}

    def rates(loss: str, names: tuple[str, ...]) -> str:
        return ", ".join(f"{name} {rate_text(edge[loss][name])}" for name in names)

    outcomes = (
        Outcome(f"{diverged} of {runs} runs diverge", diverged == 0),
        Outcome(rates("cross_entropy", UNBOUNDED), all(0.3 <= edge["cross_entropy"][n] <= 30 for n in UNBOUNDED)),
        Outcome(
            ", ".join(
                f"{n}: {rate_text(edge['mse'][n])} = {ratios[n]:.1f}/λ with λ = {curvature[n]:.2g}" for n in UNBOUNDED
            ),
            all(2 / math.sqrt(10) <= ratio <= 12 * math.sqrt(10) for ratio in ratios.values()),
        ),
        Outcome(rates("mse", BOUNDED), all(0.1 <= edge["mse"][name] <= 50 for name in BOUNDED)),
        Outcome(f"{10**factor.value:.2g} times ({10**factor.low:.2g} to {10**factor.high:.2g})", factor.high <= 1),
        Outcome(
            f"{int(ce['tanh'].diverged[at].sum())} runs diverge; {shown(loss_of_tanh, 2)} lost",
            ce["tanh"].diverged[at].sum() == 0 and loss_of_tanh.low >= 0.05,
        ),
    )
    finite = all(edge["cross_entropy"][name] == math.inf for name in BOUNDED)
    parted = finite and max(edge["cross_entropy"][name] for name in UNBOUNDED) <= 1000
    bounded_mse = [edge["mse"][name] for name in BOUNDED]
    verdict = "does not hold" if not parted else "holds" if min(bounded_mse) == math.inf else "holds if"
    sentences = {
        "holds": "Holds: with a bounded activation no network diverges at any rate up to 10⁴, with either loss",
        "holds if": "Holds if the gradient of the loss is bounded too: with cross entropy no network with a bounded activation diverges at "
        f"any rate up to 10⁴, while relu does from {rate_text(edge['cross_entropy']['relu'])} on and the identity from "
        f"{rate_text(edge['cross_entropy']['identity'])} on; with "
        f"mean squared error bounded ones diverge as well, from {rate_text(min(bounded_mse))} to {rate_text(max(bounded_mse))} on",
        "does not hold": "Does not hold: bounded activations diverge at rates up to 10⁴ with cross entropy, or unbounded ones do not at 1000",
    }
    learns = f"the highest rate that still learns is {10**factor.value:.2g} times that of relu"
    return Result(
        outcomes,
        verdict,  # type: ignore[arg-type]
        f"{sentences[verdict]}. For relu clipped at 6, {learns}.",
        f"with cross entropy {learns} (95 % interval {10**factor.low:.2g} to {10**factor.high:.2g}) for relu clipped at 6, and the rate "
        f"of divergence moves from {rate_text(edge['cross_entropy']['relu'])} to {rate_text(edge['cross_entropy']['relu below 6'])}",
        {
            "log10 of the highest rate that still learns, relu below 6 minus relu": factor,
            "accuracy that tanh loses at rate 1000": loss_of_tanh,
            **{f"first diverging rate, mse, {name}": exact(edge["mse"][name]) for name in edge["mse"]},
        },
        [
            Table(
                "Rates from which at least half of the runs diverge; with cross entropy also the best test accuracy, and the highest "
                "rate whose accuracy is within 0.05 of it (geometric mean over seeds).",
                [
                    "activation",
                    "diverges, cross entropy",
                    "diverges, mean squared error",
                    "best accuracy",
                    "still learns at",
                ],
                [
                    [
                        name,
                        rate_text(edge["cross_entropy"][name]),
                        rate_text(edge["mse"][name]),
                        f"{best[name]:.3f}",
                        f"{10 ** learning[name].mean():.2g}",
                    ]
                    for name in (*UNBOUNDED, *BOUNDED)
                ],
            )
        ],
        picture(ce, mse, size),
        "Left: test accuracy over the learning rate with cross entropy; lines end where half of the runs diverge. Right: share of runs that "
        "diverge with mean squared error. Full lines: unbounded activations; dashed: bounded ones.",
    )


def rate_text(rate: float) -> str:
    return "none" if rate == math.inf else f"{float(f'{rate:.2g}'):g}"


def picture(ce: dict[str, Stability], mse: dict[str, Stability], size: Size) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    rates = 10.0 ** np.array(size.decades)
    for number, name in enumerate(("relu", "identity", "relu below 6", "identity within ±6", "tanh", "sigmoid")):
        style = {"color": f"C{number}", "linestyle": "-" if name in UNBOUNDED else "--", "marker": "o", "markersize": 3}
        ends = ce[name].diverged.mean(axis=1) < 0.5
        left.plot(rates[ends], ce[name].accuracy.mean(axis=1)[ends], label=name, **style)
        right.plot(rates, mse[name].diverged.mean(axis=1), label=name, **style)
    left.set(xscale="log", xlabel="learning rate of sgd", ylabel="test accuracy", title="cross entropy")
    right.set(
        xscale="log", xlabel="learning rate of sgd", ylabel="share of runs that diverge", title="mean squared error"
    )
    left.set_xlim(right.get_xlim())
    left.legend(fontsize=8, frameon=False, loc="center right", bbox_to_anchor=(1, 0.6))
    bare(left, right)
    return figure


EXPERIMENT = Experiment(
    number=2,
    title="Bounded outputs and stability",
    claim="Activations with bounded outputs (sigmoid, tanh) stabilise training.",
    predictions=PREDICTIONS,
    protocol="Digits, mixed and split with the seed (1077 to train on, 360 to validate, 360 to test), inputs of mean 0 and variance 1. Perceptron "
    "64-64-64-10, Flax's default weights, sgd without momentum, 300 steps of 64 examples, 12 learning rates from 0.03 to 10⁴ in steps of √10, 10 "
    "seeds. Bounded and unbounded forms of the same curve: relu clipped at 1 and at 6, the identity clipped at ±1 and at ±6; and tanh and "
    "sigmoid. Two losses: cross entropy, and mean squared error to one-hot targets. All rates are shown, none is selected; a "
    "run has diverged if its loss becomes NaN or infinite, and counts as accuracy 0 then.",
    rule="holds if with both losses no bounded network diverges up to 10⁴ and the unbounded ones do by 1000 with cross entropy; holds if the "
    "gradient of the loss is bounded, if that is so with cross entropy only; else does not hold.",
    measure=measure,
    script=__file__,
)

if __name__ == "__main__":
    raise SystemExit(main(EXPERIMENT))
