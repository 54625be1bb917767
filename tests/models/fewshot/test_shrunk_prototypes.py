from dataclasses import replace

import numpy as np
import pytest
from fewshot_cases import pool

from models.fewshot.base_types import BaseTypes
from models.fewshot.calibration import SHOTS, Temperatures, accuracy, choosing_episodes, scored
from models.fewshot.episodes import EpisodesConfig
from models.fewshot.learner import Learner, Pools, Settings, Support
from models.fewshot.learners.shrunk_prototypes import Choice, ShrunkPrototypes, ShrunkPrototypesConfig

CONFIG = ShrunkPrototypesConfig()
CHOICE = Choice(pull=1.0, neighbours=2, sharpness=10.0, temperature_rows=5.0)
TEMPERATURES = Temperatures(np.array([1, 5], dtype=np.float32), np.array([0.2, 0.1], dtype=np.float32))


def of(choice: Choice = CHOICE, shrinkage: float = 0.5) -> ShrunkPrototypes:
    return ShrunkPrototypes(BaseTypes.of(pool(6, 20, seed=1), shrinkage), choice, TEMPERATURES)


def taught(counts: tuple[int, ...] = (3, 1, 4), seed: int = 4) -> Support:
    held = pool(len(counts), max(counts), seed=seed)
    rows = np.concatenate([held.rows[code][:count] for code, count in enumerate(counts)])
    return Support(held.features[rows], held.codes[rows], len(counts))


def test_leaving_one_out_is_teaching_without_it() -> None:
    learner, support = of(), taught()
    found = learner.cosines_left_out(support)
    rows = np.arange(len(support.codes))
    assert np.isnan(found[3]).all() and not np.isnan(np.delete(found, 3, axis=0)).any()
    for row in rows[support.codes != 1]:
        without = learner.raw(support.at(rows[rows != row]))
        assert found[row] == pytest.approx(without.logits(support.inputs[[row]])[0], abs=1e-5)


def test_left_out_logits_are_those_cosines_at_the_temperature_of_the_whole() -> None:
    learner, support = of(), taught((2, 2))
    expected = learner.cosines_left_out(support) / learner.adapt(support).temperature
    assert learner.left_out(support) == pytest.approx(expected)
    assert np.isnan(Learner.left_out(learner, taught((1, 1)))).all() and np.isnan(learner.left_out(taught((1, 1)))).all()


def test_it_comes_back_from_its_arrays_and_so_does_a_classifier() -> None:
    learner, support, asked = of(), taught(), pool(3, 4, seed=9).features
    again = ShrunkPrototypes.restore(learner.state(), CONFIG)
    again.choice = replace(again.choice, neighbours=2)  # a field of the configuration, which the bundle holds
    assert np.array_equal(again.adapt(support).logits(asked), learner.adapt(support).logits(asked))
    adapted = learner.adapt(support)
    assert np.array_equal(learner.adapted(adapted.state()).logits(asked), adapted.logits(asked))


def test_the_order_of_classes_and_examples_changes_no_answer() -> None:
    learner, support, asked = of(), taught(), pool(3, 4, seed=9).features
    order, renamed = np.random.default_rng(0).permutation(len(support.codes)), np.array([2, 0, 1])
    other = Support(support.inputs[order], renamed[support.codes[order]], 3)
    assert learner.adapt(other).logits(asked)[:, renamed] == pytest.approx(
        learner.adapt(support).logits(asked), rel=1e-3, abs=1e-3
    )


def test_an_answer_does_not_depend_on_what_else_is_asked() -> None:
    adapted, asked = of().adapt(taught()), pool(3, 4, seed=9).features
    alone = np.concatenate([adapted.logits(asked[[row]]) for row in range(len(asked))])
    assert adapted.logits(asked) == pytest.approx(alone, abs=1e-4)


def test_a_pull_draws_a_class_to_the_base_types_that_it_is_like() -> None:
    base = BaseTypes(
        np.zeros(3, dtype=np.float32), np.zeros((0, 0), dtype=np.float32), np.array([[1, 0, 0], [0, 0, 1]], dtype=np.float32)
    )
    support = Support(np.array([[0.8, 0.6, 0], [-0.6, 0.8, 0]], dtype=np.float32), np.array([0, 1]), 2)
    near = [
        ShrunkPrototypes(base, Choice(pull, 1, 10.0, 5.0), TEMPERATURES).raw(support).prototypes[0] @ base.prototypes[0]
        for pull in (0.0, 1.0, 4.0)
    ]
    # One example and as much of the base type: (0.8, 0.6, 0) + (1, 0, 0), of unit length.
    assert near == pytest.approx([0.8, 1.8 / np.hypot(1.8, 0.6), 4.8 / np.hypot(4.8, 0.6)], abs=1e-6)


def test_whitening_makes_types_round_and_keeps_none_where_it_is_not_chosen() -> None:
    rng = np.random.default_rng(0)
    held = pool(6, 400, features=4, seed=1)
    stretched = replace(held, features=(held.features * np.array([5, 1, 1, 1]) + rng.normal(size=4)).astype(np.float32))
    base = BaseTypes.of(stretched, 1e-3)
    within = np.concatenate([stretched.features[rows] - stretched.features[rows].mean(axis=0) for rows in stretched.rows])
    covariance = np.cov((within @ base.whitening).T)
    assert covariance == pytest.approx(np.eye(4), abs=0.05)
    assert len(BaseTypes.of(held).whitening) == 0
    assert np.linalg.norm(base.see(stretched.features), axis=1) == pytest.approx(1.0, abs=1e-5)


def test_what_is_chosen_is_at_least_as_good_on_validation_as_class_means(made_up: Pools) -> None:
    episodes = EpisodesConfig(choosing=20)
    config = ShrunkPrototypesConfig(shrinkage=(1.0, 0.5), pull=(0.0, 1.0))
    learner = ShrunkPrototypes.fit(made_up, Settings(config, episodes, 0, None))  # type: ignore[arg-type]
    plain = ShrunkPrototypes(BaseTypes.of(made_up.train), Choice(0.0, 3, 10.0, 5.0), TEMPERATURES)

    def reached(tried: ShrunkPrototypes) -> float:
        found = []
        for shots in SHOTS:
            drawn = choosing_episodes(made_up.validation, shots, 20, episodes)
            found.append(accuracy([scored(made_up.validation, episode, tried.raw, "features") for episode in drawn]))
        return float(np.mean(found))

    assert reached(learner) >= reached(plain)
    assert np.all(np.diff(learner.temperatures.shots) > 0) and (learner.temperatures.values > 0).all()
