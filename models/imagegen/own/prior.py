"""The mean image of a prompt by ridge regression: where the network begins (PriorGrad, Lee et al. 2022).

Latents of each size and style are regressed on the product model's features of the prompt, in the space of their principal
components. Latents without a prompt have the mean of all.

Shapes: B prompts, F features, n rows, R components, D = C · h · w numbers of an image's latents.
"""

from collections.abc import Mapping

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor

from models.imagegen.answers import STYLES, Size
from models.imagegen.config import PriorConfig


class RidgePrior(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """Linear in the features of a prompt, by style and size."""

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(self, features: int, rank: int, shapes: list[tuple[int, int, int, int, int]]) -> None:
        """`shapes`: width and height in pixels of each size, and channels, height and width of its latents."""
        super().__init__()
        self.shapes = {(w, h): (c, y, x) for w, h, c, y, x in map(tuple, shapes)}
        for (width, height), (c, y, x) in self.shapes.items():
            for style in STYLES:
                name = _name((width, height), style)
                self.register_buffer(f"weights_{name}", torch.zeros(features + 1, rank + 1))
                self.register_buffer(f"basis_{name}", torch.zeros(rank + 1, c * y * x))

    @torch.no_grad()
    def fit(self, size: Size, features: Tensor, latents: Mapping[str, Tensor], config: PriorConfig) -> dict[str, float]:
        """Fit one size on features (n, F) and latents (n, C, h, w) of each style; returns the shares of variance explained.

        The penalty does not touch the mean.
        """
        inputs = torch.cat([features.float(), torch.ones(len(features), 1)], dim=1)
        penalty = config.penalty * torch.eye(inputs.shape[1], dtype=torch.float64)
        penalty[-1, -1] = 0.0
        gram = (inputs.T @ inputs).double() + penalty
        explained = {}
        for style, wanted in latents.items():
            rows = wanted.flatten(1).float()
            _, _, basis = torch.pca_lowrank(rows, q=min(self.config.rank, *rows.shape), center=True, niter=2)
            basis = torch.linalg.qr(torch.cat([basis, rows.mean(dim=0)[:, None]], dim=1)).Q.T  # components, and room for the mean
            weights = torch.linalg.solve(gram, (inputs.T @ (rows @ basis.T)).double()).float()
            name = _name(size, style)
            self.get_buffer(f"weights_{name}")[:, : len(basis)] = weights
            self.get_buffer(f"basis_{name}")[: len(basis)] = basis
            left = rows - inputs @ weights @ basis
            explained[style] = 1.0 - float(left.square().sum() / (rows - rows.mean(dim=0)).square().sum())
        return explained

    def forward(self, size: Size, features: Tensor, styles: Tensor, told: Tensor) -> Tensor:
        """Mean latents (B, C, h, w) of features (B, F) in styles (B,); where `told` (B,) is False, 0."""
        inputs = torch.cat([features, torch.ones_like(features[:, :1])], dim=1)
        found = torch.zeros(len(features), *self.shapes[size], device=features.device)
        for number, style in enumerate(STYLES):
            rows = (styles == number) & told
            if bool(rows.any()):
                name = _name(size, style)
                with torch.autocast(features.device.type, enabled=False):  # as it was fitted
                    flat = inputs[rows] @ self.get_buffer(f"weights_{name}") @ self.get_buffer(f"basis_{name}")
                found[rows] = flat.view(-1, *self.shapes[size])
        return found


def _name(size: Size, style: str) -> str:
    return f"{size[0]}x{size[1]}_{style}"
