"""A catalogue is assessed as a whole: a table, a page, and nothing else; by an assessor that answers without a model."""

import io
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from catalog.catalogue import Catalogue
from catalog.errors import CatalogueError
from configs.errors import ConfigError, VitrinaError
from configs.settings import Settings
from models.quality.answers import AXES, Assessment, AxisScore, Candidate, Evidence, Improvement
from operations.assessed import AssessingOutcome
from operations.assessing import BATCH, assess_catalogue, run_assessment

THRESHOLD = 0.5
ATTACK = "<script>alert('x')</script>"


class Assessor:
    """Scores by the length of the title; a title that another listing has too is a duplicate."""

    def __init__(self) -> None:
        self.seen: list[Candidate] = []
        self.batches: list[int] = []

    def assess(self, candidates: Sequence[Candidate]) -> list[Assessment]:
        for place, candidate in enumerate(candidates):
            if not candidate.listing.title:
                raise VitrinaError(f"listing {place} says nothing; give a title")
        self.seen.extend(candidates)
        self.batches.append(len(candidates))
        return [self._said(candidate) for candidate in candidates]

    def duplicates(self) -> list[int]:
        return [place for place, candidate in enumerate(self.seen) if self._other(candidate) is not None]

    def again(self, candidates: Sequence[Candidate]) -> list[Assessment]:
        assert [self.seen[place].product_id for place in self.duplicates()] == [candidate.product_id for candidate in candidates]
        found = []
        for candidate in candidates:
            evidence = Evidence("Another listing is the same.", {"product_id": self._other(candidate).product_id})  # type: ignore[union-attr]
            said = self._said(candidate)
            found.append(replace(said, score=said.score / 10, axes={**said.axes, "duplicate": AxisScore(0.1, (evidence,))}))
        return [replace(said, verdict="publish" if said.score >= THRESHOLD else "hold") for said in found]

    def _other(self, candidate: Candidate) -> Candidate | None:
        same = [c for c in self.seen if c.listing.title == candidate.listing.title and c.product_id != candidate.product_id]
        return same[0] if same else None

    def _said(self, candidate: Candidate) -> Assessment:
        listing = candidate.listing
        score = min(1.0, len(listing.title or "") / 20)
        longer = Improvement("title", "Write a longer title.", {"title": f"{listing.title} and more"}, 0.9, score + 0.25, 0.25)
        return Assessment(
            score=score,
            verdict="publish" if score >= THRESHOLD else "hold",
            threshold=THRESHOLD,
            axes={
                "title": AxisScore(score, (Evidence(f"The title has {len(listing.title or '')} letters.", {}),)),
                "photo": AxisScore(0.2 if listing.image is None else 1.0, ()),
                "duplicate": AxisScore(1.0, (Evidence("No other listing is the same product."),)),
            },
            left_out={"price": "no prices"},
            improvements=() if score == 1.0 else (longer,),
            faults={},
            modalities=("title",),
            article_type=listing.categories.get("article_type"),
        )


def jpeg(size: tuple[int, int] = (60, 80)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (200, 30, 30)).save(buffer, "JPEG")
    return buffer.getvalue()


def shop(folder: Path, rows: list[dict[str, Any]], photos: dict[Any, bytes] | None = None) -> Catalogue:
    folder.mkdir()
    pd.DataFrame(rows).to_parquet(folder / "products.parquet", index=False)
    if photos:
        pd.DataFrame({"product_id": list(photos), "jpeg": list(photos.values())}).to_parquet(
            folder / "images.parquet", index=False
        )
    return Catalogue.open(folder)


def product(product_id: Any, title: str | None, **values: Any) -> dict[str, Any]:
    return {"product_id": product_id, "title": title, "brand": "Nordal", "article_type": "Shirts", "attributes": None} | values


ROWS = [
    product(1, "A shirt of twenty letters"),
    product(2, "Short"),
    product(3, "Nearly enough"[:8], brand="Pico", article_type="Shoes"),
    product(4, "The same words as another"),
    product(5, "The same words as another"),
]


@pytest.fixture
def assessed(tmp_path: Path) -> tuple[AssessingOutcome, pd.DataFrame, str]:
    """Outcome, table and page of `ROWS`."""
    outcome = assess_catalogue(Assessor(), 3, shop(tmp_path / "shop", ROWS, {1: jpeg()}), tmp_path / "out")
    return outcome, pd.read_parquet(outcome.assessments), Path(outcome.report).read_text(encoding="utf-8")


def test_every_product_has_a_row(assessed: tuple[AssessingOutcome, pd.DataFrame, str]) -> None:
    _, table, _ = assessed
    assert table["product_id"].tolist() == [1, 2, 3, 4, 5]
    assert table["score"].tolist() == pytest.approx([1.0, 0.25, 0.4, 0.1, 0.1])
    assert table["verdict"].tolist() == ["publish", "hold", "hold", "hold", "hold"]
    assert table["duplicate_of"].tolist() == [None, None, None, "5", "4"]
    assert [name for name in table.columns if name.startswith("axis_")] == [f"axis_{axis}" for axis in AXES]
    assert table["axis_photo"].tolist() == [1.0, 0.2, 0.2, 0.2, 0.2]
    assert table["axis_price"].isna().all()
    assert table["worst_axis"].tolist() == ["title", "photo", "photo", "duplicate", "duplicate"]
    first = table.loc[1]
    assert (first["improvement_axis"], first["improvement_gain"], first["improvement_score_after"]) == ("title", 0.25, 0.5)
    assert json.loads(first["improvement_change"]) == {"title": "Short and more"}
    assert json.loads(first["evidence"])["title"] == ["The title has 5 letters."]
    assert json.loads(first["left_out"]) == {"price": "no prices"}
    assert table.loc[0, "improvement_text"] is None
    assert table.loc[0, "improvements"] == 0


def test_the_outcome_counts(assessed: tuple[AssessingOutcome, pd.DataFrame, str]) -> None:
    outcome, _, _ = assessed
    assert (outcome.model, outcome.version, outcome.n, outcome.assessed) == ("quality", "3", 5, 5)
    assert (outcome.publish, outcome.hold, outcome.publish_share, outcome.threshold) == (1, 4, 0.2, THRESHOLD)
    assert (outcome.one_change_away, outcome.duplicates, outcome.median_score) == (2, 2, 0.25)
    assert outcome.worst_axes == {"title": 1, "photo": 2, "duplicate": 2}
    assert (outcome.problems, outcome.problem_rows, outcome.passed) == ({}, None, None)
    assert outcome.rows_per_second > 0


def test_the_page_shows_the_worst_first_with_photos_and_what_to_do(assessed: tuple[AssessingOutcome, pd.DataFrame, str]) -> None:
    _, _, page = assessed
    assert "1 of 5 listings may be published (20.0%)" in page
    assert [int(found) for found in re.findall(r"product (\d), ", page)] == [4, 5, 2, 3, 1]
    assert page.count("data:image/jpeg;base64,") == 1
    assert "Write a longer title. +0.250 → 0.500" in page
    assert "http" not in page.replace("http://www.w3.org", "")


@pytest.mark.slow
def test_the_page_is_bounded_and_what_a_catalogue_says_is_text(tmp_path: Path) -> None:
    rows = [product(i, f"{ATTACK} {i}", brand=ATTACK, article_type=f"{ATTACK} {i % 40}") for i in range(250)]
    photos = {i: jpeg((1200, 1600)) for i in range(0, 250, 2)}
    outcome = assess_catalogue(Assessor(), 1, shop(tmp_path / "shop", rows, photos), tmp_path / "out", require_share=0.5)
    page = Path(outcome.report).read_text(encoding="utf-8")
    assert ATTACK not in page
    assert page.count('<div class="said">') == 100
    assert len(page) < 1_500_000


def test_rows_that_cannot_be_read_are_listed_and_the_others_assessed(tmp_path: Path) -> None:
    rows = [product(f"p{i}", f"Title {i}") for i in range(2 * BATCH)]
    rows[3]["title"] = None
    rows[40]["attributes"] = "[1]"
    rows += [product("p0", "again"), product(None, "nobody's"), product("last", None)]
    assessor = Assessor()
    outcome = assess_catalogue(assessor, 1, shop(tmp_path / "shop", rows, {"p5": b"no photo", "last": b"none"}), tmp_path / "out")
    assert (outcome.n, outcome.assessed) == (67, 62)
    assert outcome.problems == {"left out": 5, "assessed without photo": 1}
    assert outcome.problem_rows is not None
    problems = pd.read_parquet(outcome.problem_rows)
    assert problems["row"].tolist() == [3, 5, 40, 64, 65, 66]
    assert problems["product_id"].tolist() == ["p3", "p5", "p40", "p0", None, "last"]
    assert problems["effect"].tolist() == ["left out", "assessed without photo", *["left out"] * 4]
    assert problems.loc[0, "why"] == "the listing says nothing; give a title"
    assert "allowed: an object" in problems.loc[2, "why"]
    assert problems["why"].tolist()[3:5] == ["the id is that of an earlier row", "the id is missing"]
    assert len(assessor.seen) == 62
    assert max(assessor.batches) <= BATCH
    page = Path(outcome.report).read_text(encoding="utf-8")
    assert "Rows that could not be read: 6" in page


@pytest.mark.parametrize(("share", "passed", "says"), [(0.2, True, "reached"), (0.21, False, "missed")])
def test_a_share_that_is_asked_for_is_reached_or_missed(tmp_path: Path, share: float, passed: bool, says: str) -> None:
    outcome = assess_catalogue(Assessor(), 1, shop(tmp_path / "shop", ROWS), tmp_path / "out", require_share=share)
    assert (outcome.require_share, outcome.passed) == (share, passed)
    assert f"was asked for: {says}" in Path(outcome.report).read_text(encoding="utf-8")


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    catalogue = shop(tmp_path / "shop", [product(1, None), product(2, " ")])
    with pytest.raises(VitrinaError, match=r"no product of .* can be assessed: the listing says nothing"):
        assess_catalogue(Assessor(), 1, catalogue, tmp_path / "out")
    with pytest.raises(CatalogueError, match="exists and is not an empty folder"):
        assess_catalogue(Assessor(), 1, catalogue, tmp_path / "shop")
    assert [path.name for path in tmp_path.iterdir()] == ["shop"]


@pytest.mark.slow
def test_progress_is_told_up_to_the_last_row(tmp_path: Path) -> None:
    told: list[tuple[str, int, int | None]] = []
    rows = [product(i, f"Title {i}") for i in range(BATCH + 5)]
    catalogue = shop(tmp_path / "shop", rows)
    assess_catalogue(Assessor(), 1, catalogue, tmp_path / "out", progress=lambda *said: told.append(said))
    assert told == [("assessing", BATCH, BATCH + 5), ("assessing", BATCH + 5, BATCH + 5)]


def test_bad_references_are_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    settings = Settings(tmp_path / "home", f"sqlite:///{tmp_path / 'a.db'}", f"sqlite:///{tmp_path / 'b.db'}")
    catalogue = shop(tmp_path / "shop", ROWS)
    with pytest.raises(ConfigError, match="'product' assesses no catalogue; allowed: quality"):
        run_assessment(settings, "product@1", catalogue.root, tmp_path / "out")
    with pytest.raises(CatalogueError, match="exists and is not an empty folder"):
        run_assessment(settings, "quality", catalogue.root, catalogue.root)
