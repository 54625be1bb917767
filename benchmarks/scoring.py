"""What does a batch that answers for every row of a catalogue cost, beside a plain loop over the predictor?

Rows a second and processor-seconds a million rows of each bundle that is given: read, decoded, answered and written by one
worker of `vitrina score`; by a loop over the same predictor that holds the catalogue in memory and writes nothing; by Ray with a
worker a core, from its first finished shard to its last. Without `--bundle product=DIR` an untrained one of the base preset is
timed. `--plan` lays out a table of so many made-up ids, as the first step of a batch does.

    OMP_NUM_THREADS=1 python -m benchmarks.scoring [--bundle MODEL=DIR ...] [--rows 2000] [--plan 100000000]
"""

import argparse
import json
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

from benchmarks.machine import in_a_process, write
from benchmarks.untrained import write_bundle
from catalog.catalogue import Catalogue, records_of
from catalog.images import LARGEST_SIDE, DecodedPhoto, decode
from catalog.links import link_rows
from configs.settings import Settings
from models import family
from models.family import Scorer
from provenance.source import scoring_source
from registry.fetch import digest_of, fetch
from registry.register import register
from registry.versions import ModelVersion, resolve
from scoring.engines.cluster import score as score_by_ray
from scoring.halving import halved
from scoring.plan import Manifest, Plan, open_plan
from scoring.request import RayConfig
from scoring.shard import Job, ShardScorer

DATA = Path(os.environ.get("VITRINA_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
CASES: dict[str, tuple[str, str, str, int]] = {
    # name: model, data set, tables, divisor of --rows
    "product": ("product", "myntra", "products images", 1),
    "product, texts alone": ("product", "myntra", "products", 1),
    "quality": ("quality", "myntra", "products images", 4),
    "describer": ("describer", "myntra", "products", 40),
    "reviews": ("product", "reviews", "reviews", 1),
    "recommender": ("recommender", "amazon_beauty", "purchases", 1),
}
SHARDS = 20
MILLION = 1_000_000


def main() -> None:
    """Measure every case whose bundle and data are there, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", action="append", default=[], metavar="MODEL=DIR")
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--no-ray", action="store_true")
    parser.add_argument("--plan", type=int, help="rows of a made-up table")
    parser.add_argument("--plan-alone", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--dry", action="store_true", help="print the result, write no file")
    options = parser.parse_args()
    if options.plan_alone:
        print(json.dumps(linked(options.plan_alone)))
        return
    result: dict[str, Any] = {"threads": os.environ.get("OMP_NUM_THREADS"), "workers": options.workers, "cases": {}}
    if options.plan:
        result["plan"] = planned(options.plan)
    with tempfile.TemporaryDirectory(prefix="vitrina-scoring-") as folder:
        home = Path(folder)
        bundles = dict(given.split("=", 1) for given in options.bundle)
        if "product" not in bundles:
            learned = (options.data / "myntra", options.data / "reviews")
            bundles["product"] = str(write_bundle(home / "product", *learned, rows=options.rows))
        settings = Settings(home, f"sqlite:///{home / 'vitrina.db'}", f"sqlite:///{home / 'mlflow.db'}")
        for model, bundle in bundles.items():
            register(settings, model, Path(bundle), metrics={}, config={}, tags={"vitrina.gates": "passed"}, reports={})
        for name, (model, data, tables, divisor) in CASES.items():
            if model in bundles and (options.data / data).is_dir():
                shop = few(options.data / data, home / name / "shop", tables.split(), max(SHARDS, options.rows // divisor))
                case = Case(settings, model, name, shop, home / name)
                result["cases"][name] = case.measured(None if options.no_ray else options.workers)
                print(name, json.dumps(result["cases"][name]), flush=True)
    print(json.dumps(result, indent=1))
    if not options.dry:
        write("scoring", result)


def few(source: Path, out: Path, tables: list[str], rows: int) -> Catalogue:
    """A catalogue of the first rows; of purchases those of the first users."""
    out.mkdir(parents=True)
    for table in tables:
        path = out / f"{table}.parquet"
        chosen = f"FROM '{source}/{table}.parquet' LIMIT {rows}"
        if table == "purchases":
            users = f"SELECT DISTINCT user_id FROM '{source}/{table}.parquet' ORDER BY user_id LIMIT {rows}"
            chosen = f"FROM '{source}/{table}.parquet' WHERE user_id IN ({users})"
        duckdb.sql(f"COPY ({chosen}) TO '{path}' (FORMAT parquet)")
    return Catalogue.open(out)


class Case:
    """A model on a catalogue."""

    def __init__(self, settings: Settings, model: str, name: str, catalogue: Catalogue, folder: Path) -> None:
        self.settings, self.catalogue, self.folder = settings, catalogue, folder
        self.version: ModelVersion = resolve(settings, f"{model}@1")
        self.scorer: Scorer = family.scorer(model, "reviews" if name == "reviews" else None)

    def measured(self, workers: int | None) -> dict[str, Any]:
        """Each way once; the plain loop goes first and last, and its better run counts."""
        plan, loaded = self.plan("local", None), time.monotonic()
        worker = ShardScorer(self.job(plan))
        load, rows = time.monotonic() - loaded, plan.rows
        first = self.plain(worker, plan)
        by_one = self.by_one(worker, plan)
        plain = max(first, self.plain(worker, plan), key=lambda found: found["rows_a_second"])
        found = {"rows": rows, "load_seconds": round(load, 1), "plain_loop": plain, "local": by_one}
        found["local_over_plain"] = round(by_one["rows_a_second"] / plain["rows_a_second"], 3)
        if workers:
            small = self.plan("small", SHARDS)
            found["local_in_small_shards"] = self.by_one(ShardScorer(self.job(small)), small)
            found["ray_in_small_shards"] = self.by_ray(workers)
            one = found["local_in_small_shards"]["rows_a_second"]
            found["ray_over_local"] = round(found["ray_in_small_shards"]["rows_a_second"] / one, 3)
        return found

    def by_one(self, worker: ShardScorer, plan: Plan) -> dict[str, float]:
        """One worker, shard after shard."""
        return timed(plan.rows, lambda: [worker.score(number) for number in range(plan.shards)])

    def plan(self, name: str, shards: int | None) -> Plan:
        """A new batch of so many shards; of the usual size by default."""
        table, rows = self.scorer.table, self.catalogue.rows(self.scorer.table)
        if table == "purchases":
            rows = len(self.catalogue.keys(table, "user_id").unique())
        config = self.scorer.config() if shards is None else self.scorer.config(shard_rows=-(-rows // shards))
        manifest = Manifest(
            model=self.version.model,
            version=self.version.version,
            digest=digest_of(self.version),
            source=scoring_source(self.version.model),
            table=table,
            data=self.catalogue.fingerprint(),
            config=config.model_dump(mode="json"),
        )
        fetch(self.settings, self.version)
        shutil.rmtree(self.folder / name, ignore_errors=True)
        return open_plan(self.folder / name, manifest, self.catalogue)

    def job(self, plan: Plan) -> Job:
        """For a worker."""
        return Job(self.settings, self.version, (str(self.catalogue.root),), str(plan.out))

    def plain(self, worker: ShardScorer, plan: Plan) -> dict[str, float]:
        """The predictor in a loop over rows in memory."""
        key, table = self.scorer.key, self.scorer.table
        frame = self.catalogue.typed(table, pq.read_table(self.catalogue.path(table)))
        records = records_of(frame.drop_duplicates(key))
        self.catalogue.images.get(None)  # opens the store

        def loop() -> None:
            for start in range(0, len(records), plan.config.batch_size):
                batch = records[start : start + plan.config.batch_size]
                asked = [self.scorer.read(record, self._photo(record)) for record in batch]
                list(halved(lambda some: self.scorer.answer(worker.predictor, some, plan.config), asked))

        return timed(len(records), loop)

    def _photo(self, record: Mapping[str, Any]) -> DecodedPhoto | None:
        found = self.catalogue.images.get(record[self.scorer.key]) if self.scorer.photos else None
        return None if found is None else DecodedPhoto(decode(found, max_side=LARGEST_SIDE))

    def by_ray(self, workers: int) -> dict[str, float]:
        """From the first finished shard to the last; all of it with the start of cluster and workers beside it."""
        plan, started = self.plan("ray", SHARDS), time.monotonic()
        moments: list[tuple[float, int]] = [
            (time.monotonic(), shard.rows)
            for shard in score_by_ray(self.job(plan), range(plan.shards), RayConfig(workers=workers, least_workers=workers))
        ]
        rows, seconds = sum(n for _, n in moments[1:]), moments[-1][0] - moments[0][0]
        whole = time.monotonic() - started
        return {"workers": workers, "rows_a_second": round(rows / seconds, 2), "seconds_with_start": round(whole, 1)}


def timed(rows: int, work: Any) -> dict[str, float]:
    """Rate, and processor time a million rows."""
    wall, processor = time.monotonic(), time.process_time()
    work()
    wall, processor = time.monotonic() - wall, time.process_time() - processor
    found = {"rows_a_second": rows / wall, "processor_seconds_a_million": processor * MILLION / rows}
    return {name: round(value, 2) for name, value in found.items()}


def planned(rows: int) -> dict[str, Any]:
    """What the first step of a batch takes on a table of `rows` ids, with photos in another order; in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="vitrina-plan-") as folder:
        for table, columns in made_up(rows):
            duckdb.sql(f"COPY ({columns}) TO '{folder}/{table}.parquet' (FORMAT parquet)")
        return {"rows": rows} | in_a_process("benchmarks.scoring", "--plan-alone", folder)


def linked(folder: Path) -> dict[str, float]:
    """Seconds, processor-seconds, and the peak of memory beside what the imports take."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wall, processor = time.monotonic(), time.process_time()
    rows = link_rows(Catalogue.open(folder), "products", "product_id", folder / "rows.parquet", photos=True)
    wall, processor = time.monotonic() - wall, time.process_time() - processor
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = {"seconds": wall, "processor_seconds": processor, "peak_memory_gib": peak / 1024**2, "imports_gib": before / 1024**2}
    found["bytes_a_row"] = (folder / "rows.parquet").stat().st_size / rows
    return {name: round(value, 2) for name, value in found.items()}


def made_up(rows: int) -> Iterator[tuple[str, str]]:
    """Tables and the queries that make them: ids are drawn, so that some repeat, and no file is sorted by them."""
    yield "products", f"SELECT CAST(hash(range) % {10 * rows} AS BIGINT) AS product_id FROM range({rows})"
    drawn = f"CAST(hash({rows} - 1 - range) % {10 * rows} AS BIGINT)"
    yield "images", f"SELECT {drawn} AS product_id, CAST('' AS BLOB) AS jpeg, 0 AS position FROM range({rows})"


if __name__ == "__main__":
    main()
