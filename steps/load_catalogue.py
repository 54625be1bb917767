"""Step: fix which catalogue directory, with which content, the run is about."""

from pathlib import Path
from typing import Annotated

from zenml import step

from catalog.catalogue import Catalogue
from models import family
from steps.results import Delivery


@step(enable_cache=False)
def load_catalogue(model: str, data: str) -> Annotated[Delivery, "delivery"]:
    """Open `data`, check that it has the tables `model` cannot do without, and take its fingerprint."""
    catalogue = Catalogue.open(Path(data))
    catalogue.require(family.get(model).tables)
    return Delivery(path=str(catalogue.root.resolve()), fingerprint=catalogue.fingerprint())
