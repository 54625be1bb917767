from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score

from configs.errors import VitrinaError
from models.product.priors.config import LinearPriorConfig
from models.product.priors.linear import FOLDS, Block, LinearPrior, fold_of

CONFIG = LinearPriorConfig()
BITS = 18  # no two n-grams of these few share a column
BLOCKS = (Block("title", "word", 1, 2), Block("title", "char_wb", 3, 4), Block("description", "word", 1, 1), Block("colour"))
WORDS = ("shirt", "dress", "watch", "boots", "silk", "steel", "classic", "sale!", "men's", "cheap", "luxury", "new")


def corpus(rows: int = 120, seed: int = 0) -> dict[str, list[Any]]:
    rng = np.random.default_rng(seed)

    def text(words: int) -> str:
        return " ".join(rng.choice(WORDS, words))

    return {
        "title": [text(4) for _ in range(rows)],
        "description": [text(9) if rng.random() < 0.7 else "" for _ in range(rows)],
        "colour": [[str(rng.choice(["navy blue", "red"]))] if rng.random() < 0.8 else [] for _ in range(rows)],
    }


def target(segments: dict[str, list[Any]], seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    worth = {"luxury": 2.0, "silk": 1.0, "cheap": -1.5}
    both = zip(segments["title"], segments["description"], segments["colour"], strict=True)
    return np.array([sum(worth.get(w, 0.0) for w in f"{a} {b}".split()) + 0.5 * len(c) for a, b, c in both]) + rng.normal(
        0, 0.1, len(segments["title"])
    )


def fit(segments: dict[str, list[Any]], y: np.ndarray, kind: Any = "ridge") -> LinearPrior:
    return LinearPrior.fit(BLOCKS, segments, y, fold_of(range(len(y))), kind, BITS, CONFIG)


def contributions(prior: LinearPrior, segments: dict[str, list[Any]], fold: np.ndarray | None = None) -> np.ndarray:
    return prior.contributions(prior.features(segments), fold)


def take(segments: dict[str, list[Any]], rows: Sequence[int]) -> dict[str, list[Any]]:
    return {name: [values[i] for i in rows] for name, values in segments.items()}


def features(segments: dict[str, list[Any]]) -> csr_matrix:
    """The same n-grams by a vocabulary instead of hashes."""
    words = {"token_pattern": r"[\w']+|[!?]+", "lowercase": False, "sublinear_tf": True, "min_df": 2}
    found = [
        TfidfVectorizer(ngram_range=(1, 2), **words).fit_transform(segments["title"]),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 4), lowercase=False, sublinear_tf=True, min_df=2).fit_transform(
            segments["title"]
        ),
        TfidfVectorizer(**words).fit_transform(segments["description"]),
        TfidfVectorizer(analyzer=lambda tokens: tokens, sublinear_tf=True, min_df=2).fit_transform(segments["colour"]),
    ]
    return hstack(found, format="csr")


def answers(prior: LinearPrior, segments: dict[str, list[Any]]) -> np.ndarray:
    """What the prior says (n,), where a missing segment counts as nothing, not as an average one."""
    found = prior.answers(prior.features(segments))
    missing = np.array([[not value for value in segments[name]] for name in prior.segments]).T
    centred = contributions(prior, segments).sum(axis=1) + prior.weights.intercept - missing @ prior.weights.means
    assert np.allclose(found, centred, atol=1e-4)
    return found


def test_ridge_is_scikit_learns_on_the_same_tf_idf() -> None:
    segments = corpus()
    y, x = target(segments), features(segments)
    found = answers(fit(segments, y), segments)
    expected = Ridge(alpha=CONFIG.ridge_alpha, solver="cholesky").fit(x.toarray(), y).predict(x.toarray())
    assert np.abs(found - expected).max() < 0.02 * y.std()
    assert np.std(found - y) < 0.5 * y.std()


def test_logistic_regression_is_scikit_learns_on_the_same_tf_idf() -> None:
    segments = corpus()
    y, x = (target(segments) > 0.5).astype(int), features(segments)
    found = answers(fit(segments, y, "logistic"), segments)
    reference = LogisticRegression(C=CONFIG.logistic_c, solver="liblinear", tol=1e-6, max_iter=1000).fit(x, y)
    assert np.abs(found - reference.decision_function(x)).max() < 0.05
    assert np.mean((found > 0) == y) > 0.9


def test_rows_without_a_target_lend_their_words_alone() -> None:
    segments = corpus()
    y, known = target(segments), np.arange(120) % 3 != 0
    found = answers(fit(segments, np.where(known, y, np.nan)), segments)
    x = features(segments)
    reference = Ridge(alpha=CONFIG.ridge_alpha).fit(x[known], y[known])
    assert np.abs(found - reference.predict(x)).max() < 0.05


def test_priors_are_joined_by_what_they_say_of_rows_they_did_not_see() -> None:
    segments = corpus(400)
    y, fold = target(segments), fold_of(range(400))
    noisy = (y + np.random.default_rng(2).normal(0, 2.0, 400) > 0.5).astype(int)  # the other target tells more of the truth
    one, other = fit(segments, noisy, "logistic"), fit(segments, y)
    table = one.features(segments)
    again = one.refitted(table, y, fold, "ridge", CONFIG)
    assert np.array_equal(again.answers(table, fold), other.answers(table, fold))
    both = one.joined(again, CONFIG.rating_share, table, noisy, fold)
    told = np.stack([one.answers(table, fold), other.answers(table, fold), np.ones(400)], axis=1)
    said = both.answers(table, fold)
    weights, residual, *_ = np.linalg.lstsq(told, said, rcond=None)
    assert residual[0] < 1e-6
    assert weights[1] > 0
    whole = np.stack([one.answers(table), other.answers(table), np.ones(400)], axis=1)
    assert np.allclose(both.answers(table), whole @ weights, atol=1e-3)  # the same sum of what all rows taught
    unseen = corpus(400, seed=5)
    truth = target(unseen, seed=6) > 0.5
    assert roc_auc_score(truth, answers(both, unseen)) > roc_auc_score(truth, answers(one, unseen)) + 0.02
    deviations = told[:, :2].std(axis=0)
    assert weights[0] * deviations[0] == pytest.approx(2 * weights[1] * deviations[1], rel=1e-2)


def test_a_prior_is_a_sum_over_segments() -> None:
    segments = corpus()
    prior = fit(segments, target(segments))
    assert prior.segments == ("title", "description", "colour")
    whole = contributions(prior, segments)
    for place, name in enumerate(prior.segments):
        lone = {other: values if other == name else [type(v)() for v in values] for other, values in segments.items()}
        found = contributions(prior, lone)
        assert np.allclose(found[:, place], whole[:, place], atol=1e-6)
        assert not np.delete(found, place, axis=1).any()


def test_a_missing_segment_adds_nothing_and_a_usual_one_little() -> None:
    segments = corpus()
    prior = fit(segments, target(segments))
    found = contributions(prior, segments)
    for place, name in enumerate(("description", "colour"), start=1):
        there = np.array([bool(value) for value in segments[name]])
        assert 0 < there.sum() < len(there)
        assert not found[~there, place].any()
        assert found[there, place].mean() == pytest.approx(0, abs=1e-5)
    assert not contributions(prior, {"title": ["xyzzy"], "description": ["?"], "colour": [["chartreuse"]]}).any()


def test_tokens_of_an_exact_block_are_read_as_they_are() -> None:
    segments = corpus()
    prior = fit(segments, target(segments))
    whole, parts = (contributions(prior, {"title": [""], "description": [""], "colour": [c]}) for c in (["red"], ["r", "ed"]))
    assert whole[0, 2] != 0
    assert not parts.any()


def test_a_word_of_a_single_row_says_nothing() -> None:
    segments = corpus()
    y = target(segments)
    segments["description"][0] += " qqq"
    y[0] += 50
    prior = fit(segments, y)
    assert not contributions(prior, {"title": [""], "description": ["qqq"], "colour": [[]]}).any()


@pytest.mark.parametrize("kind", ["ridge", "logistic"])
def test_out_of_fold_answers_do_not_see_their_own_target(kind: str) -> None:
    segments = corpus()
    y, fold = target(segments), fold_of(range(120))
    y = y if kind == "ridge" else (y > 0.5).astype(int)
    changed = y.copy()
    changed[7] = 1 - y[7] if kind == "logistic" else y[7] + 5
    before, after = (fit(segments, labels, kind) for labels in (y, changed))
    left, right = (contributions(prior, segments, fold) for prior in (before, after))
    own = fold == fold[7]
    assert np.array_equal(left[own], right[own])
    assert not np.allclose(left[~own], right[~own])
    assert not np.allclose(contributions(before, segments), contributions(after, segments))
    intercepts = [[weights.intercept for weights in prior.folds] for prior in (before, after)]
    assert intercepts[0][fold[7]] == intercepts[1][fold[7]]


def test_a_fold_is_asked_of_the_model_that_was_fitted_without_it() -> None:
    segments = corpus()
    y, fold = target(segments), fold_of(range(120))
    prior = fit(segments, y)
    for number in range(FOLDS):
        rows = np.array([i for i in np.flatnonzero(fold == number) if segments["description"][i] and segments["colour"][i]])
        asked = prior.features(take(segments, rows)), np.full(len(rows), number)
        found = prior.contributions(*asked).sum(axis=1) + prior.folds[number].intercept
        assert np.allclose(prior.answers(*asked), found, atol=1e-4)
        x = features(segments).toarray()
        expected = Ridge(alpha=CONFIG.ridge_alpha, solver="cholesky").fit(x[fold != number], y[fold != number]).predict(x[rows])
        assert np.abs(found - expected).max() < 0.03 * y.std()


def test_out_of_fold_error_is_that_of_unseen_rows() -> None:
    """What a training row gets is as good as what a new one will get, not better."""
    rng = np.random.default_rng(5)
    segments, new = corpus(), corpus(seed=9)
    y = rng.normal(size=120)  # nothing to learn
    prior = fit(segments, y)
    seen = np.std(contributions(prior, segments).sum(1) - y)
    held_out = np.std(contributions(prior, segments, fold_of(range(120))).sum(1) - y)
    unseen = np.std(contributions(prior, new).sum(1) - rng.normal(size=120))
    assert seen < 0.75 * held_out
    assert held_out == pytest.approx(unseen, rel=0.25)


def test_folds_depend_on_the_key_alone() -> None:
    keys = list(range(1000))
    fold = fold_of(keys)
    assert np.array_equal(fold, fold_of(map(str, keys)))
    assert np.array_equal(fold[::-1], fold_of(keys[::-1]))
    assert np.bincount(fold, minlength=FOLDS).min() > 150


def test_a_prior_reads_back_without_its_folds() -> None:
    segments = corpus()
    prior = fit(segments, target(segments))
    back = LinearPrior.from_arrays(BLOCKS, prior.arrays())
    assert np.array_equal(contributions(back, segments), contributions(prior, segments))
    assert back.weights.intercept == pytest.approx(prior.weights.intercept, rel=1e-6)
    assert not back.folds


@pytest.mark.parametrize(
    ("name", "array", "said"),
    [
        ("idf.colour.exact", None, r"lacks 'idf.colour.exact'"),
        ("intercept", None, "lacks 'intercept'"),
        ("coefficients.title.word", np.zeros(8, np.float32), r"shapes \[\(8,\), \(262144,\)\]"),
        ("means", np.zeros(5, np.float32), r"means of shape \(5,\); it has 3 segments"),
    ],
)
def test_a_damaged_prior_is_refused(name: str, array: np.ndarray | None, said: str) -> None:
    segments = corpus(40)
    arrays = fit(segments, target(segments)).arrays()
    arrays = {key: value for key, value in arrays.items() if key != name} | ({name: array} if array is not None else {})
    with pytest.raises(VitrinaError, match=said):
        LinearPrior.from_arrays(BLOCKS, arrays)
