"""MLflow runs: where training curves, reports and the bundle of a version come together."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from configs.settings import Settings
from registry.connection import connected, is_missing, is_server
from registry.versions import registered_name

if TYPE_CHECKING:
    from mlflow import MlflowClient

RUN_FILE = "mlflow_run"
_RUN_ID = re.compile(r"[0-9a-f]{32}")


def start_run(settings: Settings, model: str, folder: Path) -> str:
    """Id of the run that belongs to a training folder: a killed training goes on in the run it had.

    Raises:
        RegistryUnreachable: no answer from MLflow.
    """
    file = folder / RUN_FILE
    with connected(settings) as client:
        if file.is_file() and goes_on(client, run_id := file.read_text(encoding="utf-8").strip()):
            return run_id
        run_id = experiment_run(settings, model, name=folder.name)
    folder.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{RUN_FILE}.part")
    part.write_text(run_id, encoding="utf-8")
    part.replace(file)
    return run_id


def experiment_run(settings: Settings, model: str, name: str) -> str:
    """Id of a new run called `name` in the model's experiment, which is made where it is missing."""
    with connected(settings) as client:
        experiment = _experiment(client, settings, registered_name(model))
        run_id: str = client.create_run(experiment, run_name=name).info.run_id
    return run_id


def _experiment(client: "MlflowClient", settings: Settings, name: str) -> str:
    from mlflow.exceptions import MlflowException

    # A server knows where artifacts belong; embedded MLflow would put them beside the working directory.
    location = None if is_server(settings) else (settings.artifact_root / name).as_uri()
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name, artifact_location=location))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":  # somebody else was faster
                raise
        found = client.get_experiment_by_name(name)
    assert found is not None
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def goes_on(client: "MlflowClient", run_id: str) -> bool:
    """Whether the run still exists; it is then marked as running again."""
    from mlflow.exceptions import MlflowException

    if not _RUN_ID.fullmatch(run_id):
        return False
    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        if is_missing(error):
            return False
        raise
    if run.info.lifecycle_stage == "deleted":
        return False
    client.update_run(run_id, status="RUNNING")
    return True
