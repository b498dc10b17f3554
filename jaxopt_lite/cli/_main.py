"""The argument parser. Nothing here imports JAX, so that `--help`, `list` and messages about names appear at once."""

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any, NoReturn

from jaxopt_lite._names import nearest, unknown
from jaxopt_lite.cli._usage import Usage

SWEEP_EPILOG = """examples:
  jaxopt-lite sweep                                      the digits study: 480 trainings, a table, a page
  jaxopt-lite sweep spirals --activation relu,tanh --learning-rate 1e-3:1:6 --seeds 5
  jaxopt-lite sweep mine.py:task --optimizer adam,mine.py:fast --learning-rate 1e-4:1e-1 --trials 100
  jaxopt-lite sweep --stop halving --confirm 1:5         stop bad settings early, run the best with 5 more seeds
  jaxopt-lite sweep --store runs/digits --resume         continue after an interruption
  jaxopt-lite sweep --store runs/digits --extend --seeds 5    add seeds (or --trials, --steps) to a sweep
"""


class _Parser(argparse.ArgumentParser):
    """A parser that takes no abbreviated flags and reports an error in one line, with the nearest valid name."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        raise SystemExit(_complain(f"{message} (see {self.prog} --help)"))

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            raise argparse.ArgumentError(None, unknown("command", value, action.choices))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: the words after the command's name; default those of this process.

    Returns:
        The exit status: 0, 2 for wrong input or data that cannot be read, 130 after an interrupt.

    Raises:
        SystemExit: after `--help` and `--version`, and for words that the parser refuses.
        Exception: any error inside the package, with its traceback.

    Example:
        >>> main(["list", "tasks"])  # doctest: +ELLIPSIS
        digits ...
        0
    """
    options, rest = _parser().parse_known_args(arguments)
    try:
        if rest:
            raise Usage(_unrecognised(rest, options.flags))
        return options.run(options)
    except BrokenPipeError:
        return 0
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except Usage as error:
        return _complain(str(error))
    except OSError as error:
        if error.filename is None:  # not about a file that the user named
            raise
        return _complain(f"{error.filename}: {error.strerror}")


def _unrecognised(words: list[str], flags: list[str]) -> str:
    similar = nearest(words[0].split("=")[0], flags) if words[0].startswith("-") else None
    return f"unrecognized argument {words[0]!r}" + (f": did you mean {similar!r}?" if similar else "")


def _complain(message: str) -> int:
    print(f"jaxopt-lite: {' '.join(message.split())}", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="jaxopt-lite", description="Compare activations and optimizers by training with them.")
    parser.add_argument("--version", action="version", version=f"jaxopt-lite {version('jaxopt-lite')}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_sweep(commands)
    _add_diagnose(commands)
    _add_reading(commands)
    _add_bench(commands)
    return parser


def _add_sweep(commands: argparse._SubParsersAction) -> None:
    sweep = commands.add_parser(
        "sweep",
        help="train every combination, show which is best",
        description="Train activation × optimizer × learning rate × seeds as a few compiled programs and rank them.",
        epilog=SWEEP_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = sweep.add_argument
    add("task", nargs="?", metavar="TASK", help="a built-in task (see list tasks) or file.py:name; default digits")
    names = "comma-separated names or file.py:name; default"
    add("--activation", metavar="NAMES", help=f"{names} sigmoid,tanh,relu,leaky_relu")
    add("--optimizer", metavar="NAMES", help=f"{names} sgd,momentum,adagrad,rmsprop,adam")
    add(
        "--learning-rate",
        metavar="RATES",
        help="low:high:count (logarithmic), a comma-separated list, or low:high with --trials; default 1e-4:1:8",
    )
    add("--trials", type=int, metavar="N", help="number of settings to try; default all combinations")
    searches = (
        "grid, random, quasi-random (spreads the settings more evenly), tpe (learns from them; needs Optuna), or "
        "population (settings change during training), with settings as in population:every=50"
    )
    add("--search", metavar="NAME", help=f"{searches}; default random with --trials, grid without")
    rules = "halving, hyperband or median, with settings as in halving:eta=4,first=1/27,race=false"
    add("--stop", metavar="RULE", help=f"stop bad settings early: {rules}; default none")
    add("--confirm", metavar="K:N", help="run the best K settings with N further seeds at the end; default none")
    add("--keep", metavar="N", help="keep the trained models of the best N settings, or all; default 1")
    add("--seeds", type=int, metavar="N", help="trainings per setting, each with its own random seed; default 3")
    add("--steps", type=int, metavar="N", help="parameter updates per training; default 500")
    add("--batch-size", metavar="N", help="examples per step: a number or full; default that of the task")
    diagnosed = "record the layers at a few steps, and say why each setting lost and what to change"
    add("--diagnose", action="store_const", const=True, help=diagnosed)
    add(
        "--store",
        metavar="DIR",
        help="folder for results and page; default a new one in runs/",
    )
    add("--resume", action="store_true", help="continue the sweep in --store")
    add("--extend", action="store_true", help="add trials, seeds or steps to the sweep in --store")
    add("--workers", type=int, metavar="N", help="train in N processes of this machine (with --ray: N of its workers)")
    add("--ray", metavar="ADDRESS", help="train on a Ray cluster: auto, local or host:port; needs Ray")
    add("--dry-run", action="store_true", help="print the plan with an estimate of its time; run nothing")
    add(
        "--json",
        action="store_true",
        help="print one JSON object on standard output, everything else on standard error",
    )
    _set_run(sweep, _sweep)


def _add_diagnose(commands: argparse._SubParsersAction) -> None:
    diagnose = commands.add_parser(
        "diagnose",
        help="say which layer of a model suffers from what, and what to change",
        description="Run a Flax model forward and backward on one batch; say which layer suffers from what, and what "
        "to change: vanishing and exploding gradients, dead and saturated units, inputs that become alike.",
    )
    add = diagnose.add_argument
    models = "a Flax module, a function of (trial, rngs) or of rngs that returns one, or a task"
    add("model", metavar="FILE:NAME", help=models)
    add(
        "--data",
        metavar="FILE:NAME",
        help="inputs, or a pair of inputs and labels; default the object data in the file",
    )
    add("--input", metavar="SHAPE", help="random inputs of this shape, as 64,28,28,1")
    add("--vocabulary", type=int, metavar="N", help="with --input: integers below N")
    add(
        "--loss",
        metavar="NAME",
        help="cross_entropy, binary_cross_entropy or mse; default mse if the labels are floats",
    )
    add("--activation", metavar="NAME", default="relu", help="the activation of the trial; default relu")
    add("--optimizer", metavar="NAME", help="also judge how much its first step changes the weights")
    add("--learning-rate", type=float, metavar="RATE", help="of --optimizer; default 0.001")
    add("--plot", metavar="FILE", help="also draw a picture in this file (.png, .svg, .pdf)")
    add("--json", action="store_true", help="print one JSON object")
    _set_run(diagnose, _diagnose)


def _add_reading(commands: argparse._SubParsersAction) -> None:
    listing = "list activations, optimizers, wrappers, schedules, tasks, or the contents of a file"
    names = commands.add_parser("list", help=listing, description=f"{listing.capitalize()}.")
    kinds = "activations, optimizers, wrappers, schedules, tasks, or file.py; default: how many there are of each"
    names.add_argument("what", nargs="?", metavar="WHAT", help=kinds)
    _set_run(names, _list)

    explain = commands.add_parser(
        "explain",
        help="describe an activation, optimizer, wrapper or schedule",
        description="Describe an activation, optimizer, wrapper or schedule: formula, use, weakness, settings.",
    )
    explain.add_argument("name", nargs="?", metavar="NAME", help="a name (see list) or file.py:name")
    explain.add_argument("--all", action="store_true", help="write a page with all activations; needs --out FOLDER")
    explain.add_argument("--out", metavar="PATH", help="also draw a picture in this file (.png, .svg, .pdf)")
    _set_run(explain, _explain)

    report = commands.add_parser("report", help="show the results in a store", description="Show a sweep's results.")
    report.add_argument("store", metavar="STORE", help="the folder of a sweep, finished or not")
    report.add_argument("--out", metavar="FILE", help="where the page goes; default STORE/report.html")
    report.add_argument("--csv", metavar="FILE", help="also write the table as CSV, one row per training")
    _set_run(report, _report)

    export = commands.add_parser(
        "export",
        help="write the best trained model of a store as an Orbax checkpoint",
        description="Write the best trained model of a store as an Orbax checkpoint.",
    )
    export.add_argument("store", metavar="STORE", help="the folder of a sweep")
    export.add_argument("folder", metavar="DIR", help="a folder that does not exist yet")
    export.add_argument("--seed", type=int, metavar="N", help="the run's seed; default the first")
    _set_run(export, _run_export)


def _add_bench(commands: argparse._SubParsersAction) -> None:
    description = "Measure against the alternatives, all in one run on this machine."
    bench = commands.add_parser("bench", help="measure against the alternatives", description=description)
    kinds = bench.add_subparsers(title="benchmarks", required=True, metavar="WHAT")
    subjects = {
        "sweep": "the default sweep against hand-written loops in JAX, Flax and PyTorch",
        "convolutions": "sweeps of CNNs, a GRU and a transformer against loops with a jitted step",
        "activations": "accuracy, memory and speed of activations against jax.nn and torch",
        "optimizers": "steps and states of optimizers against optax and torch",
        "device": "sweeps, activations and optimizers on the accelerator of this machine",
    }
    for kind, subject in subjects.items():
        one = kinds.add_parser(kind, help=subject, description=f"Measure {subject}.")
        one.add_argument("--json", action="store_true", help="print the figures as one JSON object")
        one.add_argument("--out", metavar="FILE", help="also write the figures as a Markdown page")
        if kind in ("activations", "optimizers", "device"):
            what = "activations" if kind == "activations" else "sections of the page"
            one.add_argument("--only", metavar="NAMES", help=f"comma-separated names of {what}")
        small = "tiny sizes, to try the command; the figures mean nothing"
        one.add_argument("--small", action="store_true", help=small)
        if kind == "activations":
            every = "all 2³² float32 inputs: about 1 minute per activation and derivative order"
            one.add_argument("--exhaustive", action="store_true", help=every)
            one.add_argument("--stride", metavar="N", type=int, help="take every N-th float32 input; default 2053")
        one.set_defaults(kind=kind)
        _set_run(one, _bench)


def _set_run(parser: argparse.ArgumentParser, run: Callable[[argparse.Namespace], int]) -> None:
    flags = [flag for action in parser._actions for flag in action.option_strings]
    parser.set_defaults(run=run, flags=flags)


def _sweep(options: argparse.Namespace) -> int:
    from jaxopt_lite.cli import _sweep

    return _sweep.sweep(options)


def _diagnose(options: argparse.Namespace) -> int:
    from jaxopt_lite.cli import _diagnose

    return _diagnose.diagnose(options)


def _list(options: argparse.Namespace) -> int:
    from jaxopt_lite.cli import _list

    return _list.show(options.what)


def _explain(options: argparse.Namespace) -> int:
    from jaxopt_lite.cli import _explain

    return _explain.explain(options)


def _report(options: argparse.Namespace) -> int:
    from jaxopt_lite.cli import _report

    return _report.report(options)


def _run_export(options: argparse.Namespace) -> int:
    from jaxopt_lite.cli import _export

    return _export.export(options)


def _bench(options: argparse.Namespace) -> int:
    from jaxopt_lite.cli import _bench

    return _bench.bench(options)
