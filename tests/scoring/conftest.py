"""A home with every model that scores, and a shop that none of them has seen."""

from pathlib import Path

import committed
import pytest
from commands import home_with
from homes import settings_of
from scored import bad_shop

from configs.settings import Settings
from registry.register import register


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Version 1 of each model that scores is registered."""
    home = home_with("product", tmp_path_factory.mktemp("scoring"))
    found = settings_of(home)
    for model in ("quality", "describer", "recommender"):
        bundle = committed.copied(model, home / f"bundle-{model}")
        register(found, model, bundle, metrics={}, config={}, tags={"vitrina.gates": "passed"}, reports={})
    return found


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """See `scored.bad_shop`; nothing may be written into it."""
    return bad_shop(tmp_path_factory.mktemp("scored") / "shop")
