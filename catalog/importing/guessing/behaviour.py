"""Mappings for tables other than products: events, purchases, reviews, attributes of items."""

from collections.abc import Callable, Sequence

from catalog.importing.guessing.names import SURE, meant
from catalog.importing.guessing.products import best
from catalog.importing.guessing.profile import Column
from catalog.importing.guessing.proposal import Proposal, condition
from catalog.schema import EVENT_KINDS

_KINDS = {
    "view": (
        "view",
        "pageview",
        "page_view",
        "product_view",
        "detail",
        "click",
        "pv",
        "impression",
        "visit",
        "browse",
        "view_item",
    ),
    "cart": ("cart", "addtocart", "add_to_cart", "add to cart", "add-to-cart", "basket", "atc", "add_cart"),
    "purchase": ("purchase", "transaction", "buy", "order", "checkout", "sale", "bought", "purchased"),
}
_KNOWN = {name: ours for ours, names in _KINDS.items() for name in names}
_MOST = 0.5  # share of values that must be ratings, or kinds, where the name says so
_LONG = 20  # characters of a mean review


def guessed_behaviour(columns: Sequence[Column]) -> Proposal | None:
    """The mapping, where the header says that rows are what people did; None where it does not."""
    for guess in (_reviews, _events, _purchases, _item_attributes):
        if (proposal := guess(columns)) is not None:
            return proposal
    return None


def _reviews(columns: Sequence[Column]) -> Proposal | None:
    rating = best("rating", columns, lambda column: column.numbers > _MOST and column.distinct <= 100)
    text = _longest("review", [column for column in columns if column is not rating])
    if rating is None or text is None or meant(rating.name, "rating") < SURE or _is_catalogue(columns, text):
        return None
    proposal = Proposal({"table": "reviews", "columns": {}}, kind="reviews")
    proposal.map("review", text, "by its name")
    proposal.map("rating", rating, "by its name")
    left = [column for column in columns if column.name not in proposal.used]
    key = best("review_id", left, lambda column: column.unique)
    if key is not None:
        proposal.map("review_id", key, "by its name, and all different")
    else:
        proposal.say("ids", "counted", why="no column names each review")
    _further("title", "review_title", left, proposal, lambda column: not column.numeric)
    _further(
        "recommended", "recommended", left, proposal, lambda column: {value.strip() for value in column.values} <= {"0", "1"}
    )
    return proposal


def _events(columns: Sequence[Column]) -> Proposal | None:
    kind = best(
        "kind", columns, lambda column: (column.repeated or _says_kinds(column)) and column.distinct <= 20 and not column.numeric
    )
    proposal = _pairs(columns, "events", kind)
    if proposal is None or kind is None or "timestamp" not in proposal.says["columns"]:
        return None
    proposal.map("kind", kind, "by its name")
    values = {value: _KNOWN[value.strip().lower()] for value in sorted(set(kind.values)) if value.strip().lower() in _KNOWN}
    renamed = {value: ours for value, ours in values.items() if value != ours}
    if renamed:
        proposal.say("values", {"kind": renamed})
    if others := sorted({value for value in kind.values if value not in values}):
        proposal.remark(
            "values", f"No kind of ours ({', '.join(EVENT_KINDS)}) is: {', '.join(others)}; give each one, or filter them out."
        )
        if values:
            listed = ", ".join(f'"{value}"' for value in values)
            proposal.say("where", [f"{condition(kind.name)} in ({listed})"])
    return proposal


def _says_kinds(column: Column) -> bool:
    """Whether most values are kinds of events that are known."""
    return sum(value.strip().lower() in _KNOWN for value in column.values) > _MOST * len(column.values)


def _purchases(columns: Sequence[Column]) -> Proposal | None:
    proposal = _pairs(columns, "purchases", None)
    if proposal is None:
        return None
    left = [column for column in columns if column.name not in proposal.used]
    quantity = best("quantity", left, lambda column: column.numeric)
    if quantity is not None and any(value.strip().startswith("-") for value in quantity.values):
        proposal.say("where", [f"{condition(quantity.name)} > 0"], quantity.name, why="rows below are returns")
    return proposal


def _item_attributes(columns: Sequence[Column]) -> Proposal | None:
    if len(columns) > 4:
        return None
    attribute = best("attribute_id", columns, lambda column: not column.unique)
    item = best("item_id", columns, lambda column: not column.unique)
    if attribute is None or item is None or meant(item.name, "item_id") < SURE or attribute is item:
        return None
    proposal = Proposal({"table": "item_attributes", "columns": {}}, kind="attributes of items, a row each")
    proposal.map("item_id", item, "by its name")
    proposal.map("attribute_id", attribute, "by its name")
    return proposal


def _pairs(columns: Sequence[Column], table: str, kind: Column | None) -> Proposal | None:
    """User, item and time, where both of the first occur."""
    user = best("user_id", columns, lambda column: column is not kind and column.repeated)
    others = [column for column in columns if column is not user and column is not kind]
    item = best("item_id", others, lambda column: not column.date_form)
    if user is None or item is None or meant(user.name, "user_id") < SURE or meant(item.name, "item_id") < SURE:
        return None
    proposal = Proposal({"table": table, "columns": {}}, kind=f"{table}, a row each")
    proposal.map("user_id", user, "by its name")
    proposal.map("item_id", item, "by its name")
    _further(
        "timestamp",
        "timestamp",
        [column for column in others if column is not item],
        proposal,
        lambda column: bool(column.date_forms),
    )
    return proposal


def _further(ours: str, meaning: str, columns: Sequence[Column], proposal: Proposal, fits: Callable[[Column], bool]) -> None:
    left = [column for column in columns if column.name not in proposal.used]
    if (column := best(meaning, left, fits)) is not None:
        proposal.map(ours, column, "by its name")


def _longest(meaning: str, columns: Sequence[Column]) -> Column | None:
    texts = [column for column in columns if meant(column.name, meaning) >= SURE and not column.numeric and column.length > _LONG]
    return max(texts, key=lambda column: column.length) if texts else None


def _is_catalogue(columns: Sequence[Column], text: Column) -> bool:
    """Whether the table is one of products that happen to have a rating: it has prices or photos."""
    named = meant(text.name, "review") > meant(text.name, "description")
    return not named and any(column.photos or (meant(column.name, "price") >= SURE and column.numeric) for column in columns)
