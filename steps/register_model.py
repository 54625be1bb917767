"""Step: put the version, with everything a reviewer asks for, into the registry."""

import shutil
import tempfile
from pathlib import Path
from typing import Annotated

from zenml import get_step_context, step
from zenml.types import HTMLString

from configs.settings import Settings
from models.bundles import save_profile
from models.evaluation.gates import GateDecision
from models.evaluation.results import Evaluation
from provenance.tags import version_tags
from registry.register import mark_challenger, register
from steps.results import Bundle, Delivery, MaybeBase, ModelRun, RegisteredVersion


@step(enable_cache=False)
def register_model(
    bundle: Bundle,
    index: Bundle,
    mlflow_run: str,
    delivery: Delivery,
    evaluation: Evaluation,
    gates: GateDecision,
    evaluation_report: HTMLString,
    headline: str,
    validation_report: HTMLString,
    run: ModelRun,
    base: MaybeBase,
) -> Annotated[RegisteredVersion, "registered"]:
    """Register the bundle with its index; a version that passed its gates becomes `challenger`."""
    settings, config = Settings.from_environment(), run.config.model_dump(mode="json")
    zenml_run = str(get_step_context().pipeline_run.id)
    tags = version_tags(delivery.paths, delivery.fingerprint, config, gates, zenml_run, base.version)
    metrics = {name: value for name, value in evaluation.flat().items() if value is not None}
    shutil.copytree(index.path, bundle.path, dirs_exist_ok=True)
    save_profile(bundle.path, evaluation.profile)
    with tempfile.TemporaryDirectory() as folder:
        reports = {"evaluation.html": evaluation_report, "validation.html": validation_report}
        paths = {name: Path(folder, name) for name in reports}
        for name, page in reports.items():
            paths[name].write_text(page, encoding="utf-8")
        version = register(
            settings,
            run.model,
            bundle.path,
            metrics=metrics,
            config=config,
            tags=tags,
            reports=paths,
            headline="\n\n".join(filter(None, [headline, base.sentence])),
            run_id=mlflow_run,
        )
    if gates.passed:
        version = mark_challenger(settings, version)
    return RegisteredVersion(model=run.model, version=version.version, run_id=mlflow_run, challenger=gates.passed, gates=gates)
