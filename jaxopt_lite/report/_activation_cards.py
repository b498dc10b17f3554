"""An activation's card: its facts as text, a picture of it and its slope, and the gallery of them all."""

import math
import tempfile
import textwrap
import tomllib
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxopt_lite import _names

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH, LABEL = 80, 11
HARDLY = 0.05  # a slope below this hardly learns: ten such layers leave 1e-13 of a gradient
_DATA = Path(__file__).parent.parent / "activations" / "catalogue.toml"
_KEPT = {
    "nothing": "nothing for the backward pass",
    "bits": "one bit an element for the backward pass",
    "input": "its input for the backward pass; with act_dense nothing of its own",
}
_PROBES = {
    "elementwise": "x",
    "gated": "the gate b, beside a = 1",
    "axis": "the first of two entries, the other 0",
}
_CHAPTERS = (
    ("Straight lines with kinks", lambda r: r["kind"] == "elementwise" and r["keeps"] != "input"),
    ("Squashing, within bounds", lambda r: r["kind"] == "elementwise" and all(abs(end) < 1e9 for end in r["range"])),
    ("With numbers to learn", lambda r: bool(r.get("initial"))),
    ("Smooth and unbounded", lambda r: r["kind"] == "elementwise"),
    ("Gates: one half decides about the other", lambda r: r["kind"] == "gated"),
    ("Along an axis: entries compete", lambda r: True),
)


def activation_card(name: str) -> str:
    """The card of one activation as plain text of at most 80 columns; read from the catalogue's data, without jax.

    Raises `ValueError` for an unknown name, with the nearest one.

    >>> print(activation_card("tanh").splitlines()[0])
    tanh
    """
    return "\n".join([name, *(_line(label, text) for label, text in _facts(name, _row(name)))])


def activation_picture(name: str, path: str | Path) -> Path:
    """Draw the function and its slope, shaded where that is below 0.05; the suffix of `path` names the format.

    Raises `ValueError` for an unknown name, with the nearest one.
    """
    from jaxopt_lite.report import _style

    return _style.save(_drawn(name, _row(name), width=6.4, height=3.9), Path(path))


def activation_gallery(directory: str | Path) -> Path:
    """Write one page with every activation, its picture and its facts, as `index.html` in the directory; says where.

    The page needs no network, follows the reader's light or dark mode, and is made anew from the functions themselves.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "index.html"
    with tempfile.NamedTemporaryFile("w", dir=directory, suffix=".part", delete=False, encoding="utf-8") as part:
        part.write(_page(_rows()))
    written = Path(part.name)
    written.chmod(0o644)
    return written.replace(path)


def _rows() -> dict[str, dict[str, Any]]:
    return tomllib.loads(_DATA.read_text(encoding="utf-8"))


def _row(name: str) -> dict[str, Any]:
    rows = _rows()
    if name not in rows:
        raise ValueError(_names.unknown("activation", name, rows))
    return rows[name]


def _facts(name: str, row: dict[str, Any]) -> list[tuple[str, str]]:
    """The labels and texts of a card, in its order."""
    flat = {(): "nowhere", ("left",): "for large negative x", ("right",): "for large positive x"}
    vanishes = flat.get(tuple(row["saturates"]), "on both sides")
    kinks = ", ".join(f"{k:g}" for k in row["kinks"])
    shape = [
        "never falls" if row["monotone"] else "rises and falls",
        "smooth" if row["smooth"] else f"kinks at {kinks}" if kinks else "no kinks, but its curvature jumps",
    ]
    facts = [
        ("formula", row["formula"]),
        ("range", _interval(*row["range"])),
        ("centre", "zero-centred" if row["zero_centred"] else "not zero-centred"),
        ("shape", "; ".join(shape)),
        ("saturates", vanishes),
        ("gain", f"{row['gain']:.4g} (weights of variance gain²/fan_in keep its second moment at 1)"),
        ("keeps", _KEPT[row["keeps"]]),
    ]
    if row.get("initial"):
        facts.append(("learns", ", ".join(f"{k} (starts at {_number(v)})" for k, v in row["initial"].items())))
    if row.get("settings"):
        facts.append(("drawn with", ", ".join(f"{k}={v:g}" for k, v in row["settings"].items())))
    return [*facts, ("use", row["use"]), ("weakness", row["weakness"]), ("reference", row["reference"])]


def _interval(low: float, high: float) -> str:
    return f"{'(' if math.isinf(low) else '['}{low:.4g}, {high:.4g}{')' if math.isinf(high) else ']'}"


def _number(value: Any) -> str:
    return ", ".join(f"{v:g}" for v in value) if isinstance(value, list) else f"{value:g}"


def _line(label: str, text: str) -> str:
    indent = " " * LABEL
    wrapped = textwrap.wrap(
        text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    return "\n".join([label.ljust(LABEL) + wrapped[0][LABEL:], *wrapped[1:]])


def _curves(name: str, half: float) -> tuple[Any, Any, Any]:
    """Points, values and slopes of the row along its probe."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from jaxopt_lite.activations import CATALOGUE

    one = CATALOGUE[name].probe
    x = np.linspace(-half, half, 801)[1:-1] + 1e-4  # off the kinks, where a slope has no meaning
    at = jnp.asarray(x, jnp.float32)
    return x, np.asarray(one(at)), np.asarray(jax.vjp(one, at)[1](jnp.ones_like(at))[0])


def _drawn(name: str, row: dict[str, Any], width: float, height: float, alone: bool = True) -> "Figure":
    """The function, its slope, and a shade where that is below 0.05; alone, with a title and a legend."""
    import numpy as np

    from jaxopt_lite.report import _style

    reach = 8.0 if name in ("sine", "snake") else max(5.0, *(abs(k) + 2.0 for k in (*row["kinks"], 0.0)))
    x, y, slope = _curves(name, reach)
    with _style.look():
        figure, axes = _style.figure(width=width, height=height)
        for values, colour, dashes, label in (
            (y, _style.PALETTE[0], "-", "f(x)"),
            (slope, _style.PALETTE[1], _style.DASHES[1], "f′(x)"),
        ):
            broken = np.flatnonzero(np.abs(np.diff(values)) > 0.15)  # a jump is no steep line
            shown = np.insert(values.astype(float), broken + 1, np.nan)
            axes.plot(np.insert(x, broken + 1, x[broken]), shown, color=colour, linestyle=dashes, label=label)
        flat, across = np.abs(slope) < HARDLY, axes.get_xaxis_transform()
        if flat.any():
            shade = {"color": _style.LOST, "linewidth": 0, "zorder": 0, "label": f"|f′| < {HARDLY}: hardly learns"}
            axes.fill_between(x, 0, 1, where=flat, transform=across, **shade)
        both = np.concatenate([y, slope])
        ends = [end for end in row["range"] if math.isfinite(end)]
        low, high = max(float(both.min()), min(-4.2, *ends, 0)), min(float(both.max()), max(4.2, *ends, 0))
        margin = 0.08 * (high - low)
        axes.set(xlabel=_PROBES[row["kind"]], ylim=(low - margin, high + margin), xlim=(-reach, reach))
        axes.axhline(0, color=_style.FRAME, linewidth=0.8, zorder=1)
        axes.axvline(0, color=_style.FRAME, linewidth=0.8, zorder=1)
        if alone:
            axes.set(title=f"{name}(x) and its slope", ylabel="value")
            figure.legend(loc="outside lower center", ncols=3, fontsize=8.5)
    return figure


_STYLE = """
main { max-width: none; }
body { max-width: 84rem; }
.f { color: var(--series-0); } .d { color: var(--series-1); } .s { background: var(--lost); padding: 0 .3em; }
nav { columns: 5 9rem; font-size: .9rem; margin: 1rem 0 2rem; }
nav a { display: block; }
a { color: var(--link); text-decoration: none; }
a:hover { text-decoration: underline; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 25rem), 1fr)); gap: 1.4rem; }
.card { border: 1px solid var(--grid); border-radius: .7rem; padding: 1rem 1.1rem; scroll-margin-top: 1rem; }
.card h3 { margin: 0; font-size: 1.15rem; }
.card figure { margin: .5rem 0; }
.card figure svg { min-width: 0; width: 100% !important; }
.card .formula { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: .85rem; overflow-wrap: anywhere; }
.card .weak { border-left: .25rem solid var(--lost-ink); padding-left: .6rem; font-size: .92rem; }
.card .use { border-left: .25rem solid var(--good); padding-left: .6rem; font-size: .92rem; }
.card dl { grid-template-columns: 5.5rem 1fr; font-size: .85rem; }
.card .source { color: var(--faint); font-size: .82rem; margin-top: .6rem; }
"""


def _page(rows: dict[str, dict[str, Any]]) -> str:
    style = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
    left, chapters = dict(rows), []
    for title, belongs in _CHAPTERS:
        members = {name: left.pop(name) for name, row in list(left.items()) if belongs(row)}
        cards = "\n".join(_card(name, row) for name, row in members.items())
        chapters.append(f"<h2>{title}</h2>\n<div class='cards'>\n{cards}\n</div>")
    links = "\n".join(f"<a href='#{name}'>{name}</a>" for name in sorted(rows))
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{len(rows)} activation functions</title><style>{style}{_STYLE}</style></head><body><main>
<h1>jaxopt_lite · activations</h1>
<p class="answer open"><strong>{len(rows)} activation functions, side by side</strong>
<b class="f">Solid</b>: the function. <b class="d">Dashed</b>: its slope, by which a gradient is multiplied on its way
down. <b class="s">Shaded</b>: where that slope is below {HARDLY} and a unit hardly learns. Gain: weights of variance
gain²/fan_in keep the second moment of normal inputs at 1. All curves are computed by the functions themselves.</p>
<nav>{links}</nav>
{"".join(chapters)}
</main></body></html>
"""


def _card(name: str, row: dict[str, Any]) -> str:
    from jaxopt_lite.report._inline import inline

    picture = inline(_drawn(name, row, width=5.2, height=2.9, alone=False), name, f"{name} and its derivative")
    facts = dict(_facts(name, row))
    shown = ("range", "centre", "shape", "saturates", "gain", "keeps", "learns", "drawn with")
    facts["gain"] = f"{row['gain']:.4g}"
    details = "".join(f"<dt>{label}</dt><dd>{escape(facts[label])}</dd>" for label in shown if label in facts)
    return f"""<article class="card" id="{name}"><h3>{name}</h3>
<p class="formula">{escape(row["formula"])}</p><figure>{picture}</figure>
<p class="use">{escape(row["use"])}</p><p class="weak">{escape(row["weakness"])}</p>
<dl>{details}</dl><p class="source">{escape(row["reference"])}</p></article>"""
