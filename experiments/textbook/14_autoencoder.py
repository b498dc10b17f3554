"""Claim 14: tanh helps in hidden layers for zero-centred data, and in autoencoders."""

from typing import Any

import jax
import numpy as np
import perceptrons
from experiment import Experiment, Interval, Outcome, Prediction, Result, Table, exact, interval, main, shown
from flax import nnx

from jaxopt_lite import activations as act
from jaxopt_lite import optimizers as opt
from jaxopt_lite import sweeps, training
from jaxopt_lite.activations import initializers

CODE, STEPS = 8, 1000
SIZES = (64, 32, CODE, 32, 64)
SLOPES = {"relu": 0.0, "leaky_relu 0.1": 0.1, "identity": 1.0}
CURVED = {"tanh": act.tanh, "sigmoid": act.sigmoid, "elu": act.elu}
RIVALS = ("relu", "sigmoid")
SGD_RATES, ADAM_RATES = (0.3, 1.0, 3.0, 10.0), (3e-3, 1e-2, 3e-2)
CENTRED, RAW = 1.0, 0.0

PREDICTIONS = [
    Prediction(
        f"Without a non-linearity the autoencoder finds the principal components: with adam and centred data its test error is 0.98 to 1.10 times that of PCA with {CODE} components.",
        "The best linear map of rank 8 is the projection on the first 8 principal components, and the loss of a linear autoencoder has no other minima (Baldi and Hornik 1989); 1,000 steps come near it.",
        True,
    ),
    Prediction(
        "With centred data and adam tanh has at most 0.9 times the test error of relu.",
        "In a code of 8 relu units half are 0 for any one image: about 4 numbers are left, where tanh passes on 8. PCA of the digits leaves 0.51 of the variance with 4 components and 0.32 with 8; the signs that relu loses can be learned around in part.",
        True,
    ),
    Prediction(
        "With sgd tanh has at most 0.8 times the error of sigmoid; with adam the ratio is nearer to 1.",
        "sigmoid(z) = (1 + tanh(z/2))/2: the same functions, but the outputs have mean 1/2, which makes one large eigenvalue in the Hessian of every layer that follows and slows plain descent. Adam scales each weight.",
        True,
    ),
    Prediction(
        "Centring the data lowers the error with sgd by at least 5 % for tanh and for relu, with adam by less than with sgd.",
        "The mean image has about twice the mean square of the deviations from it: raw inputs have one eigenvalue, along the mean, more than 10 times as large as the largest of centred ones. It limits the rate, and the other directions learn the more slowly. Adam suffers less.",
        True,
    ),
    Prediction(
        "tanh does not need centred data more than relu: with adam centring changes the ratio of their errors by less than 10 %.",
        "The pre-activations of raw inputs have a standard deviation of about the gain times the root mean square of a pixel, 1.6 × 0.5 = 0.8: tanh is not saturated, and a bias can undo the mean in one step.",
        True,
    ),
]

PROTOCOL = (
    f"Handwritten digits with pixels from 0 to 1, autoencoder {'-'.join(map(str, SIZES))}, the activation after each hidden layer, the code too, and a linear last layer; normal weights with the gain of each activation, biases 0. Centred: the mean image of the training part is subtracted before the first "
    f"layer and added after the last, so that the errors are comparable. Mean square error per pixel, batches of 64, {STEPS} steps, 10 seeds; sgd at rates 0.3 to 10, adam at 0.003 to 0.03. Each combination at its best rate by validation error; test errors are compared by seed as the "
    "geometric mean of their ratio. The rates were extended after a first run, whose best ones were the highest tried."
)
RULE = (
    "tanh wins if its test error is lower than that of relu and of sigmoid, upper end of the interval of the ratio below 1. The claim holds if it wins with centred data with sgd and with adam, and centring favours tanh over relu with both (upper end below 1). It holds under a condition if it wins with "
    "centred data with at least one of the two. Else it does not hold."
)


class Autoencoder(perceptrons.Perceptron):
    """A perceptron from images to themselves, with an image subtracted before its first layer and added after its last."""

    def __init__(self, activation: Any, subtracted: Any, rngs: nnx.Rngs) -> None:
        bound = isinstance(activation, type(act.bind(act.leaky_relu, negative_slope=0.1)))
        slope = activation.settings["negative_slope"] if bound else None
        init = initializers.normal(act.gain(activation)) if slope is None else perceptrons.leaky_normal(slope)
        super().__init__(SIZES, activation, rngs, kernel_init=init)
        self.centre = lambda x: x - subtracted
        self.restore = lambda y: y + subtracted

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.restore(super().__call__(self.centre(x)))


def trainings(seed: int, small: bool) -> sweeps.Results:
    """All trainings."""
    data = tuple((x, x) for x, _ in training.builtin("digits").data)
    mean = np.asarray(data[0][0]).mean(axis=0)

    def build(trial: Any, rngs: nnx.Rngs) -> Autoencoder:
        return Autoencoder(trial["activation"], trial["shift"] * mean, rngs)

    curved = dict(list(CURVED.items())[: 2 if small else None])
    leaky = act.bind(act.leaky_relu, negative_slope=sweeps.values(tuple(SLOPES.values())))
    space = {
        "activation": sweeps.choice({"leaky_relu": leaky, **curved}),
        "shift": sweeps.values((RAW, CENTRED)),
        "optimizer": sweeps.choice([opt.sgd(sweeps.values(SGD_RATES)), opt.adam(sweeps.values(ADAM_RATES))]),
    }
    task = training.supervised(build, data, loss="mse", name="digits, autoencoder")
    seeds = perceptrons.seeds(seed, 2 if small else 10)
    return sweeps.run(task, space, seeds=seeds, steps=10 if small else STEPS, keep=0, progress=False)


def best(results: sweeps.Results, name: str, optimizer: str, shift: float) -> sweeps.Setting:
    chosen: dict[str, Any] = {"activation": name}
    if name in SLOPES:
        chosen = {"activation": "leaky_relu", "negative_slope": SLOPES[name]}
    return perceptrons.chosen(results, optimizer=optimizer, shift=shift, **chosen)


def marked(optimizer: str, setting: sweeps.Setting) -> str:
    """The rate of a setting, marked if it is at the end of the list."""
    rates, rate = SGD_RATES if optimizer == "sgd" else ADAM_RATES, setting.columns["learning_rate"]
    return f"{rate:g}" if rates[0] < rate < rates[-1] else f"{rate:g} *"


def pca_error(components: int) -> float:
    """Test error per pixel of the projection on the principal components of the training part."""
    (x, _), _, (x_test, _) = training.builtin("digits").data
    mean = x.mean(axis=0)
    directions = np.linalg.svd(x - mean, full_matrices=False)[2][:components]
    rest = (x_test - mean) - (x_test - mean) @ directions.T @ directions
    return float(np.mean(rest**2))


def picture(errors: dict[tuple[str, str, float], Interval], pca: float) -> Any:
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(name for name, _, _ in errors))
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axis, optimizer in zip(figure.subplots(1, 2, sharey=True), ("sgd", "adam"), strict=True):
        for shift, colour, label, side in ((RAW, "0.65", "raw data", 0.1), (CENTRED, "C0", "centred data", -0.1)):
            values = [errors[name, optimizer, shift] for name in names]
            ends = [[v.value - v.low for v in values], [v.high - v.value for v in values]]
            axis.errorbar(
                [v.value for v in values], np.arange(len(names)) + side, xerr=ends, fmt="o", color=colour, label=label
            )
        axis.axvline(pca, color="0.4", linestyle=":", linewidth=1.2, label=f"PCA, {CODE} components")
        axis.set_yticks(range(len(names)), names)
        axis.set(xlabel="test error, mean square per pixel", title=f"{optimizer}, best learning rate", xscale="log")
        axis.set_xticks((0.02, 0.03, 0.05, 0.08), ("0.02", "0.03", "0.05", "0.08"))
        axis.minorticks_off()
        axis.spines[["top", "right"]].set_visible(False)
    axis.legend(fontsize=8, frameon=False)
    return figure


def measure(seed: int, small: bool) -> Result:
    """All measurements."""
    results = trainings(seed, small)
    names = [*SLOPES, *list(CURVED)[: 2 if small else None]]
    optimizers = ("sgd", "adam")
    settings = {(n, o, s): best(results, n, o, s) for n in names for o in optimizers for s in (RAW, CENTRED)}
    logs = {key: np.log(perceptrons.by_seed(results, s, "test_loss")) for key, s in settings.items()}
    errors = {key: perceptrons.mean(results, s, "test_loss") for key, s in settings.items()}
    pca = pca_error(CODE)

    def ratio(difference: np.ndarray) -> Interval:
        return Interval(*(float(np.exp(x)) for x in interval(difference)))

    against = {
        (r, o, s): ratio(logs["tanh", o, s] - logs[r, o, s])
        for r in names
        if r != "tanh"
        for o in optimizers
        for s in (RAW, CENTRED)
    }
    centring = {(n, o): ratio(logs[n, o, CENTRED] - logs[n, o, RAW]) for n in names for o in optimizers}
    interaction = {
        o: ratio(logs["tanh", o, CENTRED] - logs["relu", o, CENTRED] - logs["tanh", o, RAW] + logs["relu", o, RAW])
        for o in optimizers
    }
    linear = errors["identity", "adam", CENTRED].value / pca
    wins = {o: all(against[r, o, CENTRED].high < 1 for r in RIVALS) for o in optimizers}
    favoured = all(x.high < 1 for x in interaction.values())
    verdict = "holds" if all(wins.values()) and favoured else "holds if" if any(wins.values()) else "does not hold"
    winning = " and ".join(o for o in optimizers if wins[o])
    start = {
        "holds": "Holds",
        "holds if": f"Holds if it is an autoencoder trained with {winning}"
        + ("" if favoured else "; that centred data favour tanh does not hold"),
        "does not hold": "Does not hold",
    }[verdict]
    lowest = {o: min(names, key=lambda n: errors[n, o, CENTRED].value) for o in optimizers}
    changes = ", ".join(
        f"{shown(against['relu', o, CENTRED], 2)} times relu's and {shown(against['sigmoid', o, CENTRED], 2)} times sigmoid's with {o}"
        for o in optimizers
    )

    def leads(o: str) -> str:
        return f"with {o}" + (
            f" (tanh ÷ {lowest[o]}: {shown(against[lowest[o], o, CENTRED])})" if lowest[o] != "tanh" else ""
        )

    if lowest["sgd"] == lowest["adam"]:
        leaders = f"{lowest['sgd']} has the lowest mean error {leads('sgd')} and {leads('adam')}"
    else:
        leaders = " and ".join(f"{lowest[o]} has the lowest mean error {leads(o)}" for o in optimizers)
    sentence = (
        f"{start}: on centred digits the test error of tanh is {changes}. Of all activations {leaders}. Centring multiplies the ratio of tanh to relu by {shown(interaction['sgd'])} with sgd and "
        f"{shown(interaction['adam'])} with adam{', so it favours relu' if all(x.low > 1 for x in interaction.values()) else ''}."
    )
    relu, sigmoid = against["relu", "adam", CENTRED], {o: against["sigmoid", o, CENTRED] for o in optimizers}
    outcomes = [
        Outcome(f"{linear:.3f} times", 0.98 <= linear <= 1.10),
        Outcome(f"{shown(relu)} times", relu.value <= 0.9),
        Outcome(
            "; ".join(f"{o} {shown(x)} times" for o, x in sigmoid.items()),
            sigmoid["sgd"].value <= 0.8 and abs(np.log(sigmoid["adam"].value)) < abs(np.log(sigmoid["sgd"].value)),
        ),
        Outcome(
            "; ".join(
                f"{n}: sgd {shown(centring[n, 'sgd'])}, adam {shown(centring[n, 'adam'])} times"
                for n in ("tanh", "relu")
            ),
            all(
                centring[n, "sgd"].value <= 0.95 and centring[n, "sgd"].value < centring[n, "adam"].value
                for n in ("tanh", "relu")
            ),
        ),
        Outcome(f"{shown(interaction['adam'])} times", 0.9 < interaction["adam"].value < 1.1),
    ]
    outcomes = [Outcome(o.found, bool(o.right)) for o in outcomes]
    rows = [
        [
            n,
            o,
            *(f"{shown(errors[n, o, s])}, rate {marked(o, settings[n, o, s])}" for s in (RAW, CENTRED)),
            shown(centring[n, o]),
        ]
        for n in names
        for o in optimizers
    ]
    numbers = {
        "test error of PCA": exact(pca),
        **{f"test error, {n}, {o}, {'centred' if s else 'raw'}": x for (n, o, s), x in errors.items()},
        **{f"tanh ÷ {r}, {o}, {'centred' if s else 'raw'}": x for (r, o, s), x in against.items() if r in RIVALS},
        **{f"centred ÷ raw, {n}, {o}": x for (n, o), x in centring.items() if n in ("tanh", "relu")},
        **{f"effect of centring on tanh ÷ relu, {o}": x for o, x in interaction.items()},
    }
    table = Table(
        "Test error, mean square per pixel, at the best rate; an asterisk marks a rate at the end of the list:",
        ["activation", "optimizer", "raw data", "centred data", "centred ÷ raw"],
        rows,
    )
    caption = f"Test error of an autoencoder with {CODE} code units by activation, optimizer and centring of the data; means over seeds with 95 % intervals. Smaller is better."
    effect = f"tanh ÷ relu in test error, centred data: {shown(against['relu', 'sgd', CENTRED])} with sgd, {shown(relu)} with adam"
    return Result(outcomes, verdict, sentence, effect, numbers, [table], picture(errors, pca), caption)


EXPERIMENT = Experiment(
    14,
    "Does tanh help with centred data and in autoencoders?",
    "tanh is zero-centred and helps in hidden layers when the data are zero-centred, and in autoencoders.",
    PREDICTIONS,
    PROTOCOL,
    RULE,
    measure,
    __file__,
)

if __name__ == "__main__":
    raise SystemExit(main(EXPERIMENT))
