"""Where a training run keeps its checkpoints."""

import hashlib
import json
from pathlib import Path

from configs.schema import RunConfig
from models.bundles import BaseVersion


def training_folder(
    home: Path, model: str, fingerprint: str, config: RunConfig, source: str, base: BaseVersion | None = None
) -> Path:
    """`home/training/<model>/<digest of data, config, source and what the model rests on>`, created if it is missing.

    A checkpoint is gone on from only by the code that wrote it.
    """
    about = [fingerprint, config.model_dump(mode="json"), source, *([str(base)] if base else [])]
    folder = home / "training" / model / hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    return folder
