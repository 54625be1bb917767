"""What tests of diffusion share: made photos, a prompt encoder, and a network that knows the answer."""

import numpy as np
import torch
from torch import Tensor, nn

from models.imagegen.config import DiffusionConfig
from models.imagegen.own.task import scheduler_of
from models.imagegen.own.text import PromptEncoder


def photos(count: int, seed: int = 0) -> Tensor:
    """Smooth coloured blobs on white (n, 3, 32, 32) in [-1, 1]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:32, 0:32] / 32
    centre, width, colour = rng.random((count, 2, 1, 1)), 0.05 + 0.1 * rng.random((count, 1, 1)), rng.random((count, 3, 1, 1))
    blob = np.exp(-((x - centre[:, 0]) ** 2 + (y - centre[:, 1]) ** 2) / width)[:, None]
    return torch.from_numpy(1 - 2 * blob * colour).float()


def encoder() -> PromptEncoder:
    torch.manual_seed(0)
    made = PromptEncoder(vocabulary=50, tokens=8, features=6, width=16, layers=2, heads=2)
    for weights in made.parameters():
        nn.init.normal_(weights, std=0.3)  # branches that begin as nothing would tell nothing
    return made.eval()


class Oracle(nn.Module):
    """Stands for a U-Net that knows the answer: the v of the residual, by what it is shown."""

    device, dtype = torch.device("cpu"), torch.float32

    def __init__(self, latents: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.latents, self.kept = latents, scheduler_of(DiffusionConfig()).alphas_cumprod

    def forward(self, x: Tensor, times: Tensor, **_: object) -> tuple[Tensor]:
        noisy, mean = x.chunk(2, dim=1)
        a, s = self.kept[times].sqrt()[:, None, None, None], (1 - self.kept[times]).sqrt()[:, None, None, None]
        rest = self.latents[: len(x)] - mean
        return (a * (noisy - a * rest) / s - s * rest + self.weight,)
