"""Population-based training: a plain Python loop gives the same numbers, whatever happens on the way."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lite import optimizers, sweeps, training
from jaxopt_lite.optimizers._settings import is_setting
from jaxopt_lite.sweeps.store._ledger import Ledger, Outcome
from jaxopt_lite.training import _run
from tests.sweeps import small

STEPS, EVERY, SIZE = 40, 8, 6
START = jnp.array([2.0, -1.0, 0.5])
POPULATION = sweeps.population(SIZE, EVERY, quantile=0.34)
SPACE = {
    "optimizer": sweeps.choice(
        [
            optimizers.sgd(sweeps.log_uniform(1e-3, 4.0), sweeps.uniform(0.0, 0.95)),
            optimizers.adam(sweeps.values([0.001, 0.01, 0.1])),
        ]
    ),
    "pull": sweeps.integers(1, 9),
}


def loss(w, pull):
    return (w**2 * jnp.array([1.0, 3.0, 9.0])).sum() + 0.01 * jnp.abs(w).sum() * pull


def step(trial, carry, data, key):
    w, state = carry
    value, grads = jax.value_and_grad(loss)(w, trial["pull"] * 1.0)
    updates, state = trial["optimizer"].update(grads, state, w)
    return (w + updates, state), {"loss": value}


TASK = training.Task(
    lambda trial, key: (START, trial["optimizer"].init(START)),
    step,
    lambda trial, carry, data: {"test_loss": loss(carry[0], 0.0)},
    None,
    name="bowl",
)


def swept(store=None, steps=STEPS, layout=None, **options):
    layout = layout or sweeps.Layout(width=1, merge=False)
    return sweeps.run(
        TASK, SPACE, steps=steps, search=POPULATION, store=store, layout=layout, progress=False, **options
    )


@pytest.fixture(scope="module")
def whole():
    return swept()


def reference():
    """Settings, step of divergence and scores of each member by a loop over members and steps."""
    # a generation is one compiled loop: the compiler may order the sums of a single step in another way
    advance = jax.jit(lambda trial, carry, curve, span: _run.advance(TASK, trial, carry, curve, None, 0, span))
    score = jax.jit(lambda w: loss(w, 0.0))
    curve = _run.Curve({"loss": jnp.zeros(_run.POINTS)}, jnp.int32(1))
    planned = sweeps.plan(TASK, SPACE, steps=STEPS, search=POPULATION)
    points = [dict(picks) for picks in planned.points]
    carries = [TASK.init(planned.make(point).value, None) for point in points]
    finite, sources = [True] * SIZE, []
    for generation in range(STEPS // EVERY):
        for member, point in enumerate(points):
            if finite[member]:
                span = (generation * EVERY, (generation + 1) * EVERY)
                carries[member], losses = advance(planned.make(point).value, carries[member], curve, span)
                finite[member] = bool(np.isfinite(losses.points["loss"]).all())
        costs = [float(score(carry[0])) if good else np.inf for carry, good in zip(carries, finite, strict=True)]
        if generation == STEPS // EVERY - 1:
            return points, costs, sources
        ranked = sorted((i for i in range(SIZE) if np.isfinite(costs[i])), key=lambda i: (costs[i], i))
        replaced = {*ranked[-2:], *(i for i in range(SIZE) if i not in ranked)}
        rng = np.random.default_rng([0, (generation + 1) * EVERY])
        before, states = [dict(p) for p in points], list(carries)
        sources.append(list(range(SIZE)))
        for member in range(SIZE):
            source = ranked[:2][rng.integers(2)]
            if member not in replaced or not costs[source] < costs[member]:
                continue
            point, finite[member] = dict(before[source]), True
            for path in point:
                fresh, u, up = rng.random() < 0.25, rng.random(), rng.integers(2)
                point[path] = moved(path, point[path], fresh, u, (0.8, 1.2)[up])
            settings = planned.make(point).value["optimizer"].settings
            names = ("learning_rate", "momentum") if "momentum" in settings else ("learning_rate",)
            state = optimizers.with_settings(states[source][1], **{name: settings[name] for name in names})
            points[member], carries[member] = point, (states[source][0], state)
            sources[-1][member] = source
    return None


def moved(path, value, fresh, u, factor):
    name = path[-1]
    if isinstance(name, str) and name == "pull":
        if fresh:
            return 1 + int(u * 9)
        product = round(value * factor)
        return min(max(max(product, value + 1) if factor > 1 else min(product, value - 1), 1), 9)
    if path == ("optimizer",):
        return value
    if path[1] == 1:
        rates = [0.001, 0.01, 0.1]
        at = rates.index(value) + (1 if factor > 1 else -1)
        return rates[int(u * 3)] if fresh else rates[min(max(at, 0), 2)]
    low, high = (1e-3, 4.0) if name == "learning_rate" else (0.0, 0.95)
    anew = low * (high / low) ** u if name == "learning_rate" else low + u * (high - low)
    return anew if fresh else min(max(value * factor, low), math.nextafter(high, low))


def test_a_plain_loop_gives_the_same_numbers(whole):
    points, costs, sources = reference()
    planned = sweeps.plan(TASK, SPACE, steps=STEPS, search=POPULATION)
    assert any(source != list(range(SIZE)) for source in sources)
    for row, point in zip(whole.rows(), points, strict=True):
        assert {name: row[name] for name in whole.swept} == planned.make(point).columns
    assert [np.float32(x) for x in whole.columns["test_loss"]] == [np.float32(x) for x in costs]
    assert [[g.source for g in of] for of in whole.generations] == [
        list(column) for column in zip(*sources, strict=True)
    ]


def test_the_settings_of_a_copy_are_its_own_and_its_moments_are_not(whole):
    rows = [(row, nth) for row, passed in enumerate(whole.generations) for nth, one in enumerate(passed)]
    copies = [(row, nth) for row, nth in rows if whole.generations[row][nth].source != row]
    assert copies
    for row, nth in copies:
        one = whole.generations[row][nth]
        origin = whole.generations[one.source][nth].columns
        assert one.columns["optimizer"] == origin["optimizer"]
        assert one.columns != origin
    assert whole.generations[copies[-1][0]][-1].columns == {n: whole.columns[n][copies[-1][0]] for n in whole.swept}


class Interrupt(Exception):
    pass


def test_an_interrupted_population_makes_the_same_generations(tmp_path, whole, monkeypatch):
    record, adopt, calls = Ledger.record, Ledger.adopt, [0]

    def interrupting(write):
        def written(ledger, *arguments):
            write(ledger, *arguments)
            calls[0] += 1
            if calls[0] % 5 == 0:
                raise Interrupt

        return written

    monkeypatch.setattr(Ledger, "record", interrupting(record))
    monkeypatch.setattr(Ledger, "adopt", interrupting(adopt))
    for attempt in range(100):
        try:
            found = swept(tmp_path / "s", resume=attempt > 0)
            break
        except Interrupt:
            pass
    assert attempt > 3
    assert small.columns(found) == small.columns(whole)
    assert found.generations == whole.generations


def test_a_failed_member_that_had_copied_another_does_not_begin_again(tmp_path, whole):
    store = tmp_path / "s"
    swept(store=store, keep="all")
    assert any(one.source != 0 for one in whole.generations[0])
    ledger = Ledger.open(store, write=True)
    ledger.record([Outcome(0, "failed", STEPS - 1, {}, {}, None, error="OSError: no room")])
    ledger.close()
    resumed = swept(store=store, keep="all", resume=True)
    assert resumed.errors == {0: "OSError: no room"}
    assert small.columns(resumed)[1:] == small.columns(whole)[1:]


def test_states_of_members_that_copied_others_are_not_made_again(tmp_path, whole):
    swept(store=tmp_path / "s", keep=1)
    resumed = swept(store=tmp_path / "s", keep=3, resume=True)
    assert small.columns(resumed) == small.columns(whole)


def test_a_population_that_gets_more_steps_is_the_longer_one(tmp_path, whole):
    swept(tmp_path / "s", steps=STEPS // 2, keep="all")
    found = swept(tmp_path / "s", extend=True, keep="all")
    assert small.columns(found) == small.columns(whole)
    assert found.generations == whole.generations


def test_more_steps_need_the_final_states_of_all_members(tmp_path):
    store = tmp_path / "s"
    swept(store, steps=STEPS // 2)
    before = (store / "ledger.sqlite").read_bytes()
    with pytest.raises(sweeps.StoreError, match="keep='all'"):
        swept(store, extend=True)
    assert (store / "ledger.sqlite").read_bytes() == before


def test_a_population_of_networks_on_merged_optimizers(tmp_path):
    """Members of another optimizer are copied with its state; the best model has the score in the table."""
    task = small.task()
    space = small.space([float(f"{rate:.2g}") for rate in np.geomspace(1e-4, 10, 9)])
    found = sweeps.run(task, space, steps=60, search=sweeps.population(9, 15), store=tmp_path / "s", progress=False)
    assert found.columns["status"] == ["done"] * 9
    assert any(one.source != row for row, passed in enumerate(found.generations) for one in passed)
    best = found.best()[0]
    model = found.model()
    (_, _), (x, y) = small.data()
    accuracy = np.mean(np.argmax(model(x), axis=-1) == y)
    assert accuracy == pytest.approx(best.scores["test_accuracy"].mean)
    loaded = sweeps.Results.load(tmp_path / "s")
    assert loaded.generations == found.generations


def test_settings_in_a_state_are_marked_wherever_it_is():
    tx = optimizers.chain(
        optimizers.clip_by_global_norm(1.0), optimizers.adam(optimizers.cosine_decay_schedule(0.1, 10))
    )
    carry = {"params": {"settings": jnp.ones(2)}, "state": [tx.init({"settings": jnp.ones(2)})]}
    marks = is_setting(carry)
    assert jax.tree.structure(marks) == jax.tree.structure(carry)
    marked = [x for x, mark in zip(jax.tree.leaves(carry), jax.tree.leaves(marks), strict=True) if mark]
    assert len(marked) == len(jax.tree.leaves(optimizers.settings(carry["state"][0])))
    assert not marks["params"]["settings"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 1, "every": 5}, "size"),
        ({"size": 4, "every": 0}, "every"),
        ({"size": 4, "every": 5, "quantile": 0.0}, "quantile"),
        ({"size": 4, "every": 5, "quantile": 0.6}, "quantile"),
        ({"size": 4, "every": 5, "resample": 1.1}, "resample"),
        ({"size": 4, "every": 5, "factors": (1.2, 1.4)}, "factors"),
        ({"size": 4, "every": 5, "factors": 0.8}, "factors"),
    ],
)
def test_populations_that_cannot_be(arguments, message):
    with pytest.raises(ValueError, match=message):
        sweeps.population(**arguments)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seeds": 2}, "one seed"),
        ({"trials": 7}, "leave trials out"),
        ({"stop": sweeps.halving()}, "stop="),
        ({"confirm": (1, 2)}, "confirm="),
        ({"steps": EVERY}, "every below"),
    ],
)
def test_arguments_that_do_not_go_with_a_population(options, message):
    with pytest.raises(ValueError, match=message):
        sweeps.plan(TASK, SPACE, **{"steps": STEPS, "search": POPULATION} | options)


def test_a_space_with_too_few_points_for_the_population():
    with pytest.raises(ValueError, match="the space has 2"):
        sweeps.plan(
            TASK,
            {"optimizer": optimizers.sgd(sweeps.values([0.1, 0.2])), "pull": 1.0},
            steps=9,
            search=sweeps.population(3, 3),
        )


def test_a_member_that_diverges_is_replaced():
    space = {"optimizer": optimizers.sgd(sweeps.values([0.01, 1e20, 1e30])), "pull": 1.0}
    found = sweeps.run(TASK, space, steps=20, search=sweeps.population(3, 5, resample=0), progress=False)
    assert found.columns["status"].count("done") >= 1
    assert any(one.source != row for row, passed in enumerate(found.generations) for one in passed)


def test_a_population_that_diverges_is_finished():
    space = {"optimizer": optimizers.sgd(sweeps.values([1e28, 1e29, 1e30])), "pull": 1.0}
    found = sweeps.run(TASK, space, steps=40, search=sweeps.population(3, 10), progress=False)
    assert found.columns["status"] == ["diverged"] * 3


def test_the_settings_in_the_table_are_those_in_the_states(tmp_path):
    """Also for the tasks of `supervised`, whose optimizers share a program on CPU in other searches."""
    rates = sweeps.log_uniform(1e-4, 1)
    space = {
        "activation": small.space()["activation"],
        "optimizer": sweeps.choice(
            [optimizers.sgd(rates), optimizers.chain(optimizers.clip(1.0), optimizers.adam(rates))]
        ),
    }
    found = sweeps.run(
        small.task(), space, steps=60, search=sweeps.population(8, 10), keep="all", store=tmp_path / "s", progress=False
    )
    copies = [row for row, passed in enumerate(found.generations) if any(one.source != row for one in passed)]
    assert copies
    for row, number in enumerate(found.states.ids):
        run, blob = found.states._found(int(number))
        _, carry = found.states.source.carry(run.picks, run.seed, blob, None)
        named = optimizers.settings(carry.optimizer)
        rate = next(value for name, value in named.items() if name.endswith("learning_rate"))
        columns = {name: found.columns[name][row] for name in found.swept if name.endswith("learning_rate")}
        assert float(rate) == pytest.approx(next(x for x in columns.values() if x is not None), rel=1e-6)


def test_a_layout_that_merges_is_refused():
    with pytest.raises(ValueError, match="leave merge out"):
        sweeps.plan(
            small.task(), small.space(), steps=60, search=sweeps.population(4, 10), layout=sweeps.Layout(merge=True)
        )


def test_a_number_that_a_population_cannot_change_is_refused():
    task = training.Task(
        lambda trial, key: (START, trial["rate"]),
        lambda trial, carry, data, key: ((carry[0] * (1 - carry[1]), carry[1]), {"loss": carry[0].sum()}),
        lambda trial, carry, data: {"test_loss": (carry[0] ** 2).sum()},
        None,
    )
    space = {"rate": sweeps.uniform(0.01, 0.5)}
    with pytest.raises(ValueError, match="reads a number of the trial in init alone"):
        sweeps.run(task, space, steps=20, search=sweeps.population(4, 5), progress=False)
    assert sweeps.run(task, space, steps=20, trials=4, progress=False).columns["status"] == ["done"] * 4
