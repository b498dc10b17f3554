"""Sweeps on a Ray cluster of which a node is lost and another joins."""

import os
import signal
import warnings
from contextlib import suppress
from pathlib import Path

import pytest

from jaxopt_lite import sweeps, training
from jaxopt_lite.sweeps.execution import _schedule
from tests.sweeps import small
from tests.sweeps import test_streamed as streamed
from tests.sweeps.test_processes import numbers

ray = pytest.importorskip("ray")
NODE = {"num_cpus": 1, "object_store_memory": 80_000_000, "include_dashboard": False}


@pytest.fixture(scope="module")
def cluster():
    from ray.cluster_utils import Cluster

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray starts its processes with fork
        found = Cluster(initialize_head=True, head_node_args=NODE | {"num_cpus": 0})
        found.leaves = found.add_node(**NODE)
    yield found
    ray.shutdown()
    found.shutdown()


@pytest.mark.filterwarnings("ignore")  # Ray's own: sockets, forks
def test_numbers_are_the_same_on_a_cluster_of_which_a_node_is_lost_and_another_joins(cluster, monkeypatch):
    monkeypatch.setattr(_schedule, "segment_end", lambda step, end, length, stride: min(end, step + 100))
    options = {"seeds": 2, "steps": 900, "stop": sweeps.halving(eta=3, first=1 / 9, race=True)}
    here = sweeps.run(small.task(), small.space(), **options, progress=False)
    changed = []

    def change(progress):
        if progress.share_ran > 0 and not changed:
            changed.append(cluster.add_node(**NODE))
            cluster.remove_node(cluster.leaves)

    on = sweeps.ray(cluster.address, workers=2)  # more than there is room for: one waits for the node that joins
    there = sweeps.run(small.task(), small.space(), **options, on=on, progress=change)
    assert changed
    assert numbers(there) == numbers(here)


@pytest.mark.filterwarnings("ignore")
def test_numbers_are_the_same_if_a_worker_that_reads_a_stream_hangs(cluster, monkeypatch):
    monkeypatch.setattr(_schedule, "segment_end", lambda step, end, length, stride: min(end, step + 50))
    options = {"steps": 200, "layout": sweeps.Layout(width=2)}
    here = sweeps.run(streamed.task(), streamed.SPACE, **options, progress=False)
    before, stopped = actors(), set()  # workers of other tests may be ending

    def hang(progress):
        if progress.share_ran > 0 and not stopped:
            stopped.update(actors() - before)
            os.kill(*stopped, signal.SIGSTOP)

    on = sweeps.ray(cluster.address, workers=1, patience=6)
    there = sweeps.run(streamed.task(), streamed.SPACE, **options, on=on, progress=hang)
    assert len(stopped) == 1
    assert numbers(there) == numbers(here)


@pytest.mark.filterwarnings("ignore")
def test_a_stream_that_fails_in_a_worker_ends_the_sweep(cluster, tmp_path):
    options = {"steps": 60, "layout": sweeps.Layout(width=2), "store": tmp_path / "s", "progress": False}
    with pytest.raises(training.StreamError, match=r"^cannot read .*OSError: the disk is gone$"):
        gone = streamed.task(streamed.Counted(fails_at=600))
        sweeps.run(gone, streamed.SPACE, **options, on=sweeps.ray(cluster.address, workers=1))
    assert set(sweeps.Results.load(tmp_path / "s").columns["status"]) <= {"done", "running", "waiting"}


def actors():
    """The processes of the workers of this process's cluster, which Ray names after their class."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended meanwhile
            number = int(path.parent.name)
            if path.read_bytes().startswith(b"ray::_Station") and os.getpid() in ancestors(number):
                found.add(number)
    return found


def ancestors(number):
    """The parent of a process, its parent, and so on."""
    while number > 1:
        number = int(Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[1])
        yield number


@pytest.mark.filterwarnings("ignore")
def test_the_address_of_another_cluster_is_refused(cluster):
    port = cluster.address.rpartition(":")[2]
    for address in (cluster.address, f"localhost:{port}", f"127.0.0.1:{port}"):
        sweeps.plan(small.task(), small.space(), steps=5, on=sweeps.ray(address))
    with pytest.raises(ValueError, match=rf"is connected to the Ray cluster at '.*:{port}', .*call ray.shutdown"):
        sweeps.plan(small.task(), small.space(), steps=5, on=sweeps.ray("127.0.0.1:1"))


@pytest.mark.filterwarnings("ignore")
def test_a_cluster_without_room_is_refused(cluster):
    with pytest.raises(ValueError, match="has no room for a worker of 1 GPU"):
        sweeps.plan(small.task(), small.space(), steps=5, on=sweeps.ray(cluster.address, resources={"GPU": 1}))
    with pytest.warns(UserWarning, match=r"no room for a worker of 1 gpu: .* waits until a node with room joins"):
        assert sweeps.ray("auto", workers=2, resources={"gpu": 1}).workers() == 2


@pytest.mark.parametrize(
    "options, message",
    [
        ({"workers": 0}, "at least 1; got 0"),
        ({"resources": {"CPU": -1}}, "amounts above 0"),
        ({"patience": -1}, "patience must be"),
    ],
)
def test_bad_settings_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        sweeps.ray("auto", **options)


def test_an_address_without_a_cluster_is_refused():
    from jaxopt_lite.sweeps.execution import _ray

    class NotThere:
        def is_initialized(self):
            return False

        def init(self, **options):
            raise ConnectionError("Could not find any running Ray instance.")

    with pytest.MonkeyPatch.context() as patch, pytest.raises(ValueError, match="no Ray cluster answers at 'auto'"):
        patch.setattr(_ray, "_ray", NotThere)
        _ray._connected("auto")


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "nowhere.invalid:6379"])
def test_an_address_where_nothing_listens_is_refused_at_once(address, monkeypatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(ValueError, match=f"no Ray cluster answers at '{address}'"):
        sweeps.plan(small.task(), small.space(), steps=5, on=sweeps.ray(address))


def test_without_ray_the_extra_is_named(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ModuleNotFoundError, match=r"jaxopt-lite\[ray\]"):
        sweeps.ray("auto")
