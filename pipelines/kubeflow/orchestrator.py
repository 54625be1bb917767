"""Submits a run to Kubeflow Pipelines, and waits until it has ended."""

import os
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from kfp_server_api.exceptions import ApiException
from urllib3.exceptions import HTTPError
from zenml.client import Client
from zenml.enums import ExecutionStatus, StackComponentType
from zenml.integrations.kubeflow.orchestrators import KubeflowOrchestrator
from zenml.models import ExceptionInfo
from zenml.orchestrators import SubmissionResult, publish_utils
from zenml.orchestrators.utils import get_orchestrator_run_name
from zenml.stack import StackValidator

from configs.cluster import ClusterConfig
from configs.errors import VitrinaError
from pipelines.kubeflow.entrypoint import StepEntrypoint
from pipelines.kubeflow.flavor import ClusterOrchestratorConfig
from pipelines.kubeflow.specification import Step, write

ENDED = ("SUCCEEDED", "FAILED", "CANCELED", "SKIPPED")
"""States in which a run of Kubeflow Pipelines stays; its own client waits for ever for one that was cancelled."""
LONGEST_PAUSE = 10.0
"""Seconds between two looks at a run that takes long."""
PATIENCE = 600.0
"""Seconds for which a Kubeflow that does not answer is asked again: it outlives its API's restarts."""
TOKEN = "VITRINA_KUBEFLOW_TOKEN"  # noqa: S105 - the variable's name


class WaitedNoLonger(VitrinaError):
    """Whoever waited was interrupted; the run goes on."""

    exit_code = 130


class ClusterOrchestrator(KubeflowOrchestrator):
    """ZenML's orchestrator with pods of our own, and with errors that reach whoever waits.

    With Kubeflow Pipelines 2, ZenML's refuses a memory limit, gives every pod the last step's node selector, mounts nothing,
    knows no Secrets, and keeps to itself that Kubeflow does not answer.
    """

    @property
    def config(self) -> ClusterOrchestratorConfig:
        """What the component holds."""
        assert isinstance(self._config, ClusterOrchestratorConfig)
        return self._config

    @property
    def validator(self) -> StackValidator:
        """Nothing is built here: the image that `deploy/Containerfile` makes lies in the registry."""
        return StackValidator(required_components={StackComponentType.CONTAINER_REGISTRY})

    def get_docker_builds(self, snapshot: Any) -> list[Any]:
        """None."""
        return []

    def submit_pipeline(
        self,
        snapshot: Any,
        stack: Any,
        base_environment: dict[str, str],
        step_environments: dict[str, dict[str, str]],
        placeholder_run: Any = None,
    ) -> SubmissionResult | None:
        """Submit what is not cached.

        Raises:
            VitrinaError: Kubeflow does not answer or refuses it, or the ZenML server would have to be told a secret in public.
        """
        name = get_orchestrator_run_name(snapshot.pipeline_configuration.name).replace("_", "-")
        steps = [
            Step(
                name=step,
                command=[
                    *StepEntrypoint.get_entrypoint_command(),
                    *StepEntrypoint.get_entrypoint_arguments(step_name=step, snapshot_id=snapshot.id),
                ],
                variables=_variables(step_environments[step], self.config.cluster),
                after=configured.spec.upstream_steps,
            )
            for step, configured in snapshot.step_configurations.items()
        ]
        path = Path(self.pipeline_directory, f"{name}.yaml")
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, name, steps, self.config.cluster)
        if snapshot.schedule:
            found: SubmissionResult | None = self._upload_and_run_pipeline(snapshot, str(path), name)
            return found
        try:
            client = self._get_kfp_client(self.get_settings(snapshot))
            run_id = client.create_run_from_pipeline_package(
                str(path),
                arguments={},
                run_name=name,
                experiment_name=snapshot.pipeline_configuration.name,
                namespace=self.config.cluster.user_namespace,
                enable_caching=False,
            ).run_id
        except (ApiException, HTTPError) as error:
            raise VitrinaError(f"Kubeflow Pipelines at {self.config.cluster.kubeflow}: {_told(error)}") from error
        told = {"kubeflow_run": run_id, "image": self.config.cluster.image.reference}
        return SubmissionResult(wait_for_completion=partial(self._wait, client, run_id, placeholder_run), metadata=told)

    def _get_kfp_client(self, settings: Any) -> Any:
        """ZenML's, with the token of whoever asks where Kubeflow wants one."""
        if token := os.environ.get(TOKEN):
            settings.client_args["existing_token"] = token
        return super()._get_kfp_client(settings)

    def _stop_run_forcefully(self, pipeline_run: Any) -> None:
        """Of `zenml pipeline runs stop`."""
        self._get_kfp_client(self.get_settings(pipeline_run)).terminate_run(pipeline_run.orchestrator_run_id)

    def _wait(self, client: Any, run_id: str, placeholder_run: Any) -> None:
        """Until the run has ended; one that failed is then failed for ZenML too, whatever became of its pods.

        Raises:
            VitrinaError: it takes longer than it may, or Kubeflow has not answered for `PATIENCE`.
            WaitedNoLonger: interrupted.
        """
        page = f"{self.config.cluster.kubeflow}/#/runs/details/{run_id}"
        try:
            run = self._ended(client, run_id)
        except KeyboardInterrupt as error:
            raise WaitedNoLonger(f"interrupted; the run goes on: {page}") from error
        except (ApiException, HTTPError) as error:
            raise VitrinaError(f"Kubeflow Pipelines: {_told(error)}; the run may go on: {page}") from error
        except TimeoutError as error:
            limit = f"timeout_minutes {self.config.cluster.timeout_minutes}"
            raise VitrinaError(f"the run has not ended within {limit}; it goes on: {page}") from error
        if run.state != "SUCCEEDED":
            _fail(placeholder_run.id, f"{_why(run)}; its log: {page}")

    def _ended(self, client: Any, run_id: str) -> Any:
        """Kubeflow's run when it has ended."""
        answered = time.monotonic()
        deadline, pause = answered + 60 * self.config.cluster.timeout_minutes, 0.5
        while True:
            try:
                run = client.get_run(run_id)
                answered = time.monotonic()
                if run.state in ENDED:
                    return run
            except (ApiException, HTTPError):
                if time.monotonic() - answered > PATIENCE:
                    raise
            if time.monotonic() > deadline:
                raise TimeoutError
            time.sleep(pause)
            pause = min(1.5 * pause, LONGEST_PAUSE)


def _variables(zenml: Mapping[str, str], cluster: ClusterConfig) -> dict[str, str]:
    """What ZenML tells its steps, without a secret and with the address that pods know.

    Raises:
        VitrinaError: the server wants to know who asks, and no Secret of the cluster says it.
    """
    variables = {name: value for name, value in zenml.items() if name != "ZENML_STORE_API_TOKEN"}
    if len(variables) < len(zenml) and not cluster.zenml_key:
        raise VitrinaError(
            f"the ZenML server {zenml['ZENML_STORE_URL']} asks who its clients are: name a Secret with the API key of a service "
            "account as zenml_key in the configuration of the cluster"
        )
    return variables | ({"ZENML_STORE_URL": cluster.zenml} if cluster.zenml else {})


def _told(error: Exception) -> str:
    """In one line."""
    if isinstance(error, ApiException):
        return f"{error.status} {error.reason}: {' '.join(str(error.body).split())[:300]}"
    return " ".join(str(error).split())[:300]


def _why(run: Any) -> str:
    """What Kubeflow says of a run that did not succeed."""
    tasks = getattr(run.run_details, "task_details", None) or []
    errors = [f"{task.display_name}: {task.error.message}" for task in tasks if task.error and task.error.message]
    message = "; ".join(errors) or getattr(run.error, "message", None) or "a pod was stopped or never started"
    return f"Kubeflow says {run.state}: {' '.join(message.split())[:500]}"


def _fail(run_id: Any, reason: str) -> None:
    """For ZenML: a pod that was killed says nothing of its end."""
    info = ExceptionInfo(traceback=reason, message=reason)
    for step in Client().get_pipeline_run(run_id).steps.values():
        if not step.status.is_finished:
            publish_utils.publish_step_run_status_update(step.id, ExecutionStatus.FAILED, exception_info=info)
    if not Client().get_pipeline_run(run_id).status.is_finished:
        publish_utils.publish_failed_pipeline_run(run_id, exception_info=info)
