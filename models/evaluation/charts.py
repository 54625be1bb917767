"""The plots that evaluation reports share, each as an `<svg>` for `models.evaluation.page.figure`."""

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator
from numpy.typing import NDArray

from models.evaluation.plots import ACCENT, HEAT, INK, LINE, MUTED, POINTS, SECOND, axes, legend, style, svg
from models.evaluation.results import Metric

FEW = 10
RATIOS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 10.0)


def reliability(challenger: pd.DataFrame, champion: pd.DataFrame | None = None) -> str:
    """Accuracy by confidence, and how many rows have it, from frames of `metrics.calibration_bins`.

    Bins of fewer than `FEW` rows are left out of the upper plot: they are noise.
    """
    figure = Figure(figsize=(5.2, 4.4), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    style(upper, y="share correct")
    style(lower, "confidence", "rows")
    upper.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 3)), label="perfect calibration")
    series = [("champion", champion, SECOND, "s"), ("challenger", challenger, ACCENT, "o")]
    for name, bins, colour, marker in series:
        if bins is not None:
            drawn = bins[bins["rows"] >= FEW]
            upper.plot(
                drawn["confidence"], drawn["accuracy"], color=colour, linewidth=1.6, marker=marker, markersize=5, label=name
            )
    upper.set(xlim=(0, 1.02), ylim=(0, 1.02))
    legend(upper, loc="upper left")
    lower.bar(
        challenger["low"], challenger["rows"], width=challenger["high"] - challenger["low"], align="edge", color=ACCENT, alpha=0.7
    )
    lower.grid(False)
    return svg(figure)


def dots(
    labels: Sequence[str],
    challenger: Sequence[Metric],
    champion: Sequence[Metric | None],
    overall: float | None,
    name: str,
    line: str = "overall",
) -> str:
    """One metric by slice: the point and its interval, the champion's point, and the overall value as a line called `line`."""
    figure, plot = axes(5.2, 0.9 + 0.27 * len(labels), x=name)
    if overall is not None:
        plot.axvline(overall, color=MUTED, linewidth=1, linestyle=(0, (4, 3)), label=line)
    rows = np.arange(len(labels))
    if any(m is not None and m.value is not None for m in champion):
        plot.scatter(_values(champion), rows + 0.22, color=SECOND, marker="s", s=16, label="champion", zorder=3)
    points = _values(challenger)
    low = np.array([p if m.low is None else m.low for m, p in zip(challenger, points, strict=True)])
    high = np.array([p if m.high is None else m.high for m, p in zip(challenger, points, strict=True)])
    plot.hlines(rows, low, high, color=ACCENT, linewidth=2, alpha=0.55)
    plot.scatter(points, rows, color=ACCENT, s=26, label="challenger, 95 % interval", zorder=4)
    plot.set_yticks(rows, labels, parse_math=False)
    plot.tick_params(axis="y", labelcolor=INK, length=0)
    plot.set_ylim(len(labels) - 0.4, -0.6)
    plot.grid(False, axis="y")
    figure.legend(
        loc="outside upper left", frameon=False, labelcolor=INK, fontsize=9, ncols=3, handletextpad=0.4, columnspacing=1.2
    )
    return svg(figure)


def heat_map(shares: NDArray[np.float64], labels: Sequence[str]) -> str:
    """Confusion matrix [true, predicted] of row shares 0–1."""
    size = 2.4 + 0.27 * len(labels)
    figure, plot = axes(size + 0.6, size, x="predicted", y="true")
    plot.grid(False)
    edges = np.arange(len(labels) + 1) - 0.5
    plot.pcolormesh(edges, edges, shares, cmap=HEAT, vmin=0.0, vmax=1.0, rasterized=True)
    for (row, column), share in np.ndenumerate(shares):
        if share >= 0.02:
            plot.text(column, row, f"{100 * share:.0f}", ha="center", va="center", fontsize=7.5, color=INK)
    ticks = np.arange(len(labels))
    plot.set_xticks(ticks, labels, rotation=55, ha="right", rotation_mode="anchor", parse_math=False)
    plot.set_yticks(ticks, labels, parse_math=False)
    plot.tick_params(labelcolor=INK, length=0)
    plot.invert_yaxis()
    for spine in plot.spines.values():
        spine.set_visible(False)
    return svg(figure)


def price_scatter(true: NDArray[np.float64], predicted: NDArray[np.float64]) -> str:
    """Predicted against true prices > 0, both on a log scale."""
    figure, plot = axes(5.2, 4.4, x="true price", y="predicted price")
    limits = (min(true.min(), predicted.min()) / 1.15, max(true.max(), predicted.max()) * 1.15)
    plot.set(xscale="log", yscale="log", xlim=limits, ylim=limits)
    _plain_ticks(plot, "both")
    alpha = float(np.clip(800 / len(true), 0.15, 0.7))
    plot.scatter(true, predicted, s=9, color=POINTS, alpha=alpha, linewidths=0, rasterized=True)
    plot.plot(limits, limits, color=MUTED, linewidth=1, linestyle=(0, (4, 3)), label="exact")
    for factor, label in ((2.0, "twice / half"), (0.5, None)):
        plot.plot(limits, [limit * factor for limit in limits], color=LINE, linewidth=1.2, label=label)
    legend(plot, loc="upper left")
    return svg(figure)


def price_ratios(bands: Sequence[str], ratios: Sequence[NDArray[np.float64]]) -> str:
    """Box plot of predicted / true price in each band; whiskers hold 90 % of the rows."""
    figure, plot = axes(5.2, 4.4, x="true price", y="predicted ÷ true price")
    plot.axhline(1.0, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
    line = {"color": ACCENT, "linewidth": 1.3}
    plot.boxplot(
        list(ratios),
        whis=(5, 95),
        showfliers=False,
        widths=0.5,
        boxprops=line,
        whiskerprops=line,
        capprops=line,
        medianprops={"color": SECOND, "linewidth": 2},
    )
    plot.set_yscale("log")
    plot.yaxis.set_major_locator(FixedLocator(RATIOS))
    plot.yaxis.set_minor_locator(NullLocator())
    _plain_ticks(plot, "y")
    plot.set_xticks(np.arange(1, len(bands) + 1), bands, parse_math=False)
    plot.tick_params(axis="x", length=0)
    plot.grid(False, axis="x")
    return svg(figure)


def trade_off(
    labels: Sequence[str], challenger: Sequence[tuple[Metric, Metric]], champion: Sequence[tuple[Metric, Metric]], x: str, y: str
) -> str:
    """One metric against another at several settings: a curve with a label at each of the challenger's points."""
    figure, plot = axes(5.2, 4.0, x=x, y=y)
    for name, points, colour, marker in (("champion", champion, SECOND, "s"), ("challenger", challenger, ACCENT, "o")):
        if points:
            across, up = (_values(metrics) for metrics in zip(*points, strict=True))
            plot.plot(across, up, color=colour, linewidth=1.6, marker=marker, markersize=5, label=name)
    for label, (across_, up_) in zip(labels, challenger, strict=True):
        if across_.value is not None and up_.value is not None:
            at = (across_.value, up_.value)
            plot.annotate(label, at, xytext=(6, 6), textcoords="offset points", color=INK, fontsize=9, parse_math=False)
    plot.margins(0.12)
    legend(plot, loc="lower left")
    return svg(figure)


def curves(at: Sequence[int], series: Mapping[str, Sequence[Metric]], x: str, y: str) -> str:
    """One metric at several numbers, on a log scale, a line a series; the first stands out, with its interval."""
    figure, plot = axes(5.2, 4.0, x=x, y=y)
    looks = [(ACCENT, "-", "o"), (SECOND, "-", "s"), (MUTED, "-", "^"), (INK, "--", "D"), (SECOND, ":", "v"), (MUTED, ":", "x")]
    for place, ((name, metrics), (colour, line, marker)) in enumerate(zip(series.items(), cycle(looks), strict=False)):
        points = _values(metrics)
        if not place:
            low, high = (
                [np.nan if v is None else v for v in ends] for ends in zip(*((m.low, m.high) for m in metrics), strict=True)
            )
            plot.fill_between(at, low, high, color=colour, alpha=0.15, linewidth=0)
        wide = 2.2 if not place else 1.3
        plot.plot(at, points, color=colour, linestyle=line, marker=marker, markersize=5, linewidth=wide, label=name)
    plot.set_xscale("log")
    plot.set_xticks(list(at), [str(number) for number in at])
    plot.xaxis.set_minor_locator(NullLocator())
    legend(plot, loc="lower right")
    return svg(figure)


def rising(curves: Mapping[str, tuple[Sequence[float], Sequence[float]]], y: str) -> str:
    """Small piecewise linear curves side by side, three in a row, each over an x of its own and all over one y."""
    rows = -(-len(curves) // 3)
    figure = Figure(figsize=(7.8, 0.5 + 1.7 * rows), layout="constrained")
    plots = figure.subplots(rows, 3, sharey=True, squeeze=False).ravel()
    for place, plot in enumerate(plots):
        style(plot, y=y if place % 3 == 0 else "")
        plot.set_visible(place < len(curves))
    for plot, (name, (at, heights)) in zip(plots, curves.items(), strict=False):
        plot.plot(at, heights, color=ACCENT, linewidth=1.8, marker="o", markersize=3)
        plot.set_xlabel(name, parse_math=False)
    return svg(figure)


def shares(groups: Sequence[str], series: Mapping[str, Sequence[Metric]]) -> str:
    """Shares of at most three series side by side in each group, with their intervals."""
    figure, plot = axes(5.2, 3.6, y="share")
    width = 0.8 / max(1, len(series))
    for place, ((name, metrics), colour) in enumerate(zip(series.items(), (MUTED, ACCENT, SECOND), strict=False)):
        at = np.arange(len(groups)) + (place - (len(series) - 1) / 2) * width
        plot.bar(at, _values(metrics), width=0.92 * width, color=colour, alpha=0.8, label=name)
        low = [np.nan if m.low is None else m.low for m in metrics]
        plot.vlines(at, low, [np.nan if m.high is None else m.high for m in metrics], color=INK, linewidth=1)
    plot.set_xticks(np.arange(len(groups)), groups, parse_math=False)
    plot.tick_params(axis="x", length=0, labelcolor=INK)
    plot.grid(False, axis="x")
    plot.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))
    figure.legend(loc="outside upper left", frameon=False, labelcolor=INK, fontsize=9, ncols=3)
    return svg(figure)


def histogram(values: NDArray[np.float64], line: float, name: str, below: str, above: str) -> str:
    """How many of values from 0 to 1 lie where; those below `line` in another colour."""
    figure, plot = axes(5.2, 3.2, x=name, y="listings")
    edges: list[float] = np.linspace(0.0, 1.0, 41).tolist()
    for label, colour, chosen in ((below, SECOND, values < line), (above, ACCENT, values >= line)):
        plot.hist(values[chosen], bins=edges, color=colour, alpha=0.8, label=label)
    plot.axvline(line, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
    plot.set_xlim(0.0, 1.0)
    plot.grid(False, axis="x")
    legend(plot, loc="upper left")
    return svg(figure)


def spreads(labels: Sequence[str], values: Sequence[NDArray[np.float64]], name: str, most: float = 1.0) -> str:
    """Box plot of values from 0 to `most` for each label, the first on top; whiskers hold 90 % of them."""
    figure, plot = axes(5.2, 0.8 + 0.3 * len(labels), x=name)
    line = {"color": ACCENT, "linewidth": 1.3}
    plot.boxplot(
        list(values),
        orientation="horizontal",
        whis=(5, 95),
        showfliers=False,
        widths=0.5,
        boxprops=line,
        whiskerprops=line,
        capprops=line,
        medianprops={"color": SECOND, "linewidth": 2},
    )
    plot.set_yticks(np.arange(1, len(labels) + 1), labels, parse_math=False)
    plot.tick_params(axis="y", labelcolor=INK, length=0)
    plot.set_xlim(-0.02 * most, 1.02 * most)
    plot.invert_yaxis()
    plot.grid(False, axis="y")
    return svg(figure)


def _values(metrics: Sequence[Metric | None]) -> NDArray[np.float64]:
    return np.array([np.nan if m is None or m.value is None else m.value for m in metrics])


def _plain_ticks(plot: Axes, which: str) -> None:
    """Plain numbers instead of powers of ten on a log axis."""
    for name, axis in (("x", plot.xaxis), ("y", plot.yaxis)):
        if which in (name, "both"):
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
            axis.set_minor_formatter(NullFormatter())
