"""What the quality model judges by."""

from pydantic import Field, model_validator

from configs.schema import PositiveFloat, PositiveInt, RunConfig, Share, StrictModel
from models.quality.answers import AXES, Axis

WEIGHTS: dict[Axis, float] = {
    "title": 1.0,
    "description": 1.0,
    "photo": 1.0,
    "attributes": 1.0,
    "agreement": 1.0,
    "category": 1.0,
    "price": 1.0,
    "duplicate": 1.0,
}


class OverallConfig(StrictModel):
    """How axes become one score (`models.quality.overall`)."""

    weights: dict[Axis, float] = Field(
        WEIGHTS, description="weight of each axis in the mean; all the same until a shop knows which fault costs it most"
    )
    worst: Share = Field(
        0.5,
        description="share of the lowest axis in the score, the mean has the rest: one bad part spoils a good listing",
    )
    publish: Share | None = Field(
        None, description="score from which a listing is published; none: what `held` of the good validation listings fall below"
    )
    held: Share = Field(0.05, description="share of good listings that may be held back, where `publish` is not given")

    @model_validator(mode="after")
    def _weights_say_something(self) -> "OverallConfig":
        if any(weight < 0 for weight in self.weights.values()) or not sum(self.weights.values()):
            raise ValueError("weights must not be negative, and one of them above 0")
        if missing := [axis for axis in AXES if axis not in self.weights]:
            raise ValueError(f"weights lacks {', '.join(missing)}; 0 leaves an axis out of the mean")
        return self


class MemoryConfig(StrictModel):
    """What is kept of the catalogue (`models.quality.memory`)."""

    min_type_rows: PositiveInt = Field(
        20, description="products from which a type has norms of its own; else its sub-category, else all"
    )
    usual: Share = Field(0.5, description="share of a type's products from which an attribute is expected of each of them")
    dimensions: PositiveInt = Field(128, description="to which features are projected, to find the most similar products")
    neighbours: PositiveInt = Field(9, description="most similar products of the type that vote on a missing value")
    least_confidence: Share = Field(0.6, description="below it a predicted value is not suggested")
    title_confidence: Share = Field(0.9, description="below it a predicted value does not enter a suggested title")
    candidates: PositiveInt = Field(20, description="most similar products that are compared to find a duplicate")
    duplicate: Share = Field(0.5, description="probability from which another listing is called a duplicate")
    twice: float = Field(
        0.05,
        gt=0.0,
        lt=1.0,
        description="share of similar pairs that are one product, by which a probability is what it says: 3 % of Myntra's "
        "listings share their very photo with another; with it 2 % of those without a known duplicate were said to have one",
    )


class FitConfig(StrictModel):
    """How the axes are learned from good listings and the same ones made worse (`models.quality.fitting`)."""

    listings: PositiveInt = Field(1500, description="good listings of which every kind of fault is made")
    pairs: PositiveInt = Field(700, description="good listings of which duplicates are made, to learn what one looks like")
    held_out: tuple[str, ...] = Field(
        ("swapped_description",),
        description="faults that no axis is shown, the one that the product model is not shown first: what finding it says about "
        "faults nobody thought of",
    )
    steps: PositiveInt = Field(8, description="pieces of each curve")
    penalty: float = Field(1e-3, ge=0.0, description="on the squares of a curve's steps")


class QualityModelConfig(StrictModel):
    """What the model is made of."""

    overall: OverallConfig = OverallConfig()
    memory: MemoryConfig = MemoryConfig()
    fit: FitConfig = FitConfig()
    improvements: PositiveInt = Field(8, description="most improvements that are named")
    photo_height: PositiveInt = Field(80, description="pixels to which a photo is reduced before its sharpness is measured")
    photo_width: PositiveInt = Field(64, description="pixels to which a photo is reduced before its sharpness is measured")
    read_sharpness: PositiveFloat = Field(
        0.1,
        description="sharpness to which every photo is blurred before it is read, so that a slightly sharper one is read alike; "
        "of 300 photos of 60 x 80 pixels, 99 % are sharper by half, and as sharp as this after a blur of a pixel",
    )
    read_side: PositiveInt = Field(96, description="pixels of the longer side to which a photo is reduced before that")
    measured: PositiveInt = Field(1000, description="test listings of which every kind of fault is made to measure a version")


class QualityRunConfig(RunConfig):
    """Everything a quality training run depends on."""

    model: QualityModelConfig = QualityModelConfig()
