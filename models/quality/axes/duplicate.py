"""Whether the product is listed already."""

from models.quality.answers import Evidence
from models.quality.axis import Reader, Reading
from models.quality.memory.memory import Memory
from models.quality.seen import Seen


def read(seen: Seen, memory: Memory) -> Reading:
    """See the module; its one evidence is a probability, and its score too."""
    if not seen.vector.any():
        return Reading(left_out="nothing is said by which listings are compared")
    if seen.match is None:
        return Reading((1.0,), evidence=(Evidence("No other listing is the same product.", {}),))
    return Reading((1.0 - seen.match.probability,), evidence=seen.match.evidence)


AXIS = Reader(
    name="duplicate",
    label="No duplicate",
    evidence=(("no duplicate", 1.0),),
    read=read,
    todo="Remove one of the two listings, or say in which way they differ.",
)
