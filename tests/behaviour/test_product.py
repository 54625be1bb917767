"""What anyone would expect of the product model, whatever is inside it: invariance, direction, minimum function.

The answers are those of the committed bundle, so that they are the same on every machine but for rounding. What it reaches
stands beside each bound. Words and phrases are all that the sample has, never a choice: a model that is made again may get
some of them wrong, and the bound says how many.
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import product as pairs_of

import committed
import numpy as np
import pytest

from catalog.catalogue import Catalogue, listing_of, records_of
from catalog.listing import Listing
from catalog.sample.assortment import BRANDS, TYPES
from catalog.sample.words import BLAME, PRAISE, REVIEW_TITLES
from models.product.cleaning import CleanReview, clean_review
from models.product.family import FAMILY
from models.product.predictor import ProductPredictor

FACTOR = {brand.name: brand.factor for brand in BRANDS}
OWN_NAMES = {
    name: kind for kind in TYPES for name in kind.names if not any(name in other.names for other in TYPES if other is not kind)
}
"""What titles call a thing, and the one type of which they do."""


@pytest.fixture(scope="module")
def rows(product_catalogue: Catalogue) -> list[Listing]:
    """The test split as a shop would send it, with everything that it knows."""
    split = FAMILY.split(product_catalogue, committed.config("product"))
    tested = product_catalogue.products()[(split["split"] == "test").to_numpy()].drop_duplicates("product_id")
    found = [listing_of(row, product_catalogue.images.get(row["product_id"])) for row in records_of(tested)]
    return [x for x in found if x.title]


@pytest.fixture(scope="module")
def unseen(rows: list[Listing]) -> list[Listing]:
    """Without photo, price and categories."""
    return [replace(x, image=None, price=None, categories={}) for x in rows]


@pytest.fixture(scope="module")
def complete(rows: list[Listing]) -> list[Listing]:
    return [x for x in rows if x.price and x.image and len(x.categories) == 3]


def article_types(product: ProductPredictor, listings: list[Listing]) -> list[str]:
    return [p.categories["article_type"][0][0] for p in product.predict(listings)]


def medians(product: ProductPredictor, listings: list[Listing]) -> np.ndarray:
    return np.array([p.price.median for p in product.predict(listings) if p.price])


def scores(product: ProductPredictor, listings: list[Listing]) -> np.ndarray:
    return np.array([p.quality.score for p in product.predict(listings)])


@pytest.mark.slow
def test_beats_its_baselines_by_a_wide_margin(product_catalogue: Catalogue) -> None:
    metrics = FAMILY.evaluate(
        committed.bundle("product"), product_catalogue, committed.config("product").evaluation
    ).evaluation.metrics
    value = {name: metric.value for name, metric in metrics.items()}
    assert value["article_type_accuracy"] > 0.9  # 1.000
    assert value["majority_accuracy"] < 0.2  # 0.125
    assert value["price_rmsle"] < 0.5 * value["median_price_rmsle"]  # 0.216 and 0.855
    assert value["expected_calibration_error"] < 0.05  # 0.011
    assert value["sentiment_auc"] > 0.8  # 0.852
    assert value["fault_auc_wrong_price"] > 0.95  # 1.000
    assert value["fault_auc_wrong_category"] > 0.95  # 0.999


@pytest.mark.parametrize("change", [str.upper, str.title, lambda t: "  " + t.replace(" ", " \t\n "), lambda t: f"<b>{t}</b>"])
def test_case_white_space_and_markup_change_nothing(
    product: ProductPredictor, unseen: list[Listing], change: Callable[[str], str]
) -> None:
    changed = [replace(x, title=change(x.title or "")) for x in unseen]
    for before, after in zip(product.predict(unseen), product.predict(changed), strict=True):
        assert before.categories == after.categories
        assert before.price == after.price


def test_order_of_attributes_changes_nothing(product: ProductPredictor, unseen: list[Listing]) -> None:
    turned = [replace(x, attributes=dict(reversed(x.attributes.items()))) for x in unseen]
    assert [p.categories for p in product.predict(unseen)] == [p.categories for p in product.predict(turned)]


def test_a_typing_error_seldom_matters(product: ProductPredictor, unseen: list[Listing]) -> None:
    mistyped = [replace(x, title=(x.title or "").replace("e", "ee", 1)) for x in unseen]
    before, after = article_types(product, unseen), article_types(product, mistyped)
    assert np.mean([a == b for a, b in zip(before, after, strict=True)]) > 0.9  # 1.000


def test_a_name_of_one_type_is_enough_to_tell_it(product: ProductPredictor) -> None:
    found = article_types(product, [Listing(title=name) for name in OWN_NAMES])
    assert np.mean([said == kind.name for said, kind in zip(found, OWN_NAMES.values(), strict=True)]) > 0.9  # 1.000 of 71


def test_the_word_for_the_thing_decides_its_type(product: ProductPredictor) -> None:
    """The first name of every type, in the same title: no other word can tell them apart."""
    found = article_types(product, [Listing(title=f"Mono Women Black {kind.names[0]}") for kind in TYPES])
    assert np.mean([said == kind.name for said, kind in zip(found, TYPES, strict=True)]) > 0.9  # 1.000 of 24


@pytest.mark.slow
def test_a_dearer_brand_raises_the_price(product: ProductPredictor, unseen: list[Listing]) -> None:
    def priced(brand: str) -> np.ndarray:
        swapped = [
            replace(x, title=(x.title or "").replace(x.fields.get("brand", "?"), brand), fields={**x.fields, "brand": brand})
            for x in unseen
        ]
        return np.log(medians(product, swapped))

    by_brand = {brand: priced(brand) for brand in FACTOR}
    rise = by_brand["Meridian"] - by_brand["Pico"]  # the dearest and the cheapest: log(2.6 / 0.55) = 1.55
    assert rise.mean() > 0.7  # 1.24
    mean = [float(by_brand[brand].mean()) for brand in FACTOR]
    assert np.corrcoef(mean, np.log(list(FACTOR.values())))[0, 1] > 0.8  # 0.990


def test_a_dearer_thing_costs_more(product: ProductPredictor) -> None:
    """Every two types of which one costs at least twice the other in the sample."""
    price = medians(product, [Listing(title=f"Mono Black {kind.names[0]}") for kind in TYPES])
    priced = list(zip(TYPES, price, strict=True))
    right = [a > b for (dear, a), (cheap, b) in pairs_of(priced, priced) if dear.price >= 2 * cheap.price]
    assert np.mean(right) > 0.85  # 0.949 of 118


def test_an_embedding_is_closer_to_its_own_kind(product: ProductPredictor) -> None:
    """Two names of each type that it shares with no other, by two brands: nearer to each other than to the other types'."""
    titles = [[name for name in OWN_NAMES if OWN_NAMES[name] is kind][:2] for kind in TYPES]
    both = [two for two in titles if len(two) == 2]
    first, second = (
        np.stack([p.embedding for p in product.predict([Listing(title=f"{brand} Black {two[place]}") for two in both])])
        for place, brand in enumerate(("Mono", "Juniper"))
    )
    assert np.mean((first @ second.T).argmax(axis=1) == np.arange(len(both))) > 0.85  # 1.000 of 24


def test_knowing_less_is_being_less_sure(product: ProductPredictor, unseen: list[Listing]) -> None:
    sure = [p.categories["article_type"][0][1] for p in product.predict(unseen)]
    vague = [p.categories["article_type"][0][1] for p in product.predict([Listing(fields=x.fields) for x in unseen if x.fields])]
    assert np.mean(vague) < np.mean(sure) - 0.2  # 0.51 and 0.99


@pytest.mark.slow
def test_a_slipped_decimal_point_lowers_the_score(product: ProductPredictor, complete: list[Listing]) -> None:
    good = scores(product, complete)
    for factor in (10.0, 0.1):
        wrong = scores(product, [replace(x, price=(x.price or 0) * factor) for x in complete])
        assert np.mean(wrong < good - 0.01) > 0.9  # 1.000
        assert wrong.mean() < good.mean() - 0.5  # by 0.93


def test_another_products_categories_lower_the_score(product: ProductPredictor, complete: list[Listing]) -> None:
    turned = [*complete[7:], *complete[:7]]
    pairs = [(a, b) for a, b in zip(complete, turned, strict=True) if a.categories != b.categories]
    good = scores(product, [a for a, _ in pairs])
    wrong = scores(product, [replace(a, categories=b.categories) for a, b in pairs])
    assert np.mean(wrong < good - 0.01) > 0.9  # 1.000
    assert wrong.mean() < good.mean() - 0.5  # by 0.89


def test_the_likeliest_fault_is_the_one_that_was_made(product: ProductPredictor, complete: list[Listing]) -> None:
    found = product.predict([replace(x, price=(x.price or 0) * 10) for x in complete])
    likeliest = [max(p.quality.faults, key=lambda kind: p.quality.faults[kind]) for p in found]
    assert np.mean([kind == "wrong_price" for kind in likeliest]) > 0.9  # 1.000


def ordered(product: ProductPredictor, glad: list[CleanReview], cross: list[CleanReview]) -> tuple[float, float]:
    """Of the pairs of a glad and a cross review, the share in which the glad one is likelier to recommend, and is rated higher.

    Where ratings end, at 5, the one cannot be higher than the other.
    """

    def said(reviews: list[CleanReview]) -> tuple[np.ndarray, np.ndarray]:
        found = product.predict_reviews(reviews)
        return np.array([s.recommended for s in found]), np.array([s.rating for s in found])

    (better, more), (worse, less) = said(glad), said(cross)
    higher = (more[:, None] > less) | ((more[:, None] == 5) & (less == 5))
    return float(np.mean(better[:, None] > worse)), float(np.mean(higher))


@pytest.mark.parametrize("written", [str, str.upper, lambda sentence: sentence.upper() + "!!!"])
def test_praise_is_told_from_blame(product: ProductPredictor, written: Callable[[str], str]) -> None:
    """Each of the twelve sentences of praise against each of the twelve of blame, as written and shouted."""
    glad, cross = ([clean_review(None, written(x)) for aspect in said.values() for x in aspect] for said in (PRAISE, BLAME))
    recommended, rating = ordered(product, glad, cross)
    assert recommended > 0.9  # 1.000, with exclamation marks 0.986
    assert rating > 0.85  # 1.000, with exclamation marks 0.938: the sample has them in headings of five stars alone


def test_a_heading_alone_is_told(product: ProductPredictor) -> None:
    """Each heading of four and five stars against each of one and two."""
    glad, cross = ([clean_review(x, None) for stars in some for x in REVIEW_TITLES[stars]] for some in ((4, 5), (1, 2)))
    recommended, rating = ordered(product, glad, cross)
    assert recommended > 0.9  # 1.000 of 36
    assert rating > 0.9  # 1.000


def test_phrases_in_a_customers_own_words(product: ProductPredictor) -> None:
    """As they were written before any model was asked; "poor" is in no review of the sample, so that it may be told wrong."""
    phrases = (
        ("Love it! Lovely soft material.", "Sending it back. The fit is odd."),
        ("I would buy it again", "I am sending it back"),
        ("Great quality", "Poor quality"),
        ("LOVELY!!!", "DISAPPOINTED!!!"),
    )
    right = [ordered(product, [clean_review(None, glad)], [clean_review(None, cross)]) for glad, cross in phrases]
    assert np.mean(right) >= 0.75  # 1.0: all four, in both


def test_case_and_markup_change_no_opinion(product: ProductPredictor) -> None:
    plain, loud = product.predict_reviews(
        [clean_review("Good buy", "true to size"), clean_review(" <b>GOOD</b> buy", "TRUE  to size")]
    )
    assert plain == loud
