"""Claim 9: relu makes activations sparse."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import perceptrons
import timing
from experiment import Experiment, Interval, Outcome, Prediction, Result, Table, exact, interval, main, shown
from flax import nnx
from scipy.stats import norm

from jaxopt_lite import activations as act
from jaxopt_lite import optimizers as opt
from jaxopt_lite import sweeps, training

HIDDEN = 3
KEPT = (0.5, 0.25, 0.1, 0.05)
BIASES = (-2.0, -1.0, 0.0, 1.0, 2.0)
FUNCTIONS = {"relu": act.relu, "leaky_relu": act.leaky_relu, "gelu": act.gelu, "tanh": act.tanh}
SGD_RATES, ADAM_RATES = (0.03, 0.1, 0.3, 1.0), (3e-4, 1e-3, 3e-3, 1e-2)

PREDICTIONS = [
    Prediction(
        "Before training half of relu's activations are exactly 0 in every hidden layer: 0.45 to 0.55, mean over 10 networks.",
        "The weights of a unit are symmetric around 0 and its bias is 0, so for any input its pre-activation is as often negative as "
        "positive: the expected share is 1/2 in every layer. Units see similar inputs, so one unit is 0 for nearly all or nearly no "
        "images; a layer of 64 units then scatters by at most 0.5/√64 = 0.063, the mean over 10 networks by 0.02.",
        True,
    ),
    Prediction(
        "The half comes from the bias 0, not from relu: for inputs N(0, 1) and He's weights the share of zeros in the first layer is "
        "Φ(−b/√2) for a bias b, within 0.02 for b from −2 to 2 (0.921, 0.760, 0.5, 0.240, 0.079).",
        "He's weights have variance 2/n, so the pre-activation is N(b, 2) over weights and inputs, and P(z ≤ 0) = Φ(−b/√2).",
        True,
    ),
    Prediction(
        "After training at the best learning rate relu's share of zeros is still between 0.35 and 0.75 in every hidden layer, with sgd and "
        "with adam: about a half, not 90 %.",
        "By the formula above a share of 0.75 needs all pre-activations of a layer to move down by Φ⁻¹(0.75) = 0.67 of their standard "
        "deviation. Nothing in the loss asks for zeros; a wide network fits 1,077 images with smaller changes.",
        True,
    ),
    Prediction(
        "leaky_relu, gelu and tanh have no exact zeros: a share below 0.001.",
        "Each is 0 only at single pre-activations, which have probability 0.",
        True,
    ),
    Prediction(
        "Nor are the others' activations all needed: with the smaller half of each layer's activations of every image set to 0, the test accuracy of the "
        "trained tanh network falls by less than 0.03.",
        "For normal pre-activations the smaller half, |z| < 0.674, has 0.5 − 2 · 0.674 φ(0.674) = 0.072 of the mean square, an error of "
        "27 % in each layer that is nearly independent between units, against logits that separate the classes of digits by several units.",
        True,
    ),
    Prediction(
        "With only the largest tenth kept in every layer, relu loses less than tanh.",
        "Half of relu's activations are 0, so that a tenth of all is a fifth of the others: for normal pre-activations 0.65 of the mean square, "
        "for a linear unit 0.44; tanh saturates, which spreads its mean square more evenly still.",
        False,
    ),
    Prediction(
        "The zeros save no time in a matrix product: one with half of its entries 0 takes 0.95 to 1.05 of the time of one without zeros.",
        "A dense product multiplies by 0 as by any number.",
        True,
    ),
]

PROTOCOL = (
    "Handwritten digits (1,077 training, 360 validation, 360 test images), perceptron 64-64-64-64-10 with He's weights (normal, truncated at 2 deviations) and biases 0, batches "
    "of 64, 600 steps, 10 seeds. relu, leaky_relu (slope 0.01), gelu and tanh, with sgd at rates 0.03 to 1 and adam at 0.0003 to 0.01, each at its best rate by "
    "validation accuracy. Zeros are counted exactly (h == 0), over the training images at the end and over 64 of them at each step. Pruning: in "
    "each hidden layer, for each image, all but the given share of the activations with the largest |h| are set to 0, on the test images. The share by bias: 200 inputs N(0, 1) of 64 "
    "entries, 64 units, 200 draws of the weights. The product: 1024 × 1024 by 1024 × 1024, float32, programs in turns, 60 rounds. The rule does not judge efficiency; after the result a condition was added to the verdict: "
    "unless the interval of the product's relative time lies below 1, efficiency is left aside."
)
RULE = (
    "the claim holds if, at the best rates of sgd and adam, the lower end of the interval of relu's share of exact zeros is above 0.3 in every hidden "
    "layer and that of each rival below 0.01; it holds under a condition if that is so for one optimizer or for some layers only. That they are many "
    "is not part of the rule; the sentence says how many."
)


def zeros(model: Any, x: jax.Array) -> dict[str, jax.Array]:
    """Share of exact zeros in each hidden layer."""
    _, layers = perceptrons.hidden_values(model, x)
    return {f"zeros {i}": jnp.mean((h == 0).astype(jnp.float32)) for i, h in enumerate(layers, 1)}


def zeros_of_first(model: Any, x: jax.Array) -> dict[str, jax.Array]:
    return zeros(model, x[:64])


def pruned(model: Any, x: jax.Array, kept: float) -> jax.Array:
    """Outputs with all but the largest activations of each hidden layer set to 0."""
    h = x
    for layer in model.hidden:
        h = model.activation(layer(h))
        count = max(1, round(kept * h.shape[-1]))
        least = jnp.sort(jnp.abs(h), axis=-1)[..., -count, None]
        h = jnp.where(jnp.abs(h) >= least, h, 0)
    return model.last(h)


def build(trial: Any, rngs: nnx.Rngs) -> perceptrons.Perceptron:
    return perceptrons.Perceptron((64, *[64] * HIDDEN, 10), trial["activation"], rngs)


def trainings(seed: int, small: bool) -> sweeps.Results:
    """All trainings, with the share of zeros and the accuracy of the pruned networks."""
    data = training.builtin("digits").data
    x_test, y_test = (jnp.asarray(part) for part in data[2])

    def looks(model: Any, x: jax.Array) -> dict[str, jax.Array]:
        accuracy = {
            f"kept {kept:g}": jnp.mean((jnp.argmax(pruned(model, x_test, kept), -1) == y_test).astype(jnp.float32))
            for kept in KEPT
        }
        return {**zeros(model, x), **accuracy}

    task = perceptrons.observed(training.supervised(build, data, name="digits"), looks, zeros_of_first)
    rates = (SGD_RATES[-2:], ADAM_RATES[-2:]) if small else (SGD_RATES, ADAM_RATES)
    space = {
        "activation": sweeps.choice(dict(list(FUNCTIONS.items())[: 2 if small else None])),
        "optimizer": sweeps.choice([opt.sgd(sweeps.values(rates[0])), opt.adam(sweeps.values(rates[1]))]),
    }
    seeds = perceptrons.seeds(seed, 2 if small else 10)
    return sweeps.run(task, space, seeds=seeds, steps=20 if small else 600, keep=0, progress=False)


def at_start(seed: int, small: bool) -> list[Interval]:
    """Share of zeros in each hidden layer of new networks."""
    x = jnp.asarray(training.builtin("digits").data[0][0])
    found = [
        zeros(build({"activation": act.relu}, nnx.Rngs(s)), x) for s in perceptrons.seeds(seed, 2 if small else 10)
    ]
    return [interval([float(one[f"zeros {i}"]) for one in found]) for i in range(1, HIDDEN + 1)]


@partial(jax.jit, static_argnums=1)
def by_bias(key: jax.Array, draws: int) -> jax.Array:
    """Share of zeros in a first layer of relu units on normal inputs, for each draw and each bias."""
    of_x, of_w = jax.random.split(key)
    x = jax.random.normal(of_x, (draws, 200, 64))
    z = x @ perceptrons.he_normal(of_w, (draws * 64, 64)).reshape(draws, 64, 64)
    z = z * jnp.sqrt(draws)  # He's variance is 2 / (rows of the array)
    shares = [jnp.mean((act.relu(z + b) == 0).astype(jnp.float32), axis=(1, 2)) for b in BIASES]
    return jnp.stack(shares, axis=1)


def product_time(seed: int, small: bool) -> Interval:
    """Time of a matrix product with half zeros, divided by that of one without."""
    size = 128 if small else 1024
    full = jnp.abs(jax.random.normal(jax.random.key(seed), (size, size)))
    half = act.relu(jax.random.normal(jax.random.key(seed + 1), (size, size)))
    product = jax.jit(jnp.matmul)
    times = timing.seconds(
        {"half": lambda: product(half, full), "full": lambda: product(full, full)}, 5 if small else 60
    )
    return timing.ratio(times, "half", "full")


class Best(NamedTuple):
    """A network at its best learning rate: shares of zeros by layer, test accuracy, and what pruning to a share costs."""

    rate: float
    zeros: list[Interval]
    accuracy: Interval
    losses: dict[float, Interval]
    curves: np.ndarray  # (layers, points)


def best(results: sweeps.Results, activation: str, optimizer: str) -> Best:
    setting = perceptrons.chosen(results, activation=activation, optimizer=optimizer)
    layers = range(1, HIDDEN + 1)
    whole = perceptrons.by_seed(results, setting, "test_accuracy")
    return Best(
        setting.columns["learning_rate"],
        [perceptrons.mean(results, setting, f"zeros {i}") for i in layers],
        interval(whole),
        {kept: interval(whole - perceptrons.by_seed(results, setting, f"kept {kept:g}")) for kept in KEPT},
        np.mean([[results.curves[row][f"zeros {i}"] for i in layers] for row in setting.trials], axis=0),
    )


def picture(found: dict[tuple[str, str], Best], biases: np.ndarray, steps: int) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    for optimizer, style in (("sgd", "-"), ("adam", "--")):
        curves = found["relu", optimizer].curves
        at = np.linspace(0, steps, curves.shape[1])
        for i, curve in enumerate(curves):
            left.plot(at, curve, style, color=f"C{i}", linewidth=1.5, label=f"layer {i + 1}, {optimizer}")
    left.set(xlabel="step", ylabel="share of exact zeros, relu", ylim=(0, 1), title="During training")
    left.legend(fontsize=7, frameon=False, ncols=2)
    line = np.linspace(-2, 2, 100)
    middle.plot(line, norm.cdf(-line / np.sqrt(2)), color="0.6", label="Φ(−b/√2)")
    middle.plot(BIASES, biases, "o", color="C0", label="measured")
    middle.set(xlabel="bias b", ylabel="share of exact zeros, relu", ylim=(0, 1), title="By bias, before training")
    middle.legend(fontsize=8, frameon=False)
    for i, name in enumerate(name for name, optimizer in found if optimizer == "adam"):
        one = found[name, "adam"]
        right.plot(
            (1.0, *KEPT),
            [one.accuracy.value, *(one.accuracy.value - one.losses[k].value for k in KEPT)],
            "o-",
            color=f"C{i}",
            label=name,
            markersize=4,
        )
    right.set(
        xlabel="share of activations kept", ylabel="test accuracy", xscale="log", title="Only the largest kept (adam)"
    )
    right.set_xticks((1, *KEPT), [f"{k:g}" for k in (1, *KEPT)])
    right.minorticks_off()
    right.legend(fontsize=8, frameon=False)
    for axis in (left, middle, right):
        axis.spines[["top", "right"]].set_visible(False)
    return figure


def end_of_list(optimizer: str, rate: float) -> str:
    rates = SGD_RATES if optimizer == "sgd" else ADAM_RATES
    return "" if rates[0] < rate < rates[-1] else " *"


def rounds_to_zero(name: str) -> str:
    """Where a function is exactly 0 in float32 for negative pre-activations."""
    z = np.linspace(-20, -0.001, 20_000, dtype=np.float32)
    at = z[np.asarray(jax.jit(FUNCTIONS[name])(z)) == 0]
    return (
        f"its values round to 0 in float32 below about z = {at.max():.1f}"
        if len(at)
        else "pre-activations of exactly 0"
    )


def span(numbers: list[Interval]) -> str:
    return f"{min(n.value for n in numbers):.2f} to {max(n.value for n in numbers):.2f}"


def measure(seed: int, small: bool) -> Result:
    """All measurements."""
    results = trainings(seed, small)
    found = {
        (s.columns["activation"], s.columns["optimizer"]): best(
            results, s.columns["activation"], s.columns["optimizer"]
        )
        for s in results.best("activation", "optimizer")
    }
    start = at_start(seed, small)
    samples = np.asarray(by_bias(jax.random.key(seed), 10 if small else 200))
    theory = norm.cdf(-np.array(BIASES) / np.sqrt(2))
    off = float(np.abs(samples.mean(axis=0) - theory).max())
    time = product_time(seed, small)
    relu = {o: found["relu", o] for o in ("sgd", "adam")}
    others = {names: one for names, one in found.items() if names[0] != "relu"}
    ends = [z for one in relu.values() for z in one.zeros]
    most = max(z.high for one in others.values() for z in one.zeros)
    by_rounding = sorted({name for (name, _), one in others.items() if any(z.value > 0 for z in one.zeros)})
    tanh, relu_losses = found.get(("tanh", "adam"), found["leaky_relu", "adam"]).losses, relu["adam"].losses
    right = {o: [z.low > 0.3 for z in one.zeros] for o, one in relu.items()}
    sparse, efficient = all(map(all, right.values())) and most < 0.01, time.high < 1
    verdict = "holds" if sparse and efficient else "holds if" if any(map(any, right.values())) else "does not hold"
    condition = {
        "holds": "Holds: ",
        "holds if": "Holds if efficiency is left aside: "
        if sparse
        else "Holds if one means some of the layers or optimizers"
        + ("" if efficient else " and efficiency is left aside")
        + ": ",
        "does not hold": "Does not hold: ",
    }
    share = interval(
        np.mean(
            [
                perceptrons.by_seed(results, perceptrons.chosen(results, activation="relu", optimizer=o), f"zeros {i}")
                for o in relu
                for i in range(1, HIDDEN + 1)
            ],
            axis=0,
        )
    )
    sentence = (
        f"{condition[verdict]}after training {span(ends)} of relu's activations in a layer are exactly 0, against at most {most:.2g} for the others. It is about the half that a "
        f"bias of 0 gives at the start ({span(start)}). Without its smaller half a tanh network loses {tanh[0.5].value:.3f} of test accuracy, and a dense matrix product with half zeros takes {shown(time)} of "
        f"the time of one without{'' if efficient else ', which shows no saving'}."
    )
    outcomes = [
        Outcome(span(start), all(0.45 <= z.value <= 0.55 for z in start)),
        Outcome(", ".join(f"{value:.3f}" for value in samples.mean(axis=0)) + f"; at most {off:.3f} away", off < 0.02),
        Outcome(span(ends), all(0.35 <= z.value <= 0.75 for z in ends)),
        Outcome(f"at most {most:.2g}", most < 0.001),
        Outcome(f"{shown(tanh[0.5])}", tanh[0.5].value < 0.03),
        Outcome(f"relu {shown(relu_losses[0.1])}, tanh {shown(tanh[0.1])}", relu_losses[0.1].high < tanh[0.1].low),
        Outcome(shown(time), 0.95 <= time.value <= 1.05),
    ]
    rows = [
        [
            name,
            optimizer,
            f"{one.rate:g}{end_of_list(optimizer, one.rate)}",
            shown(one.accuracy),
            *(f"{z.value:.3f}" if z.value >= 0.001 else f"{z.value:.1g}" for z in one.zeros),
            *(f"{one.losses[k].value:.3f}" for k in KEPT),
        ]
        for (name, optimizer), one in found.items()
    ]
    header = [
        "activation",
        "optimizer",
        "best rate",
        "test accuracy",
        *(f"zeros, layer {i}" for i in range(1, HIDDEN + 1)),
        *(f"loss if {k:g} kept" for k in KEPT),
    ]
    numbers = {
        "share of zeros, relu, mean over layers and optimizers": share,
        **{f"share of zeros, relu, {o}, layer {i}": z for o, one in relu.items() for i, z in enumerate(one.zeros, 1)},
        "share of zeros, others, largest": exact(most),
        **{f"share of zeros, bias {b:g}": interval(samples[:, i]) for i, b in enumerate(BIASES)},
        **{
            f"accuracy lost with {k:g} kept, {n}, adam": one.losses[k]
            for (n, o), one in found.items()
            if o == "adam"
            for k in KEPT
        },
        "time of a product with half zeros ÷ without": time,
    }
    table = Table(
        "At the best learning rate; the last columns are the test accuracy lost when only the largest activations are kept. "
        + "".join(f"Zeros of {name}: {rounds_to_zero(name)}. " for name in by_rounding)
        + "An asterisk marks a rate at the end of the list:",
        header,
        rows,
    )
    caption = (
        "Left: the share of relu's activations that are exactly 0, mean over seeds at the best learning rate. Middle: it follows the bias. "
        "Right: how many activations each network needs; the largest are kept in each hidden layer and the others set to 0."
    )
    return Result(
        outcomes,
        verdict,
        sentence,
        f"relu has {shown(share)} of its activations at exactly 0, the others at most {most:.2g}",
        numbers,
        [table],
        picture(found, samples.mean(axis=0), 20 if small else 600),
        caption,
    )


EXPERIMENT = Experiment(
    9,
    "Does relu make activations sparse?",
    "relu makes activations sparse: many units are exactly 0 for any one input, which is efficient.",
    PREDICTIONS,
    PROTOCOL,
    RULE,
    measure,
    __file__,
)

if __name__ == "__main__":
    raise SystemExit(main(EXPERIMENT))
