"""Activations and optimizers in a user's file: listed, explained and swept as `file.py:name`."""

import json

import pytest

from jaxopt_lite import activations, optimizers

PARTS = '''
import jax.numpy as jnp
from jaxopt_lite import optimizers as opt, training

shrinking = training.Task(
    lambda trial, key: jnp.ones(3), lambda trial, w, data, key: (w / 2, {"loss": w.sum()}),
    lambda trial, w, data: {"size": w.sum()}, data=jnp.ones((4, 2)), objective="size",
)

def wavy(x, frequency=3.0):
    """x + sin(frequency · x)."""
    return x + jnp.sin(frequency * x)

def slow_sgd(learning_rate):
    """SGD with clipped gradients."""
    return opt.chain(opt.clip_by_global_norm(0.1), opt.sgd(learning_rate))

def same(x):
    """x + sin(3x)."""
    return x + jnp.sin(3.0 * x)

def pair(x):
    return x, x

def scaled(learning_rate):
    return opt.sgd(0.5 * learning_rate)
'''


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "parts.py"
    path.write_text(PARTS)
    return str(path)


def test_the_activations_and_optimizers_of_a_file_are_listed(file, command):
    status, out, err = command("list", file)
    assert status == 0, err
    listed = {name: kind for name, kind, *_ in map(str.split, out.splitlines())}
    kinds = {"shrinking": "task"}
    kinds |= {"wavy": "activation", "same": "activation", "slow_sgd": "optimizer", "scaled": "optimizer"}
    assert listed == kinds
    assert "SGD with clipped gradients." in out


def test_a_function_of_a_file_is_explained(file, command):
    status, out, err = command("explain", f"{file}:wavy")
    assert status == 0, err
    assert out.startswith("wavy(x, frequency=3.0)\n")
    assert "x + sin(frequency · x)." in out


def test_a_function_without_a_docstring_is_explained_by_its_signature(file, command):
    assert command("explain", f"{file}:pair") == (0, "pair(x)\n", "")


def test_a_task_of_a_file_is_explained(file, command):
    status, out, err = command("explain", f"{file}:shrinking")
    assert status == 0, err
    assert out.startswith("shrinking: a task\n")
    assert "size, smaller is better" in out
    assert "float32[4, 2]" in out


def test_the_functions_of_a_file_are_swept_beside_those_of_the_catalogue(file, command, tmp_path):
    names = ["--activation", f"tanh,{file}:wavy", "--optimizer", f"sgd,{file}:slow_sgd"]
    sizes = ["--learning-rate", "0.1", "--seeds", "1", "--steps", "5"]
    status, out, err = command("sweep", "spirals", *names, *sizes, "--store", "swept", "--json")
    assert status == 0, err
    assert json.loads(out)["trials"] == 4
    status, _, err = command("report", "swept", "--csv", "table.csv")
    assert status == 0, err
    rows = [line.split(",")[:2] for line in (tmp_path / "table.csv").read_text().splitlines()[1:]]
    assert sorted(rows) == [["tanh", "sgd"], ["tanh", "slow_sgd"], ["wavy", "sgd"], ["wavy", "slow_sgd"]]


REGISTERED = """
import jax.numpy as jnp
from jaxopt_lite import activations, optimizers

def _square(x):
    '''The square.'''
    return x * x

def plain(learning_rate):
    '''SGD.'''
    return optimizers.sgd(learning_rate)

texts = dict(use="Tests.", weakness="None.", reference="Nobody, 2025")
activations.register(_square, name="square", formula="x²", **texts)
optimizers.register(plain, title="Plain descent", formula="p ← p − rate·g", learning_rate=(1e-3, 1.0), **texts)
"""


@pytest.fixture
def registering(tmp_path, monkeypatch):
    """A file that registers names; the catalogues are as before afterwards."""
    path = tmp_path / "registering.py"
    path.write_text(REGISTERED)
    for catalogue in (activations.CATALOGUE, optimizers.CATALOGUE, optimizers.CATALOGUE.functions):
        for name in ("square", "plain"):
            monkeypatch.setitem(catalogue, name, None)
            monkeypatch.delitem(catalogue, name)
    return str(path)


def test_names_that_a_file_registers_are_listed_explained_and_swept(registering, command, tmp_path):
    status, out, err = command("list", registering)
    assert status == 0, err
    assert sorted(line.split()[:3] for line in out.splitlines()) == [
        ["plain", "optimizer", "p"],
        ["square", "activation", "x²"],
    ]
    status, out, err = command("explain", f"{registering}:square")
    assert status == 0, err
    assert out.startswith("square(x)\n\nThe square.\n\nformula    x²\nrange      [0, inf)\n")
    for label in ("centre", "shape", "saturates", "gain", "keeps", "use", "weakness", "reference"):
        assert f"\n{label} " in out
    out = command("explain", f"{registering}:plain")[1]
    assert "learning_rate from 0.001 to 1," in out
    assert "nothing but the settings" in out
    names = ["--activation", "tanh,square", "--optimizer", f"sgd,{registering}:plain"]
    status, out, err = command(
        "sweep", "spirals", *names, "--learning-rate", "0.1", "--seeds", "1", "--steps", "5", "--store", "s", "--json"
    )
    assert status == 0, err
    assert json.loads(out)["trials"] == 4


WRONG = {
    "misspelt activation": (["--activation", "{}:wavi"], "no object 'wavi': did you mean 'wavy'?"),
    "two outputs": (["--activation", "{}:pair"], "task 'spirals' fails for a trial of pair"),
    "not a function of the rate": (["--optimizer", "{}:wavy"], "--optimizer wavy"),
    "two equal activations": (["--activation", "{0}:wavy,{0}:same"], "'activation' has no effect on task 'spirals'"),
    "computes with the rate": (["--optimizer", "{}:scaled"], "must pass its learning rate on unchanged"),
}


@pytest.mark.parametrize("arguments, message", WRONG.values(), ids=WRONG)
def test_a_function_that_cannot_be_used_gets_one_line_and_status_2(arguments, message, file, command, tmp_path):
    arguments = [argument.format(file) for argument in arguments]
    status, out, err = command("sweep", "spirals", *arguments, "--steps", "5")
    assert status == 2
    assert message in err
    assert len([line for line in err.splitlines() if not line.startswith("compiling")]) == 1, err
    assert out == ""
    assert not (tmp_path / "runs").exists()


LAZY = """
def wavy(x):
    from beside_lazy import factor
    return factor * x
"""


def test_a_function_of_a_file_imports_a_file_beside_it_when_it_is_called(command, tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "lazy.py").write_text(LAZY)
    (tmp_path / "there" / "beside_lazy.py").write_text("factor = 2.0\n")
    names = ["--activation", "tanh,there/lazy.py:wavy", "--optimizer", "sgd", "--learning-rate", "0.1", "--seeds", "1"]
    status, out, err = command("sweep", "spirals", *names, "--steps", "5", "--json")
    assert status == 0, err
    assert json.loads(out)["trials"] == 2
