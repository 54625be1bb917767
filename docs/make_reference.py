"""Writes `docs/reference.md` from the code: commands, configuration, HTTP routes, environment variables and metrics.

make docs                                    # or: .venv/bin/python docs/make_reference.py
.venv/bin/python docs/make_reference.py --check   # exit code 1 where the file is not what the code says
"""

import json
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

ROOT = Path(__file__).parents[1]
OUT = Path(__file__).with_name("reference.md")

HEAD = """# Reference

Made from the code by `make docs`; a test fails where the two differ. Do not edit it by hand.

- [Commands](#commands)
- [Configuration](#configuration)
- [HTTP](#http)
- [Environment variables](#environment-variables)
- [Metrics](#metrics)
"""

VARIABLES = {
    "VITRINA_HOME": ("`.vitrina`", "folder of everything that is written"),
    "VITRINA_DATABASE_URL": (
        "SQLite in `VITRINA_HOME`",
        "SQLAlchemy address of predictions, feedback, ledger, keys, audit trail, events, few-shot tasks, products that clients "
        "put, jobs, monitoring runs and studies; SQLite or PostgreSQL",
    ),
    "MLFLOW_TRACKING_URI": ("SQLite and files in `VITRINA_HOME`", "MLflow tracking and registry"),
    "VITRINA_ENV": ("`base`", "folder of `configs/` that commands take their configuration from; `--env` goes before it"),
    "VITRINA_SERVING": ("`{}`", "JSON of the serving configuration; `vitrina serve` sets it for its workers"),
    "VITRINA_PLAYGROUND": (
        "",
        "address at which a browser reaches the service with the playground, such as `http://127.0.0.1:3000`: reports of "
        "evaluations link to it",
    ),
    "VITRINA_URL": ("`http://127.0.0.1:3000`", "address of the service that the Python client asks"),
    "VITRINA_API_KEY": ("", "key that the Python client sends"),
    "VITRINA_INNER_TOKEN": (
        "",
        "secret of a gateway and the services of models behind it, at least 32 characters: with `upstreams` in `serving.yaml` it "
        "is told to them, without it is asked for",
    ),
    "AWS_ENDPOINT_URL": ("AWS", "S3-compatible store of `--data s3://…` and of the artifacts of a stack on Kubeflow"),
    "AWS_ACCESS_KEY_ID": ("", "key of that store, with `AWS_SECRET_ACCESS_KEY`; AWS's other ways to give keys work too"),
    "ZENML_STORE_URL": ("SQLite in `VITRINA_HOME`", "ZenML server, with `ZENML_STORE_API_KEY`; `zenml login` does the same"),
    "VITRINA_KUBEFLOW_TOKEN": ("", "bearer token that Kubeflow Pipelines is asked with, where it wants one"),
    "OTEL_EXPORTER_OTLP_ENDPOINT": ("", "collector of the service's traces, over HTTP; without it nothing is traced"),
    "WANDB_API_KEY": ("", "needed by `trainer.wandb: online`"),
    "VITRINA_SERVING_PARENT": ("", "the process that a worker of the service ends with; `vitrina serve` sets it"),
    "VITRINA_FRONT_TOKEN": ("", "by which workers know their front; `vitrina serve` draws it at each start"),
    "PROMETHEUS_MULTIPROC_DIR": ("", "folder in which workers add their metrics up; `vitrina serve` sets it"),
    "VITRINA_TEST_DATA": ("`../shared/data`", "folder of the real data that some tests and benchmarks use"),
}
"""Default and meaning of each variable that the code reads; the test looks for others."""


def main() -> int:
    """Write the file, or with `--check` compare it."""
    text = render()
    if "--check" not in sys.argv[1:]:
        OUT.write_text(text, encoding="utf-8")
        return 0
    if OUT.is_file() and OUT.read_text(encoding="utf-8") == text:
        return 0
    sys.stderr.write("docs/reference.md is not what the code says; `make docs` writes it again\n")
    return 1


def render() -> str:
    """The whole page."""
    parts = [HEAD, *commands(), *configuration(), *http(), *variables(), *measured()]
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |" for line in lines)


def commands() -> Iterator[str]:
    """Every command of the command line with its arguments and options."""
    import typer

    from cli import app

    yield "## Commands"
    yield (
        "Results go to standard output, everything else to standard error. With `--json` standard output is one JSON object.\n"
        "Exit code 0: success; 1: a gate or check said no; 2: bad input."
    )
    for name, command in _leaves("vitrina", typer.main.get_command(app)):
        yield f"### `{name}`"
        yield str(command.help)
        rows = [_parameter(parameter) for parameter in command.params if parameter.name != "help"]
        if rows:
            yield table(("option", "value", "default", "what it says"), rows)


def _leaves(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    """Commands with something to do, by their whole name."""
    inner: Mapping[str, Any] = getattr(command, "commands", {})
    if not inner:
        yield name, command
    for key, value in inner.items():
        yield from _leaves(f"{name} {key}", value)


def _parameter(parameter: Any) -> tuple[str, str, str, str]:
    positional = parameter.param_type_name == "argument"
    name = (parameter.metavar or parameter.name.upper()) if positional else ", ".join(parameter.opts)
    flag = getattr(parameter, "is_flag", False)
    kind = "" if flag else _word(parameter.type_descriptor.annotation)
    if parameter.multiple:
        kind += ", repeatable"
    default = (
        "required" if parameter.required else "" if flag or parameter.default in (None, "", ()) else f"`{parameter.default}`"
    )
    return f"`{name}`", kind, default, parameter.help or ""


def _word(annotation: Any) -> str:
    """Of the values that an option takes."""
    words = {str: "text", Path: "path", int: "whole number", float: "number"}
    inner = get_args(annotation)
    return words[inner[0] if inner else annotation]


def configuration() -> Iterator[str]:
    """Every section with its fields, where it belongs."""
    from catalog.importing.mapping import ImportMapping
    from configs.cluster import ClusterConfig
    from configs.schema import RunConfig, ServingConfig
    from models import family
    from models.product.config import PRESETS

    yield "## Configuration"
    yield (
        "YAML in `configs/<environment>/<model>.yaml` overrides these defaults; `--config F.yaml` takes its place, and\n"
        "`--set a.b=value` overrides single values. A file that begins with `extends: base/product` says only what differs from\n"
        "that one. An unknown key or a wrong value is refused with what is allowed."
    )
    yield "### Every model: `<model>.yaml`"
    yield from sections(RunConfig)
    for name in family.names():
        yield f"### Of `{name}` alone: `{name}.yaml`"
        yield from sections(family.get(name).config, without=RunConfig)
        if name == "product":
            yield "`model.preset` gives these values, unless they are set; `base` is the default of each."
            keys = sorted({key for values in PRESETS.values() for key in values})
            default = family.get(name).config.model_fields["model"].annotation
            base = {key: default.model_fields[key].get_default() for key in keys}  # type: ignore[union-attr]
            rows = [[f"`model.{key}`", *(shown(values.get(key, base[key])) for values in PRESETS.values())] for key in keys]
            yield table(("key", *PRESETS), rows)
    yield "### The service: `serving.yaml`"
    yield from sections(ServingConfig)
    yield "### A stack on Kubeflow: `cluster.yaml`"
    yield "`vitrina stack kubeflow --config F.yaml` registers it; [kubeflow.md](kubeflow.md) leads through it."
    yield from sections(ClusterConfig)
    yield "### What is set of `vitrina score`, by model and table"
    for name in family.scoring():
        for scorer in family.scorers(name):
            yield f"`vitrina score {name} --table {scorer.table}`: {_line(scorer.config)}"
            yield from sections(scorer.config)
    yield "### The mapping of `vitrina data import`"
    yield "Recipes for the exports of well-known shops are in [import.md](import.md)."
    yield from sections(ImportMapping)


def sections(schema: type[BaseModel], without: type[BaseModel] | None = None) -> Iterator[str]:
    """Tables of the fields of a schema, and of each kind of entry that its lists and mappings hold."""
    rows: list[tuple[str, str, str, str]] = []
    entries: dict[type[BaseModel], str] = {}
    _fields(schema, "", rows, entries, set(without.model_fields) if without else set())
    yield table(("key", "value", "default", "what it controls"), rows)
    told: set[type[BaseModel]] = set()
    while waiting := [kind for kind in entries if kind not in told]:
        for kind in waiting:
            told.add(kind)
            rows = []
            _fields(kind, "", rows, entries, set())
            yield f"`{entries[kind]}`: {_line(kind)}"
            yield table(("key", "value", "default", "what it controls"), rows)


def _fields(
    schema: type[BaseModel],
    prefix: str,
    rows: list[tuple[str, str, str, str]],
    entries: dict[type[BaseModel], str],
    skip: set[str],
) -> None:
    properties = schema.model_json_schema()
    for name, field in schema.model_fields.items():
        if name in skip:
            continue
        key = f"{prefix}{name}"
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            _fields(field.annotation, f"{key}.", rows, entries, set())
            continue
        for kind in _models(field.annotation):
            entries.setdefault(kind, key)
        kind_text = kind_of(properties["properties"][name], properties.get("$defs", {}))
        rows.append((f"`{key}`", kind_text, _default(field), field.description or ""))


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Schemas inside the brackets of an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)


def _default(field: FieldInfo) -> str:
    return "required" if field.is_required() else shown(field.get_default(call_default_factory=True, validated_data={}))


def shown(value: Any) -> str:
    """A default as YAML would have it on one line."""
    if value is None:
        return ""
    if isinstance(value, BaseModel):
        return shown(value.model_dump(mode="json", exclude_defaults=True))
    if isinstance(value, list | tuple):
        value = [
            entry.model_dump(mode="json", exclude_defaults=True) if isinstance(entry, BaseModel) else entry for entry in value
        ]
    return f"`{json.dumps(value, ensure_ascii=False)}`"


def kind_of(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """What a JSON schema allows, in few words."""
    if "$ref" in schema:
        return kind_of(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    for choice in ("anyOf", "oneOf"):
        if choice in schema:
            kinds = [kind_of(option, definitions) for option in schema[choice] if option.get("type") != "null"]
            return " or ".join(dict.fromkeys(kinds))
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    kind = schema.get("type")
    if kind == "array":
        inner = schema.get("items") or {}
        return f"list of {kind_of(inner, definitions)}" if inner else "list"
    if kind == "object":
        inner = schema.get("additionalProperties")
        if isinstance(inner, dict) and inner:
            return f"mapping to {kind_of(inner, definitions)}"
        return "section" if "properties" in schema else "mapping"
    names = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true or false"}
    return " ".join(filter(None, [names.get(str(kind), "any"), _bounds(schema)]))


def _bounds(schema: Mapping[str, Any]) -> str:
    words = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    told = [f"{sign} {schema[key]:g}" for key, sign in words.items() if key in schema]
    return ", ".join(told)


def http() -> Iterator[str]:
    """Every route of the service, from its OpenAPI document."""
    from serving.document import describe

    document = describe()
    yield "## HTTP"
    yield (
        "The service shows this document as a page at `/` and as JSON at `/openapi.json`. Requests and answers are JSON; where\n"
        'a form is accepted, the photo is its file `image`. An error is `{"error": {"code", "message", "field"}}`.'
    )
    definitions = document.get("components", {}).get("schemas", {})
    routes = [(path, method, what) for path, methods in document["paths"].items() for method, what in methods.items()]
    rows = [
        [f"`{method.upper()} {path}`", what.get("summary", ""), _query(what), _statuses(what)] for path, method, what in routes
    ]
    rows.append(["`GET /metrics`", "Prometheus metrics, of all workers together", "", "200"])
    yield table(("route", "answers", "in the query", "statuses"), rows)
    for path, method, what in routes:
        body = what.get("requestBody", {}).get("content", {})
        answer: Mapping[str, Any] = next(
            (r["content"] for status, r in what["responses"].items() if status[0] == "2" and "content" in r), {}
        )
        shape = answer.get("application/json", {}).get("schema")
        if not body and not shape:
            continue
        yield f"### `{method.upper()} {path}`"
        if what.get("description"):
            yield what["description"]
        if body:
            yield f"Takes JSON{' or a form' if len(body) > 1 else ''}:"
            yield from _shapes(body["application/json"]["schema"], definitions)
        if shape:
            yield "Answers:"
            yield from _shapes(shape, definitions)


def _query(route: Mapping[str, Any]) -> str:
    return ", ".join(f"`{one['name']}`" for one in route.get("parameters", ()) if one["in"] == "query")


def _statuses(route: Mapping[str, Any]) -> str:
    return ", ".join(sorted(status for status in route["responses"] if status.isdigit()))


def _shapes(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Iterator[str]:
    """A table of the fields; one for each where a body is one of several."""
    whole = _resolved(schema, definitions)
    shapes = [whole] if "properties" in whole else whole.get("oneOf", whole.get("anyOf", [whole]))
    for place, shape in enumerate(shapes):
        if place:
            yield "or:"
        yield _properties(shape, definitions)


def _properties(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    rows: list[list[str]] = []
    _rows(schema, definitions, "", rows, 0)
    return table(("field", "value", "", "meaning"), rows)


def _rows(schema: Mapping[str, Any], definitions: Mapping[str, Any], prefix: str, rows: list[list[str]], depth: int) -> None:
    schema = _resolved(schema, definitions)
    required = schema.get("required", [])
    for name, inner in schema.get("properties", {}).items():
        need = "required" if name in required and depth == 0 else ""
        options = [inner] if "$ref" in inner else inner.get("anyOf", [inner])
        meaning = inner.get("description") or next((one["description"] for one in options if "description" in one), "")
        rows.append([f"`{prefix}{name}`", kind_of(inner, definitions), need, meaning])
        for option in options:
            found = _resolved(option, definitions)
            if found.get("type") == "array":
                found, mark = _resolved(found.get("items") or {}, definitions), "[]."
            else:
                mark = "."
            if "properties" in found and depth < 3:
                _rows(found, definitions, f"{prefix}{name}{mark}", rows, depth + 1)


def _resolved(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    return _resolved(definitions[schema["$ref"].rpartition("/")[2]], definitions) if "$ref" in schema else schema


def variables() -> Iterator[str]:
    """What the code reads from the environment."""
    yield "## Environment variables"
    yield table(("variable", "default", "what it says"), [[f"`{name}`", *told] for name, told in VARIABLES.items()])


def touch() -> None:
    """Count once whatever the service counts, so that each metric has its labels."""
    from monitoring import metrics

    metrics.request_done("/", 200, 0.1, "product", "1")
    metrics.request_refused("unauthorized")
    metrics.worker_lost()
    metrics.batch_ran("product", [0.001], 0.01, 0)
    metrics.model_swapped("product", None, 1)
    metrics.model_loading("product", False)
    metrics.model_load_failed("product")
    metrics.model_stale("product", False)
    metrics.predictions_written(1)
    metrics.predictions_dropped(1)
    metrics.predictions_waiting(0)
    metrics.cache_hit(1)
    metrics.cache_missed(1)
    metrics.cache_failed()
    metrics.products_indexed(0)
    metrics.memory_used([(1, 2)])


def measured() -> Iterator[str]:
    """Names of the service's metrics, with the labels that they get when something happens."""
    from database.monitor_runs import record_run
    from monitoring import metrics
    from monitoring.verdict import DriftVerdict

    touch()
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/vitrina.db"
        verdict = DriftVerdict(drifted=False, enough_rows=True, n_reference=1, n_current=1, alpha=0.01, min_effect=0.1)
        record_run(url, "product", 1, "window", verdict=verdict.as_row())
        text = metrics.exposition(url).decode()
    yield "## Metrics"
    yield "What `GET /metrics` tells Prometheus."
    rows = []
    for name, help_text in re.findall(r"^# HELP (\S+) (.*)$", text, re.MULTILINE):
        kind = re.search(rf"^# TYPE {name} (\S+)$", text, re.MULTILINE)
        if name.endswith("_created") or kind is None:
            continue
        labels = re.findall(rf"^{name}(?:_bucket|_count|_sum)?{{(.*?)}} ", text, re.MULTILINE)
        names = sorted({label for found in labels for label in re.findall(r"(\w+)=", found)} - {"le"})
        rows.append([f"`{name}`", kind[1], ", ".join(f"`{label}`" for label in names), help_text])
    yield table(("metric", "kind", "labels", "what it counts"), rows)


def _line(schema: type[BaseModel]) -> str:
    return " ".join((schema.__doc__ or "").strip().splitlines()[0].split())


if __name__ == "__main__":
    sys.exit(main())
