"""The sweep command: what it prints, what it keeps, and that wrong input changes nothing."""

import json
import re
import shutil
import signal
import sqlite3
import time
from contextlib import closing

import pytest

from jaxopt_lite import sweeps
from jaxopt_lite.sweeps.store._ledger import Ledger
from tests.cli.processes import SMALL, started


def test_json_is_one_object_and_nothing_else(swept, folder):
    assert swept.returncode == 0, swept.stderr
    figures = json.loads(swept.stdout)
    assert figures["trials"] == 4
    assert {"programs", "compile_seconds", "run_seconds", "trials_per_second", "best", "store"} <= set(figures)
    assert figures["best"]["optimizer"] == "adam"
    assert figures["best"]["learning_rate"] in (0.01, 0.1)
    assert "4/4 trials" in swept.stderr
    assert (folder / "done" / "report.html").stat().st_size > 10_000


def test_report_shows_and_exports_a_store(swept, folder, command, tmp_path):
    assert swept.returncode == 0, swept.stderr
    status, out, err = command("report", str(folder / "done"), "--out", "page.html", "--csv", "table.csv")
    assert status == 0, err
    assert "adam" in out
    assert (tmp_path / "page.html").read_text().lstrip().lower().startswith("<!doctype html")
    assert len((tmp_path / "table.csv").read_text().splitlines()) == 5


def test_resuming_a_finished_sweep_returns_its_results(swept, folder, command, tmp_path):
    assert swept.returncode == 0, swept.stderr
    shutil.copytree(folder / "done", tmp_path / "done")
    status, out, err = command("sweep", "--store", "done", "--resume", "--json")
    assert status == 0, err
    assert json.loads(out)["best"] == json.loads(swept.stdout)["best"]
    assert json.loads(out)["trials_run"] == 0
    assert "compiling" not in err and err.startswith("the sweep is complete, nothing is left to run, best run ")
    status, out, err = command("sweep", "--store", "done", "--resume")
    assert status == 0 and "the sweep is complete, nothing was left to run\nstore  done\n" in out
    status, out, err = command("sweep", "--store", "done", "--resume", "--keep", "all")
    assert status == 0, err
    assert re.search(r"programs? ready in .* s, \d+ training steps in", out)  # those of the states that were not kept


def test_a_dry_run_writes_nothing(command, tmp_path):
    status, out, err = command("sweep", "--dry-run")
    assert status == 0, err
    assert "160 settings × 3 seeds = 480 runs" in out
    assert re.search(r"chunks .* of 2 runs", out)
    assert re.search(r"memory .* MB", out)
    assert re.search(r"estimate .* s of training", out)
    assert list(tmp_path.iterdir()) == []


def test_the_search_is_passed_to_the_plan(command, monkeypatch):
    searches, plan = [], sweeps.plan
    monkeypatch.setattr(sweeps, "plan", lambda *args, **given: searches.append(given["search"]) or plan(*args, **given))
    arguments = ["sweep", "spirals", *SMALL, "--learning-rate", "1e-4:1", "--trials", "4", "--dry-run"]
    for flags in ([], ["--search", "quasi-random"]):
        status, out, err = command(*arguments, *flags)
        assert status == 0, err
        assert "4 settings × 2 seeds = 8 runs" in out
    assert searches == [None, "quasi-random"]


def test_settings_are_stopped_confirmed_and_kept(command, tmp_path):
    arguments = ["sweep", "spirals", "--activation", "tanh", "--optimizer", "adam", "--learning-rate", "1e-3:1:6"]
    stopped = ["--seeds", "2", "--steps", "30", "--stop", "halving:eta=2,first=1/3", "--confirm", "1:2", "--keep", "2"]
    status, out, err = command(*arguments, *stopped, "--store", "s", "--json")
    assert status == 0, err
    found = json.loads(out)
    assert (found["trials"], found["settings"], found["pruned"]) == (14, 6, 9)
    assert found["share"] < 0.6
    assert found["best"]["confirmed"]["seeds"] == 2
    ledger = Ledger.open(tmp_path / "s", write=False)
    assert len(ledger.stored()) == 2 + 2  # one setting is done with both seeds; it has two further ones
    ledger.close()
    status, out, err = command("sweep", "--store", "s", "--extend", "--seeds", "3", "--json")
    assert status == 0, err
    assert json.loads(out)["seeds"] == [0, 1, 2]


def test_a_dry_run_says_what_is_stopped(command):
    sizes = ["spirals", *SMALL[:4], "--learning-rate", "1e-3:1:160", "--steps", "500"]
    status, out, err = command("sweep", *sizes, "--stop", "halving", "--confirm", "2:5", "--dry-run")
    assert status == 0, err
    assert "halving(eta=3, first=0.1111, race=True), compared at steps 56, 167, 500: about 1" in out
    assert "the best 2 settings with 5 seeds" in out


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--stop", "halve"], "unknown rule 'halve': did you mean 'halving'?"),
        (["--stop", "halving:etta=2"], "unknown setting 'etta': did you mean 'eta'?"),
        (["--stop", "halving:eta=1"], "eta above 1"),
        (["--stop", "halving:eta=x"], "eta takes a number such as 3 or 1/9, got 'x'"),
        (["--stop", "halving:eta=1e400"], "eta takes a number such as 3 or 1/9, got '1e400'"),
        (["--stop", "halving:race=2"], "race takes true or false"),
        (["--stop", "halving:first=1/1000", "--steps", "20"], "below one step of 20"),
        (["--confirm", "3"], "--confirm 3: it takes K:N"),
        (["--confirm", "9:1", *SMALL], "needs 9 settings, but the sweep has 2 settings"),
        (["--keep", "-1"], "--keep -1: it must be a number of settings, or all"),
        (["--search", "tpe"], "--search tpe needs --trials N"),
        (["--learning-rate", "0.1:0.1000001:3"], "the rates would not differ in six digits"),
        (["--extend"], "--extend needs --store DIR"),
        (["--extend", "--resume", "--store", "s"], "give one of them"),
    ],
    ids=str,
)
def test_wrong_stopping_gets_one_line(command, tmp_path, flags, message):
    status, out, err = command("sweep", "spirals", *flags)
    assert (status, out) == (2, "")
    assert message in err and err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


LONG = ["sweep", "spirals", *SMALL[:6], "--seeds", "8", "--store"]


def interrupted(number, folder, store, steps):
    """Whether a signal reached a sweep in time: after the first segment of a run, before the end of the last."""
    with started(*LONG, store, "--steps", str(steps), cwd=folder) as process:
        for line in process.stderr:
            if "trials" in line:
                break
        with closing(sqlite3.connect(f"file:{folder / store / 'ledger.sqlite'}?mode=ro", uri=True)) as ledger:
            while process.poll() is None and not ledger.execute("SELECT MAX(step) FROM trials").fetchone()[0]:
                time.sleep(0.01)
            process.send_signal(number)
            _, err = process.communicate()
            if all(status == "done" for (status,) in ledger.execute("SELECT status FROM trials")):
                return False
    assert process.returncode == 130
    assert f"jaxopt-lite sweep --store {store} --resume" in err
    assert "Traceback" not in err
    return True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_then_resume(number, tmp_path, command):
    # longer runs until the signal comes in time: how long a run takes depends on the machine and what else it does
    store = next(
        f"cut{steps}" for steps in (8000, 64000, 512000) if interrupted(number, tmp_path, f"cut{steps}", steps)
    )
    status, out, err = command("sweep", "--store", store, "--resume", "--json")
    assert status == 0, err
    figures = json.loads(out)
    assert figures["done"] == 16
    assert 0 < figures["trials_run"] <= 16


def test_two_sweeps_started_at_once_use_two_folders(tmp_path):
    pair = [started("sweep", "spirals", *SMALL, "--json", cwd=tmp_path) for _ in range(2)]
    outputs = [process.communicate() for process in pair]
    assert [process.returncode for process in pair] == [0, 0], outputs
    assert {json.loads(out)["store"] for out, _ in outputs} == {"runs/spirals", "runs/spirals-2"}
    assert [json.loads(out)["done"] for out, _ in outputs] == [4, 4]


STREAM = """
import numpy as np
from flax import nnx
from jaxopt_lite import training

class Examples:
    reads = 0
    def __len__(self):
        return 64
    def __getitem__(self, index):
        Examples.reads += 1
        if Examples.reads > 1000:
            raise OSError("the disk is gone")
        return np.full(3, index, np.float32), index % 2

build = lambda trial, rngs: nnx.Linear(3, 2, rngs=rngs)
test = np.zeros((4, 3), np.float32), np.zeros(4, np.int32)
task = training.streamed(build, Examples(), batch_size=8, test=test)
"""


def test_data_that_cannot_be_read_end_a_sweep_with_one_line(command, tmp_path):
    (tmp_path / "mine.py").write_text(STREAM)
    flags = ["--optimizer", "sgd", "--learning-rate", "0.1", "--steps", "1000", "--store", "s"]
    status, _, err = command("sweep", "mine.py:task", *flags)
    assert status == 2
    assert "OSError: the disk is gone" in err.splitlines()[-1]
    assert err.splitlines()[-1].endswith("continue with: jaxopt-lite sweep --store s --resume")
    assert "Traceback" not in err


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
nothing = mine._replace(init=lambda trial, key: 0.0, step=lambda trial, carry, data, key: (carry, {"loss": carry}),
                        evaluate=lambda trial, carry, data: {"test_loss": carry})

def init(trial, key):
    w = np.float32(1.0)
    return w, trial["optimizer"].init(w)

def step(trial, carry, data, key):
    w, state = carry
    update, state = trial["optimizer"].update(2 * w, state, w)
    return (w + update, state), {"loss": w**2}

parabola = training.Task(init, step, lambda trial, carry, data: {"test_loss": carry[0] ** 2}, None, name="parabola")
misnamed = parabola._replace(evaluate=lambda trial, carry, data: {"val_loss": carry[0] ** 2})
named_seed = parabola._replace(evaluate=lambda trial, carry, data: {"test_loss": carry[0] ** 2, "seed": 1.0})
lower = parabola._replace(mode="lower")
vector = parabola._replace(evaluate=lambda trial, carry, data: {"test_loss": carry[0] * np.ones(2)})
perplexity = parabola._replace(
    evaluate=lambda trial, carry, data: {"test_loss": carry[0] ** 2, "perplexity": np.float32("nan")}
)
number = 5
broken = lambda: 1 / 0
twice = parabola._replace(test=parabola.evaluate)
"""


def test_a_task_of_a_file_is_swept_over_the_entries_that_it_reads(command, tmp_path):
    (tmp_path / "task.py").write_text(TASK)
    rates = ["--optimizer", "sgd,adam", "--learning-rate", "0.01:1", "--trials", "6", "--seeds", "1", "--steps", "30"]
    status, out, err = command("sweep", "task.py:mine", *rates, "--json")
    assert status == 0, err
    figures = json.loads(out)
    assert figures["trials"] == 6
    assert "activation" not in figures["best"]
    assert figures["store"] == "runs/task"


def test_a_score_that_is_not_finite_is_null_in_json(command, tmp_path):
    (tmp_path / "task.py").write_text(TASK)
    rates = ["--optimizer", "sgd", "--learning-rate", "0.1,0.2"]
    status, out, err = command("sweep", "task.py:perplexity", *rates, "--steps", "5", "--json")
    assert status == 0, err
    best = json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))["best"]
    assert best["perplexity"] is None and best["test_loss"] < 1


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
    "continuous range": (["--learning-rate", "1e-4:1"], "--trials"),
    "range upside down": (["--learning-rate", "1:1e-4:8"], "low must be below high"),
    "half a rate": (["--learning-rate", "1e-4:1:2.5"], "whole number"),
    "unknown search": (["--search", "randm"], "unknown search 'randm': did you mean 'random'?"),
    "search without a number": (["--search", "quasi-random"], "--search quasi-random needs --trials N"),
    "grid of a range": (["--search", "grid", "--learning-rate", "1e-4:1", "--trials", "5"], "add a count (1e-4:1:8)"),
    "zero seeds": (["--seeds", "0"], "at least 1"),
    "zero steps": (["--steps", "0"], "at least 1"),
    "seeds in words": (["--seeds", "three"], "invalid int value"),
    "batch of nothing": (["--batch-size", "0"], "at least 1"),
    "store that exists": (["--store", "../done"], "--resume"),
    "store below a file": (["--store", "../file/store"], "is a file"),
    "store that cannot be": (["--store", "/proc/store"], "cannot write"),
    "resume without a store": (["--resume"], "needs --store"),
    "resume of nothing": (["--resume", "--store", "nothing"], "holds no sweep"),
    "resume of another": (["--resume", "--store", "../done", "--steps", "21"], "--steps 20, not 21"),
    "resume of another task": (["digits", "--resume", "--store", "../done"], "TASK spirals, not digits"),
    "damaged ledger": (["--resume", "--store", "../damaged"], "damaged"),
    "no such file": (["nowhere.py:task"], "no file"),
    "no such object": (["../task.py:min"], "no object 'min': did you mean 'mine'?"),
    "no task": (["../task.py:number"], "of type int, not a training.Task"),
    "broken file": (["../broken.py:task"], "ZeroDivisionError: division by zero (broken.py, line 2)"),
    "activation that the task does not read": (
        ["../task.py:mine", "--activation", "tanh,sigmoid"],
        "--activation tanh,sigmoid has no effect: task 'task' does not read trial['activation']",
    ),
    "task that reads nothing": (["../task.py:nothing"], "nothing to sweep"),
    "task function that fails": (["../task.py:broken"], "ZeroDivisionError: division by zero (task.py, line 37)"),
    "objective that the task does not give": (
        ["../task.py:misnamed"],
        "task 'parabola' is ranked by unknown score 'test_loss'",
    ),
    "score with the name of a column": (["../task.py:named_seed"], "gives a score 'seed'"),
    "unknown mode": (["../task.py:lower"], 'must be "min" or "max", got \'lower\''),
    "score that is no scalar": (["../task.py:vector"], "evaluate of task 'parabola' must give scalars"),
    "score of both functions": (
        ["../task.py:twice"],
        "evaluate and test of task 'parabola' both return a score 'test_loss'",
    ),
    "abbreviated flag": (["--seed", "7"], "unrecognized argument '--seed': did you mean '--seeds'?"),
    "file without a name": (["../task.py"], "as ../task.py:name"),
    "batch size for a file": (["../task.py:mine", "--batch-size", "5"], "sets its own batch size"),
    "batch larger than the data": (["spirals", "--batch-size", "100000"], "--batch-size 100000"),
    "file that needs what is not there": (
        ["../needs.py:task"],
        "ModuleNotFoundError: No module named 'nowhere_at_all'",
    ),
}


@pytest.fixture(scope="module")
def surroundings(folder, swept):
    """A folder with stores and files that wrong input refers to."""
    assert swept.returncode == 0, swept.stderr
    (folder / "file").write_text("")
    (folder / "task.py").write_text(TASK)
    (folder / "broken.py").write_text("x = 1\ny = x / 0\n")
    (folder / "needs.py").write_text("import nowhere_at_all\n")
    (folder / "damaged").mkdir(exist_ok=True)
    (folder / "damaged" / "ledger.sqlite").write_bytes(b"SQLite format 3\0" + b"x" * 5000)
    return folder


def contents(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("arguments, message", BAD.values(), ids=BAD)
def test_wrong_input_gets_one_line_and_status_2_and_changes_no_file(
    surroundings, arguments, message, request, monkeypatch, command
):
    empty = surroundings / re.sub(r"\W+", "-", request.node.callspec.id)
    empty.mkdir()
    monkeypatch.chdir(empty)
    before = contents(surroundings)
    status, out, err = command("sweep", *arguments)
    assert status == 2
    assert message in err
    assert len([line for line in err.splitlines() if not line.startswith("compiling")]) == 1, err
    assert out == ""
    assert list(empty.iterdir()) == []
    assert {p: b for p, b in contents(surroundings).items() if "__pycache__" not in p.parts} == before


def test_the_best_model_is_exported(folder, swept, command, tmp_path):
    import orbax.checkpoint

    best = json.loads(swept.stdout)["best"]
    status, out, err = command("export", str(folder / "done"), "model")
    assert status == 0, err
    assert f"learning_rate {best['learning_rate']:.4g}" in out
    with orbax.checkpoint.StandardCheckpointer() as checkpointer:
        arrays = checkpointer.restore((tmp_path / "model").absolute())
    assert arrays["layers"]["0"]["kernel"].shape[0] == 2
    status, out, err = command("export", str(folder / "done"), "model")
    assert (status, out) == (2, "") and "exists" in err
    status, out, err = command("export", "nowhere", "other")
    assert (status, out) == (2, "") and "holds no sweep" in err
