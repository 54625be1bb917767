"""Step: fix which catalogue, with which content, the run is about."""

from pathlib import Path
from typing import Annotated

from zenml import step

from catalog.remote import is_remote, open_catalogue
from configs.settings import Settings
from models import family
from provenance.events import with_events
from steps.results import Delivery


@step(enable_cache=False)
def load_catalogue(model: str, data: list[str]) -> Annotated[Delivery, "delivery"]:
    """Open `data`, check that it has the tables `model` cannot do without, add the service's events, and take its fingerprint."""
    settings, chosen = Settings.from_environment(), family.get(model)
    catalogue = open_catalogue(data, settings.deliveries)
    catalogue.require(chosen.tables)
    if chosen.events:
        catalogue = with_events(catalogue, settings)
    given = [one if is_remote(one) else str(Path(one).resolve()) for one in data]
    added = [str(folder.resolve()) for folder in catalogue.folders[len(data) :]]
    return Delivery(paths=(*given, *added), fingerprint=catalogue.fingerprint())
