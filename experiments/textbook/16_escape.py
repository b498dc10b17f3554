"""Claim 16: noise helps to leave saddle points and local minima."""

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import loss_curves
import numpy as np
import perceptrons
from experiment import Experiment, Interval, Outcome, Prediction, Result, Table, exact, interval, main, shown
from flax import nnx
from timing import median

from jaxopt_lite import activations as act
from jaxopt_lite import optimizers as opt
from jaxopt_lite import sweeps, training

RATE, NOISES = 0.1, (1e-1, 1e-2, 1e-3, 1e-4, 1e-6)
ADAM_RATE, OFFSETS = 0.01, (1e-2, 1e-3, 1e-4, 1e-6)
TILT, WELL_RATE, WELL_STEPS = 0.1, 0.005, 60_000
TEMPERATURES = {1: 0.5, 2: 0.25, 8: 0.0625}
SCALES, LEFT, UPDATES, POINTS = (0.0, 1e-6, 1e-4, 1e-2), 2.0, 20, 100
NETWORK_RATE, NETWORK_ADAM = 0.1, 0.003
BATCHES = {"one example": 1, "batches of 64": 64, "all": 1077}


def saddle_steps(noise: float) -> float:
    """Median steps to |y| = 1 on (x² − y²)/2 from y = 0 with noise of that standard deviation in the gradient."""
    spread = RATE * noise / math.sqrt((1 + RATE) ** 2 - 1)
    return math.log(1 / (0.6745 * spread)) / math.log(1 + RATE)


def adam_steps() -> float:
    """Solution T of T − 9 ln T = 1/(√3 rate)."""
    steps = 100.0
    for _ in range(100):
        steps = 1 / (math.sqrt(3) * ADAM_RATE) + 9 * math.log(steps)
    return steps


def well(x: Any) -> Any:
    return (x**2 - 1) ** 2 + TILT * x


def stationary() -> tuple[float, float, float]:
    """The lower minimum, the saddle and the higher minimum of the landscape."""
    low, middle, high = sorted(np.roots([4, 0, -4, TILT]).real)
    return float(low), float(middle), float(high)


def passage_steps(temperature: float) -> float:
    """Mean steps from the higher minimum to the lower one: the first-passage time of the diffusion, by integration."""
    low, _, high = stationary()
    y = np.linspace(low, 4, 20001)
    weight = np.exp(-well(y) / temperature)
    above = np.cumsum(weight[::-1])[::-1] * (y[1] - y[0])
    inside = y <= high
    return float(
        np.sum(np.exp(well(y[inside]) / temperature) * above[inside]) * (y[1] - y[0]) / temperature / WELL_RATE
    )


def lower_share(temperature: float) -> float:
    """Share of the stationary distribution at the lower minimum."""
    x = np.linspace(-4, 4, 20001)
    weight = np.exp(-well(x) / temperature)
    return float(weight[x < stationary()[1]].sum() / weight.sum())


def growth() -> float:
    """The largest singular value of the mean of (label − class share) × input, which drives the escape from 0."""
    x, y = training.builtin("digits").data[0]
    labels = np.eye(10)[np.asarray(y)]
    return float(np.linalg.svd((labels - labels.mean(axis=0)).T @ np.asarray(x) / len(x), compute_uv=False)[0])


PREDICTIONS = [
    Prediction(
        "On the saddle (x² − y²)/2, from y = 0, descent with noise σ in the gradient needs a median of ln(√((1 + η)² − 1)/(0.6745 η σ))/ln(1 + η) steps to y = ±1 (η = 0.1): "
        + ", ".join(f"{saddle_steps(s):.0f} (σ = {s:g})" for s in NOISES)
        + ", within 3 steps; without noise it never leaves.",
        "y is multiplied by 1 + η and kicked by ησ in every step: it becomes (1 + η)ᵗ times one normal number, whose absolute median is 0.6745. A tenth of the noise costs only ln 10/ln 1.1 = 24 steps more.",
        True,
    ),
    Prediction(
        f"Adam needs no noise, only an offset, however small: from y = 10⁻² to 10⁻⁶ it takes {adam_steps():.0f} steps at the rate {ADAM_RATE}, within 20 %, where plain descent takes from 48 to 145.",
        "It divides by the gradient's size. While y grows evenly, m is the gradient of 9 steps ago and v the mean square of an even growth, t²/3: y moves by √3 (1 − 9/t) rates per step.",
        True,
    ),
    Prediction(
        "In the landscape (x² − 1)² + 0.1 x noise of temperature D = ησ²/2 leaves the higher minimum after the first-passage time of the diffusion: "
        + ", ".join(f"{passage_steps(TEMPERATURES[b]):,.0f} steps with batches of {b}" for b in (1, 2))
        + f", within 10 %; batches of 8 would need {passage_steps(TEMPERATURES[8]):.0e} and leave in less than 1 % of the runs of {WELL_STEPS:,}.",
        "τ = ∫ dy exp(U(y)/D)/D ∫ dz exp(−U(z)/D), exact for small steps; for small D it grows as exp(ΔU/D), Kramers' law. D is inversely proportional to the batch size.",
        True,
    ),
    Prediction(
        "Noise does not prefer the lower minimum by much: at the end "
        + ", ".join(f"{lower_share(TEMPERATURES[b]):.2f} (batches of {b})" for b in (1, 2))
        + " of the runs are there, within 0.05.",
        "The stationary density is proportional to exp(−U/D): the noise that leaves one minimum leaves the other too.",
        True,
    ),
    Prediction(
        "A network that starts at 0 is at a saddle that sampling noise does not leave: after 2,000 steps all hidden weights are exactly 0, with one example, batches of 64, all examples, and adam.",
        "The gradient of each layer is a product with the weights of the other, 0 for every single example. Sampling noise is not added to the gradient; it multiplies it.",
        True,
    ),
    Prediction(
        f"Near 0 an initial scale a hundred times smaller costs ln 100/ln(1 + η s) = {math.log(100) / math.log(1 + NETWORK_RATE * growth()):.0f} steps more, within 15 %, for each batch size alike; s = {growth():.3f} is the largest singular value of the mean of (label − class share) × input.",
        "For small weights the network is W₂ W₁ x, and both grow with the rate η s along the first singular vectors. The mean of the noise is 0, and it multiplies the weights, so that it hardly changes the rate.",
        True,
    ),
    Prediction(
        "So noise does not help the network: from the scale 10⁻⁴ the steps to a loss of 2.0 with one example and with batches of 64 are within 15 % of those with all examples.",
        "As above.",
        True,
    ),
]

PROTOCOL = (
    f"Saddle: 2,000 runs for each noise, η = {RATE}, at most 2,000 steps. Two minima: U = (x² − 1)² + {TILT} x, from the higher minimum at 0.99, gradient with normal noise of variance 1/b times that of one example (200, temperature D = 0.5 for b = 1), η = {WELL_RATE}, 1,000 runs of {WELL_STEPS:,} steps. Network: handwritten digits, perceptron 64-32-10, tanh, biases 0, "
    f"weights LeCun normal times a scale from 0 to 0.01, sgd with rate {NETWORK_RATE} (one example, 64 or all 1,077 images in a step) and adam with rate {NETWORK_ADAM} on all, 2,000 steps, 10 seeds. The escape is the step at which the loss on all training images falls below 2.0 (ln 10 = 2.30 at the start), measured every {UPDATES} "
    "steps and interpolated."
)
RULE = "the claim holds if noise leaves the simulated saddle and minimum, and a network leaves its saddle at 0 by sampling noise, or is at least 20 % faster from the scale 10⁻⁴ with one example than with all. It holds under a condition if only the simulated ones are left. Else it does not hold."


@partial(jax.jit, static_argnums=(1, 2))
def saddle_escape(key: jax.Array, runs: int, steps: int, noise: jax.Array) -> jax.Array:
    """Steps to |y| > 1 on the saddle for each run; `steps` where it is not reached."""

    def step(state: tuple[jax.Array, jax.Array], key: jax.Array) -> tuple[Any, None]:
        y, count = state
        inside = jnp.abs(y) < 1
        y = jnp.where(inside, y + RATE * (y + noise * jax.random.normal(key, y.shape)), y)
        return (y, count + inside), None

    start = (jnp.zeros(runs), jnp.zeros(runs))
    return jax.lax.scan(step, start, jax.random.split(key, steps))[0][1]


def optimizer_steps(tx: Any, offset: float) -> int:
    """Steps of an optimizer to |y| > 1 on the saddle from x = 1 and y = offset."""
    point = jnp.array([1.0, offset])
    state = tx.init(point)
    update = jax.jit(tx.update)
    for step in range(1000):
        if abs(float(point[1])) >= 1:
            return step
        updates, state = update(point * jnp.array([1.0, -1.0]), state, point)
        point = point + updates
    return 1000


@partial(jax.jit, static_argnums=(1, 2))
def wells(key: jax.Array, runs: int, steps: int, temperature: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Steps until each run is first at the lower minimum (`steps` if never), and where it is at the end."""
    low, _, high = stationary()
    noise = jnp.sqrt(2 * temperature / WELL_RATE)
    slope = jax.grad(lambda x: jnp.sum(well(x)))

    def step(i: jax.Array, state: tuple[jax.Array, jax.Array, jax.Array]) -> Any:
        x, count, waiting = state
        waiting = waiting & (x > low)
        x = x - WELL_RATE * (slope(x) + noise * jax.random.normal(jax.random.fold_in(key, i), x.shape))
        return x, count + waiting, waiting

    start = (jnp.full(runs, high), jnp.zeros(runs), jnp.ones(runs, bool))
    x, count, _ = jax.lax.fori_loop(0, steps, step, start)
    return count, x


class Escape(NamedTuple):
    """Steps to a loss of 2.0 for each scale and seed, and the largest hidden weight after a start at 0."""

    steps: dict[float, np.ndarray]
    largest: float


def network(batch: int, optimizer: Any, seed: int, small: bool) -> Escape:
    """Trainings from small weights."""

    def build(trial: Any, rngs: nnx.Rngs) -> perceptrons.Perceptron:
        model = perceptrons.Perceptron((64, 32, 10), act.tanh, rngs, kernel_init=jax.nn.initializers.lecun_normal())
        for layer in (*model.hidden, model.last):
            layer.kernel[...] = layer.kernel[...] * trial["scale"]
        return model

    def look(model: Any, x: jax.Array) -> dict[str, jax.Array]:
        return {"largest": jnp.max(jnp.abs(model.hidden[0].kernel[...]))}

    task = training.supervised(build, training.builtin("digits").data, batch_size=batch, name=f"digits, batch {batch}")
    task = perceptrons.observed(loss_curves.strided(task, UPDATES), at_end=look)
    space = {"scale": sweeps.values(SCALES), "optimizer": optimizer}
    seeds = perceptrons.seeds(seed, 2 if small else 10)
    results = sweeps.run(task, space, seeds=seeds, steps=5 if small else POINTS, keep=0, progress=False)
    settings = {s.columns["scale"]: s for s in results.settings()}
    steps = {
        scale: np.array(
            [loss_curves.steps_to(results.curves[row]["loss"], UPDATES, LEFT) for row in settings[scale].trials]
        )
        for scale in SCALES
    }
    return Escape(steps, float(np.max(perceptrons.by_seed(results, settings[0.0], "largest"))))


def picture(
    saddle: dict[float, np.ndarray], adam: dict[float, int], times: dict[int, Interval], networks: dict[str, Escape]
) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.5), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    line = np.geomspace(1e-6, 1e-1, 50)
    left.plot(line, [saddle_steps(s) for s in line], color="0.6", label="theory")
    left.plot(
        list(saddle), [np.median(steps) for steps in saddle.values()], "o", color="C0", label="descent, by noise σ"
    )
    left.plot(list(adam), list(adam.values()), "s", color="C1", label="adam, by offset, no noise")
    left.set(
        xscale="log",
        xlabel="noise σ, or offset from the saddle",
        ylabel="steps to leave",
        ylim=(0, None),
        title="Saddle (x² − y²)/2",
    )
    line = np.linspace(0.15, 0.6, 50)
    middle.plot(1 / line, [passage_steps(d) for d in line], color="0.6", label="theory")
    reached = {TEMPERATURES[b]: x.value for b, x in times.items()}
    middle.plot([1 / d for d in reached], list(reached.values()), "o", color="C0", label="measured")
    middle.set(
        yscale="log",
        xlabel="1 / D, proportional to the batch size",
        ylabel="mean steps to leave",
        title="Higher of two minima",
    )
    for i, (name, one) in enumerate(networks.items()):
        scales = [s for s in SCALES if s > 0 and np.isfinite(one.steps[s]).all()]
        right.plot(scales, [one.steps[s].mean() for s in scales], "o-", color=f"C{i}", markersize=4, label=name)
    right.set(
        xscale="log",
        xlabel="scale of the initial weights",
        ylabel="steps to a loss of 2.0",
        ylim=(0, None),
        title="Network near its saddle at 0",
    )
    for axis in (left, middle, right):
        axis.legend(fontsize=8, frameon=False)
        axis.spines[["top", "right"]].set_visible(False)
    return figure


def measure(seed: int, small: bool) -> Result:
    """All measurements."""
    of_saddle, of_wells = jax.random.split(jax.random.key(seed))
    runs, limit = (100, 400) if small else (2000, 2000)
    saddle = {
        s: np.asarray(saddle_escape(jax.random.fold_in(of_saddle, i), runs, limit, s)) for i, s in enumerate(NOISES)
    }
    quiet = np.asarray(saddle_escape(of_saddle, 10, limit, 0.0))
    adam = {offset: optimizer_steps(opt.adam(ADAM_RATE), offset) for offset in OFFSETS}
    steps = 2000 if small else WELL_STEPS
    found = {
        b: [np.asarray(x) for x in wells(jax.random.fold_in(of_wells, b), 100 if small else 1000, steps, d)]
        for b, d in TEMPERATURES.items()
    }
    left = {b: float(np.mean(count < steps)) for b, (count, _) in found.items()}
    times = {b: interval(found[b][0]) for b in (1, 2)}
    lower = {b: float(np.mean(found[b][1] < stationary()[1])) for b in (1, 2)}
    networks = {name: network(batch, opt.sgd(NETWORK_RATE), seed, small) for name, batch in BATCHES.items()}
    networks["all, adam"] = network(BATCHES["all"], opt.adam(NETWORK_ADAM), seed, small)

    per_hundredth = math.log(100) / math.log(1 + NETWORK_RATE * growth())
    added = {name: interval(networks[name].steps[1e-6] - networks[name].steps[1e-4]) for name in BATCHES}
    ratios = {
        name: Interval(
            *(float(np.exp(x)) for x in interval(np.log(networks[name].steps[1e-4] / networks["all"].steps[1e-4])))
        )
        for name in ("one example", "batches of 64")
    }
    largest = max(one.largest for one in networks.values())
    simulated = all(np.median(x) < limit for x in saddle.values()) and left[1] > 0.9
    network_helped = largest > 0 or ratios["one example"].high < 0.8
    verdict = "holds" if simulated and network_helped else "holds if" if simulated else "does not hold"
    text = {
        "holds": "Holds",
        "holds if": "Holds if the noise does not vanish at the saddle, as that of sampling does",
        "does not hold": "Does not hold",
    }[verdict]
    sentence = (
        f"{text}: added noise of 10⁻⁶ leaves a saddle in {np.median(saddle[1e-6]):.0f} steps that descent never leaves, and noise of temperature 0.5 left the higher of two minima in {left[1]:.0%} of the runs. But a network that starts at 0 {'stays there' if largest == 0 else 'leaves it'} with one example at a time, "
        f"and from small weights one example at a time takes {ratios['one example'].value:.2f} times as many steps as all examples."
    )
    off = max(abs(float(np.median(x)) - saddle_steps(s)) for s, x in saddle.items())
    outcomes = [
        Outcome(
            ", ".join(f"{np.median(x):.0f}" for x in saddle.values())
            + f"; at most {off:.1f} away; without noise {'none' if quiet.min() == limit else 'some'} left in {limit:,} steps",
            off <= 3 and quiet.min() == limit,
        ),
        Outcome(
            ", ".join(f"{n} (from {offset:g})" for offset, n in adam.items()),
            all(abs(n / adam_steps() - 1) < 0.2 for n in adam.values()),
        ),
        Outcome(
            ", ".join(f"{times[b].value:,.0f}" for b in times) + f" steps; {left[8]:.1%} with batches of 8",
            all(abs(times[b].value / passage_steps(TEMPERATURES[b]) - 1) < 0.1 for b in times) and left[8] < 0.01,
        ),
        Outcome(
            ", ".join(f"{share:.3f}" for share in lower.values()),
            all(abs(lower[b] - lower_share(TEMPERATURES[b])) < 0.05 for b in lower),
        ),
        Outcome(f"largest hidden weight {largest:g}", largest == 0),
        Outcome(
            "; ".join(f"{name} {shown(x)}" for name, x in added.items()),
            all(abs(x.value / per_hundredth - 1) < 0.15 for x in added.values()),
        ),
        Outcome(
            "; ".join(f"{name} {shown(x)} times" for name, x in ratios.items()),
            all(abs(x.value - 1) < 0.15 for x in ratios.values()),
        ),
    ]
    outcomes = [Outcome(o.found, bool(o.right)) for o in outcomes]
    rows = [
        [name, *(shown(interval(one.steps[s])) if np.isfinite(one.steps[s]).all() else "never" for s in SCALES)]
        for name, one in networks.items()
    ]
    numbers = {
        **{f"steps to leave the saddle, noise {s:g}, median": median(x) for s, x in saddle.items()},
        **{f"steps of adam to leave the saddle from {offset:g}": exact(n) for offset, n in adam.items()},
        **{f"steps to leave the higher minimum, batches of {b}, mean": x for b, x in times.items()},
        **{f"share at the lower minimum, batches of {b}": exact(x) for b, x in lower.items()},
        **{f"steps that a hundredth of the scale adds, {name}": x for name, x in added.items()},
        **{f"steps from 0.0001, {name} ÷ all": x for name, x in ratios.items()},
    }
    table = Table(
        "Steps of the network to a loss of 2.0, by the scale of its initial weights:",
        ["batch", *(f"{s:g}" for s in SCALES)],
        rows,
    )
    caption = "Left: median steps to leave a saddle. Middle: mean steps to leave the higher of two minima. Right: steps of a network from small weights; sampling noise does not shorten them."
    effect = f"one example ÷ all in steps to leave a network's saddle: {shown(ratios['one example'])}"
    return Result(
        outcomes, verdict, sentence, effect, numbers, [table], picture(saddle, adam, times, networks), caption
    )


EXPERIMENT = Experiment(
    16,
    "Does noise help to leave saddles and minima?",
    "The noise of stochastic descent helps to leave saddle points and local minima.",
    PREDICTIONS,
    PROTOCOL,
    RULE,
    measure,
    __file__,
)

if __name__ == "__main__":
    raise SystemExit(main(EXPERIMENT))
