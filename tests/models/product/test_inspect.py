"""What the product model says of the parts of a listing, beside what it says of the whole."""

from dataclasses import replace

import numpy as np
import pytest

from catalog.catalogue import Catalogue, listing_of, records_of
from catalog.listing import CATEGORY_LEVELS, Listing
from configs.errors import VitrinaError
from models.inspection import Inspector
from models.product.predictor import ProductPredictor


@pytest.fixture(scope="module")
def listings(some: Catalogue) -> list[Listing]:
    rows = [row for row in records_of(some.products()) if str(row["product_id"]) != "11457"]  # its photo is damaged
    return [listing_of(row, some.images.get(row["product_id"])) for row in rows[:20]]


def test_it_is_an_inspector(predictor: ProductPredictor) -> None:
    assert isinstance(predictor, Inspector)
    assert predictor.readable == {"title", "description", "image", "attributes", "price"}
    assert set(predictor.type_labels) == predictor.types


def test_each_part_that_is_there_says_its_types(predictor: ProductPredictor, listings: list[Listing]) -> None:
    for listing, found in zip(listings, predictor.inspect(listings), strict=True):
        given = {"title": listing.title, "description": listing.description, "image": listing.image}
        assert {part for part in found.present if part != "attributes"} == {part for part, said in given.items() if said}
        assert found.types.keys() == {"whole", *found.present}
        for types in found.types.values():
            assert types.shape == (len(predictor.type_labels),) and 0.0 <= types.sum() <= 1.0 + 1e-4
        for a, b in found.cosines:
            assert found.cosines[a, b] == pytest.approx(found.cosines[b, a], abs=1e-5) and abs(found.cosines[a, b]) <= 1 + 1e-4


def test_it_agrees_with_what_is_predicted(predictor: ProductPredictor, listings: list[Listing]) -> None:
    for said, found in zip(predictor.predict(listings), predictor.inspect(listings), strict=True):
        assert found.modalities == said.modalities
        assert {level: best[0][0] for level, best in said.categories.items()} == {k: v[0] for k, v in found.categories.items()}
        assert said.price is not None and found.price is not None and said.quality is not None
        assert (found.price.low, found.price.high) == pytest.approx((said.price.low, said.price.high), rel=1e-3)
        assert found.faults == pytest.approx(dict(said.quality.faults), abs=1e-4)
        assert found.score == pytest.approx(said.quality.score, abs=1e-4)


def test_its_features_are_those_of_an_embedder(predictor: ProductPredictor, listings: list[Listing]) -> None:
    for expected, found in zip(predictor.features(listings), predictor.inspect(listings), strict=True):
        np.testing.assert_allclose(found.features, expected, atol=1e-4)


def test_a_price_beyond_the_interval_deviates_by_more_than_one(predictor: ProductPredictor, listings: list[Listing]) -> None:
    listing = next(listing for listing in listings if listing.price)
    [found] = predictor.inspect([listing])
    assert found.price is not None
    ends = [replace(listing, price=price) for price in (found.price.median, found.price.high, found.price.high * 10)]
    deviations = [one.price.deviation for one in predictor.inspect(ends) if one.price]
    assert deviations == pytest.approx([0.0, 1.0, deviations[2]], abs=0.05) and deviations[2] is not None and deviations[2] > 1.5
    [without] = predictor.inspect([replace(listing, price=None)])
    assert without.price is not None and without.price.deviation is None


def test_given_categories_are_told_how_probable_they_are(predictor: ProductPredictor) -> None:
    jeans = {"master_category": "Apparel", "sub_category": "Bottomwear", "article_type": "Jeans"}
    strange = {**jeans, "article_type": "No such type"}
    plain = Listing(title="Kestrel Men Blue Jeans")
    right, wrong, none = predictor.inspect([replace(plain, categories=c) for c in (jeans, strange, {})])
    assert right.given.keys() == set(CATEGORY_LEVELS) and right.given["article_type"] > 0.5
    assert wrong.given["article_type"] == 0.0 and none.given == {}


def test_what_says_nothing_is_named(predictor: ProductPredictor) -> None:
    with pytest.raises(VitrinaError, match="listing 1 is empty"):
        predictor.inspect([Listing(title="Blue jeans"), Listing()])
    [found] = predictor.inspect([Listing(price=10.0)])
    assert found.present == () and found.features is None and found.cosines == {}
