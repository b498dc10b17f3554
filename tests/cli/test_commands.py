"""The command line as a person meets it: in a process of its own."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

SMALL = ["--activation", "tanh", "--optimizer", "adam", "--learning-rate", "0.01,0.1", "--seeds", "2", "--steps", "20"]


def command(*arguments):
    return [sys.executable, "-m", "jaxopt_lite", *arguments]


def ran(*arguments, cwd, **more):
    return subprocess.run(command(*arguments), cwd=cwd, capture_output=True, text=True, timeout=180, **more)


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    return tmp_path_factory.mktemp("cli")


@pytest.fixture(scope="module")
def swept(here):
    """A small sweep of the spirals, by the command."""
    return ran("sweep", "spirals", *SMALL, "--store", "done", "--json", cwd=here)


@pytest.mark.parametrize("arguments", [["--help"], ["list", "activations"], ["list", "optimizers"], ["list", "tasks"]])
def test_help_and_lists_come_at_once_and_without_jax(arguments, tmp_path):
    code = (
        "import sys; from jaxopt_lite.cli import main\n"
        f"try: main({arguments!r})\nexcept SystemExit: pass\n"
        "bad = {'jax', 'numpy', 'flax', 'optax', 'matplotlib', 'rich'} & set(sys.modules); assert not bad, bad"
    )
    times = []
    for _ in range(3):
        begun = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
        times.append(time.perf_counter() - begun)
        assert done.returncode == 0, done.stderr
    assert min(times) < 0.5
    assert done.stdout


def test_lists_have_every_row(tmp_path):
    from jaxopt_lite import activations, optimizers

    for kind, catalogue in {"activations": activations.CATALOGUE, "optimizers": optimizers.CATALOGUE}.items():
        found = [line.split()[0] for line in ran("list", kind, cwd=tmp_path).stdout.splitlines()]
        assert found == list(catalogue)


def test_json_is_one_object_and_nothing_else(swept, here):
    assert swept.returncode == 0, swept.stderr
    found = json.loads(swept.stdout)
    assert found["trials"] == 4
    assert {"programs", "compile_seconds", "run_seconds", "trials_per_second", "best", "store"} <= set(found)
    assert found["best"]["optimizer"] == "adam"
    assert found["best"]["learning_rate"] in (0.01, 0.1)
    assert "4/4 trials" in swept.stderr
    assert (here / "done" / "report.html").stat().st_size > 10_000


def test_the_store_loads_and_reports(swept, here):
    found = ran("report", "done", "--out", "page.html", "--csv", "table.csv", cwd=here)
    assert found.returncode == 0, found.stderr
    assert "adam" in found.stdout
    assert (here / "page.html").read_text().lstrip().lower().startswith("<!doctype html")
    assert len((here / "table.csv").read_text().splitlines()) == 5


def test_resuming_what_is_finished_gives_the_same(swept, here):
    again = ran("sweep", "--store", "done", "--resume", "--json", cwd=here)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["best"] == json.loads(swept.stdout)["best"]
    assert json.loads(again.stdout)["trials_run"] == 0


def test_a_dry_run_writes_nothing(tmp_path):
    found = ran("sweep", "--dry-run", cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    assert "160 settings × 3 seeds = 480 runs" in found.stdout
    assert re.search(r"chunks .* of 8 runs", found.stdout)
    assert re.search(r"memory .* MB", found.stdout)
    assert re.search(r"estimate .* s of training", found.stdout)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_keeps_what_is_done_and_says_how_to_go_on(tmp_path):
    arguments = ["sweep", "spirals", *SMALL[:6], "--seeds", "40", "--steps", "20000", "--store", "cut"]
    process = subprocess.Popen(command(*arguments), cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if "trials" in line:
            break
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    rest = process.stderr.read()
    assert process.wait(60) == 130
    process.stderr.close()
    assert "jaxopt-lite sweep --store cut --resume" in rest
    assert "Traceback" not in rest


TASK = """
import numpy as np
from flax import nnx
from jaxopt_lite import training

class Net(nnx.Module):
    def __init__(self, rngs):
        self.layer = nnx.Linear(3, 2, rngs=rngs)
    def __call__(self, x):
        return self.layer(x)

rng = np.random.default_rng(0)
x = rng.normal(size=(60, 3)).astype("float32")
y = (x.sum(axis=1) > 0).astype("int32")
mine = training.supervised(lambda trial, rngs: Net(rngs), ((x[:40], y[:40]), (x[40:], y[40:])), batch_size=10)
number = 5
"""


def test_a_task_of_ones_own(tmp_path):
    (tmp_path / "task.py").write_text(TASK)
    rates = ["--optimizer", "sgd,adam", "--learning-rate", "0.01:1", "--trials", "6", "--seeds", "1", "--steps", "30"]
    found = ran("sweep", "task.py:mine", *rates, "--json", cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    figures = json.loads(found.stdout)
    assert figures["trials"] == 6
    assert "activation" not in figures["best"]  # the task does not ask for one
    assert figures["store"] == "runs/task"


BAD = {
    "unknown activation": (["--activation", "rleu"], "did you mean 'relu'"),
    "unknown optimizer": (["--optimizer", "adamm"], "did you mean 'adam'"),
    "unknown task": (["digit"], "did you mean 'digits'"),
    "gated activation": (["--activation", "swiglu"], "takes two inputs"),
    "no activation": (["--activation", ","], "--activation is empty"),
    "negative rate": (["--learning-rate", "-0.1"], "positive"),
    "negative rate in a range": (["--learning-rate=-1:1:3"], "positive"),
    "no number": (["--learning-rate", "fast"], "not a number"),
    "nan rate": (["--learning-rate", "nan"], "positive"),
    "range without end": (["--learning-rate", "1e-4:1"], "--trials"),
    "range upside down": (["--learning-rate", "1:1e-4:8"], "low must be below high"),
    "half a rate": (["--learning-rate", "1e-4:1:2.5"], "whole number"),
    "zero seeds": (["--seeds", "0"], "at least 1"),
    "zero steps": (["--steps", "0"], "at least 1"),
    "seeds in words": (["--seeds", "three"], "invalid int value"),
    "batch of nothing": (["--batch-size", "0"], "at least 1"),
    "store that exists": (["--store", "../held"], "--resume"),
    "store below a file": (["--store", "../file/store"], "is a file"),
    "store that cannot be": (["--store", "/proc/store"], "cannot write"),
    "resume without a store": (["--resume"], "needs --store"),
    "resume of nothing": (["--resume", "--store", "nothing"], "holds no sweep"),
    "resume of another": (["--resume", "--store", "../held", "--steps", "21"], "--steps 20, not 21"),
    "resume of another task": (["digits", "--resume", "--store", "../held"], "TASK spirals, not digits"),
    "damaged ledger": (["--resume", "--store", "../damaged"], "damaged"),
    "no such file": (["nowhere.py:task"], "no file"),
    "no such object": (["../task.py:yours"], "no object 'yours'"),
    "no task": (["../task.py:number"], "of type int, not a training.Task"),
    "broken file": (["../broken.py:task"], "ZeroDivisionError: division by zero (broken.py, line 2)"),
    "file that needs what is not there": (
        ["../needs.py:task"],
        "ModuleNotFoundError: No module named 'nowhere_at_all'",
    ),
}


@pytest.fixture(scope="module")
def around(here, swept):
    """Stores and files that things go wrong with."""
    (here / "held").symlink_to(here / "done")
    (here / "file").write_text("")
    (here / "task.py").write_text(TASK)
    (here / "broken.py").write_text("x = 1\ny = x / 0\n")
    (here / "needs.py").write_text("import nowhere_at_all\n")
    (here / "damaged").mkdir(exist_ok=True)
    (here / "damaged" / "ledger.sqlite").write_bytes(b"SQLite format 3\0" + b"x" * 5000)
    return here


@pytest.mark.parametrize("arguments, message", BAD.values(), ids=BAD)
def test_wrong_input_gets_one_line_and_status_2_and_nothing_is_written(
    around, arguments, message, request, monkeypatch, capfd
):
    from jaxopt_lite.cli import main

    empty = around / re.sub(r"\W+", "-", request.node.callspec.id)
    empty.mkdir()
    monkeypatch.chdir(empty)
    try:
        status = main(["sweep", *arguments])
    except SystemExit as stopped:
        status = stopped.code
    out, err = capfd.readouterr()
    assert status == 2
    assert message in err
    assert len(err.splitlines()) == 1, err
    assert out == ""
    assert list(empty.iterdir()) == []


@pytest.mark.parametrize(
    "arguments", [["explain", "tanhh"], ["report", "nothing"], ["list", "models"], ["explain"], []]
)
def test_the_other_commands_complain_alike(arguments, tmp_path):
    found = ran(*arguments, cwd=tmp_path)
    assert found.returncode == 2
    assert len(found.stderr.splitlines()) == 1, found.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["tanh", "adam"])
def test_explain_prints_a_card_and_draws_a_picture(name, tmp_path):
    found = ran("explain", name, cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    assert name in found.stdout
    assert max(map(len, found.stdout.splitlines())) <= 80
    picture = (tmp_path / f"{name}.png").read_bytes()
    assert picture.startswith(b"\x89PNG") and len(picture) > 10_000


def test_a_terminated_sweep_can_be_gone_on_with(tmp_path):
    arguments = ["sweep", "spirals", *SMALL[:6], "--seeds", "30", "--steps", "3000", "--store", "cut"]
    process = subprocess.Popen(command(*arguments), cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if "trials" in line:
            break
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == 130
    found = ran("sweep", "--store", "cut", "--resume", "--json", cwd=tmp_path, env=os.environ | {"NO_COLOR": "1"})
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout)["done"] == 60
