"""What a batch is, before anything is computed: which rows, by which version, in which files.

A folder of answers holds `scoring.json` (the manifest), `rows.parquet` (what is known of all rows together), `scores/` and
`quarantine/` with a file a shard, and in the end `summary.json`. A shard is finished when its file in `scores/` is there: files
are written under another name, and renamed. So it is there once, whoever is killed, and however many workers compute it.
"""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field, ValidationError

from catalog.catalogue import Catalogue
from catalog.links import distinct_keys, link_rows
from catalog.schema import KEY
from catalog.write import new_catalogue
from configs.errors import VitrinaError
from configs.schema import ScoringConfig, StrictModel
from models.bundles import write_json
from models.family import Scorer, scorer

MANIFEST, ROWS, SCORES, QUARANTINE, SUMMARY = "scoring.json", "rows.parquet", "scores", "quarantine", "summary.json"
_MARK = b"vitrina.shard"
_READERS = 16


class Manifest(StrictModel):
    """What the answers in a folder depend on; all of it must be the same for a run that goes on."""

    model: str = Field(description="that answers")
    version: int = Field(description="registered version")
    digest: str = Field(description="SHA-256 of the manifest that sealed its files")
    source: str = Field(description="digest of the source that answers")
    table: str = Field(description="whose rows are answered")
    data: str = Field(description="fingerprint of the catalogue")
    config: dict[str, Any] = Field(description="how the model answers, and how many rows a shard has")
    files: dict[str, tuple[int, int]] = Field(
        {},
        description="bytes and time of change of each table: where they are the same, its content is not read again",
    )

    @property
    def depends(self) -> dict[str, Any]:
        """Every value by its name."""
        return self.model_dump(mode="json", exclude={"files", "config"}) | self.config

    @property
    def sha256(self) -> str:
        """Of all of it; every file says it."""
        return hashlib.sha256(json.dumps(self.depends, sort_keys=True).encode()).hexdigest()


class Shard(StrictModel):
    """What became of the rows of one file."""

    number: int
    rows: int
    scored: int
    manifest: str

    @property
    def quarantined(self) -> int:
        """Rows without an answer."""
        return self.rows - self.scored


@dataclass(frozen=True)
class Plan:
    """A folder of answers."""

    out: Path
    manifest: Manifest

    @cached_property
    def scorer(self) -> Scorer:
        """What answers."""
        return scorer(self.manifest.model, self.manifest.table)

    @cached_property
    def config(self) -> ScoringConfig:
        """How it answers."""
        return self.scorer.config.model_validate(self.manifest.config)

    @cached_property
    def rows(self) -> int:
        """That are answered."""
        return int(pq.read_metadata(self.out / ROWS).num_rows)

    @property
    def shards(self) -> int:
        """Number of files."""
        return -(-self.rows // self.config.shard_rows)

    def span(self, number: int) -> tuple[int, int]:
        """First row of a shard, and the one behind its last."""
        start = number * self.config.shard_rows
        return start, min(start + self.config.shard_rows, self.rows)

    def path(self, folder: str, number: int) -> Path:
        """File of a shard in `scores` or `quarantine`."""
        return self.out / folder / f"part-{number:08}.parquet"

    def finished(self) -> dict[int, Shard]:
        """Shards that are there, by number; a file that is damaged is as good as none.

        Raises:
            VitrinaError: a file belongs to another batch.
        """
        with ThreadPoolExecutor(_READERS) as pool:
            found = pool.map(self.find, range(self.shards))
            return {shard.number: shard for shard in found if shard is not None}

    def find(self, number: int) -> Shard | None:
        """A shard, where it is finished; see `finished`."""
        path = self.path(SCORES, number)
        if not path.is_file():
            return None
        try:
            metadata = pq.read_metadata(path)
            shard = Shard.model_validate_json((metadata.metadata or {}).get(_MARK, b""))
            quarantined = pq.read_metadata(self.path(QUARANTINE, number)).num_rows if shard.quarantined else 0
        except (pa.ArrowException, OSError):
            return None
        except ValidationError as error:
            raise VitrinaError(f"{path} is no file of this batch; remove it, or give another --out") from error
        if shard.manifest != self.manifest.sha256:
            raise VitrinaError(f"{path} belongs to another batch; remove it, or give another --out")
        start, stop = self.span(number)
        whole = (metadata.num_rows, quarantined, shard.rows) == (shard.scored, shard.quarantined, stop - start)
        return shard if whole and shard.number == number else None

    def mark(self, schema: pa.Schema, number: int, scored: int) -> pa.Schema:
        """The schema of a shard's file, which says which shard it is and how many of its rows were answered."""
        start, stop = self.span(number)
        shard = Shard(number=number, rows=stop - start, scored=scored, manifest=self.manifest.sha256)
        return schema.with_metadata({_MARK: shard.model_dump_json().encode()})


def open_plan(out: Path, manifest: Manifest, catalogue: Catalogue) -> Plan:
    """The batch `manifest` in `out`: the one that is there already, or a new one, made as a whole or not at all.

    Raises:
        VitrinaError: `out` holds another batch or something else, or cannot be written; says what differs.
    """
    plan = Plan(out, manifest)
    if not (out / MANIFEST).is_file():
        with new_catalogue(out) as folder:
            if not _link(plan.scorer, catalogue, folder / ROWS):
                raise VitrinaError(f"{catalogue.path(manifest.table)} has no row to answer")
            for name in (SCORES, QUARANTINE):
                (folder / name).mkdir()
            write_json(folder / MANIFEST, manifest.model_dump(mode="json"))
        return plan
    before, now = read_manifest(out).depends, manifest.depends
    for name in sorted(before | now, key=[*before, *now].index):
        if before.get(name) != now.get(name):
            was, wanted = (_short(values.get(name)) for values in (before, now))
            raise VitrinaError(f"{out} holds answers with {name} {was}, not {wanted}; go on with that, or give another --out")
    return plan


def read_manifest(out: Path) -> Manifest:
    """Of the batch in `out`.

    Raises:
        VitrinaError: it is missing or damaged, which on another machine means that the folder is on no volume that it sees.
    """
    try:
        return Manifest.model_validate_json((out / MANIFEST).read_bytes())
    except (OSError, ValidationError) as error:
        raise VitrinaError(f"{out / MANIFEST} cannot be read; --out must be a folder that every worker sees") from error


def names_rows(chosen: Scorer) -> bool:
    """Whether the key names the rows of the table; else each of its values is one row of the answers."""
    return KEY.get(chosen.table) == chosen.key


def _link(chosen: Scorer, catalogue: Catalogue, out: Path) -> int:
    """Write `ROWS`: ids that repeat and where photos lie or, where a value of the key is a row, these; returns how many."""
    if names_rows(chosen):
        return link_rows(catalogue, chosen.table, chosen.key, out, chosen.photos)
    return distinct_keys(catalogue, chosen.table, chosen.key, out)


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:12]}…"
