"""Fixtures for every test: state in temporary folders, the sample catalogue, and the real data where it is present."""

import atexit
import os
import re
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from catalog.catalogue import Catalogue

ROOT = Path(__file__).parents[1]

# Before any test imports them: no telemetry, no colours, and ZenML's state out of the home folder.
STATE = tempfile.mkdtemp(prefix="vitrina-tests-")
atexit.register(shutil.rmtree, STATE, ignore_errors=True)
os.environ["ZENML_CONFIG_PATH"] = f"{STATE}/zenml"
os.environ["ZENML_LOCAL_STORES_PATH"] = f"{STATE}/zenml/stores"
os.environ["ZENML_CUSTOM_SOURCE_ROOT"] = str(ROOT)
os.environ.setdefault("ZENML_ANALYTICS_OPT_IN", "false")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
os.environ.setdefault("NO_COLOR", "1")


MEASURED = pytest.StashKey[dict[str, list[float]]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--seeds", type=int, default=1, help="of every test that takes `seed` and `measured`; what was measured is told"
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Modules of which `make test` or `make test-slow` runs nothing are not even imported: their libraries take seconds."""
    if collection_path.suffix != ".py" or config.option.markexpr not in ("slow", "not slow"):
        return None
    text = collection_path.read_text(encoding="utf-8")
    slow, quick = "mark.slow" in text, not re.search(r"^pytestmark = .*mark\.slow", text, re.MULTILINE)
    return None if (slow if config.option.markexpr == "slow" else quick) else True


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if {"seed", "measured"} <= set(metafunc.fixturenames):
        metafunc.parametrize("seed", range(metafunc.config.getoption("seeds")))


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Callable[[str, float], float]:
    """Notes a number that a bound is for; `pytest -m trains --seeds 5` tells the lowest and the highest over the seeds.

    Figures beside the bounds are those of five seeds, each on one thread and on two.
    """
    noted = request.config.stash.setdefault(MEASURED, defaultdict(list))

    def note(name: str, value: float) -> float:
        noted[f"{request.node.originalname}: {name}"].append(float(value))
        return float(value)

    return note


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if config.getoption("seeds") > 1:
        for name, values in config.stash.get(MEASURED, {}).items():
            terminalreporter.write_line(f"{name}: {min(values):.4g} to {max(values):.4g} ({len(values)})")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real data sets; tests that need it are skipped where it is absent."""
    folder = Path(os.environ.get("VITRINA_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real data is absent: VITRINA_TEST_DATA={folder}")
    return folder


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small first delivery of the sample catalogue."""
    from catalog.sample import write_sample

    return write_sample(tmp_path_factory.mktemp("sample") / "first", products=400)


@pytest.fixture(scope="session")
def product_catalogue(tmp_path_factory: pytest.TempPathFactory) -> "Catalogue":
    """What the committed product bundle was trained on."""
    import committed

    return committed.catalogue("product", tmp_path_factory.mktemp("product") / "catalogue")


@pytest.fixture(scope="session")
def recommender_catalogue(tmp_path_factory: pytest.TempPathFactory) -> "Catalogue":
    """What the committed recommender was trained on."""
    import committed

    return committed.catalogue("recommender", tmp_path_factory.mktemp("recommender") / "catalogue")
