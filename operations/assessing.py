"""Assess a whole catalogue: a table with a row a product, and a page for people."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from catalog.catalogue import Catalogue, listing_of, records_of
from catalog.errors import CatalogueError, ImageError
from catalog.images import LARGEST_SIDE, DecodedPhoto, decode
from catalog.write import check_new, new_catalogue
from configs.errors import ConfigError, VitrinaError
from configs.settings import Settings
from models import family
from models.quality.answers import Assessment, Candidate
from models.quality.predictor import QualityPredictor
from models.quality.scoring import assessed_row, assessed_schema
from models.quality.within import Within
from operations.assessed import PAGE, PROBLEMS, TABLE, AssessingOutcome, Effect, Problem
from operations.assessing_page import SHOWN, Shown, write_assessing_page
from registry.fetch import fetch
from registry.versions import parse, resolve
from scoring.halving import halved, why

QUALITY = "quality"
BATCH = 32
"""Listings that the model looks at together: as many as the service's largest batch."""

Progress = Callable[[str, int, int | None], None]


class Assessor(Protocol):
    """What assesses the listings of one catalogue; `models.quality.within.Within` is one."""

    def assess(self, candidates: Sequence[Candidate]) -> list[Assessment]:
        """One assessment a candidate, as though none was a duplicate; they are remembered, in the order in which they come.

        Raises:
            VitrinaError: a candidate says nothing; then none of them is remembered.
        """
        ...

    def duplicates(self) -> list[int]:
        """Places, in that order, of candidates of which another one is probably the same product."""
        ...

    def again(self, candidates: Sequence[Candidate]) -> list[Assessment]:
        """Assessments of some of the candidates, with their duplicates among all; after `duplicates`."""
        ...


def run_assessment(
    settings: Settings,
    reference: str,
    directory: Path,
    out: Path,
    require_share: float | None = None,
    progress: Progress | None = None,
) -> AssessingOutcome:
    """Assess the catalogue in `directory` by the version of `quality` that `reference` means; see `assess_catalogue`.

    Raises:
        ConfigError: `reference` is not of `quality`.
        RegistryError: there is no such version, or its files are not what was registered.
        VitrinaError: see `assess_catalogue`.
    """
    if (model := parse(reference).model) != QUALITY:
        raise ConfigError(f"model {model!r} assesses no catalogue; allowed: {QUALITY}, {QUALITY}@ALIAS, {QUALITY}@VERSION")
    catalogue = Catalogue.open(directory)
    catalogue.require(["products"])
    check_new(out)
    version = resolve(settings, reference)
    predictor = family.load(QUALITY, fetch(settings, version))
    assert isinstance(predictor, QualityPredictor)
    return assess_catalogue(Within(predictor), version.version, catalogue, out, require_share, progress)


def assess_catalogue(
    assessor: Assessor,
    version: int,
    catalogue: Catalogue,
    out: Path,
    require_share: float | None = None,
    progress: Progress | None = None,
) -> AssessingOutcome:
    """Write the new folder `out` with `TABLE`, `PAGE` and, where there are any, `PROBLEMS`: all of it or nothing.

    Of rows with one id the first counts. Duplicates are looked for among the catalogue's own rows.

    Raises:
        CatalogueError: no products table, or `out` exists and is not an empty folder.
        VitrinaError: no row can be assessed.
    """
    with new_catalogue(out) as folder:
        start = time.monotonic()
        run = _Run(assessor, catalogue, progress or (lambda *_: None))
        run.assess()
        problems = [run.problems[place] for place in sorted(run.problems)]
        if not run.rows:
            where, why = ", ".join(map(str, catalogue.folders)), problems[0].why if problems else "there is none"
            raise VitrinaError(f"no product of {where} can be assessed: {why}")
        table = pd.DataFrame(run.rows)
        outcome = _outcome(run, table, version, catalogue, out, time.monotonic() - start, require_share)
        pq.write_table(_arrow(table), folder / TABLE, compression="zstd")
        if problems:
            _problem_table(problems).to_parquet(folder / PROBLEMS, index=False)
        write_assessing_page(folder / PAGE, outcome, table, run.shown(), problems)
    return outcome


class _Run:
    """One pass over the products, and what it has met so far."""

    def __init__(self, assessor: Assessor, catalogue: Catalogue, progress: Progress) -> None:
        self.assessor, self.catalogue, self.progress = assessor, catalogue, progress
        self.records = records_of(catalogue.products())
        self.problems: dict[int, Problem] = {}  # by place
        self.rows: list[dict[str, Any]] = []  # of the table
        self.threshold = 0.0
        self._places: list[int] = []  # in the catalogue, of `rows`
        self._worst: dict[int, Assessment] = {}  # by place in `rows`

    def assess(self) -> None:
        """Every row that can be."""
        chosen = list(self._chosen())
        for start in range(0, len(chosen), BATCH):
            batch = [(place, self._candidate(place)) for place in chosen[start : start + BATCH]]
            for place, candidate, assessment in self._assessed([(p, c) for p, c in batch if c is not None]):
                self._places.append(place)
                self.rows.append(_row(candidate, assessment))
                self._keep(len(self.rows) - 1, assessment)
            self.progress("assessing", min(start + BATCH, len(chosen)), len(chosen))
        self._compare()

    def shown(self) -> list[Shown]:
        """The worst listings, with their photos."""
        found = []
        for row, assessment in sorted(self._worst.items(), key=lambda kept: (kept[1].score, kept[0])):
            record = self.records[self._places[row]]
            photo = self.catalogue.images.get(record["product_id"])
            found.append(Shown(record["product_id"], listing_of(record, None), photo, assessment))
        return found[:SHOWN]

    def _chosen(self) -> Iterator[int]:
        """Rows with an id that none before them has."""
        seen: set[Any] = set()
        for place, record in enumerate(self.records):
            product_id = record["product_id"]
            if pd.isna(product_id):
                self._problem(place, "left out", "the id is missing")
            elif product_id in seen:
                self._problem(place, "left out", "the id is that of an earlier row")
            else:
                seen.add(product_id)
                yield place

    def _candidate(self, place: int) -> Candidate | None:
        """The row as the model takes it; None where it cannot be read."""
        record = self.records[place]
        try:
            return Candidate(listing_of(record, self._photo(place)), record["product_id"])
        except CatalogueError as error:
            self._problem(place, "left out", str(error))
            return None

    def _photo(self, place: int) -> DecodedPhoto | None:
        data = self.catalogue.images.get(self.records[place]["product_id"])
        if data is None:
            return None
        try:
            return DecodedPhoto(decode(data, max_side=LARGEST_SIDE))
        except ImageError as error:
            self._problem(place, "assessed without photo", str(error))
            return None

    def _assessed(self, batch: Sequence[tuple[int, Candidate]]) -> Iterator[tuple[int, Candidate, Assessment]]:
        """Assessments of those that the model takes."""
        found = halved(lambda part: self.assessor.assess([candidate for _, candidate in part]), batch)
        for (place, candidate), said in found:
            if isinstance(said, Exception):
                self._problem(place, "left out", why(said))
            else:
                yield place, candidate, said

    def _compare(self) -> None:
        """Assess again what has a duplicate."""
        repeated = self.assessor.duplicates()
        for start in range(0, len(repeated), BATCH):
            rows = repeated[start : start + BATCH]
            candidates = [self._candidate(self._places[row]) for row in rows]
            found = self.assessor.again([candidate for candidate in candidates if candidate is not None])
            for row, candidate, said in zip(rows, candidates, found, strict=True):
                assert candidate is not None, "it could be read before"
                self.rows[row] = _row(candidate, said)
                self._keep(row, said)
            self.progress("comparing", min(start + BATCH, len(repeated)), len(repeated))

    def _keep(self, row: int, assessment: Assessment) -> None:
        """Hold on to the worst."""
        self.threshold = assessment.threshold
        self._worst[row] = assessment
        if len(self._worst) > 4 * SHOWN:
            kept = sorted(self._worst.items(), key=lambda entry: (entry[1].score, entry[0]))[: 2 * SHOWN]
            self._worst = dict(kept)

    def _problem(self, place: int, effect: Effect, why: str) -> None:
        product_id = self.records[place]["product_id"]
        self.problems[place] = Problem(place, None if pd.isna(product_id) else product_id, effect, why)


def _row(candidate: Candidate, said: Assessment) -> dict[str, Any]:
    """Of the table."""
    listing = candidate.listing
    about = {"product_id": candidate.product_id, "title": listing.title, "brand": listing.fields.get("brand")}
    return about | assessed_row(said)


def _arrow(table: pd.DataFrame) -> pa.Table:
    """With types that do not depend on what is missing in all rows."""
    key = pa.int64() if pd.api.types.is_integer_dtype(table["product_id"].dtype) else pa.string()
    about = [pa.field("product_id", key), pa.field("title", pa.string()), pa.field("brand", pa.string())]
    return pa.Table.from_pandas(table, schema=pa.schema([*about, *assessed_schema()]), preserve_index=False)


def _outcome(
    run: _Run, table: pd.DataFrame, version: int, catalogue: Catalogue, out: Path, seconds: float, require_share: float | None
) -> AssessingOutcome:
    held = table["verdict"] == "hold"
    share = int((~held).sum()) / len(table)
    return AssessingOutcome(
        model=QUALITY,
        version=str(version),
        data=catalogue.fingerprint(),
        n=len(run.records),
        assessed=len(table),
        publish=int((~held).sum()),
        hold=int(held.sum()),
        publish_share=share,
        threshold=run.threshold,
        median_score=float(table["score"].median()),
        one_change_away=int((held & (table["improvement_score_after"] >= run.threshold)).sum()),
        duplicates=int(table["duplicate_of"].notna().sum()),
        worst_axes={str(axis): int(count) for axis, count in table["worst_axis"].value_counts().items()},
        problems=dict(Counter(problem.effect for problem in run.problems.values())),
        seconds=round(seconds, 3),
        rows_per_second=round(len(table) / seconds, 3),
        require_share=require_share,
        passed=None if require_share is None else share >= require_share,
        assessments=str(out / TABLE),
        problem_rows=str(out / PROBLEMS) if run.problems else None,
        report=str(out / PAGE),
    )


def _problem_table(problems: Sequence[Problem]) -> pd.DataFrame:
    rows = [(p.row, None if p.product_id is None else str(p.product_id), p.effect, p.why) for p in problems]
    return pd.DataFrame(rows, columns=["row", "product_id", "effect", "why"])
