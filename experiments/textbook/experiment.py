"""What an experiment on a claim of the textbook is, and its page.

Each script in this folder makes one `Experiment`, named `EXPERIMENT`, and calls `main(EXPERIMENT)`. `run_all.py` runs
them all.
"""

import argparse
import hashlib
import inspect
import json
import math
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

HERE = Path(__file__).parent
Verdict = Literal["holds", "holds if", "does not hold"]


class Prediction(NamedTuple):
    """What theory says the experiment will find.

    Attributes:
        text: the prediction, with the bounds within which it counts as right.
        derivation: why it should be so: the formula and how it follows.
        number: whether a number is predicted, derived from theory, rather than a direction only.
    """

    text: str
    derivation: str
    number: bool


class Outcome(NamedTuple):
    """What was found for a prediction, in words with its numbers, and whether the prediction was right."""

    found: str
    right: bool


class Interval(NamedTuple):
    """A measured number with its 95 % interval; both ends equal `value` where nothing is random."""

    value: float
    low: float
    high: float


class Table(NamedTuple):
    """A table of the page: what it shows, its header and its cells."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


class Result(NamedTuple):
    """What an experiment found.

    Attributes:
        outcomes: one for each prediction, in their order.
        verdict: what the figures say about the claim, by the rule that the script states.
        sentence: the verdict as a sentence; it begins with the words of `verdict` and names the condition.
        effect: the effect in one number, with its unit and interval.
        numbers: the figures that a rerun is compared with, by name.
        tables: tables of the page.
        figure: a matplotlib figure, with labelled axes and units.
        caption: what the figure shows.
    """

    outcomes: Sequence[Outcome]
    verdict: Verdict
    sentence: str
    effect: str
    numbers: Mapping[str, Interval]
    tables: Sequence[Table]
    figure: Any
    caption: str


class Experiment(NamedTuple):
    """One claim, tested.

    Attributes:
        number: number of the claim, 1 to 25.
        title: title of the page.
        claim: the claim as textbooks put it.
        predictions: what theory says; committed before the result.
        protocol: data, networks, settings, seeds, and how settings are selected.
        rule: when the claim holds, holds under a condition, or does not hold.
        measure: makes the measurements with all random numbers drawn from the seed given; `small` tries the script
            with tiny sizes, whose figures mean nothing.
        script: the file that defines the experiment, `__file__` there.
    """

    number: int
    title: str
    claim: str
    predictions: Sequence[Prediction]
    protocol: str
    rule: str
    measure: Callable[[int, bool], Result]
    script: str

    @property
    def page(self) -> str:
        """File name of the page."""
        return Path(self.script).stem.replace("_", "-") + ".md"


def interval(samples: Sequence[float] | np.ndarray) -> Interval:
    """Mean of independent samples and its 95 % interval by Student's t distribution."""
    from scipy.stats import t

    values = np.asarray(samples, dtype=float)
    mean = float(values.mean())
    half = float(t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else 0
    return Interval(mean, mean - half, mean + half)


def exact(value: float) -> Interval:
    """A number in which nothing is random."""
    return Interval(float(value), float(value), float(value))


def shown(number: Interval, digits: int = 3) -> str:
    """A number and its interval as text, such as '0.52 (0.48 to 0.56)'."""
    value, low, high = (f"{part:.{digits}g}" for part in number)
    return value if number.low == number.high else f"{value} ({low} to {high})"


def fingerprint(experiment: Experiment) -> str:
    """Identifies the text of the experiment's script and of the modules in this folder that it imports, but for this."""
    digest, waiting, seen = hashlib.sha256(), [Path(experiment.script).name], {Path(__file__).name}
    while waiting:
        name = waiting.pop(0)
        if name not in seen and (HERE / name).exists():
            text = (HERE / name).read_text(encoding="utf-8")
            digest.update(text.encode())
            waiting += [f"{module}.py" for module in re.findall(r"^(?:from|import) (\w+)", text, re.MULTILINE)]
        seen.add(name)
    return digest.hexdigest()[:12]


def write(experiment: Experiment, seed: int, out: Path, small: bool = False) -> Result:
    """Run an experiment and write its page, picture and numbers.

    Args:
        experiment: the experiment.
        seed: all random numbers are drawn from it.
        out: folder for the page (`07-zero-centred.md`), the picture (`.png`) and the numbers (`.json`).
        small: use tiny sizes.

    Returns:
        What was found.
    """
    begin = time.perf_counter()
    result = experiment.measure(seed, small)
    seconds = time.perf_counter() - begin
    if len(result.outcomes) != len(experiment.predictions):
        raise ValueError(f"{experiment.title}: one outcome for each of the {len(experiment.predictions)} predictions")
    if not result.sentence.lower().startswith(result.verdict):
        raise ValueError(f"{experiment.title}: the sentence must begin with {result.verdict!r}")
    name = Path(experiment.page).stem
    result.figure.savefig(out / f"{name}.png", dpi=130)
    facts = {
        "number": experiment.number,
        "title": experiment.title,
        "verdict": result.verdict,
        "sentence": result.sentence,
        "effect": result.effect,
        "predictions_right": int(sum(outcome.right for outcome in result.outcomes)),
        "predictions": len(result.outcomes),
        "seed": seed,
        "small": small,
        "seconds": round(seconds, 1),
        "script": fingerprint(experiment),
        "numbers": {key: [float(part) for part in number] for key, number in result.numbers.items()},
    }
    (out / experiment.page).write_text(_page(experiment, result, seed, seconds), encoding="utf-8")
    (out / f"{name}.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return result


def _page(experiment: Experiment, result: Result, seed: int, seconds: float) -> str:
    def row(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
        return [row(header), "|" + "---|" * len(header), *map(row, rows), ""]

    pairs = list(zip(experiment.predictions, result.outcomes, strict=True))
    name = Path(experiment.page).stem
    lines = [
        f"# {experiment.number:02d}: {experiment.title}",
        "",
        f"> {experiment.claim}",
        "",
        f"**{result.sentence}** Effect: {result.effect}.",
        "",
        f"![{result.caption}]({name}.png)",
        "",
        result.caption,
        "",
        "## Prediction and result",
        "",
        "The predictions were committed before the result.",
        "",
        *table(
            ["prediction", "found", "right"],
            [[p.text, o.found, "yes" if o.right else "**no**"] for p, o in pairs],
        ),
        "## Why theory predicts it",
        "",
        *[line for i, (p, _) in enumerate(pairs, 1) for line in (f"{i}. {p.derivation}",)],
        "",
        "## Protocol",
        "",
        experiment.protocol,
        "",
        f"Rule for the verdict: {experiment.rule}",
        "",
        "## Result",
        "",
    ]
    for part in result.tables:
        lines += [part.caption, "", *table(part.header, part.rows)]
    lines += [
        "## Numbers",
        "",
        "Values with 95 % intervals where one was computed; means, unless the protocol says otherwise.",
        "",
        *table(["number", "value"], [[key, shown(number, 4)] for key, number in result.numbers.items()]),
        f"{jax.devices()[0].platform}, {os.cpu_count()} cores, {', '.join(f'{x} {version(x)}' for x in ('jax', 'flax', 'optax'))}; seed {seed}; "
        f"{seconds:.0f} s. Command: `python experiments/run_all.py --only {experiment.number}`.",
        "",
    ]
    return "\n".join(lines)


def main(experiment: Experiment, arguments: Sequence[str] | None = None) -> int:
    """Run one experiment from the command line.

    Args:
        experiment: the experiment.
        arguments: the words after the script's name; default those of this process.

    Returns:
        The exit status, 0.
    """
    parser = argparse.ArgumentParser(description=inspect.getmodule(experiment.measure).__doc__)
    parser.add_argument("--out", type=Path, default=HERE, metavar="FOLDER", help="where page, picture and numbers go")
    parser.add_argument("--seed", type=int, default=0, help="all random numbers are drawn from it (default 0)")
    parser.add_argument("--small", action="store_true", help="tiny sizes, to try the script; the figures mean nothing")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    result = write(experiment, options.seed, options.out, options.small)
    print(f"{experiment.number:02d} {result.sentence} Effect: {result.effect}.")
    return 0
