"""A text of the describer, with the facts that it states marked where they stand."""

import re
from collections.abc import Sequence

from playground.html import Inner, Markup, el, joined
from playground.pieces import listed, words
from vitrina_client import models


def texts(found: models.Written) -> Markup:
    """Everything that was written, and what was not said."""
    bullets = el("ul", *(el("li", marked(one.text, one.facts)) for one in found.bullets)) if found.bullets else None
    description = joined(joined([marked(one.text, one.facts), " "]) for one in found.description.sentences)
    rows: list[tuple[str, Inner]] = [
        ("Search title", marked(found.seo_title.text, found.seo_title.facts)),
        ("Meta description", marked(found.meta_description.text, found.meta_description.facts)),
        ("Description", joined([el("p", description), bullets])),
    ]
    if found.unsaid:
        rows.append(("Given, not said", listed(f"{words(fact.name)} {fact.value}" for fact in found.unsaid)))
    if found.not_given:
        rows.append(("Often said of such", joined([listed(words(name) for name in found.not_given), ": not given, so not said"])))
    for keyword in found.keywords:
        rows.append((f"Keyword {keyword.keyword}", "used" if keyword.used else f"left out: {keyword.why}"))
    legend = el("p", el("mark", "marked"), " is a fact that the listing gives", class_="v-note")
    return joined([el("dl", *(el("div", el("dt", name), el("dd", value)) for name, value in rows), class_="v-texts"), legend])


def marked(text: str, facts: Sequence[models.Fact]) -> Markup:
    """The text, with the values of facts marked wherever they stand in it."""
    names = {fact.value.lower(): words(fact.name) for fact in facts if fact.value}
    if not names:
        return joined([text])
    values = sorted(names, key=len, reverse=True)
    found = re.split(rf"(?<!\w)({'|'.join(map(re.escape, values))})(?!\w)", text, flags=re.IGNORECASE)
    return joined(el("mark", part, title=names[part.lower()]) if place % 2 else part for place, part in enumerate(found))
