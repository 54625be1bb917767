"""What is decided from training rows before anything is trained."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from bundles import tiny_catalogue

from catalog.catalogue import Catalogue
from catalog.images import ImageStore
from configs.errors import VitrinaError
from configs.schema import CorruptionConfig
from models.product.data import ReviewRows, Rows
from models.product.lacking import lacks
from models.product.tasks import Lacks, TasksConfig


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    return Catalogue.open(tiny_catalogue(tmp_path_factory.mktemp("shop") / "catalogue", products=60, reviews=80))


def decided(
    shop: Catalogue,
    change: Callable[[pd.DataFrame], pd.DataFrame] = lambda products: products,
    photos: bool = True,
    reviews: Callable[[pd.DataFrame], pd.DataFrame] = lambda reviews: reviews,
    corruption: CorruptionConfig | None = None,
) -> Lacks:
    images = shop.images if photos else ImageStore(Path("nowhere/images.parquet"))
    rows, said = Rows.of(change(shop.products())), ReviewRows.of(reviews(shop.reviews()))
    return lacks(rows, images, said, corruption or CorruptionConfig(), TasksConfig())


def only(*columns: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Every other column is missing in all rows."""
    return lambda products: products[["product_id", *columns]].reindex(columns=products.columns)


def none(reviews: pd.DataFrame) -> pd.DataFrame:
    return reviews.head(0)


def test_a_catalogue_with_everything_lacks_nothing(shop: Catalogue) -> None:
    found = decided(shop)
    assert found == Lacks()
    assert found.metrics(CorruptionConfig()) == {}
    assert found.corruption(CorruptionConfig()) == CorruptionConfig()
    assert found.terms() == frozenset()


def test_photos_with_one_class_level(shop: Catalogue) -> None:
    found = decided(shop, only("article_type"), reviews=none)
    assert found.tasks == {
        "master_category": "no master categories",
        "sub_category": "no sub-categories",
        "price": "no prices",
        "sentiment": "no reviews",
        "retrieval": "no titles",
        "text": "no texts",
    }
    assert set(found.parts) == {"title", "description", "attributes"}
    assert set(found.faults) == {"truncated_description", "swapped_description", "wrong_price", "missing_attributes"}
    shown = found.corruption(CorruptionConfig())
    assert shown is not None
    assert shown.trained == ("mismatched_image", "wrong_category", "blurred_image", "dark_image")
    reasons = found.metrics(CorruptionConfig())
    assert reasons["fault_auc_unseen"] == "no descriptions"  # the kind that is kept out of training
    assert "fault_auc_lowest" not in reasons
    assert reasons["price_rmsle"] == "no prices"
    assert not {"article_type_accuracy", "expected_calibration_error", "knn_f1", "linear_photo_accuracy"} & set(reasons)


def test_titles_alone_have_faults_of_categories_only(shop: Catalogue) -> None:
    found = decided(shop, only("title", "article_type"), photos=False)
    assert set(found.tasks) == {"master_category", "sub_category", "price", "retrieval"}
    assert found.tasks["retrieval"] == "no photos"
    shown = found.corruption(CorruptionConfig())
    assert shown is not None
    assert shown.trained == ("wrong_category",)


def test_without_categories_price_and_retrieval_are_left(shop: Catalogue) -> None:
    found = decided(shop, only("title", "price"))
    assert set(found.tasks) == {"master_category", "sub_category", "article_type"}
    assert {"article_type", "embedding_type"} <= found.terms()
    assert found.metrics(CorruptionConfig())["knn_f1"] == "no article types"


def test_no_fault_can_be_put_into_titles_with_prices_unless_prices_are_taught(shop: Catalogue) -> None:
    kept = CorruptionConfig(held_out=("wrong_price",))
    found = decided(shop, only("title", "price"), photos=False, corruption=kept)
    assert "quality" in found.tasks
    assert found.corruption(kept) is None
    reasons = found.metrics(kept)
    assert {"fault_auc_lowest", "fault_auc_unseen", "fault_auc_wrong_price"} <= set(reasons)


@pytest.mark.parametrize(("rows", "reason"), [(20, None), (19, "only 19 prices (20 are needed)"), (0, "no prices")])
def test_few_labels_are_no_task(shop: Catalogue, rows: int, reason: str | None) -> None:
    def few(products: pd.DataFrame) -> pd.DataFrame:
        return products.assign(price=products["price"].where(products.index < rows))

    assert decided(shop, few).tasks.get("price") == reason


def test_one_class_is_no_task(shop: Catalogue) -> None:
    found = decided(shop, lambda products: products.assign(master_category="Apparel"))
    assert found.tasks == {"master_category": "only one master category"}


def test_one_price_is_no_task(shop: Catalogue) -> None:
    found = decided(shop, lambda products: products.assign(price=9.5))
    assert found.tasks == {"price": "only one price"}
    assert found.faults == {"wrong_price": "only one price"}
    assert found.metrics(CorruptionConfig())["median_price_rmsle"] == "only one price"


def test_reviews_need_both_opinions(shop: Catalogue) -> None:
    def glad(reviews: pd.DataFrame) -> pd.DataFrame:
        return reviews[reviews["recommended"] == 1]

    assert decided(shop, reviews=glad).tasks == {"sentiment": "too few reviews that recommend, or that do not"}
    unsaid = decided(shop, reviews=lambda reviews: reviews.assign(recommended=None))
    assert unsaid.tasks == {"sentiment": "no reviews that say whether they recommend"}
    few = decided(shop, reviews=lambda reviews: reviews.head(16))
    assert set(few.tasks) == {"sentiment"}


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        (("article_type", "price"), "nothing to read: no titles, no descriptions, no photos, no attributes"),
        (
            ("title", "brand"),
            "nothing to learn from: no prices, no photos, no master categories, no sub-categories, no article types",
        ),
    ],
)
def test_what_nothing_can_be_made_of_is_refused(shop: Catalogue, columns: tuple[str, ...], says: str) -> None:
    with pytest.raises(VitrinaError, match=f"^training rows have {says}"):
        decided(shop, only(*columns), photos=False)
