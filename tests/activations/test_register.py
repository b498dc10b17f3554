"""A new activation: registered, checked, given a slope; inside a copy of the package and outside of it."""

import functools
import os
import pickle
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxopt_lite
from jaxopt_lite import activations as act
from jaxopt_lite.activations import CATALOGUE
from jaxopt_lite.activations._facts import Facts, differences, measure
from jaxopt_lite.activations._laws import LAWS, _row
from jaxopt_lite.activations._register import unmeasured

TEXTS = {"formula": "x / 2", "use": "Tests.", "weakness": "None.", "reference": "Nobody 2025"}


@act.elementwise(lambda x, scale: scale * jnp.cos(x), lambda x, scale: jnp.sin(x))
def scaled_sine(x, scale=0.5):
    return scale * jnp.sin(x)


def steps(x):
    return jnp.where(x > 0, 1.0, 0.0).astype(x.dtype) * jnp.where(jnp.isnan(x), x, 1)


@pytest.fixture(autouse=True)
def same_catalogue() -> Iterator[None]:
    before = dict(CATALOGUE)
    yield
    CATALOGUE.clear()
    CATALOGUE.update(before)


def test_register_measures_the_row_and_check_passes() -> None:
    assert act.register(scaled_sine, initial={"scale": 0.5}, **TEXTS) is scaled_sine
    row = CATALOGUE["scaled_sine"]
    assert (row.kinks, row.smooth, row.monotone, row.zero_centred) == ((), True, False, True)
    assert row.range == pytest.approx((-0.5, 0.5), abs=1e-3)
    assert act.check("scaled_sine") == act.check(scaled_sine)
    act.register(steps, **TEXTS)
    assert CATALOGUE["steps"].kinks == (0.0,) and CATALOGUE["steps"].saturates == ("left", "right")


def test_a_registered_function_is_an_attribute_of_the_package() -> None:
    with pytest.raises(AttributeError, match="unknown activation 'scaled_sine'"):
        act.scaled_sine  # noqa: B018
    act.register(scaled_sine, initial={"scale": 0.5}, **TEXTS)
    assert act.scaled_sine is scaled_sine


@pytest.mark.parametrize("slope", [3, 3.0])
def test_a_slope_may_be_a_number(slope: float) -> None:
    triple = act.elementwise(slope)(lambda x: 3 * x)
    assert float(jax.grad(triple)(2.0)) == 3.0
    assert float(jax.grad(act.elementwise(1, 0)(lambda x, s: x + 0 * s), 1)(2.0, 1.0)) == 0.0


def test_a_given_slope_is_used_rounded_once_and_pickles() -> None:
    x = jnp.asarray([0.3, -2.0], jnp.bfloat16)
    wide = x.astype(jnp.float32)
    np.testing.assert_array_equal(scaled_sine(x, scale=0.25), (0.25 * jnp.sin(wide)).astype(x.dtype))
    gradient = jax.grad(lambda x: scaled_sine(x).sum())(x)
    np.testing.assert_array_equal(gradient, (0.5 * jnp.cos(wide)).astype(x.dtype))
    assert float(jax.grad(lambda s: scaled_sine(1.0, s))(2.0)) == pytest.approx(np.sin(1.0))
    assert pickle.loads(pickle.dumps(scaled_sine)) is scaled_sine
    assert float(act.bind(scaled_sine, scale=2.0)(1.0)) == pytest.approx(2 * np.sin(1.0))
    with pytest.raises(TypeError, match=r"cube\(x\) needs 1 derivatives, one for each argument, but 2 are given"):

        @act.elementwise(lambda x: x, lambda x: x)
        def cube(x):
            return x


@pytest.mark.parametrize(
    ("function", "argument"),
    [
        (lambda x, *, s=1.0: s * x, "'s=1.0' is keyword-only"),
        (lambda x, *s: x, r"'\*s' is variadic positional"),
        (lambda x, **s: x, r"'\*\*s' is variadic keyword"),
        (lambda x, s, /: s * x, "'x' is positional-only"),
        (functools.partial(scaled_sine, scale=2.0), "'scale=2.0' is keyword-only"),
    ],
)
def test_arguments_that_the_decorator_could_not_pass_on_are_refused(function, argument: str) -> None:
    with pytest.raises(TypeError, match=rf"elementwise: .* the argument {argument}; write it as an argument"):
        act.elementwise(1.0, lambda x, s: x)(function)


def scaled(x, scale):
    return scale * jnp.tanh(x)


def test_check_gives_arguments_without_a_default_their_initial_numbers() -> None:
    act.register(scaled, initial={"scale": 0.5}, **TEXTS)
    for law in ("transformations_agree", "dtypes_are_kept", "nan_stays_nan"):
        LAWS[law](CATALOGUE["scaled"])
    assert CATALOGUE["scaled"].range == pytest.approx((-0.5, 0.5))


def test_check_measures_the_settings_that_it_is_given() -> None:
    (low, _) = _row("pelu", {"alpha": 3.0}).range
    assert low == pytest.approx(-3.0)


def wrong_slope(x):
    return act.elementwise(lambda x: 3.0 * jnp.cos(x))(lambda x: jnp.sin(x))(x)


def drops_nan(x):
    return jnp.where(x > 0, x, 0)


def float32_only(x):
    return x.astype(jnp.float32)


@pytest.mark.parametrize(
    ("function", "law"),
    [
        (wrong_slope, "derivatives_match_differences"),
        (drops_nan, "nan_stays_nan"),
        (float32_only, "dtypes_are_kept"),
    ],
)
def test_check_names_the_law_that_is_broken(function, law: str) -> None:
    with pytest.raises(AssertionError, match=rf"{function.__name__} breaks the law '{law}'"):
        act.check(function)


@pytest.fixture(scope="module")
def measured() -> Facts:
    return measure(unmeasured(scaled_sine, "elementwise", TEXTS))


def test_check_refuses_a_false_claim() -> None:
    act.register(scaled_sine, **TEXTS, monotone=True)
    with pytest.raises(AssertionError, match=r"'claims_are_true'.*monotone is True, but measured False"):
        act.check("scaled_sine")


@pytest.mark.parametrize(
    ("claim", "text"),
    [
        ({"monotone": True}, "monotone is True, but measured False"),
        ({"kinks": (1.0,)}, r"kinks are \(1.0,\), but measured \(\)"),
        ({"range": (-0.5, 1.0)}, r"range is \(-0.5, 1.0\)"),
        ({"gain": 1.0}, "gain is 1.0, but measured"),
        ({"smooth": False}, "smooth is False"),
        ({"saturates": ("left",)}, r"saturates is \('left',\)"),
    ],
)
def test_every_false_claim_is_named(measured: Facts, claim: dict, text: str) -> None:
    row = unmeasured(scaled_sine, "elementwise", TEXTS)._replace(**measured._asdict())
    assert differences(row, measured) == []
    (found,) = differences(row._replace(**claim), measured)
    assert re.match(text, found)


def test_bound_activations_can_be_registered_again() -> None:
    for half, other in (
        (act.bind(scaled_sine, scale=0.5), act.bind(scaled_sine, scale=0.25)),
        (act.bind(act.swish, beta=0.5), steps),
    ):
        act.register(half, name="half", **TEXTS)
        act.register(half, name="half", **TEXTS)
        with pytest.raises(ValueError, match="'half' is the name of"):
            act.register(other, name="half", **TEXTS)
        del CATALOGUE["half"]


def test_register_refuses_what_it_cannot_use() -> None:
    with pytest.raises(ValueError, match="'tanh' is the name of"):
        act.register(steps, name="tanh", **TEXTS)
    with pytest.raises(ValueError, match="'tanh' is the name of"):
        act.register(act.tanh, **TEXTS)
    with pytest.raises(ValueError, match="formula is empty"):
        act.register(steps, **{**TEXTS, "formula": " "})
    with pytest.raises(ValueError, match="kind='pairs'; give one of elementwise"):
        act.register(steps, kind="pairs", **TEXTS)
    with pytest.raises(TypeError, match="no field kink; the fields are function, formula"):
        act.register(steps, kink=(0.0,), **TEXTS)
    for nameless in (functools.partial(steps), act.bind(steps)):
        with pytest.raises(TypeError, match="has no name; give name="):
            act.register(nameless, **TEXTS)
    with pytest.raises(TypeError, match="does not map an array to an array"):
        act.register(lambda x: "no", name="text", **TEXTS)


def blocks() -> list[str]:
    """The Python and TOML blocks of the package's documentation, in order."""
    return re.findall(r"^    ::\n\n((?:        .*\n|\n)+)", act.__doc__ or "", re.MULTILINE)


def run(folder: Path, *command: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(folder), "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_documented_steps_add_an_activation_outside_and_inside_the_package(tmp_path: Path) -> None:
    """What the docstring of the package says, done literally on a copy of the package."""
    package = tmp_path / "jaxopt_lite"
    shutil.copytree(Path(jaxopt_lite.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    mine, inside, line, row = [re.sub("^        ", "", block, flags=re.MULTILINE) for block in blocks()]
    (tmp_path / "mine.py").write_text(mine)
    (package / "activations" / "_tent.py").write_text(inside)
    others = (package / "activations" / "__init__.py").read_text()
    before = "from jaxopt_lite.activations._tanh import"
    (package / "activations" / "__init__.py").write_text(others.replace(before, line.strip() + "\n" + before))
    text = (package / "activations" / "catalogue.toml").read_text()
    (package / "activations" / "catalogue.toml").write_text(text + row)

    code = (
        "import mine; from jaxopt_lite import activations as a; from jaxopt_lite.cli import main;"
        "print(a.check('star_relu'), a.check('tent'));"
        "codes = [main(words.split()) for words in ('list activations', 'explain tent')]; assert not any(codes), codes"
    )
    out = run(tmp_path, "-c", code)
    assert "claims_are_true" in out and "tent " in out and "max(0, 1 - |x|)" in out
    assert "star_relu" in run(tmp_path, "-m", "jaxopt_lite", "list", "mine.py")
