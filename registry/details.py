"""What the run of a version says of it: the metrics that its gates hold, and its reports. None of it changes any more."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from configs.settings import Settings
from registry.connection import connected, is_missing
from registry.register import REPORTS
from registry.versions import ModelVersion

_METRIC = re.compile(r'"metric": "([^"]+)"')
"""Of a gate in a parameter, which MLflow may have cut off."""


@dataclass(frozen=True)
class RunDetails:
    """Of one version.

    Attributes:
        experiment: Id of the run's; empty where the run is gone.
        gated: Names of the metrics that gates hold, in their order.
        metrics: Of the run, with `NAME_low` and `NAME_high`, the ends of 95 % intervals.
        reports: File names below `reports/` of the run.
    """

    experiment: str = ""
    gated: tuple[str, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    reports: tuple[str, ...] = ()


def details(settings: Settings, version: ModelVersion) -> RunDetails:
    """In two requests; nothing where somebody deleted the run.

    Raises:
        RegistryError: MLflow does not answer, or refuses.
    """
    from mlflow.exceptions import MlflowException

    with connected(settings) as client:
        try:
            run = client.get_run(version.run_id)
            reports = client.list_artifacts(version.run_id, REPORTS)
        except MlflowException as error:
            if is_missing(error):
                return RunDetails()
            raise
    gates = (value for name, value in sorted(run.data.params.items()) if name.startswith("gates."))
    gated = tuple(dict.fromkeys(name for text in gates for name in _METRIC.findall(text)))
    names = tuple(found.path.rpartition("/")[2] for found in reports if not found.is_dir)
    return RunDetails(str(run.info.experiment_id), gated, dict(run.data.metrics), names)
