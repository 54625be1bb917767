"""The product transformer: any subset of a listing in, every answer out.

Notable features:
- one bidirectional trunk over title, description, photo patches and attributes; a missing part has no tokens
- axial RoPE (Heo et al. 2024): a patch has a row and a column, a text token the same position on both axes, and
  attributes, which are a set, share position 0
- pre-norm without learnt gains, QK norm, SwiGLU, no biases in linear layers, residual branches start at zero
- `scaled_dot_product_attention`, without a mask when nothing in the batch is padded
- each head has a query that cross-attends to the trunk and to the side tokens it may see; queries never see each other
- a target is never in its head's input, by construction: price and categories stay out of the trunk; category queries see
  the price token, the price query sees the category tokens, the embedding query sees neither
- one hierarchical softmax over the category paths that exist: a parent's probability is the sum of its children's
- price as a Laplace distribution of the standardised log price
- an L2-normalised embedding in which titles, photos and whole listings meet (InfoNCE, Radford et al. 2021)

Shapes: B listings, S trunk tokens, M = S + 4 memory tokens, Q = 5 queries, C width, H heads, D = C / H, P category paths.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.product.config import ProductModelConfig
from models.product.inputs import Inputs

SEGMENTS = ("title", "description", "image", "attributes")
QUERIES = ("master_category", "sub_category", "article_type", "price", "embedding")
ROPE_BASE = 100.0  # positions stay below some hundred, so low frequencies of 1/10000 would never turn
LEVELS = 3


@dataclass(frozen=True)
class Sizes:
    """What the encoders fix: tokens, attribute names and values (each with its unknown), values of each category level."""

    tokens: int
    names: int
    values: int
    levels: tuple[int, ...]


@dataclass(frozen=True)
class Segment:
    """Tokens of one part of the listing: states (B, s, C), and which of them are there (B, s)."""

    states: Tensor
    present: Tensor


@dataclass(frozen=True)
class Outputs:
    """path_logits (B, P); price_location and price_scale (B,) of a Laplace distribution; embedding (B, E), unit length."""

    path_logits: Tensor
    price_location: Tensor
    price_scale: Tensor
    embedding: Tensor


def norm(x: Tensor) -> Tensor:
    """RMSNorm without gain (Zhang & Sennrich 2019)."""
    return F.rms_norm(x, (x.shape[-1],))


def axial_angles(positions: Tensor, head_dim: int) -> Tensor:
    """Rotation angles (s, head_dim / 2) of positions (s, 2): the first half turns by row, the second by column."""
    quarter = head_dim // 4
    frequencies = ROPE_BASE ** (-torch.arange(quarter, dtype=torch.float32, device=positions.device) / quarter)
    return (positions[:, :, None] * frequencies).flatten(1)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn channel i of x (B, H, S, D) with channel i + D/2 by the angle of its position (Su et al. 2021)."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, a * sin + b * cos), dim=-1).to(x.dtype)


class SwiGLU(nn.Module):
    """Gated MLP (Shazeer 2020)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.up = nn.Linear(width, 2 * hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(…, C) to (…, C)."""
        gate, value = self.up(x).chunk(2, dim=-1)
        out: Tensor = self.down(F.silu(gate) * value)
        return out


class SelfAttention(nn.Module):
    """Bidirectional attention with QK norm and rotary positions."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None) -> Tensor:
        """States x (B, S, C); cos and sin (S, D/2); mask (B, 1, 1, S), True where a token may be attended to."""
        batch, length, width = x.shape
        q, k, v = self.qkv(x).view(batch, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)  # (B, H, S, D)
        q, k = rotate(norm(q), cos, sin).to(v.dtype), rotate(norm(k), cos, sin).to(v.dtype)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        out: Tensor = self.out(y.transpose(1, 2).flatten(2))
        return out


class Block(nn.Module):
    """Attention and MLP, each on a residual branch."""

    def __init__(self, config: ProductModelConfig) -> None:
        super().__init__()
        self.attention = SelfAttention(config.width, config.heads)
        self.mlp = SwiGLU(config.width, config.mlp_hidden)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None) -> Tensor:
        """(B, S, C) to (B, S, C)."""
        x = x + self.attention(norm(x), cos, sin, mask)
        out: Tensor = x + self.mlp(norm(x))
        return out


class Readout(nn.Module):
    """Cross-modal fusion: each query gathers from the memory what its head needs. Queries do not attend to each other."""

    def __init__(self, config: ProductModelConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.query = nn.Linear(config.width, config.width, bias=False)
        self.key_value = nn.Linear(config.width, 2 * config.width, bias=False)
        self.out = nn.Linear(config.width, config.width, bias=False)
        self.mlp = SwiGLU(config.width, config.mlp_hidden)

    def forward(self, x: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        """Queries x (B, Q, C); memory (B, M, C); mask (B, 1, Q, M)."""
        batch, queries, _ = x.shape
        q = self.query(norm(x)).view(batch, queries, self.heads, -1).transpose(1, 2)  # (B, H, Q, D)
        k, v = self.key_value(memory).view(batch, memory.shape[1], 2, self.heads, -1).permute(2, 0, 3, 1, 4)  # (B, H, M, D)
        y = F.scaled_dot_product_attention(norm(q).to(v.dtype), norm(k).to(v.dtype), v, attn_mask=mask)
        x = x + self.out(y.transpose(1, 2).flatten(2))
        out: Tensor = x + self.mlp(norm(x))
        return out


class PhotoStem(nn.Module):
    """Two strided convolutions, then patches of 16 × 16 pixels as tokens (Xiao et al. 2021)."""

    def __init__(self, config: ProductModelConfig) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, config.stem_width, 3, stride=2, padding=1)
        self.second = nn.Conv2d(config.stem_width, 2 * config.stem_width, 3, stride=2, padding=1)
        self.patches = nn.Conv2d(2 * config.stem_width, config.width, 4, stride=4)

    def forward(self, image: Tensor) -> Tensor:
        """uint8 (B, 3, h, w) to tokens (B, h/16 · w/16, C), row by row."""
        x = image.to(self.first.weight.dtype, memory_format=torch.channels_last) / 127.5 - 1.0
        x = F.gelu(self.second(F.gelu(self.first(x))))
        tokens: Tensor = self.patches(x)
        return tokens.flatten(2).transpose(1, 2)


class PriceFeatures(nn.Module):
    """Fourier features of the standardised log price (Tancik et al. 2020), wavelengths from 16 to 1/8 deviations."""

    frequencies: Tensor

    def __init__(self, config: ProductModelConfig) -> None:
        super().__init__()
        wavelengths = torch.logspace(math.log2(16.0), math.log2(1 / 8), config.fourier_features, base=2.0)
        self.register_buffer("frequencies", 2 * math.pi / wavelengths, persistent=False)
        self.project = nn.Linear(2 * config.fourier_features, config.width)

    def forward(self, price: Tensor) -> Tensor:
        """(B,), NaN where missing, to one token (B, 1, C)."""
        angles = torch.nan_to_num(price)[:, None] * self.frequencies
        out: Tensor = self.project(torch.cat((angles.sin(), angles.cos()), dim=-1))
        return out[:, None]


class ProductModel(nn.Module):
    """See the module's feature list."""

    allowed: Tensor
    path: Tensor

    def __init__(self, config: ProductModelConfig, sizes: Sizes, paths: Tensor) -> None:
        """`paths` (P, 3): category indices of each leaf of the hierarchical softmax."""
        super().__init__()
        self.config = config
        width = config.width
        self.tokens = nn.Embedding(sizes.tokens, width)
        self.names = nn.Embedding(sizes.names + 1, width)  # the last is the unknown name; 0 is padding
        self.values = nn.Embedding(sizes.values, width)
        self.photo = PhotoStem(config)
        self.kinds = nn.ParameterDict({name: nn.Parameter(torch.zeros(width)) for name in SEGMENTS})
        self.register_token = nn.Parameter(torch.zeros(width))  # always there: attention has somewhere to look when nothing is
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.price_token = PriceFeatures(config)
        self.levels = sizes.levels
        self.category_tokens = nn.ModuleList(nn.Embedding(n, width) for n in sizes.levels)
        self.queries = nn.Parameter(torch.zeros(len(QUERIES), width))
        self.readouts = nn.ModuleList(Readout(config) for _ in range(config.readout_layers))
        self.category_heads = nn.ModuleList(nn.Linear(width, n) for n in sizes.levels)
        self.price_head = nn.Linear(width, 2)
        self.embedding_head = nn.Linear(width, config.embedding_dim, bias=False)
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))  # inverse temperature of the contrastive loss
        self.register_buffer("path", paths, persistent=False)
        # Side tokens (price, three categories) that each query may see.
        category, price, embedding = (True, False, False, False), (False, True, True, True), (False,) * 4
        self.register_buffer("allowed", torch.tensor([category] * LEVELS + [price, embedding]), persistent=False)
        for name, angles in self._angles().items():
            self.register_buffer(f"cos_{name}", angles.cos(), persistent=False)
            self.register_buffer(f"sin_{name}", angles.sin(), persistent=False)
        self.apply(self._initialise)
        for module in (*self.blocks, *self.readouts):
            nn.init.zeros_((module.attention if isinstance(module, Block) else module).out.weight)
            nn.init.zeros_(module.mlp.down.weight)
        for parameter in (self.register_token, self.queries, *self.kinds.values()):
            nn.init.normal_(parameter, std=0.02)

    def forward(self, inputs: Inputs) -> Outputs:
        """Every head's answer for a batch."""
        return self.read(*self.encode(self.embed(inputs), len(inputs)), inputs.price, inputs.categories)

    def embed(self, inputs: Inputs) -> dict[str, Segment]:
        """Tokens of every part that at least one listing of the batch has."""
        segments = {}
        for name in ("title", "description"):
            ids = getattr(inputs, name)
            if ids.shape[1]:
                segments[name] = Segment(self.tokens(ids) + self.kinds[name], ids != 0)
        if bool(inputs.has_image.any()):
            patches = self.photo(inputs.image)
            present = inputs.has_image[:, None].expand(-1, patches.shape[1])
            segments["image"] = Segment(patches + self.kinds["image"], present)
        if inputs.names.shape[1]:
            states = self.names(inputs.names) + self.values(inputs.values) + self.kinds["attributes"]
            segments["attributes"] = Segment(states, inputs.names != 0)
        return segments

    def encode(self, segments: dict[str, Segment], rows: int) -> tuple[Tensor, Tensor]:
        """Trunk states (B, S, C) of `rows` listings, and which of them are there (B, S)."""
        start = self.register_token.expand(rows, 1, -1)
        x = torch.cat([start, *(s.states.to(start.dtype) for s in segments.values())], dim=1)
        present = torch.cat([x.new_ones(rows, 1, dtype=torch.bool), *(s.present for s in segments.values())], dim=1)
        cos, sin = (self._table(kind, segments) for kind in ("cos", "sin"))
        mask = None if bool(present.all()) else present[:, None, None, :]
        x = norm(x)
        for block in self.blocks:
            x = block(x, cos, sin, mask)
        return norm(x), present

    def read(self, trunk: Tensor, present: Tensor, price: Tensor, categories: Tensor) -> Outputs:
        """Answers from trunk states and the side tokens: price (B,) NaN where missing, categories (B, 3) 0 where missing."""
        levels = [embed(categories[:, i, None]) for i, embed in enumerate(self.category_tokens)]
        side = torch.cat([self.price_token(price), *levels], dim=1)  # (B, 4, C)
        known = torch.cat([~price.isnan()[:, None], categories != 0], dim=1)  # (B, 4)
        memory = torch.cat([trunk, norm(side).to(trunk.dtype)], dim=1)
        queries = len(QUERIES)
        mask = torch.cat([present[:, None].expand(-1, queries, -1), self.allowed & known[:, None]], dim=2)[:, None]
        x = self.queries.expand(len(trunk), -1, -1)
        for readout in self.readouts:
            x = readout(x, memory, mask)
        x = norm(x)
        logits = [head(x[:, i]).float() for i, head in enumerate(self.category_heads)]
        location, log_scale = self.price_head(x[:, QUERIES.index("price")]).float().unbind(-1)
        return Outputs(
            path_logits=torch.stack([level[:, self.path[:, i]] for i, level in enumerate(logits)]).sum(0),
            price_location=location,
            price_scale=log_scale.clamp(-5.0, 3.0).exp(),
            embedding=F.normalize(self.embedding_head(x[:, QUERIES.index("embedding")]).float(), dim=-1),
        )

    def level_probabilities(self, path_logits: Tensor) -> list[Tensor]:
        """Probability (B, n) of each value of each level; index 0 is the missing value, which no head answers."""
        probabilities = path_logits.softmax(-1)
        found = []
        for i, values in enumerate(self.levels):
            table = F.one_hot(self.path[:, i], values).to(probabilities.dtype)
            found.append(probabilities @ table)
        return found

    def _table(self, kind: str, segments: dict[str, Segment]) -> Tensor:
        """Cos or sin (S, D/2) of the register token and the segments, each cut to its length in this batch."""
        tables = [getattr(self, f"{kind}_attributes")[:1]]
        tables += [getattr(self, f"{kind}_{name}")[: s.states.shape[1]] for name, s in segments.items()]
        return torch.cat(tables)

    def _angles(self) -> dict[str, Tensor]:
        """Angles of every position of every segment; the description goes on where the longest title ends."""
        config, head_dim = self.config, self.config.width // self.config.heads
        rows, columns = config.grid
        text = torch.arange(config.title_tokens + config.description_tokens, dtype=torch.float32)[:, None].expand(-1, 2)
        grid = torch.cartesian_prod(torch.arange(rows, dtype=torch.float32), torch.arange(columns, dtype=torch.float32))
        positions = {
            "title": text[: config.title_tokens],
            "description": text[config.title_tokens :],
            "image": grid,
            "attributes": torch.zeros(config.max_attributes, 2),
        }
        return {name: axial_angles(position, head_dim) for name, position in positions.items()}

    @staticmethod
    def _initialise(module: nn.Module) -> None:
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=module.in_features**-0.5)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)
