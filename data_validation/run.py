"""From a catalogue directory to a verdict: every check by name, and the rows that go to quarantine."""

import logging
from collections.abc import Collection, Mapping
from datetime import datetime
from pathlib import Path

import pandas as pd

from catalog.catalogue import Catalogue
from catalog.schema import TABLES
from configs.errors import CheckFailed
from configs.schema import ValidationConfig
from data_validation.engine import Engine
from data_validation.measures import decodable_ids, measure, types
from data_validation.results import CheckResult, ValidationResult, ValidationRun, empty_quarantine
from data_validation.suites import SCHEMA, rules_of

log = logging.getLogger(__name__)


def validate(
    catalogue: Catalogue,
    config: ValidationConfig,
    vocabulary: Mapping[str, Collection[str]] | None = None,
    now: datetime | None = None,
) -> ValidationRun:
    """Check every table of the catalogue.

    Args:
        catalogue: An opened directory.
        config: Bounds.
        vocabulary: Values that the model in production knows, by products column; others give a warning.
        now: Later times are in the future; the clock's by default.

    Raises:
        CatalogueError: a file cannot be read.
    """
    engine = Engine()
    tables = catalogue.tables()
    checks: dict[str, list[CheckResult]] = {}
    quarantine = [empty_quarantine()]
    decodable: set[str] = set()
    for table in sorted(tables, key=lambda name: name != "images"):  # products need to know which photos decode
        checks[table], _ = engine.check(table, "schema", (SCHEMA,), types(catalogue, table))
        if any(not check.passed and check.severity == "error" for check in checks[table]):
            continue
        frame = measure(catalogue, table, decodable, config, now)
        if table == "images":
            decodable = decodable_ids(frame)
        given = {column for column in TABLES[table] if column in frame and frame[column].notna().any()}
        rules = rules_of(table, config, given, vocabulary)
        of_rows, broken = engine.check(table, "row", rules, frame)
        _add_usable(frame, broken)
        of_table, _ = engine.check(
            table, "table", rules, frame.drop(columns=[c for c in TABLES[table] if c in frame and c not in given])
        )
        checks[table] += of_rows + of_table
        quarantine.append(broken)
    ordered = tuple(check for table in tables for check in checks[table])
    found = pd.concat(quarantine, ignore_index=True)
    result = ValidationResult(
        data=catalogue.fingerprint(),
        passed=not any(check.stops for check in ordered),
        rows={table: catalogue.rows(table) for table in tables},
        quarantined={table: int(found.loc[found["table"] == table, "row"].nunique()) for table in tables},
        checks=ordered,
    )
    return ValidationRun(result, found)


def usable(catalogue: Catalogue, config: ValidationConfig) -> Catalogue:
    """The catalogue without the rows that go to quarantine, as a training reads it; the log says how many those are.

    Raises:
        CatalogueError: a file cannot be read.
    """
    run = validate(catalogue, config)
    for table, rows in run.result.quarantined.items():
        if rows:
            log.warning("%d of %d rows of %s break a rule of validation and are left out", rows, run.result.rows[table], table)
    return catalogue.without(run.quarantine)


def require_passed(run: ValidationRun, report: Path | None = None) -> None:
    """Stop here unless the delivery passed.

    Raises:
        CheckFailed: a table-level rule is broken; names each, and the report.
    """
    if not run.result.passed:
        found = "; ".join(f"{check.table}: {check.detail}" for check in run.result.stopping())
        raise CheckFailed(f"the data did not pass validation: {found}" + (f"; see {report}" if report else ""))


def _add_usable(frame: pd.DataFrame, broken: pd.DataFrame) -> None:
    """Which rows are left, and what is left of columns that need several values."""
    frame["usable"] = (~frame.index.isin(broken["row"])).astype("float64")
    for column in ("article_type", "recommended"):
        if column in frame:
            frame[f"usable_{column}"] = frame[column].where(frame["usable"] == 1)
