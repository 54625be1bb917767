"""Puts a trained bundle, with everything a reviewer asks for, into the registry."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.settings import Settings
from registry.bundle import manifest_sha256, verify, write_manifest
from registry.connection import connected
from registry.errors import PromotionRefused, RegistryError
from registry.runs import experiment_run
from registry.versions import CHALLENGER, CHAMPION, ModelVersion, point, registered_name, resolve, versions

if TYPE_CHECKING:
    from mlflow import MlflowClient

BUNDLE, REPORTS = "bundle", "reports"
CARD = "card.md"
IDENTITY = ("vitrina.bundle_sha256", "vitrina.config", "vitrina.gates")
_DESCRIPTION_LIMIT = 5000  # width of MLflow's column; PostgreSQL refuses more
_METRICS_A_REQUEST, _PARAMS_A_REQUEST = 1000, 100


def register(
    settings: Settings,
    model: str,
    bundle: Path,
    *,
    metrics: Mapping[str, float],
    config: Mapping[str, Any],
    tags: Mapping[str, str],
    reports: Mapping[str, Path],
    headline: str = "",
    run_id: str | None = None,
) -> ModelVersion:
    """Seal the bundle with a manifest and make it the model's next version.

    The run gets the bundle under `bundle/`, the reports under `reports/`, `config.json`, the metrics, and the
    configuration as parameters. The version gets the tags and `vitrina.bundle_sha256`; its description is the headline, links to
    the reports, and the bundle's `card.md`. The version comes last: where anything fails before, there is none. What is
    registered already, with the same bundle, configuration and verdict, is returned as it is.

    Args:
        tags: `vitrina.gates` (passed or failed) and where the version came from.
        reports: File name in the registry, and the file.
        headline: What a reviewer reads first, Markdown.
        run_id: Run of the training; a new one by default, and where an earlier version, or a killed registration, has it.

    Raises:
        RegistryError: no such report, gates tag missing, or MLflow refused.
        TamperedBundle: the bundle holds what may not be registered.
    """
    name = registered_name(model)
    if tags.get("vitrina.gates") not in ("passed", "failed"):
        raise RegistryError(f"tag vitrina.gates is {tags.get('vitrina.gates')!r}; allowed: passed, failed")
    for report in reports.values():
        if not report.is_file():
            raise RegistryError(f"report {report} does not exist")
    write_manifest(bundle)
    verify(bundle)
    sealed = {**tags, "vitrina.bundle_sha256": manifest_sha256(bundle)}
    for version in versions(settings, model):
        if all(version.tags.get(tag) == sealed.get(tag) for tag in IDENTITY):
            return version
    with connected(settings) as client:
        run_id = _run_of_its_own(settings, client, model, bundle, run_id)
        client.log_artifacts(run_id, str(bundle), BUNDLE)
        for report_name, report in reports.items():
            client.log_text(run_id, report.read_text(encoding="utf-8"), f"{REPORTS}/{report_name}")
        client.log_text(run_id, json.dumps(config, indent=1, sort_keys=True), "config.json")
        _log_values(client, run_id, metrics, config, sealed)
        _ensure_registered(client, name, model)
        made = client.create_model_version(
            name,
            f"runs:/{run_id}/{BUNDLE}",
            run_id=run_id,
            tags=sealed,
            description=_description(bundle, headline, _links(client, run_id, reports)),
            await_creation_for=0,
        )
        client.set_terminated(run_id)
    return resolve(settings, f"{model}@{made.version}")


def mark_challenger(settings: Settings, version: ModelVersion) -> ModelVersion:
    """Let `challenger` point at a version that passed its gates; a champion is nobody's challenger and stays as it is.

    Raises:
        PromotionRefused: it did not pass.
    """
    if not version.gates_passed:
        gates = version.tags.get("vitrina.gates", "unknown")
        raise PromotionRefused(f"{version} may not become challenger: gates {gates}, not passed")
    if CHAMPION in version.aliases:
        return version
    with connected(settings) as client:
        point(client, registered_name(version.model), CHALLENGER, version.version)
    return replace(version, aliases=tuple(sorted({*version.aliases, CHALLENGER})))


def _run_of_its_own(settings: Settings, client: "MlflowClient", model: str, bundle: Path, run_id: str | None) -> str:
    """The training's run, or a child of it where a version has it already, whose reports are never written over.

    Likewise where a registration was killed: of the files that it left, some may be none of this bundle.
    """
    if run_id is None:
        return experiment_run(settings, model, name=model)
    if not client.search_model_versions(f"run_id = '{run_id}'", max_results=1) and not client.list_artifacts(run_id, BUNDLE):
        return run_id
    child = experiment_run(settings, model, name=f"{model} again")
    client.set_tag(child, "mlflow.parentRunId", run_id)
    return child


def _log_values(
    client: "MlflowClient", run_id: str, metrics: Mapping[str, float], config: Mapping[str, Any], tags: Mapping[str, str]
) -> None:
    from mlflow.entities import Metric, Param, RunTag

    now = int(datetime.now().timestamp() * 1000)
    points = [Metric(name, float(value), now, 0) for name, value in metrics.items()]
    there = client.get_run(run_id).data.params  # parameters cannot be changed; the trainer may have logged some
    params = [Param(name, value) for name, value in flatten(config).items() if name not in there]
    for start in range(0, len(points), _METRICS_A_REQUEST):
        client.log_batch(run_id, metrics=points[start : start + _METRICS_A_REQUEST])
    for start in range(0, len(params), _PARAMS_A_REQUEST):
        client.log_batch(run_id, params=params[start : start + _PARAMS_A_REQUEST])
    client.log_batch(run_id, tags=[RunTag(name, value) for name, value in tags.items()])


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested sections as `a.b` = value, lists as JSON."""
    flat: dict[str, str] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value if isinstance(value, str) else json.dumps(value)
    return flat


def _ensure_registered(client: "MlflowClient", name: str, model: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name, description=f"Vitrina's {model} model. Moving `champion` promotes a version.")
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _links(client: "MlflowClient", run_id: str, reports: Mapping[str, Path]) -> str:
    """Markdown links to the reports, as the MLflow UI that shows the version addresses them."""
    run = f"#/experiments/{client.get_run(run_id).info.experiment_id}/runs/{run_id}/artifacts/{REPORTS}"
    return " · ".join(f"[{Path(name).stem.capitalize()} report]({run}/{name})" for name in reports)


def headline_of(description: str) -> str:
    """What a reviewer reads first of a version's description: all before the links to its reports."""
    return re.split(r"^\[[^\]]+ report\]\(#/", description, maxsplit=1, flags=re.MULTILINE)[0].strip()


def _description(bundle: Path, headline: str, links: str) -> str:
    """What the version's page says: the verdict and where to read on, then the card."""
    card = bundle / CARD
    text = "\n\n".join(filter(None, [headline, links, card.read_text(encoding="utf-8") if card.is_file() else ""]))
    ending = f"\n\n… (whole card: {BUNDLE}/{CARD} of the run)"
    return text if len(text) <= _DESCRIPTION_LIMIT else text[: _DESCRIPTION_LIMIT - len(ending)] + ending
