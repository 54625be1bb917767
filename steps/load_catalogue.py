"""Step: fix which catalogue, with which content, the run is about."""

from pathlib import Path
from typing import Annotated

from zenml import step

from catalog.catalogue import Catalogue
from models import family
from steps.results import Delivery


@step(enable_cache=False)
def load_catalogue(model: str, data: list[str]) -> Annotated[Delivery, "delivery"]:
    """Open `data`, check that it has the tables `model` cannot do without, and take its fingerprint."""
    catalogue = Catalogue.open(*map(Path, data))
    catalogue.require(family.get(model).tables)
    return Delivery(paths=tuple(str(folder.resolve()) for folder in catalogue.folders), fingerprint=catalogue.fingerprint())
