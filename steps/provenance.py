"""Where a version came from, as tags."""

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

from models.evaluation.gates import GateDecision
from steps.results import Delivery


def version_tags(delivery: Delivery, config: dict[str, Any], gates: GateDecision, zenml_run: str) -> dict[str, str]:
    """Data, code, configuration and verdict that produced a version."""
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()
    return {
        "vitrina.data_path": "\n".join(delivery.paths),
        "vitrina.data_fingerprint": delivery.fingerprint,
        "vitrina.git_commit": git_commit(),
        "vitrina.config": digest,
        "vitrina.gates": "passed" if gates.passed else "failed",
        "vitrina.gate_failures": "; ".join(gates.failures()),
        "vitrina.zenml_run": zenml_run,
    }


def git_commit(root: Path = Path(__file__).parents[1]) -> str:
    """Commit of this source, with `+changes` where the tree differs from it; `unknown` outside a checkout."""
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=True)  # noqa: S607
        dirty = subprocess.run(["git", "status", "--porcelain", "-uno"], cwd=root, capture_output=True, text=True, check=True)  # noqa: S607
    except (FileNotFoundError, subprocess.CalledProcessError):
        return "unknown"
    return head.stdout.strip() + ("+changes" if dirty.stdout.strip() else "")
