"""The sweep command: from the words of the command line to a sweep, and from its results to a table and a page."""

import argparse
import contextlib
import json
import math
import os
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from jaxopt_lite._names import count
from jaxopt_lite.cli import _settings
from jaxopt_lite.cli._usage import Usage


def sweep(options: argparse.Namespace) -> int:
    """Run, resume or describe a sweep.

    Returns:
        The exit status: 0, or 130 after an interrupt.

    Raises:
        Usage: settings that cannot work, or a store that cannot be used.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before JAX is imported: XLA's log lines are not for users
    names = [name for name in _settings.DEFAULTS if getattr(options, name) is not None]
    given = {name: getattr(options, name) for name in names}
    store = Path(options.store) if options.store else None
    if options.resume and options.extend:
        raise Usage("--resume continues a sweep as it is, --extend makes it larger: give one of them")
    old = options.resume or options.extend
    settings = _stored_settings(store, given, options.extend) if old else _settings.DEFAULTS | given
    if not old and str(settings["search"]).startswith("population"):
        settings = settings | {"seeds": given.get("seeds", 1)}
    _settings.check(settings)
    if options.workers is not None and options.workers < 1:
        raise Usage(f"--workers {options.workers}: it must be at least 1")

    _prepare_jax()
    from jaxopt_lite import sweeps
    from jaxopt_lite.cli import _tasks
    from jaxopt_lite.sweeps._task_error import TaskError
    from jaxopt_lite.sweeps.store import _ledger

    try:
        if store is not None:
            _ledger.check(store, old)
        task = _tasks.load(settings["task"], settings["batch_size"], settings["diagnose"])
        space = _tasks.space(task, settings, given)
        planned = sweeps.plan(task, space, **_chosen(settings), on=_on(options))
        if options.dry_run:
            return _dry_run(planned, options.json)
        return _run(planned, store or _new_folder(settings["task"]), settings, options)
    except (sweeps.StoreError, TaskError) as error:
        raise Usage(str(error)) from error
    except ModuleNotFoundError as error:  # of an extra that a setting needs
        if "pip install" not in str(error):
            raise
        raise Usage(str(error)) from error


def _chosen(settings: dict[str, Any]) -> dict[str, Any]:
    """The arguments of `sweeps.plan` beside task and space.

    Raises:
        Usage: one is out of range.
    """
    from jaxopt_lite import sweeps

    out = {name: settings[name] for name in ("trials", "seeds", "steps")}
    out["search"] = _search(settings)
    out["confirm"], out["keep"] = _settings.confirmed(settings["confirm"]), _settings.kept(settings["keep"])
    rule = _settings.stop_rule(settings["stop"])
    if rule is not None:
        try:
            out["stop"] = getattr(sweeps, rule[0])(**rule[1])
            out["stop"].rungs(settings["steps"])
        except ValueError as error:
            raise Usage(f"--stop {settings['stop']}: {error}") from error
    return out


def _on(options: argparse.Namespace) -> Any:
    """The argument `on` of `sweeps.plan`."""
    from jaxopt_lite import sweeps

    if options.ray is not None:
        return sweeps.ray(options.ray, workers=options.workers)
    return None if options.workers is None else sweeps.processes(options.workers)


def _search(settings: dict[str, Any]) -> Any:
    """The argument `search` of `sweeps.plan`.

    Raises:
        Usage: a setting of the search is out of range.
    """
    from jaxopt_lite import sweeps

    name, given = _settings.search_rule(settings["search"]) or (None, {})
    try:
        if name == "tpe":
            return sweeps.optuna("tpe", batch=_whole("batch", given["batch"]))
        if name == "population":
            every = given.pop("every") or max(1, settings["steps"] // 10)
            found = sweeps.population(settings["trials"], _whole("every", every), **given)
            found.rungs(settings["steps"])
            return found
    except ValueError as error:
        raise Usage(f"--search {settings['search']}: {error}") from error
    return name


def _whole(name: str, number: float) -> int:
    """The number as an integer.

    Raises:
        ValueError: it is none.
    """
    if number != int(number):
        raise ValueError(f"{name} must be a whole number, got {number:g}")
    return int(number)


def _run(planned: Any, store: Path, settings: dict[str, Any], options: argparse.Namespace) -> int:
    from jaxopt_lite import sweeps, training
    from jaxopt_lite.cli import _progress

    signal.signal(signal.SIGTERM, _interrupt)
    resume = f"finished segments are kept, continue with: jaxopt-lite sweep --store {store} --resume"
    try:
        with _progress.shown(planned.task.objective) as show:
            results = sweeps.execute(
                planned,
                store=store,
                resume=options.resume,
                extend=options.extend,
                progress=show,
                note={"arguments": settings},
            )
    except training.StreamError as error:
        raise Usage(f"{error}; {resume}") from error
    except KeyboardInterrupt:
        kept = (store / "ledger.sqlite").exists()
        print(
            f"interrupted; {resume}" if kept else "interrupted before the first segment; nothing is kept",
            file=sys.stderr,
        )
        return 130
    finally:
        if options.store is None:
            _remove_empty(store, store.parent)  # nothing was started
    page = _written_page(results, store)
    if options.json:
        print(json.dumps(_summary(results, store, page)))
    else:
        _show(results)
        print(f"{_trained(results)}\nstore  {store}\npage   {page or 'none'}")
    return 0


def _trained(results: Any) -> str:
    """What the last call trained: runs that ended; steps if runs were stopped early, or only final states were made."""
    last = results.facts["last"]
    if not (last["programs"] or last["trials"] or last["steps"]):
        return "the sweep is complete, nothing was left to run"
    if "pruned" in results.columns["status"] or not last["trials"]:
        trained = f"{last['steps']:,} training steps"
    else:
        trained = f"{count(last['trials'], 'training')} ({_rate(last) or 0:.0f} trials/s)"
    programs = f"{count(last['programs'], 'program')} ready in {last['compile_seconds']:.1f} s"
    lost = f"{count(last['workers_lost'], 'worker')} lost and replaced\n" if last["workers_lost"] else ""
    return f"{lost}{programs}, {trained} in {last['run_seconds']:.1f} s"


def _show(results: Any) -> None:
    from rich.console import Console

    from jaxopt_lite import report

    Console().print(report.table(results))
    _show_errors(results)


def _show_errors(results: Any, most: int = 3) -> None:
    """Why runs have failed, on standard error."""
    texts = Counter(results.errors.values())
    for text, runs in texts.most_common(most):
        print(f"{count(runs, 'run')} failed: {text}", file=sys.stderr)
    if len(texts) > most:
        print(f"{len(texts) - most} further errors are on the page", file=sys.stderr)


def _written_page(results: Any, store: Path) -> Path | None:
    """The report page, or None with a message if matplotlib is not installed."""
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
        "failed": status.count("failed"),
        "pruned": status.count("pruned"),
        "share": sum(results.columns["step"]) / (len(results) * results.facts["steps"]),
        "structures": results.facts["structures"],
        "programs": last["programs"],
        "compiled": last["compiled"],
        "compile_seconds": last["compile_seconds"],
        "run_seconds": last["run_seconds"],
        "trials_run": last["trials"],
        "trials_per_second": _rate(last),
        "objective": results.objective,
        "best": _best(best[0]) if best else None,
        "store": str(store),
        "page": str(page) if page else None,
    }


def _rate(last: dict[str, Any]) -> float | None:
    return last["trials"] / last["run_seconds"] if last["trials"] else None


def _best(setting: Any) -> dict[str, Any]:
    scores = {name: score.mean if math.isfinite(score.mean) else None for name, score in setting.scores.items()}
    halves = {name: score.half_width for name, score in setting.scores.items() if math.isfinite(score.half_width)}
    out = {**setting.columns, **scores, "seeds": setting.seeds, "interval_95": halves}
    if setting.confirmed:
        means = {name: score.mean if math.isfinite(score.mean) else None for name, score in setting.confirmed.items()}
        out["confirmed"] = {**means, "seeds": setting.confirming}
    return out


def _dry_run(planned: Any, as_json: bool) -> int:
    from jaxopt_lite.sweeps import estimate

    estimated = estimate(planned)
    if as_json:
        print(json.dumps(estimated))
    else:
        low, high = estimated["seconds"]
        print(planned)
        print(f"memory    {estimated['bytes_at_a_time'] / 1e6:.1f} MB for the chunks that run at once")
        work = estimated["gflop"]
        gflop = f"{work:,.0f}" if work >= 100 else f"{work:.3g}"
        seconds = f"{low:.0f} to {high:.0f} s" if high >= 1 else "less than 1 s"
        print(f"estimate  {seconds} of training, plus compilation; {gflop} GFLOP")
    return 0


def _stored_settings(store: Path | None, given: dict[str, Any], extend: bool) -> dict[str, Any]:
    """The settings of the sweep in the store, which the given ones must equal, except for those that may change."""
    if store is None:
        flag, verb = ("--extend", "extend") if extend else ("--resume", "continue")
        raise Usage(f"{flag} needs --store DIR: the folder of the sweep to {verb}")
    from jaxopt_lite.sweeps.store._ledger import Ledger, StoreError

    try:
        ledger = Ledger.open(store, write=False)
    except StoreError as error:
        raise Usage(str(error)) from error
    stored = ledger.facts().get("arguments")
    ledger.close()
    if stored is None:
        raise Usage(
            f"{store} was not made by this command; resume it where it was made, with sweeps.run(..., resume=True)"
        )
    stored = _settings.DEFAULTS | stored
    for name, value in given.items():
        if name in _settings.FREE or (extend and name in _settings.EXTENDABLE):
            stored[name] = value
        elif stored[name] != value:
            flag = _settings.flag_of(name)
            raise Usage(
                f"{store} holds a sweep with {flag} {stored[name]}, not {value}: "
                f"leave {flag} out, or name another store"
            )
    return stored


def _new_folder(task: str) -> Path:
    """A new folder in `runs`; of several processes that ask at the same moment, each gets another one."""
    name = _settings.store_name(task)
    number = 1
    while True:
        store = Path("runs") / (name if number == 1 else f"{name}-{number}")
        try:
            store.mkdir(parents=True)
            return store
        except FileExistsError:
            number += 1
        except FileNotFoundError:  # another process has just removed the empty `runs`
            continue


def _remove_empty(*folders: Path) -> None:
    for folder in folders:
        with contextlib.suppress(OSError):  # the folder is not empty
            folder.rmdir()


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
