"""01: which activation, optimizer and learning rate train the digits classifier best, and by how much?

The predictions, the command and the result are in `experiments/01-digits.md`, which this script writes:

    python experiments/01_digits.py

It runs `jaxopt-lite sweep` with its default settings, or reads the store of an earlier run.
"""

import argparse
import math
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from jaxopt_lite import report, sweeps
from jaxopt_lite.cli import main as jaxopt_lite

HERE = Path(__file__).parent
LOSS = 0.3
SCORE = "validation_accuracy"
ACTIVATIONS = ("sigmoid", "tanh", "relu", "leaky_relu")
OPTIMIZERS = ("sgd", "momentum", "adagrad", "rmsprop", "adam")

Best = dict[tuple[str, str], sweeps.Setting]


class Outcome(NamedTuple):
    """A prediction, what the sweep found, and whether the prediction held."""

    prediction: str
    found: str
    held: bool


def rate(best: Best, activation: str, optimizer: str) -> float:
    return best[activation, optimizer].columns["learning_rate"]


def steps_to(results: sweeps.Results, setting: sweeps.Setting, loss: float = LOSS) -> float:
    """Steps until the training loss, averaged over a stretch and over seeds, is below `loss`; infinite if it is not."""
    curves = [results.curves[i]["loss"] for i in setting.trials]
    for nth, values in enumerate(zip(*curves, strict=True), start=1):
        if sum(values) / len(values) < loss:
            return min(nth * results.facts["stride"], results.facts["steps"])
    return math.inf


def ratio_text(ratio: float) -> str:
    return f"{ratio:.1f} times the steps" if math.isfinite(ratio) else "loss not reached"


def outcomes(results: sweeps.Results) -> list[Outcome]:
    """Each prediction with what was found."""
    best = {(s.columns["activation"], s.columns["optimizer"]): s for s in results.best("activation", "optimizer")}
    ratio = rate(best, "sigmoid", "sgd") / rate(best, "relu", "sgd")
    gaps = [rate(best, a, "sgd") / rate(best, a, o) for a in ACTIVATIONS for o in ("adam", "rmsprop")]
    leaks = [results.compare(best["leaky_relu", o], best["relu", o]) for o in OPTIMIZERS]
    diverged = [row for row in results.rows() if row["status"] == "diverged"]
    where = sorted({f"{row['activation']} {row['optimizer']} {row['learning_rate']:.3g}" for row in diverged})
    highest = sorted(set(results.columns["learning_rate"]))[-2:]
    slow = {o: steps_to(results, best["sigmoid", o]) / steps_to(results, best["relu", o]) for o in ("sgd", "adam")}
    return [
        Outcome(
            "With sgd, the best learning rate of sigmoid is at least 3 times that of relu: the derivative of sigmoid is "
            "at most 1/4 in each layer.",
            f"{rate(best, 'sigmoid', 'sgd'):.3g} against {rate(best, 'relu', 'sgd'):.3g}, {ratio:.1f} times",
            ratio >= 3,
        ),
        Outcome(
            "The best learning rates of adam and rmsprop are at least 10 times below that of sgd, for every activation: "
            "both divide the gradient by its size.",
            f"{min(gaps):.0f} to {max(gaps):.0f} times below",
            min(gaps) >= 10,
        ),
        Outcome(
            "relu and leaky_relu are not distinguishable at their best setting of any optimizer (the 95 % interval of "
            "the difference, paired by seed, includes 0): in two hidden layers too few units die for the leak to matter.",
            f"leaky_relu − relu: {', '.join(f'{leak:z.4f}' for leak in leaks)}",
            not any(leak.distinct for leak in leaks),
        ),
        Outcome(
            "Runs diverge only with relu and leaky_relu, only without division by the size of the gradient (sgd, "
            "momentum), and only at the two highest learning rates: bounded activations bound the gradient.",
            f"{len(diverged)} runs diverged: {'; '.join(where) or 'none'}",
            all(
                row["activation"] in ("relu", "leaky_relu")
                and row["optimizer"] in ("sgd", "momentum")
                and row["learning_rate"] in highest
                for row in diverged
            ),
        ),
        Outcome(
            f"To a training loss of {LOSS}, each at its best learning rate, sigmoid takes more steps than relu, and the "
            "ratio is smaller with adam than with sgd.",
            f"{ratio_text(slow['sgd'])} with sgd, {ratio_text(slow['adam'])} with adam",
            slow["sgd"] > slow["adam"] > 1,
        ),
    ]


def page(results: sweeps.Results, found: list[Outcome]) -> str:
    """The experiment as Markdown; every number in it is computed from the results."""
    return "\n".join(
        [
            "# 01 Which activation, optimizer and learning rate train the digits classifier best?",
            "",
            question(results),
            "",
            "Command: `python experiments/01_digits.py`, which runs "
            f"`{results.facts.get('command', 'jaxopt-lite sweep')}` and writes this page.",
            "",
            "## Answer",
            "",
            answer(results),
            "",
            "![Validation accuracy by activation, optimizer and learning rate](01-digits-accuracy.png)",
            "",
            "![Training loss of the best setting of each combination](01-digits-curves.png)",
            "",
            *table(results),
            "",
            "## Predictions",
            "",
            "Written from theory, but after a first run had been seen: they test the explanations and are not blind.",
            "",
            "| prediction | found | |",
            "|---|---|---|",
            *(f"| {o.prediction} | {o.found} | {'held' if o.held else '**failed**'} |" for o in found),
            "",
            conditions(results),
            "",
        ]
    )


def question(results: sweeps.Results) -> str:
    columns, facts = results.columns, results.facts
    activations, optimizers = (list(dict.fromkeys(columns[name])) for name in ("activation", "optimizer"))
    rates, seeds = sorted(set(columns["learning_rate"])), len(facts["seeds"])
    return (
        f"The built-in task `{facts['task']}`, {facts['steps']} steps: {', '.join(activations)} × {', '.join(optimizers)} "
        f"× {len(rates)} learning rates from {rates[0]:.3g} to {rates[-1]:.3g} × {seeds} seeds = {len(results)} trainings."
    )


def answer(results: sweeps.Results) -> str:
    best, combinations = results.settings()[0], results.best("activation", "optimizer")
    columns, tied = best.columns, {setting.trials for setting in results.tied()}
    same = [s for s in results.settings() if all(s.columns[k] == columns[k] for k in ("activation", "optimizer"))]
    others = sum(s.trials in tied for s in combinations)
    rates = sum(s.trials in tied for s in same)
    return (
        f"**{columns['activation']}, {columns['optimizer']}, learning rate {columns['learning_rate']:.3g}**: validation "
        f"accuracy {best.scores[SCORE]:.4f} (mean and 95 % interval over {best.seeds} seeds).{tested(best)} At their best "
        f"learning rate, {others} of the other {len(combinations) - 1} combinations of activation and optimizer are not "
        f"distinguishable from it: the 95 % interval of the difference, paired by seed, includes 0. The same is true of "
        f"{rates} of the {len(same) - 1} other learning rates of this combination. Between learning rates the accuracy of "
        f"a combination varies by {spread_of_rates(results):.3f} (median over combinations), between combinations, each "
        f"at its best learning rate, by {spread([s.scores[SCORE].mean for s in combinations]):.3f}."
    )


def tested(best: sweeps.Setting) -> str:
    """The test accuracy of the selected setting in a sentence; nothing where the sweep has not computed it."""
    if "test_accuracy" not in best.scores:
        return ""
    return (
        f" The test accuracy of the selected setting is {best.scores['test_accuracy']:.4f}; it was selected without the "
        "test part."
    )


def spread_of_rates(results: sweeps.Results) -> float:
    """The median over combinations of the difference between the best and the worst finished learning rate."""
    means: dict[tuple[str, str], list[float]] = {}
    for s in results.settings():
        if s.done == s.seeds:
            means.setdefault((s.columns["activation"], s.columns["optimizer"]), []).append(s.scores[SCORE].mean)
    return statistics.median(spread(values) for values in means.values())


def spread(values: Sequence[float]) -> float:
    return max(values) - min(values)


def table(results: sweeps.Results) -> list[str]:
    lines = [
        f"| activation | optimizer | best learning rate | validation accuracy | training loss | steps to loss {LOSS} |",
        "|---|---|---|---|---|---|",
    ]
    for s in results.best("activation", "optimizer"):
        c, steps = s.columns, steps_to(results, s)
        lines.append(
            f"| {c['activation']} | {c['optimizer']} | {c['learning_rate']:.3g} | {s.scores[SCORE]:.4f} | "
            f"{s.scores['train_loss'].mean:.4f} | {f'{steps:.0f}' if math.isfinite(steps) else 'not reached'} |"
        )
    return lines


def conditions(results: sweeps.Results) -> str:
    facts = results.facts
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    return (
        f"{facts['device']}, {facts['workers']} cores, float32, {versions}. {facts['last']['programs']} programs for "
        f"{facts['structures']} structures. The best settings are selected by the validation accuracy, which makes "
        "it optimistic."
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sweep unless its store exists, write the page and its pictures, and print the predictions."""
    parser = argparse.ArgumentParser(
        description="Which activation, optimizer and learning rate train the digits classifier best?",
        epilog="Other options are those of jaxopt-lite sweep.",
    )
    parser.add_argument("--store", type=Path, default=HERE.parent / "runs" / "01-digits", help="folder of the sweep")
    parser.add_argument("--out", type=Path, default=HERE, help="folder for the page and its pictures")
    options, sweep = parser.parse_known_args(arguments)
    if not (options.store / "ledger.sqlite").exists():
        status = jaxopt_lite(["sweep", "--store", str(options.store), *sweep])
        if status:
            return status
    results = sweeps.Results.load(options.store)
    found = outcomes(results)
    (_, accuracies), *_ = report.heatmaps(results)
    accuracies.savefig(options.out / "01-digits-accuracy.png", dpi=150)
    report.curves(results).savefig(options.out / "01-digits-curves.png", dpi=150)
    (options.out / "01-digits.md").write_text(page(results, found), encoding="utf-8")
    for outcome in found:
        print(f"{'held  ' if outcome.held else 'failed'}  {outcome.prediction}\n        {outcome.found}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
