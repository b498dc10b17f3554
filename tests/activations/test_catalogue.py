"""Every property that the catalogue claims is measured."""

import inspect
import itertools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lite import activations
from jaxopt_lite.activations import CATALOGUE
from jaxopt_lite.activations._catalogue import _read
from jaxopt_lite.bench._activation_truth import truth

ROWS = pytest.mark.parametrize("name", CATALOGUE)
GRID = np.linspace(-12.0, 12.0, 24 * 1024 + 1)


def settings_of(name: str) -> dict:
    return {**CATALOGUE[name].settings, **CATALOGUE[name].initial}


def along_probe(name: str) -> tuple[np.ndarray, ...]:
    return truth(name, GRID, **settings_of(name))


def outputs_of_two(name: str, points: np.ndarray) -> np.ndarray:
    """The row of each pair of entries (x1, x2) with coordinates in points: shape (n, n, outputs)."""
    a, b = np.meshgrid(points, points, indexing="ij")
    return np.asarray(CATALOGUE[name].function(jnp.asarray(np.stack([a, b], -1), jnp.float32)), np.float64)


def outputs(name: str, points: np.ndarray) -> np.ndarray:
    """The true values of an elementwise row, and the outputs of another for pairs: the laws measure the functions."""
    if CATALOGUE[name].kind == "elementwise":
        return truth(name, points, **settings_of(name))[0]
    return outputs_of_two(name, points)


def test_rows_are_functions_under_their_own_name() -> None:
    for name, row in CATALOGUE.items():
        assert row.function is getattr(activations, name)
        assert row.function.__name__ == name
        assert inspect.isfunction(row.function)


@ROWS
def test_texts_are_there(name: str) -> None:
    row = CATALOGUE[name]
    assert all(len(text) > 2 for text in (row.use, row.weakness, row.reference)) and row.formula
    assert row.kind in ("elementwise", "gated", "axis")
    assert row.keeps in ("nothing", "mask", "input", "output")
    assert any(char.isdigit() for char in row.reference)


@ROWS
def test_initial_numbers_are_the_defaults(name: str) -> None:
    row = CATALOGUE[name]
    defaults = {k: p.default for k, p in inspect.signature(row.function).parameters.items()}
    for setting, start in row.initial.items():
        np.testing.assert_allclose(defaults[setting], start)


@ROWS
def test_range_is_the_hull_of_its_values(name: str) -> None:
    low, high = CATALOGUE[name].range
    points = np.concatenate([np.linspace(-30.0, 30.0, 1501), [-1e4, 1e4]])
    y = outputs(name, points if CATALOGUE[name].kind == "elementwise" else points[::10])
    slack = 1e-6
    assert y.min() >= low - slack * max(1.0, abs(low)) if np.isfinite(low) else y.min() < -20.0
    assert y.max() <= high + slack * max(1.0, abs(high)) if np.isfinite(high) else y.max() > 20.0
    if np.isfinite(low):
        assert y.min() < low + 0.05
    if np.isfinite(high):
        assert y.max() > high - 0.05


@ROWS
def test_gain_and_centre_are_those_of_normal_input(name: str) -> None:
    row = CATALOGUE[name]
    step = 1 / 256 if row.kind == "elementwise" else 1 / 32
    z = np.arange(-9.0, 9.0, step) + step / 2
    weight = np.exp(-z * z / 2) / np.sqrt(2 * np.pi) * step
    if row.kind == "elementwise":
        y = truth(name, z, **settings_of(name))[0]
    else:
        y, weight = outputs_of_two(name, z), weight[:, None, None] * weight[None, :, None]
    mean, square = (float((weight * moment).sum() / (y.shape[-1] if y.ndim > 1 else 1)) for moment in (y, y * y))
    assert row.gain == pytest.approx(1 / np.sqrt(square), rel=2e-4)
    assert (abs(mean) < 1e-5) == row.zero_centred


@ROWS
def test_monotone_means_no_output_ever_falls(name: str) -> None:
    points = np.linspace(-8.0, 8.0, 321)
    y = outputs(name, points)
    axes = (0,) if CATALOGUE[name].kind == "elementwise" else (0, 1)
    falls = min(float(np.diff(y, axis=axis).min()) for axis in axes)
    assert (falls >= -1e-6) == CATALOGUE[name].monotone


def jumps(values: np.ndarray) -> np.ndarray:
    """Where neighbours on the grid differ more than a slope of 40 explains."""
    return np.flatnonzero(np.abs(np.diff(values)) > 0.04)


@ROWS
def test_kinks_are_where_value_or_slope_jumps(name: str) -> None:
    value, slope, _ = along_probe(name)
    found = {float(x) for x in GRID[np.concatenate([jumps(value), jumps(slope)])]}
    kinks = CATALOGUE[name].kinks
    assert all(min(abs(x - k) for k in kinks) < 0.002 for x in found) if found else not kinks
    assert all(min(abs(x - k) for x in found) < 0.002 for k in kinks)


@ROWS
def test_smooth_means_that_the_curvature_does_not_jump_either(name: str) -> None:
    value, slope, curvature = along_probe(name)
    found = sum(len(jumps(v)) for v in (value, slope, curvature))
    assert (found == 0) == CATALOGUE[name].smooth


@ROWS
def test_saturation_is_a_vanishing_slope(name: str) -> None:
    far = np.linspace(1e4, 1.1e4, 1001)
    for side, x in (("left", -far), ("right", far)):
        slope = truth(name, x, **settings_of(name))[1]
        assert (np.abs(slope).max() < 1e-6) == (side in CATALOGUE[name].saturates)


@ROWS
def test_the_probe_is_the_function(name: str) -> None:
    """What the audits look at agrees with the truth at a few plain numbers, in float32."""
    x = np.linspace(-3.3, 3.4, 23)
    got = np.asarray(CATALOGUE[name].probe(jnp.asarray(x, jnp.float32)))
    np.testing.assert_allclose(got, truth(name, x.astype(np.float32), **settings_of(name))[0], rtol=1e-5, atol=1e-6)


def test_an_unknown_name_offers_the_nearest() -> None:
    with pytest.raises(KeyError, match=r"unknown activation 'reluu': did you mean 'relu'"):
        CATALOGUE["reluu"]


def test_the_table_is_readable_without_jax() -> None:
    import tomllib

    path = Path(activations.__file__).with_name("catalogue.toml")
    assert list(tomllib.loads(path.read_text())) == list(CATALOGUE)


JAX_NN = [n for n in CATALOGUE if hasattr(jax.nn, n)]


@pytest.mark.parametrize("name", JAX_NN)
def test_swapping_the_import_changes_nothing(name: str) -> None:
    """Names, leading parameters, defaults, values and slopes, also at the edges, are those of `jax.nn`."""
    ours, theirs = CATALOGUE[name].function, getattr(jax.nn, name)
    edges = [e for k in (0.0, *CATALOGUE[name].kinks) for e in (k, -k)]
    x = jnp.asarray([*np.linspace(-4.0, 4.0, 17), *edges, 0.5], jnp.float32)
    x = x[: 2 * (len(x) // 2)]
    for a, b in zip(*(jax.jit(lambda x, f=f: (f(x), jax.jacobian(f)(x)))(x) for f in (ours, theirs)), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6)
    parameters = inspect.signature(theirs).parameters
    mine = inspect.signature(ours).parameters
    for (a, p), (b, q) in itertools.zip_longest(parameters.items(), list(mine.items())[: len(parameters)]):
        assert a == b and p.default == q.default


def test_a_row_that_lacks_fields_is_named_with_its_file(tmp_path: Path) -> None:
    file = tmp_path / "catalogue.toml"
    file.write_text('[relu]\nformula = "max(0, x)"\nkink = [0.0]\n')
    with pytest.raises(
        ValueError, match=r"the row \[relu\] of .*catalogue.toml lacks kind, .* the unknown fields kink"
    ):
        _read(file)
