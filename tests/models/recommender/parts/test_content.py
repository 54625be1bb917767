"""Items that are alike in themselves: by embeddings where there are some, else by attributes."""

from pathlib import Path

import numpy as np
import pytest
from recommender_cases import bare_items, cells, choice_of, histories_of, purchases_of, settings_of

from models.recommender.held_out import HeldOut
from models.recommender.part import Explanation, NoConfig
from models.recommender.parts.content import Content, ContentByAttributes, ContentByEmbeddings
from models.recommender.readings import Floats

ITEMS = bare_items(5, cells([[0, 1], [0, 1, 2], [2], [3], []], 4))


def embeddings() -> Floats:
    found = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def test_possible_where_anything_is_known_of_the_items() -> None:
    assert Content.possible(purchases_of([0], items=ITEMS), NoConfig())
    assert Content.possible(purchases_of([0], items=bare_items(5), content=embeddings()), NoConfig())
    assert not Content.possible(purchases_of([0], items=bare_items(5)), NoConfig())


@pytest.mark.parametrize("with_embeddings", [False, True])
def test_scores_are_cosines_and_survive_a_bundle(tmp_path: Path, with_embeddings: bool) -> None:
    training = purchases_of([0], [1], items=ITEMS, content=embeddings() if with_embeddings else None)
    held, settings = HeldOut.of(training.histories, cells([[1], [2]], 5)), settings_of(tmp_path)
    part = Content.fit(training, choice_of(held), settings)
    unit = embeddings() if with_embeddings else ITEMS.weighted.toarray()
    cosines = unit @ unit.T
    if not with_embeddings:
        np.fill_diagonal(cosines, 0)  # an item is not its own neighbour
    np.testing.assert_allclose(part.scores(histories_of([1])), cosines[[1]], atol=1e-6)
    assert isinstance(part, ContentByEmbeddings if with_embeddings else ContentByAttributes)
    restored = Content.restore(part.refit(training, settings).state(), NoConfig(), ITEMS)
    np.testing.assert_array_equal(restored.scores(histories_of([1], [3, 2])), part.scores(histories_of([1], [3, 2])))


def test_says_which_attributes_are_shared_or_that_items_are_alike() -> None:
    part = ContentByEmbeddings(embeddings(), 0.0)
    shared = ("attribute 0", "attribute 1")
    assert part.explain(ITEMS, 0, 1, 3) == Explanation("shared_attributes", f"Shares {', '.join(shared)} with item 1.", shared)
    assert part.explain(ITEMS, 0, 1, 1).attributes == shared[:1]
    assert part.explain(ITEMS, 3, 1, 3) == Explanation("similar_content", "Is like item 1.")
