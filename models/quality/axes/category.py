"""Whether the given category is the one that title, description and photo speak for."""

from models.quality.answers import Evidence
from models.quality.axis import Reader, Reading, doubt, log, missing, shown
from models.quality.memory.known import FINEST
from models.quality.memory.memory import Memory
from models.quality.seen import Seen, votes


def read(seen: Seen, memory: Memory) -> Reading:
    """See the module."""
    if not seen.labels:
        return Reading(left_out="this version knows no categories")
    if seen.given_type is None:
        return missing(FINEST, "category", seen, memory)
    if not seen.known_type:
        return Reading(left_out=f"this version does not know the type {seen.given_type}")
    said = votes(seen.inspection, None, seen.labels)
    if said is None or seen.inspection is None:
        return Reading(left_out="nothing but the category is said")
    margin = float(said[seen.labels.index(seen.given_type)] - said.max())
    likely, best = seen.inspection.given.get(FINEST), seen.labels[int(said.argmax())]
    if best == seen.given_type:
        told = f"Everything speaks for {seen.given_type}."
    else:
        told = f"{seen.given_type} is given, but {shown(seen, seen.inspection.present)}."
    given = seen.inspection.given
    coarse = min((given[level] for level in given if level != FINEST), default=None)
    values: dict[str, str | float] = {"given": seen.given_type, "best": best, "probability": round(likely or 0.0, 4)}
    return Reading((margin, log(likely), log(coarse), doubt(seen, "wrong_category")), evidence=(Evidence(told, values),))


AXIS = Reader(
    name="category",
    label="Category fits",
    evidence=(("votes", 0.25), ("probability", 0.25), ("coarser levels", 0.25), ("not another's category", 0.25)),
    read=read,
    todo="Choose the category that fits.",
)
