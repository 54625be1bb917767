import pytest

from models.fewshot.card import card, flatters
from models.fewshot.predictor import FewshotPredictor


def test_it_says_what_was_learned_from_and_what_answers(made_up_predictor: FewshotPredictor) -> None:
    settings = made_up_predictor.settings.model_copy(update={"products": {"train": 1300, "test": 40}})
    text = card(settings)
    assert "10 to learn from (1,300 products), 8 to choose by (0 products), 22 to test on (40 products)" in text
    assert (f"1: {settings.chosen[1]}" in text and "Nearest class mean" in text) or "nearest_centroid" in text
    assert "5.0% of the members" in text
    assert "No part was trained on any of the types that are tested" in text
    assert all(line == "" or not line.startswith(" ") for line in text.split("\n"))


def test_it_says_where_the_figures_flatter(made_up_predictor: FewshotPredictor) -> None:
    known = ("type 2.0", "type 3.0", "type 3.1")  # the first is chosen by, and not tested
    text = card(made_up_predictor.settings.model_copy(update={"learned_by_base": known}))
    assert "Of the 28 types that are tested, 2 are known" in text and "(type 3.0, type 3.1): the figures flatter" in text


@pytest.mark.parametrize(("known", "named"), [(5, "a, b, c, d, e)"), (7, "a, b, c, d, e and 2 more)")])
def test_a_few_types_are_named(known: int, named: str) -> None:
    assert named in flatters("abcdefg"[:known], 9)
