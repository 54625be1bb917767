"""When a step's cached result still holds: same inputs, same parameters, and unchanged source below it.

ZenML hashes a step's own code but not what the step calls (zenml#1011), so each policy adds a digest of
the packages that the step depends on.
"""

import hashlib
from pathlib import Path

from zenml.config.cache_policy import CachePolicy

ROOT = Path(__file__).parents[1]


def _digest(*folders: str) -> str:
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def data_source() -> str:
    """Digest of the source that turns a delivery into a verdict."""
    return _digest("configs", "catalog", "data_validation", "steps")


def model_source() -> str:
    """Digest of the source that turns a delivery into a measured model."""
    return _digest("configs", "catalog", "models", "steps")


DATA_CACHE = CachePolicy(cache_func="steps.caching.data_source")
MODEL_CACHE = CachePolicy(cache_func="steps.caching.model_source")
