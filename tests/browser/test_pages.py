"""The pages that people look at, in a real browser that reaches nothing but this machine."""

import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from homes import settings_of
from ports import free_port

from catalog.catalogue import Catalogue
from configs.schema import ServingConfig, ValidationConfig
from data_validation.report import write_report
from data_validation.run import validate
from serving.app import create_app
from serving.document import NoChampion

pytestmark = pytest.mark.slow

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def dom(address: str) -> str:
    """The page after its scripts ran."""
    if CHROMIUM is None:
        pytest.skip("no Chromium: apt-get install chromium")
    with tempfile.TemporaryDirectory() as profile:
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", f"--user-data-dir={profile}"]
        flags += ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--virtual-time-budget=15000", "--dump-dom"]
        done = subprocess.run([CHROMIUM, *flags, address], capture_output=True, text=True, timeout=120, check=True)
    return done.stdout


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("home")
    settings = settings_of(home)
    port = free_port()
    application = create_app(settings, ServingConfig(port=port), NoChampion())
    server = uvicorn.Server(uvicorn.Config(application, host="127.0.0.1", port=port, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(timeout=20)


def test_the_openapi_page_lists_every_endpoint_without_the_internet(api: str) -> None:
    page = dom(f"{api}/")
    for path in ("multimodal/analyze", "multimodal/classify", "price/predict", "embeddings", "feedback", "models"):
        assert f'data-path="/v1/{path}"' in page


def test_the_validation_report_shows_its_verdict_and_faults(sample: Path, tmp_path: Path) -> None:
    outcome = validate(Catalogue.open(sample), ValidationConfig())
    page = dom(write_report(outcome, tmp_path / "report").as_uri())
    assert "Passed" in page
    assert "price &gt; 0" in page
    assert page.count("<table") >= 4
