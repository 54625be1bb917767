"""What a machine must offer, checked one by one; each failure says what to do."""

import importlib.metadata
import shutil
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from configs.errors import VitrinaError
from configs.schema import StrictModel
from configs.settings import Settings
from operations.environment import prepare

FREE_BYTES = 2 * 1024**3
PICKED_UP = timedelta(minutes=1)
"""A worker that runs takes a job long before."""
SECONDS = 10.0
"""Longest wait for a server's answer."""
LOCK = Path(__file__).parents[1] / "requirements.lock"


class Finding(StrictModel):
    """One check: what was looked at, whether it is well, and what was seen or has to be done."""

    name: str
    ok: bool
    detail: str


def examine(settings: Settings) -> list[Finding]:
    """Every check, whatever the others say."""
    prepare(settings)
    checks: dict[str, Callable[[Settings], str]] = {
        "python": _python,
        "packages": _packages,
        "home": _home,
        "disk": _disk,
        "database": _database,
        "jobs": _jobs,
        "stack": _stack,
        "registry": _registry,
        "bases": _bases,
    }
    return [_run(name, check, settings) for name, check in checks.items()]


def _run(name: str, check: Callable[[Settings], str], settings: Settings) -> Finding:
    try:
        return Finding(name=name, ok=True, detail=check(settings))
    except (VitrinaError, OSError) as error:
        return Finding(name=name, ok=False, detail=str(error))


def _python(_: Settings) -> str:
    version = ".".join(map(str, sys.version_info[:3]))
    if not (3, 11) <= sys.version_info[:2] < (3, 13):
        raise VitrinaError(f"Python {version}; allowed: 3.11, 3.12")
    return version


def _packages(_: Settings) -> str:
    if not LOCK.is_file():
        return "no requirements.lock beside the source: an installed build, not compared"
    lines = [line for line in LOCK.read_text(encoding="utf-8").splitlines() if line[:1].isalnum()]
    pinned = [pin for pin in map(Requirement, lines) if pin.marker is None or pin.marker.evaluate()]
    installed = {canonicalize_name(d.metadata["Name"]): d.version for d in importlib.metadata.distributions()}
    found = [(pin, installed.get(canonicalize_name(pin.name))) for pin in pinned]
    other = [
        f"{pin.name} {have or 'is absent'} (lock: {pin.specifier})"
        for pin, have in found
        if have is None or have not in pin.specifier
    ]
    if other:
        raise VitrinaError(f"differ from requirements.lock: {', '.join(other[:5])}; run `make setup`")
    return f"{len(pinned)} pinned, none differs"


def _home(settings: Settings) -> str:
    settings.home.mkdir(parents=True, exist_ok=True)
    probe = settings.home / ".writable"
    probe.touch()
    probe.unlink()
    return str(settings.home)


def _disk(settings: Settings) -> str:
    free = shutil.disk_usage(settings.home).free
    if free < FREE_BYTES:
        raise VitrinaError(f"{free / 1024**3:.1f} GiB free at {settings.home}; at least {FREE_BYTES / 1024**3:.0f} GiB")
    return f"{free / 1024**3:.0f} GiB free"


def _database(settings: Settings) -> str:
    from database.engine import migrate

    migrate(settings.database_url)
    return "reachable, migrated"


def _jobs(settings: Settings) -> str:
    from database import workflows
    from database.states import jobs_by_state

    workflows.ensure(settings.database_url)
    states = jobs_by_state(settings.database_url)
    waiting, running = (states[state].count if state in states else 0 for state in ("queued", "running"))
    if waiting and not running and (since := datetime.now(UTC) - states["queued"].oldest) > PICKED_UP:
        raise VitrinaError(f"{waiting} jobs wait, the oldest for {since.total_seconds():.0f} s; `vitrina worker` does them")
    return f"{waiting} wait, {running} run"


def _stack(settings: Settings) -> str:
    from operations.cluster import stack_for_run

    stack = stack_for_run(settings)
    if stack.cluster is None:
        return f"{stack.name}: pipelines run on this machine"
    try:
        httpx.get(f"{stack.cluster.kubeflow}/apis/v2beta1/healthz", timeout=SECONDS)
    except httpx.HTTPError as error:
        raise VitrinaError(f"{stack.name}: Kubeflow Pipelines at {stack.cluster.kubeflow} does not answer: {error}") from error
    return f"{stack.name}: pipelines run on Kubeflow at {stack.cluster.kubeflow}"


def _registry(settings: Settings) -> str:
    from models import family
    from registry.versions import CHAMPION, alias_targets

    champions = {name: alias_targets(settings, name).get(CHAMPION) for name in family.names()}
    return "reachable; champions: " + ", ".join(f"{name} {version or 'none yet'}" for name, version in champions.items())


def _bases(settings: Settings) -> str:
    from models import family
    from registry.bases import behind

    resting = [name for name in family.names() if family.get(name).rests_on]
    found = [reason for name in resting if (reason := behind(settings, name))]
    if found:
        raise VitrinaError("; ".join(found))
    return f"no champion rests on a version that is no longer champion; resting models: {', '.join(resting) or 'none'}"
