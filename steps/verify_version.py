"""Step: is the version what its manifest says, and does it still answer?"""

from typing import Annotated

from zenml import step

from configs.settings import Settings
from models import family
from registry.fetch import fetch
from registry.versions import resolve


@step(enable_cache=False)
def verify_version(model: str, version: int) -> Annotated[str, "manifest_digest"]:
    """Fetch the bundle, check every file against the manifest, load it and make its warm-up prediction."""
    settings = Settings.from_environment()
    found = resolve(settings, f"{model}@{version}")
    family.get(model).load(fetch(settings, found), device="cpu")
    return found.tags["vitrina.bundle_sha256"]
