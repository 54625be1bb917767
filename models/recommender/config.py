"""What the recommender's parts are made of; every choice among several values is made on validation purchases."""

from typing import Literal, Self

from pydantic import Field, model_validator

from configs.schema import PositiveFloat, PositiveInt, RunConfig, Share, StrictModel

PartName = Literal[
    "co_purchase", "regression", "spectral", "factorisation", "transitions", "sequence", "graph_attention", "content"
]


class HistoryConfig(StrictModel):
    """What counts as a user's history."""

    longest: PositiveInt = Field(1000, description="newest items of a user that are read; more say little and cost much")
    cart_weight: Share = Field(0.5, description="how much an item in the cart counts, where a purchase counts 1")
    view_weight: Share = Field(0.2, description="how much a viewed item counts")
    decays: tuple[float, ...] = Field(
        (0.0, 0.1, 0.2, 0.4, 0.7, 1.0), description="rates at which an older item counts less, e to the power of -rate a place"
    )


class CoPurchaseConfig(StrictModel):
    """Items bought by the same users, normalised apart for users and items."""

    user_powers: tuple[float, ...] = Field((0.2, 0.3, 0.4, 0.5), description="a user with n items counts n to the power of -2p")
    item_powers: tuple[float, ...] = Field((0.2, 0.3, 0.4, 0.5), description="an item with n buyers is damped by n to the -p")


class RegressionConfig(StrictModel):
    """EASE (Steck 2019): ridge regression of every item on all others, in closed form."""

    ridges: tuple[PositiveFloat, ...] = Field((20.0, 60.0, 200.0), description="penalties to choose from")
    item_powers: tuple[float, ...] = Field((0.0, 0.1, 0.2), description="popular items are damped by buyers to the -p")
    max_items: PositiveInt = Field(20_000, description="not fitted on more: its matrix has items × items cells")


class SpectralConfig(StrictModel):
    """Low-pass filter of the graph of users and items: its largest singular vectors."""

    dimensions: PositiveInt = Field(512, description="singular vectors kept")
    user_power: float = Field(0.4, ge=0.0, description="a user with n items is damped by n to the -p")
    item_power: float = Field(0.45, ge=0.0, description="an item with n buyers is damped by n to the -p")
    iterations: PositiveInt = Field(3, description="power iterations of the randomised decomposition")


class FactorisationConfig(StrictModel):
    """Implicit alternating least squares (Hu et al. 2008; Rendle et al. 2022)."""

    dimensions: PositiveInt = Field(64, description="factors")
    sweeps: PositiveInt = Field(5, description="times that users and items are solved for")
    unobserved: PositiveFloat = Field(0.05, description="weight of a pair that was not bought, where one that was has 1")
    ridge: PositiveFloat = Field(0.003, description="penalty, times what a row weighs in all")


class TransitionsConfig(StrictModel):
    """What is bought after what; only where the order is known."""

    window: PositiveInt = Field(20, description="items that an item looks ahead")
    fading: Share = Field(0.85, description="factor for each place further away")
    backwards: Share = Field(0.5, description="what is bought before counts this much of what is bought after")
    item_powers: tuple[float, ...] = Field((0.1, 0.2, 0.3, 0.4), description="an item with n buyers is damped by n to the -p")


class SequenceConfig(StrictModel):
    """Self-attention over the history (SASRec, Kang & McAuley 2018) with a softmax over items; where the order is known."""

    width: PositiveInt = Field(64, description="channels")
    layers: PositiveInt = Field(2, description="transformer blocks")
    heads: PositiveInt = Field(2, description="attention heads")
    length: PositiveInt = Field(50, description="newest items that are read")
    dropout: Share = Field(0.3, description="dropped channels of every residual branch")
    embedding_dropout: Share = Field(0.5, description="dropped channels of the items that are read")
    negatives: PositiveInt = Field(
        8192, description="items drawn as wrong answers of a step; all items where the catalogue has no more than twice as many"
    )
    epochs: PositiveInt = Field(14, description="passes over the users")
    refit_epochs: int = Field(2, ge=0, description="passes that add the validation purchases")
    batch_size: PositiveInt = Field(128, description="users a step")
    learning_rate: PositiveFloat = Field(2e-3, description="peak of the schedule")
    weight_decay: float = Field(0.01, ge=0.0, description="AdamW decay of matrices")
    max_minutes: PositiveFloat | None = Field(
        12.0, description="wall time of a training; the schedule is fitted to it, and large catalogues see fewer passes"
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"heads {self.heads} must divide width {self.width}")
        return self


class AttentionConfig(StrictModel):
    """Graph attention over users, items and attributes (GATv2, Brody et al. 2022)."""

    width: int = Field(64, ge=8, description="channels of every node")
    layers: PositiveInt = Field(4, description="attention layers")
    heads: PositiveInt = Field(4, description="attention heads; must divide width")
    fanouts: tuple[PositiveInt, ...] = Field(
        (10, 6, 4, 4), description="neighbours drawn of each kind in training, from the answer's layer to the first"
    )
    negatives: PositiveInt = Field(4096, description="items drawn as wrong answers for all pairs of a step")
    hard_negatives: int = Field(4, ge=0, description="further wrong answers of each pair: items near what its user bought")
    temperature: PositiveFloat = Field(0.15, description="divides the cosine of the sampled softmax")
    lessons: int = Field(3, ge=0, description="passes in which item vectors learn the task by themselves first")
    lesson_rate: PositiveFloat = Field(1e-2, description="learning rate of these passes")
    lesson_pairs: PositiveInt = Field(4096, description="purchases a step of these passes")
    item_powers: tuple[float, ...] = Field((0.2, 0.3, 0.4, 0.5), description="paths to an item of n buyers count n to the -p")
    cosine_shares: tuple[float, ...] = Field((0.1, 0.25, 0.5, 1.0), description="how much the cosine counts beside the paths")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"heads {self.heads} must divide width {self.width}")
        if len(self.fanouts) != self.layers:
            raise ValueError(f"fanouts has {len(self.fanouts)} numbers; one for each of the {self.layers} layers is needed")
        return self


class BlendConfig(StrictModel):
    """How the parts' weights are learned."""

    users: PositiveInt = Field(5000, description="validation users, drawn at random, on whom choices are made")
    candidates: PositiveInt = Field(200, description="best items of each part among which weights are learned")
    places: PositiveInt = Field(20, description="nDCG@k that the weights maximise")
    sweeps: PositiveInt = Field(4, description="times that every weight is tried at other values")


class RecommenderModelConfig(StrictModel):
    """The parts, and how they are blended."""

    parts: tuple[PartName, ...] = Field(
        (
            "co_purchase",
            "regression",
            "spectral",
            "factorisation",
            "transitions",
            "sequence",
            "graph_attention",
            "content",
        ),
        description="parts that are fitted where the catalogue has what they need",
    )
    neighbours: PositiveInt = Field(300, description="similar items that are kept of each item")
    history: HistoryConfig = HistoryConfig()
    co_purchase: CoPurchaseConfig = CoPurchaseConfig()
    regression: RegressionConfig = RegressionConfig()
    spectral: SpectralConfig = SpectralConfig()
    factorisation: FactorisationConfig = FactorisationConfig()
    transitions: TransitionsConfig = TransitionsConfig()
    sequence: SequenceConfig = SequenceConfig()
    attention: AttentionConfig = AttentionConfig()
    blend: BlendConfig = BlendConfig()

    @model_validator(mode="after")
    def _parts_are_different(self) -> Self:
        if not self.parts or len(set(self.parts)) < len(self.parts):
            raise ValueError(f"parts {list(self.parts)} must name at least one, each once")
        return self


class RecommenderRunConfig(RunConfig):
    """Everything a recommender run depends on; `trainer` trains the graph attention."""

    model: RecommenderModelConfig = RecommenderModelConfig()
