"""04: do sigmoid and tanh make gradients vanish with depth?"""

import math
from typing import Any, NamedTuple

import numpy as np
from experiment import Experiment, Interval, Outcome, Prediction, Result, Table, interval, main, shown
from pictures import bare, depth_axis, gradients_by_layer, points
from plain_networks import Signals, digits, edge_gain, first_gradients, propagation, seeds_of, trained_by_depth

from jaxopt_lite import activations as act
from jaxopt_lite import optimizers as opt
from jaxopt_lite import sweeps

DEEP, WIDTH, EXAMPLES = 100, 256, 64
DEPTHS = (2, 4, 8, 16, 32)
TRAINED_WIDTH = 32
EDGE = edge_gain(act.sigmoid)
NETWORKS = {
    "sigmoid, variance 1/n": (act.sigmoid, 1.0),
    f"sigmoid, variance {EDGE**2:.0f}/n": (act.sigmoid, EDGE),
    "tanh, variance 1/n": (act.tanh, 1.0),
    "tanh, variance 0.5/n": (act.tanh, math.sqrt(0.5)),
    "relu, variance 2/n": (act.relu, math.sqrt(2)),
}
SIGMOID, EDGED, TANH, HALF, RELU = NETWORKS


class Size(NamedTuple):
    depth: int = DEEP
    width: int = WIDTH
    steps: int = 400
    seeds: int = 10
    rates: tuple[float, ...] = (3e-4, 1e-3, 3e-3, 1e-2)


LOG_10 = math.log(10)
THEORY = {name: propagation(f, gain, DEEP).backward / LOG_10 for name, (f, gain) in NETWORKS.items()}


def at_first(name: str) -> float:
    return float(THEORY[name][0])


PREDICTIONS = (
    Prediction(
        f"{SIGMOID} (Flax's default): log10 of the gradient at the first of {DEEP} layers, relative to the last, is {at_first(SIGMOID):.1f}, within 2 %.",
        "In a wide layer with weights of variance σ²/n the pre-activations are normal with variance q ← σ² E f(√q z)², and each layer "
        f"multiplies the mean square of the gradient by σ² E f'(√q z)² (Schoenholz et al. 2017). For the sigmoid and σ = 1, q settles at 0.265 and the "
        f"factor at {10 ** (THEORY[SIGMOID][-2] * 2):.4f}, a root of {10 ** THEORY[SIGMOID][-2]:.3f} a layer, just below the 1/4 of the derivative's maximum. With 256 units the "
        "logarithm of a layer's factor varies by about √(2/256), over 100 layers by 0.4 decades.",
        True,
    ),
    Prediction(
        f"{TANH} (Flax's default): {at_first(TANH):.2f}, within 0.4: a power of the depth, no exponential. The gradient at layer l grows as √l: slope "
        "of its logarithm over that of l between layers 10 and 100 is 0.5, within 0.1.",
        "σ = 1 is critical for tanh: E tanh² = q − 2q² + ..., so q falls as 1/(2l), and the factor of a layer is 1 − 2q = 1 − 1/l, the product of which "
        "over the layers from l to L is l/L. Chance adds about √(100·2/256)/2 = 0.4 natural units a network, a third of that in the mean of 10.",
        True,
    ),
    Prediction(
        f"{HALF}: {at_first(HALF):.1f}, within 3 %: the same function makes gradients vanish when weights are smaller by √2.",
        "Signals shrink to where tanh is linear with slope 1, and each layer multiplies the gradient by σ = √0.5.",
        True,
    ),
    Prediction(
        f"{EDGED}: {at_first(EDGED):.2f}, within 0.7: no vanishing with a sigmoid.",
        f"For large σ a share 1/(σ√π) of the units is in the middle, where the slope is 1/4, so the factor σ² E f'² grows with σ and passes 1 at σ = {EDGE:.1f}. "
        "Only few units carry the gradient, about one in 20, so chance is larger: √(100·15/256)/2 = 1.2 natural units a network, 0.4 in the mean of 10.",
        True,
    ),
    Prediction(
        f"Training, {SIGMOID}: the mean test accuracy is above 0.8 at depth 4 and falls below 0.5 at depth 8 or 16.",
        "Differences between inputs shrink like gradients, by 0.24 a layer: 3e-3 after 4 layers, 1e-5 after 8, 1e-10 after 16. Adam rescales gradients until they "
        "are near its eps of 1e-8; the gradient at the first layer is about 0.01 times 0.24 to the depth, which passes it at depth 10.",
        True,
    ),
    Prediction(
        f"Training, {TANH}: at least 0.9 at depth 32, within 0.05 of depth 2.",
        "Neither signals nor gradients shrink by more than a factor of about 6.",
        True,
    ),
    Prediction(
        f"Training at depth 16, {EDGED}: at least 0.3 better than {SIGMOID}.",
        "Gradients and differences between inputs keep their size; large weights and few active units make it a bad start, but a start.",
        False,
    ),
)


def slope_of(backward: np.ndarray) -> np.ndarray:
    """Slope of log gradient over log layer from a tenth of the depth to the end, by seed."""
    layers = np.arange(1, backward.shape[1] + 1)
    part = slice(len(layers) // 10 - 1, None)
    return np.array([np.polyfit(np.log(layers[part]), one[part], 1)[0] for one in backward])


def measure(seed: int, small: bool) -> Result:
    size = Size(depth=20, width=32, steps=10, seeds=2, rates=(1e-3,)) if small else Size()
    seeds = seeds_of(seed, size.seeds)
    gradients = first_gradients(NETWORKS, size.depth, size.width, EXAMPLES, seeds)
    signals, ratios, theory = gradients
    slope = interval(slope_of(signals[TANH].backward))
    adam = {"adam": opt.adam(sweeps.values(list(size.rates)))}
    found = trained_by_depth(NETWORKS, DEPTHS, adam, digits(seed), TRAINED_WIDTH, size.steps, seeds)
    accuracy = {name: {depth: found[name, "adam", depth].test for depth in DEPTHS} for name in NETWORKS}
    means = {name: {depth: float(a.mean()) for depth, a in by_depth.items()} for name, by_depth in accuracy.items()}
    fails = next((depth for depth in DEPTHS if means[SIGMOID][depth] < 0.5), math.inf)
    tanh_gap = interval(accuracy[TANH][DEPTHS[0]] - accuracy[TANH][DEPTHS[-1]])
    edge_gap = interval(accuracy[EDGED][16] - accuracy[SIGMOID][16])

    def near(name: str, relative: float = 0, absolute: float = 0) -> bool:
        return abs(ratios[name].value - theory[name]) <= relative * abs(theory[name]) + absolute

    outcomes = (
        Outcome(gradients.text(SIGMOID), near(SIGMOID, relative=0.02)),
        Outcome(
            f"{gradients.text(TANH)}; slope {shown(slope, 2)}",
            near(TANH, absolute=0.4) and abs(slope.value - 0.5) <= 0.1,
        ),
        Outcome(gradients.text(HALF), near(HALF, relative=0.03)),
        Outcome(gradients.text(EDGED), near(EDGED, absolute=0.7)),
        Outcome(
            f"{means[SIGMOID][4]:.3f} at depth 4; below 0.5 from depth {fails} on",
            means[SIGMOID][4] > 0.8 and fails in (8, 16),
        ),
        Outcome(
            f"{means[TANH][32]:.3f} at depth 32; {shown(tanh_gap, 2)} below depth 2",
            means[TANH][32] >= 0.9 and tanh_gap.value <= 0.05,
        ),
        Outcome(f"better by {shown(edge_gap, 2)}", edge_gap.value >= 0.3),
    )
    layers = size.depth - 1
    factor = Interval(*(10 ** (part / layers) for part in ratios[SIGMOID]))
    tanh_end = Interval(*(10**part for part in ratios[TANH]))
    vanish = {name: ratios[name].high < -0.06 * layers for name in NETWORKS}
    if vanish[SIGMOID] and vanish[TANH] and vanish[EDGED]:
        verdict, begin = "holds", "Holds"
    elif vanish[SIGMOID] or vanish[HALF]:
        verdict, begin = "holds if", "Holds if the weights are small for the function"
    else:
        verdict, begin = "does not hold", "Does not hold"
    return Result(
        outcomes,
        verdict,  # type: ignore[arg-type]
        f"{begin}: with Flax's default weights the sigmoid multiplies the gradient by {factor.value:.3f} a layer, while tanh leaves "
        f"{tanh_end.value:.2g} of it after {size.depth} layers; tanh with half the variance leaves 10^{ratios[HALF].value:.0f}, and a sigmoid with {EDGE:.0f} times "
        f"larger weights {10 ** ratios[EDGED].value:.2g}. In training at depth 32, tanh reaches {means[TANH][32]:.2f} in test accuracy and the "
        f"sigmoid {means[SIGMOID][32]:.2f}.",
        f"gradient factor a layer, Flax's default weights: sigmoid {shown(factor)}, tanh {shown(Interval(*(p ** (1 / layers) for p in tanh_end)))}",
        {
            **{f"log10 of first to last gradient, {name}": r for name, r in ratios.items()},
            "slope of the gradient over the layer, tanh": slope,
            **{f"test accuracy at depth 32, {name}": interval(accuracy[name][32]) for name in NETWORKS},
        },
        [
            Table(
                f"log10 of the gradient at the first layer relative to the last, {size.depth} layers, mean over {size.seeds} networks with 95 % interval.",
                ["network", "measured", "formula"],
                [[name, shown(ratios[name]), f"{theory[name]:.2f}"] for name in NETWORKS],
            ),
            Table(
                "Test accuracy on digits by number of hidden layers, at the best learning rate of each by validation accuracy.",
                ["network", *map(str, DEPTHS)],
                [[name, *(shown(interval(accuracy[name][depth])) for depth in DEPTHS)] for name in NETWORKS],
            ),
        ],
        picture(signals, accuracy),
        "Left: size of the gradient at the pre-activations of each layer, geometric mean over networks (dots) and formula of wide networks "
        "(lines). Right: test accuracy after training, with 95 % intervals.",
    )


def picture(signals: dict[str, Signals], accuracy: dict[str, dict[int, np.ndarray]]) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    gradients_by_layer(left, NETWORKS, signals)
    for name in NETWORKS:
        points(right, DEPTHS, [accuracy[name][depth] for depth in DEPTHS], label=name)
    right.set(ylabel="test accuracy", ylim=(0, 1.02))
    depth_axis(right, DEPTHS)
    right.legend(fontsize=8, frameon=False, loc="lower left")
    bare(left, right)
    return figure


EXPERIMENT = Experiment(
    number=4,
    title="Vanishing gradients with sigmoid and tanh",
    claim="Sigmoid and tanh make gradients vanish in deep networks.",
    predictions=PREDICTIONS,
    protocol=f"Before training: plain networks of {DEEP} layers of {WIDTH} units, normal weights, no biases, {EXAMPLES} normal inputs, a random gradient at the last layer; 10 "
    f"networks each. n is the fan-in. Training: digits, split with the seed (1077, 360, 360), inputs of mean 0 and variance 1, 2 to 32 hidden layers of "
    f"{TRAINED_WIDTH} units, biases 0 at the start, Adam, 400 steps of 32 examples, 4 learning rates from 0.0003 to 0.01, the best by validation accuracy "
    "for each network and depth, 10 seeds.",
    rule="a network's gradients vanish if they lose more than 0.06 decades a layer, 6 decades in 100 layers (upper end of the interval). Holds if they do in the sigmoid and tanh "
    "networks with variance 1/n and in that with the large variance; holds if weights are small, if in some of them; does not hold, if neither in the "
    "sigmoid nor in the tanh networks.",
    measure=measure,
    script=__file__,
)

if __name__ == "__main__":
    raise SystemExit(main(EXPERIMENT))
