"""Keeps ZenML's and MLflow's state under `$VITRINA_HOME`, and both quiet. Call before the first import of either."""

import os
import sys
from pathlib import Path

from configs.settings import Settings


def prepare(settings: Settings) -> None:
    """Set the variables that are not set yet; what the user chose stays."""
    zenml = settings.home / "zenml"
    zenml.mkdir(parents=True, exist_ok=True)
    defaults = {
        "VITRINA_HOME": str(settings.home),
        "MLFLOW_TRACKING_URI": settings.tracking_uri,
        "ZENML_CONFIG_PATH": str(zenml),
        "ZENML_LOCAL_STORES_PATH": str(zenml / "stores"),
        "ZENML_CUSTOM_SOURCE_ROOT": str(Path(__file__).parents[1]),
        "ZENML_ANALYTICS_OPT_IN": "false",
        "ZENML_AUTO_OPEN_DASHBOARD": "false",
        "ZENML_ENABLE_REPO_INIT_WARNINGS": "false",
        "ZENML_ENABLE_RICH_TRACEBACK": "false",
        "ZENML_LOGGING_VERBOSITY": "CRITICAL",  # it would show a traceback for every error that we tell in one line
        "ZENML_LOGGING_COLORS_DISABLED": "false" if sys.stderr.isatty() else "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "1",
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
