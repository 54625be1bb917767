"""Simple models: the same as scikit-learn's, and measured row by row beside the version."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bundles import tiny_catalogue, tiny_config
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge

from catalog.catalogue import Catalogue
from catalog.images import decode
from configs.errors import VitrinaError
from models.evaluation.gates import difference_of
from models.evaluation.metrics import rmsle
from models.evaluation.results import Evaluation
from models.product.baselines import FILE, SHRINKAGE, SIDE, Compared, SimpleModels, compare
from models.product.data import ListingDataset, Rows
from models.product.encoders import Encoders
from models.product.parts import MODALITIES

CONFIG = tiny_config().model.model_copy(update={"prior_bits": 16})  # few n-grams of these titles share a column
TRAINING = 160
SAMPLES = 100


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    return Catalogue.open(tiny_catalogue(tmp_path_factory.mktemp("simple"), products=240, reviews=0))


@pytest.fixture(scope="module")
def products(catalogue: Catalogue) -> pd.DataFrame:
    return catalogue.products()


def dataset(catalogue: Catalogue, products: pd.DataFrame, encoders: Encoders | None = None) -> ListingDataset:
    rows = Rows.of(products)
    return ListingDataset(rows, catalogue.images, encoders or Encoders.fit(rows.listings, rows.photos, CONFIG), CONFIG)


@pytest.fixture(scope="module")
def training(catalogue: Catalogue, products: pd.DataFrame) -> ListingDataset:
    return dataset(catalogue, products.head(TRAINING))


@pytest.fixture(scope="module")
def simple(training: ListingDataset) -> SimpleModels:
    return SimpleModels.fit(training, CONFIG)


def predicted(products: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Of which every fourth type is wrong and every price is off by a few per cent."""
    rng = np.random.default_rng(seed)
    true = products["article_type"].to_numpy(dtype=object)
    frame = pd.DataFrame({"true_article_type": true, "predicted_article_type": true.copy()})
    frame.loc[::4, "predicted_article_type"] = "nothing"
    frame["true_price"] = products["price"].to_numpy(dtype=float)
    return frame.assign(predicted_price=frame["true_price"] * rng.lognormal(0, 0.05, len(frame)))


def measured(frame: pd.DataFrame, rows: ListingDataset, simple: SimpleModels, **changed: object) -> Compared:
    options = {"most_frequent": "Shirts", "median": 700.0, "shown": MODALITIES, "samples": SAMPLES} | changed
    return compare(frame, rows, simple, **options)


def test_prices_of_titles_are_ridge_regression_on_tf_idf(products: pd.DataFrame, simple: SimpleModels) -> None:
    words = {"lowercase": False, "sublinear_tf": True, "min_df": CONFIG.priors.linear.min_documents}
    readers = [
        TfidfVectorizer(ngram_range=(1, 3), token_pattern=r"[\w']+|[!?]+", **words),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), **words),
    ]
    titles = products["title"].str.lower()
    train = np.hstack([reader.fit_transform(titles.iloc[:TRAINING]).toarray() for reader in readers])
    rest = np.hstack([reader.transform(titles.iloc[TRAINING:]).toarray() for reader in readers])
    ridge = Ridge(alpha=CONFIG.priors.linear.ridge_alpha).fit(train, np.log1p(products["price"].iloc[:TRAINING]))
    assert simple.title_price is not None
    found = simple.title_price.answers(simple.title_price.features({"title": titles.iloc[TRAINING:].tolist()}))
    gap = np.abs(found - ridge.predict(rest))
    assert gap.mean() < 0.01  # a few n-grams share a column
    assert np.ptp(found) > 1.0


def thumbnails(catalogue: Catalogue, products: pd.DataFrame) -> np.ndarray:
    photos = [catalogue.images.get(key) or b"" for key in products["product_id"]]
    return np.stack([decode(photo, (SIDE, SIDE)).ravel() / 255 for photo in photos])


def test_types_of_photos_are_linear_discriminant_analysis_of_thumbnails(
    catalogue: Catalogue, products: pd.DataFrame, training: ListingDataset, simple: SimpleModels
) -> None:
    train, rest = products.head(TRAINING), products.iloc[TRAINING:]
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=SHRINKAGE)
    model.fit(thumbnails(catalogue, train), train["article_type"])
    said = model.predict(thumbnails(catalogue, rest))
    assert simple.photo is not None
    found = simple.photo.types(thumbnails(catalogue, rest).astype(np.float32))
    assert [training.encoders.levels[-1].decode(int(code)) for code in found] == list(said)
    metrics = measured(predicted(rest), dataset(catalogue, rest, training.encoders), simple).metrics
    assert metrics["linear_photo_accuracy"].value == pytest.approx(np.mean(said == rest["article_type"]))
    assert len(set(said)) > 2


def test_each_is_measured_and_compared_on_the_same_rows(
    catalogue: Catalogue, products: pd.DataFrame, training: ListingDataset, simple: SimpleModels
) -> None:
    rest = products.iloc[TRAINING:].reset_index(drop=True)
    frame, rows = predicted(rest), dataset(catalogue, rest, training.encoders)
    found = measured(frame, rows, simple)
    assert found.not_applicable == {}
    told = Evaluation(model="product", data="f", split="test", n=len(rest), metrics=dict(found.metrics), against=found.against)
    right = frame["predicted_article_type"] == frame["true_article_type"]
    assert found.metrics["majority_accuracy"].value == (rest["article_type"] == "Shirts").mean()
    gain = difference_of(told, "article_type_accuracy", "majority_accuracy")
    assert gain.value == pytest.approx(right.mean() - (rest["article_type"] == "Shirts").mean())
    assert gain.low < gain.value < gain.high
    types = rows.encoders.priors.log_types(rows.rows.listings)[:, 1:].argmax(axis=1) + 1
    titles = np.array([rows.encoders.levels[-1].decode(int(code)) for code in types]) == rest["article_type"]
    assert found.metrics["linear_title_accuracy"].value == titles.mean()
    assert difference_of(told, "article_type_accuracy", "linear_title_accuracy").value == pytest.approx(
        right.mean() - titles.mean()
    )
    median = rmsle(rest["price"], np.full(len(rest), 700.0))
    assert found.metrics["median_price_rmsle"].value == pytest.approx(median)
    assert found.metrics["linear_title_price_rmsle"].value < 0.7 * median
    loss = difference_of(told, "price_rmsle", "median_price_rmsle")
    assert loss.value == pytest.approx(rmsle(frame["true_price"], frame["predicted_price"]) - median)


def test_a_row_without_what_is_read_gets_the_answer_of_no_reading(
    catalogue: Catalogue, products: pd.DataFrame, training: ListingDataset, simple: SimpleModels, tmp_path: Path
) -> None:
    rest = products.iloc[TRAINING:].assign(title=None).reset_index(drop=True)
    rest["product_id"] += 10_000  # of which there is no photo
    found = measured(predicted(rest), dataset(catalogue, rest, training.encoders), simple).metrics
    assert found["linear_title_accuracy"] == found["linear_photo_accuracy"] == found["majority_accuracy"]


def test_rows_without_a_label_are_passed_over(
    catalogue: Catalogue, products: pd.DataFrame, training: ListingDataset, simple: SimpleModels
) -> None:
    rest = products.iloc[TRAINING:].reset_index(drop=True)
    frame = predicted(rest)
    frame.loc[:9, "true_article_type"] = None
    frame.loc[10:29, "true_price"] = np.nan
    found = measured(frame, dataset(catalogue, rest, training.encoders), simple)
    assert {name: metric.n for name, metric in found.metrics.items()} == {
        "majority_accuracy": 70,
        "linear_title_accuracy": 70,
        "linear_photo_accuracy": 70,
        "median_price_rmsle": 60,
        "linear_title_price_rmsle": 60,
    }


def test_what_training_lacks_gives_no_model_and_says_why(catalogue: Catalogue, products: pd.DataFrame, tmp_path: Path) -> None:
    bare = products.assign(title=None, price=np.nan)
    bare["product_id"] += 10_000
    rows = dataset(catalogue, bare)
    simple = SimpleModels.fit(rows, CONFIG)
    assert simple == SimpleModels(None, None)
    simple.save(tmp_path)
    assert SimpleModels.load(tmp_path) == simple
    found = measured(predicted(bare), rows, simple, median=None)
    assert set(found.metrics) == {"majority_accuracy"}
    assert found.not_applicable == {
        "median_price_rmsle": "no training row has a price",
        "linear_title_accuracy": "no two article types have training titles",
        "linear_photo_accuracy": "no two article types have training photos",
        "linear_title_price_rmsle": "no training row has a title and a price",
    }


def test_what_is_withheld_from_the_version_is_withheld_from_them(
    catalogue: Catalogue, products: pd.DataFrame, training: ListingDataset, simple: SimpleModels
) -> None:
    rest = products.iloc[TRAINING:]
    found = measured(predicted(rest), dataset(catalogue, rest, training.encoders), simple, shown=("image",))
    assert set(found.metrics) == {"majority_accuracy", "median_price_rmsle", "linear_photo_accuracy"}
    assert set(found.not_applicable.values()) == {"titles are withheld"}


def test_they_travel_in_a_small_file(simple: SimpleModels, tmp_path: Path) -> None:
    simple.save(tmp_path)
    assert (tmp_path / FILE).stat().st_size < 3e6
    found = SimpleModels.load(tmp_path)
    assert found.title_price is not None and simple.title_price is not None
    features = simple.title_price.features({"title": ["nordlys blue shirt", ""]})
    assert np.array_equal(found.title_price.answers(features), simple.title_price.answers(features))
    assert found.photo is not None and simple.photo is not None
    assert np.array_equal(found.photo.coefficients, simple.photo.coefficients)
    (tmp_path / FILE).write_bytes(b"broken")
    with pytest.raises(VitrinaError, match=f"cannot read .*{FILE}"):
        SimpleModels.load(tmp_path)


def test_two_types_are_told_apart(catalogue: Catalogue, products: pd.DataFrame) -> None:
    two = products[products["article_type"].isin(products["article_type"].unique()[:2])]
    rows = dataset(catalogue, two)
    simple = SimpleModels.fit(rows, CONFIG)
    assert simple.photo is not None
    said = simple.photo.types(thumbnails(catalogue, two).astype(np.float32))
    truth = [rows.encoders.levels[-1].encode(kind) for kind in two["article_type"]]
    assert set(said) == set(truth)
    assert np.mean(said == truth) > 0.9  # 1.000
