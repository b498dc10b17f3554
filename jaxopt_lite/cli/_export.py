"""The export command: the best trained model of a store as an Orbax checkpoint."""

import argparse
from pathlib import Path
from typing import Any

from jaxopt_lite.cli import _settings, _tasks
from jaxopt_lite.cli._usage import Usage
from jaxopt_lite.flax import arrays_of
from jaxopt_lite.sweeps import Results, StoreError


def export(options: argparse.Namespace) -> int:
    """Write the arrays of the best model of a store.

    Raises:
        Usage: the store cannot be read or was not made by the sweep command, its model was not kept or cannot be
            rebuilt, or the folder exists.
    """
    folder = Path(options.folder)
    if folder.exists():
        raise Usage(f"{folder} exists: name a folder that does not")
    try:
        arguments = Results.load(options.store).facts.get("arguments")
        if arguments is None:
            raise Usage(
                f"{options.store} was not made by the sweep command; get its model where it was made, with "
                "sweeps.Results.load(store, task=task, space=space).model()"
            )
        settings = _settings.DEFAULTS | arguments
        task = _tasks.load(settings["task"], settings["batch_size"])
        results = Results.load(options.store, task=task, space=_tasks.space(task, settings, {}))
        model = results.model(seed=options.seed)
    except (StoreError, ValueError) as error:
        raise Usage(str(error)) from error
    _written(folder, model)
    best = results.best()[0]
    named = ", ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in best.columns.items())
    print(f"model       {named}\nscore       {results.objective} {best.scores[results.objective]} (mean over seeds)")
    print(f"checkpoint  {folder}")
    return 0


def _written(folder: Path, model: Any) -> None:
    """Write the arrays of a model: the state of an NNX module as nested dicts, or the variables of a Linen module."""
    import orbax.checkpoint

    with orbax.checkpoint.StandardCheckpointer() as checkpointer:
        checkpointer.save(folder.absolute(), arrays_of(model))
