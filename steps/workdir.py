"""Where a training run keeps its checkpoints."""

import hashlib
import json
from pathlib import Path
from typing import Any


def training_folder(home: Path, model: str, fingerprint: str, config: dict[str, Any], source: str) -> Path:
    """`home/training/<model>/<digest of data, config and source>`, created if it is missing.

    A checkpoint is gone on from only by the code that wrote it.
    """
    digest = hashlib.sha256(json.dumps([fingerprint, config, source], sort_keys=True).encode()).hexdigest()
    folder = home / "training" / model / digest[:16]
    folder.mkdir(parents=True, exist_ok=True)
    return folder
