"""Where a training run keeps its checkpoints."""

import hashlib
import json
from pathlib import Path
from typing import Any


def training_folder(home: Path, model: str, fingerprint: str, config: dict[str, Any]) -> Path:
    """`home/training/<model>/<digest of data and config>`, created if it is missing."""
    digest = hashlib.sha256(json.dumps([fingerprint, config], sort_keys=True).encode()).hexdigest()
    folder = home / "training" / model / digest[:16]
    folder.mkdir(parents=True, exist_ok=True)
    return folder
