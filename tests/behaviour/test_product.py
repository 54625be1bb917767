"""What anyone would expect of the product model, whatever is inside it: invariance, direction, minimum function."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from catalog.catalogue import Catalogue, listing_of
from catalog.listing import Listing
from catalog.sample import write_sample
from configs.load import environment_file, load
from models.product.cleaning import clean_review
from models.product.config import ProductRunConfig
from models.product.data import records_of
from models.product.family import FAMILY, _part
from models.product.predictor import ProductPredictor

SMALLER = (
    "model.width=64",
    "model.heads=2",
    "model.mlp_hidden=160",
    "model.photo_widths=[8, 16, 32, 48]",
    "model.image_height=48",
    "model.image_width=32",
    "trainer.epochs=10",
    "trainer.batch_size=32",
    "trainer.learning_rate=0.005",
    "trainer.tensorboard=false",
    "trainer.precision=32-true",
)


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    return Catalogue.open(write_sample(tmp_path_factory.mktemp("behaviour") / "sample", products=900))


@pytest.fixture(scope="module")
def folder(catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = load(ProductRunConfig, environment_file("demo", "product"), SMALLER)
    split = FAMILY.split(catalogue, config)
    augmented = FAMILY.augment(catalogue, split, config)
    return FAMILY.train(catalogue, split, augmented, config, tmp_path_factory.mktemp("work"))


@pytest.fixture(scope="module")
def predictor(folder: Path) -> ProductPredictor:
    return ProductPredictor.load(folder)


@pytest.fixture(scope="module")
def unseen(catalogue: Catalogue) -> list[Listing]:
    """Test listings with everything a shop would send but the price and categories."""
    config = load(ProductRunConfig, environment_file("demo", "product"))
    rows = records_of(_part(catalogue, FAMILY.split(catalogue, config), "test"))[:60]
    return [replace(listing_of(row, None), price=None, categories={}) for row in rows if row["title"]]


def article_types(predictor: ProductPredictor, listings: list[Listing]) -> list[str]:
    return [p.categories["article_type"][0][0] for p in predictor.predict(listings)]


def test_beats_its_baselines_by_a_wide_margin(folder: Path, catalogue: Catalogue) -> None:
    config = load(ProductRunConfig, environment_file("demo", "product")).evaluation
    metrics = FAMILY.evaluate(folder, catalogue, config).evaluation.metrics
    value = {name: metric.value for name, metric in metrics.items()}
    assert value["article_type_accuracy"] > 0.8 > 3 * value["majority_accuracy"]
    assert value["price_rmsle"] < 0.75 * value["median_price_rmsle"]
    assert value["expected_calibration_error"] < 0.15
    assert value["sentiment_auc"] > 0.8
    assert value["fault_auc_wrong_price"] > 0.8
    assert value["fault_auc_wrong_category"] > 0.8


@pytest.mark.parametrize("change", [str.upper, str.title, lambda t: "  " + t.replace(" ", " \t\n "), lambda t: f"<b>{t}</b>"])
def test_case_white_space_and_markup_change_nothing(predictor: ProductPredictor, unseen: list[Listing], change: object) -> None:
    assert callable(change)
    changed = [replace(x, title=change(x.title or "")) for x in unseen]
    for before, after in zip(predictor.predict(unseen), predictor.predict(changed), strict=True):
        assert before.categories == after.categories
        assert before.price == after.price


def test_order_of_attributes_changes_nothing(predictor: ProductPredictor, unseen: list[Listing]) -> None:
    turned = [replace(x, attributes=dict(reversed(x.attributes.items()))) for x in unseen]
    assert [p.categories for p in predictor.predict(unseen)] == [p.categories for p in predictor.predict(turned)]


def test_a_typing_error_seldom_matters(predictor: ProductPredictor, unseen: list[Listing]) -> None:
    mistyped = [replace(x, title=(x.title or "").replace("e", "ee", 1)) for x in unseen]
    before, after = article_types(predictor, unseen), article_types(predictor, mistyped)
    assert np.mean([a == b for a, b in zip(before, after, strict=True)]) > 0.85


@pytest.mark.parametrize(
    ("first", "second"),
    [("shirt", "watch"), ("jeans", "backpack"), ("sandals", "scarf"), ("sunglasses", "belt"), ("dress", "boots")],
)
def test_the_word_for_the_thing_decides_its_type(predictor: ProductPredictor, first: str, second: str) -> None:
    found = article_types(predictor, [Listing(title=f"Nordlys Women Black {word.title()}") for word in (first, second)])
    assert found[0] != found[1]


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Kestrel Men Blue Jeans", "Jeans"),
        ("Ticker & Co Men Black Analogue Watch", "Watches"),
        ("Mirabelle Women Red Dress", "Dresses"),
        ("Mono Men Black Backpack", "Backpacks"),
        ("Halcyon Women Brown Sunglasses", "Sunglasses"),
        ("Corvo Men Brown Belt", "Belts"),
        ("Oakline Men White T-shirt", "Tshirts"),
    ],
)
def test_obvious_titles_are_right(predictor: ProductPredictor, title: str, expected: str) -> None:
    assert article_types(predictor, [Listing(title=title)]) == [expected]


def test_a_premium_brand_raises_the_price(predictor: ProductPredictor, unseen: list[Listing]) -> None:
    def prices(brand: str) -> np.ndarray:
        swapped = [
            replace(x, title=(x.title or "").replace(x.fields.get("brand", "?"), brand), fields={**x.fields, "brand": brand})
            for x in unseen
        ]
        return np.array([p.price.median for p in predictor.predict(swapped) if p.price])

    assert np.mean(np.log(prices("Meridian") / prices("Pico"))) > 0.2


def test_a_watch_costs_more_than_a_cap(predictor: ProductPredictor) -> None:
    watch, cap = predictor.predict([Listing(title="Rook Men Black Watch"), Listing(title="Rook Men Black Cap")])
    assert watch.price is not None
    assert cap.price is not None
    assert watch.price.median > 1.5 * cap.price.median


def test_an_embedding_is_closer_to_its_own_kind(predictor: ProductPredictor) -> None:
    titles = ("Rook Men Blue Jeans", "Wren Women Black Denims", "Rook Men Blue Watch")
    a, b, c = (p.embedding for p in predictor.predict([Listing(title=title) for title in titles]))
    assert a @ b > a @ c


def test_knowing_less_is_being_less_sure(predictor: ProductPredictor, unseen: list[Listing]) -> None:
    sure = [p.categories["article_type"][0][1] for p in predictor.predict(unseen)]
    vague = [
        p.categories["article_type"][0][1] for p in predictor.predict([Listing(fields=x.fields) for x in unseen if x.fields])
    ]
    assert np.mean(vague) < np.mean(sure)


@pytest.fixture(scope="module")
def complete(catalogue: Catalogue) -> list[Listing]:
    """Test listings with everything that a shop knows."""
    config = load(ProductRunConfig, environment_file("demo", "product"))
    rows = records_of(_part(catalogue, FAMILY.split(catalogue, config), "test"))[:60]
    listings = [listing_of(row, catalogue.images.get(row["product_id"])) for row in rows]
    return [x for x in listings if x.title and x.price and x.image and len(x.categories) == 3]


def scores(predictor: ProductPredictor, listings: list[Listing]) -> np.ndarray:
    return np.array([p.quality.score for p in predictor.predict(listings)])


def test_a_slipped_decimal_point_lowers_the_score(predictor: ProductPredictor, complete: list[Listing]) -> None:
    good = scores(predictor, complete)
    for factor in (10.0, 0.1):
        wrong = scores(predictor, [replace(x, price=(x.price or 0) * factor) for x in complete])
        assert np.mean(wrong < good) > 0.9
        assert wrong.mean() < good.mean() - 0.2


def test_another_products_categories_lower_the_score(predictor: ProductPredictor, complete: list[Listing]) -> None:
    turned = [*complete[7:], *complete[:7]]
    pairs = [(a, b) for a, b in zip(complete, turned, strict=True) if a.categories != b.categories]
    good = scores(predictor, [a for a, _ in pairs])
    wrong = scores(predictor, [replace(a, categories=b.categories) for a, b in pairs])
    assert np.mean(wrong < good) > 0.9


def test_the_likeliest_fault_is_the_one_that_was_made(predictor: ProductPredictor, complete: list[Listing]) -> None:
    found = predictor.predict([replace(x, price=(x.price or 0) * 10) for x in complete])
    likeliest = [max(p.quality.faults, key=lambda kind: p.quality.faults[kind]) for p in found]
    assert np.mean([kind == "wrong_price" for kind in likeliest]) > 0.8


@pytest.mark.parametrize(
    ("glad", "cross"),
    [
        ("Love it! Lovely soft material.", "Sending it back. The fit is odd."),
        ("I would buy it again", "I am sending it back"),
        ("Great quality", "Cheap quality"),  # "poor" is in no review of the sample
        ("LOVELY MATERIAL!!!", "FELL APART!!!"),  # as bodies say it: "disappointed" is a word of the sample's headings alone
    ],
)
def test_a_glad_review_is_told_from_a_cross_one(predictor: ProductPredictor, glad: str, cross: str) -> None:
    better, worse = predictor.predict_reviews([clean_review(None, glad), clean_review(None, cross)])
    assert better.recommended > worse.recommended
    assert better.rating > worse.rating or better.rating == worse.rating == 5.0  # where ratings end


def test_case_and_markup_change_no_opinion(predictor: ProductPredictor) -> None:
    plain, loud = predictor.predict_reviews(
        [clean_review("Good buy", "true to size"), clean_review(" <b>GOOD</b> buy", "TRUE  to size")]
    )
    assert plain == loud
