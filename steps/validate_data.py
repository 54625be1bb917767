"""Step: the verdict on a delivery."""

from typing import Annotated

import pandas as pd
from zenml import step
from zenml.types import HTMLString

from configs.settings import Settings
from data_validation.report import write_report
from data_validation.run import require_passed, validate
from steps.materializers import FrameMaterializer
from steps.results import Checks, Delivery


@step(output_materializers={"quarantine": FrameMaterializer})
def validate_data(
    delivery: Delivery, checks: Checks
) -> tuple[Annotated[pd.DataFrame, "quarantine"], Annotated[HTMLString, "validation_report"]]:
    """Run every suite; a broken table-level rule stops the run after its report is written."""
    outcome = validate(delivery.open(), checks.config)
    folder = Settings.from_environment().reports / "validation" / delivery.fingerprint[:12]
    page = write_report(outcome, folder)
    require_passed(outcome, page)
    return outcome.quarantine, HTMLString(page.read_text(encoding="utf-8"))
