"""What monitoring says, in a form that survives JSON."""

from typing import Any, Literal

from pydantic import Field

from configs.schema import StrictModel

Kind = Literal["numerical", "categorical", "text", "embedding", "missing"]


class ReferenceSpec(StrictModel):
    """What each column of the reference is; `reference.json` of a bundle."""

    numerical: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    embedding: str | None = Field(default=None, description="column of equally long vectors")
    prediction: tuple[str, ...] = Field(
        default=(), description="predicted_X columns whose truth comes back as label X; a list is right where it holds the truth"
    )
    confidence: str | None = Field(default=None, description="column with the confidence of the first prediction")
    identity: tuple[str, ...] | None = Field(
        default=None,
        description="logged inputs that name whom or what an answer is about, such as a user: answers that agree in them count "
        "once, one that lacks any counts by itself; empty: each counts by itself; by default all inputs but those of `match`",
    )
    match: tuple[str, ...] = Field(
        default=(),
        description="columns that say how an example was told, such as with its categories or without; they are not tested: the "
        "reference is drawn with the window's shares of their values",
    )
    example: str | None = Field(
        default=None,
        description="column of the reference alone that names an example: of rows that agree in it, being one example told in "
        "several ways, at most one is drawn; by default each row is an example; read where `match` names a column",
    )

    def kinds(self) -> dict[str, Kind]:
        """Kind by column, in order."""
        kinds: dict[str, Kind] = {}
        kinds |= dict.fromkeys(self.numerical, "numerical")
        kinds |= dict.fromkeys(self.categorical, "categorical")
        kinds |= dict.fromkeys(self.text, "text")
        return kinds | ({self.embedding: "embedding"} if self.embedding else {})


class ColumnDrift(StrictModel):
    """One test of one column."""

    column: str
    kind: Kind
    test: str = Field(description="name of the test, or why there was none")
    effect: float | None = Field(default=None, description="size of the difference, 0 to 1")
    measure: str = Field(default="", description="what the effect is")
    change: str = Field(default="", description="the largest change, in words; empty where no phrase describes it")
    p_value: float | None = None
    adjusted_p: float | None = Field(default=None, description="p-value after Holm's correction over all tests")
    drifted: bool = False


class PerformanceDrift(StrictModel):
    """Errors of one prediction, on the reference and where feedback came."""

    prediction: str
    hits: bool = Field(default=False, description="answers are lists, and wrong where they lack the truth")
    n_reference: int
    n_current: int = Field(description="predictions of the window with feedback")
    reference_error: float | None = None
    current_error: float | None = None
    p_value: float | None = None
    adjusted_p: float | None = None
    drifted: bool = False
    note: str = ""

    @property
    def rise(self) -> float:
        """Change of the error rate, 0 where it was not compared."""
        return (self.current_error or 0.0) - (self.reference_error or 0.0)

    @property
    def loss(self) -> float:
        """Share of the reference's right answers that the window lacks; 0 where it was not compared, or the share rose."""
        if self.reference_error is None or self.reference_error >= 1.0:
            return 0.0
        return max(0.0, self.rise) / (1.0 - self.reference_error)


class DriftVerdict(StrictModel):
    """Whether what is served still looks like what was trained on."""

    drifted: bool
    enough_rows: bool
    n_reference: int
    n_current: int
    alpha: float
    min_effect: float
    columns: tuple[ColumnDrift, ...] = ()
    performance: tuple[PerformanceDrift, ...] = ()
    reasons: tuple[str, ...] = Field(default=(), description="why, a line each")
    notes: tuple[str, ...] = Field(default=(), description="what of the window was left out, a line each")

    @property
    def summary(self) -> str:
        """drift, no drift, or not enough data."""
        if not self.enough_rows:
            return "not enough data"
        return "drift" if self.drifted else "no drift"

    def as_row(self) -> dict[str, Any]:
        """JSON values for the table of monitoring runs."""
        return self.model_dump(mode="json") | {"summary": self.summary}
