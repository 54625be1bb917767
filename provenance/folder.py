"""Where a training run keeps its checkpoints."""

import hashlib
import json
from pathlib import Path

from configs.schema import RunConfig
from models.bundles import BaseVersion


def training_folder(
    home: Path,
    model: str,
    fingerprint: str,
    config: RunConfig,
    source: str,
    base: BaseVersion | None = None,
    left_out: str = "",
) -> Path:
    """`home/training/<model>/<digest of what is trained on what>`, created if it is missing.

    A checkpoint is gone on from only by the code that wrote it, on the same rows: `left_out` is `Catalogue.left_out`.
    """
    given = [str(one) for one in (base, left_out) if one]
    about = [fingerprint, config.model_dump(mode="json"), source, *given]
    folder = home / "training" / model / hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    return folder
