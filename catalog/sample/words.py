"""Titles, descriptions and reviews as shops and their customers write them."""

import html

import numpy as np

TITLES = (
    "{brand} {gender} {colour} {pattern} {name}",
    "{brand} {gender} {colour} {name}",
    "{brand} {colour} {name} for {gender}",
    "{brand} {gender} {pattern} {name}",
    "{brand} {gender} {material} {name} - {colour}",
    "{name} by {brand}, {colour}",
)
NAMELESS = (
    "{brand} {gender} {colour} {line}",
    "{brand} {line} {colour}",
    "{brand} {gender} {line} {number}",
    "{brand} {line} Edition",
)
NEW_TITLES = (
    "NEW! {name} | {brand} | {colour}",
    "{brand} ✦ {line} {name} drop {number}",
    "[{gender}] {brand} {name} {colour} limited release",
)
LINES = (
    "Aurora",
    "Weekend",
    "Signature",
    "Heritage",
    "City",
    "Coast",
    "Studio",
    "Essential",
    "Horizon",
    "Classic",
    "Nomad",
    "Voyager",
)

OPENINGS = (
    "A {adjective} {colour} {name} from {brand}.",
    "{brand} presents this {adjective} {name} in {colour}.",
    "This {colour} {name} is made for {occasion}.",
    "Be {adjective} with the {line} collection by {brand}.",
    "A {adjective} favourite for {occasion}, now in {colour}.",
    "Designed by {brand} for {occasion}.",
)
NEW_OPENINGS = (
    "Just dropped: the {line} {name}, {colour} and loud.",
    "Street-ready. Limited. {brand} x {line}.",
    "Meet your next obsession, straight from the {brand} studio.",
)
FACTS = (
    "<p><strong>Composition</strong><br />{facts}</p>",
    "<ul>{items}</ul>",
    "<p>{facts}<br><br>Wash care: see label &amp; keep away from heat</p>",
    '<div class="details">{facts}&nbsp;&bull; imported</div>',
    "{facts}",
)
CLOSINGS = (
    "Warranty for manufacturing defects: {months} months.",
    "Pair it with what you already own &amp; love.",
    "Model statistics: the model&rsquo;s height is 5&#39;{inches}&quot;.",
    "Free returns within 30&nbsp;days.",
    "Cut &amp;amp; sewn in small batches.",
    "",
)
ADJECTIVES = ("smart", "comfortable", "versatile", "elegant", "relaxed", "trendy", "timeless", "sporty", "chic", "durable")
OCCASIONS = {
    "Casual": ("a day out", "lazy weekends", "everyday use"),
    "Sports": ("the gym", "long runs", "match days"),
    "Formal": ("the office", "meetings", "formal dinners"),
    "Party": ("a night out", "weddings", "celebrations"),
}

PRAISE = {
    "fit": ("fits perfectly", "true to size", "the cut is so flattering"),
    "quality": ("great quality for the price", "feels well made", "lovely soft material"),
    "look": ("the colour is gorgeous", "looks even better than in the photo", "I get compliments every time"),
    "service": ("arrived quickly", "nicely packed", "would buy again"),
}
BLAME = {
    "fit": ("runs far too small", "the fit is odd", "had to return it, way too large"),
    "quality": ("fell apart after two weeks", "feels cheap and thin", "the seams came loose"),
    "look": ("the colour is nothing like the photo", "looks dull in person", "faded after one wash"),
    "service": ("arrived late and creased", "the box was damaged", "would not buy again"),
}
NEUTRAL = ("it is okay", "does what it should", "nothing special", "average for the price")
REVIEW_TITLES = {
    1: ("Very disappointed", "Avoid", "Not worth it"),
    2: ("Expected more", "Meh", "Sending it back"),
    3: ("It's fine", "Okay", "Mixed feelings"),
    4: ("Really nice", "Happy with it", "Good buy"),
    5: ("Love it!", "Perfect", "My new favourite"),
}


def pick(rng: np.random.Generator, options: tuple[str, ...]) -> str:
    """One of the options."""
    return options[int(rng.integers(len(options)))]


def title(facts: dict[str, str], rng: np.random.Generator, new: bool) -> str:
    """A title; about one in five does not say what the product is."""
    templates = NAMELESS if rng.random() < 0.22 else NEW_TITLES if new else TITLES
    text = pick(rng, templates).format(**facts, line=pick(rng, LINES), number=int(rng.integers(1, 99)))
    text = " ".join(text.replace("Solid ", "").split())
    return text.upper() if rng.random() < 0.04 else text


def description(facts: dict[str, str], attributes: dict[str, str], usage: str, rng: np.random.Generator, new: bool) -> str:
    """HTML as it comes out of shop systems: entities, nested markup, now and then escaped twice or cut off."""
    fill = facts | {
        "adjective": pick(rng, ADJECTIVES),
        "occasion": pick(rng, OCCASIONS[usage]),
        "line": pick(rng, LINES),
        "name": facts["name"].lower(),
        "colour": facts["colour"].lower(),
    }
    lines = [f"{name}: {value}" for name, value in attributes.items() if rng.random() < 0.6]
    listed = html.escape(", ".join(lines) or "See pictures for details")
    items = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
    parts = (
        f"<p>{html.escape(pick(rng, NEW_OPENINGS if new else OPENINGS).format(**fill))}</p>",
        pick(rng, FACTS).format(facts=listed, items=items),
        pick(rng, CLOSINGS).format(months=int(rng.integers(1, 25)), inches=int(rng.integers(6, 12))),
    )
    text = "".join(parts)
    fault = rng.random()
    return html.escape(text) if fault < 0.02 else text[:-3] if fault < 0.04 else text


def review(rating: int, rng: np.random.Generator) -> tuple[str | None, str]:
    """Title (missing in one of seven) and text that fit a rating from 1 to 5."""
    pleased = {1: 0.05, 2: 0.25, 3: 0.5, 4: 0.8, 5: 0.96}[rating]
    sentences = []
    for aspect in rng.permutation(list(PRAISE))[: int(rng.integers(1, 4))]:
        source = PRAISE if rng.random() < pleased else BLAME
        sentences.append(pick(rng, source[str(aspect)]).capitalize())
    if rating == 3 or rng.random() < 0.15:
        sentences.insert(0, pick(rng, NEUTRAL).capitalize())
    heading = None if rng.random() < 0.14 else pick(rng, REVIEW_TITLES[rating])
    return heading, ". ".join(sentences) + "."
