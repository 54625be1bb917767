# ruff: noqa: S608 (names and values are quoted by catalog.importing.sql)
"""One import: a file and a mapping in, a table of a catalogue out."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from catalog.catalogue import Catalogue
from catalog.errors import CatalogueError
from catalog.importing import variants as grouping
from catalog.importing.dates import check_forms
from catalog.importing.findings import Findings, find, find_forms
from catalog.importing.mapping import ImageMapping, ImportMapping
from catalog.importing.photo_files import PhotoFiles
from catalog.importing.photos import PhotoWriter, photo_names, photo_writer
from catalog.importing.quarantine import Quarantine
from catalog.importing.relation import KEPT, KNOWN, Relation
from catalog.importing.source import LINE, Progress, Source
from catalog.importing.sources.open import open_source
from catalog.importing.summary import ImportRecord, ImportSummary
from catalog.importing.table import TableReader
from catalog.importing.target import REPORTS, target
from catalog.schema import TABLES, is_key

SHARE_TOLD = 0.5
"""A larger share of rows that say nothing, of values that cannot be read or of products without a photo is likely not meant."""

_SAME_KEYS = {"item_id": ("item_id", "product_id"), "product_id": ("product_id", "item_id")}
"""Keys that name the same things in several tables."""


@dataclass(frozen=True)
class _Job:
    """What there is to do."""

    mapping: ImportMapping
    source: Source
    folder: Path
    files: PhotoFiles | None
    catalogue: Catalogue | None
    progress: Progress | None


def import_table(
    mapping: ImportMapping,
    file: Path,
    images: Path | None = None,
    *,
    out: Path | None = None,
    into: Path | None = None,
    progress: Progress | None = None,
) -> ImportSummary:
    """Make the table of `mapping` from `file`, and those of photos and variants beside it.

    Args:
        mapping: What the file's columns mean.
        file: CSV, JSON, spreadsheet, XML, or a folder of photos.
        images: Folder that the photos lie below; `file` itself where that is a folder.
        out: Catalogue directory to make, or
        into: one that gets the table.
        progress: Told how far it is.

    Raises:
        CatalogueError: the file cannot be read or is no table; lacks a mapped column; contradicts itself, in its numbers or
            currencies; has more rows that do not fit than `max_quarantined` allows, or none that does; the place cannot be used.
    """
    images = images or (file if file.is_dir() else None)
    if images is not None and mapping.table != "products":
        raise CatalogueError(f"photos belong to products, not to {mapping.table}; leave out the image folder")
    tables = [mapping.table, *(["images"] if images else []), *(["variants"] if mapping.variants else [])]
    with target(out, into, tables) as folder:
        files = None if images is None else PhotoFiles.below(images)
        with _understood(file), open_source(file, mapping, progress) as source:
            catalogue = None if into is None else Catalogue.open(into)
            return _import(_Job(mapping, source, folder, files, catalogue, progress), out or into or folder)


def _import(job: _Job, out: Path) -> ImportSummary:
    mapping, source = job.mapping, job.source
    quarantine = Quarantine.of(source, mapping.unreadable)
    quarantine.check(_all_rows(source), mapping.max_quarantined)
    if source.misfits and not source.rows:
        raise CatalogueError(f"{source.path}: no row comes in: {_why_none(quarantine, 0)}")
    if not source.rows:
        raise CatalogueError(f"{source.path} has no row beside its header")
    check_forms(mapping.date_format)
    relation = Relation.of(source, mapping)
    kept, notes = _filtered(relation)
    names = None if job.files is None else photo_names(relation, mapping.images)
    findings = _find(relation, names, quarantine, job.catalogue)
    (job.folder / REPORTS).mkdir()
    reader = TableReader(relation, findings, quarantine, names)
    grouped = _grouped(relation)
    with _photos(job, reader) as photos:
        rows = _write(job, reader, kept - grouped)
    quarantine.check(kept + len(source.misfits), mapping.max_quarantined)
    if not rows:
        raise CatalogueError(f"{source.path}: no row comes in: {_why_none(quarantine, source.rows - kept)}")
    counts = {"rows": rows, "filtered": source.rows - kept, "grouped": grouped, "variants": _write_variants(job, reader)}
    notes = [*source.notes, *notes, *findings.notes, *quarantine.notes()]
    summary = _with_photos(_summary(job, out, findings, quarantine, counts, notes), mapping.images, photos)
    return _reported(job, quarantine, summary)


def _summary(
    job: _Job, out: Path, findings: Findings, quarantine: Quarantine, counts: dict[str, int], notes: list[str]
) -> ImportSummary:
    """What is known of the rows."""
    warnings = list(findings.warnings)
    for column, count in quarantine.dropped.items():
        if count > SHARE_TOLD * counts["rows"]:
            warnings.append(f"{column} could not be read in {count:,} rows; see the notes")
    left_out = quarantine.by_kind(counts=False)
    if sum(left_out.values()) > SHARE_TOLD * _all_rows(job.source):
        warnings.append(f"most rows say nothing: {_listed(left_out)}; are the right columns mapped?")
    return ImportSummary(
        out=str(out),
        table=job.mapping.table,
        read=_all_rows(job.source),
        **counts,
        quarantined=quarantine.by_kind(counts=True),
        left_out=left_out,
        dropped=dict(quarantine.dropped),
        currency=findings.currency,
        notes=tuple(notes),
        warnings=tuple(warnings),
    )


def _find(relation: Relation, names: str | None, quarantine: Quarantine, catalogue: Catalogue | None) -> Findings:
    """What all rows say, once those of a product are grouped."""
    forms, notes = find_forms(relation)
    mapping, rows = relation.mapping, KEPT
    if mapping.variants is not None:
        grouping.group(relation, mapping.variants, forms, names or "CAST([] AS VARCHAR[])", quarantine)
        rows = grouping.PRODUCTS
    findings = find(relation, rows, forms, notes)
    return findings if catalogue is None else _as_there(findings, catalogue)


def _as_there(findings: Findings, catalogue: Catalogue) -> Findings:
    """Ids that other tables have as texts are texts here too; the other way round it must be told."""
    fields = [field for table in catalogue.tables() for field in catalogue.columns(table) if is_key(field.name)]
    kinds = {field.name: bool(pa.types.is_integer(field.type)) for field in fields}
    texts, numbers = (
        {own for own in findings.keys if any(kinds.get(same) is integer for same in _SAME_KEYS.get(own, (own,)))}
        for integer in (False, True)
    )
    warnings = [
        f"{key} holds texts, and {catalogue.root} has whole numbers for the same: no row of the two tables will meet"
        for key in sorted(numbers - findings.integers)
    ]
    return replace(findings, integers=findings.integers - texts, warnings=(*findings.warnings, *warnings))


def _filtered(relation: Relation) -> tuple[int, list[str]]:
    """Rows that the filters keep, and what must be told of them."""
    ((kept,),) = relation.query(f"SELECT count(*) FROM {KEPT}")
    notes = []
    for condition in relation.conditions:
        if condition.unread is not None:
            query = f"SELECT count(*), min({LINE}) FROM {KNOWN} WHERE {condition.unread}"
            ((count, line),) = relation.query(query)
            if count:
                notes.append(
                    f"where {condition.says}: {count:,} values are no numbers, their rows are left out; first: line {line}"
                )
    return int(kept), notes


@contextmanager
def _photos(job: _Job, reader: TableReader) -> Iterator[PhotoWriter | None]:
    """A writer of photos that the reader hands them to, where there is a folder of them."""
    if job.files is None:
        yield None
        return
    integers = "product_id" in reader.findings.integers
    table, wanting = job.folder / "images.parquet", job.folder / REPORTS / "photos.csv"
    with photo_writer(job.files, job.mapping.images, table, wanting, integers) as writer:
        reader.photos = writer.write
        yield writer
    if not writer.unreadable:
        wanting.unlink()


def _write(job: _Job, reader: TableReader, total: int) -> int:
    """Stream the rows into the table; how many come in."""
    rows = 0
    with pq.ParquetWriter(job.folder / f"{job.mapping.table}.parquet", reader.schema, compression="zstd") as writer:
        for done, table in reader.batches():
            writer.write_table(table)
            rows += table.num_rows
            if job.progress is not None:
                job.progress("bringing in rows", done, total)
    return rows


def _write_variants(job: _Job, reader: TableReader) -> int:
    variants = job.mapping.variants
    if variants is None:
        return 0
    integers = "product_id" in reader.findings.integers
    schema = pa.schema(TABLES["variants"]).set(0, pa.field("product_id", pa.int64() if integers else pa.string()))
    rows = 0
    with pq.ParquetWriter(job.folder / "variants.parquet", schema, compression="zstd") as writer:
        for table in grouping.variant_rows(reader.relation, variants, "price" in reader.findings.forms, reader.left_out):
            writer.write_table(table.cast(schema))
            rows += table.num_rows
    return rows


def _grouped(relation: Relation) -> int:
    if relation.mapping.variants is None:
        return 0
    ((rows,),) = relation.query(f"SELECT count(*) FROM {grouping.GROUPED} WHERE NOT {grouping.FAULTY}")
    ((products,),) = relation.query(f"SELECT count(*) FROM {grouping.PRODUCTS}")
    return int(rows) - int(products)


def _with_photos(summary: ImportSummary, images: ImageMapping, photos: PhotoWriter | None) -> ImportSummary:
    """The summary with what became of photos."""
    warnings = list(summary.warnings)
    if photos is None:
        if images.columns or images.file is not None:
            warnings.append("the mapping says where photos lie, and no folder of them was given: none came in (--images DIR)")
        return summary.model_copy(update={"warnings": tuple(warnings)})
    lacking = summary.rows - photos.products
    if not photos.products:
        examples = f"; such as {'; '.join(photos.examples)}" if photos.examples else "; no row names one"
        warnings.append(f"no product has a photo: not one of {summary.rows:,} was found below {photos.files.root}{examples}")
    elif lacking > SHARE_TOLD * summary.rows:
        warnings.append(f"{lacking:,} of {summary.rows:,} products have no photo")
    counts = {"images": photos.images, "missing_images": lacking, "unreadable_images": photos.unreadable}
    return summary.model_copy(update={**counts, "notes": (*summary.notes, *_unused(photos)), "warnings": tuple(warnings)})


def _unused(photos: PhotoWriter) -> list[str]:
    """A line where photos of the folder belong to no product."""
    unused = sorted(photos.files.photos - photos.used)
    if not unused:
        return []
    what = "1 photo" if len(unused) == 1 else f"{len(unused):,} photos"
    belong = "belongs" if len(unused) == 1 else "belong"
    return [f"{what} below {photos.files.root} {belong} to no product that came in, such as {unused[0]}"]


def _reported(job: _Job, quarantine: Quarantine, summary: ImportSummary) -> ImportSummary:
    """Write the lists and the record of the import."""
    folder, table = job.folder / REPORTS, job.mapping.table
    names = {"record": f"{table}.json"}
    if quarantine.faults:
        names["quarantine"] = f"{table}-quarantine.csv"
        quarantine.write(folder / names["quarantine"], job.source)
    if (folder / "photos.csv").is_file():
        names["photos"] = "photos.csv"
    files = {what: str(Path(summary.out) / REPORTS / name) for what, name in names.items()}
    reported = summary.model_copy(update={"files": files})
    record = ImportRecord(summary=reported, mapping=job.mapping).model_dump_json(indent=2)
    (folder / names["record"]).write_text(record + "\n", encoding="utf-8")
    return reported


def _all_rows(source: Source) -> int:
    return source.rows + len(source.misfits)


def _why_none(quarantine: Quarantine, filtered: int) -> str:
    kinds = {**quarantine.by_kind(counts=True), **quarantine.by_kind(counts=False)}
    first = min(quarantine.faults, key=lambda fault: fault.line, default=None)
    told = "" if first is None else f"; first: line {first.line}: {first.detail}"
    return _listed({**kinds, **({"left out by where": filtered} if filtered else {})}) + told


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {what}" for what, count in counts.items())


@contextmanager
def _understood(file: Path) -> Iterator[None]:
    """What the database cannot do becomes one line: no room in memory or on disk."""
    try:
        yield
    except duckdb.Error as error:
        raise CatalogueError(f"{file} cannot be worked on: {' '.join(str(error).split())[:300]}") from error
