"""What is fitted on validation rows once the weights are fixed: probabilities that mean what they say, honest intervals."""

from collections.abc import Iterable

import torch

from configs.schema import EvaluationConfig
from models.product.heads.head import joined
from models.product.inputs import Inputs
from models.product.model import ProductModel


@torch.inference_mode()
def calibrate(model: ProductModel, batches: Iterable[Inputs], config: EvaluationConfig) -> None:
    """Let each head of the model fit its buffers on rows that have its target."""
    found: dict[str, list[dict[str, torch.Tensor]]] = {name: [] for name in model.listing_heads}
    for inputs in batches:
        decoded = model.decode(model.encode(inputs), model.views[None], inputs)
        for name, head in model.listing_heads.items():
            found[name].append(head.calibration_rows(decoded))
    for name, head in model.listing_heads.items():
        head.calibrate(joined(found[name]), config)
