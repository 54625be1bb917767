"""Price as a Laplace distribution of the standardised log price.

It is located between what words say (`priors.linear`) and what similar listings cost (`priors.neighbours`), and moved by an
offset. Its interval is calibrated by split conformal prediction.

Shapes: B listings, V views, S segments of the prior, F features of neighbours.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from catalog.listing import CATEGORY_LEVELS
from configs.schema import EvaluationConfig
from models.product.heads.head import Codec, Decoded, HeadConfig, HeadContext, ListingHead
from models.product.inputs import Inputs
from models.product.losses import mean
from models.product.parts import PARTS, PRIOR_SEGMENTS, SEGMENTS, WHOLE
from models.product.priors.neighbours import MEAN, NAMES

COVERAGE = 0.9
"""Share of true prices that an interval is to hold: what the API, the card and reports promise, so that it is no setting."""

LOG_SCALES = (-5.0, 3.0)
"""Bounds of the logarithm of the scale: a training price that is met exactly must not have an infinite density."""


class PriceConfig(HeadConfig):
    """Values of the price head."""

    weight: float = Field(1.0, ge=0.0, description="weight of the Laplace negative log likelihood of the standardised log price")

    @classmethod
    def head(cls) -> type["PriceHead"]:
        """What these values are for."""
        return PriceHead


@dataclass(frozen=True)
class PriceOutput:
    """location and scale (B, V) of a Laplace distribution."""

    location: Tensor
    scale: Tensor


@dataclass(frozen=True)
class PriceEstimate:
    """In the catalogue's currency; the true price is between low and high for 90 % of products like those trained on."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class PriceAnswers:
    """Median [n] in the catalogue's currency, and the bounds that hold 90 %; NaN where the model was trained without prices."""

    median: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    def at(self, row: int) -> PriceEstimate | None:
        """None where the model was trained without prices."""
        if np.isnan(self.median[row]):
            return None
        return PriceEstimate(float(self.median[row]), float(self.low[row]), float(self.high[row]))


class PriceHead(ListingHead[PriceOutput, PriceAnswers]):
    """See the module; it never sees the listing's price."""

    name = "price"
    visible = (*SEGMENTS, *CATEGORY_LEVELS)
    evidence_size = len(PRIOR_SEGMENTS) + len(NAMES)
    words: Tensor
    quantile: Tensor

    def __init__(self, values: PriceConfig, context: HeadContext) -> None:
        super().__init__(values, context)
        self.values = values
        self.layer = nn.Linear(context.width, 3)
        self.register_buffer("words", torch.tensor([PARTS.index(name) for name in PRIOR_SEGMENTS]), persistent=False)
        self.register_buffer("quantile", torch.tensor(1.0))  # half width of the interval in scales (Lei et al. 2018)

    def weights(self) -> Mapping[str, float]:
        """Of the likelihood."""
        return {"price": self.values.weight}

    def reset_parameters(self) -> None:
        """The prior is the first answer."""
        nn.init.zeros_(self.layer.weight)

    def evidence(self, inputs: Inputs, shown: Tensor) -> Tensor:
        """What words add to the price (S), and what neighbours cost (F)."""
        return torch.cat(self._known(inputs, shown), dim=-1)

    def forward(self, decoded: Decoded) -> PriceOutput:
        """Between prior and neighbours, as far as the gate says."""
        prior, near = self._known(decoded.inputs, decoded.shown)
        offset, log_scale, gate = self.layer(decoded.states[self.name]).float().unbind(-1)
        location = prior.sum(-1)
        location = location + near[..., 0] * gate.sigmoid() * (near[..., MEAN] - location) + offset
        return PriceOutput(location, log_scale.clamp(*LOG_SCALES).exp())

    def view_losses(self, output: PriceOutput, view: int, targets: Inputs, rows: Tensor, smoothing: float) -> dict[str, Tensor]:
        """Laplace negative log likelihood."""
        location, scale = output.location[:, view], output.scale[:, view]
        error = (targets.price.nan_to_num() - location).abs()
        return {"price": mean(error / scale + (2 * scale).log(), ~targets.price.isnan() & rows)}

    def answers(self, output: PriceOutput) -> dict[str, Tensor]:
        """price_location and price_half_width (B,), in standardised logs."""
        location, scale = output.location[:, WHOLE], output.scale[:, WHOLE]
        return {"price_location": location, "price_half_width": self.quantile * scale}

    @classmethod
    def interpret(cls, answers: Mapping[str, NDArray[Any]], codec: Codec) -> PriceAnswers:
        """In the catalogue's currency."""
        location, half = answers["price_location"], answers["price_half_width"]
        scaler = codec.price
        if scaler is None:
            return PriceAnswers(*(np.full(len(location), np.nan) for _ in range(3)))
        return PriceAnswers(*(scaler.inverse(x) for x in (location, location - half, location + half)))

    def calibration_rows(self, decoded: Decoded) -> dict[str, Tensor]:
        """Errors in predicted scales, of the whole listing."""
        output = decoded.of(PriceHead)
        scores = (decoded.inputs.price - output.location[:, WHOLE]).abs() / output.scale[:, WHOLE]
        return {"scores": scores[~scores.isnan()]}

    def calibrate(self, rows: Mapping[str, Tensor], config: EvaluationConfig) -> None:
        """Split conformal prediction."""
        self.quantile.fill_(conformal_quantile(rows["scores"].numpy(), COVERAGE))

    def calibrated(self) -> dict[str, float]:
        """The half width of the interval."""
        return {"price_quantile": self.quantile.item()}

    def _known(self, inputs: Inputs, shown: Tensor) -> tuple[Tensor, Tensor]:
        """What words (B, V, S) and neighbours (B, V, F) say where they are shown; neighbours need all words."""
        words = shown[:, :, self.words]
        return inputs.price_prior[:, None] * words, inputs.neighbours[:, None] * words.all(dim=-1, keepdim=True)


def conformal_quantile(scores: NDArray[np.float32], coverage: float) -> float:
    """The ⌈(n + 1) · coverage⌉-th smallest score: an interval that wide covers a new row with that probability."""
    if not len(scores):
        return 1.0
    rank = min(math.ceil((len(scores) + 1) * coverage), len(scores))
    return max(float(np.sort(scores)[rank - 1]), 1e-6)
