"""Monitoring: what is served against what was trained on."""

from zenml import pipeline

from configs.schema import DriftConfig
from pipelines.hooks import remember
from steps.detect_drift import detect_drift


@pipeline(name="monitoring", enable_cache=False, on_failure=remember)
def monitoring(model: str, config: DriftConfig) -> None:
    """The verdict and its report; whoever runs the pipeline acts on it."""
    detect_drift(model, config)
