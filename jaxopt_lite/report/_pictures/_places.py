"""The place of a setting at the end as a colour; the places near the top differ most."""

import math
from typing import TYPE_CHECKING, Any

from jaxopt_lite import _style

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def place_colour(place: int, places: int) -> Any:
    """The colour of a place from 1, the best, to `places`."""
    return _style.ranks()(math.log(place) / math.log(max(2, places)))


def place_bar(drawn: "Figure", axis: Any, places: int) -> None:
    """A colour bar of the places at the side of an axis."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm

    ticks = [tick for tick in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000) if 1.3 * tick <= places]
    norm = LogNorm(1, max(2, places))
    bar = drawn.colorbar(ScalarMappable(norm, _style.ranks()), ax=axis, fraction=0.04, pad=0.02, aspect=30, shrink=0.9)
    bar.outline.set_visible(False)
    bar.ax.invert_yaxis()
    bar.set_ticks([*ticks, places], labels=[f"{tick:,}" for tick in [*ticks, places]])
    bar.ax.minorticks_off()
    bar.set_label("place at the end (1 is the best)", fontsize=9)
