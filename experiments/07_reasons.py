"""07: does a diagnosed sweep say why its losers lost, and what does the diagnosis cost?

The predictions, the command and the result are in `experiments/07-reasons.md`, which this script writes:

    python experiments/07_reasons.py
"""

import functools
import itertools
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import pages
from flax import nnx

from jaxopt_lite import activations as act
from jaxopt_lite import optimizers as opt
from jaxopt_lite import sweeps, training
from jaxopt_lite.cli import _settings, _tasks
from jaxopt_lite.sweeps.programs._compiler import Compiler

SEEDS, STEPS = 2, 300
LIST = getattr(nnx, "List", list)  # Flax 0.11 takes plain lists


class Network(NamedTuple):
    """A perceptron of equal layers of 64 units on the digits.

    Attributes:
        activation: after each layer but the last.
        depth: number of hidden layers.
        variance: of the initial weights, times fan_in.
        bias: initial biases of the hidden layers.
    """

    activation: Callable[[jax.Array], jax.Array]
    depth: int = 3
    variance: float = 2.0
    bias: float = 0.0

    def __str__(self) -> str:
        biases = f", biases {self.bias:g}" if self.bias else ""
        return f"{self.activation.__name__}, depth {self.depth}, variance {self.variance:g}/fan_in{biases}"


class Perceptron(nnx.Module):
    def __init__(self, net: Network, rngs: nnx.Rngs) -> None:
        kernel_init = jax.nn.initializers.variance_scaling(net.variance, "fan_in", "normal")
        sizes = [64] * (net.depth + 1)
        make = functools.partial(nnx.Linear, kernel_init=kernel_init, rngs=rngs)
        biases = jax.nn.initializers.constant(net.bias)
        self.hidden = LIST([make(n, m, bias_init=biases) for n, m in itertools.pairwise(sizes)])
        self.out, self.activation = make(64, 10), net.activation

    def __call__(self, x: jax.Array) -> jax.Array:
        for layer in self.hidden:
            x = self.activation(layer(x))
        return self.out(x)


class Trial(NamedTuple):
    """Sweeps whose losers have a known reason.

    Attributes:
        what: what is swept.
        nets: the networks, and the causes that are right for the best setting of each; "" for the winner.
        optimizer: a function of the distribution of rates.
        rates: the rates, and for the first network the causes that are right for each; "" for the best.
        given: further arguments of `sweeps.run`.
    """

    what: str
    nets: dict[Network, str]
    optimizer: Callable[[Any], Any]
    rates: dict[float, str]
    given: dict[str, Any]


RELU = Network(act.relu)
MOMENTUM = functools.partial(opt.sgd, momentum=0.9)
TRIALS = [
    Trial(
        "networks with one trouble each",
        {
            RELU: "",
            Network(act.sigmoid, 8, 1.0): "vanishing",
            Network(act.relu, bias=-8.0): "dead",
            Network(act.tanh, variance=200.0): "saturated",
            Network(act.elu, 14, 8.0): "exploding",
        },
        opt.sgd,
        {0.05: ""},
        {},
    ),
    Trial("rates for relu", {RELU: ""}, MOMENTUM, {1e-5: "rate", 0.02: "", 3.0: "dead"}, {}),
    Trial(
        "rates for leaky_relu", {Network(act.leaky_relu): ""}, MOMENTUM, {1e-5: "rate", 0.02: "", 3.0: "diverged"}, {}
    ),
    Trial(
        "rates for tanh, stopped early",
        {Network(act.tanh, variance=1.0): ""},
        opt.sgd,
        {1e-5: "stopped", 1e-4: "stopped", 1e-3: "stopped", 0.1: ""},
        {"stop": sweeps.halving(eta=4, first=1 / 4, race=False)},
    ),
]


class Found(NamedTuple):
    """A setting of known truth, and the reason that the sweep gives."""

    what: str
    setting: str
    truth: str
    cause: str
    text: str

    @property
    def right(self) -> bool:
        """Whether the cause is the truth."""
        return self.cause == self.truth


def task_of() -> training.Task:
    """The digits, standardised by the mean and deviation of the training part."""
    parts = training.builtin("digits").data
    mean, deviation = (float(f(np.asarray(parts[0][0]))) for f in (np.mean, np.std))
    data = tuple(((x - mean) / deviation, y) for x, y in parts)
    return training.supervised(lambda trial, rngs: Perceptron(trial["network"], rngs), data, diagnose=True)


def found(trial: Trial) -> list[Found]:
    """Run the sweep of a trial and look up its reasons."""
    space = {
        "network": sweeps.choice({str(net): net for net in trial.nets}),
        "optimizer": trial.optimizer(sweeps.values(list(trial.rates))),
    }
    results = sweeps.run(task_of(), space, seeds=SEEDS, steps=STEPS, progress=False, **trial.given)
    reasons = {reason.setting.trials: reason for reason in results.reasons()}
    out = []
    for setting in results.settings():
        name, rate = setting.columns["network"], setting.columns["learning_rate"]
        truth = dict(zip(map(str, trial.nets), trial.nets.values(), strict=True))[name] or trial.rates[rate]
        reason = reasons.get(setting.trials)
        label = f"{name}, rate {rate:g}"
        out.append(Found(trial.what, label, truth, reason.cause if reason else "", reason.text if reason else ""))
    return out


class Seconds(NamedTuple):
    """CPU seconds of a sweep: for tracing and compiling its programs, and for everything else."""

    programs: float
    training: float


def seconds(diagnose: bool, settings: dict[str, Any]) -> Seconds:
    """CPU seconds of the sweep that the command `jaxopt-lite sweep` runs with these settings."""
    spent = [0.0]
    prepare = Compiler.prepare

    def timed(*args: Any) -> None:
        begin = time.process_time()
        prepare(*args)
        spent[0] += time.process_time() - begin

    task = training.builtin("digits", diagnose=diagnose)
    planned = sweeps.plan(task, _tasks.space(task, settings, {}), seeds=settings["seeds"], steps=settings["steps"])
    Compiler.prepare = timed  # type: ignore[method-assign]
    try:
        begin = time.process_time()
        sweeps.execute(planned, progress=False)
        return Seconds(spent[0], time.process_time() - begin - spent[0])
    finally:
        Compiler.prepare = prepare  # type: ignore[method-assign]


def costs(settings: dict[str, Any], repeats: int) -> dict[bool, list[Seconds]]:
    """CPU seconds with and without, in turns; a first one of each, with one rate, compiles the programs.

    Many short sweeps, of which each goes first in turn: the pace of a machine that others use too changes by more than
    the cost, but little between two that follow each other.
    """
    out: dict[bool, list[Seconds]] = {False: [], True: []}
    for repeat in range(repeats + 1):
        for diagnose in (False, True) if repeat % 2 else (True, False):
            small = {} if repeat else {"learning_rate": "0.01"}
            out[diagnose].append(seconds(diagnose, settings | small))
            print(f"repeat {repeat}, diagnose={diagnose}: {out[diagnose][-1]}", file=sys.stderr, flush=True)
    return out


def ratios(spent: dict[bool, list[Seconds]]) -> list[float]:
    """Training time with the diagnosis relative to that without, for each repeat but the first."""
    return [on.training / off.training for off, on in zip(spent[False][1:], spent[True][1:], strict=True)]


def page(rows: Sequence[Found], spent: dict[bool, list[Seconds]], settings: dict[str, Any]) -> str:
    """The page of the experiment.

    Args:
        rows: the settings of known truth.
        spent: the CPU seconds of `costs`.
        settings: of the command `jaxopt-lite sweep`, those with which the sweeps were timed.
    """
    winners, losers = [row for row in rows if not row.truth], [row for row in rows if row.truth]
    right = sum(row.right for row in losers)
    alarms = sum(bool(row.cause) for row in winners)
    ratio = statistics.median(ratios(spent))
    predictions = [
        (
            f"At least 90 % of the {len(losers)} losers get the right reason.",
            f"{right} of {len(losers)}",
            right >= 0.9 * len(losers),
        ),
        (f"None of the {len(winners)} winners gets a reason.", f"{alarms} of {len(winners)}", not alarms),
        ("The training part of a sweep takes at most 5 % more CPU time.", f"{ratio - 1:+.1%}", ratio <= 1.05),
    ]
    lines = [
        "# 07: Why the losers of a sweep lost",
        "",
        "Does a diagnosed sweep say why its losers lost, and what does the diagnosis cost?",
        "",
        *pages.table(predictions),
        "## Reasons",
        "",
        f"Perceptrons of 64 units a layer on standardised digits, {STEPS} steps, {SEEDS} seeds, each with one trouble that "
        "is built in, or with a rate that is known to be wrong.",
        "",
        "| sweep | setting | truth | cause | reason |",
        "|---|---|---|---|---|",
        *(f"| {r.what} | {r.setting} | {r.truth or 'the winner'} | {r.cause or '–'} | {r.text} |" for r in rows),
        "",
        "## Cost",
        "",
        *_costs(spent, ratio, settings),
        "",
    ]
    return "\n".join(lines)


def _costs(spent: dict[bool, list[Seconds]], ratio: float, settings: dict[str, Any]) -> list[str]:
    changed = {name: value for name, value in settings.items() if value != _settings.DEFAULTS[name]}
    flags = " ".join(["jaxopt-lite sweep", *(f"{_settings.flag_of(name)} {value}" for name, value in changed.items())])
    low, high = np.quantile(ratios(spent), (0.25, 0.75))
    rows = []
    for label, part in (("training", "training"), ("programs, compiled before", "programs")):
        off, on = ([getattr(one, part) for one in spent[diagnose][1:]] for diagnose in (False, True))
        more = statistics.median(y / x for x, y in zip(off, on, strict=True)) - 1
        rows.append(f"| {label} | {statistics.median(off):.2f} | {statistics.median(on):.2f} | {more:+.1%} |")
    return [
        f"CPU seconds of `{flags}` on the digits with and without `diagnose=True`, in turns, median of "
        f"{len(spent[True]) - 1} after a small one that compiles. The ratio of the training part has the median "
        f"{ratio:.3f} and the quartiles {low:.3f} and {high:.3f}. Programs that are compiled are kept on disk by "
        "`jaxopt-lite sweep`, so a second sweep does not compile them again, but traces them. The last "
        "column is the median of the ratios.",
        "",
        "| CPU seconds | without | with | more |",
        "|---|---|---|---|",
        *rows,
        "",
        pages.conditions(__file__, "jax", "flax"),
    ]


def main(words: Sequence[str] | None = None) -> int:
    """Run the experiment and write its page."""
    parser = pages.parser(__doc__)
    parser.add_argument("--repeats", type=int, default=15, help="timings of the sweep after the first; default 15")
    parser.add_argument("--only", help="numbers of the trials, as 1,2; default all")
    parser.add_argument(
        "--learning-rate", default="1e-4:1:8", help="rates of the sweep that is timed; default 1e-4:1:8"
    )
    default = _settings.DEFAULTS["activation"]
    parser.add_argument("--activation", default=default, help=f"activations of that sweep; default {default}")
    options = parser.parse_args(words)
    chosen = [int(n) for n in options.only.split(",")] if options.only else range(len(TRIALS))
    rows = [row for n in chosen for row in found(TRIALS[n])]
    for row in rows:
        print(row, file=sys.stderr, flush=True)
    changed = {"learning_rate": options.learning_rate, "activation": options.activation, "seeds": 1}
    settings = _settings.DEFAULTS | changed
    spent = costs(settings, options.repeats)
    (options.out / "07-reasons.md").write_text(page(rows, spent, settings), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
