"""The title: whether it names what titles of the type name, is legible, and belongs to the rest of the listing."""

from models.quality.answers import Evidence
from models.quality.axis import Reader, Reading, belongs, missing, nearness, shown
from models.quality.memory.memory import Memory
from models.quality.memory.titles import NAMES, findings
from models.quality.seen import Seen


def read(seen: Seen, memory: Memory) -> Reading:
    """See the module."""
    title = seen.listing.title
    if not title:
        return missing("title", "title", seen, memory)
    values, evidence = findings(title, seen.article_type, memory.norms)
    fits, best = seen.probability("title", seen.agreed_type), seen.shows("title")
    if fits is not None and best is not None and fits < 0.1 and best[0] != seen.agreed_type:
        others = shown(seen, ("description", "image"))
        rest = f"the rest of the listing is about {seen.agreed_type}{f': {others}' if others else ''}"
        values_said = {"title": best[0], "listing": seen.agreed_type or ""}
        evidence = (Evidence(f"The title says {best[0]} ({best[1]:.2f}), {rest}.", values_said), *evidence)
    if not evidence:
        evidence = (Evidence("The title names what titles of its kind name.", {}),)
    return Reading(values, belongs(seen, "title"), (*evidence, *nearness(seen, "title")))


AXIS = Reader(
    name="title",
    label="Title",
    evidence=tuple((name, 1.0) for name in NAMES),
    read=read,
    part="title",
    todo="Write a title that names what the product is.",
)
