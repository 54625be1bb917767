"""Small drawings, as SVG: a price within its range, and a score."""

import math

from playground.html import NOTHING, Markup, el
from playground.pieces import money
from vitrina_client import models

WIDTH, HEIGHT, LEFT = 320, 64, 12
RADIUS = 34


def price_band(price: models.Price, asked: float | None) -> Markup:
    """The range of an estimate on a scale that grows by factors, with the price that is asked."""
    if price.low <= 0:
        return NOTHING
    shown = [value for value in (price.low, price.median, price.high, asked) if value is not None and value > 0]
    low, high = math.log(min(shown)), math.log(max(shown))
    wide = max(high - low, 1e-9)

    def at(value: float) -> float:
        return round(LEFT + (WIDTH - 2 * LEFT) * (math.log(value) - low) / wide, 1)

    inner = [
        el("line", x1=LEFT, x2=WIDTH - LEFT, y1=30, y2=30, class_="v-scale"),
        el("rect", x=at(price.low), y=24, width=max(at(price.high) - at(price.low), 2), height=12, rx=6, class_="v-range"),
        el("line", x1=at(price.median), x2=at(price.median), y1=20, y2=40, class_="v-median"),
        _label(at(price.low), 58, money(price.low)),
        _label(at(price.high), 58, money(price.high)),
        _label(at(price.median), 14, money(price.median)),
    ]
    said = f"estimated {money(price.median)}, between {money(price.low)} and {money(price.high)}"
    if asked is not None and asked > 0:
        fits = price.low <= asked <= price.high
        inner.append(el("circle", cx=at(asked), cy=30, r=7, class_="v-asked good" if fits else "v-asked bad"))
        said += f"; asked {money(asked)}"
    return el("svg", *inner, viewBox=f"0 0 {WIDTH} {HEIGHT}", class_="v-band", role="img", aria_label=said)


def score_ring(score: float, threshold: float | None, was: float | None) -> Markup:
    """A score of 0 to 1 as a ring, with the threshold, and what it was before."""
    around = 2 * math.pi * RADIUS
    circle: dict[str, str | int] = {"cx": 44, "cy": 44, "r": RADIUS, "transform": "rotate(-90 44 44)"}
    tone = "good" if threshold is None or score >= threshold else "warn"
    inner = [
        el("circle", cx=44, cy=44, r=RADIUS, class_="v-track"),
        el("circle", **circle, class_=f"v-score {tone}", stroke_dasharray=f"{around * score:.1f} {around:.1f}"),
    ]
    said = f"score {100 * score:.0f} of 100"
    if was is not None:
        said += f", before {100 * was:.0f}"
    if threshold is not None:
        said += f", published from {100 * threshold:.0f} on"
        angle = 2 * math.pi * threshold - math.pi / 2
        ends = [(44 + r * math.cos(angle), 44 + r * math.sin(angle)) for r in (RADIUS - 7, RADIUS + 7)]
        (x1, y1), (x2, y2) = ends
        inner.append(el("line", x1=f"{x1:.1f}", y1=f"{y1:.1f}", x2=f"{x2:.1f}", y2=f"{y2:.1f}", class_="v-threshold"))
    inner.append(el("text", f"{100 * score:.0f}", x=44, y=51, class_="v-figure"))
    return el("svg", *inner, viewBox="0 0 88 88", class_="v-ring", role="img", aria_label=said)


def _label(x: float, y: int, text: str) -> Markup:
    anchor = "start" if x < 40 else "end" if x > WIDTH - 40 else "middle"
    return el("text", text, x=x, y=y, text_anchor=anchor, class_="v-label")
