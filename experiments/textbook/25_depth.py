"""25: which activation do hidden layers of deep networks need?"""

import math
from typing import Any, NamedTuple

import jax
import numpy as np
from experiment import Experiment, Interval, Outcome, Prediction, Result, Table, exact, interval, main, shown
from flax import nnx
from pictures import bare
from plain_networks import Accuracy, Plain, accuracy_of, best_of, digits, propagation, seeds_of

from jaxopt_lite import activations as act
from jaxopt_lite import optimizers as opt
from jaxopt_lite import sweeps, training
from jaxopt_lite.activations import initializers
from jaxopt_lite.diagnostics import diagnose
from jaxopt_lite.flax import MLP

SHALLOW, DEEP, WIDTH = 3, 24, 32
FUNCTIONS = {"sigmoid": act.sigmoid, "tanh": act.tanh, "relu": act.relu, "gelu": act.gelu}
FLAX, TEXTBOOK, REMEDY = "Flax's default", "textbook gain", "remedy of diagnose"
GAINS = {(name, FLAX): 1.0 for name in FUNCTIONS} | {(name, TEXTBOOK): act.gain(f) for name, f in FUNCTIONS.items()}
LEARNS, LOG_10, ADAM_LIMIT = 0.5, math.log(10), -6.0
Key = tuple[str, str, int]


class Size(NamedTuple):
    functions: int = 4
    steps: int = 300
    seeds: int = 10
    rates: tuple[float, ...] = (3e-4, 1e-3, 3e-3, 1e-2)


class Remedied(NamedTuple):
    """What `diagnose` says of a deep network with Flax's default weights, and the activation and weights that its code sets."""

    verdict: str
    code: str
    activation: Any
    init: Any


def remedied(f: Any, x: np.ndarray, seed: int) -> Remedied:
    model = MLP((64, *[WIDTH] * DEEP, 10), f, rngs=nnx.Rngs(seed))
    diagnosis = diagnose(model, x)
    code = diagnosis.remedies[0].code if diagnosis.remedies else ""
    names: dict[str, Any] = {"activation": f, "kernel_init": initializers.normal()}
    lines = "\n".join(line for line in code.splitlines() if not line.startswith("x = "))
    exec(lines, {"act": act, "opt": opt, "jax": jax}, names)
    return Remedied(diagnosis.verdict, code, names["activation"], names["kernel_init"])


def trained(seed: int, size: Size, remedies: dict[str, Remedied]) -> dict[Key, Accuracy]:
    """By activation, weights and depth the accuracy at the best rate on validation data."""

    def build(trial: Any, rngs: Any) -> Plain:
        network = trial["network"]
        init = network["init"] if "init" in network else initializers.normal(network["gain"])
        return Plain((64, WIDTH, 10), DEEP, network["activation"], init, rngs, used=network["depth"])

    networks: dict[str, Any] = {}
    for name in list(FUNCTIONS)[: size.functions]:
        for weights in (FLAX, TEXTBOOK):
            plain = {"activation": FUNCTIONS[name], "gain": sweeps.values([GAINS[name, weights]])}
            networks[f"{name}, {weights}"] = plain | {"depth": sweeps.values([SHALLOW, DEEP])}
        cure = remedies[name]
        changed = {"activation": cure.activation, "init": cure.init, "depth": sweeps.values([DEEP])}
        networks[f"{name}, {REMEDY}"] = changed
    space = {"network": sweeps.choice(networks), "optimizer": opt.adam(sweeps.values(list(size.rates)))}
    task = training.supervised(build, digits(seed), batch_size=32)
    results = sweeps.run(task, space, steps=size.steps, seeds=seeds_of(seed, size.seeds), keep=0, progress=False)
    return {
        (*one.columns["network"].split(", "), int(one.columns["depth"])): accuracy_of(results, one)
        for one in results.best("network", "depth")
    }


def log_ratio(key: tuple[str, str]) -> float:
    """log10 of the gradient at the first of the deep network's layers relative to the last, by the formula of wide networks."""
    return float(propagation(FUNCTIONS[key[0]], GAINS[key], DEEP).backward[0]) / LOG_10


RATIOS = {key: log_ratio(key) for key in GAINS}
THOUGHT = ", ".join(f"{name} {RATIOS[name, FLAX]:.1f} and {RATIOS[name, TEXTBOOK]:.1f}" for name in FUNCTIONS)
FAILING = [f"{name} with {weights}" for (name, weights), r in RATIOS.items() if r < ADAM_LIMIT]

PREDICTIONS = (
    Prediction(
        f"{DEEP} hidden layers, Adam: of the 8 networks with Flax's default weights or the textbook gain those fail (test accuracy below {LEARNS}) whose gradient at the first layer is "
        f"below 10⁻⁶ of that at the last by the formula: {', '.join(FAILING)}; the others learn. At least 7 of 8 are told right.",
        f"log10 of the ratio by the formula of wide networks, with Flax's default and the textbook gain: {THOUGHT}. Adam rescales gradients until they are near its eps of 10⁻⁸, and the "
        "gradient at the last layer is of order 0.01.",
        True,
    ),
    Prediction(
        f"{SHALLOW} hidden layers, textbook gain: all activations within 0.03 of each other in test accuracy.",
        "Over three layers no activation loses more than a factor of 10 of the gradient, which Adam makes up for.",
        True,
    ),
    Prediction(
        f"With the first remedy that `diagnose` prints every network of {DEEP} layers is within 0.03 of the best with {SHALLOW} layers and the same activation.",
        "The remedy is an activation shaped for the depth with orthogonal weights: signals and gradients keep their size exactly (Q = C' = 1), and "
        "different inputs stay different, 1 − cosine at least 0.1 (leaky relu) or 0.65 (smooth functions) after all layers (Zhang et al. 2022). For sigmoid it is tanh.",
        True,
    ),
    Prediction(
        f"{DEEP} layers, the best of the weights for each: relu is at most 0.02 better than tanh.",
        "tanh with variance 1/n is at the edge of chaos, and shaped it is as good as linear for gradients; relu with 2/n keeps gradients but makes inputs alike.",
        False,
    ),
    Prediction(
        f"{DEEP} layers, Flax's default weights: the best activation is at least 0.5 better than the worst; with the remedy the range is at most 0.04.",
        "The worst is the sigmoid, which loses 14 decades and stays at the share of one class, 0.1.",
        True,
    ),
)


def measure(seed: int, small: bool) -> Result:
    size = Size(functions=2, steps=3, seeds=2, rates=(1e-3,)) if small else Size()
    names = list(FUNCTIONS)[: size.functions]
    x = digits(seed)[0][0][:128]
    remedies = {name: remedied(FUNCTIONS[name], x, seeds_of(seed, 1)[0] % 2**31) for name in names}
    found = trained(seed, size, remedies)
    accuracy = {key: one.test for key, one in found.items()}
    means = {key: float(one.mean()) for key, one in accuracy.items()}
    told = {key: (means[*key, DEEP] >= LEARNS) == (RATIOS[key] >= ADAM_LIMIT) for key in GAINS if key[0] in names}
    shallow = [means[name, TEXTBOOK, SHALLOW] for name in names]

    def best(name: str, depth: int) -> np.ndarray:
        return best_of(one for key, one in found.items() if (key[0], key[2]) == (name, depth))

    gaps = {name: interval(best(name, SHALLOW) - accuracy[name, REMEDY, DEEP]) for name in names}
    last = names[min(2, len(names) - 1)]  # relu
    # the remedy replaces relu by a shaped leaky relu and the sigmoid by a shaped tanh, so it is no weights of theirs
    own = {name: best_of(found[name, w, DEEP] for w in (FLAX, TEXTBOOK)) for name in names}
    over_tanh, over_sigmoid = (interval(own[last] - own[other]) for other in ("tanh", "sigmoid"))
    over_shaped = interval(accuracy[last, REMEDY, DEEP] - accuracy["sigmoid", REMEDY, DEEP])
    spread = {w: [means[name, w, DEEP] for name in names] for w in (FLAX, REMEDY)}
    ranges = {weights: max(reached) - min(reached) for weights, reached in spread.items()}
    wrong = [f"{name} with {weights}" for (name, weights), right in told.items() if not right]
    outcomes = (
        Outcome(f"{sum(told.values())} of {len(told)}; wrong: {', '.join(wrong) or 'none'}", sum(told.values()) >= 7),
        Outcome(f"{min(shallow):.3f} to {max(shallow):.3f}", max(shallow) - min(shallow) <= 0.03),
        Outcome(
            "below the shallow ones by " + ", ".join(f"{name} {shown(gap, 2)}" for name, gap in gaps.items()),
            all(gap.value <= 0.03 for gap in gaps.values()),
        ),
        Outcome(f"better by {shown(over_tanh, 2)}", over_tanh.value <= 0.02),
        Outcome(f"{ranges[FLAX]:.3f} and {ranges[REMEDY]:.3f}", ranges[FLAX] >= 0.5 and ranges[REMEDY] <= 0.04),
    )
    if over_tanh.low > 0.02:
        verdict, begin = "holds", "Holds"
    elif over_sigmoid.low > 0.05:
        verdict, begin = "holds if", "Holds if the other activation is the sigmoid, not tanh"
    else:
        verdict, begin = "does not hold", "Does not hold"
    cures = ", ".join(f"{name} {means[name, REMEDY, DEEP]:.3f}" for name in names)
    return Result(
        outcomes,
        verdict,  # type: ignore[arg-type]
        f"{begin}: in plain networks of {DEEP} hidden layers, each activation with the better of Flax's default weights and the textbook gain, relu "
        f"minus tanh is {shown(over_tanh, 2)} in test accuracy and relu minus sigmoid {shown(over_sigmoid, 2)}; they reach "
        f"{', '.join(f'{name} {own[name].mean():.3f}' for name in names)}. The change that `diagnose` prints first replaces relu by a shaped leaky relu and "
        f"the sigmoid by a shaped tanh; with it the networks reach {cures}.",
        f"relu minus tanh in test accuracy at {DEEP} layers: {shown(over_tanh, 2)}, shaped leaky relu minus shaped tanh {shown(over_shaped, 2)}; range over "
        f"activations {ranges[FLAX]:.2f} with Flax's default weights, {ranges[REMEDY]:.2f} with the remedy",
        {
            "test accuracy at depth 24, relu minus tanh, each at the better of two initial weights": over_tanh,
            "test accuracy at depth 24, shaped leaky relu minus shaped tanh": over_shaped,
            "test accuracy at depth 24, relu minus sigmoid": over_sigmoid,
            "range over activations at depth 24, Flax's default weights": exact(ranges[FLAX]),
            "range over activations at depth 24, remedy": exact(ranges[REMEDY]),
            **{f"best at depth 3 minus remedy at depth 24, {name}": gap for name, gap in gaps.items()},
        },
        [
            Table(
                "Test accuracy on digits, mean with 95 % interval, at the best rate of each by validation accuracy; and log10 of the ratio of gradients by the formula.",
                ["activation", "weights", f"{SHALLOW} layers", f"{DEEP} layers", f"formula, {DEEP} layers"],
                [row(name, weights, accuracy) for name in names for weights in (FLAX, TEXTBOOK, REMEDY)],
            ),
            Table(
                f"What `diagnose` says of the networks of {DEEP} layers with Flax's default weights, and the code that it prints first.",
                ["activation", "verdict", "code"],
                [
                    [name, cure.verdict, f"`{cure.code.replace(chr(10), '; ')}`" if cure.code else "none"]
                    for name, cure in remedies.items()
                ],
            ),
        ],
        picture(names, accuracy),
        f"Test accuracy of plain networks of {SHALLOW} and of {DEEP} hidden layers by activation and weights, with 95 % intervals; dashed: chance.",
    )


def row(name: str, weights: str, accuracy: dict[Key, np.ndarray]) -> list[str]:
    cells = [
        shown(interval(accuracy[name, weights, d])) if (name, weights, d) in accuracy else "" for d in (SHALLOW, DEEP)
    ]
    return [name, weights, *cells, f"{RATIOS[name, weights]:.1f}" if weights != REMEDY else ""]


def picture(names: list[str], accuracy: dict[Key, np.ndarray]) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.5, 3.6), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axis, depth in zip(panels, (SHALLOW, DEEP), strict=True):
        for number, weights in enumerate((FLAX, TEXTBOOK, REMEDY)):
            found: list[tuple[int, Interval]] = [
                (i, interval(accuracy[name, weights, depth]))
                for i, name in enumerate(names)
                if (name, weights, depth) in accuracy
            ]
            if found:
                places = np.array([i for i, _ in found]) + 0.26 * (number - 1)
                errors = np.transpose([(p.value - p.low, p.high - p.value) for _, p in found])
                heights = [p.value for _, p in found]
                axis.bar(places, heights, 0.24, yerr=errors, color=f"C{number}", capsize=2, label=weights)
        axis.axhline(0.1, color="grey", linestyle="--", linewidth=1)
        axis.set_xticks(range(len(names)), names)
        axis.set(title=f"{depth} hidden layers", ylim=(0, 1.02))
        bare(axis, grid=False)
    panels[0].set_ylabel("test accuracy")
    panels[1].legend(fontsize=8, loc="lower right")
    return figure


EXPERIMENT = Experiment(
    number=25,
    title="Which activation for deep networks",
    claim="Hidden layers of deep networks need ReLU and its relatives; sigmoid and tanh suit shallow networks only.",
    predictions=PREDICTIONS,
    protocol=f"Plain networks of {SHALLOW} and {DEEP} hidden layers of {WIDTH} units, without normalisation or skip connections, biases 0 at the start. Normal weights of variance 1/fan-in (Flax's "
    "default) or with the textbook gain 1/√(E f(z)²); or what the first remedy of `diagnose` sets, read from the code it prints for the deep network with Flax's default weights "
    "on 128 training images. Digits, split with the seed (1077, 360, 360), inputs of mean 0 and variance 1. Adam, 300 steps of 32 examples, 4 learning rates from 0.0003 to 0.01, the best by validation "
    "accuracy for each network; 10 seeds, differences paired by seed. The best weights of an activation are those with the highest validation accuracy.",
    rule="holds if relu at its best weights is more than 0.02 better than tanh at its best (lower end of the interval) at 24 layers; holds if the other is the sigmoid, if it is more than "
    "0.05 better than the sigmoid with its own curve; else does not hold.",
    measure=measure,
    script=__file__,
)

if __name__ == "__main__":
    raise SystemExit(main(EXPERIMENT))
