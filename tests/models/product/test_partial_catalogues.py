"""Catalogues of which parts are missing, from training to a reloaded bundle."""

import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bundles import tiny_catalogue, tiny_config
from commands import home_with, vitrina
from PIL import Image

from catalog.catalogue import Catalogue
from catalog.images import decode
from catalog.listing import Listing
from configs.errors import VitrinaError
from configs.schema import DriftConfig
from models.evaluation.gates import decide
from models.evaluation.results import Evaluation
from models.product import bundle
from models.product.bundle import BundleConfig
from models.product.cleaning import clean
from models.product.config import PhotoLessons
from models.product.family import FAMILY
from models.product.graphs import OnnxModel
from models.product.heads.embedding import EmbeddingHead
from models.product.predictor import ProductPredictor
from models.product.summary import summarise
from monitoring.drift import judge
from monitoring.matching import match
from monitoring.verdict import DriftVerdict
from monitoring.window import read_reference

pytestmark = [pytest.mark.slow, pytest.mark.trains]

TITLE = Listing(title="Nordal blue shirt 123")


@dataclass
class Version:
    """A trained version and its catalogue."""

    catalogue: Catalogue
    folder: Path
    settings: BundleConfig
    predictor: ProductPredictor

    def evaluated(self) -> Evaluation:
        return FAMILY.evaluate(self.folder, self.catalogue, tiny_config().evaluation).evaluation

    def photo(self, place: int = 0) -> Listing:
        return Listing(image=self.catalogue.images.get(1000 + place))


def trained(folder: Path, columns: list[str], photos: bool, products: int = 140) -> Version:
    """A version of `columns` alone, of two passes over few products; its photo tower has lessons of its own."""
    root = tiny_catalogue(folder / "catalogue", products=products, images=photos, reviews=0)
    rows = pd.read_parquet(root / "products.parquet")
    rows[["product_id", *columns]].to_parquet(root / "products.parquet", index=False)
    catalogue = Catalogue.open(root)
    config = tiny_config(epochs=2).model_copy(update={"photo_lessons": PhotoLessons(epochs=2.0)})
    split = FAMILY.split(catalogue, config)
    made = FAMILY.train(catalogue, split, FAMILY.augment(catalogue, split, config), config, folder / "work")
    return Version(catalogue, made, bundle.load_config(made), ProductPredictor.load(made))


@pytest.fixture(scope="module")
def of_photos(tmp_path_factory: pytest.TempPathFactory) -> Version:
    """Enough products for a reference that monitoring can compare with."""
    return trained(tmp_path_factory.mktemp("photos"), ["article_type"], photos=True, products=400)


@pytest.fixture(scope="module")
def of_titles(tmp_path_factory: pytest.TempPathFactory) -> Version:
    return trained(tmp_path_factory.mktemp("titles"), ["title", "article_type"], photos=False)


def test_photos_and_classes_alone_are_learnt_measured_and_named(of_photos: Version) -> None:
    evaluation = of_photos.evaluated()
    reasons = evaluation.not_applicable
    assert of_photos.settings.photo_updates is not None
    assert {reasons[f"{level}_accuracy"] for level in ("master_category", "sub_category")} == {
        "no master categories",
        "no sub-categories",
    }
    assert {"price_rmsle", "sentiment_auc", "title_to_image_recall_at_10", "invariance_case_whitespace"} <= set(reasons)
    assert not set(reasons) & set(evaluation.metrics)
    values = {name: metric.value for name, metric in evaluation.metrics.items()}
    assert None not in values.values()
    assert {"article_type_accuracy", "knn_f1", "linear_photo_accuracy", "fault_auc_lowest"} <= set(values)
    slices = {part.metric for part in evaluation.slices}
    assert slices == {"article_type_accuracy"}
    card = (of_photos.folder / "card.md").read_text(encoding="utf-8")
    assert "It has no task price: no prices." in card
    assert "It does not read title: no titles." in card


def test_what_was_never_seen_in_training_is_not_read(of_photos: Version) -> None:
    photo = of_photos.photo()
    (plain,) = of_photos.predictor.predict([photo])
    told = Listing(
        title="Velora red dress", description="made to last", price=90.0, image=photo.image, fields={"brand": "Velora"}
    )
    (same,) = of_photos.predictor.predict([told])
    assert plain.modalities == same.modalities == ("image",)
    assert plain.price is None
    assert plain.categories["master_category"] == []
    assert plain.categories == same.categories
    assert np.array_equal(plain.embedding, same.embedding)
    with pytest.raises(VitrinaError, match="listing 1 says nothing that this version reads: image; its training rows had"):
        of_photos.predictor.predict([photo, TITLE])


def test_monitoring_of_a_version_of_photos_sees_dark_photos(of_photos: Version) -> None:
    reference, spec = read_reference(of_photos.folder)
    assert set(spec.kinds()) == {
        "image_brightness",
        "image_contrast",
        "article_type_confidence",
        "quality",
        "has_image",
        "predicted_article_type",
        "embedding",
    }

    def verdict(factor: float) -> DriftVerdict:
        listings = [Listing(image=darker(of_photos.catalogue.images.get(1000 + i), factor)) for i in range(200)]
        answers = of_photos.predictor.predict(listings)
        window = pd.DataFrame([summarise(a, b) for a, b in zip(listings, answers, strict=True)])
        matched = match(reference, window, spec)
        assert matched.notes == ()
        return judge(matched.reference, matched.current, spec, DriftConfig(min_rows=50))

    assert verdict(1.0).summary == "no drift"
    dark = verdict(0.4)
    assert dark.summary == "drift"
    assert "image_brightness" in {column.column for column in dark.columns if column.drifted}


def darker(photo: bytes | None, factor: float) -> bytes:
    assert photo is not None
    out = io.BytesIO()
    Image.open(io.BytesIO(photo)).point(lambda level: int(level * factor)).save(out, "JPEG", quality=90)
    return out.getvalue()


def test_a_version_is_not_measured_on_what_it_does_not_read(of_titles: Version) -> None:
    config = tiny_config().evaluation
    said = "this version does not read image: its training rows had .*no photos.*; allowed: title, categories"
    with pytest.raises(VitrinaError, match=said):
        FAMILY.evaluate(of_titles.folder, of_titles.catalogue, config, modalities=("image",))
    assert FAMILY.evaluate(of_titles.folder, of_titles.catalogue, config, modalities=("image", "title")).evaluation.n


def test_titles_and_classes_alone_are_learnt_and_measured(of_titles: Version) -> None:
    evaluation = of_titles.evaluated()
    assert of_titles.settings.photo_updates is None
    accuracy = evaluation.metrics["article_type_accuracy"].value
    assert accuracy is not None
    assert accuracy > 0.9  # a word of the title is the type
    assert evaluation.metrics["invariance_case_whitespace"].value == 1.0
    assert evaluation.not_applicable["title_to_image_recall_at_10"] == "no photos"
    (found,) = of_titles.predictor.predict([TITLE])
    assert found.categories["article_type"][0][0] == "Shirts"
    assert found.price is None


def test_a_photo_that_is_not_read_need_not_be_one(of_titles: Version) -> None:
    (plain,) = of_titles.predictor.predict([TITLE])
    (same,) = of_titles.predictor.predict([Listing(title=TITLE.title, image=b"no photo")])
    assert plain.categories == same.categories


def test_the_command_exports_a_version_of_photos_as_graphs_that_answer_as_it_does(of_photos: Version, tmp_path: Path) -> None:
    home, out = home_with("product", tmp_path / "home", of_photos.folder), tmp_path / "graphs"
    done = vitrina(home, "export", "product@1", "--out", str(out), "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["model"], told["version"], told["quantised"]) == ("product", "1", False)
    assert told["files"] == [str(out / name) for name in ("listings.onnx", "photos.onnx", "reviews.onnx")]
    assert told["largest_difference"] == max(told["differences"].values()) < 1e-3
    assert {"embedding", "fault_logits", "recommended"} <= set(told["differences"])
    predictor, photo = of_photos.predictor, of_photos.photo()
    assert photo.image is not None
    inputs = predictor.encoders.encode([clean(photo)], [decode(photo.image)], predictor.config.model)
    expected = predictor.answer(inputs).of(EmbeddingHead).vectors.flatten().tolist()
    assert OnnxModel(out)(inputs)["embedding"].flatten().tolist() == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("kind", ["photos", "titles"])
def test_a_partial_version_embeds_its_catalogue_and_has_a_report(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    version: Version = request.getfixturevalue(f"of_{kind}")
    summary = FAMILY.embed(version.folder, version.catalogue, tmp_path / "embedded", "cpu")
    assert summary.says_nothing == 0
    report = tmp_path / "report.html"
    run = FAMILY.evaluate(version.folder, version.catalogue, tiny_config().evaluation)
    decision = decide(run.evaluation, tiny_config().gates, run.evaluation)
    FAMILY.report(run, run, version.catalogue, decision, report)
    assert "no prices" in report.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("columns", "photos", "absent"),
    [
        (["description", "article_type"], False, {"price", "retrieval"}),
        (["title", "master_category", "price"], False, {"article_type", "sub_category", "retrieval"}),
        (["title", "price"], True, {"article_type", "sub_category", "master_category"}),
        (["master_category"], True, {"article_type", "sub_category", "price", "retrieval", "text"}),
    ],
    ids=["descriptions", "one coarse level", "no categories", "photos and one coarse level"],
)
def test_other_parts_alone_are_learnt(tmp_path: Path, columns: list[str], photos: bool, absent: set[str]) -> None:
    version = trained(tmp_path, columns, photos)
    assert absent <= set(version.settings.lacks.tasks)
    evaluation = version.evaluated()
    assert all(metric.value is not None for metric in evaluation.metrics.values()), evaluation.metrics
    listing = version.photo() if photos else Listing(title=TITLE.title, description="A blue shirt, made to last")
    (found,) = version.predictor.predict([listing])
    assert (found.price is None) == ("price" not in columns)
    for level, best in found.categories.items():
        assert bool(best) == (level in columns)
    assert np.linalg.norm(found.embedding) == pytest.approx(1.0, abs=1e-5)
