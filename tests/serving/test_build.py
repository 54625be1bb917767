import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import committed
import pytest
import yaml
from ports import free_port

from configs.errors import ConfigError
from registry.errors import RegistryError
from serving.build import BENTOFILE, build
from serving.run import ServingError

ROOT = Path(__file__).parents[2]


def test_the_build_file_is_constant_and_pins_everything():
    options = yaml.safe_load(BENTOFILE)
    assert options["python"] == {"requirements_txt": "requirements.lock", "lock_packages": False}
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    requirements = [line for line in lines if line and not line.lstrip().startswith("#")]
    assert all("==" in line for line in requirements)
    assert not [line for line in lines if "://" in line]


@pytest.mark.parametrize("model", ["../etc", "product; rm -rf /", "nothing", ""])
def test_only_a_model_that_exists_is_built(settings, model):
    with pytest.raises(ConfigError, match="allowed: "):
        build(model, settings)


@pytest.mark.slow
def test_without_a_champion_there_is_nothing_to_build(settings):
    with pytest.raises(RegistryError, match="no registered version yet"):
        build("product", settings)


@pytest.fixture
def promoted(settings, tmp_path):
    """The home of a recommender with a champion."""
    from registry.promotion import promote
    from registry.register import register

    bundle = committed.copied("recommender", tmp_path / "trained")
    register(settings, "recommender", bundle, metrics={}, config={}, tags={"vitrina.gates": "passed"}, reports={})
    promote(settings, "recommender", 1, "me", "first")
    return settings


@pytest.mark.slow
def test_a_build_that_fails_leaves_the_bento_that_was_there(promoted, monkeypatch):
    tag = build("recommender", promoted)
    store = promoted.home / "bentoml"
    bento = store / "bentos" / Path(*tag.split(":"))
    (bento / "first").touch()
    monkeypatch.setattr("serving.build.BENTOFILE", 'service: "absent:Nothing"\n')
    with pytest.raises(ServingError, match=f"^BentoML could not build {tag}: "):
        build("recommender", promoted)
    assert (bento / "first").is_file()
    monkeypatch.undo()
    assert build("recommender", promoted) == tag
    assert not (bento / "first").exists()
    assert (bento / "bento.yaml").is_file()
    assert (bento.parent / "latest").read_text() == bento.name
    assert not list(store.glob(".building-*"))


@pytest.mark.slow
def test_a_bento_answers_on_a_machine_without_registry(promoted, tmp_path):
    """With the model that was packed, though nobody names it there, and with the page where it is asked for."""
    settings = promoted
    tag = build("recommender", settings)
    assert tag.startswith("vitrina:recommender-1-")
    bento = settings.home / "bentoml" / "bentos" / Path(*tag.split(":"))
    assert (bento / "src" / "bundles" / "recommender" / "1" / "manifest.json").is_file()
    assert not list((bento / "src").rglob("*.pkl"))

    port = free_port()
    elsewhere = {name: value for name, value in os.environ.items() if not name.startswith(("VITRINA", "MLFLOW", "PYTHONPATH"))}
    elsewhere |= {"VITRINA_HOME": str(tmp_path / "elsewhere"), "BENTOML_HOME": str(tmp_path / "bentoml")}
    elsewhere |= {"VITRINA_SERVING": json.dumps({"playground": {"enabled": True}})}
    arguments = [sys.executable, "-m", "bentoml", "serve", str(bento), "--host", "127.0.0.1", "--port", str(port)]
    log = tmp_path / "server.log"
    with log.open("wb") as out, subprocess.Popen(arguments, env=elsewhere, cwd=tmp_path, stdout=out, stderr=out) as process:
        try:
            deadline = time.monotonic() + 120
            while not _ready(port):
                assert process.poll() is None, log.read_text()[-2000:]
                assert time.monotonic() < deadline, log.read_text()[-2000:]
                time.sleep(0.3)
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/v1/recommendations",
                data=json.dumps({"user_id": "nobody"}).encode(),
                headers={"content-type": "application/json"},
            )
            with urllib.request.urlopen(request, timeout=60) as response:
                answer = json.load(response)
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/playground/", timeout=120) as response:
                page = response.read().decode()
        finally:
            process.terminate()
            process.wait(30)
    assert answer["model"] == {"name": "recommender", "version": 1}
    assert answer["items"]
    assert "gradio" in page


def _ready(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as response:
            return response.status == 200
    except (urllib.error.URLError, OSError):
        return False
