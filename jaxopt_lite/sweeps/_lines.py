"""Progress as plain lines on standard error."""

import sys
import time

from jaxopt_lite.sweeps._progress import Progress

SECONDS_BETWEEN_LINES = 5.0


def sentence(told: Progress, objective: str) -> str:
    """Where the sweep stands, in a line."""
    if told.phase == "compile":
        return f"compiling {told.programs_ready}/{told.programs} training programs"
    parts = [f"{told.trials_done}/{told.trials} trials"]
    if told.trials_diverged:
        parts.append(f"{told.trials_diverged} diverged")
    if told.seconds > 0 and told.trials_ran:
        parts.append(f"{told.trials_ran / told.seconds:.1f} trials/s")
    if told.best is not None:
        named = [str(told.best[key]) for key in ("activation", "optimizer") if told.best.get(key) is not None]
        rate = told.best.get("learning_rate")
        named += [f"{rate:.3g}"] if isinstance(rate, float) else []
        parts.append(
            f"best {told.best[objective]:.4f} ({' '.join(named)})" if named else f"best {told.best[objective]:.4f}"
        )
    return ", ".join(parts)


class Lines:
    """Says where a sweep stands, at once and then every few seconds."""

    def __init__(self, objective: str) -> None:
        self._objective = objective
        self._said = -SECONDS_BETWEEN_LINES
        self._phase = ""

    def __call__(self, told: Progress) -> None:
        now = time.monotonic()
        over = told.phase == "run" and told.trials_done == told.trials
        if told.phase == self._phase and not over and now - self._said < SECONDS_BETWEEN_LINES:
            return
        self._said, self._phase = now, told.phase
        left = 0.0 if over or not told.share_ran else told.seconds * (1 - told.share) / told.share_ran
        eta = f", about {left:.0f} s left" if left else ""
        print(sentence(told, self._objective) + eta, file=sys.stderr, flush=True)
