"""Duplicates are looked for among the listings of one catalogue, each of which is looked at once."""

from collections.abc import Sequence
from dataclasses import replace

import committed
import pytest

from catalog.catalogue import Catalogue
from catalog.listing import Listing
from configs.errors import VitrinaError
from models import family
from models.quality.answers import Candidate
from models.quality.predictor import QualityPredictor
from models.quality.rows import candidates_of
from models.quality.within import Within

pytestmark = pytest.mark.slow

AGAIN = 7_000_001


@pytest.fixture(scope="module")
def predictor() -> QualityPredictor:
    found = family.load("quality", committed.bundle("quality"), "cpu")
    assert isinstance(found, QualityPredictor)
    return found


@pytest.fixture(scope="module")
def candidates(tmp_path_factory: pytest.TempPathFactory) -> list[Candidate]:
    """Forty products of the catalogue that it was trained on, and one of them once more with another id and no attributes."""
    catalogue: Catalogue = committed.catalogue("quality", tmp_path_factory.mktemp("shop") / "catalogue")
    found = [c for c in candidates_of(catalogue, catalogue.products().head(60)) if c.listing.title and c.listing.image][:40]
    return [*found, replace(found[3], product_id=AGAIN, listing=replace(found[3].listing, attributes={}))]


def batches(candidates: Sequence[Candidate], size: int) -> list[list[Candidate]]:
    return [list(candidates[start : start + size]) for start in range(0, len(candidates), size)]


def test_a_listing_that_is_there_twice_is_a_duplicate_in_both_places(
    predictor: QualityPredictor, candidates: list[Candidate]
) -> None:
    within = Within(predictor)
    first = [said for batch in batches(candidates, 7) for said in within.assess(batch)]
    assert all(said.axes["duplicate"].score == 1.0 for said in first)
    places = within.duplicates()
    assert {3, 40} <= set(places)
    again = dict(zip(places, within.again([candidates[place] for place in places]), strict=True))
    other = {3: AGAIN, 40: candidates[3].product_id}
    for place, product_id in other.items():
        assert again[place].axes["duplicate"].score < 0.5
        assert again[place].axes["duplicate"].evidence[0].values["product_id"] == product_id
        assert again[place].score < first[place].score


def test_it_is_what_assessing_among_all_of_them_says(predictor: QualityPredictor, candidates: list[Candidate]) -> None:
    within = Within(predictor)
    found = [said for batch in batches(candidates, 16) for said in within.assess(batch)]
    places = within.duplicates()
    for place, said in zip(places, within.again([candidates[place] for place in places]), strict=True):
        found[place] = said
    expected = predictor.assess(candidates, among=predictor.duplicates(candidates))
    for one, other in zip(found, expected, strict=True):
        assert one.score == pytest.approx(other.score, abs=1e-4)
        assert one.verdict == other.verdict
        assert [change.text for change in one.improvements] == [change.text for change in other.improvements]
        for change, same in zip(one.improvements, other.improvements, strict=True):
            assert change.score_after == pytest.approx(same.score_after, abs=1e-4)


def test_a_batch_that_is_refused_is_not_remembered(predictor: QualityPredictor, candidates: list[Candidate]) -> None:
    within = Within(predictor)
    with pytest.raises(VitrinaError, match="listing 1 says nothing"):
        within.assess([candidates[3], Candidate(Listing(), 5)])
    assert within.duplicates() == []
    within.assess([candidates[3]])
    within.assess([candidates[40]])
    assert within.duplicates() == [0, 1]
