"""What the n-grams of titles say, against scikit-learn on the same features."""

import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_union
from sklearn.svm import LinearSVC

from configs.errors import VitrinaError
from models.product.priors.config import PriorsConfig
from models.product.priors.linear import FOLDS
from models.product.priors.title import TitlePrior

NOUNS = ("kurta", "kurti", "shirt", "shirts", "shoe", "sandal")
CONFIG = PriorsConfig()
TYPES = len(NOUNS) + 1


def corpus(rows: int = 400, seed: int = 0) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Titles that name their type most of the time, types in 1…6, folds."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(1, TYPES, rows)
    named = np.where(rng.random(rows) < 0.9, labels, rng.integers(1, TYPES, rows)) - 1
    titles = [f"{rng.choice(['nike', 'puma'])} {rng.choice(['men', 'women'])} {NOUNS[i]} {rng.integers(50)}" for i in named]
    return titles, labels, rng.integers(0, FOLDS, rows)


def fit(titles: list[str], labels: np.ndarray, fold: np.ndarray, bits: int = 12) -> TitlePrior:
    prior = TitlePrior.fit(titles, labels, fold, TYPES, bits, CONFIG)
    assert prior is not None
    return prior


def test_margins_are_those_of_scikit_learns_machines() -> None:
    titles, labels, fold = corpus()
    prior = fit(titles, labels, fold, bits=CONFIG.title.bits)
    shared = {"sublinear_tf": True, "min_df": 2, "lowercase": False}
    words = TfidfVectorizer(ngram_range=(1, 3), token_pattern=r"[\w']+|[!?]+", **shared)
    x = make_union(words, TfidfVectorizer(ngram_range=(3, 5), analyzer="char_wb", **shared)).fit_transform(titles)
    expected = LinearSVC(C=CONFIG.title.cost, tol=1e-6, dual=True, max_iter=100_000).fit(x, labels).decision_function(x)
    told = log_softmax(prior.sharpness * expected, axis=1)
    found = prior.log_probabilities(titles)
    assert np.abs(np.exp(found[:, 1:]) - np.exp(told)).mean() < 0.01  # hashing and the solver's tolerance
    assert (found[:, 1:].argmax(1) == told.argmax(1)).mean() > 0.99


def test_probabilities_mean_what_they_say_on_titles_never_seen() -> None:
    prior = fit(*corpus(2000))
    titles, labels, _ = corpus(2000, seed=1)
    probabilities = np.exp(prior.log_probabilities(titles)[:, 1:])
    assert np.allclose(probabilities.sum(1), 1.0, atol=1e-5)
    right = probabilities.argmax(1) + 1 == labels
    assert right.mean() > 0.85
    assert probabilities.max(1).mean() == pytest.approx(right.mean(), abs=0.05)


def test_a_row_is_answered_by_machines_that_did_not_see_it() -> None:
    titles, labels, fold = corpus()
    changed = labels.copy()
    changed[7] = labels[7] % (TYPES - 1) + 1
    before, after = fit(titles, labels, fold), fit(titles, changed, fold)
    same = before.sharpness / after.sharpness
    left, right = (
        prior.log_probabilities(titles, fold)[:, 1:] / prior.sharpness for prior in (before, after)
    )  # margins, but for a constant a row
    moved = np.abs((left - left[:, :1]) - (right - right[:, :1])).max(1)
    assert moved[fold == fold[7]].max() < 1e-5
    assert moved[fold != fold[7]].max() > 0.01
    assert same == pytest.approx(1.0, abs=0.1)


def test_a_title_that_says_nothing_has_no_opinion_and_the_missing_type_is_last() -> None:
    prior = fit(*corpus())
    found = prior.log_probabilities(["", "zzz", "nike men kurta"])
    assert not found[:2].any()
    assert found[2, 0] == found[2, 1:].min()
    assert found[2, 1:].argmax() + 1 == 1 + NOUNS.index("kurta")


def test_two_types_have_one_machine_and_a_type_missing_in_a_fold_is_improbable() -> None:
    titles, labels, fold = corpus()
    two = labels <= 2
    prior = TitlePrior.fit(
        [t for t, wanted in zip(titles, two, strict=True) if wanted], labels[two], fold[two], TYPES, 12, CONFIG
    )
    assert prior is not None
    found = np.exp(prior.log_probabilities(["nike men kurta", "nike men kurti"]))
    assert found[0, 1] > 0.6 > found[0, 2]
    assert found[1, 2] > 0.6 > found[1, 1]
    assert found[:, 3:].max() < 0.2
    fold = np.where(labels == 1, 0, fold)  # machines without fold 0 know no kurta
    unseen = np.exp(fit(titles, labels, fold).log_probabilities(titles, fold))
    assert np.median(unseen[labels == 1, 1]) < 0.1


def test_one_type_is_no_choice() -> None:
    titles, labels, fold = corpus(40)
    assert TitlePrior.fit(titles, np.ones_like(labels), fold, TYPES, 12, CONFIG) is None
    assert TitlePrior.fit(titles, labels, np.zeros_like(fold), TYPES, 12, CONFIG) is None


def test_a_prior_comes_back_and_a_damaged_one_does_not() -> None:
    titles, labels, fold = corpus()
    prior = fit(titles, labels, fold)
    arrays = prior.arrays()
    back = TitlePrior.from_arrays(arrays)
    assert not back.folds
    assert np.array_equal(back.log_probabilities(titles), prior.log_probabilities(titles))
    with pytest.raises(VitrinaError, match="lacks 'sharpness'"):
        TitlePrior.from_arrays({name: array for name, array in arrays.items() if name != "sharpness"})
    with pytest.raises(VitrinaError, match="has coefficients"):
        TitlePrior.from_arrays({**arrays, "coefficients": arrays["coefficients"][:-1]})
