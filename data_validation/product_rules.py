"""The expectations of products and their variants; columns that no delivery has are made by `data_validation.products`."""

from collections.abc import Collection, Mapping

from catalog.listing import CATEGORICAL_FIELDS, CATEGORY_LEVELS
from catalog.schema import MAX_ID_LENGTH, SPLITS
from configs.schema import ValidationConfig
from data_validation.products import LABELS, MIN_DESCRIPTION_WORDS, PRICE_QUANTILES, TWINS
from data_validation.rules import Rule, between, counted, finds_nothing, is_given, of_table, percent

_CLASSES = {"master_category": "master categories", "sub_category": "sub-categories", "article_type": "article types"}


def products(config: ValidationConfig, given: Collection[str], vocabulary: Mapping[str, Collection[str]]) -> tuple[Rule, ...]:
    """Rules of products in which the columns `given` hold values; `vocabulary`: see `suites.rules_of`."""
    return (
        *_identity(),
        *(_titles(config, given) if "title" in given else ()),
        *(_descriptions(config) if "description" in given else ()),
        *(_prices(config, given) if "price" in given else ()),
        *_other_columns(given),
        *_labels(config, given, vocabulary),
        *_photos(config),
    )


def variants(given: Collection[str]) -> tuple[Rule, ...]:
    """Rules of variants in which the columns `given` hold values."""
    rules = [
        is_given("product_id", "a variant of no product", "error"),
        is_given("variant_id", "a variant without an id cannot be referred to", "error"),
        finds_nothing("variant_id is unique within its product", "repeated_key", "the first row of an id is kept"),
        finds_nothing("variant belongs to a product", "orphan", "no product has this id"),
    ]
    if "price" in given:
        reason = "free variants are placeholders"
        rules.append(between("price > 0", "price", reason, low=0, strict_low=True))
    if "options" in given:
        rules.append(finds_nothing("options are a JSON object", "options_fault", "other forms cannot be read"))
    return tuple(rules)


def _identity() -> tuple[Rule, ...]:
    return (
        is_given("product_id", "a product without an id cannot be referred to", "error"),
        finds_nothing("product_id is unique", "repeated_key", "the first row of an id is kept, later ones go to quarantine"),
        between(
            f"product_id has at most {MAX_ID_LENGTH} characters",
            "key_length",
            "the API takes no longer ids, so that nothing could be asked about the product",
            high=MAX_ID_LENGTH,
            severity="warning",
            shows="key_length",
        ),
        finds_nothing("has a title, a description or a photo", "says_nothing", "nothing is known of the product"),
    )


def _titles(config: ValidationConfig, given: Collection[str]) -> tuple[Rule, ...]:
    shared = [column for column in TWINS if column in given]
    return (
        is_given("title", "the model sees less of the product"),
        between(
            f"title has at most {config.max_title_length:,} characters",
            "title_length",
            "so long a title is a description in the wrong column",
            high=config.max_title_length,
            shows="title_length",
        ),
        finds_nothing(
            f"no two products share {', '.join(shared)}",
            "twin",
            "the same product listed twice ends up on both sides of a split",
            "warning",
            shows="title",
        ),
    )


def _descriptions(config: ValidationConfig) -> tuple[Rule, ...]:
    return (
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
    )


def _prices(config: ValidationConfig, given: Collection[str]) -> tuple[Rule, ...]:
    most = config.max_price_spread
    rest = f"{PRICE_QUANTILES[0]:.1%}".replace("%", " %")
    rules = [
        between("price > 0", "price", "free products are placeholders and have no logarithm", low=0, strict_low=True),
        between(
            f"price <= {config.max_price:,.0f}", "price", "a slipped decimal point or another currency", high=config.max_price
        ),
        is_given("price", "the product is left out of price training"),
        of_table(
            "a price is known for some products",
            "sum",
            "has_price",
            "without one, prices cannot be learned",
            lambda _: "no product has a price above 0; at least one must",
            low=1,
        ),
        of_table(
            f"highest price is at most {most:,.0f} times the lowest",
            "max",
            "price_spread",
            "several currencies or units in one column, or made-up prices",
            lambda spread: (
                f"but for {rest} at each end, the highest price is {spread:,.0f} times the lowest; at most {most:,.0f} "
                "times is usual"
            ),
            high=most,
        ),
    ]
    if "discounted_price" in given:
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
    return tuple(rules)


def _other_columns(given: Collection[str]) -> tuple[Rule, ...]:
    rules = []
    if "attributes" in given:
        rules.append(finds_nothing("attributes are a JSON object", "attributes_fault", "other forms cannot be read"))
    if "listed_at" in given:
        reason = "a time split would put the row in the future"
        rules.append(finds_nothing("listed_at is not in the future", "future_listing", reason))
    if {"listed_at", "year"} <= set(given):
        reason = "a collection that appears more than a year after its product was listed"
        rules.append(finds_nothing("year is at most the year after listed_at", "year_ahead", reason, "warning"))
    if "split" in given:
        name = f"split is {', '.join(SPLITS[:-1])}, {SPLITS[-1]} or missing"
        rules.append(finds_nothing(name, "split_fault", "whether the row may be learned from is not known", shows="split"))
    return tuple(rules)


def _labels(config: ValidationConfig, given: Collection[str], vocabulary: Mapping[str, Collection[str]]) -> tuple[Rule, ...]:
    rules = [
        is_given(c, "missing, '' and 'NA' teach nothing") for c in (*CATEGORY_LEVELS, *CATEGORICAL_FIELDS, "year") if c in given
    ]
    if any(column in given for column in LABELS):
        reason = "labels that differ in case or spaces alone are learned as different classes"
        rules.append(finds_nothing("a label has one spelling", "other_spelling", reason, "warning"))
    if any(column in given for column in (*LABELS, "title")):
        reason = "UTF-8 that was read in another encoding, as in 'CafÃ©'"
        rules.append(finds_nothing("titles and labels are decoded rightly", "misread", reason, "warning"))
    for child, parent in (("article_type", "sub_category"), ("sub_category", "master_category")):
        if {child, parent} <= set(given):
            reason = f"most products of this {child} are under another {parent}"
            rules.append(finds_nothing(f"{child} has one {parent}", f"{child}_misplaced", reason, "warning"))
    for level in CATEGORY_LEVELS:
        if level in given:
            rules += _classes(level, config)
    for column, known in vocabulary.items():
        if column in given:
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


def _classes(level: str, config: ValidationConfig) -> list[Rule]:
    classes, alone, most = _CLASSES[level], config.max_lone_classes, config.max_classes_a_product
    rules = [
        of_table(
            f"at most {percent(alone)} of {classes} have one product",
            "mean",
            f"{level}_alone",
            "what a class is cannot be learned from one product",
            lambda share: f"{percent(share, alone)} of {classes} have one product each; at most {percent(alone)} may",
            high=alone,
        ),
        of_table(
            f"at most {percent(most)} as many {classes} as products",
            "proportion_of_unique_values",
            level,
            "a column that names nearly every product apart is no class; it may be a name, or a path that wants splitting",
            lambda share: (
                f"there are {percent(share, most)} as many {classes} as products that have one; at most {percent(most)} may be"
            ),
            high=most,
        ),
    ]
    if level == "article_type":
        least = config.min_categories
        rules.append(
            of_table(
                f"at least {least} article types",
                "unique_value_count",
                "usable_article_type",
                "a classifier needs classes to tell apart",
                lambda types: f"{counted(types, 'article type is', 'article types are')} known; at least {least} must be",
                low=least,
                severity="error",
            )
        )
    return rules


def _photos(config: ValidationConfig) -> tuple[Rule, ...]:
    most = config.max_missing_images
    without = "of products have no photo that can be decoded"
    return (
        of_table(
            f"at most {percent(most)} of products without a photo",
            "mean",
            "has_image",
            "photos that are absent or cannot be decoded; the model then sees text alone",
            lambda share: (
                f"{percent(1.0 - share, most)} {without}; at most {percent(most)} may"
                if share
                else "no product has a photo that can be decoded"
            ),
            low=1.0 - most,
        ),
    )
