"""The diagnose command: what it takes for a model and for inputs, what it prints, and input that cannot work."""

import json

import pytest

MINE = """
import jax, numpy as np
from flax import linen as nn, nnx
from jaxopt_lite import training
from jaxopt_lite.flax import MLP

x = np.random.default_rng(0).normal(size=(300, 8)).astype("float32")
y = (x.sum(1) > 0).astype("int32")
data = (x, y)
parts = ((x[:200], y[:200]), (x[200:], y[200:]))
pair = (x, x[:, :2])
text = "no numbers"


def build(trial, rngs):
    return MLP((8, *[16] * 6, 2), trial["activation"], rngs=rngs)


def of_rngs(rngs):
    return MLP((8, 16, 2), jax.nn.tanh, rngs=rngs)


class Tokens(nnx.Module):
    def __init__(self, *, rngs):
        self.embed, self.out = nnx.Embed(20, 8, rngs=rngs), nnx.Linear(8, 3, rngs=rngs)

    def __call__(self, x):
        return self.out(nnx.relu(self.embed(x)))


module = of_rngs(nnx.Rngs(0))
linen = nn.Sequential([nn.Dense(8), nn.relu, nn.Dense(2)])
bound = (linen, linen.init(jax.random.key(0), x))
task = training.supervised(lambda trial, rngs: MLP((8, 16, 2), trial["activation"], rngs=rngs), parts)
number = 3
"""


@pytest.fixture
def diagnose(command, tmp_path):
    (tmp_path / "mine.py").write_text(MINE)
    return lambda *words: command("diagnose", *words)


def test_table_and_picture(diagnose, tmp_path):
    status, out, err = diagnose("mine.py:build", "--activation", "sigmoid", "--plot", "picture.svg")
    assert (status, err) == (0, "")
    assert "VANISHING: the gradient at layers.0 is " in out
    assert out.endswith("\n\npicture  picture.svg\n")
    assert (tmp_path / "picture.svg").stat().st_size > 10_000


@pytest.mark.parametrize(
    "words, layers",
    [
        (("mine.py:of_rngs",), 2),
        (("mine.py:module", "--data", "mine.py:parts"), 2),
        (("mine.py:linen",), 2),
        (("mine.py:bound", "--data", "mine.py:x"), 2),
        (("mine.py:task", "--activation", "tanh"), 2),
        (("mine.py:Tokens", "--input", "8,4", "--vocabulary", "20"), 2),
        (("mine.py:module", "--data", "mine.py:pair"), 2),
    ],
)
def test_json_is_one_object(diagnose, words, layers):
    status, out, err = diagnose(*words, "--json")
    assert (status, err) == (0, "")
    found = json.loads(out)
    assert found["verdict"] == "healthy" and len(found["layers"]) == layers
    expected = "tanh" if "task" in words[0] or "module" in words[0] or "of_rngs" in words[0] else "relu"
    assert found["layers"][0]["activation"] == expected
    assert (found["loss"] is None) == (words[-1] == "mine.py:x" or "--input" in words)


@pytest.mark.parametrize(
    "words, message",
    [
        (("build",), "say in which file the model is, as mine.py:build"),
        (("mine.py:modul",), "mine.py has no object 'modul': did you mean 'module'?"),
        (("mine.py:number",), "mine.py:number is not a model or a function that builds one"),
        (("mine.py:module", "--data", "x"), "--data x: say in which file it is, as mine.py:x"),
        (("mine.py:module", "--data", "mine.py:text"), "--data mine.py:text must be an array x or a pair (x, y)"),
        (("mine.py:module", "--data", "mine.py:x", "--input", "3,8"), "give one of them"),
        (("mine.py:module", "--input", "3,x"), "--input 3,x: give the shape of a batch, as 64,784"),
        (("mine.py:module", "--input", "100000,100000"), "10,000,000,000 numbers are too many"),
        (("mine.py:module", "--input", "1,8"), "give a batch of at least 2 examples"),
        (("mine.py:module", "--input", "3,5"), "mine.py:module with inputs of shape (3, 5)"),
        (("mine.py:Tokens", "--input", "3,5", "--vocabulary", "0"), "--vocabulary 0: it must be at least 1"),
        (("mine.py:module", "--loss", "mes"), "did you mean 'mse'?"),
        (("mine.py:build", "--activation", "rel"), "unknown activation 'rel': did you mean 'relu'?"),
        (("mine.py:module", "--plot", "picture.txt"), "the name of a picture ends in .png, .svg or .pdf"),
    ],
)
def test_input_that_cannot_work_is_one_line(diagnose, words, message):
    status, out, err = diagnose(*words)
    assert (status, out) == (2, "")
    assert message in err and err.count("\n") == 1 and err.startswith("jaxopt-lite: ")


def test_a_file_without_data_asks_for_inputs(command, tmp_path):
    (tmp_path / "bare.py").write_text("from flax import nnx\nmodel = nnx.Linear(3, 2, rngs=nnx.Rngs(0))\n")
    status, _, err = command("diagnose", "bare.py:model")
    assert status == 2 and "bare.py:model has no inputs: give --data file.py:name, or --input 64,784" in err


def test_the_first_step_of_an_optimizer(diagnose):
    status, out, err = diagnose("mine.py:of_rngs", "--optimizer", "adam", "--learning-rate", "3", "--json")
    assert (status, err) == (0, "")
    assert json.loads(out)["verdict"] == "rate high"
    status, out, _ = diagnose("mine.py:of_rngs", "--optimizer", "sgd")
    assert status == 0 and " update" in out.splitlines()[0]


@pytest.mark.parametrize(
    "words, message",
    [
        (("--optimizer", "adan"), "unknown optimizer 'adan'"),
        (("--learning-rate", "0.1"), "give --optimizer, as adam"),
        (("--optimizer", "adam", "--learning-rate", "-1"), "--learning-rate -1: "),
    ],
)
def test_optimizers_that_cannot_be(diagnose, words, message):
    status, out, err = diagnose("mine.py:of_rngs", *words)
    assert (status, out) == (2, "")
    assert message in err and len(err.splitlines()) == 1
