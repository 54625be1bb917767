"""One monitoring run: load the window, match the reference to it, judge it, write the report, keep the verdict."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path

from configs.errors import ConfigError
from configs.schema import DriftConfig, StrictModel
from configs.settings import Settings
from database.monitor_runs import record_run
from monitoring.drift import judge
from monitoring.matching import match
from monitoring.report import write_report
from monitoring.verdict import DriftVerdict
from monitoring.window import read_reference, read_window


class MonitorOutcome(StrictModel):
    """What a monitoring run found.

    Attributes:
        window_key: Names the window; at most one retraining starts from it (`database.monitor_runs.claim_window`).
        report: Path of the HTML page.
    """

    model: str
    version: int
    window_key: str
    window_start: datetime | None
    window_end: datetime | None
    verdict: DriftVerdict
    report: str


def monitor(settings: Settings, config: DriftConfig, model: str, bundle: Path, version: str | int) -> MonitorOutcome:
    """Compare the newest predictions of `version` with the reference in its `bundle`.

    Raises:
        ConfigError: `version` is no number.
        ReferenceError: the bundle's reference cannot be read.
        DatabaseError: predictions cannot be read, or the verdict not be kept.
    """
    if not str(version).isdecimal():
        raise ConfigError(f"version {version!r} of {model} is not a number")
    number = int(version)
    reference, spec = read_reference(bundle)
    window = read_window(settings.database_url, model, number, config.window_rows, spec)
    matched = match(reference, window.frame, spec)
    verdict = _noted(judge(matched.reference, matched.current, spec, config), matched.notes)
    folder = settings.reports / "monitoring" / model / f"{number}-{window.key}"
    page = write_report(folder, model, number, matched.reference, replace(window, frame=matched.current), spec, verdict)
    record_run(
        settings.database_url,
        model,
        number,
        window.key,
        verdict=verdict.as_row(),
        window_start=window.start,
        window_end=window.end,
        report=page,
    )
    return MonitorOutcome(
        model=model,
        version=number,
        window_key=window.key,
        window_start=window.start,
        window_end=window.end,
        verdict=verdict,
        report=str(page),
    )


def _noted(verdict: DriftVerdict, notes: tuple[str, ...]) -> DriftVerdict:
    """The verdict with the notes; where there are too few rows, what was left out is a reason."""
    if verdict.enough_rows:
        return verdict.model_copy(update={"notes": notes})
    return verdict.model_copy(update={"reasons": (*verdict.reasons, *notes)})
