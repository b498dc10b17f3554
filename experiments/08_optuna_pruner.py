"""08: how long does the default sweep take with halving, and a Flax loop that Optuna prunes, to as good an answer?

The predictions, the command and the result are in `experiments/08-optuna-pruner.md`, which this script writes:

    python experiments/08_optuna_pruner.py
"""

import math
import statistics
import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pages
from flax.training.train_state import TrainState

from jaxopt_lite import activations, optimizers, training
from jaxopt_lite.bench import _loops
from jaxopt_lite.bench._loops import Training
from jaxopt_lite.bench._sweep import HALVING, Engine
from jaxopt_lite.bench._sweep import Size as SweepSize

Setting = tuple[str, str, float]  # activation, optimizer, learning rate


class Size(NamedTuple):
    """How much is run: the sweep, how many orders of the settings the loop tries, and repeats of the engine."""

    sweep: SweepSize = SweepSize()
    orders: int = 3
    repeats: int = 5


class Found(NamedTuple):
    """One search: seconds without compilation, share of the full grid's steps, and the setting that it picks."""

    seconds: float
    share: float
    picked: Setting


class Loop:
    """The loop of an expert: one jitted step per structure, the learning rate in the state, Optuna's pruner.

    Settings are tried in a random order with the first seed. Those that the pruner leaves to the end are ranked by their
    validation accuracy, and the best is trained with the other seeds.
    """

    def __init__(self, data: Any, settings: list[Setting], starts: list[tuple[Any, np.ndarray]], steps: int) -> None:
        self._data, self._settings, self._starts, self._steps = data, settings, starts, steps
        self._structures: dict[tuple[str, str], Any] = {}
        for setting in settings:
            self._built(setting)

    def _built(self, setting: Setting) -> Any:
        """Model, optimizer and step of a structure, compiled when they are made."""
        key = setting[:2]
        if key not in self._structures:
            layers, rows = self._starts[0]
            training_ = Training(*setting, layers, rows)
            model, tx = (
                _loops._model(training_),
                optax.inject_hyperparams(_loops.OPTIMIZERS[setting[1]])(learning_rate=0.0),
            )
            self._structures[key] = (model, tx, _loops._step())
            self._advanced(setting, self._started(setting, 0), 0, 0, 1)
        return self._structures[key]

    def _started(self, setting: Setting, seed: int) -> TrainState:
        model, tx, _ = self._structures[setting[:2]]
        layers, rows = self._starts[seed]
        params = jax.tree.map(jnp.asarray, _loops.named_layers(Training(*setting, layers, rows)))
        state = TrainState.create(apply_fn=model.apply, params=params, tx=tx)
        state.opt_state.hyperparams["learning_rate"] = jnp.float32(setting[2])
        return state

    def _advanced(
        self, setting: Setting, state: TrainState, seed: int, first: int, last: int
    ) -> tuple[TrainState, float]:
        """The state after some steps, and its validation accuracy; that of a diverged run is NaN."""
        model, _, step = self._structures[setting[:2]]
        (x, y), (x_val, y_val), _ = self._data
        loss = jnp.float32(0)
        for rows in self._starts[seed][1][first:last]:
            state, loss = step(state, x[rows], y[rows])
        accuracy = float(_loops._accuracy(model, state.params, x_val, y_val))
        return state, accuracy if math.isfinite(float(loss)) else math.nan

    def __call__(self, order: int) -> Found:
        """Search in one random order."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        rungs, made = HALVING.rungs(self._steps), 0
        pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=rungs[0], reduction_factor=3)
        study = optuna.create_study(direction="maximize", pruner=pruner, sampler=optuna.samplers.RandomSampler(seed=0))
        settings = [self._settings[i] for i in np.random.default_rng(order).permutation(len(self._settings))]
        begin, finished = time.perf_counter(), dict[Setting, float]()
        for setting in settings:
            trial, state, before, accuracy = study.ask(), self._started(setting, 0), 0, math.nan
            for rung in rungs:
                state, accuracy = self._advanced(setting, state, 0, before, rung)
                made, before = made + rung - before, rung
                trial.report(-1.0 if math.isnan(accuracy) else accuracy, rung)
                if math.isnan(accuracy) or trial.should_prune():
                    study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                    break
            else:
                finished[setting] = accuracy
                study.tell(trial, accuracy)
        best = max(finished, key=lambda setting: finished[setting])
        for seed in range(1, len(self._starts)):
            self._advanced(best, self._started(best, seed), seed, 0, self._steps)
            made += self._steps
        full = len(settings) * len(self._starts) * self._steps
        return Found(time.perf_counter() - begin, made / full, best)


class Answer(NamedTuple):
    """Both ways.

    Attributes:
        engine: the sweep with halving, each repeat.
        loop: the loop, each order.
        regret: test accuracy of the full grid's best setting minus that of the picked one, mean over seeds, of each.
        deviation: standard deviation of the test accuracy over seeds, mean over the 20 best settings.
        settings: number of settings.
    """

    engine: list[Found]
    loop: list[Found]
    regret: dict[str, list[float]]
    deviation: float
    settings: int


def measured(size: Size) -> Answer:
    """Run the full grid once, then both ways in turns."""
    task = training.builtin("digits", size.sweep.batch)
    full = Engine(task, size.sweep)
    tests: dict[Setting, list[float]] = {}
    for row in full.results.rows():
        tests.setdefault(_setting(row), []).append(row["test_accuracy"])
    best = _setting(full.results.best()[0].columns)
    engine = Engine(task, size.sweep, HALVING)
    trial = {"activation": activations.relu, "optimizer": optimizers.sgd(0.1)}
    starts = [
        _loops.starting_points(task, trial, seed, size.sweep.steps, size.sweep.batch)
        for seed in range(size.sweep.seeds)
    ]
    loop = Loop(jax.tree.map(np.asarray, task.data), list(tests), starts, size.sweep.steps)
    found: dict[str, list[Found]] = {"engine": [], "loop": []}
    for nth in range(max(size.orders, size.repeats)):
        print(f"round {nth + 1}", file=sys.stderr, flush=True)
        if nth < size.repeats:
            seconds = engine().seconds
            picked = _setting(engine.results.best()[0].columns)
            share = sum(engine.results.columns["step"]) / (len(full.results) * size.sweep.steps)
            found["engine"].append(Found(seconds, share, picked))
        if nth < size.orders:
            found["loop"].append(loop(nth))
    regret = {
        way: [float(np.mean(tests[best]) - np.mean(tests[f.picked])) for f in many] for way, many in found.items()
    }
    ranked = sorted(tests.values(), key=lambda values: -np.mean(np.nan_to_num(values)))[:20]
    deviation = float(np.mean([np.std(values, ddof=1) for values in ranked])) if size.sweep.seeds > 1 else math.nan
    return Answer(found["engine"], found["loop"], regret, deviation, len(tests))


def _setting(row: dict[str, Any]) -> Setting:
    return row["activation"], row["optimizer"], row["learning_rate"]


def predictions(found: Answer) -> list[tuple[str, str, bool]]:
    """Each prediction, what was found, and whether it held."""
    ratio = _median(f.seconds for f in found.loop) / _median(f.seconds for f in found.engine)
    worst = {way: max(many) for way, many in found.regret.items()}
    return [
        (
            "The sweep takes at most 1/8 of the loop's time: against the same loop the engine makes 5.5 times as many "
            "trainings a second, and halving in rounds makes fewer steps than pruning one trial after another, where the "
            "first trials at a rung have few to be compared with.",
            f"1/{ratio:.1f}",
            ratio >= 8,
        ),
        (
            "Both find a setting within 0.01 in test accuracy of the full grid's best: the score at a rung ranks settings "
            "well, and the best ones differ by less than the deviation over seeds.",
            f"sweep {worst['engine']:.4f}, loop {worst['loop']:.4f} at worst",
            max(worst.values()) <= 0.01,
        ),
    ]


def _median(values: Iterable[float]) -> float:
    return statistics.median(values)


def page(found: Answer, size: Size) -> str:
    """The page, as Markdown."""
    rows = []
    for name, way in (("the sweep, `halving(race=True)`", "engine"), ("Flax loop pruned by Optuna", "loop")):
        many = getattr(found, way)
        rows.append(
            f"| {name} | {len(many)} | {_median(f.seconds for f in many):.2f} "
            f"({min(f.seconds for f in many):.2f} to {max(f.seconds for f in many):.2f}) | "
            f"{_median(f.share for f in many):.1%} | {_median(found.regret[way]):.4f} | {max(found.regret[way]):.4f} |"
        )
    sweep = size.sweep
    return "\n".join(
        [
            "# 08: Against a loop that Optuna prunes",
            "",
            "How long does the default sweep take with halving, and a Flax loop that Optuna prunes, to as good an answer?",
            "",
            f"Digits, MLP 64-64-64-10, batch {sweep.batch}: {found.settings} settings (activation × optimizer × learning rate), "
            f"{sweep.steps} steps, {sweep.seeds} seeds for the answer. The loop has one jitted step per structure with the learning "
            "rate in the state of `inject_hyperparams`; it tries the settings in a random order with the first seed, and "
            f"`optuna.pruners.SuccessiveHalvingPruner` prunes them at the steps {', '.join(map(str, HALVING.rungs(sweep.steps)))} "
            "with a reduction factor of 3, as the sweep's rule does. The best is then trained with the other seeds. Both start "
            "from the same weights and visit the same rows. Compilation is apart; the ways take turns.",
            "",
            *pages.table(predictions(found)),
            "| way | searches | seconds, median (range) | steps made, of the full grid's | lost in test accuracy, median | at worst |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
            f"The deviation of the test accuracy over seeds is {found.deviation:.4f}, mean of the 20 best settings.",
            "",
            pages.conditions(__file__, "jax", "flax", "optax", "optuna"),
            "",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run both and write the page.

    Args:
        arguments: the words after the script's name; default those of this process.

    Returns:
        The exit status, 0.
    """
    parser = pages.parser(__doc__, small=True)
    options = parser.parse_args(arguments)
    size = Size(SweepSize(steps=9, seeds=2, rates=(0.01, 0.1)), 1, 1) if options.small else Size()
    (options.out / "08-optuna-pruner.md").write_text(page(measured(size), size), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
