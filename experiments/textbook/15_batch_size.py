"""Claim 15: batch descent is stable and expensive, one-example descent noisy and fast, mini-batches balance."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import loss_curves
import numpy as np
import perceptrons
import timing
from experiment import Experiment, Interval, Outcome, Prediction, Result, Table, interval, main, shown
from flax import nnx

from jaxopt_lite import activations as act
from jaxopt_lite import optimizers as opt
from jaxopt_lite import sweeps, training

EXAMPLES, POINTS, TARGET = 1077, 100, 0.3
RATES = {
    1: (0.02, 0.05, 0.1, 0.2),
    4: (0.05, 0.1, 0.2, 0.5),
    16: (0.1, 0.2, 0.5, 1.0),
    64: (0.2, 0.5, 1.0, 2.0),
    256: (0.2, 0.5, 1.0, 2.0),
    EXAMPLES: (0.2, 0.5, 1.0, 2.0),
}
STEPS = {1: 2000, 4: 800, 16: 400, 64: 200, 256: 200, EXAMPLES: 200}

PREDICTIONS = [
    Prediction(
        "The variance of the gradient of a batch of b is (1/b) (N − b)/(N − 1) times that of one example: for b = 4, 16, 64 and 256 within 10 %, at the start and after 60 steps.",
        "The mean of b examples drawn without replacement from N: its variance is that of one divided by b, times the correction for a finite population.",
        True,
    ),
    Prediction(
        "Steps to the target follow 1 + B/b, where B = tr Σ/‖G‖² is the noise scale of the gradient, measured after 60 steps: relative to b = 64, each within a factor 2.",
        "With the best rate a step lowers the loss by ‖G‖⁴/(2 (Gᵀ H G + tr(HΣ)/b)), which is proportional to 1/(1 + B/b) if Σ has the directions of H (McCandlish et al. 2018).",
        True,
    ),
    Prediction(
        "The full batch needs more than 5 times as many examples as batches of 16.",
        "Examples are b times steps, b + B: 1,077 + B against 16 + B, at least a factor 5 for B up to 250; B of a task this easy is some tens.",
        True,
    ),
    Prediction(
        "One example at a time is not the fastest in seconds, nor is the full batch: both take more than 1.5 times as long as the best batch size, which is between 4 and 256.",
        "A step on one example multiplies vectors by matrices and rewrites all weights, so that it takes more than 1/10 of the time of a step on 64, but brings 1/20 of the progress or so.",
        True,
    ),
    Prediction(
        "At the rate that is best for speed the loss on all examples rises, from one measurement to the next, in more than 15 % of them with one example at a time, and in less than 10 % with the full batch.",
        "Below 2/λ_max a full step lowers the loss. With one example the noise of the weights, of the order of rate × variance / 2, stays, and near its floor rises and falls are equally frequent.",
        True,
    ),
]

PROTOCOL = (
    "Handwritten digits, 1,077 training images, perceptron 64-64-10 (relu, He's weights), sgd with a constant rate, four rates for each batch size, without replacement within an epoch. The loss on all training images is measured 100 times in a training, "
    f"and the number of steps to the loss {TARGET} is interpolated between measurements. For each batch size the rate is selected by the fewest steps on average over 5 seeds (a rate that does not always get there is out), and the numbers are those of 10 other seeds. Seconds: steps × the median time of "
    "a step, from compiled loops of the same training that take turns, one training at a time. Variance: 2,000 batches drawn without replacement, gradients of all weights."
)
RULE = (
    "three parts. Expensive: the full batch needs more than 3 times as many examples as the batch size that needs fewest. Noisy and fast: with one example the loss rises more often, and the target is reached in fewer seconds than with the full batch. Balance: in seconds a size between is fastest, by a factor above 1.2 to both ends. Ends of "
    "intervals count. The claim holds if all three are so, under a condition if one or two are, else it does not hold."
)


def task_of(batch: int, updates: int) -> training.Task:
    """Training in steps of several updates, with the loss on all training images after each step."""

    def build(trial: Any, rngs: nnx.Rngs) -> perceptrons.Perceptron:
        return perceptrons.Perceptron((64, 64, 10), act.relu, rngs)

    task = training.supervised(build, training.builtin("digits").data, batch_size=batch, name=f"digits, batch {batch}")

    return loss_curves.strided(task, updates)


class Runs(NamedTuple):
    """Trainings with one batch size at its best rate, one number or curve for each seed.

    Attributes:
        rate: the learning rate.
        steps: steps to the target.
        curves: loss on all training images after each stretch of steps.
        rises: share of the stretches over which that loss rose.
    """

    rate: float
    steps: np.ndarray
    curves: np.ndarray
    rises: np.ndarray


def trainings(batch: int, seed: int, small: bool) -> Runs:
    """Trainings with one batch size; 5 seeds select the rate and 10 others count."""
    points = 10 if small else POINTS
    updates = STEPS[batch] // POINTS
    select, count = (1, 2) if small else (5, 10)
    space = {"optimizer": opt.sgd(sweeps.values(RATES[batch]))}
    seeds = perceptrons.seeds(seed, select + count)
    results = sweeps.run(task_of(batch, updates), space, seeds=seeds, steps=points, keep=0, progress=False)
    curves = {
        s.columns["learning_rate"]: np.array([results.curves[row]["loss"] for row in s.trials])
        for s in results.settings()
    }
    reached = {
        rate: np.array([loss_curves.steps_to(curve, updates, TARGET) for curve in many])
        for rate, many in curves.items()
    }
    rate = min(reached, key=lambda rate: reached[rate][:select].mean())
    counted = curves[rate][select:]
    return Runs(rate, reached[rate][select:], counted, np.mean(np.diff(counted, axis=1) > 0, axis=1))


def seconds_per_step(seed: int, small: bool) -> dict[int, np.ndarray]:
    """Seconds of an update for each batch size, in each round."""
    programs, updates = {}, {b: max(10, min(200, 6400 // b)) for b in RATES}
    for batch in RATES:
        task, trial = task_of(batch, updates[batch]), {"optimizer": opt.sgd(0.01)}
        carry = jax.jit(lambda key, task=task, trial=trial: task.init(trial, key))(jax.random.key(seed))
        run = jax.jit(lambda carry, key, data, task=task, trial=trial: task.step(trial, carry, data, key)[0])
        data = jax.tree.map(jnp.asarray, task.data)
        programs[batch] = lambda run=run, carry=carry, data=data: run(carry, jax.random.key(0), data)
    times = timing.seconds(programs, 3 if small else 40)
    return {batch: times[batch] / updates[batch] for batch in RATES}


class Noise(NamedTuple):
    """Gradients at one point: variance of a batch's, relative to one example's, by batch size; and the noise scale."""

    variances: dict[int, float]
    scale: float


def noise(seed: int, steps: int, draws: int) -> Noise:
    """Noise of the gradient after some steps with batches of 64."""
    (x, y), *_ = training.builtin("digits").data
    task = task_of(64, 1)
    trial = {"optimizer": opt.sgd(0.2)}
    model = (
        training.run(task, trial, steps=max(steps, 1), seed=seed).model()
        if steps
        else task.model(trial, task.init(trial, jax.random.key(seed)))
    )  # type: ignore[misc]
    structure, params = nnx.split(model)

    @jax.jit
    def gradients(params: Any) -> jax.Array:
        def loss(params: Any, x: jax.Array, y: jax.Array) -> jax.Array:
            return -jax.nn.log_softmax(nnx.merge(structure, params)(x))[y]

        per_example = jax.vmap(jax.grad(loss), (None, 0, 0))(params, x, y)
        return jnp.concatenate([g.reshape(len(x), -1) for g in jax.tree.leaves(per_example)], axis=1)

    per_example = gradients(params)
    mean = per_example.mean(axis=0)
    total = float(jnp.sum((per_example - mean) ** 2) / len(x))
    scores = per_example - mean
    gram = np.asarray(scores @ scores.T, float)
    rng = np.random.default_rng(seed)

    def variance(b: int) -> float:
        """Mean square of the deviation of a batch's gradient, from inner products of the examples'."""
        rows = (rng.permutation(len(x))[:b] for _ in range(draws))
        return float(np.mean([gram[np.ix_(i, i)].sum() / b**2 for i in rows])) / total

    return Noise({b: variance(b) for b in (4, 16, 64, 256)}, total / float(jnp.sum(mean**2)))


def picture(runs: dict[int, Runs], seconds: dict[int, float], found: Noise) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.5), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    for i, (batch, one) in enumerate(runs.items()):
        at = batch * STEPS[batch] // POINTS * np.arange(1, one.curves.shape[1] + 1)
        left.plot(at, one.curves[0], color=f"C{i}", linewidth=1.2, label="all" if batch == EXAMPLES else str(batch))
    left.axhline(TARGET, color="0.7", linestyle=":")
    left.set(
        xscale="log",
        yscale="log",
        xlabel="examples seen",
        ylabel="loss on all training images (one seed)",
        title="By batch size",
    )
    left.legend(fontsize=7, frameon=False, title="batch size", title_fontsize=8)
    sizes = list(runs)
    least = {
        "examples": min(np.mean(runs[b].steps) * b for b in sizes),
        "steps": min(np.mean(runs[b].steps) for b in sizes),
        "seconds": min(seconds.values()),
    }
    curves = {
        "steps": [np.mean(runs[b].steps) / least["steps"] for b in sizes],
        "examples": [np.mean(runs[b].steps) * b / least["examples"] for b in sizes],
        "seconds": [seconds[b] / least["seconds"] for b in sizes],
    }
    for name, values in curves.items():
        middle.plot(sizes, values, "o-", markersize=4, label=name)
    middle.set(
        xscale="log",
        yscale="log",
        xlabel="batch size",
        ylabel="to the target, the least = 1",
        title=f"Cost of reaching loss {TARGET}",
    )
    middle.legend(fontsize=8, frameon=False)
    line = np.geomspace(1, 512, 50)
    right.plot(line, (1 / line) * (EXAMPLES - line) / (EXAMPLES - 1), color="0.6", label="(1/b) (N − b)/(N − 1)")
    right.plot(list(found.variances), list(found.variances.values()), "o", color="C0", label="measured, start")
    right.set(
        xscale="log",
        yscale="log",
        xlabel="batch size b",
        ylabel="variance, that of one example = 1",
        title="Variance of the gradient",
    )
    right.legend(fontsize=8, frameon=False)
    for axis in (left, middle, right):
        axis.spines[["top", "right"]].set_visible(False)
    return figure


def measure(seed: int, small: bool) -> Result:
    """All measurements."""
    runs = {batch: trainings(batch, seed, small) for batch in RATES}
    times = seconds_per_step(seed, small)
    per_step = {batch: timing.median(times[batch]) for batch in RATES}
    start, later = (noise(seed, steps, 50 if small else 2000) for steps in (0, 60))
    steps = {b: one.steps.mean() for b, one in runs.items()}
    examples = {b: b * one.steps for b, one in runs.items()}
    seconds = {b: float(steps[b] * per_step[b].value) for b in runs}
    least = min(runs, key=lambda b: examples[b].mean())
    fastest = min(seconds, key=seconds.__getitem__)

    def log_ratio(a: np.ndarray, b: np.ndarray) -> Interval:
        return Interval(*(float(np.exp(x)) for x in interval(np.log(a) - np.log(b))))

    def slower(a: int, b: int) -> Interval:
        """Seconds with batches of a divided by those with batches of b, with the interval of steps and of times."""
        of_steps, of_times = log_ratio(runs[a].steps, runs[b].steps), timing.median(times[a] / times[b])
        return Interval(*(x * y for x, y in zip(of_steps, of_times, strict=True)))

    dear = log_ratio(examples[EXAMPLES], examples[least])
    one, full = slower(1, fastest), slower(EXAMPLES, fastest)
    one_to_full = slower(1, EXAMPLES)
    rises = {b: interval(runs[b].rises) for b in (1, EXAMPLES)}
    parts = {
        "batch descent is expensive in examples": dear.low > 3,
        "one example at a time is noisy and faster than the full batch": rises[1].low > rises[EXAMPLES].high
        and one_to_full.high < 1,
        "mini-batches are fastest": fastest not in (1, EXAMPLES) and one.low > 1.2 and full.low > 1.2,
    }
    right, wrong = [n for n, so in parts.items() if so], [n for n, so in parts.items() if not so]
    verdict = "holds" if not wrong else "holds if" if right else "does not hold"
    text = {
        "holds": "Holds",
        "holds if": f"Holds if it says only that {' and that '.join(right)}, not that {' nor that '.join(wrong)}",
        "does not hold": "Does not hold",
    }[verdict]
    sentence = (
        f"{text}: to reach a loss of {TARGET} the full batch needs {dear.value:.1f} times as many examples as batches of {least}; in seconds batches of {fastest} are fastest, one example at a time takes {one.value:.1f} times as long and the full batch "
        f"{full.value:.1f} times. The loss rises in {rises[1].value:.0%} of the measurements with one example and in {rises[EXAMPLES].value:.0%} with all."
    )
    theory = {b: (1 / b) * (EXAMPLES - b) / (EXAMPLES - 1) for b in start.variances}
    off = max(abs(one_.variances[b] / theory[b] - 1) for one_ in (start, later) for b in theory)
    model = {b: (1 + later.scale / b) / (1 + later.scale / 64) for b in runs}
    relative = {b: float(steps[b] / steps[64]) for b in runs}
    worst = max(max(relative[b] / model[b], model[b] / relative[b]) for b in runs)
    to_16 = log_ratio(examples[EXAMPLES], examples[16])
    outcomes = [
        Outcome(f"at most {off:.1%} away", off < 0.1),
        Outcome(
            f"B = {later.scale:.0f} ({start.scale:.1f} at the start); steps relative to b = 64: "
            + ", ".join(f"{b}: {relative[b]:.2f} (theory {model[b]:.2f})" for b in runs),
            worst < 2,
        ),
        Outcome(f"{shown(to_16)} times", to_16.value > 5),
        Outcome(
            f"one {shown(one)} times, all {shown(full)} times as long as batches of {fastest}",
            one.value > 1.5 and full.value > 1.5 and 4 <= fastest <= 256,
        ),
        Outcome(
            f"{shown(rises[1])} and {shown(rises[EXAMPLES])}", rises[1].value > 0.15 and rises[EXAMPLES].value < 0.1
        ),
    ]
    outcomes = [Outcome(o.found, bool(o.right)) for o in outcomes]
    rows = [
        [
            str(b),
            f"{one_.rate:g}",
            f"{shown(interval(one_.steps), 3)}",
            f"{interval(examples[b]).value:,.0f}",
            f"{1e6 * per_step[b].value:.0f}",
            f"{1e3 * seconds[b]:.0f}",
            f"{one_.rises.mean():.2f}",
        ]
        for b, one_ in runs.items()
    ]
    numbers = {
        **{f"steps to the target, batches of {b}": interval(one_.steps) for b, one_ in runs.items()},
        **{f"relative variance, batches of {b}": Interval(v, v, v) for b, v in start.variances.items()},
        "examples, all ÷ fewest": dear,
        "seconds, one example ÷ fastest": one,
        "seconds, all ÷ fastest": full,
        "seconds, one example ÷ all": one_to_full,
        "share of rises, one example": rises[1],
        "share of rises, all": rises[EXAMPLES],
    }
    table = Table(
        f"To a loss of {TARGET} on all training images, at the best rate:",
        ["batch size", "rate", "steps", "examples", "µs per step", "ms", "share of rises"],
        rows,
    )
    caption = "Left: loss on all training images over the examples seen, each batch size at its best rate. Middle: what it costs to reach the target. Right: variance of the gradient."
    effect = f"to the target, batches of {fastest} are {shown(one)} times as fast as one example at a time and {shown(full)} times as fast as the full batch"
    return Result(outcomes, verdict, sentence, effect, numbers, [table], picture(runs, seconds, start), caption)


EXPERIMENT = Experiment(
    15,
    "Full batch, one example or mini-batch?",
    "Batch descent is stable but expensive, one-example descent noisy but fast, and mini-batches balance the two.",
    PREDICTIONS,
    PROTOCOL,
    RULE,
    measure,
    __file__,
)

if __name__ == "__main__":
    raise SystemExit(main(EXPERIMENT))
