"""A disk that fills up: one line that says so, exit code 2, and nothing half-written."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.trains

VITRINA = str(Path(sys.executable).with_name("vitrina"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 300 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(folder)], capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"cannot mount a tmpfs: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def refused(*arguments: str, home: Path) -> str:
    environment = os.environ | {"VITRINA_HOME": str(home)}
    done = subprocess.run([VITRINA, *arguments], capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("vitrina: ")]
    assert len(lines) == 1, done.stderr
    return lines[0]


@pytest.mark.slow
def test_a_catalogue_appears_whole_or_not_at_all(small_disk: Path, tmp_path: Path) -> None:
    line = refused("data", "sample", "--products", "300", "--out", str(small_disk / "first"), home=tmp_path / "home")
    assert "No space left on device" in line
    assert list(small_disk.iterdir()) == []


@pytest.mark.slow
def test_a_report_that_does_not_fit_is_not_left_in_pieces(small_disk: Path, sample: Path, tmp_path: Path) -> None:
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * 280_000)
    line = refused("data", "validate", str(sample), "--out", str(small_disk / "report"), home=tmp_path / "home")
    assert "No space left on device" in line
    assert not [p for p in small_disk.rglob("*") if p.is_file() and p != filler and p.suffix == ".html"]


@pytest.mark.slow
def test_training_with_its_home_on_a_full_disk(small_disk: Path, sample: Path) -> None:
    line = refused("train", "product", "--env", "demo", "--data", str(sample), home=small_disk / "home")
    assert "space" in line or "full" in line
