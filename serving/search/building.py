"""From a trained bundle and a delivery to the index that is registered with the version."""

import tempfile
from pathlib import Path

from catalog.catalogue import Catalogue
from configs.schema import IndexConfig
from models import family
from models.bundles import INDEX
from models.errors import NothingToEmbed
from models.family import Embeds
from serving.search.index import write


def build(model: str, bundle: Path, catalogue: Catalogue, config: IndexConfig, out: Path) -> Path:
    """Write `out/index` of every product that the bundle embeds, with their photos; returns `out`, which stays empty without one.

    There is none where the model embeds no products, or the catalogue has none that say anything.

    Raises:
        CatalogueError: attributes of a product that are no JSON object.
    """
    chosen = family.get(model)
    out.mkdir(parents=True, exist_ok=True)
    if not isinstance(chosen, Embeds) or "products" not in catalogue.tables():
        return out
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        try:
            chosen.embed(bundle, catalogue, Path(folder, "embedded"))
        except NothingToEmbed:
            return out
        ids, vectors = Catalogue.open(Path(folder, "embedded")).embeddings()
        write(out / INDEX, ids, vectors, catalogue.products(), config, catalogue.images.get)
    return out
