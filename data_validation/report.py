"""The verdict as a page for people, the quarantine as files, and everything as JSON."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from data_validation.results import CheckResult, ValidationRun
from data_validation.rules import counted
from models.evaluation.page import Badge, Block, Section, Tone, Verdict, facts, lines, render_page, table, text, write_page

PAGE = "validation.html"
RESULT = "validation.json"
QUARANTINE = ("quarantine.parquet", "quarantine.csv")
_SHOWN = 20
"""Quarantined rows that the page shows of each rule."""


def write_report(run: ValidationRun, folder: Path) -> Path:
    """Write `validation.html`, `validation.json`, `quarantine.parquet` and `quarantine.csv` into `folder`; returns the page.

    Each file is replaced in one step, the page last, so that a page never speaks of files that are not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix=".writing-") as temporary:
        parquet, csv = (Path(temporary) / name for name in QUARANTINE)
        run.quarantine.to_parquet(parquet, index=False)
        run.quarantine.to_csv(csv, index=False)
        result = Path(temporary) / RESULT
        result.write_text(run.result.model_dump_json(indent=1), encoding="utf-8")
        for written in (parquet, csv, result):
            written.replace(folder / written.name)
    return write_page(folder / PAGE, render(run))


def render(run: ValidationRun) -> str:
    """The page as HTML."""
    result = run.result
    rows = sum(result.rows.values())
    subtitle = f"{rows:,} rows in {len(result.rows)} tables · data {result.data[:12]}"
    sections = [
        Section("What stops the run", "", [_stopping(result.stopping())]),
        Section(
            "What was found",
            "Rows that break an error go to quarantine and are left out of training; warnings are for the owner of the data.",
            [_faults([c for c in result.failures() if not c.stops])],
        ),
        Section("Tables", "", [_tables(run)]),
        Section("Quarantine", f"All of it is in {' and '.join(QUARANTINE)} beside this page.", _quarantine(run.quarantine)),
        Section("Every check", "", [_every(name, result.checks) for name in result.rows]),
    ]
    return render_page("Data validation", subtitle, _verdict(run), sections)


def _verdict(run: ValidationRun) -> Verdict:
    result = run.result
    stopping = result.stopping()
    if stopping:
        return Verdict("Stop: this delivery cannot be trained on", "bad", [f"{c.table}: {c.detail}" for c in stopping])
    quarantined = sum(result.quarantined.values())
    faults = len(result.failures())
    if not faults:
        return Verdict("Passed: no fault was found", "good")
    details = [f"{faults} of {len(result.checks)} checks found something", f"{quarantined:,} rows are in quarantine"]
    return Verdict("Passed: usable, with the faults below", "good" if not quarantined else "warn", details)


def _stopping(checks: Sequence[CheckResult]) -> Block:
    rows = [{"table": c.table, "rule": c.rule, "found": c.detail, "why it matters": c.reason} for c in checks]
    return table(rows, tones=["bad"] * len(rows), empty="Nothing.")


def _faults(checks: Sequence[CheckResult]) -> Block:
    ordered = sorted(checks, key=lambda c: (c.severity, -c.failed_rows))
    rows = [
        {
            "table": c.table,
            "rule that is broken": c.rule,
            "": _severity(c),
            "rows": c.failed_rows if c.level == "row" else None,
            "found": lines([(example, None) for example in c.examples[:3]]) if c.level == "row" else c.detail,
            "why it matters": c.reason,
        }
        for c in ordered
    ]
    return table(rows, {"rows": ",.0f"}, empty="No fault was found.")


def _severity(check: CheckResult) -> Badge:
    tone: Tone = "bad" if check.severity == "error" else "warn"
    return Badge("quarantined" if check.severity == "error" and check.level == "row" else check.severity, tone)


def _tables(run: ValidationRun) -> Block:
    result = run.result
    rows = []
    for name, count in result.rows.items():
        checks = [c for c in result.checks if c.table == name]
        failed = sum(not c.passed for c in checks)
        quarantined = result.quarantined[name]
        rows.append(
            {
                "table": name,
                "rows": count,
                "in quarantine": quarantined,
                "share": quarantined / count if count else 0.0,
                "checks": len(checks),
                "that found something": failed,
            }
        )
    return table(rows, {"rows": ",", "in quarantine": ",", "share": ".2%"})


def _quarantine(quarantine: pd.DataFrame) -> list[Block]:
    if quarantine.empty:
        return [text("No row is in quarantine.")]
    counts = Counter(zip(quarantine["table"], quarantine["rule"], strict=True))
    shown = quarantine.groupby(["table", "rule"], sort=False).head(_SHOWN).drop(columns="rule")
    caption = (
        f"The first {_SHOWN} rows of each rule, {len(shown):,} of {len(quarantine):,}." if len(shown) < len(quarantine) else ""
    )
    return [
        facts({f"{name}: {rule}": counted(count, "row", "rows") for (name, rule), count in counts.most_common()}),
        table(shown, {"row": "d"}, caption=caption),
    ]


def _every(name: str, checks: Sequence[CheckResult]) -> Block:
    rows = [
        {
            "rule": c.rule,
            "level": c.level,
            "severity": c.severity,
            "result": Badge("passed", "good") if c.passed else Badge(c.detail, "bad" if c.severity == "error" else "warn"),
        }
        for c in checks
        if c.table == name
    ]
    return table(rows, caption=name)
