import numpy as np
import pytest
from fewshot_cases import pool

from models.fewshot.base_types import BaseTypes
from models.fewshot.calibration import Temperatures, choosing_episodes, support_of
from models.fewshot.config import FewshotRunConfig
from models.fewshot.episodes import EpisodesConfig, Pool
from models.fewshot.learner import Pools, Support
from models.fewshot.learners.shrunk_prototypes import Choice, ShrunkPrototypes
from models.fewshot.played import Setting, play, rejections
from models.fewshot.predictor import FewshotPredictor
from models.fewshot.unknown import COLUMNS, Evidence, Neighbourhood, Unknown, UnknownConfig

PLAIN = Temperatures(np.ones(1, dtype=np.float32), np.ones(1, dtype=np.float32))


def learner(train: Pool) -> ShrunkPrototypes:
    return ShrunkPrototypes(BaseTypes.of(train), Choice(0.0, 3, 10.0, 5.0), PLAIN)


@pytest.mark.parametrize(("rate", "reached"), [(0.05, True), (0.2, False)])
def test_at_most_as_many_members_are_rejected_on_the_types_to_choose_by_as_was_stated(
    made_up: Pools, rate: float, reached: bool
) -> None:
    """Fewer where the bound would lie among members that are likelier than strangers."""
    config, episodes = UnknownConfig(false_rejection=rate, episodes=20), EpisodesConfig()
    unknown, held = Unknown.fit(made_up, learner(made_up.train), config, episodes), learner(made_up.train)
    for shots in (1, 5):
        sure = []
        for episode in choosing_episodes(made_up.validation, shots, 20, episodes):
            taught = Neighbourhood.of(support_of(made_up.validation, episode, "features"), held, config.rival)
            sure.append(unknown.stranger(taught.ask(made_up.validation.features[episode.query])))
        found = (np.concatenate(sure) > 0.5).mean()
        assert found == pytest.approx(rate, abs=0.005) if reached else found < rate - 0.02


def test_strangers_are_rejected_far_more_often_than_members(
    made_up_predictor: FewshotPredictor, tested: Pool, made_up_config: FewshotRunConfig
) -> None:
    held = made_up_predictor.fitted.learners["shrunk_prototypes"]
    assert isinstance(held, ShrunkPrototypes)
    played = play(tested, Setting(5, 5), {}, 40, made_up_config.model.episodes)
    found = rejections(played, made_up_predictor.fitted.unknown, held)
    assert found.false_rejection.mean() < 0.15
    assert found.unknown_rejection.mean() > found.false_rejection.mean() + 0.25


def test_it_comes_back_from_its_arrays_and_is_sure_between_0_and_1(made_up_predictor: FewshotPredictor) -> None:
    unknown = made_up_predictor.fitted.unknown
    again = Unknown.restore(unknown.state())
    evidence = np.random.default_rng(0).normal(size=(6, len(COLUMNS))).astype(np.float32)
    told = Evidence(evidence, evidence[:, 0])
    assert np.array_equal(again.stranger(told), unknown.stranger(told))
    assert ((unknown.stranger(told) >= 0) & (unknown.stranger(told) <= 1)).all()


def test_what_speaks_for_a_member_by_hand() -> None:
    base = BaseTypes(
        np.zeros(3, dtype=np.float32), np.zeros((0, 0), dtype=np.float32), np.array([[1, 0, 0], [0, 0, 1]], dtype=np.float32)
    )
    held = ShrunkPrototypes(base, Choice(0.0, 1, 10.0, 5.0), PLAIN)
    inputs = np.array([[1, 0, 0], [0, 1, 0], [0, 0.8, 0.6]], dtype=np.float32)
    taught = Neighbourhood.of(Support(inputs, np.array([0, 1, 1]), 2), held, rival=0.9)
    # The first base type is the first class itself, so that it is no rival of a member; the second is one.
    assert taught.rivals.tolist() == [[0.0, 0.0, 1.0]]
    # Two examples of the second class, whose cosine is 0.8; the first class has one, and counts as the others.
    assert taught.closeness == pytest.approx([0.8, 0.8], abs=1e-6)
    asked = taught.ask(np.array([[0, 1, 0]], dtype=np.float32))
    middle = np.array([0, 1.8, 0.6]) / np.linalg.norm([0, 1.8, 0.6])
    assert asked.values[0] == pytest.approx([middle[1], 0.0, 0.0, 0.8, np.log(2)], abs=1e-6)
    assert asked.similarity == pytest.approx([middle[1]], abs=1e-6) and asked.familiarity == pytest.approx([0.0], abs=1e-6)


def test_where_every_base_type_is_a_class_there_is_no_rival() -> None:
    base = BaseTypes(np.zeros(2, dtype=np.float32), np.zeros((0, 0), dtype=np.float32), np.eye(2, dtype=np.float32))
    held = ShrunkPrototypes(base, Choice(0.0, 1, 10.0, 5.0), PLAIN)
    taught = Neighbourhood.of(Support(np.eye(2, dtype=np.float32), np.array([0, 1]), 2), held, rival=0.9)
    assert len(taught.rivals) == 0
    assert taught.ask(np.eye(2, dtype=np.float32)).values[:, COLUMNS.index("nearest base type")].tolist() == [-1.0, -1.0]


def test_without_a_type_to_play_a_stranger_distance_alone_decides() -> None:
    pools = Pools(pool(5, 12, seed=1), pool(5, 12, seed=2))
    unknown = Unknown.fit(pools, learner(pools.train), UnknownConfig(episodes=4), EpisodesConfig())
    assert unknown.weights.tolist() == [1.0, 0.0, 0.0, 0.0, 0.0]
