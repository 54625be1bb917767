"""Step: move `champion`, and write down who did it and why."""

from typing import Annotated

from zenml import step

from configs.settings import Settings
from registry.promotion import promote


@step(enable_cache=False)
def promote_version(model: str, version: int, reviewer: str, note: str, manifest_digest: str) -> Annotated[int, "champion"]:
    """Promote; refused where the gates said no. `manifest_digest` orders this after the verification."""
    return promote(Settings.from_environment(), model, version, reviewer=reviewer, note=note).version
