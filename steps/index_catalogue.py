"""Step: lay out the products of the delivery so that those like another are found."""

from typing import Annotated

import pandas as pd
from zenml import step

from serving.search.building import build
from steps.materializers import BundleMaterializer
from steps.results import Bundle, Delivery, Indexing


@step(output_materializers={"index": BundleMaterializer})
def index_catalogue(
    bundle: Bundle, delivery: Delivery, quarantine: pd.DataFrame, indexing: Indexing
) -> Annotated[Bundle, "index"]:
    """Embed every product that is not in quarantine, and index the vectors; nothing where the model embeds none.

    What is written lies in the temporary copy of the bundle, and is gone with it when the step has ended.
    """
    catalogue = delivery.open().without(quarantine)
    return Bundle(build(indexing.model, bundle.path, catalogue, indexing.config, bundle.path / "found"))
