from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from bundles import tiny_catalogue, tiny_config
from torch import Tensor

from catalog.catalogue import Catalogue
from catalog.corruption import KINDS
from catalog.listing import Listing
from configs.schema import AugmentationConfig, CorruptionConfig, TrainerConfig
from models.product.cleaning import clean, clean_review
from models.product.data import Changes, ListingDataset, ReviewRows, Rows
from models.product.encoders import Encoders
from models.product.inputs import Batch
from models.product.parts import PRIOR_SEGMENTS
from models.product.priors.linear import FOLDS, LinearPrior, fold_of
from models.product.priors.neighbours import NAMES
from models.training.batches import training_loader, validation_loader

CONFIG = tiny_config().model
EVERYTHING = CorruptionConfig(share=1.0)
QUIET = AugmentationConfig(word_dropout=0, word_swap=0, typo=0, attribute_dropout=0, flip=0, crop=0, colour_jitter=0, erase=0)


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    return Catalogue.open(tiny_catalogue(tmp_path_factory.mktemp("data"), products=150, reviews=90))


@pytest.fixture(scope="module")
def rows(catalogue: Catalogue) -> Rows:
    return Rows.of(catalogue.products())


@pytest.fixture(scope="module")
def told(catalogue: Catalogue) -> ReviewRows:
    return ReviewRows.of(catalogue.reviews())


@pytest.fixture(scope="module")
def encoders(rows: Rows, told: ReviewRows) -> Encoders:
    return Encoders.fit(rows.listings, rows.photos, CONFIG, told.reviews, told.keys)


@pytest.fixture(scope="module")
def plain(rows: Rows, catalogue: Catalogue, encoders: Encoders, told: ReviewRows) -> ListingDataset:
    """Validation: nothing is changed, every review once."""
    return ListingDataset(rows, catalogue.images, encoders, CONFIG, reviews=told, reviews_per_listing=float("inf"))


def training(plain: ListingDataset, **values: Any) -> ListingDataset:
    """The same rows as training reads them."""
    settings = {"changes": Changes(QUIET, EVERYTHING, seed=3), "reviews_per_listing": 0.25, "fitted": True} | values
    return ListingDataset(plain.rows, plain.images, plain.encoders, CONFIG, reviews=plain.reviews, **settings)


def words(tokens: Tensor) -> list[tuple[int, ...]]:
    """The tokens of each row without padding."""
    return [tuple(row[row != 0].tolist()) for row in tokens]


def texts(batches: Iterable[Batch]) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Title and text of every review."""
    return [pair for b in batches for pair in zip(words(b.reviews.title), words(b.reviews.text), strict=True)]


def epoch(dataset: ListingDataset, number: int, size: int = 16) -> list[Batch]:
    return [
        dataset.__getitems__([(number, i) for i in range(start, min(start + size, len(dataset)))])
        for start in range(0, len(dataset), size)
    ]


def test_validation_sees_every_listing_and_every_review_once(plain: ListingDataset, told: ReviewRows) -> None:
    batches = list(validation_loader(plain, TrainerConfig(batch_size=32, workers=0)))
    assert sum(map(len, batches)) == 150
    expected = plain.encoders.encode_reviews(told.reviews, CONFIG)
    assert sorted(texts(batches)) == sorted(zip(words(expected.title), words(expected.text), strict=True))
    assert len(set(texts(batches))) > 60
    known = torch.cat([b.reviews.recommended for b in batches])
    assert torch.equal(known.isnan().sum(), expected.recommended.isnan().sum())
    assert max(len(b.reviews) for b in batches) <= 22  # spread evenly
    assert not any(b.faults.any() for b in batches)


@pytest.mark.parametrize("share", [0.1, 0.4])
def test_a_training_epoch_has_its_share_of_reviews(plain: ListingDataset, share: float) -> None:
    dataset = training(plain, reviews_per_listing=share)
    for number in (0, 1):
        found = [dataset._reviews_at(number, i) for i in range(len(dataset))]
        places = [place for part in found for place in part]
        assert len(set(places)) == len(places) == int(share * 150)
        assert max(map(len, found)) <= 1
    assert sum(len(b.reviews) for b in epoch(dataset, 0)) == int(share * 150)


def test_epochs_take_other_reviews_until_all_were_seen(plain: ListingDataset) -> None:
    dataset = training(plain, reviews_per_listing=0.25)
    seen = [frozenset(place for i in range(150) for place in dataset._reviews_at(number, i)) for number in range(12)]
    assert len(set(seen)) == 12
    assert frozenset.union(*seen) == frozenset(range(90))


def test_more_reviews_wanted_than_there_are_give_each_once(plain: ListingDataset) -> None:
    dataset = training(plain, reviews_per_listing=7.0)
    places = [place for i in range(150) for place in dataset._reviews_at(4, i)]
    assert sorted(places) == list(range(90))
    assert places != sorted(places)


def test_a_batch_does_not_depend_on_how_rows_are_grouped(plain: ListingDataset) -> None:
    dataset = training(plain)
    together = dataset.__getitems__([(2, i) for i in range(24)])
    apart = [dataset.__getitems__([(2, i)]) for i in range(24)]
    assert torch.equal(together.faults, torch.cat([b.faults for b in apart]))
    assert torch.equal(together.listings.image, torch.cat([b.listings.image for b in apart]))
    for name in ("price", "categories", "price_prior", "neighbours", "title_prior", "facts", "has_image"):
        left, right = getattr(together.listings, name), torch.cat([getattr(b.listings, name) for b in apart])
        assert torch.allclose(left, right, atol=1e-5, equal_nan=True), name
    for name in ("title", "description", "names"):
        assert words(getattr(together.listings, name)) == [w for b in apart for w in words(getattr(b.listings, name))], name
    assert texts([together]) == texts(apart)
    assert torch.allclose(together.reviews.prior, torch.cat([b.reviews.prior for b in apart]))


def test_epoch_and_index_alone_decide_what_is_changed(plain: ListingDataset, catalogue: Catalogue) -> None:
    changes = Changes(AugmentationConfig(), CorruptionConfig(share=0.5), seed=3)
    first, second = training(plain, changes=changes), training(plain, changes=changes)
    a, b = first.__getitems__([(5, i) for i in range(40)]), second.__getitems__([(5, i) for i in range(40)])
    other = first.__getitems__([(6, i) for i in range(40)])
    seeded = training(plain, changes=replace(changes, seed=4)).__getitems__([(5, i) for i in range(40)])
    for name in vars(a.listings):
        assert torch.equal(getattr(a.listings, name).nan_to_num(), getattr(b.listings, name).nan_to_num()), name
    assert torch.equal(a.faults, b.faults)
    assert texts([a]) == texts([b])
    for changed in (other, seeded):
        assert not torch.equal(a.faults, changed.faults)
        assert not torch.equal(a.listings.image, changed.listings.image)
        assert texts([a]) != texts([changed])


def test_faults_are_of_trained_kinds_one_a_listing_and_about_as_many_as_wanted(plain: ListingDataset) -> None:
    corruption = CorruptionConfig(share=0.3, held_out=("blurred_image", "wrong_price"))
    dataset = training(plain, changes=Changes(QUIET, corruption, seed=1))
    faults = torch.cat([b.faults for number in range(3) for b in epoch(dataset, number)])
    assert faults.shape == (450, len(KINDS))
    assert faults.sum(1).max() == 1
    # Tiny listings have too few attributes to lose any, and donors are at times of the same type.
    assert 0.3 * 0.6 < faults.any(1).float().mean() < 0.3 * 1.15
    seen = {kind for kind, column in zip(KINDS, faults.T, strict=True) if column.any()}
    assert seen == set(corruption.trained)


def test_validation_has_faults_too_the_same_in_every_pass(plain: ListingDataset) -> None:
    dataset = training(plain, changes=Changes(None, EVERYTHING, seed=1), fitted=False)
    first, second = (torch.cat([b.faults for b in epoch(dataset, -1)]) for _ in range(2))
    assert first.any(1).float().mean() > 0.6
    assert torch.equal(first, second)


def test_a_fault_is_in_the_part_that_it_names(plain: ListingDataset) -> None:
    whole = plain.inputs(range(150))
    dataset = training(plain, fitted=False)
    found = dataset.__getitems__([(0, i) for i in range(150)])
    parts = {
        "mismatched_image": "image",
        "blurred_image": "image",
        "dark_image": "image",
        "truncated_description": "description",
        "wrong_category": "categories",
        "wrong_price": "price",
        "missing_attributes": "names",
    }
    width = whole.names.shape[1] - found.listings.names.shape[1]
    names = torch.nn.functional.pad(found.listings.names, (0, width))
    listings = replace(found.listings, names=names)
    changed = {
        part: (getattr(listings, part).float() != getattr(whole, part).float()).reshape(150, -1).any(1)
        for part in set(parts.values())
    }
    for kind, part in parts.items():
        rows = found.faults[:, KINDS.index(kind)]
        assert rows.any(), kind
        for other, differs in changed.items():
            assert differs[rows].all() if other == part else not differs[rows].any(), (kind, other)
    good = ~found.faults.any(1)
    assert not any(differs[good].any() for differs in changed.values())


def test_a_fitted_dataset_asks_the_prior_that_did_not_see_the_row(plain: ListingDataset, rows: Rows) -> None:
    dataset = training(plain, changes=Changes(QUIET, None))
    found = dataset.__getitems__([(0, i) for i in range(30)])
    unfitted = training(plain, changes=Changes(QUIET, None), fitted=False).__getitems__([(0, i) for i in range(30)])
    out_of_fold, known = (plain.encoders.priors.expect(rows.listings[:30], keys) for keys in (rows.photos[:30], None))
    for name, left, right in (
        ("price_prior", out_of_fold.prior, known.prior),
        ("neighbours", out_of_fold.neighbours, known.neighbours),
        ("title_prior", out_of_fold.types, known.types),
    ):
        assert np.allclose(getattr(found.listings, name), left, atol=1e-6), name
        assert np.allclose(getattr(unfitted.listings, name), right, atol=1e-6), name
        assert not np.allclose(left, right), name
    # Only a row that may be its own neighbour is quite like one.
    first = NAMES.index("similarity of the first")
    assert (known.neighbours[:, first] > 0.998).all()
    assert (out_of_fold.neighbours[:, first] < known.neighbours[:, first] + 1e-6).all()


def test_a_fold_is_that_of_the_key(plain: ListingDataset, rows: Rows) -> None:
    prior = plain.encoders.priors.price
    assert prior is not None
    found = plain.encoders.priors.expect(rows.listings, rows.photos).prior
    for number in range(FOLDS):
        own = np.flatnonzero(fold_of(rows.photos) == number)
        part = plain.encoders.priors.expect([rows.listings[i] for i in own], [str(rows.photos[i]) for i in own]).prior
        assert np.allclose(found[own], part, atol=1e-6)


def test_a_fitted_dataset_asks_the_review_prior_that_did_not_see_the_review(plain: ListingDataset, told: ReviewRows) -> None:
    for fitted in (True, False):
        dataset = training(plain, changes=Changes(), fitted=fitted, reviews_per_listing=1.0)
        found = torch.cat([b.reviews.prior for b in epoch(dataset, -1)]).numpy()
        expected = plain.encoders.priors.review_logits(told.reviews, told.folds if fitted else None)
        assert np.allclose(found, expected, atol=1e-6)
        assert np.std(found) > 0.1


def test_a_faulty_listings_prior_reads_its_own_words(plain: ListingDataset, rows: Rows) -> None:
    corruption = CorruptionConfig(share=1.0, held_out=tuple(kind for kind in KINDS if kind != "wrong_category"))
    dataset = training(plain, changes=Changes(QUIET, corruption, seed=2))
    found = dataset.__getitems__([(0, i) for i in range(60)])
    faulty = torch.nonzero(found.faults.any(1)).flatten().tolist()
    assert len(faulty) > 30
    named = [
        replace(
            rows.listings[i],
            categories=tuple(
                v.decode(int(code)) for v, code in zip(plain.encoders.levels, found.listings.categories[i], strict=True)
            ),
        )
        for i in faulty
    ]
    keys = [rows.photos[i] for i in faulty]
    expected = plain.encoders.priors.expect(named, keys)
    assert np.allclose(found.listings.price_prior[faulty], expected.prior, atol=1e-6)
    assert np.allclose(found.listings.neighbours[faulty], expected.neighbours, atol=1e-5)
    category, title = PRIOR_SEGMENTS.index("article_type"), PRIOR_SEGMENTS.index("title")
    before = plain.encoders.priors.expect([rows.listings[i] for i in faulty], keys).prior
    assert np.allclose(found.listings.price_prior[faulty, title], before[:, title])
    assert (np.abs(found.listings.price_prior[faulty, category].numpy() - before[:, category]) > 1e-4).all()


def test_copies_share_the_fold_and_the_photo_of_their_source(catalogue: Catalogue, encoders: Encoders) -> None:
    products = catalogue.products().head(20)
    copies = products.assign(source_product_id=products["product_id"], product_id=products["product_id"] + 90_000)
    both = Rows.of(products) + Rows.of(copies)
    assert both.photos[20:] == both.photos[:20] == tuple(products["product_id"])
    known = encoders.priors.expect(both.listings, both.photos)
    assert np.allclose(known.prior[:20], known.prior[20:], atol=1e-6)
    assert np.allclose(known.types[:20], known.types[20:], atol=1e-6)
    assert np.allclose(known.neighbours[:20], known.neighbours[20:], atol=1e-6)  # nor is a source its copy's neighbour


def test_a_price_does_not_reach_what_its_own_row_expects(rows: Rows) -> None:
    dear = replace(rows.listings[4], price=1e6)
    changed = (*rows.listings[:4], dear, *rows.listings[5:])
    before, after = (Encoders.fit(x, rows.photos, CONFIG) for x in (rows.listings, changed))
    # The scale of prices is fitted on all rows; it is no answer to one of them.
    scales = [encoders.price.transform(np.array([1.0, 100.0])) for encoders in (before, after) if encoders.price]
    factor = np.diff(scales[1])[0] / np.diff(scales[0])[0]
    left, right = (encoders.priors.expect(rows.listings, rows.photos) for encoders in (before, after))
    fold = fold_of(rows.photos)
    own = fold == fold[4]
    # The solver stops at a tolerance: 2 % of a standard deviation.
    assert np.abs(left.prior[own] * factor - right.prior[own]).max() < 0.02
    assert np.abs(left.prior[~own] * factor - right.prior[~own]).max() > 0.05
    shift = scales[1][0] - factor * scales[0][0]
    means = [NAMES.index(name) for name in NAMES if name.startswith("mean")]
    near, moved = (x.neighbours[:, means] for x in (left, right))
    assert np.allclose(near[4] * factor + shift, moved[4], atol=1e-3)
    assert np.abs(near * factor + shift - moved).max() > 0.05


def test_reviews_without_words_are_passed_over_and_what_is_unknown_is_nan(encoders: Encoders) -> None:
    frame = pd.DataFrame(
        {
            "review_id": [1, 2, 3],
            "title": [None, "<b> </b>", "Nice"],
            "review": ["It <i>fits</i>", None, None],
            "rating": pd.array([5, 1, None], dtype="Int64"),
            "recommended": pd.array([None, 0, 1], dtype="Int64"),
        }
    )
    told = ReviewRows.of(frame)
    assert told.keys == (1, 3)
    assert told.reviews == (clean_review(None, "it fits", None, 5), clean_review("nice", None, True, None))
    batch = encoders.encode_reviews(told.reviews, CONFIG)
    assert batch.recommended.isnan().tolist() == [True, False]
    assert batch.rating.isnan().tolist() == [False, True]
    assert batch.recommended[1] == 1
    assert batch.rating[0] == 5


def test_without_reviews_batches_have_none(plain: ListingDataset, rows: Rows, catalogue: Catalogue) -> None:
    encoders = Encoders.fit(rows.listings, rows.photos, CONFIG)
    assert encoders.priors.review is None
    for fitted in (False, True):
        dataset = ListingDataset(rows, catalogue.images, encoders, CONFIG, Changes(QUIET), fitted=fitted)
        found = dataset.__getitems__([(0, 1), (0, 2)])
        assert len(found.reviews) == 0
        assert len(found) == 2


@pytest.mark.parametrize("answers", [[True] * 30, [None] * 30, [True] * 29 + [False]])
def test_reviews_that_all_say_the_same_give_no_prior(rows: Rows, answers: list[bool | None]) -> None:
    said = [clean_review("so", f"it is {i}", answer, 4) for i, answer in enumerate(answers)]
    encoders = Encoders.fit(rows.listings, rows.photos, CONFIG, said, range(len(said)))
    assert encoders.priors.review is None
    assert not encoders.priors.review_logits(said).any()


def test_ratings_tell_a_fault_from_a_disaster(rows: Rows) -> None:
    """Neither "snug" nor "ruined" recommends, but the second is rated worse: next to a good word it weighs more."""
    rng = np.random.default_rng(0)
    kinds = [("lovely", True, 5.0), ("snug", False, 3.0), ("ruined", False, 1.0)]
    chosen = [kinds[i] for i in rng.integers(3, size=200)]
    rated = [clean_review(None, f"{word} {rng.integers(30)}", good, stars) for word, good, stars in chosen]
    unrated = [replace(review, rating=None) for review in rated]
    snug, ruined = clean_review(None, "lovely but snug"), clean_review(None, "lovely but ruined")
    gaps = []
    for said in (rated, unrated):
        fitted = Encoders.fit(rows.listings, rows.photos, CONFIG, said, list(range(200)))
        one, other = fitted.priors.review_logits([snug, ruined])
        gaps.append(float(one - other))
    assert gaps[0] > gaps[1] + 0.2


def test_review_priors_tell_what_words_say(encoders: Encoders) -> None:
    assert encoders.priors.review is not None
    assert len(encoders.priors.review.folds) == FOLDS
    good, bad = encoders.priors.review_logits([clean_review("lovely", "i love it!"), clean_review("awful", "sent it back!")])
    assert good > 0.5 > -0.5 > bad


def test_encoding_a_listing_does_not_depend_on_its_neighbours(encoders: Encoders) -> None:
    short = clean(Listing(title="shirt", description="a blue shirt"))
    long = clean(Listing(title="blue shirt " * 9, description="made to last by nordal and friends " * 30))
    alone, together = (encoders.encode(x, [None] * len(x), CONFIG) for x in ([short], [short, long]))
    assert torch.equal(alone.description[0], together.description[0])
    assert words(alone.title)[0] == words(together.title)[0]
    assert torch.equal(alone.price_prior[0], together.price_prior[0])


def test_a_long_text_is_read_from_both_ends(encoders: Encoders) -> None:
    beginning, ending = CONFIG.description_tokens - CONFIG.ending_tokens, CONFIG.ending_tokens
    text = "red " * 40 + "blue " * 40
    red, blue = (encoders.tokenizer.encode([word], 9)[0] for word in ("red", "blue"))
    found = encoders.encode([clean(Listing(description=text))], [None], CONFIG).description[0]
    assert len(found) == CONFIG.description_tokens
    assert set(found[:beginning].tolist()) == set(red.tolist())
    assert set(found[-ending:].tolist()) == set(blue.tolist())
    brief = encoders.encode([clean(Listing(description="red"))], [None], CONFIG).description[0]
    assert brief.tolist() == [*red, *[0] * (CONFIG.description_tokens - 2 * len(red)), *red]
    none = encoders.encode([clean(Listing(title="red"))], [None], CONFIG).description
    assert none.shape == (1, 0)


def test_facts_are_sizes_of_what_is_there(encoders: Encoders) -> None:
    listing = clean(Listing(title="red", attributes={"a": "b", "c": "d"}))
    found = encoders.encode([listing], [None], CONFIG).facts
    assert torch.allclose(found, torch.tensor([[3.0, 0.0, 2.0]]).log1p())


def test_training_rewords_listings_and_reviews_and_validation_does_not(plain: ListingDataset) -> None:
    noisy = training(plain, changes=Changes(AugmentationConfig(word_dropout=0.5), None), reviews_per_listing=1.0)
    trained, seen = noisy.__getitems__([(0, i) for i in range(150)]), noisy.__getitems__([(-1, i) for i in range(150)])
    whole = plain.__getitems__([(-1, i) for i in range(150)])
    assert texts([seen]) == texts([whole])
    assert set(texts([trained])) != set(texts([whole]))
    assert words(seen.listings.title) == words(whole.listings.title)
    shorter = [len(a) < len(b) for a, b in zip(words(trained.listings.title), words(whole.listings.title), strict=True)]
    assert np.mean(shorter) > 0.5


def test_a_broken_photo_is_left_out_with_one_warning(
    rows: Rows, encoders: Encoders, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tiny_catalogue(tmp_path, products=4, reviews=0)
    images = pd.read_parquet(root / "images.parquet")
    images.loc[1, "jpeg"] = b"no photo"
    images.to_parquet(root / "images.parquet", index=False)
    broken = Catalogue.open(root)
    dataset = ListingDataset(Rows.of(broken.products()), broken.images, encoders, CONFIG)
    for _ in range(2):
        assert dataset.__getitems__([(-1, i) for i in range(4)]).listings.has_image.tolist() == [True, False, True, True]
    assert [record.getMessage().split(":")[0] for record in caplog.records] == ["product 1001 is read without its photo"]


def test_loaders_give_the_same_batches_again(plain: ListingDataset) -> None:
    config = TrainerConfig(batch_size=32, workers=0)
    first, second = (list(training_loader(training(plain), config)) for _ in range(2))
    assert [len(b) for b in first] == [32, 32, 32, 32, 22]
    for a, b in zip(first, second, strict=True):
        assert torch.equal(a.listings.image, b.listings.image)
        assert torch.equal(a.faults, b.faults)
        assert texts([a]) == texts([b])


def test_batches_move_with_all_that_they_hold(plain: ListingDataset) -> None:
    moved = plain.__getitems__([(-1, i) for i in range(3)]).to("meta")
    assert moved.faults.is_meta
    for part in (moved.listings, moved.reviews):
        assert all(getattr(part, name).is_meta for name in vars(part))


def test_priors_of_a_catalogue_without_prices_are_zero(rows: Rows) -> None:
    free = [replace(row, price=None) for row in rows.listings]
    encoders = Encoders.fit(free, rows.photos, CONFIG)
    assert encoders.price is None
    assert encoders.priors.price is None
    found = encoders.encode(free[:3], [None] * 3, CONFIG)
    assert found.price.isnan().all()
    assert not found.price_prior.any()
    assert not found.neighbours.any()


def test_priors_travel_without_their_folds(encoders: Encoders, rows: Rows, told: ReviewRows, tmp_path: Path) -> None:
    encoders.save(tmp_path)
    back = Encoders.load(tmp_path)
    for prior in (back.priors.price, back.priors.review):
        assert isinstance(prior, LinearPrior)
        assert not prior.folds
    assert np.array_equal(back.priors.expect(rows.listings).prior, encoders.priors.expect(rows.listings).prior)
    assert np.allclose(back.priors.expect(rows.listings).neighbours, encoders.priors.expect(rows.listings).neighbours, atol=1e-6)
    assert np.array_equal(back.priors.log_types(rows.listings), encoders.priors.log_types(rows.listings))
    assert np.allclose(back.priors.review_logits(told.reviews), encoders.priors.review_logits(told.reviews), atol=1e-6)
