"""What may change in a listing without changing what it is. Pure functions of their input and a generator."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from catalog.catalogue import parse_attributes
from catalog.errors import CatalogueError
from catalog.text import clean_html
from configs.schema import AugmentationConfig

_MIN_TYPO_LENGTH = 4


def augment_text(words: Sequence[str], config: AugmentationConfig, rng: np.random.Generator) -> list[str]:
    """Words with some left out, some neighbours exchanged, some mistyped; at least one stays where there was one."""
    if not words:
        return []
    draws = rng.random((3, len(words)))
    kept = [i for i in range(len(words)) if draws[0, i] >= config.word_dropout] or [int(rng.integers(len(words)))]
    result = [mistype(words[i], rng) if draws[2, i] < config.typo else words[i] for i in kept]
    place = 0
    while place + 1 < len(result):
        if draws[1, kept[place]] < config.word_swap:
            result[place], result[place + 1] = result[place + 1], result[place]
            place += 1
        place += 1
    return result


def mistype(word: str, rng: np.random.Generator) -> str:
    """One letter lost, doubled, or exchanged with the next; the first letter and short words stay."""
    if len(word) < _MIN_TYPO_LENGTH:
        return word
    place = int(rng.integers(1, len(word) - 1))
    match int(rng.integers(3)):
        case 0:
            return word[:place] + word[place + 1 :]
        case 1:
            return word[:place] + word[place] + word[place:]
        case _:
            return word[:place] + word[place + 1] + word[place] + word[place + 2 :]


def drop_attributes(attributes: Mapping[str, str], config: AugmentationConfig, rng: np.random.Generator) -> dict[str, str]:
    """The attributes with some hidden."""
    hidden = rng.random(len(attributes)) < config.attribute_dropout
    return {name: value for (name, value), hide in zip(attributes.items(), hidden, strict=True) if not hide}


def augment_image(image: NDArray[np.uint8], config: AugmentationConfig, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A photo (height × width × 3, RGB) mirrored, cropped and resized back, brighter or darker, of more or less contrast."""
    flip, crop = rng.random(2)
    if flip < config.flip:
        image = image[:, ::-1]
    if crop < config.crop and config.crop_margin > 0:
        image = _crop(image, config.crop_margin, rng)
    if config.colour_jitter > 0:
        brightness, contrast = 1.0 + config.colour_jitter * rng.uniform(-1.0, 1.0, 2)
        levels = np.arange(256.0)
        mean = float(image.mean())
        table = np.clip((levels - mean) * contrast + mean * brightness, 0, 255).astype(np.uint8)
        image = table[image]
    return np.ascontiguousarray(image)


def oversample(products: pd.DataFrame, config: AugmentationConfig, seed: int) -> pd.DataFrame:
    """Copies of training rows of rare article types, with changed texts and fewer attributes, up to `config.min_class_rows` rows.

    Columns are those of `products` and `source_product_id`, the product whose photo a copy shares. Ids are new: integers
    above the largest, or `<source>~<n>` for strings.

    Raises:
        CatalogueError: the products have no article_type column.
    """
    if "article_type" not in products:
        raise CatalogueError(f"augmentation needs article_type; the products have: {', '.join(products.columns)}")
    rng = np.random.default_rng(seed)
    products = products.reset_index(drop=True)
    sources: list[Any] = []
    counts = products.loc[products["article_type"].notna() & ~products["article_type"].isin(["", "NA"]), "article_type"]
    for _, rows in sorted(counts.groupby(counts).groups.items(), key=lambda item: str(item[0])):
        lacking = config.min_class_rows - len(rows)
        if lacking > 0:
            labels = rng.permutation(np.asarray(rows))
            sources.extend(np.resize(labels, lacking))
    copies = products.loc[sources].reset_index(drop=True)
    copies["source_product_id"] = copies["product_id"]
    copies["product_id"] = _new_ids(products["product_id"], copies["source_product_id"])
    for column in ("title", "description"):
        if column in copies:
            copies[column] = [_reworded(text, config, rng) for text in copies[column]]
    if "attributes" in copies:
        copies["attributes"] = [_fewer(text, config, rng) for text in copies["attributes"]]
    return copies


def _crop(image: NDArray[np.uint8], margin: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    limits = np.array([height, height, width, width]) * margin
    top, bottom, left, right = (round(limit * share) for limit, share in zip(limits, rng.random(4), strict=True))
    if top + bottom >= height or left + right >= width:
        return image
    cropped = np.ascontiguousarray(image[top : height - bottom, left : width - right])
    return np.asarray(Image.fromarray(cropped).resize((width, height), Image.Resampling.BILINEAR), dtype=np.uint8)


def _new_ids(existing: "pd.Series[Any]", sources: "pd.Series[Any]") -> Any:
    if pd.api.types.is_integer_dtype(existing.dtype):
        start = int(existing.max()) + 1 if len(existing) else 0
        return np.arange(start, start + len(sources), dtype=np.int64)
    numbers = sources.groupby(sources).cumcount() + 1
    return [f"{source}~{number}" for source, number in zip(sources, numbers, strict=True)]


def _reworded(text: Any, config: AugmentationConfig, rng: np.random.Generator) -> Any:
    return " ".join(augment_text(clean_html(text).split(), config, rng)) if isinstance(text, str) else text


def _fewer(text: Any, config: AugmentationConfig, rng: np.random.Generator) -> Any:
    if not isinstance(text, str):
        return text
    return json.dumps(drop_attributes(parse_attributes(text), config, rng), ensure_ascii=False)
