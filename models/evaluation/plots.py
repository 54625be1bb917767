"""Plots as inline SVG that follows the page's colours, light or dark. Needs the page of `models.evaluation.page` around it.

Matplotlib draws with stand-in colours; `svg` replaces them by the page's CSS variables. Object interface only: no global state.
"""

import hashlib
import io
import re
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

INK, MUTED, LINE, ACCENT, SECOND, GOOD, BAD = "#010101", "#010102", "#010103", "#2f5fb4", "#b3652b", "#010104", "#010105"
"""Stand-ins for the page's colours; never two alike, never one that occurs by itself."""

POINTS = "#4d85db"
"""For rasterised points, which cannot follow the theme: readable on both."""

VARIABLES = {INK: "ink", MUTED: "muted", LINE: "line", ACCENT: "accent", SECOND: "second", GOOD: "good", BAD: "bad"}
HEAT = LinearSegmentedColormap.from_list("heat", [(0.30, 0.52, 0.86, 0.0), (0.30, 0.52, 0.86, 1.0)])
"""Transparent to blue: zero shows the page."""


def axes(width: float = 5.2, height: float = 3.6, x: str = "", y: str = "") -> tuple[Figure, Axes]:
    """An empty figure, in inches, with one set of quiet axes labelled `x` and `y`."""
    figure = Figure(figsize=(width, height), layout="constrained")
    plot = figure.subplots()
    style(plot, x, y)
    return figure, plot


def style(plot: Axes, x: str = "", y: str = "") -> None:
    """Make axes quiet: thin lines, light grid, no box."""
    figure = plot.get_figure()
    assert figure is not None
    figure.patch.set_alpha(0.0)
    plot.patch.set_alpha(0.0)
    plot.set_xlabel(x, color=MUTED)
    plot.set_ylabel(y, color=MUTED)
    plot.tick_params(colors=LINE, labelcolor=MUTED, labelsize=9, which="both", length=3)
    plot.grid(True, color=LINE, linewidth=0.6)
    plot.set_axisbelow(True)
    for side, spine in plot.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(LINE)


def legend(plot: Axes, **options: Any) -> None:
    """A frameless legend in the page's ink."""
    plot.legend(frameon=False, labelcolor=INK, fontsize=9, **options)


def svg(figure: Figure) -> str:
    """The figure as an `<svg>` element with the page's colours."""
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "vitrina"}):
        figure.savefig(buffer, format="svg", transparent=True, dpi=144, metadata={"Date": None})
    text = buffer.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, f"var(--{variable})")
    return _own_ids(text)


def _own_ids(text: str) -> str:
    """Prefix all ids, so that several figures share a page."""
    prefix = "f" + hashlib.blake2b(text.encode(), digest_size=4).hexdigest()
    text = re.sub(r'\bid="', f'id="{prefix}', text)
    text = re.sub(r'href="#', f'href="#{prefix}', text)
    return text.replace("url(#", f"url(#{prefix}")
