"""The product model: any subset of a listing in, every answer out.

Notable features:
- each part is read by itself: texts by a transformer (RoPE, QK norm, SwiGLU, no biases, residual branches that start at
  zero), photos by a residual network; attributes, the given price and the given categories are tokens
- fusion by queries (after Perceiver IO, Jaegle et al. 2022): each head's query cross-attends to all tokens that it may see
- a view is a mask: the whole listing, a random subset or one part alone are read in one pass over the same tokens
- a target is never in its head's input, by construction: the category query sees the price token, the price query sees the
  category tokens, the embedding query sees neither; queries never see each other
- one hierarchical softmax over the category paths that exist: a parent's probability is the sum of its children's
- the article type begins at what a linear model says about the title's n-grams (`priors.title`); without a title, at what
  a linear head says about the photo, which learns with the photo tower (`models.product.photos`)
- price as a Laplace distribution of the standardised log price, located between what words (`priors.linear`) and
  similar listings (`priors.neighbours`) say
- an L2-normalised embedding in which titles, photos and whole listings meet (InfoNCE, Radford et al. 2021). A quarter of it is
  the root of the article type's probabilities, whose inner product is the Bhattacharyya coefficient (with a title, which is
  sure of its type, the probabilities themselves); a quarter is what the photo tower's lessons matched
- a quality head that knows where the parts contradict each other (`models.product.quality`) and how the description ends

Shapes: B listings, V views, M memory tokens, Q queries, C width, H heads, D = C / H, P category paths, S segments of the price
prior, K kinds of fault, N article types, E embedding, R reviews.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from catalog.corruption import KINDS
from catalog.listing import CATEGORY_LEVELS
from models.layers import SelfAttention, SwiGLU, norm
from models.pretrained.plans import ImagePlan, TextPlan
from models.product.config import ProductModelConfig
from models.product.inputs import PRIOR_SEGMENTS, Inputs, Reviews
from models.product.priors.neighbours import MEAN, NAMES
from models.product.quality import QualityHead, category_features, part_features, price_features
from models.product.towers import PhotoTower, PriceFeatures, Started, StartedPhoto, StartedText, TextTower, TitleMatch, light

SEGMENTS = ("title", "description", "image", "attributes")
PARTS = (*SEGMENTS, "price", *CATEGORY_LEVELS)
"""What a view shows or hides."""

WHOLE, TITLE, PHOTO = 0, 1 + SEGMENTS.index("title"), 1 + SEGMENTS.index("image")
"""Standard views: the whole listing, then each of `SEGMENTS` alone."""

JUDGED_SHARE = 0.5
"""`type_share` of the embeddings that the quality head compares: the same in training and after calibration."""

QUERIES = ("category", "price", "embedding", "quality")
SEEN_BY = {
    "category": (*SEGMENTS, "price"),
    "price": (*SEGMENTS, *CATEGORY_LEVELS),
    "embedding": SEGMENTS,
    "quality": PARTS,
}
"""Parts that each query may see."""


@dataclass(frozen=True)
class Sizes:
    """What the encoders fix: tokens, attribute names and values (each with its unknown), values of each category level."""

    tokens: int
    names: int
    values: int
    levels: tuple[int, ...]


@dataclass(frozen=True)
class Memory:
    """Tokens that queries read: states (B, M, C), which of them are there (B, M), and the index in `PARTS` of each (M,).

    The register token comes first; it has the index of no part, and is always there. `ending` (B, C) is the state of the
    description's last token, 0 without a description; `photo_types` (B, N) are logits of the article types by the photo alone, 0
    without one; `title_match` and `photo_match` (B, E/4) are unit vectors, 0 without title or photo.
    """

    states: Tensor
    present: Tensor
    part: Tensor
    ending: Tensor
    photo_types: Tensor
    title_match: Tensor
    photo_match: Tensor

    def has(self, part: int) -> Tensor:
        """Listings (B,) that have a part."""
        return (self.present & (self.part == part)).any(dim=1)


@dataclass(frozen=True)
class Heads:
    """Answers in each view.

    path_logits (B, V, P); price_location and price_scale (B, V); embedding (B, V, E), made of kind (B, V, N), identity
    (B, V, E/2) and match (B, V, E/4), all of unit length (match: or 0); type_logits (B, V, N), of which kind is made; quality
    (B, V, C): the query's state.
    """

    path_logits: Tensor
    price_location: Tensor
    price_scale: Tensor
    embedding: Tensor
    kind: Tensor
    identity: Tensor
    match: Tensor
    type_logits: Tensor
    quality: Tensor


@dataclass(frozen=True)
class Outputs:
    """Answers for the whole listing.

    path_logits (B, P); price_location and price_scale (B,) of a Laplace distribution; embedding (B, E), unit length;
    fault_logits (B, 1 + K): faulty at all, then each of `catalog.corruption.KINDS`.
    """

    path_logits: Tensor
    price_location: Tensor
    price_scale: Tensor
    embedding: Tensor
    fault_logits: Tensor


def frame(values: int, dimensions: int) -> Tensor:
    """Fixed directions (values, dimensions): orthonormal where there is room, else nearly so (Johnson & Lindenstrauss 1984)."""
    drawn = torch.randn(values, dimensions, generator=torch.Generator().manual_seed(0))
    if values > dimensions:
        return drawn / math.sqrt(dimensions)
    rows: Tensor = torch.linalg.qr(drawn.T)[0].T
    return rows.contiguous()


def root(logits: Tensor) -> Tensor:
    """Unit vectors (…, N) of types' logits: inner products are Bhattacharyya coefficients of their probabilities."""
    return logits.log_softmax(-1).div(2).exp()


def cosine_shares(kind: float, match: float) -> tuple[float, float, float]:
    """What `Heads.kind`, `identity` and `match` count in a cosine, by `type_share` and `match_share`."""
    return kind, (1 - kind) * (1 - match), (1 - kind) * match


def level_probabilities(path_logits: Tensor, paths: Tensor, levels: Sequence[int]) -> list[Tensor]:
    """Probability (B, n) of each value of each level; index 0 is the missing value, which no head answers.

    `paths` (P, 3) are the category indices of each leaf of the hierarchical softmax, `levels` how many values each level has.
    """
    probabilities = path_logits.softmax(-1)
    return [probabilities @ F.one_hot(paths[:, i], n).to(probabilities.dtype) for i, n in enumerate(levels)]


def last(states: Tensor, present: Tensor) -> Tensor:
    """State (B, C), of states (B, T, C), of the last token that is present (B, T); 0 where none is."""
    left = present.long().flip(1).cumsum(1).flip(1)  # tokens from here on
    found: Tensor = (states * (present & (left == 1))[:, :, None]).sum(1)
    return found


class Readout(nn.Module):
    """Cross-modal fusion: each query gathers from the memory what its head needs. Queries do not attend to each other."""

    def __init__(self, config: ProductModelConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.query = nn.Linear(config.width, config.width, bias=False)
        self.key_value = nn.Linear(config.width, 2 * config.width, bias=False)
        self.out = nn.Linear(config.width, config.width, bias=False)
        self.mlp = SwiGLU(config.width, config.mlp_hidden)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        """Queries x (B, n, C); memory (B, M, C); mask (B, 1, n, M)."""
        q = self.query(norm(x)).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, H, n, D)
        k, v = self.key_value(memory).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)  # (B, H, M, D)
        y = F.scaled_dot_product_attention(norm(q).to(v.dtype), norm(k).to(v.dtype), v, attn_mask=mask)
        x = x + self.dropout(self.out(y.transpose(1, 2).flatten(2)))
        out: Tensor = x + self.dropout(self.mlp(norm(x)))
        return out


class ProductModel(nn.Module):
    """See the module's feature list."""

    path: Tensor
    seen_by: Tensor
    views: Tensor
    words: Tensor
    frame: Tensor

    def __init__(
        self,
        config: ProductModelConfig,
        sizes: Sizes,
        paths: Tensor,
        text_plan: TextPlan | None = None,
        image_plan: ImagePlan | None = None,
    ) -> None:
        """Fresh weights, also of pretrained encoders: `load_start` fetches theirs.

        Args:
            config: Its sizes.
            sizes: Those that the encoders fix.
            paths: (P, 3), category indices of each leaf of the hierarchical softmax.
            text_plan: The pretrained text encoder to use.
            image_plan: The pretrained vision encoder to use.
        """
        super().__init__()
        self.config, self.sizes = config, sizes
        self.type_share = 0.5  # share of a cosine between embeddings that compares article types; fitted by `calibrate`
        self.match_share = 0.0  # share of what is left that compares `match`; fitted by `calibrate`
        width = config.width
        self.text: TextTower | StartedText = StartedText(config, text_plan) if text_plan else TextTower(config, sizes.tokens)
        self.photo: PhotoTower | StartedPhoto = StartedPhoto(config, image_plan) if image_plan else PhotoTower(config)
        self.names = nn.Embedding(sizes.names + 1, width)  # the last is the unknown name; 0 is padding
        self.values = nn.Embedding(sizes.values, width)
        self.pair = SwiGLU(width, width)
        kinds = ("title", "description", "image", "attributes", "review_title", "review")
        self.kinds = nn.ParameterDict({name: nn.Parameter(torch.zeros(width)) for name in kinds})
        self.endings = nn.Parameter(torch.zeros(config.endings, width)) if config.endings else None
        self.register_token = nn.Parameter(torch.zeros(width))  # always there: attention has somewhere to look when nothing is
        self.price_token = PriceFeatures(config)
        self.category_tokens = nn.ModuleList(nn.Embedding(n, width) for n in sizes.levels)
        self.queries = nn.Parameter(torch.zeros(len(QUERIES), width))
        self.expected_query = nn.Linear(len(PRIOR_SEGMENTS) + len(NAMES), width, bias=False)
        self.sentiment_query = nn.Parameter(torch.zeros(width))
        self.readouts = nn.ModuleList(Readout(config) for _ in range(config.readout_layers))
        self.category_heads = nn.ModuleList(nn.Linear(width, n) for n in sizes.levels)
        self.price_head = nn.Linear(width, 3)
        types = config.embedding_dim // 4
        self.embedding_head = nn.Linear(width, config.embedding_dim - 2 * types, bias=False)
        self.match = TitleMatch(width, sizes.tokens, types)
        self.type_head = nn.Linear(width, sizes.levels[-1])
        self.photo_type_head = nn.Linear(width, sizes.levels[-1])
        self.title_weights = nn.Parameter(torch.ones(2))  # of the title's prior, in the category and the embedding's types
        self.photo_weights = nn.Parameter(torch.ones(2))  # of what a photo without a title tells, likewise
        self.sentiment_head = nn.Linear(width, 2)
        self.quality_head = QualityHead(2 * width, len(KINDS), config.dropout)
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))  # inverse temperature of the contrastive losses
        self.register_buffer("path", paths, persistent=False)
        # The last column is the register token, which every query sees in every view.
        seen = torch.tensor([[part in SEEN_BY[query] for part in PARTS] + [True] for query in QUERIES])
        self.register_buffer("seen_by", seen, persistent=False)
        self.register_buffer("words", torch.tensor([PARTS.index(name) for name in PRIOR_SEGMENTS]), persistent=False)
        self.register_buffer("frame", frame(sizes.levels[-1], types))
        alone = torch.eye(len(PARTS), dtype=torch.bool)[: len(SEGMENTS)]
        self.register_buffer("views", torch.cat([torch.ones(1, len(PARTS), dtype=torch.bool), alone]), persistent=False)
        self.apply(self._initialise)
        for module in self.modules():
            if isinstance(module, SwiGLU):
                nn.init.zeros_(module.down.weight)
            elif isinstance(module, (SelfAttention, Readout)):
                nn.init.zeros_(module.out.weight)
        nn.init.normal_(self.pair.down.weight, std=0.5 * width**-0.5)  # no residual branch: zero would stay zero for long
        for head in (self.price_head, self.sentiment_head, self.photo_type_head):
            nn.init.zeros_(head.weight)  # the prior is the first answer
        if self.endings is not None:
            nn.init.normal_(self.endings, std=0.5)
        nn.init.normal_(self.match.words.weight)  # only their direction counts, and it should not turn at once
        places = [self.photo.places] if isinstance(self.photo, PhotoTower) else []
        for parameter in (self.register_token, self.queries, self.sentiment_query, *places, *self.kinds.values()):
            nn.init.normal_(parameter, std=0.02)

    def load_start(self) -> None:
        """Fetch the weights of pretrained encoders.

        Raises:
            VitrinaError: they are missing, not safetensors, or of another architecture.
        """
        for tower in (self.text, self.photo):
            if isinstance(tower, Started):
                tower.encoder.load_start()

    def forward(self, inputs: Inputs, patches: Tensor | None = None) -> Outputs:
        """Every head's answer for a batch; `patches` as in `remember`."""
        memory = self.remember(inputs, patches)
        heads = self.read(memory, self.views[None], inputs)
        return Outputs(
            path_logits=heads.path_logits[:, 0],
            price_location=heads.price_location[:, 0],
            price_scale=heads.price_scale[:, 0],
            embedding=heads.embedding[:, 0],
            fault_logits=self.judge(memory, heads, inputs),
        )

    def embed(self, inputs: Inputs) -> Tensor:
        """The embedding (B, E) that `forward` answers, for the price of that alone."""
        return self.read(self.remember(inputs), self.views[None, :1], inputs).embedding[:, 0]

    def remember(self, inputs: Inputs, patches: Tensor | None = None) -> Memory:
        """Tokens of every part that the batch has; price and categories are parts like any other.

        `patches` (B, N, C) is what the photo tower says of the photos, where that is known.
        """
        rows = len(inputs)
        states = [self.register_token.expand(rows, 1, -1)]
        present = [torch.ones(rows, 1, dtype=torch.bool, device=inputs.has_image.device)]
        ending = torch.zeros_like(states[0][:, 0])
        photo_types = torch.zeros(rows, self.sizes.levels[-1], device=inputs.has_image.device)
        title_match = photo_match = torch.zeros(rows, self.config.embedding_dim // 4, device=inputs.has_image.device)
        part = [torch.full((1,), len(PARTS), device=inputs.has_image.device)]

        def add(name: str, tokens: Tensor, there: Tensor) -> None:
            states.append(tokens.to(states[0].dtype))
            present.append(there)
            part.append(torch.full((tokens.shape[1],), PARTS.index(name), device=there.device))

        if inputs.title.shape[1]:
            add("title", self.text(inputs.title, self.kinds["title"]), inputs.title != 0)
            title_match = self.match.title(inputs.title)
        if inputs.description.shape[1]:
            read = self.text(inputs.description, self.kinds["description"])
            if self.endings is not None:  # a query finds where the text ends
                read = read + F.pad(self.endings, (0, 0, read.shape[1] - len(self.endings), 0))
            add("description", read, inputs.description != 0)
            ending = last(read, inputs.description != 0)
        if inputs.image.shape[-1]:
            patches = self.photo(inputs.image) if patches is None else patches
            summary = self.photo.summary(patches)
            photo_types = self.photo_type_head(summary).float() * inputs.has_image[:, None]
            photo_match = self.match.photo(summary) * inputs.has_image[:, None]
            add("image", patches + self.kinds["image"], inputs.has_image[:, None].expand(-1, patches.shape[1]))
        if inputs.names.shape[1]:
            pairs = norm(self.names(inputs.names) + self.values(inputs.values) + self.kinds["attributes"])
            add("attributes", norm(pairs + self.pair(pairs)), inputs.names != 0)
        add("price", norm(self.price_token(inputs.price)), ~inputs.price.isnan()[:, None])
        for i, (name, embed) in enumerate(zip(CATEGORY_LEVELS, self.category_tokens, strict=True)):
            add(name, norm(embed(inputs.categories[:, i, None])), inputs.categories[:, i, None] != 0)
        return Memory(
            torch.cat(states, dim=1), torch.cat(present, dim=1), torch.cat(part), ending, photo_types, title_match, photo_match
        )

    def read(self, memory: Memory, shown: Tensor, inputs: Inputs) -> Heads:
        """Answers in each view: shown (B or 1, V, parts) says which of `PARTS` a view shows."""
        rows, views = len(memory.states), shown.shape[1]
        shown = F.pad(shown, (0, 1), value=True)  # the register token
        visible = shown[:, :, None, memory.part] & self.seen_by[None, None, :, memory.part]  # (B or 1, V, Q, M)
        mask = (visible & memory.present[:, None, None, :]).flatten(1, 2)[:, None]  # (B, 1, V · Q, M)
        words = shown[:, :, self.words]  # (B or 1, V, S)
        prior = inputs.price_prior[:, None] * words
        near = inputs.neighbours[:, None] * words.all(dim=-1, keepdim=True)  # (B, V, 14)
        x = self.queries.expand(rows, views, -1, -1).clone()
        x[:, :, QUERIES.index("price")] += self.expected_query(torch.cat([prior, near], dim=-1)).to(x.dtype)
        x = self._gather(x.flatten(1, 2), memory.states, mask).view(x.shape)
        category, price, embedding, quality = x.unbind(dim=2)  # (B, V, C) each
        told = inputs.title_prior[:, None] * shown[:, :, PARTS.index("title"), None]  # (B, V, N)
        logits = [head(category).float() for head in self.category_heads]
        title, photo = (shown[:, :, PARTS.index(name)] for name in ("title", "image"))  # (B or 1, V)
        titled = title & memory.has(PARTS.index("title"))[:, None]
        seen = memory.photo_types[:, None] * (photo & ~titled)[:, :, None]  # (B, V, N)
        logits[-1] = logits[-1] + self.title_weights[0] * told + self.photo_weights[0] * seen
        offset, log_scale, gate = self.price_head(price).float().unbind(-1)
        location = prior.sum(-1)
        location = location + near[..., 0] * gate.sigmoid() * (near[..., MEAN] - location) + offset
        types = self.type_head(embedding).float() + self.title_weights[1] * told + self.photo_weights[1] * seen
        kind = root(types * (1 + titled)[:, :, None])
        identity = F.normalize(self.embedding_head(embedding).float(), dim=-1)
        matches = memory.title_match[:, None] * title[..., None] + memory.photo_match[:, None] * photo[..., None]
        match = F.normalize(matches, dim=-1)
        return Heads(
            path_logits=torch.stack([level[..., self.path[:, i]] for i, level in enumerate(logits)]).sum(0),
            price_location=location,
            price_scale=log_scale.clamp(-5.0, 3.0).exp(),
            embedding=self._embedding(kind, identity, match),
            kind=kind,
            identity=identity,
            match=match,
            type_logits=types,
            quality=quality,
        )

    def judge(self, memory: Memory, heads: Heads, inputs: Inputs) -> Tensor:
        """Fault logits (B, 1 + K) from `heads` in the standard views; nothing flows back through the contradictions."""
        paths = heads.path_logits[:, :5].detach()
        kind = root(heads.type_logits[:, :5])
        parts = torch.cat([JUDGED_SHARE**0.5 * kind, (1 - JUDGED_SHARE) ** 0.5 * heads.identity[:, :5]], dim=-1).detach()
        present = torch.stack([memory.has(i) for i in range(len(SEGMENTS))], dim=1)
        image = inputs.image if inputs.image.shape[-1] else inputs.image.new_zeros(len(inputs), 3, 3, 3)
        others = torch.cat(
            [
                category_features(paths, self.path, inputs.categories),
                price_features(inputs.price, heads.price_location[:, 0].detach(), heads.price_scale[:, 0].detach()),
                light(image) * inputs.has_image[:, None],
                inputs.facts / 5,
            ],
            dim=1,
        )
        state = torch.cat([heads.quality[:, 0], memory.ending.to(heads.quality.dtype)], dim=1)
        logits: Tensor = self.quality_head(state, part_features(paths, parts, present), present, others)
        return logits.float()

    def opinion(self, reviews: Reviews) -> tuple[Tensor, Tensor]:
        """Logit of "recommended" and expected rating, both (R,)."""
        title, text = self.text(reviews.title, self.kinds["review_title"]), self.text(reviews.text, self.kinds["review"])
        register = self.register_token.expand(len(reviews), 1, -1)
        states = torch.cat([register, title.to(register.dtype), text.to(register.dtype)], dim=1)
        there = torch.ones(len(reviews), 1, dtype=torch.bool, device=states.device)
        mask = torch.cat([there, reviews.title != 0, reviews.text != 0], dim=1)[:, None, None]
        x = self._gather(self.sentiment_query.expand(len(reviews), 1, -1), states, mask)[:, 0]
        offset, rating = self.sentiment_head(x).float().unbind(-1)
        return reviews.prior + offset, rating + 4.0

    def level_probabilities(self, path_logits: Tensor) -> list[Tensor]:
        """See the function of this name."""
        return level_probabilities(path_logits, self.path, self.sizes.levels)

    def _embedding(self, kind: Tensor, identity: Tensor, match: Tensor) -> Tensor:
        """Unit vectors (B, V, E): what the listing is, which it is, and which photo and title go together."""
        shares = cosine_shares(self.type_share, self.match_share)
        parts = [share**0.5 * part for share, part in zip(shares, (kind @ self.frame, identity, match), strict=True)]
        return F.normalize(torch.cat(parts, dim=-1), dim=-1)

    def _gather(self, x: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        """Queries x (B, n, C) after every readout."""
        for readout in self.readouts:
            x = readout(x, memory, mask)
        return norm(x)

    @staticmethod
    def _initialise(module: nn.Module) -> None:
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=module.in_features**-0.5)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)
