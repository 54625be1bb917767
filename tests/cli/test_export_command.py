"""`vitrina export`: a registered version becomes ONNX graphs."""

from pathlib import Path

import pytest
from commands import home_with_product, vitrina_here

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With version 1 of the product model."""
    return home_with_product(tmp_path_factory.mktemp("export"))


def test_a_folder_that_exists_is_left_alone(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").touch()
    done = vitrina_here(monkeypatch, capfd, home, "export", "product@1", "--out", str(tmp_path), "--json")
    assert done.returncode == 2
    assert done.stdout == ""
    lines = [line for line in done.stderr.splitlines() if line.startswith("vitrina: ")]
    assert lines == [f"vitrina: {tmp_path} exists; give a folder that does not"]
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
