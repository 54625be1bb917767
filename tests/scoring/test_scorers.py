"""What every model that scores must say of itself."""

import pytest

from catalog.schema import TABLES
from configs.schema import ScoringConfig
from models import family
from models.family import Scorer

SCORERS = [(name, scorer) for name in family.scoring() for scorer in family.scorers(name)]


def test_those_that_score() -> None:
    assert [(name, scorer.table) for name, scorer in SCORERS] == [
        ("describer", "products"),
        ("product", "products"),
        ("product", "reviews"),
        ("quality", "products"),
        ("recommender", "purchases"),
    ]


@pytest.mark.parametrize(("name", "scorer"), SCORERS, ids=[f"{name}-{scorer.table}" for name, scorer in SCORERS])
def test_columns_have_a_name_each_and_values_a_description(name: str, scorer: Scorer) -> None:
    assert family.scorer(name, scorer.table) is scorer
    assert scorer.key in TABLES[scorer.table]
    assert issubclass(scorer.config, ScoringConfig)
    assert all(field.description for field in scorer.config.model_fields.values())
    names = scorer.schema(scorer.config()).names
    assert len({*names, "row", scorer.key, "why"}) == len(names) + 3
