"""The parser. Nothing here imports jax: `--help`, `list` and every complaint about names come at once."""

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import NoReturn

from jaxopt_lite.cli import _catalogues

SWEEP_EPILOG = """examples:
  jaxopt-lite sweep                                      the digits study: 480 trainings, a table, a page
  jaxopt-lite sweep spirals --activation relu,tanh --learning-rate 1e-3:1:6 --seeds 5
  jaxopt-lite sweep mine.py:task --optimizer adam --learning-rate 1e-4:1e-1 --trials 100
  jaxopt-lite sweep --store runs/digits --resume         go on after an interruption
"""


class Usage(ValueError):
    """Something given on the command line that cannot work."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, and status 2."""
        raise SystemExit(_complain(f"{message} (see {self.prog} --help)"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit status: 0, 2 for wrong input, 130 after an interrupt."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except BrokenPipeError:
        return 0
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except OSError as error:
        return _complain(f"{error.filename or 'a file'}: {error.strerror or error}")
    except (Usage, ValueError, TypeError, ModuleNotFoundError) as error:
        if not _is_for_the_user(error):
            raise
        return _complain(str(error))


def _is_for_the_user(error: Exception) -> bool:
    """Whether the error was raised to tell something about the input, by this package rather than inside a library."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    module = trace.tb_frame.f_globals.get("__name__", "") if trace is not None else ""
    return module.startswith("jaxopt_lite.") or isinstance(error, Usage)


def _complain(message: str) -> int:
    print(f"jaxopt-lite: {' '.join(message.split())}", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="jaxopt-lite", description="Which activation, which optimizer, which settings, and why.")
    parser.add_argument("--version", action="version", version=f"jaxopt-lite {version('jaxopt-lite')}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_sweep(commands)
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
    add("task", nargs="?", metavar="TASK", help="a built-in task (see list tasks) or file.py:object; default digits")
    add("--activation", metavar="NAMES", help="comma-separated; default sigmoid,tanh,relu,leaky_relu")
    add("--optimizer", metavar="NAMES", help="comma-separated; default sgd,momentum,adagrad,rmsprop,adam")
    add(
        "--learning-rate",
        metavar="RATES",
        help="low:high:count (logarithmic), a comma-separated list, or low:high with --trials; default 1e-4:1:8",
    )
    add("--trials", type=int, metavar="N", help="draw N points instead of trying the whole grid")
    add("--seeds", type=int, metavar="N", help="trainings of each setting; default 3")
    add("--steps", type=int, metavar="N", help="updates of each training; default 500")
    add("--batch-size", metavar="N", help="rows in a step: a number or full; default the task's own")
    add("--store", metavar="DIR", help="where the ledger and the page go; default runs/TASK, numbered if taken")
    add("--resume", action="store_true", help="go on with the sweep in --store")
    add("--dry-run", action="store_true", help="say what would be done, and do nothing")
    add("--json", action="store_true", help="one JSON object on standard output, all else on standard error")
    sweep.set_defaults(run=_sweep)


def _add_reading(commands: argparse._SubParsersAction) -> None:
    names = commands.add_parser("list", help="what there is, by name", description="What there is, by name.")
    names.add_argument("kind", choices=["activations", "optimizers", "tasks"])
    names.set_defaults(run=lambda options: _catalogues.show_list(options.kind))

    explain = commands.add_parser(
        "explain",
        help="the card and the picture of an activation or optimizer",
        description="Print the card of an activation or optimizer and draw its picture.",
    )
    explain.add_argument("name", nargs="?", metavar="NAME", help="an activation or an optimizer")
    explain.add_argument("--all", action="store_true", help="draw the gallery of all activations as one page")
    explain.add_argument("--out", metavar="PATH", help="the picture's file (.png, .svg, .pdf), or the gallery's folder")
    explain.set_defaults(run=_explain)

    report = commands.add_parser("report", help="table and page of a store", description="Table and page of a store.")
    report.add_argument("store", metavar="STORE", help="the folder of a sweep, finished or not")
    report.add_argument("--out", metavar="FILE", help="where the page goes; default STORE/report.html")
    report.add_argument("--csv", metavar="FILE", help="also write the table, one row a training")
    report.set_defaults(run=_report)


def _add_bench(commands: argparse._SubParsersAction) -> None:
    bench = commands.add_parser("bench", help="measure against the alternatives", description="Measure, in one run.")
    kinds = bench.add_subparsers(title="benchmarks", required=True, metavar="WHAT")
    told = {
        "sweep": "the default sweep against hand-written loops in Flax and PyTorch",
        "activations": "accuracy, memory and speed against jax.nn and torch",
        "optimizers": "facts and times against optax and torch",
    }
    for kind, text in told.items():
        one = kinds.add_parser(kind, help=text, description=f"Measure {text}.")
        one.add_argument("--json", action="store_true", help="the figures as one JSON object on standard output")
        one.add_argument("--out", metavar="FILE", help="also write the figures as a Markdown page")
        if kind != "sweep":
            one.add_argument(
                "--only", metavar="NAMES", help="comma-separated: activations by name, or sections of the page"
            )
        if kind == "activations":
            one.add_argument(
                "--exhaustive", action="store_true", help="all 2³² float32 inputs: about 1 minute a row and order"
            )
            one.add_argument(
                "--stride",
                metavar="N",
                type=int,
                help="take every N-th float32 input, by default every 257th",
            )
        one.set_defaults(run=_bench, kind=kind)


def _sweep(options: argparse.Namespace) -> int:
    from jaxopt_lite.cli import _sweep

    return _sweep.sweep(options)


def _explain(options: argparse.Namespace) -> int:
    from jaxopt_lite.cli import _explain

    return _explain.explain(options)


def _report(options: argparse.Namespace) -> int:
    from jaxopt_lite.cli import _report

    return _report.report(options)


def _bench(options: argparse.Namespace) -> int:
    from jaxopt_lite.cli import _bench

    return _bench.bench(options)
