"""Answer for every row of a table, or for those that a run before this one left."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq

from catalog.catalogue import Catalogue
from catalog.links import key_type
from catalog.remote import is_remote, open_catalogue
from catalog.write import check_new
from configs.errors import CheckFailed, VitrinaError
from configs.load import validate
from configs.settings import Settings
from models.bundles import write_json
from models.family import scorer
from provenance.source import scoring_source
from registry.fetch import digest_of, fetch
from registry.versions import parse, resolve
from scoring.plan import MANIFEST, QUARANTINE, SCORES, SUMMARY, Manifest, Plan, Shard, open_plan, read_manifest
from scoring.request import Quarantined, ScoringOutcome, ScoringRequest
from scoring.shard import Job

EXAMPLES = 10
Progress = Callable[[str, int, int | None], None]


def run_scoring(settings: Settings, request: ScoringRequest, progress: Progress | None = None) -> ScoringOutcome:
    """Score what `request.out` does not hold yet, and say what became of all of it.

    Raises:
        ConfigError: the model scores no such table, or a value is wrong.
        CatalogueError: the table is absent or damaged.
        RegistryError: there is no such version, or its files are not what was registered.
        VitrinaError: `out` holds something else, or a worker cannot go on.
    """
    started = time.monotonic()
    chosen = scorer(parse(request.reference).model, request.table)
    config = validate(chosen.config, request.values, where=f"how {chosen.table} are scored")
    catalogue = open_catalogue(request.data, settings.deliveries)
    catalogue.require([chosen.table])
    key_type(catalogue, chosen.table, chosen.key)
    version = resolve(settings, request.reference)
    files = {table: _stamp(catalogue.path(table)) for table in catalogue.tables()}
    out = Path(request.out.replace("{version}", str(version.version)))
    data = _known(out, files) or catalogue.fingerprint()
    out = Path(str(out).replace("{data}", data[:12])).resolve()
    manifest = Manifest(
        model=version.model,
        version=version.version,
        digest=digest_of(version),
        source=scoring_source(version.model),
        table=chosen.table,
        data=data,
        config=config.model_dump(mode="json"),
        files=files,
    )
    fetch(settings, version)
    plan = _opened(out, manifest, catalogue)
    before = plan.finished()
    todo = [number for number in range(plan.shards) if number not in before]
    tell = progress or (lambda *_: None)
    done = sum(shard.rows for shard in before.values())
    left = plan.rows - done
    tell("scoring", done, plan.rows)
    given = tuple(one if is_remote(one) else str(Path(one).resolve()) for one in request.data)
    told = replace(settings, database_url="")  # it may hold a password, and no worker asks the database
    for shard in _scored(Job(told, version, given, str(out)), todo, request):
        done += shard.rows
        tell("scoring", done, plan.rows)
    if changed := [table for table, stamp in files.items() if _stamp(catalogue.path(table)) != stamp]:
        raise VitrinaError(f"{catalogue.path(changed[0])} has changed while it was scored; score it into another --out")
    return _outcome(plan, request, len(before), left, time.monotonic() - started)


def require_share(outcome: ScoringOutcome) -> None:
    """Check that enough rows were answered.

    Raises:
        CheckFailed: they were not.
    """
    if outcome.passed is False:
        share = f"{outcome.scored / outcome.n:.1%} of the rows were answered"
        raise CheckFailed(f"{share}, {outcome.require_share:.1%} was asked for; see {outcome.quarantine}")


def _scored(job: Job, numbers: Sequence[int], request: ScoringRequest) -> Iterator[Shard]:
    if not numbers:
        return iter(())
    if request.engine == "ray":
        from scoring.engines.cluster import score

        return score(job, numbers, request.ray)
    from scoring.engines.local import score as score_here

    return score_here(job, numbers)


def _opened(out: Path, manifest: Manifest, catalogue: Catalogue) -> Plan:
    if not (out / MANIFEST).is_file():
        check_new(out)
    return open_plan(out, manifest, catalogue)


def _outcome(plan: Plan, request: ScoringRequest, before: int, rows: int, seconds: float) -> ScoringOutcome:
    """Of all shards, as their files say, of which this run answered `rows` rows; written as `SUMMARY`.

    What killed workers left is removed.

    Raises:
        VitrinaError: a file is not there any more.
    """
    shards = plan.finished()
    lacking = [number for number in range(plan.shards) if number not in shards]
    if lacking:
        raise VitrinaError(f"{plan.path(SCORES, lacking[0])} is gone or damaged; run the command again")
    for partial in plan.out.glob("*/.part-*"):
        partial.unlink(missing_ok=True)
    scored, n = sum(shard.scored for shard in shards.values()), plan.rows
    share = request.require_share
    outcome = ScoringOutcome(
        model=plan.manifest.model,
        version=str(plan.manifest.version),
        table=plan.manifest.table,
        data=plan.manifest.data,
        engine=request.engine,
        n=n,
        scored=scored,
        quarantined=n - scored,
        examples=tuple(_examples(plan, shards)),
        shards=plan.shards,
        finished_before=before,
        seconds=round(seconds, 3),
        rows_per_second=round(rows / seconds, 3) if rows else None,
        require_share=share,
        passed=None if share is None else scored / n >= share,
        scores=str(plan.out / SCORES),
        quarantine=str(plan.out / QUARANTINE),
    )
    write_json(plan.out / SUMMARY, outcome.model_dump(mode="json"))
    return outcome


def _examples(plan: Plan, shards: dict[int, Shard]) -> Iterator[Quarantined]:
    """The first rows in quarantine."""
    left, key = EXAMPLES, plan.scorer.key
    for number in sorted(number for number, shard in shards.items() if shard.quarantined):
        found = pq.read_table(plan.path(QUARANTINE, number)).slice(0, left).to_pylist()
        yield from (Quarantined(row=row["row"], key=row[key], why=row["why"]) for row in found)
        left -= len(found)
        if not left:
            return


def _stamp(path: Path) -> tuple[int, int]:
    """Bytes and time of change of a file."""
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def _known(out: Path, files: dict[str, tuple[int, int]]) -> str | None:
    """Fingerprint of the catalogue where `out` was planned on these very files: terabytes of photos are not read again for it."""
    if not (out / MANIFEST).is_file():
        return None
    before = read_manifest(out)
    return before.data if before.files == files else None
