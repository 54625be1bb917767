"""What every learner promises, held for all that exist."""

from functools import cache
from pathlib import Path
from typing import Any

import fewshot_cases as cases
import numpy as np
import pytest
from scipy.special import softmax

from models.fewshot import learner as contract
from models.fewshot.calibration import fit_temperature, scored
from models.fewshot.episodes import EpisodesConfig, Pool, episodes
from models.fewshot.learner import Learner, Pools, Settings, Support
from models.fewshot.meta import MetaConfig

pytestmark = pytest.mark.trains

EPISODES = EpisodesConfig(choosing=10, measuring=10, queries=5, strangers=3)
NAMES = contract.names()


def config_of(name: str) -> Any:
    kind = contract.get(name).config
    small = {"filters": 8, "groups": 2} if "filters" in kind.model_fields else {}
    if issubclass(kind, MetaConfig):
        small |= {"iterations": 6, "tasks": 2, "validate_every": 3, "validation_episodes": 4}
    if "answer_steps" in kind.model_fields:
        small |= {"answer_steps": 2}
    return kind(**small)


@cache
def pools(reads: str) -> Pools:
    return cases.pools(photos=reads == "photos")


@cache
def fitted(name: str, folder: Path) -> Learner[Any]:
    kind = contract.get(name)
    return kind.fit(pools(kind.reads), Settings(config_of(name), EPISODES, 17, folder))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("learners")


@pytest.fixture(params=NAMES)
def made(request: pytest.FixtureRequest, folder: Path) -> Learner[Any]:
    return fitted(request.param, folder / request.param)


def asked(learner: Learner[Any], pool: Pool | None = None) -> Any:
    """What a learner sees of products of types that it was not trained on."""
    pool = pool or cases.pool(seed=5, photos=learner.reads == "photos")
    return (pool.with_photo.photos, pool.with_photo.codes) if learner.reads == "photos" else (pool.features, pool.codes)


def uneven(learner: Learner[Any]) -> tuple[Support, Any]:
    """1, 2, 3 and 5 examples of four classes, and what is asked."""
    rows, codes = asked(learner)
    taught = np.concatenate([np.flatnonzero(codes == code)[:count] for code, count in enumerate((1, 2, 3, 5))])
    return Support(rows[taught], codes[taught], 4), rows[(codes < 4) & ~np.isin(np.arange(len(codes)), taught)]


@pytest.mark.slow
def test_a_classifier_is_restored_exactly(made: Learner[Any]) -> None:
    support, questions = uneven(made)
    adapted = made.adapt(support)
    again = made.adapted({name: value.copy() for name, value in adapted.state().items()})
    np.testing.assert_array_equal(again.logits(questions), adapted.logits(questions))
    assert adapted.logits(questions).dtype == np.float32


@pytest.mark.slow
def test_a_learner_is_restored_exactly(made: Learner[Any]) -> None:
    name = type(made).__module__.rpartition(".")[2]
    again = type(made).restore({key: value.copy() for key, value in made.state().items()}, config_of(name))
    support, questions = uneven(made)
    np.testing.assert_array_equal(again.adapt(support).logits(questions), made.adapt(support).logits(questions))


def test_adapting_leaves_the_learner_as_it_was(made: Learner[Any]) -> None:
    before = {name: value.copy() for name, value in made.state().items()}
    support, questions = uneven(made)
    first = made.adapt(support).logits(questions)
    np.testing.assert_array_equal(made.adapt(support).logits(questions), first)
    for name, value in made.state().items():
        np.testing.assert_array_equal(value, before[name])


def test_an_answer_does_not_depend_on_what_is_asked_with_it(made: Learner[Any]) -> None:
    support, questions = uneven(made)
    adapted = made.adapt(support)
    together = adapted.logits(questions)
    alone = np.concatenate([adapted.logits(questions[row : row + 1]) for row in range(len(questions))])
    np.testing.assert_allclose(alone, together, rtol=1e-4, atol=1e-4)  # sums are added in another order


def test_the_order_of_classes_and_examples_does_not_matter(made: Learner[Any]) -> None:
    support, questions = uneven(made)
    order = np.array([2, 0, 3, 1])  # class c becomes class order[c]
    shuffled = np.random.default_rng(0).permutation(len(support.codes))
    other = made.adapt(Support(support.inputs[shuffled], order[support.codes][shuffled], 4)).logits(questions)
    np.testing.assert_allclose(
        softmax(other, axis=1)[:, order], softmax(made.adapt(support).logits(questions), axis=1), rtol=0, atol=0.002
    )


@pytest.mark.parametrize("ways", [2, 8])
def test_any_number_of_classes(made: Learner[Any], ways: int) -> None:
    rows, codes = asked(made)
    taught = np.concatenate([np.flatnonzero(codes == code)[:2] for code in range(ways)])
    adapted = made.adapt(Support(rows[taught], codes[taught], ways))
    logits = adapted.logits(rows)
    assert logits.shape == (len(rows), ways)
    assert np.isfinite(logits).all()
    seen = codes < ways
    assert (logits[seen].argmax(axis=1) == codes[seen]).mean() > 1.5 / ways


def test_left_out_examples_are_told_by_the_others(made: Learner[Any]) -> None:
    support, _ = uneven(made)
    found = made.left_out(support)
    assert found.shape == (11, 4)
    assert np.isnan(found[0]).all()  # the only one of its class
    assert np.isfinite(found[1:]).all()
    out = np.arange(11) == 10
    if made.folds < 11:  # the last example is left out with the others of its fold
        out = np.arange(11) % made.folds == 10 % made.folds
        out[0] = False
    expected = made.adapt(support.at(np.flatnonzero(~out))).logits(support.inputs[out])
    assert np.abs(softmax(found[out], axis=1) - softmax(expected, axis=1)).max() < 0.15  # temperatures may differ a little


@pytest.mark.parametrize("name", ["prototypes", "photo_prototypes"])
def test_left_out_by_arithmetic_is_learning_again(name: str, folder: Path) -> None:
    made = fitted(name, folder / name)
    support, _ = uneven(made)
    np.testing.assert_allclose(made.left_out(support), Learner.left_out(made, support), rtol=1e-4, atol=1e-4)


def test_probabilities_are_calibrated_on_what_was_chosen_by(made: Learner[Any]) -> None:
    """No single factor on the logits makes the choosing types' queries much likelier."""
    held = pools(made.reads).validation if made.reads == "features" else pools(made.reads).validation.with_photo
    told = [scored(held, episode, made.adapt, made.reads) for episode in episodes(held, 5, 2, 60, EPISODES)]
    assert 0.5 < fit_temperature(told) < 2.0
