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
_LEVELS = np.arange(256.0)
_LEAST_ERASED = 0.02
_WIDEST = float(np.log(1 / 0.3))
"""Share of the photo, and logarithm of the side ratio, between which Zhong et al. draw."""


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
    """A photo (height × width × 3, RGB) mirrored, cropped and resized back, brighter or darker, of other contrast, partly erased.

    Pillow mirrors and resizes, `bytes.translate` looks the light up: a third of the time that indexing takes in NumPy.
    """
    flip, crop, erase = rng.random(3)
    photo = Image.fromarray(image)
    if crop < config.crop and config.crop_margin > 0:
        photo = _crop(photo, config.crop_margin, rng)
    if flip < config.flip:
        photo = photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    pixels = photo.tobytes()
    if config.colour_jitter > 0:
        brightness, contrast = 1.0 + config.colour_jitter * rng.uniform(-1.0, 1.0, 2)
        mean = float(image.mean())
        table = np.clip((_LEVELS - mean) * contrast + mean * brightness, 0, 255).astype(np.uint8)
        pixels = pixels.translate(table.tobytes())
    result = np.frombuffer(bytearray(pixels), np.uint8).reshape(image.shape)
    if erase < config.erase and config.erase_area > 0:
        _erase(result, config.erase_area, rng)
    return result


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
    copies = copy_rows(products, sources)
    for column in ("title", "description"):
        if column in copies:
            copies[column] = [_reworded(text, config, rng) for text in copies[column]]
    if "attributes" in copies:
        copies["attributes"] = [_fewer(text, config, rng) for text in copies["attributes"]]
    return copies


def copy_rows(products: pd.DataFrame, rows: list[int]) -> pd.DataFrame:
    """Copies of the rows at these places, with ids as `number_copies` gives them."""
    copies = products.iloc[rows].reset_index(drop=True)
    copies["source_product_id"] = copies["product_id"]
    return number_copies(copies, products)


def number_copies(copies: pd.DataFrame, products: pd.DataFrame) -> pd.DataFrame:
    """The copies with ids that no product has: integers above the largest, or `<source>~<n>` for strings."""
    return copies.assign(product_id=_new_ids(products["product_id"], copies["source_product_id"]))


def _crop(photo: Image.Image, margin: float, rng: np.random.Generator) -> Image.Image:
    left, top, right, bottom = (np.array([photo.width, photo.height] * 2) * margin * rng.random(4)).round()
    if top + bottom >= photo.height or left + right >= photo.width:
        return photo
    return photo.resize(photo.size, Image.Resampling.BILINEAR, box=(left, top, photo.width - right, photo.height - bottom))


def _erase(image: NDArray[np.uint8], largest: float, rng: np.random.Generator) -> None:
    """Put noise over a rectangle, in place: random erasing (Zhong et al. 2020) with random values."""
    height, width = image.shape[:2]
    area = height * width * rng.uniform(min(_LEAST_ERASED, largest), largest)
    aspect = np.exp(rng.uniform(-_WIDEST, _WIDEST))
    rows, columns = min(height, round((area * aspect) ** 0.5)), min(width, round((area / aspect) ** 0.5))
    top, left = rng.integers(height - rows + 1), rng.integers(width - columns + 1)
    image[top : top + rows, left : left + columns] = rng.integers(0, 256, (rows, columns, 3), dtype=np.uint8)


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
