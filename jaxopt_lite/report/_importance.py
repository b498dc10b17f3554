"""How much each swept setting matters, from a random forest on the settings that were tried."""

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxopt_lite.report._search import cost
from jaxopt_lite.report._study import Study, study_of

if TYPE_CHECKING:
    from jaxopt_lite.sweeps import Results, Setting

LEAST, MOST = 20, 2000  # settings
FOLDS, REPEATS, TREES = 5, 5, 60


class Importance(NamedTuple):
    """How much each swept column matters for the place of a setting.

    Attributes:
        drops: by column, the largest first: by how much R² falls when the column is permuted, 0 for one that does not
            matter. Interactions count for each of the columns that take part in them.
        explained: R² of the forest's predictions for settings that it has not seen: 1 for perfect, 0 for no better than
            the mean. With a low one the drops say little.
        step: the step at which the settings were compared.
        settings: the number of settings.
        diverged: how many of them diverged; they count as the worst.
    """

    drops: dict[str, float]
    explained: float
    step: int
    settings: int
    diverged: int


def importance(results: "Results") -> Importance:
    """How much each swept setting matters, by permutation importance in a random forest.

    The forest predicts the place of a setting among all (0 for the best, 1 for the worst), which a few very bad scores
    do not dominate. It is trained on four fifths of the settings and scored on the rest, in five folds. The settings
    are compared at the step at which most of them were scored, the latest of several: in a sweep that stops settings
    early this is the first rung, since those that finished are the good ones alone. Diverged settings count as the
    worst. It says what mattered within the ranges that were searched, not elsewhere.

    Args:
        results: the results of a sweep, finished or not.

    Returns:
        The importance of each column that varies, what the forest explains, and from what it was computed.

    Raises:
        ModuleNotFoundError: scikit-learn is not installed.
        ValueError: fewer than 20 settings were scored at one step, or nothing varies.

    Example:
        >>> from jaxopt_lite import report, sweeps
        >>> rates, decays = [i / 40 for i in range(40)], [i * 7 % 40 / 40 for i in range(40)]
        >>> columns = {"rate": rates, "decay": decays, "seed": [0] * 40, "status": ["done"] * 40,
        ...            "loss": [(rate - 0.5) ** 2 for rate in rates]}
        >>> results = sweeps.Results(columns, ("rate", "decay"), "loss", "min", {"seeds": [0], "steps": 9}, [{}] * 40,
        ...                          None)
        >>> list(report.importance(results).drops)
        ['rate', 'decay']

    Reference:
        Breiman (2001), Random forests, section 10.
    """
    return importance_of(study_of(results))


def importance_of(study: Study) -> Importance:
    """`importance` of prepared results."""
    step, scored, diverged = compared(study)
    names = study.structure.varying
    if not names or len(scored) + len(diverged) < LEAST:
        raise ValueError(
            f"the importance of settings needs at least {LEAST} settings that were scored at one step and differ, "
            f"got {len(scored) + len(diverged)}"
        )
    forest = _forest()
    settings, places = [*scored, *diverged], _places(study, step, scored, len(diverged))
    if len(settings) > MOST:
        kept = np.random.default_rng(0).choice(len(settings), MOST, replace=False)
        settings, places = [settings[i] for i in kept], places[kept]
    blocks = [_encoded(study, name, settings) for name in names]
    explained, drops = _permuted(forest, blocks, places)
    order = sorted(range(len(names)), key=lambda i: -drops[i])
    return Importance({names[i]: float(drops[i]) for i in order}, explained, step, len(settings), len(diverged))


def compared(study: Study) -> tuple[int, list["Setting"], list["Setting"]]:
    """The step at which most settings were scored, the latest of several; the settings; and those that diverged."""
    diverged = [s for s in study.settings if s.diverged]
    by_step: dict[int, list[Setting]] = {}
    for setting in study.settings:
        finished = {study.facts["steps"]: setting.scores[study.objective]} if setting.scores else {}
        for step, mean in {**finished, **setting.rungs}.items():
            if math.isfinite(mean.mean) and not setting.diverged:
                by_step.setdefault(step, []).append(setting)
    if not by_step:
        return study.facts["steps"], [], diverged
    step = max(by_step, key=lambda step: (len(by_step[step]), step))
    return step, by_step[step], diverged


def _places(study: Study, step: int, scored: list["Setting"], diverged: int) -> np.ndarray:
    """The place of each setting from 0 to 1, the mean place for equal scores; those that diverged share the last."""
    from scipy.stats import rankdata

    costs = [cost(study, (s.rungs.get(step) or s.scores[study.objective]).mean) for s in scored]
    ranks = rankdata([*costs, *[math.inf] * diverged]) - 1
    return np.asarray(ranks / max(1, len(ranks) - 1))


def _encoded(study: Study, name: str, settings: list["Setting"]) -> np.ndarray:
    """A column as numbers for the forest, shape (settings, width): a name is one column for each of its values.

    A number that a setting does not have is the median of the others, so that it does not tell the settings apart.
    """
    values = [setting.columns[name] for setting in settings]
    if name in study.structure.numbers:
        known = [float(v) for v in values if v is not None]
        middle = float(np.median(known)) if known else 0.0
        return np.array([[middle if v is None else float(v)] for v in values])
    labels = list(dict.fromkeys(map(str, values)))
    return np.array([[float(str(v) == label) for label in labels] for v in values])


def _permuted(forest: Any, blocks: list[np.ndarray], places: np.ndarray) -> tuple[float, list[float]]:
    """R² on settings that the forest has not seen, and by how much it falls when each block is permuted."""
    rng = np.random.default_rng(0)
    x, ends = np.concatenate(blocks, axis=1), np.cumsum([block.shape[1] for block in blocks])
    folds = np.array_split(rng.permutation(len(x)), FOLDS)
    variance = float(((places - places.mean()) ** 2).sum()) or 1.0
    wrong, wrong_permuted = 0.0, np.zeros(len(blocks))
    for fold in folds:
        rest = np.setdiff1d(np.arange(len(x)), fold)
        model = forest(n_estimators=TREES, random_state=0).fit(x[rest], places[rest])
        variants = [x[fold]]
        for end, block in zip(ends, blocks, strict=True):
            for _ in range(REPEATS):
                changed = x[fold].copy()
                own = slice(end - block.shape[1], end)
                changed[:, own] = changed[rng.permutation(len(fold)), own]
                variants.append(changed)
        errors = (model.predict(np.concatenate(variants)).reshape(len(variants), -1) - places[fold]) ** 2
        sums = errors.sum(axis=1)
        wrong += sums[0]
        wrong_permuted += sums[1:].reshape(len(blocks), REPEATS).mean(axis=1)
    return 1 - wrong / variance, list((wrong_permuted - wrong) / variance)


def _forest() -> Any:
    try:
        from sklearn.ensemble import RandomForestRegressor
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "the importance of settings needs scikit-learn: pip install 'jaxopt-lite[data]'", name="sklearn"
        ) from None
    return RandomForestRegressor
