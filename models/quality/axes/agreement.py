"""Whether the photo shows what the texts and the category say."""

from models.quality.answers import Evidence
from models.quality.axis import Reader, Reading, belongs, doubt, shown
from models.quality.memory.memory import Memory
from models.quality.seen import Seen


def read(seen: Seen, memory: Memory) -> Reading:
    """See the module."""
    inspection = seen.inspection
    if inspection is None or "image" not in inspection.present:
        return Reading(left_out="there is no photo to compare")
    texts = [part for part in ("title", "description") if part in inspection.present]
    if not texts and seen.given_type is None:
        return Reading(left_out="there is no text and no category to compare the photo with")
    said = shown(seen, ("image", "title", "description"))
    told = f"{said[:1].upper()}{said[1:]}." if said else "The photo shows no known type."
    values = {part: best[0] for part in ("image", *texts) if (best := seen.shows(part))}
    return Reading((doubt(seen, "mismatched_image"),), belongs(seen, "image"), (Evidence(told, values),))


AXIS = Reader(
    name="agreement",
    label="Photo and text agree",
    evidence=(("not another's photo", 0.25),),
    read=read,
    part="image",
    todo="Show a photo of this product.",
)
