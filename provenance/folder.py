"""Where a training run keeps its checkpoints."""

import hashlib
import json
from pathlib import Path

from configs.schema import RunConfig


def training_folder(home: Path, model: str, fingerprint: str, config: RunConfig, source: str) -> Path:
    """`home/training/<model>/<digest of data, config and source>`, created if it is missing.

    A checkpoint is gone on from only by the code that wrote it.
    """
    about = [fingerprint, config.model_dump(mode="json"), source]
    folder = home / "training" / model / hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    return folder
