"""A small graph of purchases, and layers of attention over it with weights that all matter."""

import numpy as np
import torch
from recommender_cases import histories_of, random_cells
from scipy.sparse import csr_matrix

from models.recommender.attention import AttentionConfig, GraphAttention
from models.recommender.interactions import Histories

USERS, ITEMS, ATTRIBUTES, WIDTH = 30, 18, 6, 8
CONFIG = AttentionConfig(
    width=WIDTH, heads=2, fanouts=(5, 4, 3, 3), negatives=64, hard_negatives=2, lessons=2, lesson_rate=0.05, lesson_pairs=64
)


def histories(bought: csr_matrix) -> Histories:
    return histories_of(*(row.indices.tolist() for row in bought))


def model_of(items: int, content: np.ndarray | None = None, seed: int = 0, **values: object) -> GraphAttention:
    """Weights at random, so that every one of them matters."""
    torch.manual_seed(seed)
    start = np.random.default_rng(seed).standard_normal((items, WIDTH)).astype(np.float32)
    model = GraphAttention(CONFIG.model_copy(update=values), start, ATTRIBUTES, content)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return model


def bought() -> csr_matrix:
    """Which users bought which items."""
    return random_cells(USERS, ITEMS, 0.25, seed=1)


def attributes() -> csr_matrix:
    """Which items have which attributes."""
    return random_cells(ITEMS, ATTRIBUTES, 0.3, seed=2)
