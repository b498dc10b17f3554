"""Claim 12: leaky relu prevents dying, keeps more units active and helps deep networks."""

import math
from functools import partial
from typing import Any

import dead_units
import jax
import jax.numpy as jnp
import numpy as np
import perceptrons
import plain_networks
from experiment import Experiment, Interval, Outcome, Prediction, Result, Table, exact, interval, main, shown
from flax import nnx

from jaxopt_lite import activations as act
from jaxopt_lite import optimizers as opt
from jaxopt_lite import sweeps, training
from jaxopt_lite.activations import initializers

SLOPES = (0.0, 0.01, 0.1, 0.3, 0.5)
TRAINED = (0.0, 0.01, 0.1, 0.5)
DEPTHS = (2, 8, 30)
RATES = {2: (3e-3, 1e-2, 3e-2), 8: (1e-3, 3e-3, 1e-2, 3e-2), 30: (3e-4, 1e-3, 3e-3, 1e-2)}
WIDTH, DEEPEST, STEPS, STRIDE = 32, 30, 300, 10
HIGH_RATE = 0.1
NARROW = 4


def similarity_after(slope: float, layers: int) -> float:
    """Cosine between two inputs after some layers, of inputs with cosine 0 and wide layers with normal weights."""
    cosine = 0.0
    for _ in range(layers):
        relu = (math.sqrt(1 - cosine**2) + cosine * (math.pi - math.acos(cosine))) / math.pi
        cosine = min(((1 - slope) ** 2 * relu + 2 * slope * cosine) / (1 + slope**2), 1.0)
    return cosine


def gradient_after(slope: float, layers: int) -> float:
    """Rms of the gradient at the first layer ÷ at the last, with weights of variance 1/n."""
    return ((1 + slope**2) / 2) ** ((layers - 1) / 2)


def silent(layers: int) -> float:
    """Probability that a relu network of width 4 gives 0 for an input at birth."""
    return 1 - (1 - 2.0**-NARROW) ** layers


PREDICTIONS = [
    Prediction(
        f"Trained with adam at the rate {HIGH_RATE}, which kills more than 20 % of relu's units, a network with a slope of 0.01 or more has no dead unit: exactly 0.",
        "A unit is dead if its derivative is 0 for all images. That of leaky_relu is 1 or the slope.",
        True,
    ),
    Prediction(
        "But the leak does not bring the units back: with slope 0.01 the share of units that are negative for all images, on the linear piece, is at least half of relu's.",
        "What throws the units to the negative side is the size of the steps, which the slope does not change; back on it a unit moves a hundred times more slowly than on the other side.",
        True,
    ),
    Prediction(
        f"Networks of width {NARROW}: the share of relu networks that give 0 for an input at birth is 1 − (1 − 2⁻⁴)ᴸ after L layers, 0.86 after 30, within 0.03; of leaky_relu (0.01) it is 0.",
        "Weights are symmetric and biases 0, so each of 4 units is negative with probability 1/2, independently given its input: a layer goes silent with 2⁻⁴, and the network stays silent.",
        True,
    ),
    Prediction(
        f"With Flax's default weights (variance 1/n) the gradient at the first of {DEEPEST} layers is ((1 + a²)/2)^14.5 of that at the last, between {gradient_after(0, 30):.1e} for a = 0 and {gradient_after(0.5, 30):.1e} for a = 0.5, within a factor 2: a leak "
        "alone does not mend it. With the gain √(2/(1 + a²)) it is 1 within a factor 2, for a = 0 too.",
        "A layer multiplies the mean square of the gradient by n · variance · E f'² = gain² (1 + a²)/2.",
        True,
    ),
    Prediction(
        "What the slope changes is how alike inputs become: with that gain, orthogonal inputs have after 30 layers the cosine "
        + ", ".join(f"{similarity_after(a, DEEPEST - 1):.2f} (a = {a:g})" for a in SLOPES)
        + ", within 0.05.",
        "In wide layers c' = ((1 − a)² κ(c) + 2 a c)/(1 + a²) with κ(c) = (√(1 − c²) + c (π − arccos c))/π, 29 times from 0 (the cosines of pre-activations).",
        True,
    ),
    Prediction(
        "In accuracy: with 2 hidden layers slope 0.1 is within 0.01 of relu.",
        "Few units are dead at the best rate, and 29 of 30 steps of the map above are missing.",
        True,
    ),
    Prediction(
        f"With {DEEPEST} hidden layers slope 0.5 is more than 0.01 more accurate than relu, slope 0.01 is within 0.02 of relu.",
        "For relu and for slope 0.01 the network maps all images to nearly one direction (cosine above 0.9 even for orthogonal inputs), for 0.5 it does not; adam must first undo that.",
        True,
    ),
]

PROTOCOL = (
    f"Handwritten digits, adam, 10 seeds. Dead units: perceptron 64-64-64-10, He's weights (normal, truncated at 2 deviations), rate {HIGH_RATE}, 500 steps, counted over all training images. Accuracy: 2, 8 and 30 hidden layers of {WIDTH} units, weights with "
    f"the gain √(2/(1 + a²)) of each slope a, biases 0, batches of 64, {STEPS} steps, three or four rates from 0.0003 to 0.03, each slope at its best by validation accuracy, test accuracies compared by seed. Before training: width 256, 64 normal inputs, 10 networks; of "
    f"width {NARROW} 4,000 networks with one normal input each. Slopes 0 (relu) to 0.5. The rates were extended after a first run, whose best ones were the highest tried."
)
RULE = (
    "the claim holds if slopes of 0.01 and more leave no dead unit where relu has more than 20 %, and the best slope above 0 (by validation) is more accurate than relu, lower end of the interval above 0, at every depth. It holds under a condition if "
    "there are no dead units, but the accuracy is higher only at some depths. Else it does not hold."
)


def leaky(slopes: Any) -> Any:
    return act.bind(act.leaky_relu, negative_slope=sweeps.values(slopes))


def at_high_rate(seed: int, small: bool) -> sweeps.Results:
    """Trainings at a rate that kills units."""

    def look(model: Any, x: jax.Array) -> dict[str, jax.Array]:
        before, _ = perceptrons.hidden_values(model, x)
        return {
            "negative": jnp.mean(jnp.stack([jnp.mean(jnp.all(z <= 0, axis=0).astype(jnp.float32)) for z in before]))
        }

    def build(trial: Any, rngs: nnx.Rngs) -> perceptrons.Perceptron:
        return perceptrons.Perceptron((64, 64, 64, 10), trial["activation"], rngs)

    task = training.supervised(build, training.builtin("digits").data, name="digits")
    task = perceptrons.observed(dead_units.watched(task, STRIDE), at_end=look)
    space = {"activation": leaky(TRAINED), "optimizer": opt.adam(HIGH_RATE)}
    seeds = perceptrons.seeds(seed, 2 if small else 10)
    return sweeps.run(task, space, seeds=seeds, steps=2 if small else 50, keep=0, progress=False)


def by_depth(seed: int, small: bool, depth: int) -> sweeps.Results:
    """Trainings of networks of one depth."""

    def build(trial: Any, rngs: nnx.Rngs) -> plain_networks.Plain:
        f = trial["activation"]
        init = perceptrons.leaky_normal(f.settings["negative_slope"])
        return plain_networks.Plain((64, WIDTH, 10), depth, f, init, rngs)

    task = training.supervised(build, training.builtin("digits").data, name=f"digits, depth {depth}")
    space = {"activation": leaky(TRAINED), "optimizer": opt.adam(sweeps.values(RATES[depth]))}
    seeds = perceptrons.seeds(seed, 2 if small else 10)
    return sweeps.run(task, space, seeds=seeds, steps=10 if small else STEPS, keep=0, progress=False)


@partial(jax.jit, static_argnums=(1, 2))
def silent_share(key: jax.Array, slope: float, networks: int) -> jax.Array:
    """Share of narrow networks whose output is 0 for an input, after each number of layers."""

    def one(key: jax.Array) -> jax.Array:
        of_x, of_w = jax.random.split(key)
        kernels = jax.random.normal(of_w, (DEEPEST, NARROW, NARROW))

        def layer(h: jax.Array, kernel: jax.Array) -> tuple[jax.Array, jax.Array]:
            h = act.leaky_relu(h @ kernel, slope)
            return h, jnp.all(h == 0)

        return jax.lax.scan(layer, jax.random.normal(of_x, (NARROW,)), kernels)[1]

    return jnp.mean(jax.vmap(one)(jax.random.split(key, networks)).astype(jnp.float32), axis=0)


def best_above_zero(results: sweeps.Results) -> sweeps.Setting:
    """The best leaky setting by validation."""
    return next(s for s in results.settings() if s.columns["negative_slope"] > 0)


def picture(silence: np.ndarray, similarity: dict[float, Interval], trained: dict[int, dict[float, Interval]]) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    layers = np.arange(1, DEEPEST + 1)
    left.plot(layers, [silent(n) for n in layers], color="0.6", label="1 − (1 − 2⁻⁴)ᴸ")
    left.plot(layers[::3], silence[0][::3], "o", color="C0", markersize=4, label="relu")
    left.plot(layers[::3], silence[1][::3], "s", color="C1", markersize=4, label="leaky_relu 0.01")
    left.set(
        xlabel="layers", ylabel="share of networks that give 0", ylim=(-0.03, 1.03), title=f"At birth, width {NARROW}"
    )
    line = np.linspace(0, 0.5, 50)
    middle.plot(line, [similarity_after(a, DEEPEST - 1) for a in line], color="0.6", label="theory")
    middle.plot(list(similarity), [s.value for s in similarity.values()], "o", color="C0", label="measured")
    middle.set(
        xlabel="slope a",
        ylabel="cosine of orthogonal inputs",
        ylim=(-0.03, 1.03),
        title=f"At birth, after {DEEPEST} layers of 256",
    )
    for i, (depth, scores) in enumerate(trained.items()):
        values = list(scores.values())
        errors = [[v.value - v.low for v in values], [v.high - v.value for v in values]]
        right.errorbar(
            range(len(values)),
            [v.value for v in values],
            errors,
            fmt="o-",
            color=f"C{i}",
            markersize=4,
            label=f"{depth} hidden layers",
        )
    right.set_xticks(range(len(TRAINED)), [f"{a:g}" for a in TRAINED])
    right.set(xlabel="slope a", ylabel="test accuracy", title="After training, best rate")
    for axis in (left, middle, right):
        axis.legend(fontsize=8, frameon=False)
        axis.spines[["top", "right"]].set_visible(False)
    return figure


def measure(seed: int, small: bool) -> Result:
    """All measurements."""
    high = at_high_rate(seed, small)
    one = {a: perceptrons.chosen(high, negative_slope=a) for a in TRAINED}
    dead = {
        a: interval(np.mean([perceptrons.by_seed(high, s, f"dead {i}") for i in (1, 2)], axis=0))
        for a, s in one.items()
    }
    negative = {a: perceptrons.mean(high, s, "negative") for a, s in one.items()}
    ratio = negative[0.01].value / max(negative[0.0].value, 1e-9)
    depths = DEPTHS[:2] if small else DEPTHS
    runs = {depth: by_depth(seed, small, depth) for depth in depths}
    settings = {depth: {a: perceptrons.chosen(r, negative_slope=a) for a in TRAINED} for depth, r in runs.items()}
    trained = {
        depth: {a: perceptrons.mean(runs[depth], s, "test_accuracy") for a, s in found.items()}
        for depth, found in settings.items()
    }

    def gained(depth: int, slope: float) -> Interval:
        return perceptrons.difference(runs[depth], settings[depth][slope], settings[depth][0.0], "test_accuracy")

    gains = {
        depth: perceptrons.difference(r, best_above_zero(r), settings[depth][0.0], "test_accuracy")
        for depth, r in runs.items()
    }
    chosen = {depth: best_above_zero(r).columns["negative_slope"] for depth, r in runs.items()}
    seeds = perceptrons.seeds(seed, 2 if small else 10)
    size = {"depth": DEEPEST, "width": 32 if small else 256, "examples": 64, "seeds": seeds}
    plain = {
        a: plain_networks.random_signals(act.bind(act.leaky_relu, negative_slope=a), initializers.normal(), **size)
        for a in SLOPES
    }
    fitted = {
        a: plain_networks.random_signals(
            act.bind(act.leaky_relu, negative_slope=a), perceptrons.leaky_normal(a), **size
        )
        for a in SLOPES
    }
    logs = {
        name: {a: interval(found[a].backward[:, 0]) for a in SLOPES}
        for name, found in (("plain", plain), ("fitted", fitted))
    }
    similarity = {a: interval(fitted[a].similarity) for a in SLOPES}
    keys = jax.random.split(jax.random.key(seed), 2)
    silence = np.array(
        [silent_share(key, slope, 100 if small else 4000) for key, slope in zip(keys, (0.0, 0.01), strict=True)]
    )

    away = float(np.abs(silence[0] - [silent(n) for n in range(1, DEEPEST + 1)]).max())
    deepest = max(runs)
    prevented = all(dead[a].high == 0 for a in TRAINED[1:]) and dead[0.0].low > 0.2
    better = {depth: gain.low > 0 for depth, gain in gains.items()}
    verdict = (
        "holds"
        if prevented and all(better.values())
        else "holds if"
        if prevented and any(better.values())
        else "does not hold"
    )
    clear = " and ".join(f"with {depth}" for depth in better if better[depth])
    unclear = " and ".join(
        f"with {depth} it is {'not clearly more' if gain.high >= 0 else 'less'} accurate"
        for depth, gain in gains.items()
        if not better[depth]
    )
    start = {
        "holds": "Holds",
        "holds if": f"Holds if the depth suits: {clear} hidden layers the best slope is clearly more accurate than relu, {unclear}",
        "does not hold": "Does not hold" + (" for the accuracy" if prevented else ""),
    }[verdict]
    changes = ", ".join(
        f"{shown(gain, 2)} with {depth} hidden layers (slope {chosen[depth]:g})" for depth, gain in gains.items()
    )
    sentence = (
        f"{start}: at a rate at which {dead[0.0].value:.0%} of relu's units die a slope of 0.01 leaves {dead[0.01].value:.0%} without gradient, though {negative[0.01].value:.0%} still are negative for all images; "
        f"at the best rate the best slope changes the test accuracy by {changes}."
    )
    factor = {name: {a: math.exp(x.value) for a, x in found.items()} for name, found in logs.items()}
    off = max(abs(similarity[a].value - similarity_after(a, DEEPEST - 1)) for a in SLOPES)
    shallow, near = gained(min(runs), 0.1), gained(deepest, 0.01)
    outcomes = [
        Outcome(
            f"relu {shown(dead[0.0])}, slopes 0.01 and more {max(dead[a].high for a in TRAINED[1:]):g}",
            all(dead[a].high == 0 for a in TRAINED[1:]) and dead[0.0].value > 0.2,
        ),
        Outcome(f"{negative[0.01].value:.3f} against {negative[0.0].value:.3f}", ratio >= 0.5),
        Outcome(
            f"{silence[0][-1]:.3f} after 30, at most {away:.3f} from the formula; leaky_relu {silence[1][-1]:g}",
            bool(away < 0.03 and silence[1].max() == 0),
        ),
        Outcome(
            "; ".join(
                f"a = {a:g}: {factor['plain'][a]:.1e} (theory {gradient_after(a, DEEPEST):.1e}), with gain {factor['fitted'][a]:.2f}"
                for a in SLOPES
            ),
            all(
                0.5 < factor["plain"][a] / gradient_after(a, DEEPEST) < 2 and 0.5 < factor["fitted"][a] < 2
                for a in SLOPES
            ),
        ),
        Outcome(", ".join(f"{similarity[a].value:.2f}" for a in SLOPES) + f"; at most {off:.3f} away", off < 0.05),
        Outcome(shown(shallow), abs(shallow.value) < 0.01),
        Outcome(
            f"0.5: {shown(gained(deepest, 0.5))}; 0.01: {shown(near)}",
            gained(deepest, 0.5).value > 0.01 and abs(near.value) < 0.02,
        ),
    ]
    rows = [
        [str(depth), *(f"{shown(scores[a])}, rate {settings[depth][a].columns['learning_rate']:g}" for a in TRAINED)]
        for depth, scores in trained.items()
    ]
    tables = [
        Table("Test accuracy at the best rate:", ["hidden layers", *(f"slope {a:g}" for a in TRAINED)], rows),
        Table(
            f"Perceptron with 2 hidden layers trained with adam at {HIGH_RATE}:",
            ["slope", "share dead", "share negative for all images", "test accuracy"],
            [
                [f"{a:g}", shown(dead[a]), shown(negative[a]), shown(perceptrons.mean(high, one[a], "test_accuracy"))]
                for a in TRAINED
            ],
        ),
    ]
    numbers = {
        **{f"dead at adam's rate {HIGH_RATE}, slope {a:g}": dead[a] for a in TRAINED},
        **{f"negative for all images at that rate, slope {a:g}": negative[a] for a in TRAINED},
        "silent at birth, width 4, 30 layers, relu": exact(silence[0][-1]),
        **{f"cosine after {DEEPEST} layers, slope {a:g}": x for a, x in similarity.items()},
        **{f"log of the gradient's ratio, variance 1/n, slope {a:g}": x for a, x in logs["plain"].items()},
        **{
            f"test accuracy, {depth} hidden layers, slope {a:g}": x
            for depth, scores in trained.items()
            for a, x in scores.items()
        },
        **{f"best slope − relu, test accuracy, {depth} hidden layers": x for depth, x in gains.items()},
    }
    caption = "Left: relu networks of width 4 that give 0 for an input before training. Middle: how alike a deep network makes orthogonal inputs, by slope. Right: test accuracy by slope and depth, 95 % intervals."
    effect = f"best slope − relu in test accuracy: {shown(gains[min(runs)], 2)} with {min(runs)} hidden layers, {shown(gains[deepest], 2)} with {deepest}"
    return Result(outcomes, verdict, sentence, effect, numbers, tables, picture(silence, similarity, trained), caption)


EXPERIMENT = Experiment(
    12,
    "Does leaky relu prevent dying and help deep networks?",
    "leaky relu prevents units from dying, keeps more of them active and helps deep networks to learn.",
    PREDICTIONS,
    PROTOCOL,
    RULE,
    measure,
    __file__,
)

if __name__ == "__main__":
    raise SystemExit(main(EXPERIMENT))
