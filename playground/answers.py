"""Answers of the API as cards."""

import json

from playground.drawing import price_band, score_ring
from playground.html import NOTHING, Markup, el
from playground.pieces import bar, bars, grid, kind, listed, money, product, section, share, words
from playground.texts import texts
from vitrina_client import models

EVIDENCE = 3
"""Sentences shown of an axis."""


def what(found: models.Analysis) -> Markup:
    """Categories by level, each with its probability."""
    levels = [
        el("div", el("h3", words(level)), bars([(one.label, one.probability) for one in labels], words(level)))
        for level, labels in reversed(found.categories.items())
        if labels
    ]
    if not levels:
        return NOTHING
    seen = f"from {listed(words(part) for part in found.modalities)} · version {found.model.version}"
    return section("What it is", el("div", *levels, class_="v-levels"), note=seen)


def price(found: models.Analysis, asked: float | None) -> Markup:
    """The range that such listings are priced in, and where the price that is `asked` lies."""
    if found.price is None:
        return NOTHING
    price = found.price
    said = [f"Such listings cost about {money(price.median)}; 90 % lie between {money(price.low)} and {money(price.high)}."]
    if asked is not None and asked < price.low:
        said.append(f"{money(asked)} is below that.")
    elif asked is not None and asked > price.high:
        said.append(f"{money(asked)} is above that.")
    elif asked is not None:
        said.append(f"{money(asked)} fits.")
    return section("Price", price_band(price, asked), el("p", " ".join(said)))


def quality(found: models.Assessment, was: float | None) -> Markup:
    """The score and what would raise it, by axis; `was` is the score before a change."""
    if found.axes is None:  # the product model stands in: it knows faults alone
        faults = [(words(fault.kind), fault.probability) for fault in found.faults]
        return section("Quality", score_ring(found.score, None, was), bars(faults, "what may be wrong"), note="what may be wrong")
    passed = found.verdict == "publish"
    verdict = el("span", "ready to publish" if passed else "better not yet", class_=f"v-badge {'good' if passed else 'warn'}")
    head = el(
        "div", score_ring(found.score, found.threshold, was), el("div", verdict, _moved(found.score, was)), class_="v-verdict"
    )
    improvements = [_improvement(one, found.score) for one in found.improvements or ()]
    better = (
        el("ul", *improvements, class_="v-improvements") if improvements else el("p", "Nothing that is known would raise it.")
    )
    axes = el("div", *(_axis(axis) for axis in found.axes), class_="v-axes")
    return section(
        "Quality", head, el("h3", "What would make it better"), better, el("h3", "Axis by axis"), axes, note=version(found.model)
    )


def _moved(score: float, was: float | None) -> Markup:
    if was is None:
        return NOTHING
    change = round(100 * score) - round(100 * was)
    tone = "good" if change > 0 else "bad" if change < 0 else ""
    return el("span", f"{100 * was:.0f} → {100 * score:.0f}", class_=f"v-moved {tone}".strip(), role="status")


def _improvement(one: models.Improvement, score: float) -> Markup:
    gain = el("span", f"+{100 * one.gain:.0f}" if one.gain >= 0.005 else "+<1", class_="v-gain")
    said = el("span", one.text, class_="v-said")
    if not one.change:
        return el("li", el("div", gain, said, class_="v-todo"))
    sure = f"{share(one.confidence)} sure" if one.confidence is not None else None
    inner = gain, said, el("span", sure, class_="v-note"), el("span", "Apply", class_="v-do")
    do: dict[str, str | float] = {"data_do": "improve", "data_change": json.dumps(one.change), "data_score": score}
    return el("li", el("button", *inner, type="button", class_="v-improve", **do))


def _axis(axis: models.AxisScore) -> Markup:
    tone = "good" if axis.score >= 0.66 else "warn" if axis.score >= 0.33 else "bad"
    head = el("span", words(axis.axis)), bar(axis.score, tone), el("span", f"{100 * axis.score:.0f}", class_="v-number")
    evidence = [el("li", one.text) for one in axis.evidence[:EVIDENCE]]
    more = len(axis.evidence) - len(evidence)
    if more > 0:
        evidence.append(el("li", f"and {more} more", class_="v-note"))
    return el("details", el("summary", *head), el("ul", *evidence) if evidence else None)


def text(found: models.Written) -> Markup:
    """What the describer wrote."""
    use = el(
        "button",
        "Use as description",
        type="button",
        class_="v-button",
        data_do="improve",
        data_change=json.dumps({"description": found.description.text}),
        data_score="",
    )
    return section("Description", texts(found), use, note=version(found.model))


def similar(found: models.SimilarProducts) -> Markup:
    """Products that are like the listing."""
    tiles = [
        product(
            one.product_id,
            one.title,
            kind(one.categories),
            money(one.price),
            there=one.has_photo,
            do="choose",
            said="Look at this listing",
        )
        for one in found.items
    ]
    return section("Similar products", grid(tiles, "Similar products"), note=f"among {found.products:,}") if tiles else NOTHING


def version(model: models.Served) -> str:
    """Who answered."""
    return f"{model.name}, version {model.version}"
