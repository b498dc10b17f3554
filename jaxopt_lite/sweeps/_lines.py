"""Progress as plain lines on standard error."""

import sys
import time

from jaxopt_lite._names import count, digits_of
from jaxopt_lite.sweeps._progress import Progress

SECONDS_BETWEEN_LINES = 5.0


def sentence(progress: Progress, objective: str) -> str:
    """The state of a sweep as one line."""
    if progress.phase == "compile":
        return f"compiling training programs: {progress.programs_ready}/{progress.programs}"
    best = _best(progress, objective, at_step=progress.rungs > 1)
    if progress.trials_done == progress.trials and not progress.share_ran and not progress.trials_ran:
        return ", ".join(["the sweep is complete, nothing is left to run", *best])
    counts = {"diverged": progress.trials_diverged, "failed": progress.trials_failed}
    lost = [f"{number} {status}" for status, number in counts.items() if number]
    lost += [f"{count(progress.workers_lost, 'worker')} lost and replaced"] * bool(progress.workers_lost)
    if progress.rungs > 1:
        return ", ".join([_alive(progress), *best, *_compute(progress), *lost])
    ran = progress.trials_ran / progress.seconds if progress.seconds > 0 else 0.0
    rate = [f"{ran:.1f} trials/s"] * bool(ran)
    return ", ".join([f"{progress.trials_done}/{progress.trials} trials", *lost, *rate, *best])


def _best(progress: Progress, objective: str, at_step: bool) -> list[str]:
    if progress.best is None:
        return []
    named = [str(progress.best[key]) for key in ("activation", "optimizer") if progress.best.get(key) is not None]
    rate = progress.best.get("learning_rate")
    named += [f"{rate:.3g}"] if isinstance(rate, float) else []
    settings = f" ({' '.join(named)})" if named else ""
    step = f" at step {progress.best['step']:,}" if at_step else ""
    score = progress.best[objective]
    return [f"best run {score:{digits_of(score)}}{step}{settings}"]


def _alive(progress: Progress) -> str:
    counts = f"{progress.settings_alive}/{progress.settings}"
    done = progress.trials_done == progress.trials
    return f"{counts} settings done" if done else f"{counts} alive, to step {progress.step:,}"


def _compute(progress: Progress) -> list[str]:
    """The steps made, of those of all runs to their end, and how many it will be at most if that is known."""
    limit = [f"at most {progress.compute_limit:.0%}"] if progress.compute < progress.compute_limit < 1 else []
    return [f"{progress.compute:.0%} of all steps", *limit]


class Lines:
    """Prints the state of a sweep at once and then every few seconds."""

    def __init__(self, objective: str) -> None:
        self._objective = objective
        self._last = -SECONDS_BETWEEN_LINES
        self._phase = ""
        self._finished = False
        self._begun: tuple[float, float] | None = None  # share made and seconds when the first segment had ended

    def __call__(self, progress: Progress) -> None:
        if self._begun is None and progress.share_ran:
            self._begun = progress.share_ran, progress.seconds
        now = time.monotonic()
        done = progress.phase == "run" and progress.trials_done == progress.trials
        if done and self._finished:
            return
        self._finished = done
        if progress.phase == self._phase and not done and now - self._last < SECONDS_BETWEEN_LINES:
            return
        self._last, self._phase = now, progress.phase
        left = None if done else self._left(progress)
        eta = "" if left is None else f", about {left:.0f} s left"
        print(sentence(progress, self._objective) + eta, file=sys.stderr, flush=True)

    def _left(self, progress: Progress) -> float | None:
        """Seconds that are left at the pace since the first segment, before which workers may have started."""
        if self._begun is None or progress.share_ran <= self._begun[0]:
            return None
        share, seconds = self._begun
        return (1 - progress.share) * (progress.seconds - seconds) / (progress.share_ran - share)
