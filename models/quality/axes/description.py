"""The description: whether it is as long as usual, whole, legible, and about the same product as the rest."""

from catalog.text import clean_html, looks_misread
from models.quality.answers import Evidence
from models.quality.axis import Reader, Reading, belongs, doubt, missing, nearness, shown
from models.quality.memory.known import length
from models.quality.memory.memory import Memory
from models.quality.seen import Seen

BREAKS_OFF = -1.0
"""Log odds from which the product model's suspicion that a description breaks off is told."""


def read(seen: Seen, memory: Memory) -> Reading:
    """See the module."""
    text = clean_html(seen.listing.description or "")
    if not text:
        return missing("description", "description", seen, memory)
    norm, group = memory.norms.of(seen.article_type)
    count, least = length(text), norm.description_words[0]
    fits, best, whole = (
        seen.probability("description", seen.agreed_type),
        seen.shows("description"),
        doubt(seen, "truncated_description"),
    )
    ends = 1.0 if text[-1] in ".!?)\"'。؟।…”’»" else 0.0
    evidence = []
    if fits is not None and best is not None and fits < 0.05 and best[0] != seen.agreed_type:
        rest = shown(seen, ("title", "image"))
        told = (
            f"The description is about {best[0]} ({best[1]:.2f}), the rest about {seen.agreed_type}{f': {rest}' if rest else ''}."
        )
        evidence.append(Evidence(told, {"description": best[0], "listing": seen.agreed_type or ""}))
    if whole is not None and whole < BREAKS_OFF:
        evidence.append(Evidence(f"The description seems to break off: it ends with {text[-30:]!r}.", {"ends": text[-30:]}))
    if count < least:
        told = f"The description has {count} words; nine in ten of {group} have {least:.0f} and more."
        evidence.append(Evidence(told, {"words": count, "usual": least}))
    if looks_misread(text):
        evidence.append(Evidence("The description was decoded wrongly: it holds characters such as Ã.", {}))
    if not evidence:
        evidence.append(
            Evidence(f"The description has {count} words and is about {seen.agreed_type or 'the product'}.", {"words": count})
        )
    legible = 0.0 if looks_misread(text) else 1.0
    return Reading(
        (min(1.0, count / max(least, 1.0)), ends, whole, legible),
        belongs(seen, "description"),
        (*evidence, *nearness(seen, "description")),
    )


AXIS = Reader(
    name="description",
    label="Description",
    evidence=(
        ("words", 1.0),
        ("ends a sentence", 1.0),
        ("not broken off", 0.25),
        ("legible", 1.0),
    ),
    read=read,
    part="description",
    todo="Write a description of this product, as long as others have.",
)
