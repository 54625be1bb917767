from pathlib import Path

import pytest

from configs.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(tmp_path, f"sqlite:///{tmp_path / 'vitrina.db'}", f"sqlite:///{tmp_path / 'mlflow.db'}")
