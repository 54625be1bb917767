"""Where a version came from, as tags of the registry."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from models.bundles import RESTS_ON, BaseVersion
from models.evaluation.gates import GateDecision
from provenance.source import git_commit


def version_tags(
    data: Sequence[str],
    fingerprint: str,
    config: Mapping[str, Any],
    gates: GateDecision,
    zenml_run: str,
    base: BaseVersion | None = None,
) -> dict[str, str]:
    """Data (folders and their fingerprint), code, configuration and verdict that produced a version, and what it rests on."""
    return {
        "vitrina.data_path": "\n".join(data),
        "vitrina.data_fingerprint": fingerprint,
        "vitrina.git_commit": git_commit(),
        "vitrina.config": hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest(),
        "vitrina.gates": "passed" if gates.passed else "failed",
        "vitrina.gate_failures": "; ".join(gates.failures()),
        "vitrina.zenml_run": zenml_run,
        **({RESTS_ON: str(base)} if base else {}),
    }
