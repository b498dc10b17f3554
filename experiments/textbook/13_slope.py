"""Claim 13: the negative slope needs tuning, a poor one hinders, noise is amplified, PReLU adapts."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import perceptrons
from experiment import Experiment, Interval, Outcome, Prediction, Result, Table, exact, interval, main, shown
from flax import nnx

from jaxopt_lite import activations as act
from jaxopt_lite import optimizers as opt
from jaxopt_lite import sweeps, training
from jaxopt_lite.flax import PReLU

SLOPES = (0.0, 0.01, 0.1, 0.3, 0.5, 0.8, 1.0, 2.0)
USUAL = (0.0, 0.01, 0.1, 0.3, 0.5)
NOISES = (0.2, 0.5)
RATES = (3e-3, 1e-2, 3e-2)
WIDTH, STEPS, LAYERS, NOISE = 64, 800, 10, 0.3


def distance_after(slope: float, distance: float, layers: int) -> float:
    """1 − cosine of two inputs after some wide layers, from 1 − cosine before them."""
    for _ in range(layers):
        cosine = 1 - distance
        relu = (math.sqrt(1 - cosine**2) + cosine * (math.pi - math.acos(cosine))) / math.pi
        distance = 1 - ((1 - slope) ** 2 * relu + 2 * slope * cosine) / (1 + slope**2)
    return distance


def noise_after(slope: float) -> float:
    """Distance that noise makes ÷ distance between different inputs, after 10 layers."""
    noise = 1 - 1 / math.sqrt(1 + NOISE**2)
    return distance_after(slope, noise, LAYERS) / distance_after(slope, 1.0, LAYERS)


START = 1 - 1 / math.sqrt(1 + NOISE**2)
PREDICTIONS = [
    Prediction(
        "A slope of 1 hinders completely: the network is linear, and its test accuracy within 0.03 of scikit-learn's logistic regression, more than 0.2 below the best slope.",
        "leaky_relu with slope 1 is the identity, and a product of matrices is a matrix. The networks of this data set reach about 0.6, linear models about 0.3 (Greydanus and Kobak 2024).",
        True,
    ),
    Prediction(
        "The slopes 2 and 0.5 are the same network: their test accuracies differ by less than 0.015.",
        "leaky(x; a) = −a leaky(−x; 1/a). With weights of variance 2/((1 + a²) n), which are symmetric, both give the same distribution of networks; only the learning rate relative to the weights differs by a factor 2.",
        True,
    ),
    Prediction(
        "Between 0 and 0.3 the slope needs no tuning: the best and the worst of 0, 0.01, 0.1, 0.3 differ by less than 0.03 in test accuracy.",
        "leaky(x; a) = (1 + a)/2 x + (1 − a)/2 |x|: the share of the non-linear part in the mean square is (1 − a)²/(2 (1 + a²)), 0.5 for a = 0, still 0.22 for 0.3, and 0.1 for 0.5; it is 0.012 for 0.8. Training can enlarge it.",
        True,
    ),
    Prediction(
        "Noise is not amplified by the leak. Before training, of inputs with noise of 0.3 standard deviations, the distance that noise makes, relative to that between different inputs, goes in 10 layers from "
        f"{START:.3f} to "
        + ", ".join(f"{noise_after(a):.3f} (a = {a:g})" for a in (0.0, 0.1, 0.3, 0.5))
        + ", within 10 %: the smaller the slope, the larger the noise.",
        "A distance d = 1 − c between inputs shrinks in a layer by (2√2/3π) (1 − a)²/(1 + a²) √d of itself: large distances, those between different inputs, shrink more than small ones, and relu shrinks them most.",
        True,
    ),
    Prediction(
        "After training, noise of 0.2 or 0.5 standard deviations on the test inputs costs slope 0.3 at most 0.02 more accuracy than relu.",
        "By the above the noise is not larger; both fit the same clean data.",
        True,
    ),
    Prediction(
        "PReLU (a slope for each channel, from 0.25) is within 0.02 of the best fixed slope in test accuracy, without tuning. Its slopes spread: their standard deviation over channels is above 0.1.",
        "Adam moves each slope by up to a learning rate per step, 0.8 and more in 800 steps, in a direction that its channel chooses; where all slopes from 0 to 0.3 are about equally good, choosing them brings little.",
        True,
    ),
]

PROTOCOL = (
    f"MNIST-1D (3,000 training, 1,000 validation, 1,000 test signals of 40 samples), inputs scaled to mean 0 and variance 1 over the training part. Perceptron 40-{WIDTH}-{WIDTH}-10, normal weights with the gain "
    f"√(2/(1 + a²)), adam at 0.003, 0.01 and 0.03, batches of 100, {STEPS} steps, 10 seeds. leaky_relu with slopes 0 (relu) to 2, and PReLU with a learned slope for each channel. Each at its best rate by validation accuracy; test accuracies are compared by seed. The best and the worst of several slopes are those by test accuracy, which makes their difference a little too large. Noise is normal "
    "and added to the test inputs only. Before training: 10 layers of 256 units, 64 normal inputs with and without noise, 20 networks. The rates were extended after a first run, whose best ones were the highest tried."
)
RULE = (
    "three parts. Tuning: the best and the worst slope from 0 to 0.5 differ by more than 0.02 (lower end). Noise: noise of 0.5 costs slope 0.5 more than 0.02 more accuracy than relu (lower end). PReLU: it is at most 0.01 worse than the slope that validation selects (lower end). "
    "The claim holds if all three are so, under a condition if one or two are, else it does not hold."
)


class Adaptive(perceptrons.Perceptron):
    """The perceptron with a learned slope for each channel of each hidden layer."""

    def __init__(self, sizes: tuple[int, ...], rngs: nnx.Rngs) -> None:
        super().__init__(sizes, None, rngs, kernel_init=perceptrons.leaky_normal(0.25))
        self.slopes = nnx.List([PReLU(n) for n in sizes[1:-1]])

    def __call__(self, x: jax.Array) -> jax.Array:
        for layer, slope in zip(self.hidden, self.slopes, strict=True):
            x = slope(layer(x))
        return self.last(x)


def build(trial: Any, rngs: nnx.Rngs) -> nnx.Module:
    sizes, f = (40, WIDTH, WIDTH, 10), trial["activation"]
    if f == "PReLU":
        return Adaptive(sizes, rngs)
    return perceptrons.Perceptron(sizes, f, rngs, kernel_init=perceptrons.leaky_normal(f.settings["negative_slope"]))


def scaled() -> Any:
    """MNIST-1D with inputs of mean 0 and variance 1."""
    parts = training.builtin("mnist1d").data
    x = np.asarray(parts[0][0])
    return tuple(((np.asarray(part) - x.mean()) / x.std(), np.asarray(y)) for part, y in parts)


def trainings(data: Any, seed: int, small: bool) -> sweeps.Results:
    """All trainings, with the accuracy on noisy inputs and the learned slopes."""
    x_test, y_test = (jnp.asarray(part) for part in data[2])
    noise = jax.random.normal(jax.random.fold_in(jax.random.key(seed), 1), x_test.shape)

    def looks(model: Any, x: jax.Array) -> dict[str, jax.Array]:
        found = {
            f"noise {size:g}": jnp.mean((jnp.argmax(model(x_test + size * noise), -1) == y_test).astype(jnp.float32))
            for size in NOISES
        }
        learned = (
            [layer.negative_slope[...] for layer in model.slopes] if isinstance(model, Adaptive) else [jnp.zeros(1)]
        )
        slopes = jnp.concatenate(learned)
        return found | {"slopes mean": jnp.mean(slopes), "slopes deviation": jnp.std(slopes)}

    task = perceptrons.observed(training.supervised(build, data, batch_size=100, name="mnist1d"), looks)
    fixed = act.bind(act.leaky_relu, negative_slope=sweeps.values(SLOPES))
    space = {
        "activation": sweeps.choice({"leaky_relu": fixed, "PReLU": "PReLU"}),
        "optimizer": opt.adam(sweeps.values(RATES[1:] if small else RATES)),
    }
    seeds = perceptrons.seeds(seed, 2 if small else 10)
    return sweeps.run(task, space, seeds=seeds, steps=20 if small else STEPS, keep=0, progress=False)


def noise_at_start(seed: int, slope: float, networks: int) -> np.ndarray:
    """Distance that noise makes ÷ distance between inputs after 10 random layers, for each network."""

    @jax.jit
    def one(key: jax.Array) -> jax.Array:
        of_x, of_noise, of_w = jax.random.split(key, 3)
        x = jax.random.normal(of_x, (64, 256))
        h = jnp.concatenate([x, x + NOISE * jax.random.normal(of_noise, x.shape)])
        init = perceptrons.leaky_normal(slope)
        kernels = jax.vmap(lambda key: init(key, (256, 256)))(jax.random.split(of_w, LAYERS + 1))
        h = h @ kernels[0]
        for kernel in kernels[1:]:
            h = act.leaky_relu(h, slope) @ kernel
        h = h / jnp.linalg.norm(h, axis=1, keepdims=True)
        clean, noisy = h[:64], h[64:]
        between = 1 - (jnp.sum(clean @ clean.T) - 64) / (64 * 63)
        return (1 - jnp.mean(jnp.sum(clean * noisy, axis=1))) / between

    return np.array([one(key) for key in jax.random.split(jax.random.key(seed), networks)])


def linear_accuracy(data: Any) -> float:
    """Test accuracy of logistic regression."""
    from sklearn.linear_model import LogisticRegression

    (x, y), _, (x_test, y_test) = data
    return float(LogisticRegression(max_iter=5000).fit(x, y).score(x_test, y_test))


def picture(
    accuracy: dict[str, dict[float, Interval]], adaptive: Interval, linear: float, start: dict[float, Interval]
) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    at = np.arange(len(SLOPES))
    for i, (name, scores) in enumerate(accuracy.items()):
        values = list(scores.values())
        left.errorbar(
            at,
            [v.value for v in values],
            [[v.value - v.low for v in values], [v.high - v.value for v in values]],
            fmt="o-",
            color=f"C{i}",
            markersize=4,
            label=name,
        )
    left.axhline(linear, color="0.6", linestyle=":", label="logistic regression, clean inputs")
    left.axhspan(adaptive.low, adaptive.high, color="C4", alpha=0.35, linewidth=0, label="PReLU, clean inputs")
    left.set_xticks(at, [f"{a:g}" for a in SLOPES])
    left.set(xlabel="negative slope", ylabel="test accuracy", title="After training, best learning rate")
    left.legend(fontsize=8, frameon=False)
    line = np.linspace(0, 0.5, 40)
    right.plot(line, [noise_after(a) for a in line], color="0.6", label="theory")
    right.axhline(START, color="0.8", linestyle=":", label="at the input")
    right.plot(list(start), [x.value for x in start.values()], "o", color="C0", label="measured")
    right.set(
        xlabel="negative slope",
        ylabel="distance by noise ÷ between inputs",
        ylim=(0, None),
        title=f"Before training, after {LAYERS} layers",
    )
    right.legend(fontsize=8, frameon=False)
    for axis in (left, right):
        axis.spines[["top", "right"]].set_visible(False)
    return figure


def measure(seed: int, small: bool) -> Result:
    """All measurements."""
    data = scaled()
    results = trainings(data, seed, small)
    linear = linear_accuracy(data)
    fixed = {a: perceptrons.chosen(results, activation="leaky_relu", negative_slope=a) for a in SLOPES}
    adaptive, best = (
        perceptrons.chosen(results, activation="PReLU"),
        perceptrons.chosen(results, activation="leaky_relu"),
    )
    scores = {"clean inputs": "test_accuracy", **{f"noise {size:g}": f"noise {size:g}" for size in NOISES}}
    accuracy = {
        name: {a: perceptrons.mean(results, s, score) for a, s in fixed.items()} for name, score in scores.items()
    }
    clean = accuracy["clean inputs"]

    def differ(a: Any, b: Any, score: str = "test_accuracy") -> Interval:
        return perceptrons.difference(results, a, b, score)

    def lost(s: Any, size: float) -> np.ndarray:
        return perceptrons.by_seed(results, s, "test_accuracy") - perceptrons.by_seed(results, s, f"noise {size:g}")

    def more_lost(slope: float, size: float) -> Interval:
        return interval(lost(fixed[slope], size) - lost(fixed[0.0], size))

    def span(slopes: tuple[float, ...]) -> Interval:
        order = sorted(slopes, key=lambda a: clean[a].value)
        return differ(fixed[order[-1]], fixed[order[0]])

    start = {a: interval(noise_at_start(seed, a, 3 if small else 20)) for a in (0.0, 0.1, 0.3, 0.5)}
    mirrored, usual, narrow, learned = (
        differ(fixed[2.0], fixed[0.5]),
        span(USUAL),
        span(USUAL[:4]),
        differ(adaptive, best),
    )
    noisy = more_lost(0.5, 0.5)
    hindered = differ(best, fixed[1.0])
    deviation, average = (perceptrons.mean(results, adaptive, f"slopes {name}") for name in ("deviation", "mean"))
    parts = {
        "the slope needs tuning": usual.low > 0.02,
        "the leak amplifies noise": noisy.low > 0.02,
        "PReLU finds a good slope": learned.low > -0.01,
    }
    right = [name for name, so in parts.items() if so]
    wrong = [name for name, so in parts.items() if not so]
    verdict = "holds" if not wrong else "holds if" if right else "does not hold"
    text = {
        "holds": "Holds",
        "holds if": f"Holds if it says only that {' and that '.join(right)}, not that {' nor that '.join(wrong)}",
        "does not hold": "Does not hold",
    }[verdict]
    sentence = (
        f"{text}: slopes from 0 to 0.5 differ by up to {shown(usual, 2)} in test accuracy, a slope of 1 loses {hindered.value:.2f}; what noise of half a standard deviation costs slope 0.5 minus what it costs relu: {shown(noisy, 2)}; "
        f"PReLU − best fixed slope ({best.columns['negative_slope']:g}): {shown(learned, 2)}, which {'shows' if learned.low > -0.01 else 'does not show'} that it is at most 0.01 worse."
    )
    off = max(abs(start[a].value / noise_after(a) - 1) for a in start)
    more = {size: more_lost(0.3, size) for size in NOISES}
    outcomes = [
        Outcome(
            f"{shown(clean[1.0])} against {linear:.3f}; {shown(hindered)} below the best",
            abs(clean[1.0].value - linear) < 0.03 and hindered.value > 0.2,
        ),
        Outcome(shown(mirrored), abs(mirrored.value) < 0.015),
        Outcome(shown(narrow), narrow.value < 0.03),
        Outcome(", ".join(f"{x.value:.3f}" for x in start.values()) + f"; at most {off:.0%} away", off < 0.1),
        Outcome(
            "; ".join(f"noise {size:g}: {shown(x)}" for size, x in more.items()),
            all(x.value <= 0.02 for x in more.values()),
        ),
        Outcome(
            f"{shown(learned)}; standard deviation {shown(deviation)}, mean {shown(average)}",
            abs(learned.value) < 0.02 and deviation.value > 0.1,
        ),
    ]
    names = {**{f"{a:g}": s for a, s in fixed.items()}, "PReLU": adaptive}
    rows = [
        [
            name,
            f"{s.columns['learning_rate']:g}{'' if RATES[0] < s.columns['learning_rate'] < RATES[-1] else ' *'}",
            *(shown(perceptrons.mean(results, s, score)) for score in scores.values()),
        ]
        for name, s in names.items()
    ]
    numbers = {
        **{f"test accuracy, slope {a:g}": x for a, x in clean.items()},
        "test accuracy, PReLU": perceptrons.mean(results, adaptive, "test_accuracy"),
        "test accuracy, logistic regression": exact(linear),
        "best − worst slope from 0 to 0.5": usual,
        "PReLU − best fixed slope": learned,
        **{f"accuracy lost to noise {size:g}, slope 0.5 − relu": more_lost(0.5, size) for size in NOISES},
        **{f"noise ÷ distance between inputs after {LAYERS} layers, slope {a:g}": x for a, x in start.items()},
        "standard deviation of the learned slopes": deviation,
        "mean of the learned slopes": average,
    }
    table = Table(
        "At the best learning rate; an asterisk marks a rate at the end of the list:",
        ["slope", "rate", *(f"test accuracy, {name}" for name in scores)],
        rows,
    )
    caption = "Left: test accuracy by slope, without and with noise on the test inputs (in standard deviations), 95 % intervals. Right: how large the differences that noise makes are in a random network, compared with those between different inputs."
    effect = f"best − worst slope from 0 to 0.5 in test accuracy {shown(usual)}"
    adaptive_accuracy = perceptrons.mean(results, adaptive, "test_accuracy")
    return Result(
        outcomes,
        verdict,
        sentence,
        effect,
        numbers,
        [table],
        picture(accuracy, adaptive_accuracy, linear, start),
        caption,
    )


EXPERIMENT = Experiment(
    13,
    "Does the negative slope need tuning?",
    "The slope of leaky relu needs tuning: a poor one hinders learning, the leak amplifies noise, and PReLU adapts it.",
    PREDICTIONS,
    PROTOCOL,
    RULE,
    measure,
    __file__,
)

if __name__ == "__main__":
    raise SystemExit(main(EXPERIMENT))
