"""Step: fix which catalogue, with which content, the run is about."""

from pathlib import Path
from typing import Annotated

from zenml import step

from catalog.catalogue import Catalogue
from configs.settings import Settings
from models import family
from provenance.events import with_events
from steps.results import Delivery


@step(enable_cache=False)
def load_catalogue(model: str, data: list[str]) -> Annotated[Delivery, "delivery"]:
    """Open `data`, check that it has the tables `model` cannot do without, add the service's events, and take its fingerprint."""
    catalogue, chosen = Catalogue.open(*map(Path, data)), family.get(model)
    catalogue.require(chosen.tables)
    if chosen.events:
        catalogue = with_events(catalogue, Settings.from_environment())
    return Delivery(paths=tuple(str(folder.resolve()) for folder in catalogue.folders), fingerprint=catalogue.fingerprint())
