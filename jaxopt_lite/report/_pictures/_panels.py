"""How the combinations of a sweep are spread over a picture: one column to the panels, the others to the colours."""

from typing import TYPE_CHECKING, Any, NamedTuple

from jaxopt_lite import _style
from jaxopt_lite.report._numbers import setting_label
from jaxopt_lite.report._study import Study, groups

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from jaxopt_lite.sweeps import Setting

MOST_PANELS, MOST_COLOURS = 9, len(_style.PALETTE)


class Panels(NamedTuple):
    """The combinations of a sweep in two steps.

    Attributes:
        column: the column that makes the panels, None for a single panel.
        rest: the other columns of names; each combination of them has a colour.
        settings: by panel label, then by colour label, the settings, best first; both in the order of the sweep.
    """

    column: str | None
    rest: tuple[str, ...]
    settings: dict[str, dict[str, list["Setting"]]]

    @property
    def colours(self) -> list[str]:
        """The labels of the colours, in the order of the sweep."""
        return list(dict.fromkeys(label for panel in self.settings.values() for label in panel))


def panels_of(study: Study) -> Panels:
    """Panels by optimizer where there is one and something else besides, else by the column with the fewest values."""
    kinds = study.structure.kinds
    column = None
    if len(kinds) > 1:
        optimizers = [name for name in kinds if name.rpartition(".")[2] == "optimizer"]
        column = optimizers[0] if optimizers else min(kinds, key=lambda name: len(set(study.columns[name])))
    rest = tuple(name for name in kinds if name != column)
    by_panel: dict[str, dict[str, list[Setting]]] = {}
    together = groups(study, kinds)
    for key in dict.fromkeys(zip(*(study.columns[name] for name in kinds), strict=True)) if kinds else [()]:
        by_name: dict[str, Any] = dict(zip(kinds, key, strict=True))
        panel = setting_label(by_name[column]) if column else ""
        colour = ", ".join(setting_label(by_name[name]) for name in rest)
        by_panel.setdefault(panel, {}).setdefault(colour, []).extend(together[key])
    return Panels(column, rest, by_panel)


def having(panels: Panels, number: str) -> Panels:
    """The panels and colours that hold a setting with a value of this number."""
    kept = {
        panel: {c: settings for c, settings in by.items() if any(s.columns[number] is not None for s in settings)}
        for panel, by in panels.settings.items()
    }
    return panels._replace(settings={panel: by for panel, by in kept.items() if by})


def best_first(study: Study, panels: Panels) -> Panels:
    """The same with at most `MOST_PANELS` panels and `MOST_COLOURS` colours, those of the best settings.

    The order of the sweep is kept among them.
    """
    order = study.places
    rank_panel = {p: min(order[s[0].trials] for s in by.values()) for p, by in panels.settings.items()}
    rank_colour: dict[str, int] = {}
    for by in panels.settings.values():
        for label, settings in by.items():
            rank_colour[label] = min(order[settings[0].trials], rank_colour.get(label, len(order)))
    shown = sorted(rank_panel, key=rank_panel.__getitem__)[:MOST_PANELS]
    coloured = sorted(rank_colour, key=rank_colour.__getitem__)[:MOST_COLOURS]
    kept = {
        panel: {label: settings for label, settings in by.items() if label in coloured}
        for panel, by in panels.settings.items()
        if panel in shown
    }
    return panels._replace(settings={panel: by for panel, by in kept.items() if by})


def omitted(whole: Panels, shown: Panels) -> str:
    """How many panels and colours `best_first` kept, as ` (best 9 of 12 optimizers)`, or nothing."""
    parts = []
    if len(shown.settings) < len(whole.settings):
        parts.append(f"{len(shown.settings)} of {len(whole.settings)} {whole.column}s")
    if len(shown.colours) < len(whole.colours):
        parts.append(f"{len(shown.colours)} of {len(whole.colours)} {' × '.join(whole.rest)}s")
    return f" (best {', '.join(parts)})" if parts else ""


def axes_for(panels: int) -> tuple["Figure", Any]:
    """A figure with this many panels, at most three in a row, which share their axes."""
    columns = panels if panels <= 2 else 2 if panels == 4 else 3
    rows = -(-panels // columns)
    width = 6.4 if columns == 1 else 3.3 * columns
    return _style.figure(rows, columns, width, max(3.4, 2.5 * rows), squeeze=False, sharex=True, sharey=True)


def hide_rest(axes: Any, panels: int) -> None:
    """Hide the unused axes of the last row; the panels above them get tick labels."""
    for i, axis in enumerate(axes.flat):
        axis.set_visible(i < panels)
        if i >= panels and i >= axes.shape[1]:
            axes.flat[i - axes.shape[1]].tick_params(labelbottom=True)
