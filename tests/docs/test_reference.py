"""What is written for people is what the code says."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "docs" / "make_reference.py"
WORDS = [path for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")] if path.name != "reference.md"]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_reference", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_the_reference_is_what_the_code_says() -> None:
    # In a process of its own: it counts something in every metric, to learn their labels.
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, SCRIPT, "--check"], cwd=ROOT, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr


def test_every_variable_of_ours_is_in_it(script: ModuleType) -> None:
    folders = [path for path in ROOT.iterdir() if path.is_dir() and path.name not in ("tests", "docs") and path.name[0] != "."]
    sources = [*ROOT.glob("*.py"), *(path for folder in folders for path in folder.rglob("*.py"))]
    read = {name for path in sources for name in re.findall(r'"(VITRINA_[A-Z_]+)"', path.read_text(encoding="utf-8"))}
    assert {"VITRINA_HOME", "VITRINA_ENV"} <= read
    assert read <= set(script.VARIABLES)


def test_values_and_bounds_are_said_in_few_words(script: ModuleType) -> None:
    from pydantic import BaseModel, Field

    class Inner(BaseModel):
        """One of several."""

        name: str = Field(description="what it is called")

    class Outer(BaseModel):
        share: float = Field(0.5, ge=0, lt=1, description="of all")
        mode: str | None = Field(None, pattern="a|b", description="way")
        several: tuple[Inner, ...] = Field((Inner(name="x"),), description="of them")

    tables = "\n".join(script.sections(Outer))
    assert "| `share` | number ≥ 0, < 1 | `0.5` | of all |" in tables
    assert "| `mode` | text |  | way |" in tables
    assert '| `several` | list of section | `[{"name": "x"}]` | of them |' in tables
    assert "`several`: One of several.\n| key | value" in tables
    assert "| `name` | text | required | what it is called |" in tables


@pytest.mark.parametrize("path", WORDS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(path: Path) -> None:
    lost = []
    for link, place in re.findall(r"\]\(([^)#\s]*)#?([^)\s]*)\)", path.read_text(encoding="utf-8")):
        target = path.parent / link if link else path
        if "://" not in link and (not target.exists() or (place and place not in places(target))):
            lost.append(f"{link}#{place}")
    assert not lost, f"{path.relative_to(ROOT)} links to {', '.join(lost)}"


def places(page: Path) -> set[str]:
    """Headings of a page as links name them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", WORDS, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_that_are_named_exist(path: Path) -> None:
    folders = "|".join(sorted(folder.name for folder in ROOT.iterdir() if folder.is_dir() and not folder.name.startswith(".")))
    named = re.findall(rf"`((?:{folders})/[\w./-]*)`", path.read_text(encoding="utf-8"))
    lost = [name for name in named if not (ROOT / name).exists()]
    assert not lost, f"{path.relative_to(ROOT)} names {', '.join(lost)}"


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 120
