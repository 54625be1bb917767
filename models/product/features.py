"""What other models rest on: the embedding of a listing beside its words.

An embedding knows the words of the types that it was trained on. The word that names a type which is new is in no embedding,
and in most titles of its products. So the words themselves stand beside it: TF-IDF of the title's and the description's, folded
into a few signed dimensions each, which keeps inner products in expectation (count sketch, Charikar et al. 2002). Shapes: n
listings.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.product.cleaning import CleanListing
from models.product.priors.linear import PRICE_BLOCKS, Block, counts, weighted
from models.product.priors.neighbours import folding
from models.product.priors.priors import Priors
from models.product.priors.title import BLOCKS as TITLE_BLOCKS

TITLE, DESCRIPTION = 0.4, 0.4
"""Shares of a cosine. Chosen on Myntra's meta-validation types: 5-way 1-shot 94 %, where the embedding alone gives 86 and words
alone 88; shares between 0.3 and 0.5 differ by 0.5 points (docs/experiments/few-shot-words.md)."""
SIZE = 512
"""Dimensions of each."""
WORDS = 2 * SIZE
"""Last dimensions of the features: the title's words, then the description's."""

_TITLE, _DESCRIPTION = Block("title", "word"), Block("description", "word")


def features(embeddings: NDArray[np.float32], listings: Sequence[CleanListing], priors: Priors) -> NDArray[np.float32]:
    """Unit vectors (n, d + `WORDS`) of embeddings (n, d) and the words of their listings."""
    title = priors.title.idf[TITLE_BLOCKS.index(_block(TITLE_BLOCKS, _TITLE))] if priors.title else None
    described = priors.price.idf[PRICE_BLOCKS.index(_block(PRICE_BLOCKS, _DESCRIPTION))] if priors.price else None
    parts = [
        np.sqrt(np.float32(1.0 - TITLE - DESCRIPTION)) * embeddings,
        np.sqrt(np.float32(TITLE)) * _words(_TITLE, [row.title for row in listings], title),
        np.sqrt(np.float32(DESCRIPTION)) * _words(_DESCRIPTION, [row.description for row in listings], described),
    ]
    found = np.concatenate(parts, axis=1)
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), dtype=np.float32)


def _block(blocks: Sequence[Block], wanted: Block) -> Block:
    """The block of a prior that counts the same words, and longer n-grams with them."""
    return next(block for block in blocks if block.name == wanted.name)


def _words(block: Block, texts: Sequence[str], idf: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """Unit vectors (n, `SIZE`), 0 for a text without words; all 0 where training counted none.

    A prior gives words that training hardly had the weight 0, as nothing was learned of them. Here they are the rarest.
    """
    if idf is None:
        return np.zeros((len(texts), SIZE), dtype=np.float32)
    rarest = np.where(idf > 0, idf, idf.max())
    told = weighted(counts(block, texts, len(idf).bit_length() - 1), rarest)
    return np.asarray((told @ folding(len(idf), SIZE)).todense(), dtype=np.float32)
