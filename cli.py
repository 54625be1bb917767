"""The `vitrina` command.

Results go to standard output, everything else to standard error. Exit code 0: success; 1: a gate or check
said no; 2: bad input. Heavy packages are imported inside the commands, so that `--help` answers at once.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from configs.errors import CheckFailed, ConfigError, VitrinaError

if TYPE_CHECKING:
    from datetime import datetime

    from configs.schema import RunConfig, ServingConfig, ValidationConfig
    from configs.settings import Settings
    from database.keys import Key, Scope
    from models.family import Family
    from operations.processes import Process

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help=__doc__.splitlines()[0],
)
data_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Bring a catalogue into Vitrina's form, and check it.")
app.add_typer(data_app, name="data")
keys_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Keys of the API: who may ask, and for what.")
app.add_typer(keys_app, name="keys")
stack_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Where pipelines run: here, or on Kubeflow.")
app.add_typer(stack_app, name="stack")
database_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The schema of the application database.")
app.add_typer(database_app, name="database")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output and nothing else.")]
Data = Annotated[
    list[str], typer.Option("--data", help="Catalogue directory or s3://bucket/prefix; repeat it where tables lie in several.")
]
Env = Annotated[str, typer.Option("--env", envvar="VITRINA_ENV", help="Folder of configs/ to take the configuration from.")]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="YAML file that replaces the environment's.")]
Overrides = Annotated[list[str] | None, typer.Option("--set", help="Override a value: trainer.epochs=3. Repeatable.")]
Model = Annotated[str, typer.Argument(help="Model, such as product.")]
Reviewer = Annotated[str, typer.Option("--reviewer", help="Who takes the responsibility; goes into the ledger.")]
MlflowPort = Annotated[int, typer.Option(min=1, max=65535, help="Port of the MLflow UI.")]
ZenmlPort = Annotated[int, typer.Option(min=1, max=65535, help="Port of the ZenML dashboard.")]
Workers = Annotated[
    int | None,
    typer.Option(min=1, help="Processes that answer; with two or more, none of them ends with a request unanswered."),
]
Note = Annotated[str, typer.Option("--note", help="Why; goes into the ledger.")]


@data_app.command("import")
def data_import(
    csv: Annotated[Path, typer.Option(help="CSV, TSV, JSON lines, spreadsheet, XML feed, or a folder of photos.")],
    mapping: Annotated[Path | None, typer.Option(help="YAML: which of the file's columns is which of ours.")] = None,
    out: Annotated[Path | None, typer.Option(help="Catalogue directory to make; must not exist or be empty.")] = None,
    into: Annotated[Path | None, typer.Option(help="Catalogue directory that gets a further table.")] = None,
    images: Annotated[Path | None, typer.Option(help="Folder that the photos lie below.")] = None,
    guess: Annotated[bool, typer.Option("--guess", help="Propose a mapping for the file, to be edited; import nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Bring a table of a shop, with its photos, into a catalogue directory."""
    with _results() as write:
        if guess:
            _propose(csv, mapping, write, as_json)
            return
        if mapping is None:
            raise ConfigError("--mapping is needed to import; --guess proposes one")
        from catalog.importing.mapping import ImportMapping
        from catalog.importing.run import import_table
        from configs.load import load

        chosen = load(ImportMapping, mapping)
        with _progress(shown=not as_json) as progress:
            summary = import_table(chosen, csv, images, out=out, into=into, progress=progress)
        write(summary.model_dump(mode="json"), as_json, _show_import)


def _propose(file: Path, mapping: Path | None, write: Any, as_json: bool) -> None:
    """Print a mapping, or write it where `mapping` is a file that does not exist."""
    if mapping is not None and mapping.exists():
        raise ConfigError(f"{mapping} exists; --guess writes no mapping over another")
    from catalog.importing.guess import guess
    from catalog.importing.mapping import ReadingMapping

    proposed = guess(file, ReadingMapping())
    if mapping is None:
        write({"mapping": proposed}, as_json, lambda values: values["mapping"].rstrip())
        return
    mapping.write_text(proposed, encoding="utf-8")
    write(
        {"mapping": proposed, "file": str(mapping)}, as_json, lambda _: f"written: {mapping}; look through it, then import by it"
    )


@data_app.command("sample")
def data_sample(
    out: Annotated[Path, typer.Option(help="Catalogue directory to write; must not exist or be empty.")],
    drift: Annotated[
        bool, typer.Option("--drift", help="The second delivery: the first one and new products that differ.")
    ] = False,
    products: Annotated[int, typer.Option(min=200, help="Products of the first delivery.")] = 2400,
    seed: Annotated[int, typer.Option(help="Same seed, same catalogue.")] = 7,
    as_json: Json = False,
) -> None:
    """Write the sample catalogue: drawn photos, invented products, real structure."""
    with _results() as write:
        from catalog.sample import write_sample

        write({"data": str(write_sample(out, seed=seed, products=products, drift=drift))}, as_json)


@data_app.command("validate")
def data_validate(
    directory: Annotated[str, typer.Argument(help="Catalogue directory or s3://bucket/prefix.")],
    env: Env = "base",
    config: ConfigFile = None,
    overrides: Overrides = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the report and the quarantined rows.")] = None,
    as_json: Json = False,
) -> None:
    """Great Expectations verdict, HTML report, quarantined rows."""
    with _results() as write:
        from catalog.remote import open_catalogue
        from configs.settings import Settings
        from data_validation.report import write_report
        from data_validation.run import validate

        checks, settings = _validation_config(env, config, overrides), Settings.from_environment()
        catalogue = open_catalogue([directory], settings.deliveries)
        outcome = validate(catalogue, checks)
        report = write_report(outcome, out or settings.reports / "validation" / catalogue.fingerprint()[:12])
        write(
            outcome.result.model_dump(mode="json") | {"data": catalogue.fingerprint(), "report": str(report)},
            as_json,
            _show_checks,
        )
        if not outcome.result.passed:
            raise CheckFailed(f"{directory} did not pass validation; see {report}")


@app.command()
def train(
    model: Model,
    data: Data,
    env: Env = "base",
    config: ConfigFile = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Validate, split, augment, train, evaluate, gate and register."""
    with _results() as write:
        from configs.settings import Settings
        from operations.run import run_training

        outcome = run_training(Settings.from_environment(), model, data, _run_config(model, env, config, overrides))
        write(
            outcome.model_dump(mode="json", exclude={"evaluation"}) | outcome.evaluation.as_json() | {"version": outcome.version},
            as_json,
            _show_training,
        )
        if not outcome.challenger:
            raise CheckFailed(f"{model} version {outcome.version} did not pass its gates: {'; '.join(outcome.gates.failures())}")


@app.command()
def tune(
    model: Model,
    data: Data,
    trials: Annotated[int | None, typer.Option(min=1, help="Trials of the study in all; the configuration's by default.")] = None,
    study: Annotated[str, typer.Option(help="Study to work on; that of the same search on the same data by default.")] = "",
    env: Env = "base",
    config: ConfigFile = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Search hyper-parameters on the validation split; workers of one study share its trials."""
    with _results() as write:
        from configs.load import environment_file, merged
        from configs.settings import Settings
        from operations.tuning import run_tuning

        chosen = [*(overrides or []), *([] if trials is None else [f"tuning.trials={trials}"])]
        values = merged(config or environment_file(env, model), chosen)
        outcome = run_tuning(Settings.from_environment(), model, data, values, study)
        write(outcome.model_dump(mode="json"), as_json, _show_study)


@app.command()
def evaluate(
    reference: Annotated[str, typer.Argument(metavar="MODEL[@ALIAS|@VERSION]", help="Such as product@champion or product@3.")],
    data: Data,
    modalities: Annotated[str | None, typer.Option(help="What the model may see: title,image ... ; all by default.")] = None,
    split: Annotated[str, typer.Option(help="unseen (rows it was not fitted on), validation, train or all.")] = "unseen",
    env: Env = "base",
    config: ConfigFile = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Measure a registered version on a catalogue, without the rows that validation puts in quarantine."""
    with _results() as write:
        from catalog.remote import open_catalogue
        from data_validation.run import usable
        from models import family
        from registry.fetch import fetch
        from registry.versions import resolve

        settings = _settings()
        catalogue = open_catalogue(data, settings.deliveries)
        version = resolve(settings, reference)
        chosen: Family = family.get(version.model)
        limits = _run_config(version.model, env, config, overrides)
        seen = tuple(modalities.split(",")) if modalities else None
        bundle, rows = fetch(settings, version), usable(catalogue, limits.validation)
        run = chosen.evaluate(bundle, rows, limits.evaluation, split=split, modalities=seen)
        result = run.evaluation.model_copy(update={"version": str(version.version)})
        write(result.as_json(), as_json, _show_metrics)


@app.command()
def export(
    reference: Annotated[str, typer.Argument(metavar="MODEL[@ALIAS|@VERSION]", help="Such as product@champion or product@3.")],
    out: Annotated[Path, typer.Option(help="Folder to write; must not exist.")],
    quantise: Annotated[bool, typer.Option("--quantise", help="Store weights as int8; smaller, and less exact.")] = False,
    as_json: Json = False,
) -> None:
    """Write a registered version as ONNX graphs, for servers without PyTorch."""
    with _results() as write:
        from models import family
        from registry.fetch import fetch
        from registry.versions import resolve

        settings = _settings()
        version = resolve(settings, reference)
        chosen: Family = family.get(version.model)
        gaps = chosen.export(fetch(settings, version), out, quantise)
        files = sorted(str(path) for path in out.iterdir())
        worst = max(gaps, key=lambda name: gaps[name])
        result = {"model": version.model, "version": str(version.version), "quantised": quantise, "files": files}
        write(result | {"largest_difference": gaps[worst], "in": worst, "differences": gaps}, as_json, _show_export)


@app.command()
def embed(
    reference: Annotated[str, typer.Argument(metavar="MODEL[@ALIAS|@VERSION]", help="Such as product@champion or product@3.")],
    data: Data,
    out: Annotated[Path, typer.Option(help="Catalogue directory to write; must not exist or be empty.")],
    as_json: Json = False,
) -> None:
    """Write the embedding of every product as a table that other models train on, beside the catalogue's own."""
    with _results() as write:
        from catalog.remote import open_catalogue
        from models import family
        from registry.fetch import fetch
        from registry.versions import parse, resolve

        settings = _settings()
        chosen = family.embedder(parse(reference).model)
        catalogue = open_catalogue(data, settings.deliveries)
        catalogue.require(["products"])
        version = resolve(settings, reference)
        summary = chosen.embed(fetch(settings, version), catalogue, out)
        made_by = {"model": version.model, "version": str(version.version)}
        write(made_by | summary.model_dump(mode="json"), as_json, _show_embeddings)


@app.command()
def assess(
    directory: Annotated[str, typer.Argument(help="Catalogue directory or s3://bucket/prefix.")],
    out: Annotated[Path, typer.Option(help="Folder to write; must not exist or be empty.")],
    model: Annotated[
        str, typer.Option(metavar="quality@ALIAS|@VERSION", help="The version that assesses, such as quality@3.")
    ] = "quality@champion",
    require_share: Annotated[
        float | None, typer.Option(min=0, max=1, help="Exit code 1 where a smaller share of the listings may be published.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Assess every listing of a catalogue: a table, and a page that says what to do."""
    with _results() as write:
        from catalog.remote import folder_of
        from operations.assessing import run_assessment

        [given], settings = _directories([directory]), _settings()
        folder = folder_of(given, settings.deliveries)
        with _progress(shown=not as_json) as progress:
            outcome = run_assessment(settings, model, folder, out, require_share, progress)
        write(outcome.model_dump(mode="json"), as_json, _show_assessment)
        if outcome.passed is False:
            share = f"{outcome.publish_share:.1%} of the listings may be published"
            raise CheckFailed(f"{share}, {outcome.require_share:.1%} was asked for; see {outcome.report}")


@app.command()
def score(
    reference: Annotated[str, typer.Argument(metavar="MODEL[@ALIAS|@VERSION]", help="Such as product@champion or product@3.")],
    data: Data,
    out: Annotated[
        str,
        typer.Option(
            help="Folder of the answers; one that a run before left is gone on with. {version} and {data} are filled in."
        ),
    ],
    table: Annotated[str | None, typer.Option(help="Whose rows, such as reviews; the model's first table by default.")] = None,
    engine: Annotated[str, typer.Option(help="local: in this process; ray: by workers that Ray Data places.")] = "local",
    address: Annotated[str | None, typer.Option(help="Of a Ray cluster, host:port or auto; by default one starts here.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Ray's workers at most; as many as there is room for.")] = None,
    cpus: Annotated[float, typer.Option(min=0.01, help="Cores of each of Ray's workers.")] = 1.0,
    gpus: Annotated[float | None, typer.Option(min=0, help="GPUs, or a share of one, of each; 1 where there are any.")] = None,
    require_share: Annotated[
        float | None, typer.Option(min=0, max=1, help="Exit code 1 where a smaller share of the rows could be answered.")
    ] = None,
    config: ConfigFile = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Answer for every row of a catalogue: Parquet, a file a shard; what is finished is never computed again."""
    with _results() as write:
        from configs.load import merged, validate
        from configs.settings import Settings
        from operations.scoring import score as run_score
        from scoring.request import ScoringRequest
        from scoring.run import require_share as require

        asked: dict[str, Any] = {
            "reference": reference,
            "data": data,
            "out": out,
            "table": table,
            "values": merged(config, overrides or []),
            "engine": engine,
            "ray": {"address": address, "workers": workers, "cpus": cpus, "gpus": gpus},
            "require_share": require_share,
        }
        with _progress(shown=not as_json) as progress:
            outcome = run_score(Settings.from_environment(), validate(ScoringRequest, asked, where="vitrina score"), progress)
        write(outcome.model_dump(mode="json"), as_json, _show_scoring)
        require(outcome)


@app.command()
def promote(
    model: Model,
    version: Annotated[str, typer.Argument(help="Version number, or `challenger`.")],
    reviewer: Reviewer,
    note: Note = "",
    as_json: Json = False,
) -> None:
    """Verify a version and make it champion."""
    with _results() as write:
        from operations.run import run_promotion
        from registry.versions import resolve

        settings = _settings()
        found = resolve(settings, f"{model}@{version}")
        champion = run_promotion(settings, model, found.version, reviewer, note)
        write({"model": model, "champion": champion, "reviewer": reviewer, "note": note}, as_json)


@app.command()
def rollback(
    model: Model,
    reviewer: Annotated[str | None, typer.Option(help="Who takes the responsibility; your login name by default.")] = None,
    note: Note = "",
    as_json: Json = False,
) -> None:
    """Make the previous champion champion again."""
    with _results() as write:
        import getpass

        from registry.promotion import rollback as roll_back

        settings = _settings()
        champion = roll_back(settings, model, reviewer=reviewer or getpass.getuser(), note=note)
        write({"model": model, "champion": champion.version}, as_json)


@app.command()
def history(model: Model, as_json: Json = False) -> None:
    """Every promotion of a model: who, when, from, to, why."""
    with _results() as write:
        from registry.promotion import history as ledger

        settings = _settings()
        rows = [row.model_dump(mode="json") for row in ledger(settings, model)]
        write({"model": model, "promotions": rows}, as_json, _show_history)


@app.command()
def serve(
    port: Annotated[int | None, typer.Option(help="Port to listen on; the configuration's by default.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on; the configuration's by default.")] = None,
    workers: Workers = None,
    beside: Annotated[
        bool, typer.Option("--worker/--no-worker", help="Execute jobs and schedules too, in a process that ends with this one.")
    ] = True,
    env: Env = "base",
    config: ConfigFile = None,
    overrides: Overrides = None,
) -> None:
    """Serve every champion over HTTP, and follow it when it moves."""
    from serving.run import serve as run_server

    chosen = [f"{key}={value}" for key, value in (("host", host), ("port", port), ("workers", workers)) if value is not None]
    serving = _serving(env, config, [*(overrides or []), *chosen])
    settings = _settings()
    run_server(settings, serving, _worker_beside(env, config, overrides) if beside else ())


@app.command()
def worker(
    name: Annotated[
        str | None, typer.Option("--id", help="By which its jobs are known; the lowest free of worker-1, worker-2, … by default.")
    ] = None,
    env: Env = "base",
    config: ConfigFile = None,
    overrides: Overrides = None,
) -> None:
    """Execute jobs and schedules until told to stop."""
    from jobs.worker import run as run_worker

    run_worker(_settings(), _serving(env, config, overrides or []), env, name)


def _serving(env: str, config: Path | None, overrides: list[str]) -> "ServingConfig":
    from configs.load import environment_file, load
    from configs.schema import ServingConfig

    return load(ServingConfig, config or environment_file(env, "serving"), overrides)


def _worker_beside(env: str, config: Path | None, overrides: list[str] | None) -> list[str]:
    """The command line of a worker that ends with this process, and is started again where it fails."""
    from operations.beside import command

    script = str(Path(__file__).resolve())
    return command([sys.executable, script, "worker", "--env", env, *_as_options(config, overrides)], again=True)


def _as_options(config: Path | None, overrides: list[str] | None) -> list[str]:
    """What was chosen on this command line, for another command."""
    file = ["--config", str(config.resolve())] if config else []
    return [*file, *(part for value in overrides or [] for part in ("--set", value))]


@app.command()
def build(model: Model, as_json: Json = False) -> None:
    """Build a Bento of the champion, with pinned dependencies."""
    with _results() as write:
        from serving.build import build as build_bento

        settings = _settings()
        write({"model": model, "bento": build_bento(model, settings)}, as_json)


@keys_app.command("create")
def keys_create(
    name: Annotated[str, typer.Argument(help="Who or what asks with it, such as shop-backend.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(help="What it opens: predict, teach, catalog, read, admin. Repeatable; predict and read by default."),
    ] = None,
    expires: Annotated[
        str | None, typer.Option(help="Days from now, or the last day as YYYY-MM-DD (UTC); it does not expire by default.")
    ] = None,
    requests_a_minute: Annotated[
        int | None, typer.Option(min=1, help="Of this key; the service's access.requests_a_minute by default.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a key and print it, once. From then on the service asks for one."""
    with _results() as write:
        import getpass

        from configs.settings import Settings
        from database.keys import create

        key, token = create(
            Settings.from_environment().database_url,
            name,
            _scopes(scope or ["predict", "read"]),
            who=getpass.getuser(),
            expires_at=_moment(expires),
            requests_a_minute=requests_a_minute,
        )
        write({"name": key.name, "key": token} | _told(key), as_json, _show_new_key)


@keys_app.command("list")
def keys_list(as_json: Json = False) -> None:
    """Every key, without its secret; also those that have ended."""
    with _results() as write:
        from configs.settings import Settings
        from database.keys import keys

        found = keys(Settings.from_environment().database_url)
        write({"keys": [{"name": key.name} | _told(key) for key in found]}, as_json, _show_keys)


@keys_app.command("revoke")
def keys_revoke(
    name: Annotated[str, typer.Argument(help="Of the key.")],
    forget: Annotated[
        bool,
        typer.Option("--forget", help="Remove it too. Where it was the last one, a service on loopback asks for keys no more."),
    ] = False,
    as_json: Json = False,
) -> None:
    """End a key now."""
    with _results() as write:
        import getpass

        from configs.settings import Settings
        from database.keys import forget as forget_key
        from database.keys import revoke

        key = (forget_key if forget else revoke)(Settings.from_environment().database_url, name, who=getpass.getuser())
        write({"name": key.name, "id": key.id, "forgotten": forget}, as_json)


@database_app.command("migrate")
def database_migrate(as_json: Json = False) -> None:
    """Bring the schema to what this program needs; does nothing where it is there already."""
    with _results() as write:
        from configs.settings import Settings
        from database.schema import upgrade

        write(upgrade(Settings.from_environment().database_url)._asdict(), as_json, _show_migration)


@database_app.command("status")
def database_status(
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait until somebody else has migrated.")] = 0,
    as_json: Json = False,
) -> None:
    """Say which schema the database has; exit code 1 while it is older than what this program needs."""
    with _results() as write:
        from configs.settings import Settings
        from database.schema import awaited

        found = awaited(Settings.from_environment().database_url, wait)
        write(found._asdict(), as_json)
        if found.schema != found.needed:
            raise CheckFailed(f"the schema is {found.schema or 'empty'}, {found.needed} is needed: `vitrina database migrate`")


@stack_app.command("kubeflow")
def stack_kubeflow(
    config: Annotated[Path, typer.Option(help="YAML file that describes the cluster, such as configs/kubeflow/cluster.yaml.")],
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Register a ZenML stack on Kubeflow, or bring it up to date, and use it from now on."""
    with _results() as write:
        from configs.cluster import ClusterConfig
        from configs.load import load
        from configs.settings import Settings
        from operations.cluster import active_stack, register_cluster, told

        settings = Settings.from_environment()
        components = register_cluster(settings, load(ClusterConfig, config, overrides or []))
        write(told(active_stack(settings)) | {"components": components}, as_json, _show_stack)


@stack_app.command("local")
def stack_local(as_json: Json = False) -> None:
    """Go back to the stack of this machine; what was registered stays."""
    with _results() as write:
        from configs.settings import Settings
        from operations.cluster import told, use_local

        write(told(use_local(Settings.from_environment())), as_json, _show_stack)


@stack_app.command("show")
def stack_show(as_json: Json = False) -> None:
    """Say which stack pipelines run on."""
    with _results() as write:
        from configs.settings import Settings
        from operations.cluster import active_stack, told

        write(told(active_stack(Settings.from_environment())), as_json, _show_stack)


@stack_app.command("trainjob")
def stack_trainjob(
    model: Model,
    data: Annotated[
        list[str], typer.Option("--data", help="Catalogue directory as pods see it, or an s3:// address. Repeatable.")
    ],
    config: Annotated[Path, typer.Option("--config", help="YAML file of the cluster, such as configs/kubeflow/cluster.yaml.")],
    kind: Annotated[
        str, typer.Option(help="trainjob, of Kubeflow Trainer v2, or pytorchjob, of the training operator before it.")
    ] = "trainjob",
    name: Annotated[str, typer.Option(help="Of the job; train-MODEL by default.")] = "",
    out: Annotated[Path | None, typer.Option(help="File to write, in place of standard output.")] = None,
    env: Env = "base",
    overrides: Overrides = None,
) -> None:
    """Print a training on several pods as YAML for `kubectl apply --filename -`."""
    with _results() as write:
        from configs.cluster import ClusterConfig
        from configs.load import load
        from operations.trainjobs import training_job

        cluster = load(ClusterConfig, config)
        _run_config(model, env, None, overrides)
        text = training_job(kind, cluster, model, data, name=name, environment=env, overrides=overrides or [])
        if out is not None:
            out.write_text(text, encoding="utf-8")
        write({"yaml": text, "out": str(out)}, False, lambda _: text.rstrip() if out is None else f"written: {out}")


@app.command()
def audit(
    limit: Annotated[int, typer.Option(min=1, help="Entries at most; the newest.")] = 100,
    as_json: Json = False,
) -> None:
    """What was done to the service itself: who, what, when. Promotions are in `vitrina history`."""
    with _results() as write:
        from configs.settings import Settings
        from database.audit import entries

        rows = [row.model_dump(mode="json") for row in entries(Settings.from_environment().database_url, limit)]
        write({"entries": rows}, as_json, _show_audit)


@app.command()
def monitor(
    model: Annotated[str, typer.Option(help="Model to watch.")] = "product",
    every_model: Annotated[bool, typer.Option("--all", help="Watch every model that has a champion.")] = False,
    retrain: Annotated[bool, typer.Option("--retrain", help="Start training when the verdict is drift.")] = False,
    data: Annotated[
        list[str] | None, typer.Option(help="New delivery to train on, repeatable; where the champion's lay by default.")
    ] = None,
    env: Env = "base",
    config: ConfigFile = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Compare what is served with what was trained on."""
    errors = _monitor(None if every_model else model, retrain, data, env, config, overrides, as_json)
    if errors:
        worst = max(errors, key=lambda error: error.exit_code)
        raise type(worst)("; ".join(map(str, errors)))


def _monitor(
    model: str | None,
    retrain: bool,
    data: list[str] | None,
    env: str,
    config: Path | None,
    overrides: list[str] | None,
    as_json: bool,
) -> list[VitrinaError]:
    """Look at each model once; what is wrong with one does not keep the others from being looked at."""
    errors: list[VitrinaError] = []
    with _results() as write:
        from configs.settings import Settings
        from operations.retraining import watch, watched

        settings = Settings.from_environment()
        try:
            models = [model] if model else watched(settings)
        except VitrinaError as error:
            return [error]
        outcomes = []
        for name in models:
            try:
                outcome = watch(settings, name, _run_config(name, env, config, overrides), _directories(data or []), retrain)
            except VitrinaError as error:
                errors.append(error)
                continue
            outcomes.append(outcome.model_dump(mode="json"))
            if outcome.refused:
                errors.append(CheckFailed(outcome.refused))
        if model and outcomes:
            write(outcomes[0], as_json, _show_monitoring)
        elif not model:
            write({"models": outcomes}, as_json, lambda values: "\n\n".join(map(_show_monitoring, values["models"])))
    return errors


@app.command()
def up(
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port of the API; the configuration's by default.")] = None,
    mlflow_port: MlflowPort = 5000,
    zenml_port: ZenmlPort = 8237,
    watch_seconds: Annotated[float, typer.Option(min=1, help="Seconds between two looks of the worker at each model.")] = 300,
    workers: Workers = None,
    env: Env = "base",
    config: ConfigFile = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Start MLflow UI, ZenML dashboard, API and worker in the background."""
    with _results() as write:
        from operations.processes import start

        settings, processes = _stack(env, port, watch_seconds, mlflow_port, zenml_port, workers, config, overrides)
        states = start(settings, processes, wait_seconds=180)
        write({"processes": [s.model_dump() for s in states]}, as_json, _show_processes)


@app.command()
def down(as_json: Json = False) -> None:
    """Stop what `vitrina up` started."""
    with _results() as write:
        from operations.processes import stop

        settings, processes = _stack("base")
        write({"stopped": stop(settings, processes)}, as_json)


@app.command()
def status(env: Env = "base", as_json: Json = False) -> None:
    """Say what of the local stack runs, and what the last look at each model said; exit code 1 unless all of it runs."""
    with _results() as write:
        from operations.processes import last_looks
        from operations.processes import status as state_of

        settings, processes = _stack(env)
        states = [state_of(settings, process) for process in processes]
        looks = [look.model_dump(mode="json") for look in last_looks(settings)]
        write({"processes": [s.model_dump() for s in states], "looks": looks}, as_json, _show_processes)
        waiting = [s.name for s in states if s.state != "running"]
        if waiting:
            raise CheckFailed(f"not running: {', '.join(waiting)}; `vitrina up` starts them")


@app.command()
def doctor(as_json: Json = False) -> None:
    """Check this machine, the installation and the stores."""
    with _results() as write:
        from configs.settings import Settings
        from operations.doctor import examine

        findings = examine(Settings.from_environment())
        write({"checks": [f.model_dump() for f in findings]}, as_json, _show_findings)
        sick = [f.name for f in findings if not f.ok]
        if sick:
            raise CheckFailed(f"to mend: {', '.join(sick)}")


def main() -> None:
    """Run the command line; domain errors become one line and their exit code."""
    try:
        _as_rank(app) if {"RANK", "WORLD_SIZE"} <= os.environ.keys() else app()
    except VitrinaError as error:
        sys.stdout.flush()
        typer.echo(f"vitrina: {error}", err=True)
        sys.exit(error.exit_code)
    except OSError as error:  # a full disk, a folder that may not be written
        where = f"{error.filename}: " if error.filename else ""
        typer.echo(f"vitrina: {where}{error.strerror or error}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        typer.echo("vitrina: interrupted", err=True)
        sys.exit(130)


def _as_rank(command: Callable[[], None]) -> None:
    """Under torchrun rank 0 runs the command, and the other ranks take part in its trainings."""
    from models.training import torchrun

    if not torchrun.launched():
        command()
        return
    with torchrun.joined() as world:
        if world.rank == 0:
            command()
        else:
            os.dup2(2, 1)  # standard output is rank 0's
            world.follow()


@contextmanager
def _results() -> Iterator[Any]:
    """Give a writer to the real standard output; whatever libraries print meanwhile goes to standard error."""
    import logging
    import warnings

    warnings.filterwarnings("ignore", category=FutureWarning, module="google")  # about Python versions, not about us
    for package in ("models", "provenance", "steps", "pipelines", "operations", "registry", "monitoring", "data_validation"):
        logging.getLogger(package).setLevel(logging.INFO)
    sys.stdout.flush()
    real = os.dup(1)
    os.dup2(2, 1)
    pending: list[str] = []

    def write(values: Mapping[str, Any], as_json: bool, show: Any = None) -> None:
        pending.append(json.dumps(values, allow_nan=False) if as_json else (show or _show_facts)(values))

    try:
        yield write
    finally:
        sys.stdout.flush()
        os.dup2(real, 1)
        os.close(real)
        for text in pending:
            typer.echo(text)


@contextmanager
def _progress(shown: bool) -> Iterator[Any]:
    """What to call with what is being done, how much of it is done and how much there is; a bar where a person looks."""
    if not shown or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, Any] = {}

        def tell(what: str, done: int, total: int | None) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done, total=total)

        yield tell


def _run_config(model: str, env: str, file: Path | None, overrides: list[str] | None) -> "RunConfig":
    from configs.load import environment_file, load
    from models import family

    return load(family.get(model).config, file or environment_file(env, model), overrides or [])


def _validation_config(env: str, file: Path | None, overrides: list[str] | None) -> "ValidationConfig":
    """The section `validation`; a model is imported, which takes seconds, only to check what else somebody wrote."""
    from configs.load import environment_file, merged, validate
    from configs.schema import RunConfig

    path = file or environment_file(env, "product")
    values = merged(path, overrides or [])
    if file is None and all(override.lstrip().startswith("validation.") for override in overrides or []):
        values = {"validation": values.get("validation", {})}
    if set(values) <= set(RunConfig.model_fields):
        return validate(RunConfig, values, where=str(path)).validation
    return _run_config("product", env, file, overrides).validation


def _stack(
    env: str,
    port: int | None = None,
    watch_seconds: float = 300,
    mlflow_port: int = 5000,
    zenml_port: int = 8237,
    workers: int | None = None,
    config: Path | None = None,
    overrides: list[str] | None = None,
) -> "tuple[Settings, list[Process]]":
    from operations.processes import stack

    settings = _settings()
    chosen = [f"{key}={value}" for key, value in (("port", port), ("workers", workers)) if value is not None]
    serving = _serving(env, config, [*(overrides or []), *chosen])
    return settings, stack(settings, serving, env, watch_seconds, mlflow_port, zenml_port, _as_options(config, overrides))


def _settings() -> "Settings":
    """Where state lives, with ZenML and MLflow told so before their first import."""
    from configs.settings import Settings
    from operations.environment import prepare

    settings = Settings.from_environment()
    prepare(settings)
    return settings


def _scopes(names: list[str]) -> "tuple[Scope, ...]":
    from database.keys import SCOPES

    unknown = [name for name in names if name not in SCOPES]
    if unknown:
        raise ConfigError(f"--scope {unknown[0]!r} is not one of {', '.join(SCOPES)}")
    return tuple(scope for scope in SCOPES if scope in names)


def _moment(expires: str | None) -> "datetime | None":
    """When a key ends that lives so many days, or until the end of a day."""
    from datetime import UTC, date, datetime, timedelta

    if expires is None:
        return None
    now = datetime.now(UTC)
    try:
        if expires.isdecimal():
            ends = now + timedelta(days=int(expires))
        else:
            ends = datetime.combine(date.fromisoformat(expires), datetime.min.time(), UTC) + timedelta(days=1)
    except (ValueError, OverflowError) as error:
        raise ConfigError(f"--expires {expires!r} is neither a number of days nor a date such as 2027-12-31") from error
    if ends <= now:
        raise ConfigError(f"--expires {expires!r} is in the past")
    return ends


def _told(key: "Key") -> dict[str, Any]:
    """What may be shown of a key."""
    from datetime import UTC, datetime

    return {
        "id": key.id,
        "state": key.state(datetime.now(UTC)),
        "scopes": list(key.scopes),
        "requests_a_minute": key.requests_a_minute,
        "created_at": key.created_at.isoformat(timespec="seconds"),
        "expires_at": key.expires_at.isoformat(timespec="seconds") if key.expires_at else None,
        "revoked_at": key.revoked_at.isoformat(timespec="seconds") if key.revoked_at else None,
    }


def _directories(given: list[str]) -> list[Path | str]:
    """Folders that are there, and addresses as they are."""
    from catalog.remote import is_remote

    for one in given:
        if not is_remote(one) and not Path(one).is_dir():
            raise ConfigError(f"{one} is not a catalogue directory; `vitrina data import` makes one from a CSV")
    return [one if is_remote(one) else Path(one) for one in given]


def _table(columns: list[str], rows: list[list[str]]) -> str:
    """Plain-text table for people; `rich` sizes the columns."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns, box=SIMPLE, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    console = Console(width=None if sys.stdout.isatty() else 140)
    with console.capture() as capture:
        console.print(table)
    return capture.get().rstrip()


def _show_facts(values: Mapping[str, Any]) -> str:
    return "\n".join(f"{key}: {value}" for key, value in values.items())


def _show_import(values: Mapping[str, Any]) -> str:
    files, lines = values["files"], [f"{values['rows']:,} rows of {values['table']} from {values['read']:,} in the file"]
    if values["grouped"] or values["variants"]:
        lines.append(f"{values['variants']:,} variants; {values['grouped']:,} rows are part of a product above them")
    if values["images"] or values["missing_images"]:
        lines.append(f"{values['images']:,} photos; {values['missing_images']:,} products have none")
    if values["currency"]:
        lines.append(f"prices in {values['currency']}")
    lines += [f"left out: {values['filtered']:,} rows by where"] if values["filtered"] else []
    for what, counts in (("quarantined", values["quarantined"]), ("left out", values["left_out"])):
        lines += [
            f"{what}: {count:,} row{'s' * (count != 1)}, {why}; listed in {files['quarantine']}" for why, count in counts.items()
        ]
    if values["unreadable_images"]:
        lines.append(f"{values['unreadable_images']:,} photos could not be found or read; listed in {files['photos']}")
    lines += [f"- {note}" for note in values["notes"]] + [f"WARNING: {warning}" for warning in values["warnings"]]
    return "\n".join([*lines, f"written: {values['out']}"])


def _show_metrics(values: Mapping[str, Any]) -> str:
    metrics: Mapping[str, float | None] = values["metrics"]
    rows = [
        [name, _number(value), f"{_number(metrics[f'{name}_low'])} – {_number(metrics[f'{name}_high'])}"]
        for name, value in metrics.items()
        if f"{name}_low" in metrics
    ]
    head = (
        f"{values['model']} version {values['version']} on {values['n']} rows ({values['split']}) of data {values['data'][:12]}"
    )
    absent = [f"not applicable: {name}: {reason}" for name, reason in values["not_applicable"].items()]
    return "\n".join([head, _table(["metric", "value", "95 % interval"], rows), *absent])


def _show_export(values: Mapping[str, Any]) -> str:
    kind = "int8 weights" if values["quantised"] else "as trained"
    lines = [f"{values['model']} version {values['version']}, {kind}: {', '.join(values['files'])}"]
    return "\n".join([*lines, f"largest difference from PyTorch: {values['largest_difference']:.2g}, in {values['in']}"])


def _show_embeddings(values: Mapping[str, Any]) -> str:
    head = (
        f"{values['model']} version {values['version']}: {values['products']:,} products, {values['dimensions']} dimensions each"
    )
    told = {
        "says_nothing": "products left out: no title, description, photo or attribute",
        "undecodable": "photos that cannot be decoded: their products are embedded without them",
        "repeated": "rows left out: the id is missing or repeated",
    }
    left = [f"{values[name]:,} {what}" for name, what in told.items() if values[name]]
    return "\n".join([head, *left, f"written: {values['out']}; train with it: --data DIR --data {values['out']}"])


def _show_assessment(values: Mapping[str, Any]) -> str:
    head = f"{values['model']} version {values['version']}: {values['assessed']:,} of {values['n']:,} rows assessed"
    published = f"{values['publish']:,} may be published ({values['publish_share']:.1%}), {values['hold']:,} are held back"
    away = f"{values['one_change_away']:,} of these are one change away from the threshold of {values['threshold']:.2f}"
    lines = [head, f"{published}; {away}", f"{values['duplicates']:,} are probably listed twice"]
    listed = f"listed in {values['problem_rows']}"
    lines += [f"{count:,} row{'s' * (count != 1)} {effect}; {listed}" for effect, count in values["problems"].items()]
    lines.append(f"{values['rows_per_second']:.1f} rows a second")
    return "\n".join([*lines, f"written: {values['assessments']}", f"report: {values['report']}"])


def _show_scoring(values: Mapping[str, Any]) -> str:
    answered = f"{values['scored']:,} of {values['n']:,} rows of {values['table']} answered"
    lines = [f"{values['model']} version {values['version']}: {answered}"]
    if values["quarantined"]:
        lines.append(f"{values['quarantined']:,} in quarantine, named in {values['quarantine']}; the first of them:")
        lines += [f"  row {one['row']}, {'–' if one['key'] is None else one['key']}: {one['why']}" for one in values["examples"]]
    before = f", {values['finished_before']:,} of them finished before" if values["finished_before"] else ""
    lines.append(f"{values['shards']:,} file{'s' * (values['shards'] != 1)}{before}")
    if values["rows_per_second"] is not None:
        lines.append(f"{values['rows_per_second']:,.1f} rows a second")
    return "\n".join([*lines, f"written: {values['scores']}"])


def _show_checks(values: Mapping[str, Any]) -> str:
    broken = [c for c in values["checks"] if not c["passed"]]
    rows = [[c["table"], c["rule"], c["severity"], c["detail"], "; ".join(c["examples"][:2])] for c in broken]
    verdict = "passed" if values["passed"] else "FAILED"
    head = f"validation {verdict}: {len(values['checks'])} checks, {len(broken)} found something"
    return f"{head}\n{_table(['table', 'rule', 'severity', 'found', 'for example'], rows)}\nreport: {values['report']}"


def _show_training(values: Mapping[str, Any]) -> str:
    stages = [[s["name"], "cached" if s["cached"] else f"{s['seconds']:.1f} s"] for s in values["stages"]]
    states = {True: "passed", False: "FAILED", None: "not applicable"}
    gates = [[states[c["passed"]], c["name"], c["detail"]] for c in values["gates"]["checks"]]
    alias = "challenger" if values["challenger"] else "no alias: gates failed"
    parts = [_table(["stage", "time"], stages), _table(["gate", "check", "detail"], gates), _show_metrics(values)]
    return "\n".join(
        [*parts, f"registered: {values['model']} version {values['version']} ({alias})", f"report: {values['report']}"]
    )


def _show_study(values: Mapping[str, Any]) -> str:
    best, trials = values["best"], ", ".join(f"{n} {state}" for state, n in values["trials"].items())
    lines = [f"study {values['study']}: {trials}", f"best: trial {best['number']}, {values['metric']} {_number(best['value'])}"]
    params = _table(["parameter", "value"], [[name, str(value)] for name, value in best["params"].items()])
    return "\n".join([*lines, params, f"train it: --config {values['config']}", f"report: {values['report']}"])


def _show_history(values: Mapping[str, Any]) -> str:
    columns = ["created_at", "action", "from_version", "to_version", "who", "why"]
    rows = [["–" if row[c] is None else str(row[c]) for c in columns] for row in values["promotions"]]
    return _table(["when", "what", "from", "to", "who", "why"], rows) if rows else f"{values['model']} was never promoted"


def _show_new_key(values: Mapping[str, Any]) -> str:
    ends = f"until {values['expires_at']}" if values["expires_at"] else "until it is revoked"
    return f"{values['key']}\nIt is shown this once. It opens {', '.join(values['scopes'])}, {ends}."


def _show_keys(values: Mapping[str, Any]) -> str:
    rows = [
        [k["name"], k["id"], k["state"], ", ".join(k["scopes"]), str(k["requests_a_minute"] or "–"), k["expires_at"] or "–"]
        for k in values["keys"]
    ]
    columns = ["name", "id", "state", "opens", "requests a minute", "expires"]
    return _table(columns, rows) if rows else "there is no key; `vitrina keys create NAME` makes one"


def _show_migration(values: Mapping[str, Any]) -> str:
    if values["before"] == values["after"]:
        return f"{values['database']}: already at {values['after']}"
    return f"{values['database']}: from {values['before'] or 'an empty schema'} to {values['after']}"


def _show_stack(values: Mapping[str, Any]) -> str:
    shown = {key: value for key, value in values.items() if not isinstance(value, Mapping)}
    listed = {key: ", ".join(f"{name} {one}" for name, one in values[key].items()) for key in values if key not in shown}
    return _show_facts(shown | {key: text or "none" for key, text in listed.items()})


def _show_audit(values: Mapping[str, Any]) -> str:
    rows = [
        [row["created_at"], row["who"], row["action"], row["subject"], json.dumps(row["detail"])] for row in values["entries"]
    ]
    return _table(["when", "who", "what", "of", "detail"], rows) if rows else "nothing was done yet"


def _show_monitoring(values: Mapping[str, Any]) -> str:
    lines = [
        f"{key}: {values[key]}" for key in ("model", "version", "verdict", "rows", "report", "retraining") if values.get(key)
    ]
    return "\n".join([*lines, *(f"  - {line}" for line in (*values["reasons"], *values["notes"]))])


def _show_processes(values: Mapping[str, Any]) -> str:
    rows = [
        [p["name"], p["state"], p["url"] or "–", str(p["pid"] or "–"), ", ".join(map(str, p["workers"])) or "–", p["log"]]
        for p in values["processes"]
    ]
    shown = _table(["process", "state", "address", "pid", "its workers", "log"], rows)
    if values.get("looks"):
        looks = [[look["model"], str(look["version"]), look["verdict"], look["at"]] for look in values["looks"]]
        shown += "\n\n" + _table(["model", "version", "last look", "at"], looks)
    return shown


def _show_findings(values: Mapping[str, Any]) -> str:
    return _table(["check", "", "detail"], [[c["name"], "ok" if c["ok"] else "MEND", c["detail"]] for c in values["checks"]])


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


if __name__ == "__main__":
    main()
