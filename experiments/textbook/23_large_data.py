"""23: which batch size gets furthest in a fixed time on a large data set that is streamed from disk?"""

import math
import tempfile
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from experiment import Experiment, Interval, Outcome, Prediction, Result, Table, exact, interval, main, shown
from flax import nnx
from rivals import ratio, within

from jaxopt_lite import activations as act
from jaxopt_lite import optimizers as opt
from jaxopt_lite.flax import MLP

FEATURES, CLASSES = 64, 10
PIECE = 10_000  # larger batches are summed from pieces, as a pass over a file is
MAKE = {"sgd": opt.sgd, "adam": opt.adam}


def rates(name: str, batch: int) -> np.ndarray:
    """Five learning rates, ten times higher for the large batches, which make few steps."""
    lowest = {"sgd": -2.0, "adam": -3.5}[name] + (batch > 128)
    return 10.0 ** (lowest + np.arange(0, 2.1, 0.5))


class Size(NamedTuple):
    examples: int = 200_000
    held_out: int = 4000
    batches: tuple[int, ...] = (1, 16, 128, 1024, 8192, 200_000)
    passes: int = 5
    seeds: int = 3
    rounds: int = 9


class Data(NamedTuple):
    """Examples to train on, in files, and to validate and to test, in memory."""

    x: np.ndarray
    y: np.ndarray
    validation: tuple[jax.Array, jax.Array]
    test: tuple[jax.Array, jax.Array]


def made(folder: Path, seed: int, size: Size) -> Data:
    """Normal inputs; classes drawn from the probabilities that a random network of one hidden layer gives them."""
    rng = np.random.default_rng(seed)
    first = rng.normal(size=(FEATURES, 32)) * 2 / math.sqrt(FEATURES)
    second = rng.normal(size=(32, CLASSES)) * 8 / math.sqrt(32)

    def drawn(count: int) -> tuple[np.ndarray, np.ndarray]:
        x = rng.normal(size=(count, FEATURES)).astype(np.float32)
        scores = np.tanh(x @ first) @ second + rng.gumbel(size=(count, CLASSES))
        return x, scores.argmax(1).astype(np.int32)

    for name, array in zip(("x", "y"), drawn(size.examples), strict=True):
        np.save(folder / f"{name}.npy", array)
    x, y = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("x", "y"))
    validation, test = (tuple(map(jnp.asarray, drawn(size.held_out))) for _ in range(2))
    return Data(x, y, validation, test)


def stream(data: Data, batch: int, start: int) -> Iterator[tuple[jax.Array, jax.Array]]:
    """Batches read from the files one after another, from the row `start` on, for ever."""
    rows, at = len(data.x), start % max(len(data.x) - batch, 1)
    while True:
        if at + batch > rows:
            at = 0
        yield jnp.asarray(data.x[at : at + batch]), jnp.asarray(data.y[at : at + batch])
        at += batch


GRAPH, _ = nnx.split(MLP([FEATURES, 64, CLASSES], act.relu, rngs=nnx.Rngs(0)))


def start_of(seed: int) -> Any:
    return nnx.split(MLP([FEATURES, 64, CLASSES], act.relu, rngs=nnx.Rngs(seed)))[1]


@jax.jit
def loss_of(params: Any, x: jax.Array, y: jax.Array) -> jax.Array:
    return optax.softmax_cross_entropy_with_integer_labels(nnx.merge(GRAPH, params)(x), y).mean()


gradient = jax.jit(jax.grad(loss_of))


@partial(jax.jit, donate_argnums=(0, 1))
def descend(params: Any, state: Any, tx: Any, x: jax.Array, y: jax.Array) -> Any:
    updates, state = tx.update(jax.grad(loss_of)(params, x, y), state, params)
    return opt.apply_updates(params, updates), state


class Training(NamedTuple):
    """A training that goes on; the optimizer of a batch in pieces sums their gradients."""

    tx: Any
    pieces: int
    batches: Iterator[tuple[jax.Array, jax.Array]]
    params: Any
    state: Any

    def after(self, steps: int) -> "Training":
        """The training after so many more steps, each with the next batch of the stream."""
        params, state = self.params, self.state
        for _ in range(steps * self.pieces):
            params, state = descend(params, state, self.tx, *next(self.batches))
        return self._replace(params=jax.block_until_ready(params), state=state)


def begun(data: Data, tx: Any, batch: int, seed: int) -> Training:
    """A training before its first step."""
    pieces = -(-batch // PIECE)
    tx = tx if pieces == 1 else opt.accumulate(tx, pieces)
    params = start_of(seed)
    first = int(np.random.default_rng(seed).integers(len(data.x)))
    return Training(tx, pieces, stream(data, batch // pieces, first), params, tx.init(params))


def seconds_per_step(data: Data, size: Size) -> dict[tuple[str, int], float]:
    """Median seconds of a step with reading its batch, by optimizer and batch size; all take turns."""
    rivals = [(name, batch) for batch in size.batches for name in MAKE]
    times: dict[tuple[str, int], list[float]] = {rival: [] for rival in rivals}
    for turn in range(size.rounds + 1):
        for name, batch in rivals:
            steps = max(1, min(100, 20_000 // batch))
            training = begun(data, MAKE[name](1e-3), batch, seed=turn)
            begin = time.perf_counter()
            training.after(steps)
            if turn:
                times[name, batch].append((time.perf_counter() - begin) / steps)
    return {rival: float(np.median(taken)) for rival, taken in times.items()}


def budget_of(times: Mapping[tuple[str, int], float], size: Size) -> float:
    """The seconds that each rival gets: those of some steps of sgd with all data."""
    return size.passes * times["sgd", size.batches[-1]]


class Rival(NamedTuple):
    """An optimizer with a batch size, at its best rate; losses by seed."""

    rate: float
    inside: bool
    steps: int
    validation: np.ndarray
    test: np.ndarray


def compete(data: Data, times: Mapping[tuple[str, int], float], seed: int, size: Size) -> dict[tuple[str, int], Rival]:
    """Every optimizer with every batch size: the rate selected with one seed, scored with others."""
    found = {}
    budget = budget_of(times, size)
    for (name, batch), seconds in times.items():
        steps = max(1, round(budget / seconds))

        def scores(rate: float, one: int) -> tuple[float, float]:
            params = begun(data, MAKE[name](float(rate)), batch, one).after(steps).params  # noqa: B023
            return float(loss_of(params, *data.validation)), float(loss_of(params, *data.test))

        tried = np.nan_to_num([scores(rate, 1000 * seed)[0] for rate in rates(name, batch)], nan=np.inf)
        best = int(np.argmin(tried))
        validation, test = np.array(
            [scores(rates(name, batch)[best], 1000 * seed + 1 + i) for i in range(size.seeds)]
        ).T
        found[name, batch] = Rival(float(rates(name, batch)[best]), 0 < best < len(tried) - 1, steps, validation, test)
    return found


def noise_scale(data: Data, params: Any) -> float:
    """The batch size at which the variance of a gradient equals the square of its mean: tr Σ / |G|²."""
    small, large = 64, min(len(data.x), 65_536)

    def square(batch: int, count: int) -> float:
        batches = stream(data, batch, 0)
        grads = [gradient(params, *next(batches)) for _ in range(count)]
        return float(np.mean([optax.global_norm(g) ** 2 for g in grads]))

    of_small, of_large = square(small, 200), square(large, 1)
    variance = (of_small - of_large) / (1 / small - 1 / large)
    return variance / max(of_large - variance / large, 1e-12)


def measure(seed: int, small: bool) -> Result:
    size = Size(20_000, 100, (1, 128, 20_000), 1, 2, 2) if small else Size()
    with tempfile.TemporaryDirectory() as folder:
        data = made(Path(folder), seed, size)
        times = seconds_per_step(data, size)
        found = compete(data, times, seed, size)
        middle = found["sgd", 128]
        trained = begun(data, opt.sgd(middle.rate), 128, 1000 * seed + 1).after(middle.steps)
        noise = [noise_scale(data, start_of(seed)), noise_scale(data, trained.params)]
    return report(found, times, noise, size)


def line(times: Mapping[tuple[str, int], float], name: str) -> tuple[float, float]:
    """Seconds of a step, a + c · batch: c from all data, a as the median of what remains for the small batches."""
    batches = sorted(batch for one, batch in times if one == name)
    c = times[name, batches[-1]] / batches[-1]
    return float(np.median([max(times[name, b] - c * b, 0) for b in batches[:3]])), c


def report(
    found: dict[tuple[str, int], Rival], times: dict[tuple[str, int], float], noise: list[float], size: Size
) -> Result:
    full = size.batches[-1]
    partial_batches = size.batches[:-1]
    best = {name: min(partial_batches, key=lambda b: found[name, b].validation.mean()) for name in MAKE}
    gain = {name: ratio(found[name, full].test, found[name, best[name]].test) for name in MAKE}
    single = {name: ratio(found[name, full].test, found[name, 1].test) for name in MAKE}
    adam = ratio(found["sgd", best["sgd"]].test, found["adam", best["adam"]].test)
    slower = times["sgd", full] / times["sgd", 128]
    typical = math.sqrt(noise[0] * noise[1])
    derived = {}
    for name in MAKE:
        a, c = line(times, name)
        derived[name] = math.sqrt(typical * a / c)
    outcomes = [
        Outcome(
            f"{slower:.0f} times; {found['sgd', full].steps} against {found['sgd', 128].steps:,} steps",
            100 <= slower <= 1500,
        ),
        Outcome(
            ", ".join(f"{name}: best {best[name]}, derived {derived[name]:.0f}" for name in MAKE)
            + f" (noise scale {noise[0]:.0f} at the start, {noise[1]:.0f} at the end)",
            all(best[name] in (128, 1024) and 1 / 8 <= best[name] / derived[name] <= 8 for name in MAKE),
        ),
        Outcome(
            ", ".join(f"{name} {shown(gain[name])}" for name in MAKE) + " times",
            all(gain[name].value >= 1.5 for name in MAKE),
        ),
        Outcome(f"{shown(adam)} times", within(adam, 1.0, 1.25)),
    ]
    budget = budget_of(times, size)
    verdict, sentence = judged(gain, single, best, adam, budget, size)
    return Result(
        outcomes=outcomes,
        verdict=verdict,
        sentence=sentence,
        effect=(
            f"in the same {budget:.2g} s the test loss of the full batch is {shown(gain['sgd'])} times that of the best mini-batch with sgd, "
            f"{shown(gain['adam'])} times with Adam"
        ),
        numbers={
            **{f"test loss, full batch / best mini-batch, {name}": gain[name] for name in MAKE},
            **{f"test loss, full batch / one example, {name}": single[name] for name in MAKE},
            **{f"best mini-batch, {name}": exact(best[name]) for name in MAKE},
            **{f"derived batch, {name}": exact(derived[name]) for name in MAKE},
            "test loss, sgd / adam, each at its best batch": adam,
            "seconds of a step, full batch / 128": exact(slower),
        },
        tables=[table(found, times, size)],
        figure=picture(found, times, size),
        caption=(
            f"Left: test loss after {budget:.2g} s by batch size, mean over {size.seeds} seeds at the best rate (lines: 95 % "
            "intervals). Right: seconds of a step, and a + c · batch (dotted)."
        ),
    )


def judged(
    gain: Mapping[str, Interval],
    single: Mapping[str, Interval],
    best: Mapping[str, int],
    adam: Interval,
    budget: float,
    size: Size,
) -> tuple[Any, str]:
    """Verdict and sentence by the rule."""
    figures = (
        f"with {size.examples:,} examples and {budget:.2g} s, the test loss of the full batch is {shown(gain['sgd'])} times that of "
        f"batches of {best['sgd']} with sgd and {shown(gain['adam'])} times that of batches of {best['adam']} with Adam, "
        f"{shown(single['sgd'])} and {shown(single['adam'])} times that of single examples; sgd's loss is {shown(adam)} times Adam's, each at its "
        "best batch and rate"
    )
    if all(g.low > 1.2 for g in gain.values()) and all(g.low > 1.2 for g in single.values()):
        return "holds", f"Holds: {figures}."
    if all(g.low > 1.2 for g in gain.values()):
        return "holds if", f"Holds if the batches fill the machine, which single examples do not: {figures}."
    return "does not hold", f"Does not hold: {figures}."


def table(found: dict[tuple[str, int], Rival], times: dict[tuple[str, int], float], size: Size) -> Table:
    budget = budget_of(times, size)
    rows = [
        [
            name,
            f"{batch:,}",
            f"{times[name, batch] * 1e3:.3g}",
            f"{rival.steps:,}",
            f"{rival.steps * batch / size.examples:.2g}",
            f"{rival.rate:.2g}{'' if rival.inside else ' (end of the list)'}",
            shown(interval(rival.test)),
        ]
        for (name, batch), rival in sorted(found.items(), key=lambda item: (item[0][0] == "adam", item[0][1]))
    ]
    header = ["optimizer", "batch", "ms per step", "steps", "passes over the data", "best rate", "test loss"]
    return Table(f"After {budget:.2g} s each; means over {size.seeds} seeds with 95 % intervals.", header, rows)


def picture(found: dict[tuple[str, int], Rival], times: dict[tuple[str, int], float], size: Size) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, colour in (("sgd", "C0"), ("adam", "C3")):
        numbers = [interval(found[name, batch].test) for batch in size.batches]
        means = [n.value for n in numbers]
        spread = [[n.value - n.low for n in numbers], [n.high - n.value for n in numbers]]
        left.errorbar(size.batches, means, spread, color=colour, marker="o", markersize=4, capsize=2, label=name)
        right.plot(size.batches, [times[name, b] for b in size.batches], "o", color=colour, markersize=4, label=name)
        a, c = line(times, name)
        grid = np.geomspace(1, size.batches[-1], 100)
        right.plot(grid, a + c * grid, color=colour, linestyle=":", linewidth=1)
    left.set(xlabel="batch size", ylabel="test loss (nats)", xscale="log")
    right.set(xlabel="batch size", ylabel="seconds of a step", xscale="log", yscale="log")
    for axis in (left, right):
        axis.spines[["top", "right"]].set_visible(False)
    left.legend(frameon=False)
    return figure


EXPERIMENT = Experiment(
    number=23,
    title="Large data sets",
    claim="For large data sets use mini-batches: a step with all the data is too expensive.",
    predictions=[
        Prediction(
            "A step with all 200,000 examples takes 400 times as long as one with 128, within 100 to 1500.",
            "A step takes a + c · b seconds. Reading, copying and calling take about a = 0.15 ms. An example costs 6 · (64 · 64 + 64 · 10) = "
            "28,000 operations, 0.3 µs at 10¹¹ a second, and 260 bytes to read and to copy: c = 0.4 µs. (0.15 + 80)/(0.15 + 0.05) "
            "= 400. The bounds are for the machine, where others may be at work.",
            True,
        ),
        Prediction(
            "The best batch is 128 or 1024 for both optimizers, and within a factor 8 (one place in the list) of √(B a/c), with the "
            "measured noise scale B of the gradient and the measured a and c.",
            "The progress of a step with b examples is proportional to 1/(1 + B/b) (McCandlish et al. 2018), its time to a + c b. Progress "
            "per second is largest at b = √(B a/c). a/c = 375; B from 50 at the start to some 1000 at the end, 220 in "
            "the geometric mean: b = 290.",
            True,
        ),
        Prediction(
            "After 0.4 s the test loss of the full batch is at least 1.5 times that of the best mini-batch.",
            "0.4 s are 5 steps with the full batch, each at most as good as 1 + B/b, about 2 to 3, steps with 290 examples, of which "
            "1500 fit in the time. 5 steps hardly leave the start, ln 10 = 2.3 nats; the network learns most of what can be learnt in 1500.",
            False,
        ),
        Prediction(
            "Each at its best batch, sgd's test loss is 1.0 to 1.25 times that of Adam.",
            "Inputs have one scale, so that a diagonal scaling has little to mend; Adam has the effect of momentum.",
            False,
        ),
    ],
    protocol=(
        "200,000 examples of 64 normal features in a file, whose 10 classes are drawn from the probabilities that a random network (64-32-10, "
        "tanh) gives them; read with numpy's memory map, batch after batch (after the first pass the system has the file in "
        "its cache); the full batch in pieces of 10,000, whose gradients are summed (`optimizers.accumulate`). The network is 64-64-10, relu. Seconds of a step, with reading its batch: all pairs of optimizer and batch take turns in "
        "9 rounds, and the median counts. Each gets the time of 5 steps of sgd with all data (0.4 s in the predictions; more where "
        "others use the machine), converted to steps with its median, so that other work on the machine affects all alike. 5 rates √10 apart; the rate is selected by the loss on 4000 validation examples with one seed and scored on 4000 test "
        "examples with 3 others; the best batch is selected by validation loss."
    ),
    rule=(
        "holds if for both optimizers the test loss of the full batch is more than 1.2 times (lower end of the ratio) that of the best "
        "mini-batch and that of single examples; holds under a condition if only that of the best mini-batch; else does not hold."
    ),
    measure=measure,
    script=__file__,
)

if __name__ == "__main__":
    raise SystemExit(main(EXPERIMENT))
