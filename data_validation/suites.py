"""The expectations of each table. Columns that no delivery has are made by `data_validation.measures`."""

from collections.abc import Collection, Mapping

from catalog.listing import CATEGORICAL_FIELDS, CATEGORY_LEVELS
from catalog.schema import EVENT_KINDS, REQUIRED, TABLES, is_key
from configs.schema import ValidationConfig
from data_validation.rules import Rule, Severity, between, finds_nothing, is_given

MIN_DESCRIPTION_WORDS = 3
RATINGS = (1, 2, 3, 4, 5)
ORDER = ("position", "timestamp")

KEYS: dict[str, tuple[str, ...]] = {
    "products": ("product_id",),
    "images": ("product_id",),
    "embeddings": ("product_id",),
    "purchases": ("user_id", "item_id"),
    "purchases_test": ("user_id", "item_id"),
    "item_attributes": ("item_id", "attribute_id"),
    "events": ("user_id", "item_id", "kind"),
    "reviews": ("review_id",),
}
"""Columns that name a row in reports."""

_KINDS = {
    "int64": ("integer",),
    "double": ("number", "integer"),
    "string": ("string",),
    "binary": ("binary",),
    "timestamp[ns, tz=UTC]": ("timestamp",),
    "list<item: float>": ("list of numbers",),
}


def rules_of(
    table: str,
    config: ValidationConfig,
    present: Collection[str],
    vocabulary: Mapping[str, Collection[str]] | None = None,
) -> tuple[Rule, ...]:
    """All rules of `table` that apply to a delivery whose table has the columns `present`.

    `vocabulary`: values that the model in production knows, by column; others are reported.
    """
    rows: tuple[Rule, ...]
    match table:
        case "products":
            rows = _products(config, present, vocabulary or {})
        case "images":
            rows = _images()
        case "embeddings":
            rows = _embeddings()
        case "purchases" | "purchases_test":
            rows = _purchases(table, config, present)
        case "item_attributes":
            rows = _item_attributes()
        case "events":
            rows = _events(config)
        case _:
            rows = _reviews(config, present)
    return (*_schema(table, present), *rows, *_whole_table(table, config, present))


def _schema(table: str, present: Collection[str]) -> tuple[Rule, ...]:
    optional = [c for c in TABLES[table] if c not in REQUIRED[table]]
    if any(c in present for c in ORDER):
        optional = [c for c in optional if c not in ORDER]  # one of them is enough
    rules = []
    if optional:
        arguments = {"column_set": optional, "exact_match": False}
        reason = "a model that reads an absent column sees it as missing in every row"
        name = "optional columns are present"
        rules.append(Rule(name, "expect_table_columns_to_match_set", arguments, reason, "schema", "warning"))
    for column, kind in TABLES[table].items():
        if column in present:
            allowed = ("integer", "string") if is_key(column) else _KINDS[str(kind)]
            if column == "year" or table == "reviews":
                allowed = tuple(dict.fromkeys((*allowed, *(("number",) if "integer" in allowed else ()))))
            arguments = {"column": column, "value_set": [*allowed, "nothing"]}
            name = f"{column} is of type {' or '.join(allowed)}"
            rules.append(Rule(name, "expect_column_values_to_be_in_set", arguments, "other types cannot be read", "schema"))
    return tuple(rules)


def _whole_table(table: str, config: ValidationConfig, present: Collection[str]) -> tuple[Rule, ...]:
    least = config.min_products if table == "products" else 1
    severity: Severity = "warning" if table == "events" else "error"  # whoever calls the service must not stop a training
    rules = [
        Rule(
            f"at least {least:,} usable rows",
            "expect_column_sum_to_be_between",
            {"column": "usable", "min_value": least},
            "rows outside quarantine; fewer cannot be learned from",
            "table",
            severity,
        ),
        Rule(
            f"at most {config.max_quarantined:.0%} of rows in quarantine",
            "expect_column_mean_to_be_between",
            {"column": "usable", "min_value": 1.0 - config.max_quarantined},
            "so many faults point at the export, not at single rows",
            "table",
            severity,
        ),
    ]
    if table == "reviews" and "recommended" in present:
        rules.append(
            Rule(
                "some reviews recommend and some do not",
                "expect_column_unique_value_count_to_be_between",
                {"column": "usable_recommended", "min_value": 2},
                "without both, a sentiment cannot be learned",
                "table",
                "warning",
            )
        )
    if table == "products":
        severity = "warning" if "article_type" not in present else "error"
        rules += [
            Rule(
                f"at least {config.min_categories} article types",
                "expect_column_unique_value_count_to_be_between",
                {"column": "usable_article_type", "min_value": config.min_categories},
                "a classifier needs classes to tell apart",
                "table",
                severity,
            ),
            Rule(
                "a price is known for some products",
                "expect_column_sum_to_be_between",
                {"column": "has_price", "min_value": 1},
                "without one, prices cannot be learned",
                "table",
                "warning",
            ),
            Rule(
                f"at most {config.max_missing_images:.0%} of products without a photo",
                "expect_column_mean_to_be_between",
                {"column": "has_image", "min_value": 1.0 - config.max_missing_images},
                "photos that are absent or cannot be decoded; the model then sees text alone",
                "table",
                "warning",
            ),
        ]
    return tuple(rules)


def _products(config: ValidationConfig, present: Collection[str], vocabulary: Mapping[str, Collection[str]]) -> tuple[Rule, ...]:
    rules = [
        is_given("product_id", "a product without an id cannot be referred to", "error"),
        finds_nothing("product_id is unique", "repeated_key", "the first row of an id is kept, later ones go to quarantine"),
        between("title is not empty", "title_length", "a title is the one text every product has", low=1, shows="title"),
        between(
            f"title has at most {config.max_title_length:,} characters",
            "title_length",
            "so long a title is a description in the wrong column",
            high=config.max_title_length,
            shows="title_length",
        ),
    ]
    if "price" in present:
        rules += [
            between("price > 0", "price", "free products are placeholders and have no logarithm", low=0, strict_low=True),
            between(
                f"price <= {config.max_price:,.0f}", "price", "a slipped decimal point or another currency", high=config.max_price
            ),
            is_given("price", "the product is left out of price training"),
        ]
    if {"price", "discounted_price"} <= set(present):
        rules += [
            between(
                "discounted_price > 0", "discounted_price", "nothing is given away", low=0, strict_low=True, severity="warning"
            ),
            Rule(
                "discounted_price <= price",
                "expect_column_pair_values_a_to_be_greater_than_b",
                {
                    "column_A": "price",
                    "column_B": "discounted_price",
                    "or_equal": True,
                    "ignore_row_if": "either_value_is_missing",
                },
                "a discount does not raise a price",
                severity="warning",
                shows="discounted_price",
            ),
        ]
    if "description" in present:
        rules += [
            is_given("description", "the model sees less of the product"),
            between(
                f"description has at least {MIN_DESCRIPTION_WORDS} words",
                "description_words",
                "placeholders such as '-' or 'test desc' say nothing",
                low=MIN_DESCRIPTION_WORDS,
                severity="warning",
                shows="description",
            ),
            between(
                f"description has at most {config.max_description_length:,} characters",
                "description_length",
                "pasted pages; the model reads the beginning only",
                high=config.max_description_length,
                severity="warning",
            ),
        ]
    if "attributes" in present:
        rules.append(finds_nothing("attributes are a JSON object", "attributes_fault", "other forms cannot be read"))
    if "listed_at" in present:
        reason = "a time split would put the row in the future"
        rules.append(finds_nothing("listed_at is not in the future", "future_listing", reason))
    if {"listed_at", "year"} <= set(present):
        reason = "a collection that appears more than a year after its product was listed"
        rules.append(finds_nothing("year is at most the year after listed_at", "year_ahead", reason, "warning"))
    for column in (*CATEGORY_LEVELS, *CATEGORICAL_FIELDS, "year"):
        if column in present:
            rules.append(is_given(column, "missing, '' and 'NA' teach nothing"))
    for child, parent in (("article_type", "sub_category"), ("sub_category", "master_category")):
        if {child, parent} <= set(present):
            reason = f"most products of this {child} are under another {parent}"
            rules.append(finds_nothing(f"{child} has one {parent}", f"{child}_misplaced", reason, "warning"))
    same = [c for c in ("title", "brand", "base_colour", "price") if c in present]
    rules.append(
        Rule(
            f"no two products share {', '.join(same)}",
            "expect_compound_columns_to_be_unique" if len(same) > 1 else "expect_column_values_to_be_unique",
            {"column_list": same, "ignore_row_if": "never"} if len(same) > 1 else {"column": "title"},
            "the same product listed twice ends up on both sides of a split",
            severity="warning",
            shows="title",
        )
    )
    for column, known in vocabulary.items():
        if column in present:
            rules.append(
                Rule(
                    f"{column} is known to the model in production",
                    "expect_column_values_to_be_in_set",
                    {"column": column, "value_set": sorted(known)},
                    "new values are unknown to it until it is trained again",
                    severity="warning",
                )
            )
    return tuple(rules)


def _images() -> tuple[Rule, ...]:
    return (
        is_given("product_id", "a photo of no product", "error"),
        finds_nothing("product_id is unique", "repeated_key", "the first photo of a product is kept"),
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


def _purchases(table: str, config: ValidationConfig, present: Collection[str]) -> tuple[Rule, ...]:
    rules = [
        is_given("user_id", "a purchase needs a buyer", "error"),
        is_given("item_id", "a purchase needs an item", "error"),
        finds_nothing("item_id is a product", "unknown_item", "the catalogue lacks the product"),
        finds_nothing("item_id has attributes", "undescribed_item", "nothing but its buyers is known of the item", "warning"),
        finds_nothing("purchase is listed once", "repeated_row", "the first of identical rows is kept"),
        finds_nothing("user buys no more than people do", "too_many", "a bot, or an account that many share, teaches no taste"),
    ]
    if "timestamp" in present:
        rules += [
            is_given("timestamp", "the purchase has no place in the order of time", "error"),
            finds_nothing("timestamp is not in the future", "in_future", "it cannot have happened"),
            finds_nothing(
                f"user makes at most {config.max_purchases_a_minute} purchases a minute", "burst", "no person is so quick; a bot"
            ),
        ]
    if "position" in present:
        rules += [
            is_given("position", "the purchase has no place in the order", "error"),
            finds_nothing("position is unique within a user", "position_tie", "the order of these purchases is open", "warning"),
        ]
    if {"timestamp", "position"} <= set(present):
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


def _reviews(config: ValidationConfig, present: Collection[str]) -> tuple[Rule, ...]:
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
    if "title" in present:
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
        if column in present:
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
