"""06: does relu solve vanishing gradients?"""

import math
from typing import Any, NamedTuple

import numpy as np
from experiment import Experiment, Interval, Outcome, Prediction, Result, Table, interval, main, shown
from pictures import bare, depth_axis, gradients_by_layer, points
from plain_networks import Signals, best_of, digits, random_signals, seeds_of, trained_by_depth

from jaxopt_lite import activations as act
from jaxopt_lite import optimizers as opt
from jaxopt_lite import sweeps
from jaxopt_lite.activations import initializers

DEEP, EXAMPLES, LOG_10 = 100, 64, math.log(10)
WIDE, NARROW = 256, 32
DEPTHS, TRAINED_WIDTH = (4, 16, 32), 32
NETWORKS = {
    "relu, variance 2/n": (act.relu, math.sqrt(2)),
    "relu, variance 1/n": (act.relu, 1.0),
    "tanh, variance 1/n": (act.tanh, 1.0),
}
HE, FLAX, TANH = NETWORKS


class Size(NamedTuple):
    depth: int = DEEP
    wide: int = WIDE
    steps: int = 300
    seeds: int = 10
    networks: int = 20
    narrow: int = 200
    sgd: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3)
    adam: tuple[float, ...] = (3e-4, 1e-3, 3e-3)


def deviation(width: int, depth: int = DEEP) -> float:
    """Standard deviation of the natural logarithm of the gradient over networks: half of √(5/width) a layer, squared and added."""
    return math.sqrt(5 * (depth - 1) / width) / 2


def shift(width: int, depth: int = DEEP) -> float:
    """The mean of that logarithm."""
    return -5 * (depth - 1) / (4 * width)


def similarity(depth: int) -> float:
    """Cosine between the pre-activations of two inputs, orthogonal at first, in the last layer of a wide relu network."""
    c = 0.0
    for _ in range(depth - 1):
        c = (math.sqrt(1 - c * c) + (math.pi - math.acos(c)) * c) / math.pi
    return c


PREDICTIONS = (
    Prediction(
        f"{HE}, {WIDE} units: log10 of the gradient at the first of {DEEP} layers, relative to the last, is {shift(WIDE) / LOG_10:.2f} in the mean of 20 networks, within 0.3.",
        "Half of the units are active, so each layer multiplies the mean square of the gradient by gain²/2 = 1, in the mean. The factor of one layer is a "
        "sum over n units of masked squares of normal numbers, with relative variance (3/2 − 1/4)·4/n = 5/n, so the logarithm of the root falls by 5/(4n) a "
        "layer in the mean.",
        True,
    ),
    Prediction(
        f"{HE}, {NARROW} units, one input: the standard deviation of the natural logarithm over networks is {deviation(NARROW):.2f} and its mean {shift(NARROW):.2f}, both within "
        "20 %: in narrow deep networks gradients vanish or explode by chance.",
        f"The variances of {DEEP - 1} layers add: 5/n each for the square, a quarter of that for the root (Hanin and Nica 2019); with n = {NARROW} the corrections of "
        "order 1/n² are some 10 %.",
        True,
    ),
    Prediction(
        f"{FLAX} (Flax's default): {-(DEEP - 1) * math.log10(2) / 2 + shift(WIDE) / LOG_10:.1f}, within 3 %.",
        "gain²/2 = 1/2: the root loses √2 in each layer, and chance 0.2 decades.",
        True,
    ),
    Prediction(
        f"{HE}, {WIDE} units: different inputs become alike: 1 − cosine is {1 - similarity(DEEP):.4f} in layer {DEEP}, within 40 %.",
        "c ← (√(1 − c²) + (π − arccos c)c)/π in each layer (Cho and Saul 2009), whose 1 − c falls as 9π²/(2l²). That chance differs from input to input adds "
        "to it, which the bound allows for.",
        True,
    ),
    Prediction(
        f"Training at depth 32: {FLAX} with sgd at most 0.2 in test accuracy, {HE} with sgd at least 0.3 more.",
        "With variance 1/n signals and gradients of every kernel have 2⁻¹⁶ of their size, and no rate up to 0.3 makes up for 10⁵.",
        True,
    ),
    Prediction(
        f"Training, {HE}: from depth 4 to 32 the better of sgd and Adam loses at least 0.02 in test accuracy: relu keeps the gradient, not the input.",
        f"1 − cosine is {1 - similarity(32):.3f} after 32 layers, and in {TRAINED_WIDTH} units chance changes gradients by a factor of {math.exp(deviation(TRAINED_WIDTH, 32)):.1f} from network to network.",
        False,
    ),
)


def measure(seed: int, small: bool) -> Result:
    size = (
        Size(depth=20, wide=32, steps=5, seeds=2, networks=2, narrow=4, sgd=(0.1,), adam=(1e-3,)) if small else Size()
    )
    seeds = seeds_of(seed, size.networks)
    signals = {
        name: random_signals(f, initializers.normal(gain), size.depth, size.wide, EXAMPLES, seeds)
        for name, (f, gain) in NETWORKS.items()
    }
    narrow = random_signals(
        act.relu, initializers.normal(math.sqrt(2)), size.depth, NARROW, 1, seeds_of(seed + 1, size.narrow)
    )
    ratios = {name: interval(one.backward[:, 0] / LOG_10) for name, one in signals.items()}
    logs = narrow.backward[:, 0]
    spread, centre = float(logs.std(ddof=1)), interval(logs)
    unlike = interval(1 - signals[HE].similarity)
    optimizers = {"sgd": opt.sgd(sweeps.values(list(size.sgd))), "adam": opt.adam(sweeps.values(list(size.adam)))}
    found = trained_by_depth(
        NETWORKS, DEPTHS, optimizers, digits(seed), TRAINED_WIDTH, size.steps, seeds_of(seed, size.seeds)
    )
    accuracy = {key: one.test for key, one in found.items()}
    sgd_gap = interval(accuracy[HE, "sgd", 32] - accuracy[FLAX, "sgd", 32])
    better = {depth: best_of(found[HE, name, depth] for name in optimizers) for depth in DEPTHS}
    loss = interval(better[4] - better[32])
    flax = float(accuracy[FLAX, "sgd", 32].mean())
    wanted = (deviation(NARROW, size.depth), shift(NARROW, size.depth))
    flax_theory = -(size.depth - 1) * math.log10(2) / 2 + shift(size.wide, size.depth) / LOG_10
    outcomes = (
        Outcome(shown(ratios[HE]), abs(ratios[HE].value - shift(size.wide, size.depth) / LOG_10) <= 0.3),
        Outcome(
            f"standard deviation {spread:.2f}, mean {shown(centre)}",
            abs(spread / wanted[0] - 1) <= 0.2 and abs(centre.value / wanted[1] - 1) <= 0.2,
        ),
        Outcome(shown(ratios[FLAX], 4), abs(ratios[FLAX].value / flax_theory - 1) <= 0.03),
        Outcome(shown(unlike), abs(unlike.value / (1 - similarity(size.depth)) - 1) <= 0.4),
        Outcome(f"{flax:.3f}; {HE} better by {shown(sgd_gap, 2)}", flax <= 0.2 and sgd_gap.value >= 0.3),
        Outcome(f"loses {shown(loss, 2)}", loss.value >= 0.02),
    )
    kept, lost = abs(ratios[HE].value) < 0.02 * size.depth, ratios[FLAX].high < -0.06 * (size.depth - 1)
    verdict = "does not hold" if not kept else "holds if" if lost else "holds"
    begin = {
        "does not hold": "Does not hold: even with variance 2/n the gradient changes by more than 2 decades",
        "holds": "Holds with any weights",
        "holds if": "Holds if the weights have variance 2/n (He) and the layers are wide",
    }[verdict]
    return Result(
        outcomes,
        verdict,  # type: ignore[arg-type]
        f"{begin}: after {size.depth} layers of {size.wide} units the gradient at the first is 10^{ratios[HE].value:.2f} of that at the last layer with 2/n and 10^{ratios[FLAX].value:.1f} with Flax's default 1/n (tanh "
        f"with 1/n: 10^{ratios[TANH].value:.2f}). With {NARROW} units chance changes it from network to network by a factor of {math.exp(spread):.1f}. "
        f"Inputs become alike: with {size.wide} units and 2/n 1 − cosine is {unlike.value:.2g} in layer {size.depth}. Trained with sgd at depth 32, variance 2/n gains {sgd_gap.value:.2f} in test accuracy over 1/n.",
        f"gradient left after {size.depth} layers: {times(ratios[HE])} with variance 2/n, {times(ratios[FLAX])} with 1/n",
        {
            **{f"log10 of first to last gradient, {name}": r for name, r in ratios.items()},
            f"mean natural logarithm of the same, {NARROW} units": centre,
            "1 − cosine in the last layer, variance 2/n": unlike,
            "test accuracy at depth 32 with sgd, 2/n minus 1/n": sgd_gap,
            "test accuracy lost from depth 4 to 32, 2/n": loss,
        },
        [
            Table(
                "Test accuracy on digits by number of hidden layers, at the best learning rate of each by validation accuracy, with 95 % intervals.",
                ["network", "optimizer", *map(str, DEPTHS)],
                [
                    [name, optimizer, *(shown(interval(accuracy[name, optimizer, depth])) for depth in DEPTHS)]
                    for name in NETWORKS
                    for optimizer in optimizers
                ],
            )
        ],
        picture(signals, logs, accuracy, size),
        f"Left: size of the gradient at each layer, {size.wide} units, mean over networks (dots) and formula (lines). Centre: the gradient at the first layer over {len(logs)} networks of "
        f"{NARROW} units with variance 2/n, and the normal distribution of the formula. Right: test accuracy after training; full lines sgd, dashed Adam.",
    )


def times(log10: Interval) -> str:
    return shown(Interval(*(10**part for part in log10)), 2)


def picture(
    signals: dict[str, Signals], logs: np.ndarray, accuracy: dict[tuple[str, str, int], np.ndarray], size: Size
) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.6), layout="constrained")
    left, centre, right = figure.subplots(1, 3)
    gradients_by_layer(left, NETWORKS, signals)
    for number, name in enumerate(NETWORKS):
        for optimizer, style in (("sgd", "-"), ("adam", "--")):
            samples = [accuracy[name, optimizer, depth] for depth in DEPTHS]
            points(right, DEPTHS, samples, color=f"C{number}", linestyle=style)
    left.legend(fontsize=8, frameon=False)
    decades = logs / LOG_10
    centre.hist(decades, bins=20, density=True, color="#bbbbbb")
    grid = np.linspace(decades.min() - 0.5, decades.max() + 0.5, 200)
    mean, sd = shift(NARROW, size.depth) / LOG_10, deviation(NARROW, size.depth) / LOG_10
    centre.plot(grid, np.exp(-(((grid - mean) / sd) ** 2) / 2) / (sd * math.sqrt(2 * math.pi)), color="black")
    centre.set(
        xlabel="log10 of first to last gradient", ylabel="density of networks", title=f"{NARROW} units, variance 2/n"
    )
    right.set(ylabel="test accuracy", ylim=(0, 1.02))
    depth_axis(right, DEPTHS)
    bare(left, centre, right, grid=False)
    return figure


EXPERIMENT = Experiment(
    number=6,
    title="relu and vanishing gradients",
    claim="ReLU solves the vanishing gradient problem.",
    predictions=PREDICTIONS,
    protocol=f"Before training: plain networks of {DEEP} layers, normal weights, n the fan-in, no biases; {WIDE} units, {EXAMPLES} normal inputs and 20 networks, or "
    f"{NARROW} units, one input and 200 networks; a random gradient at the last layer. Training: digits, split with the seed (1077, 360, 360), inputs of "
    f"mean 0 and variance 1, 4 to 32 hidden layers of {TRAINED_WIDTH} units, biases 0 at the start, 300 steps of 32 examples, sgd (4 rates from 0.01 to 0.3) and Adam (3 rates from "
    "0.0003 to 0.003), the best rate by validation accuracy for each network, depth and optimizer, 10 seeds.",
    rule="does not hold if with variance 2/n the mean gradient changes by more than 2 decades in 100 layers; holds if the weights are right, if it "
    "does not, but with variance 1/n loses more than 0.06 decades a layer; else holds.",
    measure=measure,
    script=__file__,
)

if __name__ == "__main__":
    raise SystemExit(main(EXPERIMENT))
