"""What monitoring watches: it must tell other listings, and stay calm where clients teach other tasks."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bundles import COLOURS, draw

from catalog.catalogue import Catalogue, listing_of, records_of
from catalog.corruption import darken
from catalog.images import DecodedPhoto, decode
from catalog.listing import Listing
from configs.load import environment_file, load
from models.fewshot.answers import Example, Lesson, Question
from models.fewshot.config import FewshotRunConfig
from models.fewshot.pools import chosen, photo_of
from models.fewshot.predictor import FewshotPredictor
from models.fewshot.reference import TASKS
from models.fewshot.summary import INPUTS, NONE_OF_THESE, REFERENCE_SPEC, size, summarise
from monitoring.drift import judge
from monitoring.matching import match
from monitoring.verdict import DriftVerdict, ReferenceSpec
from monitoring.window import read_reference

pytestmark = pytest.mark.slow

Shop = dict[str, list[Listing]]
Change = Callable[[Listing], Listing]


@pytest.fixture(scope="module")
def shop(product_catalogue: Catalogue, fewshot_predictor: FewshotPredictor) -> Shop:
    """Listings of the types that no learner knows, 35 of each."""
    products = chosen(product_catalogue.products(), 35, "shop")
    tested = products[products["article_type"].map(fewshot_predictor.settings.types) == "test"]
    told: Shop = {}
    for row in records_of(tested):
        told.setdefault(row["article_type"], []).append(listing_of(row, photo_of(product_catalogue, row["product_id"])))
    return {name: found for name, found in told.items() if len(found) > 20}


def asked(predictor: FewshotPredictor, shop: Shop, ways: int, shots: int, change: Change) -> list[dict[str, object]]:
    """The rows of one client, who teaches the first `ways` types and asks about all other listings of theirs."""
    classes = list(shop)[:ways]
    [task] = predictor.adapt([Lesson([Example(name, listing) for name in classes for listing in shop[name][:shots]])])
    listings = [(name, change(listing)) for name in classes for listing in shop[name][shots:]]
    questions = [Question(task, listing) for _, listing in listings]
    answers = predictor.classify(questions)
    rows = [summarise(question, answer) for question, answer in zip(questions, answers, strict=True)]
    return [row | {"true_label": name} for row, (name, _) in zip(rows, listings, strict=True)]


def verdict(folder: Path, rows: list[dict[str, object]]) -> DriftVerdict:
    reference, spec = read_reference(folder)
    matched = match(reference, pd.DataFrame(rows), spec)
    return judge(matched.reference, matched.current, spec, load(FewshotRunConfig, environment_file("demo", "fewshot")).drift)


@pytest.mark.parametrize(("ways", "shots"), [(7, 2), (5, 8)])
def test_other_classes_and_other_tasks_are_no_drift(
    fewshot_folder: Path, fewshot_predictor: FewshotPredictor, shop: Shop, ways: int, shots: int
) -> None:
    found = verdict(fewshot_folder, asked(fewshot_predictor, shop, ways, shots, lambda listing: listing))
    assert found.summary == "no drift", found.reasons


def dark(listing: Listing) -> Listing:
    rng = np.random.default_rng(len(listing.title or ""))
    return listing if listing.image is None else replace(listing, image=DecodedPhoto(darken(decode(listing.image), rng)))


def other_words(listing: Listing) -> Listing:
    text = "Ein sehr schönes Stück aus der neuen Kollektion, lieferbar in allen Größen und Farben"
    return replace(listing, title=text, description=None)


@pytest.mark.parametrize(("change", "reason"), [(dark, "image_brightness"), (other_words, "title_length")])
def test_dark_photos_and_other_words_are(
    fewshot_folder: Path, fewshot_predictor: FewshotPredictor, shop: Shop, change: Change, reason: str
) -> None:
    found = verdict(fewshot_folder, asked(fewshot_predictor, shop, 7, 2, change))
    assert found.summary == "drift"
    assert any(line.startswith(reason) for line in found.reasons), found.reasons


def test_labels_that_say_otherwise_are_drift(fewshot_folder: Path, fewshot_predictor: FewshotPredictor, shop: Shop) -> None:
    rows = asked(fewshot_predictor, shop, 7, 2, lambda listing: listing)
    names = list(shop)
    wrong = [row | {"true_label": names[place % len(names)]} for place, row in enumerate(rows)]
    found = verdict(fewshot_folder, wrong)
    assert [line for line in found.reasons if line.startswith("predicted_label is wrong in")]


def test_the_reference_asks_about_types_to_choose_by_in_tasks_of_each_size(
    fewshot_folder: Path, fewshot_predictor: FewshotPredictor
) -> None:
    reference, spec = read_reference(fewshot_folder)
    assert spec == ReferenceSpec(**REFERENCE_SPEC)
    types = fewshot_predictor.settings.types
    assert {types[name] for name in reference["true_label"]} == {"validation"}
    assert set(reference["task_size"]) == {size(ways, shots) for ways, shots in TASKS}
    assert not reference.duplicated(["product_id", "task_size"]).any()
    right = reference["true_label"] == reference["predicted_label"]
    assert right.mean() > 0.6


def test_a_row_tells_the_listing_and_the_answer(made_up_predictor: FewshotPredictor) -> None:
    [task] = made_up_predictor.adapt([Lesson([Example(label, Listing(title=row)) for label, row in (("a", "0"), ("b", "30"))])])
    photo = draw("ring", COLOURS["Red"], np.random.default_rng(0))
    listing = Listing(title="1", description="<p>two  words</p>", image=photo, attributes={"Fit": "Slim"})
    [answer] = made_up_predictor.classify([Question(task, listing)])
    row = summarise(Question(task, listing), answer)
    assert (row["title_length"], row["description_length"], row["attribute_count"], row["has_image"]) == (1, 9, 1, True)
    assert 0 < row["image_brightness"] < 1 and row["familiarity"] == answer.familiarity
    assert row["task_size"] == "up to 5 classes, up to 2 examples each"
    assert row["confidence"] == max(answer.probabilities.values())
    rejected = summarise(Question(task, Listing(title="1")), replace(answer, label=None))
    assert rejected["predicted_label"] == NONE_OF_THESE and rejected["image_brightness"] is None
    assert set(INPUTS) < set(row)


def test_sizes_are_told_apart_where_tasks_get_harder() -> None:
    assert size(5, 2.0) == "up to 5 classes, up to 2 examples each"
    assert size(6, 2.5) == "more than 5 classes, up to 9 examples each"
    assert size(50, 10) == "more than 5 classes, more than 9 examples each"
    assert len({size(ways, shots) for ways, shots in TASKS}) == len(TASKS)
