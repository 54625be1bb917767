"""The expectations of each table. Columns that no delivery has are made by `data_validation.measures`."""

from collections.abc import Collection, Mapping

from catalog.schema import EVENT_KINDS, REQUIRED, TABLES
from configs.schema import ValidationConfig
from data_validation.product_rules import products, variants
from data_validation.rules import Rule, Severity, between, counted, finds_nothing, is_given, of_table, percent

RATINGS = (1, 2, 3, 4, 5)
ORDER = ("position", "timestamp")
_OFTEN_LEFT_OUT = ("split",)
"""Columns that say nothing about a product."""

KEYS: dict[str, tuple[str, ...]] = {
    "products": ("product_id",),
    "images": ("product_id", "position"),
    "variants": ("product_id", "variant_id"),
    "embeddings": ("product_id",),
    "purchases": ("user_id", "item_id"),
    "purchases_test": ("user_id", "item_id"),
    "item_attributes": ("item_id", "attribute_id"),
    "events": ("user_id", "item_id", "kind"),
    "reviews": ("review_id",),
}
"""Columns that name a row in reports."""

SCHEMA = finds_nothing("columns are of types that can be read", "type_fault", "another type cannot be read", stage="schema")
"""The rule about a table's columns, which must hold before anything in them is looked at."""


def rules_of(
    table: str,
    config: ValidationConfig,
    given: Collection[str],
    vocabulary: Mapping[str, Collection[str]] | None = None,
) -> tuple[Rule, ...]:
    """The rules about rows, and about what is left of them, of a table in which the columns `given` hold values.

    `vocabulary`: values that the model in production knows, by column; others are reported.
    """
    rows: tuple[Rule, ...]
    match table:
        case "products":
            rows = products(config, given, vocabulary or {})
        case "variants":
            rows = variants(given)
        case "images":
            rows = _images()
        case "embeddings":
            rows = _embeddings()
        case "purchases" | "purchases_test":
            rows = _purchases(table, config, given)
        case "item_attributes":
            rows = _item_attributes()
        case "events":
            rows = _events(config)
        case _:
            rows = _reviews(config, given)
    return (*rows, *_whole_table(table, config, given))


def _whole_table(table: str, config: ValidationConfig, given: Collection[str]) -> tuple[Rule, ...]:
    least = config.min_products if table == "products" else 1
    severity: Severity = "warning" if table == "events" else "error"  # whoever calls the service must not stop a training
    most = config.max_quarantined
    rules = [
        of_table(
            f"at least {least:,} usable rows",
            "sum",
            "usable",
            "rows outside quarantine; fewer cannot be learned from",
            lambda usable: f"{counted(usable, 'row is', 'rows are')} usable; at least {least:,} must be",
            low=least,
            severity=severity,
        ),
        of_table(
            f"at most {percent(most)} of rows in quarantine",
            "mean",
            "usable",
            "so many faults point at the export, not at single rows",
            lambda usable: f"{percent(1.0 - usable, most)} of rows are in quarantine; at most {percent(most)} may be",
            low=1.0 - most,
            severity=severity,
        ),
    ]
    ordered = any(column in given for column in ORDER)  # one of them is enough
    optional = [c for c in TABLES[table] if c not in (*REQUIRED[table], *_OFTEN_LEFT_OUT, *(ORDER if ordered else ()))]
    if optional:
        rules.append(
            Rule(
                "optional columns hold values",
                "expect_table_columns_to_match_set",
                {"column_set": optional, "exact_match": False},
                "a model sees what an absent or empty column would say as missing in every row",
                "table",
                "warning",
                tells=lambda known: f"no row has {', '.join(column for column in optional if column not in known)}",
            )
        )
    if table == "reviews" and "recommended" in given:
        rules.append(
            of_table(
                "some reviews recommend and some do not",
                "unique_value_count",
                "usable_recommended",
                "without both, a sentiment cannot be learned",
                lambda kinds: "all usable reviews that say so recommend, or none does" if kinds else "no usable review says so",
                low=2,
            )
        )
    return tuple(rules)


def _images() -> tuple[Rule, ...]:
    return (
        is_given("product_id", "a photo of no product", "error"),
        finds_nothing("product has one photo at a position", "repeated_key", "the first photo at a position is kept"),
        finds_nothing("image can be decoded", "decode_fault", "the product is treated as one without a photo"),
        finds_nothing("image belongs to a product", "orphan", "no product has this id", "warning"),
    )


def _embeddings() -> tuple[Rule, ...]:
    return (
        is_given("product_id", "a vector of no product", "error"),
        finds_nothing("product_id is unique", "repeated_key", "the first vector of a product is kept"),
        finds_nothing("embedding has one length and is finite", "vector_fault", "the product is treated as one without a vector"),
        finds_nothing("embedding belongs to a product", "orphan", "no product has this id", "warning"),
    )


def _purchases(table: str, config: ValidationConfig, given: Collection[str]) -> tuple[Rule, ...]:
    rules = [
        is_given("user_id", "a purchase needs a buyer", "error"),
        is_given("item_id", "a purchase needs an item", "error"),
        finds_nothing("item_id is a product", "unknown_item", "the catalogue lacks the product"),
        finds_nothing("item_id has attributes", "undescribed_item", "nothing but its buyers is known of the item", "warning"),
        finds_nothing("purchase is listed once", "repeated_row", "the first of identical rows is kept"),
        finds_nothing("user buys no more than people do", "too_many", "a bot, or an account that many share, teaches no taste"),
    ]
    if "timestamp" in given:
        rules += [
            is_given("timestamp", "the purchase has no place in the order of time", "error"),
            finds_nothing("timestamp is not in the future", "in_future", "it cannot have happened"),
            finds_nothing(
                f"user makes at most {config.max_purchases_a_minute} purchases a minute", "burst", "no person is so quick; a bot"
            ),
        ]
    if "position" in given:
        rules += [
            is_given("position", "the purchase has no place in the order", "error"),
            finds_nothing("position is unique within a user", "position_tie", "the order of these purchases is open", "warning"),
        ]
    if {"timestamp", "position"} <= set(given):
        rules.append(
            finds_nothing("position follows timestamp", "order_conflict", "an earlier position has a later timestamp", "warning")
        )
    if table == "purchases_test":
        rules += [
            finds_nothing(
                "purchase is not in purchases", "seen_in_training", "a test row that was trained on flatters", "warning"
            ),
            finds_nothing("user_id is in purchases", "new_user", "nothing is known of the user that is asked about", "warning"),
            finds_nothing("item_id is in purchases", "new_item", "an item that nobody bought is hardly found", "warning"),
        ]
    return tuple(rules)


def _events(config: ValidationConfig) -> tuple[Rule, ...]:
    return (
        is_given("user_id", "an event needs somebody who acts", "error"),
        is_given("item_id", "an event needs an item", "error"),
        is_given("kind", "what was done is not known", "error"),
        Rule(
            f"kind is {', '.join(EVENT_KINDS[:-1])} or {EVENT_KINDS[-1]}",
            "expect_column_values_to_be_in_set",
            {"column": "kind", "value_set": list(EVENT_KINDS)},
            "other kinds cannot be weighed",
        ),
        is_given("timestamp", "the event has no place in the order of time", "error"),
        finds_nothing("timestamp is not in the future", "in_future", "it cannot have happened"),
        finds_nothing("item_id is a product", "unknown_item", "the catalogue lacks the product"),
        finds_nothing(
            "item_id has purchases or attributes", "unsold_item", "nothing but its events is known of the item", "warning"
        ),
        finds_nothing("event is listed once", "repeated_row", "the first of identical rows is kept"),
        finds_nothing("user does no more than people do", "too_many", "a bot, or an account that many share, teaches no taste"),
        finds_nothing(
            f"user makes at most {config.max_events_a_minute} events a minute", "burst", "no person is so quick; a bot"
        ),
    )


def _item_attributes() -> tuple[Rule, ...]:
    return (
        is_given("item_id", "an attribute needs an item", "error"),
        is_given("attribute_id", "an attribute needs a name", "error"),
        finds_nothing("item_id is a product", "unknown_item", "the catalogue lacks the product"),
        finds_nothing("item_id is in purchases", "unsold_item", "nobody has bought the item yet", "warning"),
        finds_nothing("attribute is listed once", "repeated_row", "the first of identical rows is kept"),
    )


def _reviews(config: ValidationConfig, given: Collection[str]) -> tuple[Rule, ...]:
    rules = [
        is_given("review_id", "a review without an id cannot be referred to", "error"),
        finds_nothing("review_id is unique", "repeated_key", "the first row of an id is kept"),
        between("review or title has text", "text_length", "nothing to learn a sentiment from", low=1, shows="review"),
        between(
            f"review has at most {config.max_review_length:,} characters",
            "review_length",
            "pasted pages; the model reads the beginning only",
            high=config.max_review_length,
            severity="warning",
        ),
        finds_nothing("review is listed once", "repeated_text", "the same text twice, under two ids", "warning"),
    ]
    if "title" in given:
        rules.append(
            between(
                f"title has at most {config.max_title_length:,} characters",
                "title_length",
                "so long a title is a review in the wrong column",
                high=config.max_title_length,
                severity="warning",
            )
        )
    for column, allowed in (("rating", RATINGS), ("recommended", (0, 1))):
        if column in given:
            rules += [
                is_given(column, "the review is left out of sentiment training"),
                Rule(
                    f"{column} is {allowed[0]} to {allowed[-1]}" if len(allowed) > 2 else f"{column} is 0 or 1",
                    "expect_column_values_to_be_in_set",
                    {"column": column, "value_set": list(allowed)},
                    "another scale, or no rating at all",
                ),
            ]
    return tuple(rules)
