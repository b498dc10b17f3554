"""Progress as plain lines on standard error."""

import sys
import time

from jaxopt_lite.sweeps._progress import Progress

SECONDS_BETWEEN_LINES = 5.0


def sentence(progress: Progress, objective: str) -> str:
    """The state of a sweep as one line."""
    if progress.phase == "compile":
        return f"compiling training programs: {progress.programs_ready}/{progress.programs}"
    pruning = progress.compute_limit < 1 or progress.settings_alive < progress.settings
    parts = _pruned(progress) if pruning else [f"{progress.trials_done}/{progress.trials} trials"]
    if progress.trials_diverged:
        parts.append(f"{progress.trials_diverged} diverged")
    if progress.seconds > 0 and progress.trials_ran and not pruning:
        parts.append(f"{progress.trials_ran / progress.seconds:.1f} trials/s")
    if progress.best is not None:
        named = [str(progress.best[key]) for key in ("activation", "optimizer") if progress.best.get(key) is not None]
        rate = progress.best.get("learning_rate")
        named += [f"{rate:.3g}"] if isinstance(rate, float) else []
        settings = f" ({' '.join(named)})" if named else ""
        parts.append(f"best {progress.best[objective]:.4f}{settings}")
    return ", ".join(parts)


def _pruned(progress: Progress) -> list[str]:
    """How far a sweep is that stops settings early: who is alive, and the steps made of those of all runs."""
    state = "done" if progress.trials_done == progress.trials else f"alive, to step {progress.step:,}"
    limit = f", at most {progress.compute_limit:.0%}" if progress.compute < progress.compute_limit < 1 else ""
    return [
        f"{progress.settings_alive}/{progress.settings} settings {state}",
        f"{progress.compute:.0%} of all steps{limit}",
    ]


class Lines:
    """Prints the state of a sweep at once and then every few seconds."""

    def __init__(self, objective: str) -> None:
        self._objective = objective
        self._last = -SECONDS_BETWEEN_LINES
        self._phase = ""
        self._finished = False

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        done = progress.phase == "run" and progress.trials_done == progress.trials
        if done and self._finished:
            return
        self._finished = done
        if progress.phase == self._phase and not done and now - self._last < SECONDS_BETWEEN_LINES:
            return
        self._last, self._phase = now, progress.phase
        rate = progress.share_ran / progress.seconds if progress.seconds else 0.0
        seconds = 0.0 if done or not rate else (1 - progress.share) / rate
        eta = f", about {seconds:.0f} s left" if seconds else ""
        print(sentence(progress, self._objective) + eta, file=sys.stderr, flush=True)
