"""Whether the price lies where prices of such products lie."""

from models.quality.answers import Evidence
from models.quality.axis import Reader, Reading, doubt, missing
from models.quality.memory.memory import Memory
from models.quality.seen import Seen


def read(seen: Seen, memory: Memory) -> Reading:
    """See the module."""
    if seen.inspection is None or seen.inspection.price is None:
        return Reading(left_out="this version expects no price" if seen.inspection else "nothing is said that a price hangs on")
    expected = seen.inspection.price
    if seen.listing.price is None or expected.deviation is None:
        return missing("price", "price", seen, memory)
    inside = expected.low <= seen.listing.price <= expected.high
    where = "lies between" if inside else "lies outside of"
    told = f"{seen.listing.price:,.6g} {where} {expected.low:,.4g} and {expected.high:,.4g}, where 90 % of such products are."
    values = {"price": seen.listing.price, "low": round(expected.low, 2), "high": round(expected.high, 2)}
    return Reading((-expected.deviation, doubt(seen, "wrong_price")), evidence=(Evidence(told, values),))


AXIS = Reader(
    name="price",
    label="Price is plausible",
    evidence=(("deviation", 0.25), ("not another decimal", 0.25)),
    read=read,
    todo="Check the price.",
)
