"""The sweep command: from words to a task and a space, and from results to a table and a page."""

import argparse
import json
import math
import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

from jaxopt_lite.cli import _catalogues
from jaxopt_lite.cli._main import Usage

DEFAULTS: dict[str, Any] = {
    "task": "digits",
    "activation": "sigmoid,tanh,relu,leaky_relu",
    "optimizer": "sgd,momentum,adagrad,rmsprop,adam",
    "learning_rate": "1e-4:1:8",
    "trials": None,
    "seeds": 3,
    "steps": 500,
    "batch_size": None,
}


def sweep(options: argparse.Namespace) -> int:
    """Run, resume or describe a sweep; gives the exit status."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before jax is imported: its compiler's notes are not for users
    given = {name: getattr(options, name) for name in DEFAULTS if getattr(options, name) is not None}
    store = Path(options.store) if options.store else None
    settings = _resumed_settings(store, given) if options.resume else DEFAULTS | given
    _check(settings)
    if store is None and not options.dry_run:
        store = _free_store(settings["task"])

    _prepare_jax()
    from jaxopt_lite import sweeps
    from jaxopt_lite.cli import _tasks
    from jaxopt_lite.sweeps import _ledger

    if store is not None:
        _ledger.check(store, options.resume)
    task = _tasks.load(settings["task"], settings["batch_size"])
    space = _tasks.space(task, settings)
    planned = sweeps.plan(task, space, trials=settings["trials"], seeds=settings["seeds"], steps=settings["steps"])
    if options.dry_run:
        return _dry_run(planned, options.json)
    assert store is not None
    return _run(planned, store, settings, options)


def _run(planned: Any, store: Path, settings: dict[str, Any], options: argparse.Namespace) -> int:
    from jaxopt_lite import sweeps
    from jaxopt_lite.cli import _progress

    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with _progress.shown(planned.task.objective) as tell:
            results = sweeps.execute(
                planned, store=store, resume=options.resume, progress=tell, note={"arguments": settings}
            )
    except KeyboardInterrupt:
        again = f"jaxopt-lite sweep --store {store} --resume"
        kept = (store / "ledger.sqlite").exists()
        print(
            f"interrupted; what is done is kept, go on with: {again}" if kept else "interrupted, nothing was run yet",
            file=sys.stderr,
        )
        return 130
    page = _written_page(results, store)
    if options.json:
        print(json.dumps(_summary(results, store, page)))
    else:
        _show(results)
        last = results.facts["last"]
        print(
            f"{last['programs']} programs ready in {last['compile_seconds']:.1f} s, {last['trials']} trainings in "
            f"{last['run_seconds']:.1f} s ({_pace(last) or 0:.0f} trials/s)\nstore  {store}\npage   {page or 'none'}"
        )
    return 0


def _show(results: Any) -> None:
    from rich.console import Console

    from jaxopt_lite import report

    Console().print(report.table(results))


def _written_page(results: Any, store: Path) -> Path | None:
    """The report page; a missing matplotlib costs the page, not the sweep."""
    from jaxopt_lite import report

    try:
        return report.page(results, store / "report.html")
    except ModuleNotFoundError as error:
        print(f"no page: it needs {error.name}, pip install 'jaxopt-lite[plot]'", file=sys.stderr)
        return None


def _summary(results: Any, store: Path, page: Path | None) -> dict[str, Any]:
    last, best = results.facts["last"], results.best()
    status = results.columns["status"]
    return {
        "task": results.facts["task"],
        "trials": len(results),
        "settings": results.facts["settings"],
        "seeds": results.facts["seeds"],
        "steps": results.facts["steps"],
        "done": status.count("done"),
        "diverged": status.count("diverged"),
        "structures": results.facts["structures"],
        "programs": last["programs"],
        "compiled": last["compiled"],
        "compile_seconds": last["compile_seconds"],
        "run_seconds": last["run_seconds"],
        "trials_run": last["trials"],
        "trials_per_second": _pace(last),
        "objective": results.objective,
        "best": _plain(best[0]) if best else None,
        "store": str(store),
        "page": str(page) if page else None,
    }


def _pace(last: dict[str, Any]) -> float | None:
    return last["trials"] / last["run_seconds"] if last["trials"] else None


def _plain(setting: Any) -> dict[str, Any]:
    scores = {name: score.mean for name, score in setting.scores.items()}
    halves = {name: score.half_width for name, score in setting.scores.items() if math.isfinite(score.half_width)}
    return {**setting.columns, **scores, "seeds": setting.seeds, "interval_95": halves}


def _dry_run(planned: Any, as_json: bool) -> int:
    from jaxopt_lite.sweeps import estimate

    found = estimate(planned)
    if as_json:
        print(json.dumps(found))
    else:
        low, high = found["seconds"]
        print(planned)
        print(f"memory    {found['bytes_at_a_time'] / 1e6:.1f} MB for the chunks at work")
        print(f"estimate  {low:.0f} to {high:.0f} s of training, after compiling; {found['gflop']:.3g} GFLOP in all")
    return 0


def _resumed_settings(store: Path | None, given: dict[str, Any]) -> dict[str, Any]:
    """The settings of the sweep in the store; those given again must be its own."""
    if store is None:
        raise Usage("--resume needs --store DIR: the folder of the sweep to go on with")
    from jaxopt_lite.sweeps._ledger import Ledger

    ledger = Ledger.open(store, write=True)
    held = ledger.facts().get("arguments")
    ledger.close()
    if held is None:
        raise Usage(
            f"{store} was not made by this command; resume it where it was made, with sweeps.run(..., resume=True)"
        )
    for name, value in given.items():
        if held[name] != value:
            flag = "TASK" if name == "task" else "--" + name.replace("_", "-")
            raise Usage(
                f"{store} holds a sweep with {flag} {held[name]}, not {value}: leave {flag} out, or name another store"
            )
    return held


def _check(settings: dict[str, Any]) -> None:
    """Find fault with what was typed, before anything slow is imported."""
    _catalogues.check("activations", names(settings["activation"], "--activation"))
    _catalogues.check("optimizers", names(settings["optimizer"], "--optimizer"))
    for name in names(settings["activation"], "--activation"):
        if _catalogues.rows("activations")[name].get("kind") == "gated":
            raise Usage(f"--activation {name} takes two inputs, so it cannot stand between two dense layers")
    if settings["task"].endswith(".py"):
        raise Usage(f"{settings['task']} is a file: say which of its objects is the task, as {settings['task']}:task")
    if ":" not in settings["task"]:
        _catalogues.check("tasks", [settings["task"]])
    for name in ("seeds", "steps", "trials"):
        if settings[name] is not None and settings[name] < 1:
            raise Usage(f"--{name} {settings[name]}: it must be at least 1")
    size = settings["batch_size"]
    if size not in (None, "full") and not (size.isdecimal() and int(size) > 0):
        raise Usage(f"--batch-size {size}: it must be a number of at least 1, or full")
    rates(settings["learning_rate"], settings["trials"])


def names(text: str, flag: str) -> list[str]:
    """A comma-separated list without repetitions."""
    found = [name.strip() for name in text.split(",") if name.strip()]
    if not found:
        raise Usage(f"{flag} is empty: give at least one name")
    return list(dict.fromkeys(found))


def rates(text: str, trials: int | None) -> list[float] | tuple[float, float]:
    """Learning rates: a list, or the two ends between which `--trials` are drawn."""
    parts = text.split(":") if ":" in text else text.split(",")
    shape = "--learning-rate takes low:high:count, low:high with --trials, or a list such as 0.01,0.1"
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        raise Usage(f"--learning-rate {text}: not a number; {shape}") from None
    bounds = numbers[:2] if ":" in text else numbers
    if not all(0 < x < math.inf for x in bounds):
        raise Usage(f"--learning-rate {text}: a learning rate must be a positive number; {shape}")
    if ":" not in text:
        return list(dict.fromkeys(numbers))
    if len(numbers) not in (2, 3) or numbers[0] >= numbers[1]:
        raise Usage(f"--learning-rate {text}: low must be below high; {shape}")
    if len(numbers) == 2:
        if trials is None:
            raise Usage(f"--learning-rate {text} has no end of rates: add a count ({text}:8) or --trials N")
        return numbers[0], numbers[1]
    count = numbers[2]
    if not (math.isfinite(count) and count == int(count) and count >= 2):
        raise Usage(f"--learning-rate {text}: the count must be a whole number of at least 2; {shape}")
    ratio = numbers[1] / numbers[0]
    return [float(f"{numbers[0] * ratio ** (i / (count - 1)):.6g}") for i in range(int(count))]


def _free_store(task: str) -> Path:
    name = re.sub(r"\W+", "-", Path(task.split(":")[0]).stem)
    first = Path("runs") / name
    stores = (first if i == 1 else first.with_name(f"{name}-{i}") for i in range(1, 1_000_000))
    return next(store for store in stores if not store.exists())


def _prepare_jax() -> None:
    """Quiet logs and a persistent cache of compiled programs, unless the user has set them otherwise."""
    import jax

    from jaxopt_lite.training._data import cache_folder

    if jax.config.jax_compilation_cache_dir is None:  # type: ignore[attr-defined]
        jax.config.update("jax_compilation_cache_dir", str(cache_folder() / "programs"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt
