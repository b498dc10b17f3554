"""Adding an optimizer as the package's docstring says: one file outside, or one file and one row inside."""

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_lite
from jaxopt_lite import optimizers as opt

_DOC = opt.__doc__ or ""
CODE = textwrap.dedent(_DOC[_DOC.index("    import jax.numpy") : _DOC.index("Then it is in")])
RULE, REGISTER = CODE[: CODE.index("register(\n")], CODE[CODE.index("register(\n") :]


@pytest.fixture
def lamb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module of the docstring, imported from a file; what it registers is removed afterwards."""
    (tmp_path / "my_lamb.py").write_text(CODE)
    monkeypatch.syspath_prepend(tmp_path)
    module: ModuleType = __import__("my_lamb")
    yield module
    del opt.CATALOGUE["lamb"], opt.CATALOGUE.functions["lamb"], sys.modules["my_lamb"]


def test_outside_the_package(lamb: Any) -> None:
    row = opt.CATALOGUE["lamb"]
    assert (row.memory, row.settings["eps"]) == (2, 1e-6)
    assert opt.lamb is lamb.lamb
    assert repr(opt.lamb(0.1, b1=0.8)) == "lamb(learning_rate=0.1, b1=0.8)"
    assert opt.check("lamb", weight_decay=0.1)[-1] == "a_value"
    with pytest.raises(ValueError, match="lamb: b1=2 is outside"):
        opt.lamb(0.1, b1=2)
    with pytest.raises(ValueError, match="register: 'adam' is the name of"):
        opt.register(lamb.lamb, name="adam", **dict.fromkeys(TEXTS, "x"), learning_rate=(0.1, 1.0))
    with pytest.raises(ValueError, match="register: new: use is empty"):
        opt.register(lamb.lamb, name="new", **dict.fromkeys(TEXTS, "x") | {"use": ""}, learning_rate=(0.1, 1.0))


TEXTS = ("title", "formula", "use", "weakness", "reference")


def test_equals_optax(lamb: Any) -> None:
    params = {"b": jnp.zeros(3), "w": jnp.asarray(np.random.default_rng(0).normal(size=(4, 3)), jnp.float32)}
    mask = {"b": False, "w": True}
    ours, theirs = lamb.lamb(0.1, weight_decay=0.1, mask=mask), optax.lamb(0.1, weight_decay=0.1, mask=mask)
    state, other = ours.init(params), theirs.init(params)
    for k in range(3):
        grads = jax.tree.map(lambda p, k=k: jnp.sin(p + k), params)
        updates, state = ours.update(grads, state, params)
        expected, other = theirs.update(grads, other, params)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6), updates, expected)
        params = optax.apply_updates(params, updates)
    with pytest.raises(ValueError, match="lamb decays the parameters and was given none"):
        ours.update(grads, state)


def test_a_function_with_the_name_of_a_published_one() -> None:
    def sgd(learning_rate: float) -> opt.Transform:
        return opt.sgd(learning_rate, momentum=0.5)

    with pytest.raises(ValueError, match=r"register: 'sgd' is published as .* rename the function"):
        opt.register(sgd, name="my_sgd", **dict.fromkeys(TEXTS, "x"), learning_rate=(0.1, 1.0))
    assert opt.CATALOGUE.functions["sgd"] is opt.sgd and "my_sgd" not in opt.CATALOGUE


def test_repr_of_a_rule_that_is_not_registered() -> None:
    rule = opt.Rule("signs", {"learning_rate": opt.Range()}, {}, lambda g, p, m, s: (-s.learning_rate * g, {}))
    assert repr(rule(learning_rate=0.1)) == "signs(learning_rate=0.1)"


def test_check_names_the_law_that_is_broken() -> None:
    def wrong(learning_rate: float) -> opt.Transform:
        """The number is part of the structure: each learning rate compiles another program."""
        rule = opt.Rule("wrong", {"learning_rate": opt.Range()}, {}, lambda g, p, m, s: (-learning_rate * g, {}))
        return rule(learning_rate=learning_rate)

    with pytest.raises(AssertionError, match=r"wrong breaks the law 'one_trace' \(As an argument of jit .* 4 traces"):
        opt.check(wrong)


def test_register_takes_a_function_and_an_interval() -> None:
    texts = dict.fromkeys(TEXTS, "x")
    for given in (opt.sgd(0.1), "sgd"):
        with pytest.raises(TypeError, match=r"give the function that builds it, as sgd and not sgd\(0.1\)"):
            opt.register(given, name="new", **texts, learning_rate=(0.1, 1.0))
    for rates in ((1.0, 0.1), (0.0, 1.0)):
        with pytest.raises(ValueError, match=r"register: new: learning_rate=\(.*\): give \(lowest, highest\)"):
            opt.register(opt.sgd, name="new", **texts, learning_rate=rates)
    assert "new" not in opt.CATALOGUE


WRONG = {
    "no tuple": (lambda g, p, m, s: -g, TypeError, r"of the rule 'wrong' returns \(\w+\): return \(step, moments\)"),
    "three values": (
        lambda g, p, m, s: (-g, {}, 1),
        TypeError,
        r"returns \(\w+, dict, int\): return \(step, moments\)",
    ),
    "no dictionary": (lambda g, p, m, s: (-g, m.mu), TypeError, r"return \(step, moments\), an array and a dictionary"),
    "missing": (lambda g, p, m, s: (-g, {}), TypeError, r"moments \[\], but `moments` of the rule declares \['mu'\]"),
    "undeclared": (lambda g, p, m, s: (-g, {"mu": g, "nu": g}), TypeError, r"returns the moments \['mu', 'nu'\], but"),
    "shape of step": (
        lambda g, p, m, s: (g.ravel()[:1], {"mu": g}),
        ValueError,
        r"a step of shape \(1,\): .* \(2, 3\)",
    ),
    "number": (lambda g, p, m, s: (-0.1, {"mu": g}), ValueError, "a step of type float: return an array"),
    "shape of moment": (lambda g, p, m, s: (g, {"mu": g[0]}), ValueError, r"the moment 'mu' of shape \(3,\): return"),
    "setting": (lambda g, p, m, s: (-s.rate * g, {"mu": g}), AttributeError, "unknown value 'rate': .*learning_rate"),
}


@pytest.mark.parametrize(("per_leaf", "error", "text"), WRONG.values(), ids=WRONG)
def test_a_wrong_per_leaf_is_named(per_leaf: Any, error: type[Exception], text: str) -> None:
    rule = opt.Rule("wrong", {"learning_rate": opt.Range()}, {"mu": opt.Moment()}, per_leaf)
    tx, params = rule(learning_rate=0.1), jnp.ones((2, 3))
    with pytest.raises(error, match=text):
        tx.update(params, tx.init(params))
    with pytest.raises(AssertionError, match=text.split(":")[0].split(" of ")[0]):
        opt.check(lambda learning_rate: rule(learning_rate=learning_rate))


def test_check_finds_a_rule_that_reads_undeclared_parameters() -> None:
    rule = opt.Rule("reads", {"learning_rate": opt.Range()}, {}, lambda g, p, m, s: (-s.learning_rate * (g + p), {}))
    with pytest.raises(AssertionError, match=r"breaks the law 'params_are_optional'.*needs_params=True"):
        opt.check(lambda learning_rate: rule(learning_rate=learning_rate))


def clipped(learning_rate: opt.Setting) -> opt.Transform:
    return opt.chain(opt.clip(1.0), opt.sgd(learning_rate))


def _scaled(g: Any, p: Any, m: Any, s: Any) -> Any:
    return -s.learning_rate / s.scale * g, {}


SCALED = opt.Rule("scaled", {"learning_rate": opt.Range(), "scale": opt.Range(1.0, 100.0)}, {}, _scaled)


def scaled(learning_rate: opt.Setting, scale: opt.Setting = 2.0) -> opt.Transform:
    return SCALED(learning_rate=learning_rate, scale=scale)


@pytest.mark.parametrize("make", [clipped, scaled, opt.lift(optax.lamb)], ids=["chain", "range", "lift"])
def test_check_takes_every_function_of_a_learning_rate(make: Any) -> None:
    assert opt.check(make)[-1] == "a_value"


def test_inside_a_copy_of_the_package(tmp_path: Path) -> None:
    root = Path(jaxopt_lite.__file__).parent
    shutil.copytree(root, tmp_path / "jaxopt_lite", ignore=shutil.ignore_patterns("__pycache__"))
    package = tmp_path / "jaxopt_lite" / "optimizers"
    (package / "rules" / "_lamb.py").write_text(RULE.replace("from jaxopt_lite.optimizers import register\n", ""))
    namespace: dict[str, Any] = {}
    exec(REGISTER.replace("register(\n    lamb,", "row = dict("), namespace)
    row = {key: list(value) if isinstance(value, tuple) else value for key, value in namespace["row"].items()}
    lines = [f"{key} = {value!r}" for key, value in row.items()]
    settings = "{ b1 = 0.9, b2 = 0.999, eps = 1e-6, weight_decay = 0.0 }"
    with (package / "catalogue.toml").open("a", encoding="utf-8") as file:
        file.write("\n".join(["", "[lamb]", *lines, "memory = 2", f"settings = {settings}", ""]))
    code = (  # `test_outside_the_package` checks the laws of the same rule; a dry run measures the machine for seconds
        "import pickle; from jaxopt_lite import optimizers as opt; from jaxopt_lite.cli import main;"
        "from jaxopt_lite.sweeps import _estimate; _estimate.matmul_rate = lambda *_: 1e9;"
        "assert repr(opt.lamb(0.1)) == 'lamb(learning_rate=0.1)';"
        "assert pickle.loads(pickle.dumps(opt.lamb(0.1))) == opt.lamb(0.1);"
        "codes = [main(words.split()) for words in ('list optimizers', 'explain lamb',"
        "'sweep digits --optimizer lamb --activation relu --learning-rate 0.01 --dry-run')];"
        "assert not any(codes), codes"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("(|p|/|d|)") >= 2, done.stdout
