from pathlib import Path

import pytest
from homes import fresh

from configs.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return fresh(tmp_path)
