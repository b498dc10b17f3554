"""What differs from the sweep in a store is refused, and the store does not change."""

import functools

import jax.numpy as jnp
import pytest

from jaxopt_lite import sweeps, training


def task(width=8, scale=1.0, **changes):
    """w falls from `scale`, in `width` copies."""

    def init(trial, key):
        return jnp.full(width, scale)

    def step(trial, carry, data, key):
        return carry - 0.01 * trial["rate"], {"loss": carry[0]}

    def evaluate(trial, carry, data):
        return {"test_loss": carry[0], "train_loss": carry.sum()}

    return training.Task(init, step, evaluate, jnp.zeros(1))._replace(**changes)


def files(store):
    return {path.name: path.read_bytes() for path in store.iterdir() if not path.name.endswith("-shm")}


SPACE = {"rate": sweeps.values([1.0, 2.0])}
CHANGES = {
    "the model": ({"task": task(width=32)}, "in its compiled program"),
    "the initialisation": ({"task": task(scale=3.0)}, "in its compiled program"),
    "the objective": ({"task": task(objective="train_loss")}, "in its objective: the store has test_loss"),
    "the mode": ({"task": task(mode="max")}, "in its mode: the store has min, requested max"),
    "steps": ({"steps": 401}, "in its steps"),
}


@pytest.fixture(scope="module", params=["finished", "killed"])
def store(request, tmp_path_factory):
    """A store with a finished sweep, and one whose process died: its last transactions are in a file of their own."""
    folder = tmp_path_factory.mktemp(request.param)
    sweeps.run(task(), SPACE, steps=400, store=folder / "s")
    if request.param == "finished":
        return folder / "s"
    from jaxopt_lite.sweeps.store._ledger import Ledger, Outcome

    ledger = Ledger.open(folder / "s", write=True)
    ledger.record([Outcome(1, "waiting", 0, {}, {}, None)])
    (folder / "copy").mkdir()
    for name in ("ledger.sqlite", "ledger.sqlite-wal"):  # without the lock, as a copy may be
        (folder / "copy" / name).write_bytes((folder / "s" / name).read_bytes())
    ledger.close()
    return folder / "copy"


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_sweep_is_refused_and_no_byte_of_the_store_changes(store, change):
    arguments, message = CHANGES[change]
    before = files(store)
    with pytest.raises(sweeps.StoreError, match=message):
        sweeps.run(**({"task": task(), "space": SPACE, "steps": 400} | arguments), store=store, resume=True)
    assert files(store) == before


def test_finished_results_are_read_by_other_versions(tmp_path, monkeypatch, capfd):
    first = sweeps.run(task(), SPACE, steps=5, store=tmp_path / "s", progress=False)
    monkeypatch.setattr("jaxopt_lite.sweeps.store._identity.optax.__version__", "0.0.1")
    again = sweeps.run(task(), SPACE, steps=5, store=tmp_path / "s", resume=True)
    assert again.columns["status"] == ["done", "done"]
    assert capfd.readouterr().err.startswith("the sweep is complete, nothing is left to run")
    assert again.facts["last"] == dict.fromkeys(first.facts["last"], 0) | {"slots": 1.0}


@pytest.mark.parametrize("missing", ["a batch of a search", "the seeds of confirm"])
def test_other_versions_cannot_add_runs(tmp_path, monkeypatch, missing):
    """A process may end when all runs are final, before those that come next are in the ledger."""
    space = {"rate": sweeps.log_uniform(0.1, 1.0)}
    confirmed = {"confirm": (1, 2)} if missing == "the seeds of confirm" else {}
    name = "_add_confirming" if confirmed else "_add_batch"
    options = {"steps": 5, "trials": 20, "search": "tpe", "store": tmp_path / "s", "progress": False} | confirmed
    with monkeypatch.context() as until:
        until.setattr(f"jaxopt_lite.sweeps.execution._rounds.Rounds.{name}", interrupted)
        with pytest.raises(KeyboardInterrupt):
            sweeps.run(task(), space, **options)
    assert set(sweeps.Results.load(tmp_path / "s").columns["status"]) == {"done"}
    with monkeypatch.context() as other:
        other.setattr("jaxopt_lite.sweeps.store._identity.optax.__version__", "0.0.1")
        with pytest.raises(sweeps.StoreError, match="in its versions"):
            sweeps.run(task(), space, resume=True, **options)
    assert len(sweeps.run(task(), space, resume=True, **options)) == 20 + 2 * bool(confirmed)


def test_a_search_without_further_points_is_complete_under_other_versions(tmp_path, monkeypatch):
    options = {"steps": 5, "trials": 8, "search": "tpe", "store": tmp_path / "s", "progress": False}
    space = {"rate": sweeps.values([0.1, 0.2, 0.3])}
    assert len(sweeps.run(task(), space, **options)) == 3
    monkeypatch.setattr("jaxopt_lite.sweeps.store._identity.optax.__version__", "0.0.1")
    assert len(sweeps.run(task(), space, resume=True, **options)) == 3
    with pytest.warns(UserWarning, match="the final states of 2 runs of .*, which are to be kept, cannot be made here"):
        sweeps.run(task(), space, resume=True, keep="all", **options)


def interrupted(*_):
    raise KeyboardInterrupt


def test_another_cpu_is_a_warning_if_runs_remain(tmp_path, monkeypatch):
    def interrupt(progress):
        if progress.phase == "run" and progress.trials_done:
            raise KeyboardInterrupt

    space = {"rate": sweeps.values([i / 100 for i in range(200)])}
    given = {"steps": 400, "store": tmp_path / "s", "layout": sweeps.Layout(width=4)}  # chunks remain
    with pytest.raises(KeyboardInterrupt):
        sweeps.run(task(), space, progress=interrupt, **given)
    monkeypatch.setattr("jaxopt_lite.sweeps.store._identity._processor", lambda: "another")
    with pytest.warns(UserWarning, match="continues on another"):
        sweeps.run(task(), space, resume=True, **given)
    sweeps.run(task(), space, resume=True, **given)  # nothing remains: no warning


def test_a_rule_is_compared_in_full_precision(tmp_path):
    space = {"rate": sweeps.values([0.1, 0.2, 0.3])}
    options = {"steps": 100, "store": tmp_path / "s", "progress": False}
    sweeps.run(task(), space, stop=sweeps.halving(first=0.50001), **options)
    with pytest.raises(sweeps.StoreError, match=r"in its stop: the store has .*0.50001, .*, requested .*0.50004"):
        sweeps.run(task(), space, stop=sweeps.halving(first=0.50004), resume=True, **options)
    sweeps.run(task(), space, stop=sweeps.halving(first=0.50001), resume=True, **options)


def test_a_sampler_with_arguments_is_named_without_its_address():
    pytest.importorskip("optuna")
    assert repr(sweeps.optuna(functools.partial(interrupted, n=3))) == "optuna(interrupted(n=3), batch=16)"
