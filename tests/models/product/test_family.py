import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from bundles import COLOURS, draw, tiny_catalogue, tiny_config, tiny_reviews
from safetensors.torch import load_file, save_file
from sklearn.metrics import roc_auc_score

from catalog.catalogue import Catalogue
from catalog.corruption import KINDS
from catalog.listing import CATEGORY_LEVELS, Listing
from catalog.sample.assortment import TYPES
from catalog.splits import split_reviews
from configs.errors import VitrinaError
from configs.load import environment_file, load
from configs.schema import AugmentationConfig
from models import family
from models.bundles import load_seen, product_keys
from models.errors import NotSupported, TrainingError
from models.product import bundle
from models.product.cleaning import clean, clean_review
from models.product.config import ProductRunConfig
from models.product.data import ListingDataset, Rows
from models.product.encoders import Encoders
from models.product.evaluate import measure
from models.product.family import FAMILY, review_keys
from models.product.parts import MODALITIES
from models.product.predictor import ProductPredictor
from models.product.summary import REFERENCE_SPEC, project, summarise, ways
from models.product.task import ProductTask
from models.product.tasks import METRICS

pytestmark = [pytest.mark.slow, pytest.mark.trains]

SHIRT = Listing(title="Oakline Men Blue Shirt", fields={"brand": "Oakline"}, attributes={"Fit": "Slim Fit"})


def photo(shape: str = "rectangle") -> bytes:
    return draw(shape, COLOURS["Blue"], np.random.default_rng(3))


def train(folder: Path, change: object = None, images: bool = True, reviews: int = 60, **trainer: object) -> Path:
    """Train one epoch on a changed `tiny_catalogue`."""
    root = tiny_catalogue(folder / "catalogue", products=120, images=images, reviews=reviews)
    if callable(change):
        products = pd.read_parquet(root / "products.parquet")
        change(products).to_parquet(root / "products.parquet", index=False)
    catalogue, config = Catalogue.open(root), tiny_config(**{"epochs": 1} | trainer)
    split = FAMILY.split(catalogue, config)
    return FAMILY.train(catalogue, split, FAMILY.augment(catalogue, split, config), config, folder / "work")


def test_family_is_found_by_its_folder() -> None:
    assert "product" in family.names()
    assert family.get("product") is FAMILY


@pytest.mark.parametrize("environment", ["base", "demo"])
def test_environments_validate(environment: str) -> None:
    config = load(ProductRunConfig, environment_file(environment, "product"))
    assert config.model.preset == {"base": "base", "demo": "tiny"}[environment]
    assert ProductRunConfig.model_validate(config.model_dump(mode="json")) == config


def test_bundle_has_the_files_of_the_contract(bundle_folder: Path) -> None:
    names = {p.name for p in bundle_folder.iterdir()}
    assert names == {
        "model.safetensors",
        "config.json",
        "encoders.json",
        "tokenizer.json",
        "priors.safetensors",
        "baselines.safetensors",
        "seen.npy",
        "reference.parquet",
        "reference.json",
        "card.md",
    }
    text, settings = (bundle_folder / "card.md").read_text(encoding="utf-8"), bundle.load_config(bundle_folder)
    assert "Intended use" in text
    assert settings.updates.made == settings.updates.planned > 0
    assert f"{settings.updates.made} of {settings.updates.planned} planned updates of the whole model" in text
    assert settings.photo_updates is None
    assert not list(bundle_folder.parent.glob("*.partial"))


def test_prediction_has_the_shape_of_the_contract(predictor: ProductPredictor) -> None:
    listing = replace(SHIRT, image=photo(), price=900.0, categories={"master_category": "Apparel"})
    (found,) = predictor.predict([listing])
    assert set(found.categories) == set(CATEGORY_LEVELS)
    for best in found.categories.values():
        assert 1 <= len(best) <= 5
        assert [p for _, p in best] == sorted((p for _, p in best), reverse=True)
        assert sum(p for _, p in best) <= 1 + 1e-5
    assert found.categories["article_type"][0][0] == "Shirts"
    assert found.price is not None
    assert 0 < found.price.low < found.price.median < found.price.high
    assert found.embedding.shape == (predictor.config.model.embedding_dim,)
    assert found.embedding.dtype == np.float32
    assert np.linalg.norm(found.embedding) == pytest.approx(1, abs=1e-5)
    assert found.modalities == ("title", "image", "attributes", "price", "categories")
    assert set(found.quality.faults) == set(KINDS)
    assert all(0 <= p <= 1 for p in (found.quality.score, *found.quality.faults.values()))
    assert predictor.name == "product"
    assert set(predictor.labels["article_type"]) == {kind.name for kind in TYPES}


@pytest.mark.parametrize(
    "listing",
    [
        Listing(title="red dress"),
        Listing(description="<b>A watch</b> made to last"),
        Listing(image=photo()),
        Listing(price=1200.0),
        Listing(categories={"article_type": "Shirts"}),
        Listing(fields={"brand": "Oakline"}),
        Listing(attributes={"never": "seen"}),
        Listing(title="✂️ 完全に未知"),
    ],
)
def test_any_part_alone_gives_every_answer(predictor: ProductPredictor, listing: Listing) -> None:
    (found,) = predictor.predict([listing])
    assert found.price is not None
    assert np.isfinite([found.price.low, found.price.median, found.price.high, *found.embedding, found.quality.score]).all()
    assert len(found.modalities) == 1


def test_batch_and_single_agree_and_order_is_kept(predictor: ProductPredictor) -> None:
    listings = [
        SHIRT,
        Listing(image=photo("ring")),
        Listing(title="Velora red dress", description="long " * 40),
        Listing(price=99.0),
    ]
    together = predictor.predict(listings)
    for listing, found in zip(listings, together, strict=True):
        (alone,) = predictor.predict([listing])
        assert alone.modalities == found.modalities
        assert np.allclose(alone.embedding, found.embedding, atol=1e-5)
        likely = {value: p for value, p in found.categories["article_type"] if p > 0.05}
        assert {value: p for value, p in alone.categories["article_type"] if value in likely} == pytest.approx(likely, abs=1e-4)
        assert alone.quality.score == pytest.approx(found.quality.score, abs=1e-4)
        assert alone.price is not None
        assert found.price is not None
        assert alone.price.median == pytest.approx(found.price.median, rel=1e-4)
    assert predictor.predict([]) == []


@pytest.mark.parametrize("empty", [Listing(), Listing(title="  ", description="<p> </p>"), Listing(categories={}, fields={})])
def test_an_empty_listing_is_refused_by_number(predictor: ProductPredictor, empty: Listing) -> None:
    with pytest.raises(VitrinaError, match="listing 1 is empty; give a title"):
        predictor.predict([SHIRT, empty])


def test_an_undecodable_photo_is_refused_by_number(predictor: ProductPredictor) -> None:
    with pytest.raises(VitrinaError, match="listing 2: image of 5 bytes cannot be decoded"):
        predictor.predict([SHIRT, SHIRT, Listing(image=b"nopes")])


def test_loading_gives_the_model_that_was_saved(bundle_folder: Path, tmp_path: Path) -> None:
    first = ProductPredictor.load(bundle_folder)
    settings = bundle.load_config(bundle_folder)
    model = bundle.load_model(bundle_folder, first.encoders, settings)
    bundle.save(tmp_path, model, first.encoders, settings, load_seen(bundle_folder))
    second = ProductPredictor.load(tmp_path)
    listing = replace(SHIRT, image=photo(), price=800.0)
    (a,), (b,) = first.predict([listing]), second.predict([listing])
    assert a.categories == b.categories
    assert a.price == b.price
    assert np.array_equal(a.embedding, b.embedding)
    assert a.quality == b.quality
    review = clean_review("perfect", "i love it")
    assert first.predict_reviews([review]) == second.predict_reviews([review])
    assert (tmp_path / "priors.safetensors").read_bytes() == (bundle_folder / "priors.safetensors").read_bytes()


@pytest.mark.parametrize("damage", ["model.safetensors", "config.json", "encoders.json", "tokenizer.json", "priors.safetensors"])
@pytest.mark.parametrize("how", ["missing", "garbage", "other"])
def test_a_damaged_bundle_is_refused_by_file(bundle_folder: Path, tmp_path: Path, damage: str, how: str) -> None:
    for path in bundle_folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    if how == "missing":
        (tmp_path / damage).unlink()
    elif how == "garbage":
        (tmp_path / damage).write_bytes(b"\x80\x04 not what it was")
    elif damage == "model.safetensors":
        weights = load_file(tmp_path / damage)
        weights["queries"] = torch.zeros(2, 2)
        save_file(weights, tmp_path / damage)
    elif damage == "priors.safetensors":
        save_file({"price.means": torch.zeros(6)}, tmp_path / damage)
    else:
        (tmp_path / damage).write_text("{}", encoding="utf-8")
    with pytest.raises(VitrinaError, match=damage.replace(".", r"\.")):
        ProductPredictor.load(tmp_path)


def test_an_unknown_device_is_refused(bundle_folder: Path) -> None:
    with pytest.raises(VitrinaError, match="device 'abacus' is not available"):
        ProductPredictor.load(bundle_folder, device="abacus")


def test_seen_rows_are_those_of_training_and_validation(bundle_folder: Path, product_catalogue: Catalogue) -> None:
    seen, config = load_seen(bundle_folder), bundle.load_config(bundle_folder).config
    products, reviews = product_catalogue.products().drop_duplicates("product_id"), product_catalogue.reviews()
    tested = products["product_id"].isin(FAMILY.split(product_catalogue, config).query("split == 'test'")["product_id"])
    told = reviews[split_reviews(reviews, config.split) != "test"]
    assert set(seen) == set(product_keys(products[~tested])) | set(review_keys(told))
    assert len(np.unique(product_keys(products))) == len(products)
    retitled = products.assign(title=products["title"] + "!")
    assert not np.isin(product_keys(retitled), seen).any()
    assert np.isin(review_keys(told), seen).all()
    assert not np.isin(review_keys(told.assign(review=told["review"] + "!")), seen).any()
    numbered = pd.DataFrame({"review_id": products["product_id"], "review": products["title"]})
    assert not np.isin(review_keys(numbered), product_keys(products)).any()  # a review is no product of the same id and words


def test_evaluation_measures_unseen_rows(bundle_folder: Path, product_catalogue: Catalogue) -> None:
    config = bundle.load_config(bundle_folder).config
    run = FAMILY.evaluate(bundle_folder, product_catalogue, config.evaluation)
    metrics, frame = run.evaluation.metrics, run.predictions
    split = FAMILY.split(product_catalogue, config)
    assert set(frame["product_id"]) == set(split.loc[split["split"] == "test", "product_id"])
    assert not frame["product_id"].is_monotonic_increasing  # the first rows are no part of a sorted table
    assert set(metrics) == {
        "article_type_accuracy",
        "article_type_macro_f1",
        "sub_category_accuracy",
        "master_category_accuracy",
        "price_rmsle",
        "price_interval_coverage",
        "title_to_image_recall_at_10",
        "retrieval_ndcg_at_10",
        "knn_f1",
        "expected_calibration_error",
        "sentiment_auc",
        *(f"fault_auc_{kind}" for kind in (*KINDS, "unseen", "lowest")),
        "invariance_case_whitespace",
        "latency_p50_ms",
        "latency_p95_ms",
        "majority_accuracy",
        "median_price_rmsle",
        "linear_title_accuracy",
        "linear_photo_accuracy",
        "linear_title_price_rmsle",
    }
    assert run.evaluation.not_applicable == {}
    of_tasks = {metric for several in METRICS.values() for metric in several}  # all but times belong to a task
    assert set(metrics) == of_tasks | {"latency_p50_ms", "latency_p95_ms"}
    assert {(pair.metric, pair.baseline) for pair in run.evaluation.against} == {
        *(("article_type_accuracy", f"{name}_accuracy") for name in ("majority", "linear_title", "linear_photo")),
        *(("price_rmsle", f"{name}_rmsle") for name in ("median_price", "linear_title_price")),
    }
    assert all(m.value is not None and m.low is not None and m.low <= m.value <= m.high + 1e-9 for m in metrics.values())
    assert metrics["invariance_case_whitespace"].value == 1.0
    assert metrics["article_type_accuracy"].value == (frame["true_article_type"] == frame["predicted_article_type"]).mean()
    assert {s.slice for s in run.evaluation.slices} >= {"modalities", "has_image"}
    trained = config.corruption.trained
    assert metrics["fault_auc_lowest"].value == min(metrics[f"fault_auc_{kind}"].value for kind in trained)
    assert metrics["fault_auc_unseen"] == metrics["fault_auc_swapped_description"]
    assert frame["quality"].between(0, 1).all()
    assert run.evaluation.data == product_catalogue.fingerprint()


def test_modalities_restrict_what_is_seen(bundle_folder: Path, some: Catalogue) -> None:
    config = tiny_config().evaluation
    runs = {m: FAMILY.evaluate(bundle_folder, some, config, "all", m) for m in (None, ("title",), ("image",), MODALITIES)}
    assert len(runs[None].predictions) == 120
    assert runs[None].predictions["predicted_price"].equals(runs[MODALITIES].predictions["predicted_price"])
    title, image = (runs[(m,)].predictions["predicted_price"] for m in ("title", "image"))
    assert not np.allclose(title, image, rtol=0.05)
    assert runs[("image",)].evaluation.metrics["invariance_case_whitespace"].value is None
    for shown, said in ((("title",), "photos are withheld"), (("image",), "titles are withheld")):
        evaluation = runs[shown].evaluation
        assert not [name for name in evaluation.metrics if name.startswith(("fault_auc", "title_to_image", "retrieval"))]
        assert evaluation.not_applicable["title_to_image_recall_at_10"] == said
        assert evaluation.not_applicable["fault_auc_lowest"] == "a part of every listing is withheld"
    assert "title_to_image_recall_at_10" in runs[MODALITIES].evaluation.metrics
    assert runs[("title",)].evaluation.metrics["sentiment_auc"] == runs[None].evaluation.metrics["sentiment_auc"]
    with pytest.raises(VitrinaError, match="modality smell is not known; allowed: title"):
        FAMILY.evaluate(bundle_folder, some, config, "all", ("smell",))
    with pytest.raises(VitrinaError, match="split 'tomorrow' is not known; allowed: unseen"):
        FAMILY.evaluate(bundle_folder, some, config, "tomorrow")


def test_splits_of_an_evaluation_do_not_overlap(bundle_folder: Path, some: Catalogue) -> None:
    parts = [
        set(FAMILY.evaluate(bundle_folder, some, tiny_config().evaluation, s).predictions["product_id"])
        for s in ("unseen", "validation", "train")
    ]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 120


def test_unseen_rows_of_a_published_split_are_its_test_rows(bundle_folder: Path, some: Catalogue, tmp_path: Path) -> None:
    config = tiny_config().evaluation
    new = FAMILY.evaluate(bundle_folder, some, config).predictions["product_id"].tolist()
    parts = {key: "test" if place % 2 else "train" for place, key in enumerate(new)}  # none of them was learnt from
    products = some.products().assign(split=lambda rows: rows["product_id"].map(parts))
    products.to_parquet(tmp_path / "products.parquet", index=False)
    run = FAMILY.evaluate(bundle_folder, Catalogue.open(tmp_path), config)
    assert set(run.predictions["product_id"]) == {key for key, part in parts.items() if part == "test"}
    products.assign(split="train").to_parquet(tmp_path / "products.parquet", index=False)  # the test part was drawn by hash
    run = FAMILY.evaluate(bundle_folder, Catalogue.open(tmp_path), config)
    assert set(run.predictions["product_id"]) == set(new)


def test_rows_of_a_run_are_measured_alone(bundle_folder: Path, some: Catalogue) -> None:
    config = bundle.load_config(bundle_folder).config
    config = config.model_copy(update={"evaluation": tiny_config().evaluation})
    split = FAMILY.split(some, config)
    rows = split.loc[split["split"] == "test", "product_id"]
    run = FAMILY.evaluate_rows(bundle_folder, some, config, rows)
    assert (run.evaluation.split, run.evaluation.n, run.evaluation.known) == ("test", len(rows), 0)
    unseen = FAMILY.evaluate(bundle_folder, some, config.evaluation)  # with the same configuration the same rows
    pd.testing.assert_frame_equal(run.predictions, unseen.predictions)
    learned = split.loc[split["split"] != "test", "product_id"]
    few = FAMILY.evaluate_rows(bundle_folder, some, config, pd.concat([rows.head(7), learned.head(3)]))
    assert set(few.predictions["product_id"]) == {*rows.head(7), *learned.head(3)}
    assert few.evaluation.known == 3


def test_what_nothing_could_get_wrong_is_not_measured(bundle_folder: Path, some: Catalogue) -> None:
    products, config = some.products(), tiny_config()
    shirts = products[products["article_type"] == "Shirts"]["product_id"]
    one_type = FAMILY.evaluate_rows(bundle_folder, some, config, shirts.head(15)).evaluation.metrics
    assert one_type["knn_f1"].value is one_type["retrieval_ndcg_at_10"].value is None
    assert one_type["article_type_accuracy"].value is not None
    ten = FAMILY.evaluate_rows(bundle_folder, some, config, products["product_id"].head(10)).evaluation.metrics
    assert ten["title_to_image_recall_at_10"].value is None
    assert 0 < ten["title_to_image_recall_at_10"].n <= 10
    apart = products.drop_duplicates("article_type")["product_id"]
    assert FAMILY.evaluate_rows(bundle_folder, some, config, apart).evaluation.metrics["knn_f1"].value is None


def test_the_split_of_a_run_says_which_reviews_are_measured(
    bundle_folder: Path, some: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[pd.DataFrame] = []

    def measured(
        predictor: Any, settings: Any, catalogue: Any, products: Any, reviews: pd.DataFrame, *rest: Any, **more: Any
    ) -> Any:
        seen.append(reviews)
        return measure(predictor, settings, catalogue, products, reviews, *rest, **more)

    monkeypatch.setattr("models.product.evaluate.measure", measured)
    config = tiny_config()
    config = config.model_copy(update={"split": config.split.model_copy(update={"salt": "another", "test": 0.3})})
    split = FAMILY.split(some, config)
    FAMILY.evaluate_rows(bundle_folder, some, config, split.loc[split["split"] == "test", "product_id"])
    reviews = some.reviews()
    assert set(seen[0]["review_id"]) == set(reviews.loc[split_reviews(reviews, config.split) == "test", "review_id"])


def test_a_type_never_seen_is_an_error_not_a_crash(bundle_folder: Path, tmp_path: Path) -> None:
    root = tiny_catalogue(tmp_path / "new", products=40, seed=5)
    products = pd.read_parquet(root / "products.parquet")
    products["product_id"] += 90_000
    products.loc[:9, "article_type"] = "Hover Boards"
    products.loc[10:12, "article_type"] = None
    products.loc[13:15, "price"] = [0.0, np.nan, -3.0]
    products.to_parquet(root / "products.parquet", index=False)
    run = FAMILY.evaluate(bundle_folder, Catalogue.open(root), tiny_config().evaluation)
    assert run.evaluation.metrics["article_type_accuracy"].n == 37
    assert run.evaluation.metrics["price_rmsle"].n == 37
    strange = run.predictions[run.predictions["true_article_type"] == "Hover Boards"]
    assert len(strange) == 10
    assert not (strange["predicted_article_type"] == "Hover Boards").any()


def test_one_article_type_only_is_no_task(tmp_path: Path) -> None:
    folder = train(tmp_path, lambda products: products.assign(article_type="Shirts"), reviews=0)
    assert bundle.load_config(folder).lacks.tasks == {"article_type": "only one article type", "sentiment": "no reviews"}
    (found,) = ProductPredictor.load(folder).predict([SHIRT])
    assert found.categories["article_type"] == []
    assert found.categories["sub_category"]
    assert found.price is not None
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        run = FAMILY.evaluate(folder, Catalogue.open(tmp_path / "catalogue"), tiny_config().evaluation)
    assert run.evaluation.not_applicable["expected_calibration_error"] == "only one article type"
    assert run.evaluation.metrics["price_rmsle"].value is not None


def test_missing_tables_columns_and_prices_are_coped_with(tmp_path: Path) -> None:
    bare = train(tmp_path / "bare", lambda p: p[["product_id", "title", "article_type"]], images=False, reviews=0)
    (found,) = ProductPredictor.load(bare).predict([Listing(title="blue shirt", image=photo())])
    assert found.price is None
    assert found.categories["sub_category"] == []
    run = FAMILY.evaluate(bare, Catalogue.open(tmp_path / "bare" / "catalogue"), tiny_config().evaluation)
    reasons = run.evaluation.not_applicable
    assert (reasons["price_rmsle"], reasons["title_to_image_recall_at_10"]) == ("no prices", "no photos")
    assert reasons["fault_auc_unseen"] == "no descriptions"
    assert not set(reasons) & set(run.evaluation.metrics)
    assert run.evaluation.metrics["article_type_accuracy"].value is not None
    assert {name for name in run.evaluation.metrics if name.startswith("fault_auc")} == {
        "fault_auc_wrong_category",
        "fault_auc_lowest",
    }

    def holes(products: pd.DataFrame) -> pd.DataFrame:
        products.loc[::2, "price"] = np.nan
        products.loc[::3, "title"] = None
        products.loc[::5, "article_type"] = "NA"
        return products

    assert ProductPredictor.load(train(tmp_path / "holes", holes)).predict([SHIRT])[0].price is not None


def test_a_work_folder_of_another_run_is_refused(tmp_path: Path) -> None:
    train(tmp_path)
    with pytest.raises(VitrinaError, match="holds a run with another config"):
        train(tmp_path, learning_rate=1e-4)


def test_the_same_run_gives_the_same_bundle(tmp_path: Path) -> None:
    first, second = (train(tmp_path / name) for name in ("a", "b"))
    left, right = (load_file(folder / "model.safetensors") for folder in (first, second))
    assert left.keys() == right.keys()
    assert all(torch.equal(left[name], right[name]) for name in left)
    for name in ("encoders.json", "priors.safetensors", "config.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_a_killed_run_goes_on_to_the_same_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = load_file(train(tmp_path / "whole", epochs=3) / "model.safetensors")
    calls = 0

    def dies(self: ProductTask, batch: object, generator: object) -> object:
        nonlocal calls
        calls += 1
        if calls > 5:  # in the second epoch
            raise TrainingError("killed")
        return training_loss(self, batch, generator)

    training_loss = ProductTask.training_loss
    with monkeypatch.context() as patch:
        patch.setattr(ProductTask, "training_loss", dies)
        with pytest.raises(TrainingError, match="killed"):
            train(tmp_path / "cut", epochs=3)
    assert not (tmp_path / "cut" / "work" / "bundle").exists()
    assert (tmp_path / "cut" / "work" / "last.ckpt").is_file()
    resumed = load_file(train(tmp_path / "cut", epochs=3) / "model.safetensors")
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_without_reviews_a_model_trains_and_says_nothing_about_them(tmp_path: Path) -> None:
    folder = train(tmp_path, reviews=0)
    assert bundle.load_config(folder).training_reviews == 0
    predictor = ProductPredictor.load(folder)
    with pytest.raises(NotSupported, match=r"trained without reviews; train on a catalogue with reviews\.parquet"):
        predictor.predict_reviews([clean_review("lovely", None)])
    tiny_reviews(30).to_parquet(tmp_path / "catalogue" / "reviews.parquet", index=False)
    run = FAMILY.evaluate(folder, Catalogue.open(tmp_path / "catalogue"), tiny_config().evaluation)
    assert run.evaluation.not_applicable == {"sentiment_auc": "no reviews"}
    assert "sentiment_auc" not in run.evaluation.metrics
    assert run.evaluation.metrics["article_type_accuracy"].value is not None


@pytest.fixture(scope="module")
def new_reviews(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    """A catalogue of reviews alone, none of which was seen in training."""
    root = tmp_path_factory.mktemp("reviews")
    tiny_reviews(80, seed=3).assign(review_id=lambda r: r["review_id"] + 70_000).to_parquet(root / "reviews.parquet", index=False)
    return Catalogue.open(root)


def test_a_catalogue_of_reviews_is_measured_by_them_alone(
    bundle_folder: Path, predictor: ProductPredictor, new_reviews: Catalogue
) -> None:
    run = FAMILY.evaluate(bundle_folder, new_reviews, tiny_config().evaluation)
    assert set(run.evaluation.metrics) == {"sentiment_auc"}
    assert run.evaluation.n == 80
    assert run.predictions.empty
    assert not run.evaluation.slices
    reviews = new_reviews.reviews()
    known = reviews[reviews["recommended"].notna()]
    rows = known[["title", "review", "recommended"]].itertuples(index=False)
    said = predictor.predict_reviews([clean_review(row.title, row.review) for row in rows])
    auc = run.evaluation.metrics["sentiment_auc"]
    expected = roc_auc_score(known["recommended"].astype(int), [s.recommended for s in said])
    assert auc.n == len(known) < 80
    assert auc.value == pytest.approx(expected)


def test_unseen_reviews_are_told_by_key(bundle_folder: Path, some: Catalogue) -> None:
    config, reviews = bundle.load_config(bundle_folder).config, some.reviews()
    part = split_reviews(reviews, config.split)
    labelled = reviews["recommended"].notna()
    assert labelled.sum() == 48
    for split, rows in (("unseen", part == "test"), ("validation", part == "validation"), ("train", part == "train")):
        found = FAMILY.evaluate(bundle_folder, some, config.evaluation, split).evaluation.metrics["sentiment_auc"]
        assert found.n == (rows & labelled).sum(), split


def test_a_changed_review_is_unseen(bundle_folder: Path, some: Catalogue, tmp_path: Path) -> None:
    root = tmp_path / "changed"
    root.mkdir()
    reviews = some.reviews()
    reviews["review"] = "now " + reviews["review"]
    reviews.to_parquet(root / "reviews.parquet", index=False)
    run = FAMILY.evaluate(bundle_folder, Catalogue.open(root), tiny_config().evaluation)
    assert run.evaluation.n == 60
    with pytest.raises(VitrinaError, match="has no train product or review to measure"):
        FAMILY.evaluate(bundle_folder, Catalogue.open(root), tiny_config().evaluation, "train")


def test_opinions_follow_the_words(predictor: ProductPredictor) -> None:
    good, bad = predictor.predict_reviews(
        [clean_review("Perfect", "Would buy again."), clean_review("Avoid", "The seams came loose.")]
    )
    assert good.recommended > 0.8 > 0.5 > bad.recommended
    assert 1 <= bad.rating < good.rating - 1 <= 4
    assert predictor.predict_reviews([]) == []
    with pytest.raises(VitrinaError, match="review 1 is empty; give a title or a text"):
        predictor.predict_reviews([clean_review("fine", None), clean_review(" ", "<p></p>")])


def test_a_review_alone_and_among_others_is_read_alike(predictor: ProductPredictor) -> None:
    told = [clean_review("perfect", None), clean_review(None, "i bought this dress in 3 colours and it is itchy. " * 3)]
    for review, together in zip(told, predictor.predict_reviews(told), strict=True):
        (alone,) = predictor.predict_reviews([review])
        assert alone.recommended == pytest.approx(together.recommended, abs=1e-5)
        assert alone.rating == pytest.approx(together.rating, abs=1e-4)


def test_augmented_rows_show_their_sources_photo(tmp_path: Path) -> None:
    catalogue = Catalogue.open(tiny_catalogue(tmp_path, products=60))
    config = tiny_config().model_copy(update={"augmentation": AugmentationConfig(min_class_rows=40)})
    split = FAMILY.split(catalogue, config)
    copies = FAMILY.augment(catalogue, split, config)
    training = set(split.loc[split["split"] == "train", "product_id"])
    assert len(copies)
    assert set(copies["source_product_id"]) <= training
    assert not set(copies["product_id"]) & set(split["product_id"])
    rows = Rows.of(copies)
    assert rows.photos == tuple(copies["source_product_id"])
    encoders = Encoders.fit(rows.listings, rows.photos, config.model)
    assert ListingDataset(rows, catalogue.images, encoders, config.model).__getitems__([(-1, 0)]).listings.has_image.all()


def test_discounted_price_is_never_read(tmp_path: Path) -> None:
    products = Catalogue.open(tiny_catalogue(tmp_path, products=20)).products()
    assert Rows.of(products.assign(discounted_price=1.0)) == Rows.of(products.assign(discounted_price=9999.0))


def test_encoders_read_back_and_do_not_depend_on_case_or_markup(predictor: ProductPredictor, tmp_path: Path) -> None:
    predictor.encoders.save(tmp_path)
    back = Encoders.load(tmp_path)
    assert back.to_dict() == predictor.encoders.to_dict()
    config = predictor.config.model
    plain = clean(Listing(title="Oakline blue shirt", description="made to last", fields={"brand": "Oakline"}))
    loud = clean(
        Listing(title=" OAKLINE  Blue\tSHIRT ", description="<p>Made&nbsp;to <b>LAST</b></p>", fields={"brand": "OAKLINE"})
    )
    assert plain == loud
    a, b = predictor.encoders.encode([plain], [None], config), back.encode([loud], [None], config)
    assert torch.equal(a.title, b.title)
    assert torch.equal(a.values, b.values)


def test_padding_is_no_token_and_texts_are_cut_to_the_budget(predictor: ProductPredictor) -> None:
    config = predictor.config.model
    rows = [clean(Listing(title="shirt " * 50, description="x")), clean(Listing(price=3.0))]
    inputs = predictor.encoders.encode(rows, [None, None], config)
    assert inputs.title.shape == (2, config.title_tokens)
    assert (inputs.title[0] > 0).all()
    assert (inputs.title[1] == 0).all()
    assert inputs.names.shape == (2, 0)
    assert inputs.price.isnan().tolist() == [True, False]
    unknown = predictor.encoders.encode([clean(Listing(attributes={"never": "seen"}))], [None], config)
    assert unknown.names.tolist() == [[len(predictor.encoders.names)]]
    assert unknown.values.tolist() == [[0]]


def test_summary_is_the_row_that_the_reference_holds(bundle_folder: Path, predictor: ProductPredictor) -> None:
    reference = pd.read_parquet(bundle_folder / "reference.parquet")
    spec = json.loads((bundle_folder / "reference.json").read_text(encoding="utf-8"))
    assert spec == REFERENCE_SPEC
    named = {*spec["numerical"], *spec["categorical"], *spec["text"], spec["embedding"], *spec["prediction"], spec["confidence"]}
    named |= set(spec["match"])
    assert set(reference) == named | {"true_article_type", "true_price", "product_id"}
    listing = replace(SHIRT, image=photo(), price=750.0)
    row = summarise(listing, predictor.predict([listing])[0])
    assert set(row) == named
    assert row["title"] == "oakline men blue shirt"
    assert (row["title_length"], row["attribute_count"], row["price"]) == (22, 1, 750.0)
    assert 0.3 < row["image_brightness"] < 0.95
    assert len(row["embedding"]) == 64
    assert json.loads(json.dumps(row)) == row
    bare = summarise(Listing(price=2.0), predictor.predict([Listing(price=2.0)])[0])
    assert (bare["title"], bare["image_brightness"], bare["brand"], bare["has_image"]) == (None, None, None, False)
    known = replace(SHIRT, categories={"master_category": "Apparel"})
    told = [summarise(way, predictor.predict([way])[0])["categories_told"] for way in (known, SHIRT)]
    assert told == [True, False]


def test_reference_holds_each_listing_with_its_categories_and_without(bundle_folder: Path) -> None:
    reference = pd.read_parquet(bundle_folder / "reference.parquet")
    assert reference["categories_told"].dtype == bool
    told, untold = (
        rows.drop(columns="categories_told").set_index("product_id")
        for _, rows in reference.groupby("categories_told", sort=False)
    )
    assert len(told) == json.loads((bundle_folder / "config.json").read_text(encoding="utf-8"))["validation_rows"]
    assert told.index.equals(untold.index)
    assert told.index.is_unique
    read = ["quality", "predicted_price"]
    for name in read:
        assert (told[name] - untold[name]).abs().max() > 1e-3
    for name in ("embedding", "article_type_confidence"):  # of other batches: equal but for rounding
        np.testing.assert_allclose(np.stack(told[name]), np.stack(untold[name]), atol=1e-5)
    others = told.columns.drop([*read, "embedding", "article_type_confidence"])
    pd.testing.assert_frame_equal(told[others], untold[others])


def test_a_listing_is_told_as_clients_may_send_it() -> None:
    assert ways(SHIRT) == [SHIRT]
    known = replace(SHIRT, categories={"article_type": "Shirts"})
    assert ways(known) == [known, SHIRT]
    assert ways(Listing(title="<br>", description="&nbsp;", categories={"article_type": "Shirts"}, price=3.0)) == []


def test_projection_keeps_angles() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 200, 1024), dtype=np.float32)
    b = a + 0.5 * b
    before = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    pa, pb = np.stack([project(x) for x in a]), np.stack([project(x) for x in b])
    after = (pa * pb).sum(1) / np.linalg.norm(pa, axis=1) / np.linalg.norm(pb, axis=1)
    assert abs(before.mean() - after.mean()) < 0.02
