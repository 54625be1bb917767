"""Histories drawn at random, and a transformer over them with weights that all matter."""

import numpy as np
import torch
from recommender_cases import histories_of, random_cells
from scipy.sparse import csr_matrix

from models.recommender.interactions import Histories
from models.recommender.sequence import SequenceConfig, SequenceNetwork

ITEMS = 30
CONFIG = SequenceConfig(
    width=16, layers=2, heads=2, length=8, dropout=0.0, embedding_dropout=0.0, negatives=8, batch_size=32, learning_rate=0.01
)


def model_of(attributes: csr_matrix | None = None, config: SequenceConfig = CONFIG, seed: int = 0) -> SequenceNetwork:
    torch.manual_seed(seed)
    model = SequenceNetwork(config, random_cells(ITEMS, 6, 0.3, seed=1) if attributes is None else attributes)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


def walkers(count: int = 40, longest: int = 12, seed: int = 0) -> Histories:
    rng = np.random.default_rng(seed)
    return histories_of(*(rng.permutation(ITEMS)[: rng.integers(1, longest)].tolist() for _ in range(count)))
