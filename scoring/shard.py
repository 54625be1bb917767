"""Answers for the rows of a shard: what every worker does, whichever engine started it."""

import os
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from catalog.catalogue import Catalogue
from catalog.images import LARGEST_SIDE, DecodedPhoto, decode
from catalog.remote import is_remote, open_catalogue
from configs.errors import VitrinaError
from configs.settings import Settings
from models import family
from provenance.source import scoring_source
from registry.fetch import fetch
from registry.versions import ModelVersion
from scoring.halving import BROKEN, halved, why
from scoring.plan import QUARANTINE, SCORES, Plan, Shard, read_manifest
from scoring.rows import Reader, Row


@dataclass(frozen=True)
class Job:
    """What a worker is told; each opens catalogue and version by itself.

    Attributes:
        settings: Where state lives, without the database: a worker fetches the version from the registry, once a machine, into
            the same folder there.
        version: That answers.
        data: Folders of the catalogue, or addresses from which each machine brings what it lacks.
        out: Folder of the answers.
    """

    settings: Settings
    version: ModelVersion
    data: tuple[str, ...]
    out: str


class ShardScorer:
    """A worker: it holds the model, and the rows of one shard at a time."""

    def __init__(self, job: Job) -> None:
        """Load the version.

        Raises:
            VitrinaError: the folders or the version are not there, a store holds another catalogue now, or this machine runs
                another source than the one that planned.
        """
        manifest = read_manifest(Path(job.out))
        if scoring_source(manifest.model) != manifest.source:
            raise VitrinaError(f"{os.uname().nodename} runs another source of {manifest.model} than the machine that planned")
        self.plan = Plan(Path(job.out), manifest)
        self.reader = Reader(self.plan, _catalogue(job, manifest.data))
        self.predictor = family.load(manifest.model, fetch(job.settings, job.version))
        self._known: tuple[Row, Any] | None = None  # a row that was answered
        key = self.plan.scorer.key
        self._about = [pa.field("row", pa.int64(), nullable=False), pa.field(key, self.reader.key_type)]

    def score(self, number: int) -> Shard:
        """Answer, and write the shard's files; those of one that is finished stay.

        Raises:
            VitrinaError: a table or a folder is gone, or the model answers nothing any more.
        """
        finished = self.plan.find(number)
        if finished is not None:
            return finished
        answers: list[dict[str, Any]] = []
        quarantined: list[dict[str, Any]] = []
        unexpected: Exception | None = None
        key = self.plan.scorer.key
        for row, said in self._answered(self.reader.read(*self.plan.span(number))):
            about = {"row": row.number, key: row.key}
            if isinstance(said, Exception):
                quarantined.append(about | {"why": why(said)})
                unexpected = unexpected if isinstance(said, VitrinaError) else said
            else:
                answers.append(about | said)
        if unexpected is not None and not self._works():
            raise VitrinaError(f"shard {number}: the model answers no more, and it is no fault of a row: {why(unexpected)}")
        if quarantined:
            self._write(QUARANTINE, number, len(answers), quarantined, pa.schema([*self._about, ("why", pa.string())]))
        else:
            self.plan.path(QUARANTINE, number).unlink(missing_ok=True)  # of a worker that was killed in between
        columns = self.plan.scorer.schema(self.plan.config)
        self._write(SCORES, number, len(answers), answers, pa.schema([*self._about, *columns]))
        shard = self.plan.find(number)
        assert shard is not None, "it was written just now"
        return shard

    def _answered(self, rows: Sequence[Row]) -> Iterator[tuple[Row, dict[str, Any] | Exception]]:
        """Each row with its answer, or with what keeps it from being answered; a batch is read and decoded at a time."""
        size = self.plan.config.batch_size
        for start in range(0, len(rows), size):
            read = [(row, self._asked(row)) for row in rows[start : start + size]]
            good = [(row, asked) for row, asked in read if not isinstance(asked, Exception)]
            said = {row.number: answer for (row, _), answer in halved(self._ask, good, BROKEN)}
            self._known = next((one for one in good if isinstance(said[one[0].number], dict)), self._known)
            for row, asked in read:
                yield row, said.get(row.number, asked)

    def _asked(self, row: Row) -> Any:
        """What the model is asked about a row, or why it cannot be asked."""
        if row.fault:
            return VitrinaError(row.fault)
        try:
            photo = None if row.photo is None else DecodedPhoto(decode(row.photo, max_side=LARGEST_SIDE))
            return self.plan.scorer.read(row.record, photo)
        except BROKEN as error:
            return error

    def _works(self) -> bool:
        """Whether what was answered before still is: a broken device refuses all rows, and none of them is to blame."""
        return self._known is not None and not any(
            isinstance(said, Exception) for _, said in halved(self._ask, [self._known], BROKEN)
        )

    def _ask(self, batch: Sequence[tuple[Row, Any]]) -> list[dict[str, Any]]:
        return self.plan.scorer.answer(self.predictor, [asked for _, asked in batch], self.plan.config)

    def _write(self, folder: str, number: int, scored: int, rows: Sequence[dict[str, Any]], schema: pa.Schema) -> None:
        """Write a file as a whole: it has its name when it is on the disk, and not before."""
        path = self.plan.path(folder, number)
        partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        try:
            with partial.open("wb") as file:
                pq.write_table(pa.Table.from_pylist(rows, self.plan.mark(schema, number, scored)), file, compression="zstd")
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except OSError as error:
            partial.unlink(missing_ok=True)
            if path.is_file():  # another worker was faster, and whoever waited for it has tidied up
                return
            raise VitrinaError(f"cannot write {path}: {error.strerror or error}") from error


def _catalogue(job: Job, planned: str) -> Catalogue:
    """The rows that were planned; what is brought from a store might be others."""
    catalogue = open_catalogue(job.data, job.settings.deliveries)
    if any(map(is_remote, job.data)) and catalogue.fingerprint() != planned:
        raise VitrinaError(f"{', '.join(job.data)} has changed while it was scored; score it into another --out")
    return catalogue
