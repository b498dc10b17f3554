"""What happens to works whose workers are lost, cannot be started, or start late."""

import threading
import time
from concurrent.futures import wait

import pytest

from jaxopt_lite.sweeps.execution._pool import TRIES, Lost, Pool, Unfit
from jaxopt_lite.sweeps.execution._work import Failed

SECONDS = 20


class Doubler:
    """A worker that doubles numbers and is lost at those in `deadly`, the given number of times."""

    def __init__(self, deadly):
        self.deadly = deadly

    def perform(self, work):
        if self.deadly.get(work, 0):
            self.deadly[work] -= 1
            raise Lost("it ended with status 1")
        return 2 * work

    def close(self):
        self.deadly["closed"] = self.deadly.get("closed", 0) + 1


def answers(pool, works):
    futures = [pool.submit(work) for work in works]
    assert not wait(futures, SECONDS).not_done
    return [future.result() for future in futures]


def test_a_work_whose_worker_is_lost_is_done_by_another():
    deadly = {3: TRIES - 1, 5: 1}
    pool = Pool([lambda _: Doubler(deadly)] * 2)
    assert answers(pool, range(8)) == [2 * i for i in range(8)]
    assert pool.lost == TRIES
    pool.close()
    assert deadly["closed"] == 2


def test_a_work_that_loses_every_worker_has_failed_and_the_others_are_done():
    pool = Pool([lambda _: Doubler({3: TRIES})])  # each new worker is as mortal
    *rest, lost = answers(pool, [0, 1, 3])
    assert rest == [0, 2]
    assert lost == Failed(f"lost {TRIES} workers, the last because it ended with status 1")
    assert answers(pool, [7]) == [14]
    pool.close()


def test_a_worker_that_dies_while_it_starts_is_started_again():
    starts = iter([Lost("it ended with status 1"), Lost("it ended with status 1"), Doubler({})])

    def start(_):
        found = next(starts)
        if isinstance(found, Lost):
            raise found
        return found

    pool = Pool([start])
    assert answers(pool, [1]) == [2]
    pool.close()


@pytest.mark.parametrize("error", [Lost("it ended with status 1"), RuntimeError("other versions")])
def test_workers_that_cannot_be_started_are_an_error(error):
    def start(_):
        raise error

    pool = Pool([start])
    futures = [pool.submit(i) for i in range(3)]
    for future in futures:
        with pytest.raises(RuntimeError, match=str(error)):
            future.result(SECONDS)
    pool.close()


def test_nothing_waits_for_a_worker_that_starts_late():
    late = threading.Event()

    def start(_):
        late.wait(SECONDS)
        return Doubler({})

    pool = Pool([lambda _: Doubler({}), start])
    assert answers(pool, range(6)) == [2 * i for i in range(6)]
    pool.close()
    late.set()


def test_works_that_wait_can_be_cancelled():
    begun, go = threading.Event(), threading.Event()

    class Slow(Doubler):
        def perform(self, work):
            begun.set()
            go.wait(SECONDS)
            return super().perform(work)

    pool = Pool([lambda _: Slow({})])
    first, second = pool.submit(1), pool.submit(2)
    begun.wait(SECONDS)
    assert not first.cancel() and second.cancel()
    go.set()
    assert first.result(SECONDS) == 2
    pool.close()


class Picky(Doubler):
    """A worker that cannot do works above a limit."""

    def perform(self, work):
        if work > 3:
            raise Unfit("it has other versions")
        return super().perform(work)


def when_the_other_has_left(pool, worker):
    """What starts a worker when only one is left in the pool."""

    def start(_):
        for _ in range(100 * SECONDS):
            if pool()._left == 1:
                break
            time.sleep(0.01)
        return worker

    return start


def test_a_worker_that_is_unfit_leaves_its_works_to_the_others():
    closed = {}
    pool = Pool([lambda _: Picky(closed), when_the_other_has_left(lambda: pool, Doubler({}))])
    with pytest.warns(RuntimeWarning, match="it has other versions. The sweep goes on without it"):
        assert answers(pool, range(1, 8)) == [2 * i for i in range(1, 8)]
        pool.close()
    assert closed == {"closed": 1} and pool.lost == 0


def test_works_that_no_worker_can_do_get_the_error():
    pool = Pool([lambda _: Picky({})] * 2)
    futures = [pool.submit(i) for i in (5, 6, 1)]
    for future in futures[:2]:
        with pytest.raises(Unfit, match="it has other versions"):
            future.result(SECONDS)
    pool.close()


def test_a_worker_that_cannot_be_started_leaves_the_works_to_the_others():
    def refused(_):
        raise RuntimeError("no room")

    pool = Pool([refused, when_the_other_has_left(lambda: pool, Doubler({}))])
    with pytest.warns(RuntimeWarning, match="no room. The sweep goes on without it"):
        assert answers(pool, range(6)) == [2 * i for i in range(6)]
        pool.close()
    assert pool.lost == 0
