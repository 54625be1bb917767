"""How good an image is, by what is known of real photos alone."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field

from catalog.images import DecodedPhoto, decode, luma, sharpness
from catalog.listing import Listing
from configs.errors import VitrinaError
from configs.schema import PositiveFloat, StrictModel
from models.arrays import State
from models.imagegen.answers import Nearest, Score, Size, Style
from models.imagegen.config import ScoreConfig
from models.imagegen.photos import Pixels, fitted
from models.imagegen.scoring.frame import framed
from models.imagegen.scoring.light import Light, white_background
from models.imagegen.scoring.memory import Memory, thumbnail
from models.imagegen.styles import looks
from models.inspection import Inspection, Inspector

QUANTILES = 201
"""Of the sharpness of photos that are kept."""
LEAST = 0.02
"""By how much photos must lie nearer to their own titles than to others', for towers that can judge images."""


@dataclass(frozen=True)
class Shown:
    """A product: what is said of it, and its photo."""

    product_id: int | str
    title: str
    photo: bytes | DecodedPhoto


class Scale(StrictModel):
    """What the numbers of an image are compared with."""

    size: Size = Field(description="width and height at which photos were looked at")
    aspect: PositiveFloat = Field(description="width / height of photos, median")
    own: float = Field(description="cosine of a photo and the title of its product, median")
    others: float = Field(description="cosine of a photo and the title of another product, median")
    light: Light
    bound: float = Field(description="distance from a training photo below which an image is memorised")


@dataclass(frozen=True, eq=False)
class Scorer:
    """Scores images. Safe to call from several threads.

    Attributes:
        inspector: Says what titles and photos show.
        memory: Photos of training.
        sharpness: Quantiles of the sharpness of photos (`QUANTILES`,), rising.
        scale: What else is known of photos.
        config: Weights.
    """

    inspector: Inspector
    memory: Memory
    sharpness: NDArray[np.float32]
    scale: Scale
    config: ScoreConfig

    @classmethod
    def fit(
        cls, inspector: Inspector, training: Iterable[Shown], validation: Sequence[Shown], config: ScoreConfig, size: Size
    ) -> Self:
        """Learn what real photos are like: their sharpness, light and looks from training, how they agree from validation.

        `training` is read once. Photos can be decoded, or are decoded already.

        Raises:
            VitrinaError: there are no photos to learn from, or the towers cannot tell which title belongs to a photo.
            ImageError: a photo cannot be decoded.
        """
        aspect = _aspect(validation)
        ids, thumbnails, sharp, light = list[str](), list[NDArray[np.uint8]](), list[float](), list[float]()
        for shown in training:
            whole = fitted(shown.photo, size)
            photo = framed(whole, aspect)
            ids.append(str(shown.product_id))
            thumbnails.append(thumbnail(photo))
            sharp.append(sharpness(photo))
            light.append(float(luma(whole).mean()))
        if not ids:
            raise VitrinaError("no training product has a photo that can be decoded: there is nothing to compare images with")
        own, others = agreement_scale(inspector, validation[: config.compared], aspect, size)
        unseen = [framed(fitted(shown.photo, size), aspect) for shown in validation]
        memory = Memory(tuple(ids), np.stack(thumbnails), 0.0).bounded(unseen, config.memorised)
        scale = Scale(size=size, aspect=aspect, own=own, others=others, light=Light.fit(light), bound=memory.bound)
        quantiles = np.quantile(sharp, np.linspace(0, 1, QUANTILES)).astype(np.float32)
        return cls(inspector, memory, quantiles, scale, config)

    def score(self, texts: Sequence[str], pixels: Sequence[Pixels], styles: Sequence[Style] = ()) -> list[Score]:
        """One score an image, by the text that it was drawn for.

        `styles` are those that images were drawn in by a version that learned them from `Look.render`: an image is then judged as
        the plain photo that it was made of. Without any, all are judged as they are.
        """
        plain = [_plain(image, style) for image, style in zip(pixels, styles, strict=True)] if styles else list(pixels)
        photos = [self._photo(image) for image in plain]
        listings = [Listing(title=text, image=DecodedPhoto(photo)) for text, photo in zip(texts, photos, strict=True)]
        near = self.memory.nearest(photos)
        return [self._score(*one) for one in zip(self.inspector.inspect(listings), plain, photos, near, strict=True)]

    def _photo(self, image: Pixels) -> Pixels:
        """What a photo of the catalogue would have shown of an image, as large as photos were looked at."""
        photo = framed(image, self.scale.aspect)
        scale = min(self.scale.size[0] / image.shape[1], self.scale.size[1] / image.shape[0])
        size = (max(3, round(photo.shape[1] * scale)), max(3, round(photo.shape[0] * scale)))
        return photo if size == photo.shape[1::-1] else np.asarray(Image.fromarray(photo).resize(size), dtype=np.uint8)

    def _score(self, inspection: Inspection, image: Pixels, photo: Pixels, near: tuple[str, float]) -> Score:
        memorised = near[1] < self.memory.bound
        parts = {
            "agreement": self.agreement(inspection),
            "sharpness": float(np.searchsorted(self.sharpness, sharpness(photo)) / len(self.sharpness)),
            "exposure": self.scale.light.exposure(image),
            "white_background": white_background(image),
        }
        weights: Mapping[str, float] = {name: getattr(self.config, name) for name in (*parts, "novelty")}
        total = sum(weights[name] * value for name, value in (*parts.items(), ("novelty", float(not memorised))))
        overall = min(1.0, total / sum(weights.values()))
        return Score(overall=overall, **parts, nearest=Nearest(near[0], near[1], memorised), shows=self._shows(inspection))

    def agreement(self, inspection: Inspection) -> float:
        """Where the cosine of title and photo lies between those of photos with others' titles (0) and with their own (1).

        A share of real photos with a lower cosine would be nearly 0 for all that is drawn, and could not rank it. The overlap of
        the types that text and image are taken for adds nothing to the cosine. A text that says nothing that is read has 0.
        """
        cosine = inspection.cosines.get(("title", "image"))
        if cosine is None:
            return 0.0
        return float(np.clip((cosine - self.scale.others) / (self.scale.own - self.scale.others), 0, 1))

    def _shows(self, inspection: Inspection) -> tuple[str, float] | None:
        labels = self.inspector.type_labels
        if not labels or "image" not in inspection.types:
            return None
        types = inspection.types["image"]
        best = int(types.argmax())
        return labels[best], float(types[best])

    def state(self) -> tuple[State, dict[str, Any]]:
        """Arrays, and what is no array: what `restore` reads."""
        arrays: State = {"thumbnails": self.memory.thumbnails, "sharpness": self.sharpness}
        return arrays, {"ids": list(self.memory.ids), "scale": self.scale.model_dump(mode="json")}

    @classmethod
    def restore(
        cls, arrays: Mapping[str, NDArray[Any]], told: Mapping[str, Any], inspector: Inspector, config: ScoreConfig
    ) -> Self:
        """What `state` was taken of.

        Raises:
            KeyError: something is missing.
            ValueError: something is not what it should be.
        """
        scale, ids, thumbnails = Scale.model_validate(told["scale"]), tuple(told["ids"]), arrays["thumbnails"]
        if thumbnails.dtype != np.uint8:
            raise ValueError(f"thumbnails are {thumbnails.dtype}, not uint8")
        if len(ids) != len(thumbnails) or not len(ids):
            raise ValueError(f"{len(thumbnails)} thumbnails of {len(ids)} photos")
        return cls(inspector, Memory(ids, thumbnails, scale.bound), arrays["sharpness"], scale, config)


def agreement_scale(inspector: Inspector, shown: Sequence[Shown], aspect: float, size: Size) -> tuple[float, float]:
    """Median cosines of photos with the titles of their own products, and with those of the next ones.

    Raises:
        VitrinaError: fewer than two products have a title that is read, or the two are the same.
    """
    titled = [one for one in shown if inspector.reads(Listing(title=one.title))]
    if len(titled) < 2 or not {"title", "image"} <= inspector.readable:
        told = "two validation products with a title and a photo that product reads are needed to score images by"
        raise VitrinaError(f"{told}; there are {len(titled)}, and it reads {', '.join(sorted(inspector.readable))}")
    photos = [DecodedPhoto(framed(fitted(one.photo, size), aspect)) for one in titled]
    titles = [one.title for one in titled]
    own, others = (
        float(np.median([one.cosines["title", "image"] for one in inspector.inspect(listings)]))
        for listings in (
            [Listing(title=title, image=photo) for title, photo in zip(titles, photos, strict=True)],
            [Listing(title=title, image=photo) for title, photo in zip(titles[1:] + titles[:1], photos, strict=True)],
        )
    )
    if own - others < LEAST:
        told = "product does not tell which title belongs to a photo, so that images cannot be scored by it"
        raise VitrinaError(f"{told}: median cosine {own:.3f} with their own titles, {others:.3f} with others'")
    return own, others


def _aspect(shown: Sequence[Shown]) -> float:
    shapes = [decode(one.photo).shape for one in shown]
    if not shapes:
        raise VitrinaError("no validation product has a photo that can be decoded: there is nothing to score images by")
    return float(np.median([width / height for height, width, _ in shapes]))


def _plain(image: Pixels, style: Style) -> Pixels:
    pixels = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 255
    plain = (looks()[style].plain(pixels)[0] * 255).round().to(torch.uint8)
    return np.ascontiguousarray(plain.permute(1, 2, 0).numpy())
