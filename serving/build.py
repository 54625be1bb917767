"""Builds a Bento: our packages, pinned dependencies, and the champion's bundle. Needs no Docker."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from configs.settings import Settings
from models import family
from registry.bundle import manifest_sha256
from registry.fetch import fetch
from registry.versions import resolve
from serving.run import ROOT, SERVICE, ServingError
from serving.source import PACKED

PACKAGES = ("configs", "catalog", "database", "models", "registry", "monitoring", "playground", "serving")
CLIENT = Path("client", "vitrina_client")
"""Which the playground imports; in a Bento it lies beside the others."""
BENTOFILE = f"""\
service: "{SERVICE}"
include: ["*.py", "*.yaml", "*.mako", "*.jinja", "*.css", "*.js", "{PACKED}/**", "requirements.lock"]
python:
  requirements_txt: requirements.lock
  lock_packages: false
"""
"""Constant: nothing that a user or a model said gets into a build template."""


def build(model: str, settings: Settings) -> str:
    """Build from the champion of `model`; returns the Bento's tag. Bentos lie under `$VITRINA_HOME/bentoml`.

    A Bento of the same tag is replaced once the new one is built.

    On a machine without MLFLOW_TRACKING_URI the Bento serves the packed version; with it, it follows the registry.

    Raises:
        ConfigError: no such model.
        RegistryError: it has no champion, or the bundle was tampered with.
        ServingError: BentoML refused.
    """
    family.get(model)
    champion = resolve(settings, f"{model}@champion")
    bundle = fetch(settings, champion)
    tag = f"vitrina:{model}-{champion.version}-{manifest_sha256(bundle)[:12]}"
    store = settings.home / "bentoml"
    store.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory(prefix=".building-", dir=store) as building:
        context = Path(folder)
        for package in (*map(Path, PACKAGES), CLIENT):
            shutil.copytree(ROOT / package, context / package.name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy2(ROOT / "requirements.lock", context)
        shutil.copytree(bundle, context / PACKED / model / str(champion.version))
        (context / "bentofile.yaml").write_text(BENTOFILE, encoding="utf-8")
        done = _bentoml(Path(building), context, "build", "--version", tag.partition(":")[2], ".")
        if done.returncode != 0:
            reason = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no reason given"]
            raise ServingError(f"BentoML could not build {tag}: {reason[0]}")
        _replace(Path(building), store, tag)
    return tag


def _replace(building: Path, store: Path, tag: str) -> None:
    """Move the one Bento of a store into another, where it is the latest; one of the same tag there goes."""
    name, _, version = tag.partition(":")
    built, kept = building / "bentos" / name, store / "bentos" / name
    kept.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(kept / version, ignore_errors=True)
    for part in (version, "latest"):
        (built / part).replace(kept / part)


def _bentoml(home: Path, context: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {
        "BENTOML_HOME": str(home),
        "BENTOML_DO_NOT_TRACK": "True",
    }
    command = [sys.executable, "-m", "bentoml", *arguments]
    return subprocess.run(command, env=environment, cwd=context, capture_output=True, text=True, check=False)
