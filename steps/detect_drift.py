"""Step: does what is served still look like what was trained on?"""

from pathlib import Path
from typing import Annotated

from zenml import step
from zenml.types import HTMLString

from configs.schema import DriftConfig
from configs.settings import Settings
from monitoring.run import MonitorOutcome, monitor
from registry.fetch import fetch
from registry.versions import resolve


@step(enable_cache=False)
def detect_drift(
    model: str, config: DriftConfig
) -> tuple[Annotated[MonitorOutcome, "monitoring"], Annotated[HTMLString, "drift_report"]]:
    """Compare the newest predictions of the champion with the reference in its bundle."""
    settings = Settings.from_environment()
    champion = resolve(settings, f"{model}@champion")
    outcome = monitor(settings, config, model, fetch(settings, champion), champion.version)
    return outcome, HTMLString(Path(outcome.report).read_text(encoding="utf-8"))
