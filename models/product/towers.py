"""What reads each part of a listing by itself: a transformer for texts, a residual network for photos, tokens for the rest.

Shapes: B rows, T tokens, C width, H heads, D = C / H, h × w pixels, N = h/16 · w/16 patches.
"""

import math
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from models.layers import Attend, SelfAttention, SwiGLU, angles, attend_padded, norm
from models.pretrained.encoders import PretrainedImage, PretrainedText
from models.pretrained.plans import ImagePlan, TextPlan
from models.product.config import ProductModelConfig
from models.product.inputs import Sizes
from models.training.packing import Packing


class Block(nn.Module):
    """Attention and MLP, each on a residual branch."""

    def __init__(self, config: ProductModelConfig) -> None:
        super().__init__()
        self.attention = SelfAttention(config.width, config.heads)
        self.mlp = SwiGLU(config.width, config.mlp_hidden)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, attend: Attend) -> Tensor:
        """(…, C) to (…, C)."""
        x = x + self.attention(norm(x), cos, sin, attend)
        out: Tensor = x + self.mlp(norm(x))
        return out


class TextTower(nn.Module):
    """Titles, descriptions and reviews, each by itself, through the same blocks; the first token says what kind of text it is."""

    cos: Tensor
    sin: Tensor

    def __init__(self, config: ProductModelConfig, tokens: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(tokens, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        longest = 1 + max(config.title_tokens, config.description_tokens, config.review_tokens)
        turned = angles(longest, config.width // config.heads)[:, None]
        self.register_buffer("cos", turned.cos(), persistent=False)
        self.register_buffer("sin", turned.sin(), persistent=False)
        self.checkpointing = False
        self.packs = True

    def forward(self, ids: Tensor, kind: Tensor) -> Tensor:
        """Tokens (B, T), 0 where there is none, and the kind's embedding (C,), to states (B, T, C).

        On a GPU the tokens are packed, unless `packs` is False, as shapes then hang on what was read: no mask is made. On a CPU
        padded rows with a mask are faster.
        """
        x = norm(torch.cat([kind.expand(ids.shape[0], 1, -1), self.embedding(ids)], dim=1))
        present = F.pad(ids != 0, (1, 0), value=True)
        read = self._packed if self.packs and ids.is_cuda and ids.shape[0] else self._padded  # a rank may have no review
        return norm(read(x, present))[:, 1:]

    def _padded(self, x: Tensor, present: Tensor) -> Tensor:
        cos, sin = self.cos[: x.shape[1]], self.sin[: x.shape[1]]
        return self._blocks(x, cos, sin, partial(attend_padded, mask=present[:, None, None]))

    def _packed(self, x: Tensor, present: Tensor) -> Tensor:
        """The same where tokens are present (B, T), else 0."""
        packing = Packing.of(present)
        cos, sin = (packing.pack(turn[: x.shape[1]].expand(len(x), -1, -1, -1)) for turn in (self.cos, self.sin))
        return packing.unpack(self._blocks(packing.pack(x), cos, sin, packing.attend))

    def _blocks(self, x: Tensor, cos: Tensor, sin: Tensor, attend: Attend) -> Tensor:
        for block in self.blocks:
            if self.checkpointing and torch.is_grad_enabled():
                x = checkpoint(block, x, cos, sin, attend, use_reentrant=False)
            else:
                x = block(x, cos, sin, attend)
        return x


class Residual(nn.Module):
    """Two 3 × 3 convolutions on a residual branch; a stage begins by halving the size, beside it by pooling (He et al. 2019)."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(out)
        self.second = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(out)
        shortcut: list[nn.Module] = [nn.AvgPool2d(2)] if stride == 2 else []
        if channels != out:
            shortcut.append(nn.Conv2d(channels, out, 1, bias=False))
        self.shortcut = nn.Sequential(*shortcut)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, h, w) to (B, out, h / stride, w / stride)."""
        y = self.second_norm(self.second(F.relu(self.first_norm(self.first(x)))))
        return F.relu(y + self.shortcut(x))


class PhotoTower(nn.Module):
    """A residual network (He et al. 2016) whose last map is read as N patches of 16 × 16 pixels and their mean."""

    def __init__(self, config: ProductModelConfig) -> None:
        super().__init__()
        widths = config.photo_widths
        self.stem = nn.Sequential(nn.Conv2d(3, widths[0], 4, 2, 1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU())
        self.stages = nn.ModuleList()
        before = widths[0]
        for i, (width, blocks) in enumerate(zip(widths, config.photo_blocks, strict=True)):
            strides = [1 if i == 0 else 2, *[1] * (blocks - 1)]
            channels = [before, *[width] * (blocks - 1)]
            self.stages.append(nn.Sequential(*(Residual(c, width, s) for c, s in zip(channels, strides, strict=True))))
            before = width
        rows, columns = config.grid
        self.places = nn.Parameter(torch.zeros(rows * columns + 1, config.width))  # where each patch lies, and the mean
        self.project = nn.Linear(before, config.width, bias=False)
        self.checkpointing = self.frozen = False

    def freeze(self) -> None:
        """From now on weights and statistics stay as they are."""
        self.frozen = True
        self.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> "PhotoTower":
        """As ever, but a frozen tower's batch norm keeps its statistics."""
        super().train(mode)
        for part in (self.stem, self.stages) if self.frozen else ():
            part.eval()
        return self

    def forward(self, image: Tensor) -> Tensor:
        """uint8 (B, 3, h, w) to states (B, N + 1, C), row by row, the mean last."""
        patches = self._patches(image)
        patches = torch.cat([patches, patches.mean(dim=1, keepdim=True)], dim=1)
        return norm(self.project(patches) + self.places)

    @staticmethod
    def summary(states: Tensor) -> Tensor:
        """The mean's state (B, C), of all (B, N + 1, C)."""
        return states[:, -1]

    def pooled(self, image: Tensor) -> Tensor:
        """`summary` alone (B, C) of uint8 (B, 3, h, w), which may be of another size than the model's."""
        mean: Tensor = self.project(self._patches(image).mean(dim=1))
        return norm(mean + self.places[-1])

    def _patches(self, image: Tensor) -> Tensor:
        """(B, N, channels); outside of training the photo and its mirror image are read, and averaged."""
        maps = self._maps(image)
        if not self.training:
            maps = (maps + self._maps(image.flip(-1)).flip(-1)) / 2
        return maps.flatten(2).transpose(1, 2)

    def _maps(self, image: Tensor) -> Tensor:
        """(B, channels, h / 16, w / 16)."""
        pixels = image.to(self.project.weight.dtype, memory_format=torch.channels_last) / 127.5 - 1.0
        x: Tensor = self.stem(pixels)
        for stage in self.stages:
            checkpointed = self.checkpointing and torch.is_grad_enabled()
            x = checkpoint(stage, x, use_reentrant=False) if checkpointed else stage(x)
        return x


class Started(nn.Module):
    """A tower that is a pretrained encoder; it offers what the others do."""

    encoder: PretrainedText | PretrainedImage

    @property
    def blocks(self) -> tuple[nn.Module, ...]:
        """What is compiled, and divided between ranks, as one."""
        return (self.encoder,)

    @property
    def checkpointing(self) -> bool:
        """Whether activations are computed again in the backward pass; set it once."""
        return self.encoder.checkpointing

    @checkpointing.setter
    def checkpointing(self, on: bool) -> None:
        if on:
            self.encoder.checkpoint_activations()


class StartedText(Started):
    """A pretrained encoder in place of `TextTower`; what kind of text it read is added to its states."""

    def __init__(self, config: ProductModelConfig, plan: TextPlan) -> None:
        super().__init__()
        self.encoder = PretrainedText(plan, config.width)

    def forward(self, ids: Tensor, kind: Tensor) -> Tensor:
        """Tokens (B, T), 0 where there is none, and the kind's embedding (C,), to states (B, T, C); B and T may be 0."""
        rows, length = ids.shape
        ids = F.pad(ids, (0, int(length == 0), 0, int(rows == 0)))  # transformers cannot read nothing
        return norm(self.encoder(ids) + kind)[:rows, :length]


class StartedPhoto(Started):
    """A pretrained encoder in place of `PhotoTower`."""

    def __init__(self, config: ProductModelConfig, plan: ImagePlan) -> None:
        super().__init__()
        self.encoder = PretrainedImage(plan, config.width)

    @staticmethod
    def summary(states: Tensor) -> Tensor:
        """The mean (B, C) of all states (B, N, C)."""
        return states.mean(dim=1)

    def forward(self, image: Tensor) -> Tensor:
        """uint8 (B, 3, h, w) to states (B, N, C)."""
        return norm(self.encoder(image))


class AttributeTokens(nn.Module):
    """Descriptive fields and attributes: a token a pair of name and value."""

    def __init__(self, config: ProductModelConfig, sizes: Sizes) -> None:
        super().__init__()
        self.names = nn.Embedding(sizes.names + 1, config.width)  # the last is the unknown name; 0 is padding
        self.values = nn.Embedding(sizes.values, config.width)
        self.pair = SwiGLU(config.width, config.width)

    def reset_parameters(self) -> None:
        """The pair's network is no residual branch: zero would stay zero for long."""
        nn.init.normal_(self.pair.down.weight, std=0.5 * self.pair.down.out_features**-0.5)

    def forward(self, names: Tensor, values: Tensor, kind: Tensor) -> Tensor:
        """Names and values (B, A), and the kind's embedding (C,), to tokens (B, A, C)."""
        pairs = norm(self.names(names) + self.values(values) + kind)
        return norm(pairs + self.pair(pairs))


class PriceToken(nn.Module):
    """Fourier features of the standardised log price (Tancik et al. 2020), wavelengths from 16 to 1/8 deviations."""

    frequencies: Tensor

    def __init__(self, config: ProductModelConfig) -> None:
        super().__init__()
        wavelengths = torch.logspace(math.log2(16.0), math.log2(1 / 8), config.fourier_features, base=2.0)
        self.register_buffer("frequencies", 2 * math.pi / wavelengths, persistent=False)
        self.project = nn.Linear(2 * config.fourier_features, config.width)

    def forward(self, price: Tensor) -> Tensor:
        """(B,), NaN where missing, to one token (B, 1, C)."""
        turned = torch.nan_to_num(price)[:, None] * self.frequencies
        return norm(self.project(torch.cat((turned.sin(), turned.cos()), dim=-1))[:, None])


class CategoryTokens(nn.Module):
    """A token a level of the given categories."""

    def __init__(self, config: ProductModelConfig, sizes: Sizes) -> None:
        super().__init__()
        self.levels = nn.ModuleList(nn.Embedding(n, config.width) for n in sizes.levels)

    def forward(self, level: int, values: Tensor) -> Tensor:
        """Values (B,) of one level to one token (B, 1, C)."""
        return norm(self.levels[level](values[:, None]))
