import numpy as np
import pytest
from fewshot_cases import pool

from models.fewshot.learner import Support
from models.fewshot.measures import hardest, measured
from models.fewshot.predictor import FewshotPredictor

CLASSES = ("boots", "shoes", "watch")


def logits(probabilities: list[list[float]]) -> np.ndarray:
    return np.log(np.array(probabilities)).astype(np.float32)


def support(codes: list[int]) -> Support:
    return Support(np.zeros((len(codes), 2), dtype=np.float32), np.array(codes), 3)


def test_the_pair_that_gives_each_other_the_highest_probabilities_by_hand() -> None:
    told = logits([[0.7, 0.2, 0.1], [0.5, 0.4, 0.1], [0.3, 0.6, 0.1], [0.1, 0.1, 0.8]])
    found = hardest(told, support([0, 0, 1, 2]), CLASSES)
    assert found.labels == ("boots", "shoes")
    # Boots give shoes 0.2 and 0.4, on average 0.3; shoes give boots 0.3.
    assert found.confusion == pytest.approx(0.3)
    assert found.hint == (
        "'boots' and 'shoes' look most alike: add examples of 'shoes' first, which has 1 of 3, "
        "and such as show what tells them apart"
    )


@pytest.mark.parametrize(
    ("codes", "which"),
    [([0, 1, 2], "examples of both, which have one each"), ([0, 0, 1, 1, 2], "examples of both, which have 2 each")],
)
def test_the_hint_where_both_have_as_many(codes: list[int], which: str) -> None:
    told = logits([[0.6, 0.3, 0.1] if code == 0 else [0.3, 0.6, 0.1] if code == 1 else [0.1, 0.1, 0.8] for code in codes])
    assert which in hardest(told, support(codes), CLASSES).hint


@pytest.mark.slow
def test_left_out_accuracy_counts_the_examples_whose_class_has_another(made_up_predictor: FewshotPredictor) -> None:
    learner = made_up_predictor.fitted.learners["shrunk_prototypes"]
    held = pool(3, 4, spread=0.05, seed=6)
    rows = np.array([0, 1, 4, 5, 8])
    taught = Support(held.features[rows], held.codes[rows], 3)
    found = measured(learner, learner.adapt(taught), taught, CLASSES)
    assert (found.left_out_accuracy, found.left_out) == (1.0, 4)
    single = taught.at(np.array([0, 2, 4]))
    assert measured(learner, learner.adapt(single), single, CLASSES).left_out_accuracy is None
