"""Sweeps of networks against loops by hand, from the same weights over the same rows."""

import importlib.util

import pytest

from jaxopt_lite.bench import _convolutions, _convolutions_page, _network_loops, _networks
from jaxopt_lite.bench._network_loops import Work

STEPS, RATES = 4, (0.001, 0.01)
TORCH = importlib.util.find_spec("torch") is not None


@pytest.fixture
def few_examples(monkeypatch):
    """Two batches to train on and one to test on: all scores are of all examples."""
    images, (texts, letters) = _networks._images(), _networks._text()
    few = lambda data, size: tuple(tuple(part[:rows] for part in pair) for rows, pair in zip((2 * size, size), data))  # noqa: E731, B905
    monkeypatch.setattr(_networks, "_images", lambda: few(images, 64))
    monkeypatch.setattr(_networks, "_text", lambda: (few(texts, 32), letters))


@pytest.mark.parametrize("name", ["cnn", "transformer"])
def test_loops_by_hand_agree_with_the_engine(name, few_examples):
    one = _networks.network(name)
    task = _networks.task_of(one, name)
    work = Work(name, RATES, _networks.starting_point(one, task, STEPS))
    size = _convolutions.Size({name: STEPS}, RATES, 1)
    engine = _convolutions.Engine(task, size.rates, STEPS)().accuracies
    assert engine[0] != engine[1]
    loops = ["jitted", *(["torch"] if TORCH and name.startswith("cnn") else [])]
    for loop in loops:
        run = _network_loops.LOOPS[loop](work)
        for _ in range(2):  # every call starts from the same weights
            assert run() == pytest.approx(engine, rel=1e-3), loop


def test_processes_return_the_losses_in_the_order_of_the_rates():
    one = _networks.network("gru")
    work = Work("gru", (0.001, 0.01, 0.1), _networks.starting_point(one, _networks.task_of(one, "gru"), 2))
    alone = _network_loops.jitted(work)()
    assert len(set(alone)) == 3
    with _network_loops.Processes("jitted", work) as loop:
        assert loop.compile_seconds > 0
        assert loop() == pytest.approx(alone, rel=1e-4)


def figures(**ratios):
    """Figures of a CNN, of which the engine takes 1 s for 10 steps of 2 trainings."""
    seconds = {"engine": 1.0} | ratios
    ways = {
        way: {
            "cores": 2,
            "seconds": [time, time * 2, time / 2],
            "milliseconds": 1e3 * time / 20,
            "compile_seconds": 3.0,
            "largest_difference": 0.0,
        }
        for way, time in seconds.items()
    }
    one = {"title": "CNN", "batch": 64, "steps": 10, "width": 1, "ways": ways, "ratios": ratios}
    sizes = {"steps": {"cnn": 10}, "rates": RATES, "repeats": 3}
    return {
        "networks": {"cnn": one},
        "cores": 2,
        "load": 0.1,
        "sizes": sizes,
        "device": "cpu",
        "versions": {"jax": "0"},
    }


def test_the_verdict_follows_from_the_figures():
    won = _convolutions_page.verdict(figures(jitted=2.0, torch=1.25))
    assert won == ["2 of 2 predictions hold.", "No way is faster than the engine."]
    lost = " ".join(_convolutions_page.verdict(figures(**{"jitted": 1.25, "torch": 0.5, "jitted processes": 0.75})))
    assert "0 of 2 predictions hold. Contradicted: cnn: jitted step, all cores in each operation (1.25 ×), cnn:" in lost
    assert (
        "The engine is slower than: cnn: PyTorch loop (0.50 ×), cnn: jitted step, one process per core (0.75 ×)."
        in lost
    )


def test_the_page_has_a_row_per_way():
    page = _convolutions_page.render_convolutions(figures(jitted=2.0, torch=1.25))
    assert "| jitted step, all cores in each operation | 2 | 100.00 (50.00 to 200.00) | 3.0 | 2.00 | 0.0% |" in page
    assert "| this engine | 2 | 50.00 (25.00 to 100.00) | 3.0 |  |  |" in page
