"""Data sets that need no network: shipped in packages, or made from a formula and a seed."""

import os
from pathlib import Path
from typing import Any

import numpy as np

Part = tuple[np.ndarray, np.ndarray]
Data = tuple[Part, Part, Part]  # to train on, to validate, to test


def digits() -> Data:
    """Handwritten digits, 8×8 grey values in [0, 1], 10 classes: 1,077 to train on, 360 to validate, 360 to test.

    Each part has the classes in the shares of the whole.

    Source: Alpaydin and Kaynak (1998), UCI Optical Recognition of Handwritten Digits, as scikit-learn ships it.
    """
    datasets, selection = _import("sklearn.datasets"), _import("sklearn.model_selection")
    x, y = datasets.load_digits(return_X_y=True)

    def split(x: Any, y: Any) -> tuple[Part, Part]:
        x, other_x, y, other_y = selection.train_test_split(x, y, test_size=360, stratify=y, random_state=0)
        return (x, y), (other_x, other_y)

    rest, test = split(x.astype(np.float32) / 16, y.astype(np.int32))
    train, validation = split(*rest)
    return train, validation, test


def mnist1d() -> Data:
    """MNIST-1D, ten digit-like signals of 40 samples, distorted: 3,000 to train on, 1,000 to validate, 1,000 to test.

    The authors have 4,000 to train on and 1,000 to test; the validation part is drawn from the former. Made once by
    their package and kept in the user's cache. Source: Greydanus and Kobak (2024), Scaling down deep learning with
    MNIST-1D.
    """
    kept = cache_folder() / "mnist1d.npz"
    if not kept.exists():
        package = _import("mnist1d.data")
        made = package.make_dataset(package.get_dataset_args())
        kept.parent.mkdir(parents=True, exist_ok=True)
        written = kept.with_suffix(f".{os.getpid()}.npz")
        np.savez(written, **{name: made[name] for name in ("x", "y", "x_test", "y_test")})
        written.replace(kept)
    with np.load(kept) as made:
        x, x_test = (made[name].astype(np.float32) for name in ("x", "x_test"))
        y, y_test = (made[name].astype(np.int32) for name in ("y", "y_test"))
    chosen = np.zeros(len(x), bool)
    chosen[np.random.default_rng(0).permutation(len(x))[:1000]] = True
    return (x[~chosen], y[~chosen]), (x[chosen], y[chosen]), (x_test, y_test)


def spirals() -> Data:
    """Two interleaved spirals in the plane, 1.75 turns each, noise 0.03: 1,000 points in each of the three parts.

    Source: after Lang and Witbrock (1988), Learning to tell two spirals apart.
    """
    rng = np.random.default_rng(0)

    def drawn(count: int) -> Part:
        y = np.arange(count, dtype=np.int32) % 2
        turn = np.sqrt(rng.uniform(0.02, 1, count))
        angle = 3.5 * np.pi * turn + np.pi * y
        x = turn[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1) + rng.normal(0, 0.03, (count, 2))
        return x.astype(np.float32), y

    train, test, validation = drawn(1000), drawn(1000), drawn(1000)
    return train, validation, test


def cache_folder() -> Path:
    """Where this user's machine keeps what can be made again: `$XDG_CACHE_HOME/jaxopt_lite`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "jaxopt_lite"


def _import(module: str) -> Any:
    from importlib import import_module

    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"this data set needs {error.name}: pip install 'jaxopt-lite[data]'") from error
