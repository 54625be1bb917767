"""Promotion: verify a version, then make it champion."""

from zenml import pipeline

from pipelines.hooks import remember
from steps.promote_version import promote_version
from steps.verify_version import verify_version


@pipeline(name="promotion", enable_cache=False, on_failure=remember)
def promotion(model: str, version: int, reviewer: str, note: str) -> None:
    """A version that cannot be verified or loaded is never promoted."""
    digest = verify_version(model, version)
    promote_version(model, version, reviewer, note, digest)
