"""The diagnose command: a model and a batch from the user's file, a table and a verdict."""

import argparse
import inspect
import json
import math
import os
from pathlib import Path
from typing import Any

from jaxopt_lite.cli import _catalogues, _files
from jaxopt_lite.cli._usage import Usage, check_output

EXAMPLES = 256  # at most so many are taken from the user's data


def diagnose(options: argparse.Namespace) -> int:
    """Diagnose a model.

    Raises:
        Usage: there is no such model or data, they do not fit together, or a file cannot be written.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before JAX is imported: XLA's log lines are not for users
    if _files.file_of(options.model) is None:
        raise Usage(f"{options.model}: say in which file the model is, as mine.py:{options.model}")
    if options.plot and check_output("--plot", options.plot).suffix not in (".png", ".svg", ".pdf"):
        raise Usage(f"--plot {options.plot}: the name of a picture ends in .png, .svg or .pdf")
    _catalogues.check("activations", [options.activation])
    if options.optimizer is not None:
        _catalogues.check("optimizers", [options.optimizer])
    elif options.learning_rate is not None:
        raise Usage(f"--learning-rate {options.learning_rate:g} is the rate of an optimizer: give --optimizer, as adam")
    named = _files.object_of(options.model, {})
    x, y = _batch(options, named)

    from jaxopt_lite.diagnostics import diagnose as diagnosed

    model, optimizer = _model(options, named, x), _optimizer(options)
    loss = options.loss or ("mse" if y is not None and y.dtype.kind == "f" else "cross_entropy")
    try:
        diagnosis = diagnosed(model, x, y, loss, optimizer=optimizer)
    except Exception as error:
        raise Usage(f"{options.model} with inputs of shape {x.shape}: {_files.described(error)}") from error
    print(json.dumps(diagnosis.to_dict()) if options.json else diagnosis)
    if options.plot:
        try:
            diagnosis.plot(options.plot)
        except ModuleNotFoundError as error:
            raise Usage(f"a picture needs {error.name}: pip install 'jaxopt-lite[plot]'") from error
        if not options.json:
            print(f"\npicture  {options.plot}")
    return 0


def _optimizer(options: argparse.Namespace) -> Any:
    """The optimizer of --optimizer with the rate of --learning-rate; None if there is none."""
    from jaxopt_lite import optimizers

    if options.optimizer is None:
        return None
    rate = 1e-3 if options.learning_rate is None else options.learning_rate
    try:
        return optimizers.CATALOGUE[options.optimizer].function(rate)
    except ValueError as error:
        raise Usage(f"--learning-rate {rate:g}: {error}") from error


def _batch(options: argparse.Namespace, named: Any) -> tuple[Any, Any]:
    """Inputs and, if there are any, labels: those of --data or --input, of a task, or the object `data` of the file."""
    import numpy as np

    if options.data and options.input:
        raise Usage("--data names your batch and --input asks for random numbers: give one of them")
    if options.input:
        return _random(options), None
    word, data = options.data, getattr(named, "data", None)
    if word is not None:
        if _files.file_of(word) is None:
            raise Usage(f"--data {word}: say in which file it is, as {_files.file_of(options.model)}:{word}")
        data = _files.object_of(word, {})
    elif data is None:
        data = getattr(_files.imported(Path(options.model.rpartition(":")[0])), "data", None)
        word = "data"
    if data is None:
        raise Usage(f"{options.model} has no inputs: give --data file.py:name, or --input 64,784 for random ones")
    while isinstance(data, tuple | list) and data and isinstance(data[0], tuple | list):  # parts: the training part
        data = data[0]
    pair = data if isinstance(data, tuple | list) and len(data) == 2 else (data, None)
    try:
        return tuple(None if part is None else np.asarray(part)[:EXAMPLES] for part in pair)  # type: ignore[return-value]
    except (TypeError, ValueError, IndexError) as error:
        raise Usage(f"--data {word} must be an array x or a pair (x, y): {_files.described(error)}") from error


def _random(options: argparse.Namespace) -> Any:
    """Inputs of the shape of --input: standard normal numbers, or with --vocabulary integers below it."""
    import numpy as np

    try:
        shape = tuple(int(size) for size in options.input.split(","))
    except ValueError:
        shape = ()
    if not shape or min(shape) < 1:
        raise Usage(f"--input {options.input}: give the shape of a batch, as 64,784 for 64 examples of 784 numbers")
    if math.prod(shape) > 1 << 28:
        raise Usage(f"--input {options.input}: {math.prod(shape):,} numbers are too many")
    rng = np.random.default_rng(0)
    if options.vocabulary is None:
        return rng.normal(size=shape).astype("float32")
    if options.vocabulary < 1:
        raise Usage(f"--vocabulary {options.vocabulary}: it must be at least 1")
    return rng.integers(options.vocabulary, size=shape, dtype="int32")


def _model(options: argparse.Namespace, named: Any, x: Any) -> Any:
    """The model: the object itself, or what it returns for a trial with --activation and `flax.nnx.Rngs`."""
    import jax

    from jaxopt_lite import activations, flax, optimizers

    trial = {"activation": activations.CATALOGUE[options.activation].function, "optimizer": optimizers.adam(1e-3)}
    try:
        if hasattr(named, "init") and hasattr(named, "step") and getattr(named, "model", None) is not None:
            return named.model(trial, named.init(trial, jax.random.key(0)))  # a task
        if not (inspect.isfunction(named) or isinstance(named, type)):
            try:
                flax.network(named)
                return named
            except TypeError:  # perhaps a Linen module without variables
                pass

        def build(trial: Any, rngs: Any) -> Any:
            return _built(named, trial, rngs)

        return flax.assembled(build, trial, flax.initialise(build, trial, x[:2], jax.random.key(0)))
    except Exception as error:
        raise Usage(
            f"{options.model} is not a model or a function that builds one: {_files.described(error)}"
        ) from error


def _built(named: Any, trial: Any, rngs: Any) -> Any:
    """The module that a function of (trial, rngs), of rngs or of nothing returns; a module is returned as it is."""
    if not (inspect.isfunction(named) or isinstance(named, type)):
        return named
    made = vars(named).get("__init__", named) if isinstance(named, type) else named  # NNX hides it in the signature
    parameters = list(inspect.signature(made).parameters.values())[made is not named :]
    required = [p.name for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if len(required) == 2 and "rngs" in required[1:]:
        return named(trial, rngs=rngs)
    if len(required) == 2:
        return named(trial, rngs)
    return named(**dict.fromkeys(required, rngs))
