import copy
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from bundles import tiny_catalogue, tiny_config
from tiny_task import point_config

from catalog.catalogue import Catalogue
from configs.schema import AugmentationConfig
from models.product import bundle
from models.product.config import PhotoLessons, ProductRunConfig
from models.product.data import Changes, ListingDataset, Rows
from models.product.encoders import Encoders
from models.product.heads.embedding import EmbeddingHead
from models.product.heads.type_evidence import TypeEvidenceHead
from models.product.model import ProductModel
from models.product.photos import PhotoDataset, PhotoTask, minutes, teach, three_quarters, wanted
from models.product.task import ProductTask
from models.product.tasks import Lacks
from models.product.towers import PhotoTower

pytestmark = pytest.mark.trains

CHANGES = Changes(AugmentationConfig(), None, seed=5)


def settings(**lessons: float) -> ProductRunConfig:
    return tiny_config(epochs=4).model_copy(update={"photo_lessons": PhotoLessons(**lessons)})


def dataset(folder: Path, images: bool = True, changes: Changes = CHANGES) -> ListingDataset:
    catalogue = Catalogue.open(tiny_catalogue(folder, products=150, images=images))
    rows = Rows.of(catalogue.products())
    encoders = Encoders.fit(rows.listings, rows.photos, tiny_config().model)
    return ListingDataset(rows, catalogue.images, encoders, tiny_config().model, changes)


@pytest.fixture(scope="module")
def listings(tmp_path_factory: pytest.TempPathFactory) -> ListingDataset:
    return dataset(tmp_path_factory.mktemp("photos") / "catalogue")


def model(listings: ListingDataset, seed: int = 0) -> ProductModel:
    torch.manual_seed(seed)
    return bundle.build(listings.encoders, listings.config, photo_lessons=True)


def task(listings: ListingDataset) -> PhotoTask:
    whole = model(listings)
    retrieval = whole.head(EmbeddingHead).retrieval
    assert isinstance(whole.photo, PhotoTower)
    assert retrieval is not None
    return PhotoTask(whole.photo, whole.head(TypeEvidenceHead).photo_types, retrieval, smoothing=0.1)


def test_three_quarters_of_a_side_is_a_whole_number_of_patches() -> None:
    assert [three_quarters(side) for side in (16, 32, 48, 64, 80, 256)] == [16, 32, 32, 48, 64, 192]


def test_what_went_before_counts_in_the_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    hour, now = point_config(max_minutes=60), 1000.0
    monkeypatch.setattr("models.product.photos.time.monotonic", lambda: now)
    found = [minutes(hour, now - 60 * gone, share)["max_minutes"] for gone, share in ((0, 0.45), (4, 0.45), (27, 1.0), (61, 1.0))]
    assert found == pytest.approx([27, 25.2, 33, 1 / 60])
    assert minutes(point_config(), now, 0.45) == {"max_minutes": None}


def test_first_epochs_see_smaller_photos_and_validation_whole_ones(listings: ListingDataset) -> None:
    data = PhotoDataset(listings, low_res_epochs=2)
    keys = [(e, i) for e in (0, 1, 2, -1) for i in range(4)]
    sizes = [tuple(data.__getitems__(keys[k : k + 4]).image.shape) for k in range(0, 16, 4)]
    assert sizes == [(4, 3, 32, 32)] * 2 + [(4, 3, 48, 32)] * 2


def test_a_batch_holds_each_rows_photo_title_and_type(listings: ListingDataset) -> None:
    batch = PhotoDataset(listings, 0).__getitems__([(-1, 7), (-1, 3)])
    for row, index in enumerate((7, 3)):
        listing, photo = listings.rows.listings[index], listings.photo(index)
        assert photo is not None
        assert np.array_equal(batch.image[row].permute(1, 2, 0).numpy(), photo)
        tokens = listings.encoders.tokenizer.encode([listing.title], listings.config.title_tokens)[0]
        assert batch.title[row][batch.title[row] != 0].tolist() == tokens.tolist()
        assert listings.encoders.levels[-1].decode(int(batch.article_type[row])) == listing.categories[-1]


def test_photos_change_with_the_epoch_and_only_then(listings: ListingDataset) -> None:
    data = PhotoDataset(listings, 0)
    first, again, later = (data.__getitems__([(epoch, i) for i in range(8)]).image for epoch in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, later)


def test_a_row_without_photo_teaches_nothing(listings: ListingDataset) -> None:
    learner = task(listings).eval()
    batch = PhotoDataset(listings, 0).__getitems__([(-1, i) for i in range(12)])
    there = torch.arange(12) < 9
    hidden = replace(batch, has_image=there, image=batch.image * there[:, None, None, None])
    alone = PhotoDataset(listings, 0).__getitems__([(-1, i) for i in range(9)])
    for name, value in learner.validation_loss(hidden).items():
        assert value.item() == pytest.approx(learner.validation_loss(alone)[name].item(), abs=1e-5), name


@pytest.mark.slow
def test_lessons_change_the_tower_and_what_reads_it_alone(listings: ListingDataset, tmp_path: Path) -> None:
    whole = model(listings)
    before = copy.deepcopy(whole.state_dict())
    teach(whole, listings, listings, settings(epochs=3.0), tmp_path / "photos", time.monotonic())
    changed = {name for name, value in whole.state_dict().items() if not torch.equal(value, before[name])}
    taught = ("photo.", "heads.type_evidence.photo_types.", "heads.embedding.retrieval.")
    assert changed
    assert all(name.startswith(taught) for name in changed)
    assert all(any(name.startswith(part) for name in changed) for part in taught)


@pytest.mark.slow
def test_lessons_teach_the_tower_to_tell_types_and_titles(
    listings: ListingDataset,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    seed: int,
    measured: Callable[[str, float], float],
) -> None:
    caplog.set_level(logging.INFO)
    lessons = settings(epochs=3.0, low_res_share=0.25)
    teach(model(listings, seed), listings, listings, lessons, tmp_path / "photos", time.monotonic())
    reports = [r.getMessage() for r in caplog.records if r.getMessage().startswith("epoch")]
    accuracy = [float(line.rsplit("image_only_accuracy ", 1)[1].split(",")[0]) for line in reports]
    assert len(reports) == 12, "three for each of four epochs"
    assert measured("accuracy", accuracy[-1]) > 0.9, "shapes and colours are easy"  # 1.000


@pytest.mark.slow
def test_lessons_that_were_had_are_not_repeated(listings: ListingDataset, tmp_path: Path) -> None:
    once, again = model(listings), model(listings)
    for taught in (once, again):
        teach(taught, listings, listings, settings(epochs=0.5), tmp_path / "photos", time.monotonic())
    for name, value in once.photo.state_dict().items():
        assert torch.equal(value, again.photo.state_dict()[name]), name


def test_no_lessons_where_none_are_wanted_or_no_photo_is_there(listings: ListingDataset, tmp_path: Path) -> None:
    assert wanted(listings, settings(epochs=1.0), Lacks())
    assert not wanted(listings, settings(epochs=0.0), Lacks())
    assert not wanted(dataset(tmp_path / "catalogue", images=False), settings(epochs=1.0), Lacks())
    assert wanted(listings, settings(epochs=1.0), Lacks(tasks={"retrieval": "no titles"}))
    assert not wanted(listings, settings(epochs=1.0), Lacks(tasks={"retrieval": "no titles", "article_type": "no article types"}))


def test_the_taught_tower_learns_slowly_afterwards(listings: ListingDataset) -> None:
    whole = model(listings)
    assert ProductTask(whole, photo_rate=0.1).slow_parts() == {whole.photo: 0.1}


def test_a_photo_and_its_mirror_image_are_read_alike(listings: ListingDataset) -> None:
    tower = model(listings).photo.eval()
    assert isinstance(tower, PhotoTower)
    image = PhotoDataset(listings, 0).__getitems__([(-1, i) for i in range(4)]).image
    torch.testing.assert_close(tower.pooled(image), tower.pooled(image.flip(-1)), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(tower.train().pooled(image), tower.pooled(image.flip(-1)), atol=1e-3)


def test_a_frozen_tower_keeps_its_weights_and_statistics_and_its_head(listings: ListingDataset) -> None:
    whole = model(listings)
    tower = ProductTask(whole, photo_rate=0.0).train().model.photo
    assert isinstance(tower, PhotoTower)
    assert tower.training
    before = copy.deepcopy(tower.state_dict())
    image = PhotoDataset(listings, 0).__getitems__([(0, i) for i in range(8)]).image
    assert not whole.head(TypeEvidenceHead).photo_types(tower(image)[:, -1]).requires_grad
    for name, value in tower.state_dict().items():
        assert torch.equal(value, before[name]), name


@pytest.mark.parametrize("rate", [0.0, 0.1])
def test_what_matches_photos_and_titles_learns_in_the_lessons_alone(listings: ListingDataset, rate: float) -> None:
    whole = model(listings)
    retrieval = whole.head(EmbeddingHead).retrieval
    assert retrieval is not None
    assert all(parameter.requires_grad for parameter in retrieval.parameters())
    ProductTask(whole, photo_rate=rate)
    assert not any(parameter.requires_grad for parameter in retrieval.parameters())
