"""Run the experiments on the claims of the textbook, and write the table of all claims.

    python experiments/run_all.py                          # those whose page is older than their script
    python experiments/run_all.py --only 7                 # one of them
    python experiments/run_all.py --seed 1000 --out FOLDER # all of them with other seeds; says which verdicts differ

A run that was interrupted goes on where it stopped: an experiment whose page was written with the present script and
seed is not run again, unless `--again` is given.
"""

import argparse
import importlib.util
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
TEXTBOOK = HERE / "textbook"
sys.path.insert(0, str(TEXTBOOK))

import experiment as textbook  # noqa: E402


def scripts() -> dict[int, Path]:
    """The scripts by the number of their claim."""
    return {int(path.name[:2]): path for path in sorted(TEXTBOOK.glob("[0-9][0-9]_*.py"))}


def load(path: Path) -> textbook.Experiment:
    """The experiment that a script defines."""
    name = f"textbook_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module.EXPERIMENT


def facts(folder: Path, experiment: textbook.Experiment) -> dict[str, Any] | None:
    """What the last run of an experiment wrote into a folder, or None."""
    path = (folder / experiment.page).with_suffix(".json")
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def up_to_date(folder: Path, experiment: textbook.Experiment, seed: int, small: bool) -> bool:
    """Whether the page in a folder comes from the present script, this seed and this size."""
    last, present = facts(folder, experiment), (textbook.fingerprint(experiment), seed, small)
    return last is not None and (last["script"], last["seed"], last.get("small", False)) == present


def table(folder: Path, experiments: Sequence[textbook.Experiment]) -> Iterator[str]:
    """The table of all claims that have a result, as lines of Markdown."""
    yield "| | claim | verdict | effect | predictions right |"
    yield "|---|---|---|---|---|"
    for one in experiments:
        if last := facts(folder, one):
            right = f"{last['predictions_right']} of {last['predictions']}"
            verdict = last["sentence"].partition(":")[0].rstrip(".")
            cells = [f"[{one.number:02d}]({one.page})", one.claim, f"**{verdict}**", last["effect"], right]
            yield "| " + " | ".join(cells) + " |"


def index(folder: Path, experiments: Sequence[textbook.Experiment]) -> str:
    """The page that lists all claims."""
    done = [last for one in experiments if (last := facts(folder, one))]
    counts = {v: sum(last["verdict"] == v for last in done) for v in ("does not hold", "holds if", "holds")}
    return "\n".join(
        [
            "# The textbook, measured",
            "",
            f"{len(done)} claims about activations and optimizers that textbooks repeat, each tested with a prediction that was "
            f"derived from theory and committed before the result. {counts['does not hold']} do not hold as stated, "
            f"{counts['holds if']} hold under a condition, {counts['holds']} hold.",
            "",
            *table(folder, experiments),
            "",
            "Command: `python experiments/run_all.py --again`; with other seeds: "
            "`python experiments/run_all.py --seed 1000 --out FOLDER`.",
            "",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the experiments.

    Args:
        arguments: the words after the script's name; default those of this process.

    Returns:
        0, or 1 if an experiment fails or its verdict differs from the committed one.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=int, nargs="+", metavar="NUMBER", help="numbers of the claims (default: all)")
    parser.add_argument("--out", type=Path, default=TEXTBOOK, metavar="FOLDER", help="where the pages go")
    parser.add_argument("--seed", type=int, default=0, help="all random numbers are drawn from it (default 0)")
    parser.add_argument("--again", action="store_true", help="run also what is up to date")
    parser.add_argument("--small", action="store_true", help="tiny sizes, to try the scripts; needs --out")
    options = parser.parse_args(arguments)
    known = scripts()
    unknown = [number for number in options.only or () if number not in known]
    if unknown:
        parser.error(f"--only {unknown[0]}: no such experiment; there are {', '.join(map(str, known))}")
    if options.small and options.out == TEXTBOOK:
        parser.error("--small needs --out FOLDER: its figures mean nothing and must not replace the committed ones")
    options.out.mkdir(parents=True, exist_ok=True)
    chosen = [load(path) for number, path in known.items() if number in (options.only or known)]
    failed = 0
    for one in chosen:
        if not options.again and up_to_date(options.out, one, options.seed, options.small):
            print(f"{one.number:02d} {one.title}: up to date", flush=True)
            continue
        print(f"{one.number:02d} {one.title} ...", flush=True)
        committed, begin = facts(TEXTBOOK, one), time.perf_counter()
        try:
            result = textbook.write(one, options.seed, options.out, options.small)
        except Exception as error:  # the other experiments still run
            print(f"   failed: {type(error).__name__}: {error}", flush=True)
            failed += 1
            continue
        print(f"   {time.perf_counter() - begin:.0f} s: {result.sentence} Effect: {result.effect}.", flush=True)
        elsewhere = options.out != TEXTBOOK and not options.small
        if committed and elsewhere and committed["verdict"] != result.verdict:
            print(f"   the committed verdict is {committed['verdict']!r}", flush=True)
            failed += 1
    if options.out == TEXTBOOK:
        everything = [load(path) for path in known.values()]
        (TEXTBOOK / "README.md").write_text(index(TEXTBOOK, everything), encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
