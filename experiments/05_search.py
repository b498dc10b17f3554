"""05: does TPE find better settings than random search in as many trials, and what does it cost?

The predictions, the command and the result are in `experiments/05-search.md`, which this script writes:

    python experiments/05_search.py
"""

import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import pages
from flax import nnx

from jaxopt_lite import activations as act
from jaxopt_lite import optimizers as opt
from jaxopt_lite import sweeps, training

WAYS = ("tpe", "random")


class Size(NamedTuple):
    """How much is run: seeds of the search for each task, settings in a search, and steps of a training."""

    searches: int = 5
    settings: int = 128
    steps: int = 200
    overhead_steps: int = 500


class Found(NamedTuple):
    """One search.

    Attributes:
        losses: the lowest validation loss after each setting.
        seconds: processor time of the search, tracing of its programs included.
    """

    losses: list[float]
    seconds: float


class Net(nnx.Module):
    """One hidden layer of 32."""

    def __init__(self, inputs: int, outputs: int, activation: Any, rngs: nnx.Rngs) -> None:
        self.hidden, self.out = nnx.Linear(inputs, 32, rngs=rngs), nnx.Linear(32, outputs, rngs=rngs)
        self.activation = activation

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.out(self.activation(self.hidden(x)))


def table(name: str) -> training.Task:
    """A data set of scikit-learn, split into three parts: classes if the target is whole numbers, else a regression."""
    from sklearn import datasets
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import scale

    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    classes = name != "diabetes"
    x, y = scale(x).astype("float32"), y.astype("int32") if classes else scale(y).astype("float32")[:, None]
    x, x_rest, y, y_rest = train_test_split(x, y, test_size=0.5, random_state=0)
    x_val, x_test, y_val, y_test = train_test_split(x_rest, y_rest, test_size=0.4, random_state=0)
    data, outputs = ((x, y), (x_val, y_val), (x_test, y_test)), len(np.unique(y)) if classes else 1
    return training.supervised(
        lambda trial, rngs: Net(x.shape[1], outputs, trial["activation"], rngs),
        data,
        "cross_entropy" if classes else "mse",
        batch_size=32,
        name=name,
    )


def tasks() -> Iterator[training.Task]:
    """The tasks, each ranked by its validation loss, which has no ties."""
    for task in (
        *(training.builtin(name) for name in ("digits", "mnist1d", "spirals")),
        *map(table, ("breast_cancer", "wine", "diabetes")),
    ):
        yield task._replace(objective="validation_loss", mode="min")


def space() -> dict[str, Any]:
    """Two optimizers with their own numbers, and an activation with a slope among others: seven numbers and choices."""
    return {
        "activation": sweeps.choice(
            [act.relu, act.tanh, act.bind(act.leaky_relu, negative_slope=sweeps.uniform(0, 0.5))]
        ),
        "optimizer": sweeps.choice(
            [
                opt.sgd(sweeps.log_uniform(1e-4, 3), momentum=sweeps.uniform(0, 0.99)),
                opt.adamw(
                    sweeps.log_uniform(1e-5, 0.3),
                    b1=sweeps.uniform(0, 0.99),
                    weight_decay=sweeps.log_uniform(1e-5, 0.1),
                ),
            ]
        ),
    }


def search(task: training.Task, way: str, seed: int, settings: int, steps: int, seeds: int = 1) -> Found:
    """One search of a task."""
    begin = time.process_time()
    found = sweeps.run(
        task, space(), search=way, trials=settings, seeds=seeds, steps=steps, seed=seed, keep=0, progress=False
    )
    losses = [s if s == s else float("inf") for s in found.columns["validation_loss"][::seeds]]
    return Found(np.minimum.accumulate(losses).tolist(), time.process_time() - begin)


def predictions(found: dict[str, dict[str, list[Found]]], overhead: float) -> list[tuple[str, str, bool]]:
    """Each prediction, what was found, and whether it held."""
    pairs = [pair for ways in found.values() for pair in zip(ways["tpe"], ways["random"], strict=True)]
    wins = statistics.mean(tpe.losses[-1] < random.losses[-1] for tpe, random in pairs)
    half = len(pairs[0][0].losses) // 2
    early = statistics.mean(tpe.losses[half - 1] < random.losses[-1] for tpe, random in pairs)
    return [
        (
            "TPE's best setting has a lower validation loss than random search's in at least 70 % of the searches: of "
            "seven settings the loss depends on two or three, and TPE draws most of its points near the best.",
            f"{wins:.0%} of {len(pairs)}",
            wins >= 0.7,
        ),
        (
            "TPE needs half the settings: after half of them it is better than random search after all in at least half "
            "of the searches.",
            f"{early:.0%}",
            early >= 0.5,
        ),
        (
            "Asking costs little: a search of the digits with 3 seeds and 500 steps takes at most 5 % more processor time "
            "than random search.",
            f"{overhead - 1:+.1%}",
            overhead <= 1.05,
        ),
    ]


def page(found: dict[str, dict[str, list[Found]]], overhead: float, size: Size) -> str:
    """The page, as Markdown."""
    lines = [
        "# 05: TPE against random search",
        "",
        "Does TPE find better settings than random search in as many trials, and what does it cost?",
        "",
        f"{len(found)} tasks × {size.searches} searches of {size.settings} settings with 1 seed × {size.steps} steps each; TPE is "
        "asked for 16 settings at a time. The space has an activation with or without a slope, and two optimizers with two "
        "and three numbers. Settings are ranked by validation loss; the searches do not see the test part.",
        "",
        *pages.table(predictions(found, overhead)),
        "## Every task",
        "",
        "Lowest validation loss, median over the searches (lowest and highest).",
        "",
        f"| task | TPE, {size.settings} settings | random, {size.settings} settings | TPE, {size.settings // 2} settings | wins of TPE |",
        "|---|---|---|---|---|",
    ]
    for task, ways in found.items():
        last = {way: [one.losses[-1] for one in ways[way]] for way in WAYS}
        half = [one.losses[size.settings // 2 - 1] for one in ways["tpe"]]
        wins = sum(a < b for a, b in zip(last["tpe"], last["random"], strict=True))
        cells = [_spread(losses) for losses in (last["tpe"], last["random"], half)]
        lines.append(f"| {task} | {' | '.join(cells)} | {wins} of {size.searches} |")
    lines += ["", "![Lowest validation loss against the number of settings](05-search.png)", ""]
    return "\n".join([*lines, pages.conditions(__file__, "jax", "flax", "optax", "optuna"), ""])


def _spread(losses: Sequence[float]) -> str:
    return f"{statistics.median(losses):.4f} ({min(losses):.4f} to {max(losses):.4f})"


def picture(found: dict[str, dict[str, list[Found]]]) -> Any:
    """The lowest validation loss so far against the number of settings, median and range over the searches."""
    from matplotlib.figure import Figure

    columns = min(3, len(found))
    figure = Figure(figsize=(3.2 * columns, 2.6 * -(-len(found) // columns)), layout="constrained")
    axes = figure.subplots(-(-len(found) // columns), columns, squeeze=False).ravel()
    for axis, (task, ways) in zip(axes, found.items(), strict=False):
        for way, colour in zip(WAYS, ("#1f77b4", "#d62728"), strict=True):
            losses = np.array([one.losses for one in ways[way]])
            losses[~np.isfinite(losses)] = np.nan
            numbers = np.arange(1, losses.shape[1] + 1)
            axis.plot(numbers, np.median(losses, axis=0), color=colour, label={"tpe": "TPE"}.get(way, way))
            axis.fill_between(numbers, losses.min(axis=0), losses.max(axis=0), color=colour, alpha=0.15, linewidth=0)
        axis.set_title(task, fontsize=9)
        axis.set_yscale("log")
        axis.spines[["top", "right"]].set_visible(False)
    for axis in axes[len(found) :]:
        axis.set_visible(False)
    axes[0].legend(fontsize=8, frameon=False)
    figure.supxlabel("settings trained", fontsize=9)
    figure.supylabel("lowest validation loss", fontsize=9)
    return figure


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the searches and write page and picture.

    Args:
        arguments: the words after the script's name; default those of this process.

    Returns:
        The exit status, 0.
    """
    parser = pages.parser(__doc__, small=True)
    options = parser.parse_args(arguments)
    size = Size(searches=1, settings=18, steps=10, overhead_steps=10) if options.small else Size()
    found: dict[str, dict[str, list[Found]]] = {}
    for task in tasks():
        found[task.name] = {way: [] for way in WAYS}
        for seed in range(size.searches):
            print(f"{task.name}, search {seed + 1} of {size.searches}", file=sys.stderr, flush=True)
            for way in WAYS:
                found[task.name][way].append(search(task, way, seed, size.settings, size.steps))
    digits = next(tasks())  # its programs are compiled by now
    times = {
        way: min(search(digits, way, s, size.settings, size.overhead_steps, seeds=3).seconds for s in range(2))
        for way in WAYS
    }
    (options.out / "05-search.md").write_text(page(found, times["tpe"] / times["random"], size), encoding="utf-8")
    picture(found).savefig(options.out / "05-search.png", dpi=130)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
