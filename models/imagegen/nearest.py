"""The peer that draws nothing: the mean of the photos of the training products whose titles are most like a prompt."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfVectorizer

from catalog.catalogue import Catalogue
from catalog.text import normalise
from models.imagegen.answers import Size
from models.imagegen.photos import Pixels
from models.imagegen.rows import photo_of

NEIGHBOURS = 5
"""Products whose photos are averaged."""

LOOKED_AT = 50
"""Most similar titles of which products with a photo are taken, the most similar first."""

_BATCH = 256


class NearestPhotos:
    """Titles of products with their TF-IDF vectors."""

    def __init__(self, vectoriser: Any, titles: csr_matrix, product_ids: Sequence[Any]) -> None:
        self.vectoriser, self.titles, self.product_ids = vectoriser, titles, product_ids

    @classmethod
    def fit(cls, products: pd.DataFrame) -> Self | None:
        """Of products with a title; None where no title has a word."""
        told = products[products["title"].fillna("").map(lambda title: bool(normalise(title)))]
        if told.empty:
            return None
        vectoriser = TfidfVectorizer(sublinear_tf=True, dtype=np.float32, analyzer=str.split)
        titles = vectoriser.fit_transform([normalise(title) for title in told["title"]])
        return cls(vectoriser, csr_matrix(titles), told["product_id"].tolist())

    def draw(self, texts: Sequence[str], catalogue: Catalogue, size: Size) -> Pixels:
        """One image (n, height, width, 3) a text; grey where no product is alike."""
        found = []
        for start in range(0, len(texts), _BATCH):
            asked = self.vectoriser.transform([normalise(text) for text in texts[start : start + _BATCH]])
            likeness = np.asarray((asked @ self.titles.T).todense())
            best = np.argsort(-likeness, axis=1, kind="stable")[:, :LOOKED_AT]
            found += [self._mean(rows[of[rows] > 0], catalogue, size) for rows, of in zip(best, likeness, strict=True)]
        return np.stack(found)

    def _mean(self, rows: "np.ndarray[Any, Any]", catalogue: Catalogue, size: Size) -> Pixels:
        photos = list[Pixels]()
        for row in rows:
            photo = photo_of(catalogue, self.product_ids[row], size)
            if photo is not None:
                photos.append(photo)
            if len(photos) == NEIGHBOURS:
                break
        if not photos:
            return np.full((size[1], size[0], 3), 128, dtype=np.uint8)
        mean: Pixels = np.stack(photos).mean(axis=0).round().astype(np.uint8)
        return mean
