"""The best settings as lines of text, for `print`."""

import math
from collections.abc import Sequence
from typing import Any

from jaxopt_lite.sweeps.results._setting import Setting


def text_of(heading: str, settings: Sequence[Setting], objective: str) -> str:
    """A heading and a line for each setting: its score, or how its runs ended, and its columns.

    Args:
        heading: the first line.
        settings: the settings of the other lines, best first.
        objective: the score that is shown.
    """
    scores = [_score(setting, objective) for setting in settings]
    width = max(map(len, scores), default=0)
    lines = [f"  {score:{width}}  {_columns(s.columns)}" for score, s in zip(scores, settings, strict=True)]
    return "\n".join([heading, *lines])


def _score(setting: Setting, objective: str) -> str:
    score = setting.scores.get(objective)
    return f"{score}" if score is not None and math.isfinite(score.mean) else setting.status


def _columns(columns: dict[str, Any]) -> str:
    named = {name: value for name, value in columns.items() if value is not None}
    return ", ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in named.items())
