"""05: do gradients explode with depth, and what does clipping restore?"""

import math
from typing import Any, NamedTuple

import numpy as np
from experiment import Experiment, Interval, Outcome, Prediction, Result, Table, interval, main, shown
from pictures import bare, gradients_by_layer
from plain_networks import (
    Accuracy,
    Plain,
    Signals,
    accuracy_of,
    best_of,
    digits,
    first_gradients,
    propagation,
    seeds_of,
)

from jaxopt_lite import activations as act
from jaxopt_lite import optimizers as opt
from jaxopt_lite import sweeps, training
from jaxopt_lite.activations import initializers

DEEP, WIDTH, EXAMPLES, LOG_10 = 100, 256, 64, math.log(10)
LAYERS, TRAINED_WIDTH, NEAR = 10, 32, 0.1
NETWORKS = {
    "relu, gain √2": (act.relu, math.sqrt(2)),
    "relu, gain 2": (act.relu, 2.0),
    "tanh, gain 1": (act.tanh, 1.0),
    "tanh, gain 2": (act.tanh, 2.0),
}
RELU, LARGE, TANH, CHAOTIC = NETWORKS
FACTORS = (1.0, math.sqrt(2), 2.0)  # of the weights, relative to gain √2
CLIPS = {1e30: "without clipping", 1.0: "clipped at norm 1"}


class Size(NamedTuple):
    depth: int = DEEP
    width: int = WIDTH
    steps: int = 400
    seeds: int = 10
    decades: tuple[float, ...] = tuple(np.arange(-5, 0.01, 0.5).tolist())


def trained(seed: int, size: Size) -> dict[tuple[float, float], list[Accuracy]]:
    """By factor of the weights and clipping norm the accuracy at each rate; 0 where a run diverged."""

    def build(trial: Any, rngs: Any) -> Plain:
        init = initializers.normal(math.sqrt(2) * trial["factor"])
        return Plain((64, TRAINED_WIDTH, 10), LAYERS, act.relu, init, rngs)

    clip = opt.clip_by_global_norm(sweeps.values(list(CLIPS)))
    space = {
        "factor": sweeps.values(list(FACTORS)),
        "optimizer": opt.chain(clip, opt.sgd(sweeps.values([10.0**d for d in size.decades]))),
    }
    task = training.supervised(build, digits(seed), batch_size=32)
    results = sweeps.run(task, space, steps=size.steps, seeds=seeds_of(seed, size.seeds), keep=0, progress=False)
    found: dict[tuple[float, float], dict[float, Accuracy]] = {}
    for one in results.settings():
        by_rate = found.setdefault((float(one.columns["factor"]), float(one.columns["max_norm"])), {})
        test, validation = accuracy_of(results, one)
        by_rate[one.columns["learning_rate"]] = Accuracy(
            np.nan_to_num(test), 0.0 if math.isnan(validation) else validation
        )
    return {key: [by_rate[rate] for rate in sorted(by_rate)] for key, by_rate in found.items()}


def highest(accuracy: np.ndarray, size: Size) -> np.ndarray:
    """For each seed log10 of the highest rate whose accuracy is within 0.1 of the best."""
    learns = accuracy >= accuracy.max(axis=0) - NEAR
    return np.array([size.decades[np.flatnonzero(column)[-1]] for column in learns.T])


THEORY = {name: float(propagation(f, gain, DEEP).backward[0]) / LOG_10 for name, (f, gain) in NETWORKS.items()}
SHIFT = -(LAYERS - 1) * math.log10(2)

PREDICTIONS = (
    Prediction(
        f"{LARGE}: log10 of the gradient at the first of {DEEP} layers, relative to the last, is {THEORY[LARGE]:.1f}, within 4 %.",
        "Half of the units are active, so a layer multiplies the mean square of the gradient by gain²/2, here 2: √2 a layer, 99 times. The mean "
        "of the logarithm is below the logarithm of the mean, by 5/(4·256) natural units a layer, 0.2 decades in all (Hanin and Nica 2019).",
        True,
    ),
    Prediction(
        f"{CHAOTIC}: {THEORY[CHAOTIC]:.1f}, within 0.4; a bounded function explodes too.",
        "The variance settles at q = 2.12, where a layer multiplies the mean square of the gradient by 4 E tanh'(√q z)² = "
        f"{10 ** (2 * (THEORY[CHAOTIC] - float(propagation(act.tanh, 2.0, DEEP - 1).backward[0]) / LOG_10)):.2f}: the chaotic phase of Poole et al. 2016.",
        True,
    ),
    Prediction(
        f"{RELU}: within one decade of 0; {TANH}: below −0.5: with the gains in use gradients do not explode.",
        "gain²/2 = 1 for relu; for tanh gain 1 is the edge, where gradients shrink as a power of the depth.",
        True,
    ),
    Prediction(
        f"Training, relu, {LAYERS} hidden layers, weights doubled, no clipping: the highest rate of sgd that still learns is 10^{SHIFT:.2f} "
        "(1/512) of that with gain √2, within a factor of 3.2, one step of the grid of rates.",
        f"The network is homogeneous: with weights times a, the output is times a^{LAYERS + 1} and the gradient of each of the {LAYERS + 1} kernels times "
        f"a^{LAYERS}, while that of cross entropy at the logits stays of order 1. So the same relative step, ηa^{LAYERS}/a, needs a rate a^{LAYERS - 1} times lower.",
        True,
    ),
    Prediction(
        "The same, clipped at norm 1: between 0.3 and 6.4 times: clipping takes away the dependence on the size of the gradient.",
        "A clipped step has length η whatever the gradient. The weights are 2 times as large, so the same relative step needs 2 times the rate; a factor of 3.2 "
        "for the grid, and the clip does not act in the whole training with gain √2.",
        True,
    ),
    Prediction(
        "Weights doubled, each at its best rate: clipped and unclipped within 0.05 in test accuracy; clipping widens the choice of rates, it "
        "does not replace good weights: both at least 0.02 below gain √2.",
        "At its own rate the unclipped network makes the same relative steps. The logits begin a^11 = 2048 times too large; steps of "
        "relative size needed to turn them change the hidden layers little.",
        False,
    ),
)


def measure(seed: int, small: bool) -> Result:
    size = Size(depth=20, width=32, steps=5, seeds=2, decades=(-3.0, -1.0)) if small else Size()
    seeds = seeds_of(seed, size.seeds)
    gradients = first_gradients(NETWORKS, size.depth, size.width, EXAMPLES, seeds)
    signals, ratios, theory = gradients
    found = trained(seed, size)
    accuracy = {key: np.array([one.test for one in by_rate]) for key, by_rate in found.items()}
    top = {key: highest(one, size) for key, one in accuracy.items()}
    shift = {clip: interval(top[2.0, clip] - top[1.0, clip]) for clip in CLIPS}
    best = {key: best_of(by_rate) for key, by_rate in found.items()}
    gap = interval(best[2.0, 1.0] - best[2.0, 1e30])
    cost = {clip: interval(best[1.0, clip] - best[2.0, clip]) for clip in CLIPS}

    outcomes = (
        Outcome(gradients.text(LARGE), abs(ratios[LARGE].value / theory[LARGE] - 1) <= 0.04),
        Outcome(gradients.text(CHAOTIC), abs(ratios[CHAOTIC].value - theory[CHAOTIC]) <= 0.4),
        Outcome(
            f"{gradients.text(RELU)}; {gradients.text(TANH)}",
            abs(ratios[RELU].value) <= 1 and ratios[TANH].value <= -0.5,
        ),
        Outcome(times(shift[1e30]), abs(shift[1e30].value - SHIFT) <= 0.5),
        Outcome(times(shift[1.0]), math.log10(0.3) <= shift[1.0].value <= math.log10(6.4)),
        Outcome(
            f"clipped minus unclipped {shown(gap, 2)}; below gain √2 by {shown(cost[1e30], 2)} unclipped and {shown(cost[1.0], 2)} clipped",
            abs(gap.value) <= 0.05 and min(c.value for c in cost.values()) >= 0.02,
        ),
    )
    helped = {f: interval(best[f, 1.0] - best[f, 1e30]) for f in FACTORS[1:]}
    short = {f: interval(best[1.0, 1e30] - best[f, 1.0]) for f in FACTORS[1:]}
    restored = (
        "does not restore training"
        if not any(one.low > 0 for one in helped.values())
        else "restores training in part only"
        if any(one.low > 0 for one in short.values())
        else "restores training"
    )
    explode = {name: ratios[name].low > 0.03 * (size.depth - 1) for name in NETWORKS}
    if explode[RELU] or explode[TANH]:
        verdict, begin = "holds", "Holds, with the usual weights too"
    elif explode[LARGE] or explode[CHAOTIC]:
        verdict, begin = "holds if", "Holds if the weights exceed the function's critical gain"
    else:
        verdict, begin = "does not hold", "Does not hold"
    return Result(
        outcomes,
        verdict,  # type: ignore[arg-type]
        f"{begin}, and clipping {restored}: over {size.depth} layers the gradient changes by a factor of 10^{ratios[LARGE].value:.1f} for relu with gain 2 and 10^{ratios[CHAOTIC].value:.1f} "
        f"for tanh with gain 2, but of 10^{ratios[RELU].value:.1f} for relu with √2 and 10^{ratios[TANH].value:.1f} for tanh with 1. With {LAYERS} hidden layers of relu the test accuracy "
        f"at the best rate of sgd without and with clipping is {pair(best, 1.0)} (gain √2), {pair(best, math.sqrt(2))} (√2 times larger weights) and {pair(best, 2.0)} (doubled); "
        f"clipping adds {shown(helped[math.sqrt(2)], 2)} and {shown(helped[2.0], 2)} to the last two. With doubled weights the highest rate that still learns is {times(shift[1e30])} that of "
        f"gain √2, with clipping {times(shift[1.0])}.",
        f"highest rate that learns, weights doubled ÷ gain √2: {times(shift[1e30])} without clipping, {times(shift[1.0])} clipped",
        {
            **{f"log10 of first to last gradient, {name}": r for name, r in ratios.items()},
            **{f"log10 of the shift of the highest rate, {name}": shift[clip] for clip, name in CLIPS.items()},
            "test accuracy, clipped minus unclipped, weights doubled": gap,
            "test accuracy, clipped minus unclipped, weights times √2": helped[math.sqrt(2)],
            "test accuracy, gain √2 minus doubled, clipped": cost[1.0],
        },
        [
            Table(
                f"relu, {LAYERS} hidden layers of {TRAINED_WIDTH} units, sgd: best test accuracy (at the best rate by validation accuracy), and the highest "
                "rate within 0.1 of it (geometric mean over seeds).",
                ["weights ÷ gain √2", "", "best accuracy", "highest rate that learns"],
                [
                    [
                        f"{factor:.3g}",
                        name,
                        shown(interval(best[factor, clip])),
                        f"{10 ** top[factor, clip].mean():.2g}",
                    ]
                    for factor in FACTORS
                    for clip, name in CLIPS.items()
                ],
            )
        ],
        picture(signals, accuracy, size),
        f"Left: size of the gradient at each layer before training (dots) and formula of wide networks (lines). Right: test accuracy after training over "
        f"the learning rate, relu with {LAYERS} hidden layers; full lines without clipping, dashed with gradients clipped at norm 1.",
    )


def pair(best: dict[tuple[float, float], np.ndarray], factor: float) -> str:
    """Mean accuracies without and with clipping."""
    return f"{best[factor, 1e30].mean():.2f} and {best[factor, 1.0].mean():.2f}"


def times(log10: Interval) -> str:
    """A factor and its interval, from those of its logarithm."""
    return f"{shown(Interval(*(10**part for part in log10)), 2)} times"


def picture(signals: dict[str, Signals], accuracy: dict[tuple[float, float], np.ndarray], size: Size) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    gradients_by_layer(left, NETWORKS, signals)
    left.legend(fontsize=8, frameon=False)
    rates = 10.0 ** np.array(size.decades)
    for number, factor in enumerate(FACTORS):
        for clip, style in zip(CLIPS, ("-", "--"), strict=True):
            label = f"weights × {factor:.3g}" if style == "-" else None
            line = {"color": f"C{number + 4}", "linestyle": style, "marker": "o", "markersize": 3, "label": label}
            right.plot(rates, accuracy[factor, clip].mean(axis=1), **line)
    right.set(xlabel="learning rate of sgd", ylabel="test accuracy", xscale="log", ylim=(0, 1.02))
    right.legend(fontsize=8, frameon=False, loc="upper left")
    bare(left, right)
    return figure


EXPERIMENT = Experiment(
    number=5,
    title="Exploding gradients and clipping",
    claim="In deep networks gradients explode; clipping them restores training.",
    predictions=PREDICTIONS,
    protocol=f"Before training: plain networks of {DEEP} layers of {WIDTH} units, normal weights of variance gain²/fan-in, no biases, {EXAMPLES} normal inputs, a random "
    f"gradient at the last layer, 10 networks each. Training: digits, split with the seed (1077, 360, 360), inputs of mean 0 and variance 1, relu, {LAYERS} "
    f"hidden layers of {TRAINED_WIDTH} units, weights with gain √2 times 1, √2 and 2, sgd with and without clip_by_global_norm(1), 400 steps of 32 "
    "examples, 11 learning rates from 10⁻⁵ to 1 in steps of √10, 10 seeds. All rates are shown. A run that diverges counts as accuracy 0; best accuracies are "
    "those of the rate with the highest validation accuracy. The rule judges the first half of the claim only, not that clipping restores training; the sentence says what was found for it.",
    rule="a network's gradients explode if they grow by more than 0.03 decades a layer, 3 decades in 100 layers (lower end of the interval). Holds if they do with the usual gains "
    "(relu √2 or tanh 1); holds if the weights are larger, if only with gain 2; else does not hold.",
    measure=measure,
    script=__file__,
)

if __name__ == "__main__":
    raise SystemExit(main(EXPERIMENT))
