"""The product model: any subset of a listing in, every answer out.

Notable features:
- each part is read by itself: texts by a transformer (RoPE, QK norm, SwiGLU, no biases, residual branches that start at
  zero), photos by a residual network; attributes, the given price and the given categories are tokens (`towers`)
- fusion by queries: each head's query cross-attends to all tokens that it may see, in every view of the listing (`readout`)
- a target is never in its head's input, by construction: the category query sees the price token, the price query sees the
  category tokens, the embedding query sees neither; queries never see each other (`heads`)
- heads begin at what is known beforehand: linear models of words, neighbours, the photo tower's own head (`priors`)

Shapes: B listings, V views, M memory tokens, C width, P category paths, R reviews.
"""

from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from catalog.listing import CATEGORY_LEVELS
from models.layers import SelfAttention, SwiGLU
from models.pretrained.plans import ImagePlan, TextPlan
from models.product.config import ProductModelConfig
from models.product.heads.embedding import EmbeddingHead
from models.product.heads.head import Decoded, Head, HeadContext, ListingHead, ReviewHead
from models.product.inputs import Inputs, Reviews, Sizes
from models.product.memory import Memory, MemoryBuilder, last_state
from models.product.parts import standard_views
from models.product.readout import CrossAttention, Readout
from models.product.towers import (
    AttributeTokens,
    CategoryTokens,
    PhotoTower,
    PriceToken,
    Started,
    StartedPhoto,
    StartedText,
    TextTower,
)

KINDS = ("title", "description", "image", "attributes", "review_title", "review")
"""What tokens are of: each kind has an embedding of its own."""


AnyHead = TypeVar("AnyHead", bound=Head[Any, Any])


class ProductModel(nn.Module):
    """See the module's feature list."""

    views: Tensor

    def __init__(
        self,
        config: ProductModelConfig,
        sizes: Sizes,
        paths: Tensor,
        text_plan: TextPlan | None = None,
        image_plan: ImagePlan | None = None,
        photo_lessons: bool = False,
    ) -> None:
        """Fresh weights, also of pretrained encoders: `load_start` fetches theirs.

        Args:
            config: Its sizes.
            sizes: Those that the encoders fix.
            paths: (P, 3), category indices of each leaf of the hierarchical softmax.
            text_plan: The pretrained text encoder to use.
            image_plan: The pretrained vision encoder to use.
            photo_lessons: Whether the photo tower learns by itself first: what matches photos and titles learns only then.
        """
        super().__init__()
        self.config, self.sizes = config, sizes
        self.text: TextTower | StartedText = StartedText(config, text_plan) if text_plan else TextTower(config, sizes.tokens)
        self.photo: PhotoTower | StartedPhoto = StartedPhoto(config, image_plan) if image_plan else PhotoTower(config)
        self.attributes = AttributeTokens(config, sizes)
        self.price = PriceToken(config)
        self.categories = CategoryTokens(config, sizes)
        self.kinds = nn.ParameterDict({name: nn.Parameter(torch.zeros(config.width)) for name in KINDS})
        self.endings = nn.Parameter(torch.zeros(config.endings, config.width)) if config.endings else None
        self.register_token = nn.Parameter(torch.zeros(config.width))  # always there: attention has somewhere to look
        self.readout = Readout(config)
        context = HeadContext(
            width=config.width,
            dropout=config.dropout,
            embedding_dim=config.embedding_dim,
            type_share=config.head.embedding.type_share,
            sizes=sizes,
            paths=paths,
            photo_lessons=photo_lessons,
        )
        self.heads = nn.ModuleDict(config.head.build(context))
        self.register_buffer("views", standard_views(), persistent=False)
        initialise(self)

    @property
    def listing_heads(self) -> dict[str, ListingHead[Any, Any]]:
        """Heads that read listings, by name."""
        return {name: head for name, head in self.heads.items() if isinstance(head, ListingHead)}

    @property
    def review_heads(self) -> dict[str, ReviewHead[Any, Any]]:
        """Heads that read reviews, by name."""
        return {name: head for name, head in self.heads.items() if isinstance(head, ReviewHead)}

    @property
    def all_heads(self) -> list[Head[Any, Any]]:
        """Every head, in the order in which they were built."""
        return [*self.listing_heads.values(), *self.review_heads.values()]

    def head(self, kind: type[AnyHead]) -> AnyHead:
        """The head of a class."""
        found = self.heads[kind.name]
        assert isinstance(found, kind)
        return found

    def calibrated(self) -> dict[str, float]:
        """What calibration has fitted, by name."""
        return {name: value for head in self.all_heads for name, value in head.calibrated().items()}

    def load_start(self) -> None:
        """Fetch the weights of pretrained encoders.

        Raises:
            VitrinaError: they are missing, not safetensors, or of another architecture.
        """
        for tower in (self.text, self.photo):
            if isinstance(tower, Started):
                tower.encoder.load_start()

    def forward(self, inputs: Inputs, patches: Tensor | None = None) -> dict[str, Tensor]:
        """Every head's answers for the whole listing, calibrated; `patches` as in `encode`."""
        decoded = self.decode(self.encode(inputs, patches), self.views[None], inputs)
        asked = (head for head in self.listing_heads.values() if head.asked)
        return {name: tensor for head in asked for name, tensor in head.answers(decoded.of(type(head))).items()}

    def embed(self, inputs: Inputs) -> Tensor:
        """The embedding (B, E) that `forward` answers, for the price of that alone."""
        decoded = self.decode(self.encode(inputs), self.views[None, :1], inputs)
        return decoded.of(EmbeddingHead).embedding[:, 0]

    def encode(self, inputs: Inputs, patches: Tensor | None = None) -> Memory:
        """Tokens of every part that the batch has; price and categories are parts like any other.

        `patches` (B, N, C) is what the photo tower says of the photos, where that is known.
        """
        found = MemoryBuilder(self.register_token, inputs.title.shape[0])
        if inputs.title.shape[1]:
            found.add("title", self.text(inputs.title, self.kinds["title"]), inputs.title != 0)
        if inputs.description.shape[1]:
            states = self.text(inputs.description, self.kinds["description"])
            if self.endings is not None:  # a query finds where the text ends
                states = states + F.pad(self.endings, (0, 0, states.shape[1] - len(self.endings), 0))
            found.add("description", states, inputs.description != 0)
            found.ending = last_state(states, inputs.description != 0)
        if inputs.image.shape[-1]:
            patches = self.photo(inputs.image) if patches is None else patches
            found.photo = self.photo.summary(patches)
            found.add("image", patches + self.kinds["image"], inputs.has_image[:, None].expand(-1, patches.shape[1]))
        if inputs.names.shape[1]:
            pairs = self.attributes(inputs.names, inputs.values, self.kinds["attributes"])
            found.add("attributes", pairs, inputs.names != 0)
        found.add("price", self.price(inputs.price), ~inputs.price.isnan()[:, None])
        for i, level in enumerate(CATEGORY_LEVELS):
            values = inputs.categories[:, i]
            found.add(level, self.categories(i, values), (values != 0)[:, None])
        return found.memory()

    def decode(self, memory: Memory, shown: Tensor, inputs: Inputs) -> Decoded:
        """What heads make of it in each view: shown (B or 1, V, parts) says which of `PARTS` a view shows."""
        shown = F.pad(shown, (0, 1), value=True)  # the register token
        heads = self.listing_heads
        return Decoded(inputs, memory, shown, self.readout(memory, shown, inputs, heads), heads)

    def decode_reviews(self, reviews: Reviews) -> dict[str, Any]:
        """Output of every head that reads reviews."""
        rows = reviews.title.shape[0]
        title, text = self.text(reviews.title, self.kinds["review_title"]), self.text(reviews.text, self.kinds["review"])
        register = self.register_token.expand(rows, 1, -1)
        states = torch.cat([register, title.to(register.dtype), text.to(register.dtype)], dim=1)
        there = torch.ones(rows, 1, dtype=torch.bool, device=states.device)
        mask = torch.cat([there, reviews.title != 0, reviews.text != 0], dim=1)[:, None, None]
        found = {}
        for name, head in self.review_heads.items():
            query = self.readout.review_queries[name].expand(rows, 1, -1)
            found[name] = head(self.readout.gather(query, states, mask)[:, 0], reviews)
        return found

    def forward_reviews(self, reviews: Reviews) -> dict[str, Tensor]:
        """Answers of every head that reads reviews."""
        outputs = self.decode_reviews(reviews)
        return {n: tensor for name, head in self.review_heads.items() for n, tensor in head.answers(outputs[name]).items()}


def initialise(model: ProductModel) -> None:
    """Draw all weights: layers by their kind, residual branches at zero, and what heads and tokens want otherwise."""
    model.apply(_initialise_layer)
    for module in model.modules():
        if isinstance(module, SwiGLU):
            nn.init.zeros_(module.down.weight)
        elif isinstance(module, (SelfAttention, CrossAttention)):
            nn.init.zeros_(module.out.weight)
    model.attributes.reset_parameters()
    if model.endings is not None:
        nn.init.normal_(model.endings, std=0.5)
    for head in model.all_heads:
        head.reset_parameters()
    queries = (model.readout.queries, *model.readout.review_queries.values())
    places = [model.photo.places] if isinstance(model.photo, PhotoTower) else []
    for parameter in (model.register_token, *queries, *places, *model.kinds.values()):
        nn.init.normal_(parameter, std=0.02)


def _initialise_layer(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=module.in_features**-0.5)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    elif isinstance(module, nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
