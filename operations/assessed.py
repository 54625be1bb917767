"""What an assessment of a catalogue comes to."""

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from configs.schema import Share, StrictModel

TABLE, PROBLEMS, PAGE = "assessments.parquet", "problems.parquet", "index.html"
Effect = Literal["left out", "assessed without photo"]


@dataclass(frozen=True)
class Problem:
    """A row of the catalogue that could not be read as it should.

    Attributes:
        row: Its position in the table.
        product_id: As it is there; None where it is missing.
        effect: What became of it.
        why: One line.
    """

    row: int
    product_id: Any
    effect: Effect
    why: str


class AssessingOutcome(StrictModel):
    """What became of a catalogue."""

    model: str = Field(description="that assessed it")
    version: str = Field(description="its registered version")
    data: str = Field(description="fingerprint of the catalogue")
    n: int = Field(description="rows of the catalogue")
    assessed: int = Field(description="rows with an assessment")
    publish: int = Field(description="of these, listings whose score reaches the threshold")
    hold: int = Field(description="the others")
    publish_share: float = Field(description="share of the assessed listings to be published")
    threshold: float = Field(description="score from which a listing is published")
    median_score: float = Field(description="of the assessed listings")
    one_change_away: int = Field(description="held listings that their first improvement alone would lift to the threshold")
    duplicates: int = Field(description="listings for which another one of the catalogue is probably the same product")
    worst_axes: dict[str, int] = Field(description="how many listings score lowest on each axis")
    problems: dict[str, int] = Field(description="rows that could not be read, by what became of them")
    seconds: float = Field(description="that it took, without loading the model")
    rows_per_second: float = Field(description="assessed rows a second")
    require_share: Share | None = Field(description="least share to be published that was asked for")
    passed: bool | None = Field(description="whether it was reached; none where none was asked for")
    assessments: str = Field(description="Parquet file with a row an assessed product")
    problem_rows: str | None = Field(description="Parquet file that lists the problems; none without any")
    report: str = Field(description="HTML page")
