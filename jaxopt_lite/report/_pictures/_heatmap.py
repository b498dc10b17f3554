"""Heat maps of a sweep: a swept number against the combinations of names, with the objective as colour."""

from typing import TYPE_CHECKING, Any, NamedTuple

from jaxopt_lite import _style
from jaxopt_lite.report._numbers import brief, setting_label, setting_labels, title, usual_decimals
from jaxopt_lite.report._pictures._panels import Panels, panels_of
from jaxopt_lite.report._pictures._scale import Scale, ink_on, scale_of
from jaxopt_lite.report._pictures._strip import strip
from jaxopt_lite.report._study import Study, has_score, in_order, is_drawn, spoken, study_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from jaxopt_lite.sweeps import Results, Setting

MOST_ROWS = 40
_DIVERGED, _FAILED, _PRUNED, _OPEN = "✕", "failed", "–", "…"
_CELL, _HEAD = 0.27, 0.85  # height of a row in inches, and of a group's heading in rows


class _Row(NamedTuple):
    """A line of cells: its label, and for each value of the axis the settings there, best first."""

    label: str
    cells: list[list["Setting"]]


def heatmaps(results: "Results") -> list[tuple[str, "Figure"]]:
    """Each swept number against the combinations of names, with the objective as colour.

    Colour and number of a cell are the mean of the objective over seeds. Where a cell holds several settings, because
    another number varies too, it shows the best of them. The best cell of each row is framed. `✕` marks cells in which
    all runs diverged, and `✕ 1/3` cells in which one of three did: these have no mean, because the mean over the other
    seeds would be biased. `failed` and `failed 1/3` mark the same for runs in which the task raised an error. A number
    that was drawn from a continuous range, or has more than 16 values, gives points with intervals instead of cells.

    Args:
        results: the results of a sweep, finished or not.

    Returns:
        Pairs of a title and a matplotlib figure; an empty list if no setting has a score or no number varies.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.

    Example:
        >>> from jaxopt_lite import report, sweeps
        >>> columns = {"activation": ["relu", "relu", "tanh", "tanh"], "rate": [0.1, 0.2] * 2, "seed": [0] * 4,
        ...            "status": ["done"] * 4, "test_loss": [0.50, 0.40, 0.60, 0.51]}
        >>> facts = {"task": "digits", "steps": 10, "seeds": [0]}
        >>> results = sweeps.Results(columns, ("activation", "rate"), "test_loss", "min", facts, [{}] * 4, None)
        >>> [title for title, figure in report.heatmaps(results)]
        ['Test loss by rate']
    """
    return pictures(study_of(results))


def pictures(study: Study) -> list[tuple[str, "Figure"]]:
    """`heatmaps` of prepared results."""
    scored = [s for s in study.settings if has_score(s, study.objective)]
    if not scored:
        return []
    with _style.look():
        scale = scale_of([s.scores[study.objective].mean for s in scored], study.mode)
        drawn: list[tuple[str, Figure]] = []
        for number in _spread(study):
            across = _across(study, number)
            if across is None or is_drawn(study, number):
                drawn.append((f"{title(spoken(study.objective))} by {spoken(number)}", strip(study, number)))
            else:
                drawn += _pages(study, number, across, scale)
                if not study.structure.kinds:
                    break  # the other number of the pair would show the same cells
        return drawn


def _spread(study: Study) -> list[str]:
    """The swept numbers with at least two values; a number may also vary by being there or not."""
    return [name for name in study.structure.numbers if len(in_order(study, name)) > 1]


def _across(study: Study, number: str) -> Panels | None:
    """What the rows are: combinations of names; without names another number with few values; else nothing."""
    if study.structure.kinds:
        return panels_of(study)
    for other in _spread(study):
        values = in_order(study, other)
        if other != number and not is_drawn(study, other):
            labels = setting_labels(values)
            by_label: dict[str, list[Setting]] = {labels[value]: [] for value in values}
            for setting in study.settings:
                if setting.columns[other] is not None:
                    by_label[labels[setting.columns[other]]].append(setting)
            return Panels(None, (other,), {"": by_label})
    return None


def _title(study: Study, number: str, across: Panels) -> str:
    text = f"{title(spoken(study.objective))} by {spoken(number)}"
    if not study.structure.kinds:
        text += f" and {spoken(across.rest[0])}"
    others = [spoken(name) for name in _spread(study) if name not in (number, *across.rest)]
    return text + (f", best over {', '.join(others)}" if others else "")


def _pages(study: Study, number: str, across: Panels, scale: Scale) -> list[tuple[str, "Figure"]]:
    """One figure; with too many rows one for each panel, the best panel first, each with its best rows."""
    whole = _title(study, number, across)
    rows = {panel: _rows(study, number, by) for panel, by in across.settings.items()}
    rows = {panel: lines for panel, lines in rows.items() if lines}
    if sum(map(len, rows.values())) <= MOST_ROWS:
        return [(whole, _figure(study, number, across, rows, scale))]
    pages = []
    for panel, lines in sorted(rows.items(), key=lambda item: min(_place(study, row) for row in item[1])):
        kept = _best_rows(study, lines)
        named = f"{whole}: {panel}" if panel else whole
        named += f" (best {len(kept)} of {len(lines)} rows)" if len(kept) < len(lines) else ""
        pages.append((named, _figure(study, number, across, {panel: kept}, scale)))
    return pages


def _rows(study: Study, number: str, by: dict[str, list["Setting"]]) -> list[_Row]:
    values = in_order(study, number)
    rows = [
        _Row(label, [[s for s in settings if s.columns[number] == v] for v in values]) for label, settings in by.items()
    ]
    return [row for row in rows if any(row.cells)]


def _best_rows(study: Study, rows: list[_Row]) -> list[_Row]:
    ranked = sorted(rows, key=lambda row: _place(study, row))[:MOST_ROWS]
    return [row for row in rows if row in ranked]


def _place(study: Study, row: _Row) -> int:
    """The place of the best setting of a row among all settings."""
    return min(study.places[s.trials] for cell in row.cells for s in cell)


def _figure(study: Study, number: str, across: Panels, rows: dict[str, list[_Row]], scale: Scale) -> "Figure":
    values = in_order(study, number)
    headed = len(rows) > 1
    units = sum(map(len, rows.values())) + (_HEAD * len(rows) if headed else 0.0)
    width = min(9.0, 2.4 + 0.62 * len(values))
    drawn, axis = _style.figure(width=width, height=max(1.9, 0.95 + _CELL * units))
    y, ticks, labels = 0.0, [], []
    decimals = usual_decimals(s.scores[study.objective] for s in study.settings if s.scores)
    for panel, lines in rows.items():
        if headed:
            axis.text(
                -0.5, y + _HEAD - 0.12, _style.plain(panel), fontweight="bold", fontsize=9, va="bottom", ha="left"
            )
            y += _HEAD
        for row in lines:
            _draw_row(axis, study, row, y + 0.5, scale, decimals)
            ticks.append(y + 0.5)
            labels.append(_style.plain(row.label))
            y += 1
    axis.set(xlim=(-0.52, len(values) - 0.48), ylim=(units + 0.03, -0.03))
    axis.set_yticks(ticks, labels)
    axis.set_xticks(range(len(values)), setting_labels(values).values(), fontsize=8.3)
    axis.set_xlabel(_style.plain(spoken(number)))
    axis.set_ylabel(_style.plain(", ".join(map(spoken, across.rest))))
    axis.grid(False)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    _bar(drawn, axis, study, scale)
    drawn.supxlabel(_signs(rows, study, scale), fontsize=7.8, color=_style.TICK)
    return drawn


def _draw_row(axis: Any, study: Study, row: _Row, y: float, scale: Scale, decimals: int | None) -> None:
    from matplotlib.patches import Rectangle

    scored = [next((s for s in cell if has_score(s, study.objective)), None) for cell in row.cells]
    top = min((s.trials for s in scored if s), key=study.places.__getitem__, default=None)
    for x, (cell, setting) in enumerate(zip(row.cells, scored, strict=True)):
        if not cell:
            continue
        face, ink, text = _cell(study, cell, setting, scale, decimals)
        axis.add_patch(Rectangle((x - 0.48, y - 0.47), 0.96, 0.94, facecolor=face, linewidth=0))
        is_best = setting is not None and setting.trials == top
        weight = "bold" if is_best or setting is None else "normal"
        if setting is None and text.startswith(_FAILED):
            size, text = 6.8, text.replace(" ", "\n")  # a cell is too narrow for both words
        else:
            size = 7.6 if setting is not None else 10.0
        star = "★ " if setting is study.settings[0] else ""
        axis.text(
            x,
            y + 0.02,
            star + text,
            ha="center",
            va="center",
            fontsize=size,
            color=ink,
            fontweight=weight,
            linespacing=0.9,
        )
        if is_best:
            axis.add_patch(
                Rectangle((x - 0.465, y - 0.45), 0.93, 0.9, fill=False, edgecolor=_style.INK, linewidth=1.6, zorder=4)
            )


def _cell(
    study: Study, cell: list["Setting"], setting: "Setting | None", scale: Scale, decimals: int | None
) -> tuple[Any, str, str]:
    """Colour, ink and text of a cell."""
    if setting is not None:
        face = scale.colour(setting.scores[study.objective].mean)
        digits = None if scale.way == "logarithmic" else decimals
        value = setting.scores[study.objective].mean
        text = f"{value:.2g}" if digits is None else brief(value, digits)
        return face, ink_on(face), text + (f" {_DIVERGED}" if any(s.diverged for s in cell) else "")
    text = _fate(cell)
    lost = text.startswith((_DIVERGED, _FAILED))
    return (_style.DIVERGED, _style.DIVERGED_INK, text) if lost else (_style.OPEN, _style.TICK, text)


def _fate(cell: list["Setting"]) -> str:
    """The text of a cell without a score."""
    seeds = sum(s.seeds for s in cell)
    for sign, lost in ((_DIVERGED, sum(s.diverged for s in cell)), (_FAILED, sum(s.failed for s in cell))):
        if lost:
            return sign if lost == seeds else f"{sign} {lost}/{seeds}"
    return _PRUNED if any(s.pruned for s in cell) else _OPEN


def _signs(rows: dict[str, list[_Row]], study: Study, scale: Scale) -> str:
    """What the signs in the cells mean, of those that occur."""
    cells = [cell for lines in rows.values() for row in lines for cell in row.cells if cell]
    scored = [any(has_score(s, study.objective) for s in cell) for cell in cells]
    fates = [_fate(cell) for cell, known in zip(cells, scored, strict=True) if not known]
    best = study.settings[0]
    signs = ["★ best of all"] if any(s is best for cell in cells for s in cell) else []
    signs.append("framed: best of its row")
    if _DIVERGED in fates:
        signs.append(f"{_DIVERGED} diverged")
    for sign, ended in ((_DIVERGED, "diverged"), (_FAILED, "failed")):
        partly = [fate for fate in fates if fate.startswith(f"{sign} ")]
        if partly:
            lost, runs = partly[0].removeprefix(f"{sign} ").split("/")
            signs.append(f"{partly[0]}: {lost} of {runs} runs {ended}")
    if any(known and any(s.diverged for s in cell) for cell, known in zip(cells, scored, strict=True)):
        signs.append(f"number with {_DIVERGED}: another setting of the cell diverged")
    if _PRUNED in fates:
        signs.append(f"{_PRUNED} stopped early")
    if _OPEN in fates:
        signs.append(f"{_OPEN} not finished")
    if scale.way != "linear":
        signs.append(f"colour {scale.way}")
    middle = -(-len(signs) // 2) if len(signs) > 4 else len(signs)
    return "\n".join("   ·   ".join(line) for line in (signs[:middle], signs[middle:]) if line)


def _bar(drawn: "Figure", axis: Any, study: Study, scale: Scale) -> None:
    from matplotlib.cm import ScalarMappable

    bar = drawn.colorbar(
        ScalarMappable(scale.norm, scale.colours), ax=axis, fraction=0.05, pad=0.02, aspect=24, shrink=0.75
    )
    bar.outline.set_visible(False)
    if scale.ticks is not None:
        bar.set_ticks(scale.ticks, labels=[f"{t:.2g}" if t < 0.9 else setting_label(t) for t in scale.ticks])
        bar.ax.minorticks_off()
    bar.set_label(_style.plain(spoken(study.objective)), fontsize=9)
