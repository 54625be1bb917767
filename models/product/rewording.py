"""Training rows whose texts were translated into another language and back."""

from typing import Any

import numpy as np
import pandas as pd

from catalog.augmentation import copy_rows
from catalog.text import clean_html
from configs.schema import BackTranslationConfig
from configs.settings import Settings
from models.pretrained.back_translation import back_translate

FOLDER = "translations"
"""Where translations are kept, below `Settings.home`."""


def translated(products: pd.DataFrame, config: BackTranslationConfig, seed: int) -> pd.DataFrame:
    """Copies of `config.share` of the products, drawn by `seed`, with title and description in other words.

    Columns and ids are those of `catalog.augmentation.oversample`. A delivery that only adds rows keeps most of those drawn.

    Raises:
        VitrinaError: see `models.pretrained.back_translation.back_translate`.
    """
    drawn = np.random.default_rng(seed).random(len(products))
    copies = copy_rows(products, sorted(np.argsort(drawn)[: round(config.share * len(products))].tolist()))
    cache = Settings.from_environment().home / FOLDER
    for column in ("title", "description"):
        if column in copies:
            texts = ["" if pd.isna(text) else clean_html(text) for text in copies[column]]
            copies[column] = _where_said(copies[column], back_translate(texts, config, cache))
    return copies


def _where_said(before: "pd.Series[Any]", after: list[str]) -> "pd.Series[Any]":
    """The new texts, and what is missing stays missing."""
    return pd.Series(after, index=before.index, dtype=object).where(before.notna(), before)
