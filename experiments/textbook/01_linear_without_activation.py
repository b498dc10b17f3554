"""01: without a non-linearity, is a network of any depth a linear model?"""

import math
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from experiment import Experiment, Interval, Outcome, Prediction, Result, Table, exact, interval, main, shown
from pictures import bare, depth_axis, points
from plain_networks import Plain, scores, seeds_of, split

from jaxopt_lite import activations as act
from jaxopt_lite import optimizers as opt
from jaxopt_lite import sweeps, training
from jaxopt_lite.activations import initializers

DEPTHS = (1, 2, 4, 8)
SLOPES = {0.0: "relu (slope 0)", 0.5: "leaky relu (slope 0.5)", 1.0: "identity (slope 1)"}
WIDTH, BOTTLENECK, FEATURES = 32, 3, 16
LOG_2 = math.log(2)


class Size(NamedTuple):
    points: int = 1000
    steps: int = 1500
    seeds: int = 10
    rates: tuple[float, ...] = (0.003, 0.01, 0.03)


def xor(seed: int, points: int) -> Any:
    """Uniform points in the square; the class says whether both coordinates have the same sign."""
    x = np.random.default_rng([seed, 1]).uniform(-1, 1, (3 * points, 2)).astype(np.float32)
    return split(x, (x.prod(axis=1) > 0).astype(np.int32), (points, points), seed)


def spirals(seed: int, points: int) -> Any:
    """The built-in spirals, mixed and split anew."""
    parts = training.builtin("spirals").data
    x, y = (np.concatenate([np.asarray(part[i]) for part in parts])[: 3 * points] for i in (0, 1))
    return split(x, y, (points, points), seed)


def logistic(data: Any) -> tuple[float, float]:
    """Training loss and test accuracy of logistic regression, which is the best linear model by cross entropy."""
    from sklearn.linear_model import LogisticRegression

    (x, y), _, (x_test, y_test) = data
    model = LogisticRegression(C=math.inf, tol=1e-10).fit(x, y)
    chance = model.predict_proba(x)[np.arange(len(y)), y]
    return float(-np.log(chance).mean()), float(model.score(x_test, y_test))


class Trained(NamedTuple):
    """By slope and depth: test accuracy by seed at the best rate by validation accuracy, and the lowest mean training loss."""

    accuracy: dict[tuple[float, int], np.ndarray]
    loss: dict[tuple[float, int], float]


def trained(data: Any, seed: int, size: Size) -> Trained:
    def build(trial: Any, rngs: Any) -> Plain:
        f = trial["activation"]
        gain = jnp.sqrt(2 / (1 + f.settings["negative_slope"] ** 2))
        return Plain((2, WIDTH, 2), DEPTHS[-1], f, initializers.normal(gain), rngs, used=trial["depth"])

    space = {
        "activation": act.bind(act.leaky_relu, negative_slope=sweeps.values(list(SLOPES))),
        "depth": sweeps.values(list(DEPTHS)),
        "optimizer": opt.adam(sweeps.values(list(size.rates))),
    }
    task = training.supervised(build, data, batch_size=50)
    results = sweeps.run(task, space, steps=size.steps, seeds=seeds_of(seed, size.seeds), keep=0, progress=False)
    best = {key(one): scores(results, one, "test_accuracy") for one in results.best("negative_slope", "depth")}
    losses: dict[tuple[float, int], float] = {}
    for one in results.settings():
        loss = one.scores["train_loss"].mean
        losses[key(one)] = min(loss, losses.get(key(one), math.inf))
    return Trained(best, losses)


def key(setting: sweeps.Setting) -> tuple[float, int]:
    return float(setting.columns["negative_slope"]), int(setting.columns["depth"])


def singular_values(slope: float, seed: int) -> np.ndarray:
    """Of the outputs of a random network with a bottleneck, for 500 inputs, relative to the largest."""
    widths = (FEATURES, WIDTH, BOTTLENECK, WIDTH, FEATURES)
    keys = jax.random.split(jax.random.key(seed), len(widths))
    h = jax.random.normal(keys[0], (500, FEATURES))
    for layer, (n, m) in enumerate(pairwise(widths)):
        h = h @ initializers.normal()(keys[layer + 1], (n, m))
        if layer < len(widths) - 2:
            h = act.leaky_relu(h, negative_slope=slope)
    values = np.linalg.svd(np.asarray(h, float), compute_uv=False)
    return values / values[0]


PREDICTIONS = (
    Prediction(
        f"XOR, identity, depth {DEPTHS[0]} to {DEPTHS[-1]}: the training loss is that of logistic regression on the same points to within "
        "0.01 nats, and so within 0.015 of log 2 = 0.693.",
        "W₂(W₁x + b₁) + b₂ = (W₂W₁)x + (W₂b₁ + b₂): whatever the depth, the map is affine, and cross entropy over affine maps is "
        "what logistic regression minimises; a deep linear network has no local minimum above it (Kawaguchi 2016). For points "
        "that are uniform in the square, the label is uncorrelated with each coordinate, so the best affine map is 0, with loss log 2. "
        "On n points 3 coefficients fit noise, which lowers the loss by about 3/(2n), 0.0015 for n = 1000; the noise of Adam's "
        "steps at the best of three rates raises it by less than 0.01 (assumed).",
        True,
    ),
    Prediction(
        "XOR, identity: test accuracy of every depth between 0.29 and 0.71.",
        "A line through the centre gets exactly 1/2: reflection in the centre keeps the label and turns the prediction. The best line "
        "of all cuts the square at 45° at distance b from the centre along an axis: (3 − b²/2 − (1 − b)²)/4 is largest at b = 2/3, where "
        "it is 2/3; the worst is 1/3. Three standard errors of 1000 test points, 3·√(2/9 / 1000) = 0.045, are added.",
        True,
    ),
    Prediction(
        f"A network {FEATURES}-{WIDTH}-{BOTTLENECK}-{WIDTH}-{FEATURES}: with the identity the outputs for 500 inputs have rank {BOTTLENECK} (all other "
        f"singular values below 1e-5 of the largest); with relu rank {FEATURES} (the smallest above 1e-3).",
        f"The rank of a product is at most that of each factor, here {BOTTLENECK}; what is left is float32's rounding, 6e-8 times a few √n. "
        f"After relu the {WIDTH} units behind the bottleneck are {WIDTH} different functions of 3 numbers, which are linearly independent, "
        f"so {FEATURES} random mixtures of them are.",
        True,
    ),
    Prediction(
        "XOR, relu: test accuracy at least 0.95 at every depth.",
        "The label is the sign of |x₁ + x₂| − |x₁ − x₂|, which one layer of 4 relu units writes exactly, |u| = relu(u) + relu(−u). What "
        "is lost is the band round the axes that 1000 training points leave undecided, of width about 1/√1000 = 0.03, half of it wrong.",
        True,
    ),
    Prediction(
        "XOR, slope 0.5: test accuracy within 0.03 of relu at every depth: half a kink serves as well as a whole one.",
        "leaky(u) + leaky(−u) = (1 − s)|u|, so for every slope s ≠ 1 the same functions are written with weights 1/(1 − s) = 2 times as large.",
        True,
    ),
    Prediction(
        "Spirals: with the identity at most 0.75 at every depth, within 0.03 of logistic regression; with relu at least 0.95 at "
        "depths 2 and 4.",
        "A line crosses spirals of 1.75 turns so often that both sides hold both classes; a relu network of two layers of 32 units "
        "has several hundred pieces, the border about 14 quarter turns of a few pieces each.",
        False,
    ),
)


def measure(seed: int, small: bool) -> Result:
    size = Size(points=100, steps=20, seeds=2, rates=(0.01,)) if small else Size()
    sets = {"XOR": xor(seed, size.points), "spirals": spirals(seed, size.points)}
    linear = {name: logistic(data) for name, data in sets.items()}
    found = {name: trained(data, seed, size) for name, data in sets.items()}
    values = {slope: np.array([singular_values(slope, s) for s in seeds_of(seed, size.seeds)]) for slope in SLOPES}

    def means(name: str, slope: float) -> list[float]:
        return [float(found[name].accuracy[slope, depth].mean()) for depth in DEPTHS]

    def of(name: str, slope: float) -> str:
        return f"{min(means(name, slope)):.3f} to {max(means(name, slope)):.3f}"

    losses = [found["XOR"].loss[1.0, depth] for depth in DEPTHS]
    loss_gap = max(abs(loss - linear["XOR"][0]) for loss in losses)
    half_gap = max(abs(a - b) for a, b in zip(means("XOR", 0.5), means("XOR", 0.0), strict=True))
    spiral_gap = max(abs(a - linear["spirals"][1]) for a in means("spirals", 1.0))
    rest, smallest = float(values[1.0][:, BOTTLENECK:].max()), float(values[0.0][:, -1].min())
    outcomes = (
        Outcome(
            f"{min(losses):.4f} to {max(losses):.4f}; logistic regression {linear['XOR'][0]:.4f}",
            loss_gap < 0.01 and max(abs(loss - LOG_2) for loss in losses) < 0.015,
        ),
        Outcome(of("XOR", 1.0), min(means("XOR", 1.0)) >= 0.29 and max(means("XOR", 1.0)) <= 0.71),
        Outcome(
            f"identity: the 4th singular value is at most {rest:.0e} of the largest; relu: the {FEATURES}th at least {smallest:.0e}",
            rest < 1e-5 and smallest > 1e-3,
        ),
        Outcome(of("XOR", 0.0), min(means("XOR", 0.0)) >= 0.95),
        Outcome(f"largest difference {half_gap:.3f}", half_gap <= 0.03),
        Outcome(
            f"identity {of('spirals', 1.0)}, logistic regression {linear['spirals'][1]:.3f}; relu {means('spirals', 0.0)[1]:.3f} and "
            f"{means('spirals', 0.0)[2]:.3f}",
            max(means("spirals", 1.0)) <= 0.75 and spiral_gap <= 0.03 and min(means("spirals", 0.0)[1:3]) >= 0.95,
        ),
    )
    gains = {name: gain(one) for name, one in found.items()}
    holds = loss_gap < 0.02 and rest < 1e-4 and all(g.low > 0.1 for g in gains.values())
    table = Table(
        "Test accuracy, mean and 95 % interval over seeds, at the best learning rate of each network by validation accuracy.",
        ["data", "activation", *(f"{depth} hidden" for depth in DEPTHS), "logistic regression"],
        [
            [name, label, *(shown(interval(one.accuracy[slope, d])) for d in DEPTHS), f"{linear[name][1]:.3f}"]
            for name, one in found.items()
            for slope, label in SLOPES.items()
        ],
    )
    return Result(
        outcomes,
        "holds" if holds else "does not hold",
        f"{'Holds' if holds else 'Does not hold'}: networks of {DEPTHS[0]} to {DEPTHS[-1]} layers without a non-linearity reach on XOR the loss of "
        f"logistic regression to {loss_gap:.4f} nats and a test accuracy of {of('XOR', 1.0)}; with relu it is {of('XOR', 0.0)}, with half "
        f"of its kink (slope 0.5) {of('XOR', 0.5)}.",
        f"relu adds {shown(gains['XOR'], 2)} in test accuracy on XOR and {shown(gains['spirals'], 2)} on the spirals",
        {
            "largest difference of training loss to logistic regression, XOR, nats": exact(loss_gap),
            **{f"relu minus identity, test accuracy, {name}": gain for name, gain in gains.items()},
        },
        [table],
        picture(found, linear, values),
        "Left and centre: test accuracy over depth, with 95 % intervals; dashed: logistic regression. Right: singular values of the "
        f"outputs of random networks with a bottleneck of {BOTTLENECK} units.",
    )


def gain(found: Trained) -> Interval:
    """Test accuracy of relu minus that of the identity, paired by seed, mean over the depths."""
    return interval(np.mean([found.accuracy[0.0, d] - found.accuracy[1.0, d] for d in DEPTHS], axis=0))


def picture(found: dict[str, Trained], linear: dict[str, tuple[float, float]], values: dict[float, np.ndarray]) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.2), layout="constrained")
    panels = figure.subplots(1, 3)
    for axis, (name, one) in zip(panels, found.items(), strict=False):
        for colour, (slope, label) in enumerate(SLOPES.items()):
            points(axis, DEPTHS, [one.accuracy[slope, depth] for depth in DEPTHS], color=f"C{colour}", label=label)
        axis.axhline(linear[name][1], color="grey", linestyle="--", linewidth=1)
        axis.set(title=name, ylim=(0.3, 1.02))
        depth_axis(axis, DEPTHS)
    panels[0].set_ylabel("test accuracy")
    panels[0].legend(fontsize=8, frameon=False, loc="center", bbox_to_anchor=(0.5, 0.62))
    for colour, slope in enumerate(SLOPES):
        middle = np.median(values[slope], axis=0)
        panels[2].plot(range(1, FEATURES + 1), middle, color=f"C{colour}", marker="o", markersize=3)
    panels[2].set(
        title=f"bottleneck of {BOTTLENECK} units", xlabel="singular value", ylabel="size, largest = 1", yscale="log"
    )
    bare(*panels)
    return figure


EXPERIMENT = Experiment(
    number=1,
    title="Without a non-linearity a network is a linear model",
    claim="Without a non-linear activation a network of any depth is equivalent to a linear model and cannot learn XOR.",
    predictions=PREDICTIONS,
    protocol=f"Perceptrons of 2 inputs, 1 to 8 hidden layers of {WIDTH} units and 2 outputs. The activation is leaky_relu: with slope 1 it is the "
    "identity, with slope 0 relu. Normal weights of variance 2/(1 + slope²)/fan-in, biases 0. Data: XOR (uniform points in the square "
    "[−1, 1]², class = sign of x₁x₂) and the built-in spirals, 1000 points each to train on, to validate and to test. Adam, 1500 steps of 50 "
    "points, 3 learning rates (0.003, 0.01, 0.03), the best by validation accuracy for each network, 10 seeds for initial weights and "
    "order of the points. For the loss of identity networks the lowest of the three mean training losses counts, as the prediction is "
    "on what they can reach. Ranks are those of random networks of 10 seeds.",
    rule="holds if identity networks of all depths reach the training loss of logistic regression to 0.02 nats on XOR, the bottleneck's "
    "rank stays below 1e-4 of the largest singular value, and relu gains more than 0.1 in test accuracy on both data sets; else does not hold.",
    measure=measure,
    script=__file__,
)

if __name__ == "__main__":
    raise SystemExit(main(EXPERIMENT))
