"""What is asked of a batch, and what it comes to."""

from typing import Any, Literal

from pydantic import Field

from configs.schema import PositiveFloat, PositiveInt, Share, StrictModel

Engine = Literal["local", "ray"]


class RayConfig(StrictModel):
    """Where the engine `ray` finds its workers."""

    address: str | None = Field(
        None,
        description="of a cluster, such as head:6379, or auto; by default one starts on this machine and ends with the command",
    )
    workers: PositiveInt | None = Field(None, description="at most; as many as the cluster has room for by default")
    least_workers: PositiveInt = Field(1, description="without which nothing begins")
    cpus: PositiveFloat = Field(1.0, description="cores of a worker, and its threads")
    gpus: float | None = Field(None, ge=0.0, description="GPUs of a worker, or a share of one; 1 where the cluster has any")
    patience_seconds: PositiveInt = Field(3600, description="the run ends where no shard was finished for so long")


class ScoringRequest(StrictModel):
    """A table to be answered."""

    reference: str = Field(description="MODEL, MODEL@ALIAS or MODEL@VERSION")
    data: tuple[str, ...] = Field(min_length=1, description="catalogue directories, on a volume that every worker sees")
    out: str = Field(
        min_length=1,
        description="folder of the answers, on such a volume as well; what is finished is not computed again. {version} and "
        "{data} in it become the version and the beginning of the catalogue's fingerprint",
    )
    table: str | None = Field(None, description="of which rows; the model's first one by default")
    values: dict[str, Any] = Field({}, description="how the model answers: its `config` in models/<name>/scoring.py")
    engine: Engine = Field("local", description="this process, or Ray's")
    ray: RayConfig = RayConfig()
    require_share: Share | None = Field(None, description="least share of the rows to be answered")


class Quarantined(StrictModel):
    """A row that could not be answered."""

    row: int = Field(description="its position in the table")
    key: int | str | None = Field(description="its id; none where it is missing")
    why: str = Field(description="one line")


class ScoringOutcome(StrictModel):
    """What became of a table."""

    model: str = Field(description="that answered")
    version: str = Field(description="its registered version")
    table: str = Field(description="whose rows were answered")
    data: str = Field(description="fingerprint of the catalogue")
    engine: Engine = Field(description="of this run")
    n: int = Field(description="rows of the table")
    scored: int = Field(description="rows with an answer")
    quarantined: int = Field(description="rows without one")
    examples: tuple[Quarantined, ...] = Field(description="the first of these")
    shards: int = Field(description="output files")
    finished_before: int = Field(description="of these, files that an earlier run had finished")
    seconds: float = Field(description="of this run, with starting workers and loading models")
    rows_per_second: float | None = Field(description="rows of this run a second; none where nothing was left to do")
    require_share: Share | None = Field(description="least share to be answered that was asked for")
    passed: bool | None = Field(description="whether it was reached; none where none was asked for")
    scores: str = Field(description="folder of Parquet files, in the order of the rows")
    quarantine: str = Field(description="folder of Parquet files that name the rows without an answer")
