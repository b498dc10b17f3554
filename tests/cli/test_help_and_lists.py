"""Help, lists and cards: what there is, and the nearest name for what there is not."""

import inspect
import subprocess
import sys

import pytest

from jaxopt_lite import activations, optimizers

NO_JAX = [["--help"], ["sweep", "--help"], *(["list", kind] for kind in ("activations", "optimizers", "tasks"))]
NO_JAX += [["list", "wrappers"], ["list", "schedules"], ["explain", "guard"], ["explain", "adabelief"]]


@pytest.mark.parametrize("arguments", NO_JAX, ids=" ".join)
def test_help_lists_and_messages_do_not_import_jax(arguments, tmp_path):
    code = (
        "import sys; from jaxopt_lite.cli import main\n"
        f"try: main({arguments!r})\nexcept SystemExit: pass\n"
        "heavy = {'jax', 'numpy', 'flax', 'optax', 'matplotlib', 'rich'} & set(sys.modules); assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout or done.stderr


@pytest.mark.parametrize("kind", ["activations", "optimizers"])
def test_lists_have_every_row_of_the_catalogue(kind, command):
    catalogue = {"activations": activations.CATALOGUE, "optimizers": optimizers.CATALOGUE}[kind]
    status, out, _ = command("list", kind)
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()] == list(catalogue)


WRAPPERS = [
    "accumulate",
    "average",
    "chain",
    "clip_by_global_norm",
    "compress",
    "guard",
    "lift",
    "partition_by_path",
    "split_master",
    "stochastic_rounding",
]


def test_a_list_of_nothing_says_what_can_be_listed(command):
    status, out, _ = command("list")
    assert status == 0
    assert ["optimizers", str(len(optimizers.CATALOGUE)), "jaxopt-lite", "list", "optimizers"] in map(
        str.split, out.splitlines()
    )


@pytest.mark.parametrize("kind, names", [("wrappers", WRAPPERS), ("schedules", ["linear_schedule", "sgdr_schedule"])])
def test_wrappers_and_schedules_are_listed_and_explained(kind, names, command):
    listed = {line.split()[0]: line for line in command("list", kind)[1].splitlines()}
    for name in names:
        assert len(listed[name].split()) > 3
        status, out, _ = command("explain", name)
        assert status == 0
        assert out.startswith(f"optimizers.{name}(")
        assert (getattr(optimizers, name).__doc__ or "").split("\n")[0] in out


def test_functions_beside_the_wrappers_are_explained_and_not_listed(command):
    listed = {line.split()[0] for line in command("list", "wrappers")[1].splitlines()}
    assert listed >= set(WRAPPERS)
    for name in ("averaged", "loss_scale_of", "mean_gradients", "with_settings"):
        assert name not in listed
        assert command("explain", name)[1].startswith(f"optimizers.{name}(")


@pytest.mark.parametrize("name", ["tanh", "adam", "guard", "digits"])
def test_explain_prints_a_card_and_writes_nothing(name, command, tmp_path):
    status, out, _ = command("explain", name)
    assert status == 0
    assert name in out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["tanh", "adam"])
def test_explain_draws_a_picture_where_out_says(name, command, tmp_path):
    status, out, _ = command("explain", name, "--out", "card.png")
    assert status == 0
    assert "card.png" in out
    picture = (tmp_path / "card.png").read_bytes()
    assert picture.startswith(b"\x89PNG") and len(picture) > 10_000


WRONG = {
    "capital letter": (["explain", "adamW"], "did you mean 'adamw'?"),
    "wrapper misspelt": (["explain", "gard"], "did you mean 'guard'?"),
    "schedule misspelt": (["explain", "cosine_decay"], "did you mean 'cosine_decay_schedule'?"),
    "activation misspelt": (["explain", "tanhh"], "did you mean 'tanh'?"),
    "optimizer of optax": (["explain", "adabelief"], "optimizers.lift(optax.adabelief)"),
    "optimizer of optax in a sweep": (["sweep", "--optimizer", "adabelief"], "optimizers.lift(optax.adabelief)"),
    "wrapper of optax": (["explain", "MultiSteps"], "optimizers.accumulate"),
    "nothing like it": (["explain", "qqqq"], "see jaxopt-lite list activations"),
    "no name": (["explain"], "needs a NAME"),
    "name and all": (["explain", "tanh", "--all"], "not both"),
    "gallery without a folder": (["explain", "--all"], "--out"),
    "picture of a wrapper": (["explain", "guard", "--out", "x.png"], "activations and optimizers only"),
    "picture without a suffix": (["explain", "tanh", "--out", "x"], ".png"),
    "unknown list": (["list", "model"], "valid names are activations"),
    "unknown command": (["swep"], "did you mean 'sweep'?"),
    "unknown flag": (["sweep", "--activaton", "tanh"], "did you mean '--activation'?"),
    "no store": (["report", "nothing"], "holds no sweep"),
    "unknown benchmark": (["bench", "sweeps"], "did you mean 'sweep'?"),
    "unknown section": (["bench", "optimizers", "--only", "larg"], "did you mean 'large'?"),
    "picture in no folder": (["explain", "tanh", "--out", "no/x.png"], "there is no folder no"),
    "page instead of a folder": (["bench", "optimizers", "--out", "."], "--out .: it is a folder"),
    "table in no folder": (["report", "nothing", "--csv", "no/x.csv"], "--csv no/x.csv: there is no folder no"),
    "page in no folder": (["bench", "sweep", "--out", "no/page.md"], "there is no folder no"),
    "no command": ([], "COMMAND"),
}


@pytest.mark.parametrize("arguments, message", WRONG.values(), ids=WRONG)
def test_wrong_input_gets_one_line_and_status_2(arguments, message, command, tmp_path):
    status, out, err = command(*arguments)
    assert status == 2
    assert message in err
    assert len(err.splitlines()) == 1, err
    assert out == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [ValueError("internal"), TypeError("internal"), KeyError("internal")])
def test_an_error_inside_the_package_keeps_its_traceback(error, command, monkeypatch):
    from jaxopt_lite.cli import _catalogues

    def broken(kind):
        raise error

    monkeypatch.setattr(_catalogues, "titles", broken)
    with pytest.raises(type(error), match="internal"):
        command("list", "tasks")


BENCHES = {
    "sweep": (["sweep", "--small"], {"small": True}),
    "optimizers": (["optimizers", "--small", "--only", "facts,traces"], {"small": True, "only": ["facts", "traces"]}),
    "activations": (["activations", "--stride", "1000", "--only", "tanh"], {"stride": 1000, "only": ["tanh"]}),
}


@pytest.mark.parametrize("arguments, expected", BENCHES.values(), ids=BENCHES)
def test_bench_passes_its_flags_to_the_benchmark(arguments, expected, command, monkeypatch, tmp_path):
    from jaxopt_lite import bench

    kind, calls = arguments[0], []
    signature = inspect.signature(getattr(bench, kind))

    def measure(**given):
        signature.bind(**given)
        calls.append({name: value for name, value in given.items() if name != "progress"})
        given["progress"]("first part")
        return {"figure": 1}

    monkeypatch.setattr(bench, kind, measure)
    monkeypatch.setattr(bench, f"render_{kind}", lambda figures: f"# page {figures['figure']}")
    status, out, err = command("bench", *arguments, "--out", "page.md")
    assert (status, out, err) == (0, "# page 1\n", "first part\n")
    assert calls == [expected]
    assert (tmp_path / "page.md").read_text() == "# page 1"
    assert command("bench", *arguments, "--json")[1] == '{"figure": 1}\n'
