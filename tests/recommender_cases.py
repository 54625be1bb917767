"""Small histories, matrices, items and catalogues for the tests of the recommender, and graph attention by PyTorch Geometric."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, random_array
from torch import Tensor

from catalog.catalogue import Catalogue
from configs.schema import StrictModel, TrainerConfig
from models.recommender.held_out import HeldOut
from models.recommender.interactions import Histories
from models.recommender.items import Items
from models.recommender.part import Choice, NoConfig, Purchases, Settings
from models.recommender.parts.transitions import Transitions
from models.recommender.readings import Floats


def histories_of(*lists: Sequence[int], weights: Sequence[float] | None = None) -> Histories:
    """One history a list, oldest item first; `weights` of all items one after the other, 1 where not given."""
    users = np.repeat(np.arange(len(lists)), [len(found) for found in lists])
    items = np.array([item for found in lists for item in found], dtype=np.int64)
    return Histories.of(users, items, np.array(weights if weights is not None else [1.0] * len(items)), len(lists))


def cells(lists: Sequence[Sequence[int]], columns: int) -> csr_matrix:
    """Sparse float32 [rows, columns] with 1 where a row's list says."""
    found = np.zeros((len(lists), columns), dtype=np.float32)
    for row, codes in enumerate(lists):
        found[row, list(codes)] = 1
    return csr_matrix(found)


def random_cells(rows: int, columns: int, density: float, seed: int) -> csr_matrix:
    """Sparse float32 [rows, columns] of ones at random places."""
    found = random_array((rows, columns), density=density, format="csr", rng=np.random.default_rng(seed)).tocsr()
    return csr_matrix((np.ones(found.nnz, np.float32), found.indices, found.indptr), shape=(rows, columns))


def grouped_cells(users: int = 90, items: int = 60, count: int = 5, seed: int = 0) -> csr_matrix:
    """Users buy most of what their group likes: `count` singular values stand out. The groups differ in size."""
    rng = np.random.default_rng(seed)
    size = np.arange(1, count + 1) / np.arange(1, count + 1).sum()
    of_user, of_item = rng.choice(count, users, p=size), rng.integers(0, count, items)
    likes = np.where(of_user[:, None] == of_item, 0.8, 0.03)
    return csr_matrix((rng.random((users, items)) < likes).astype(np.float32))


def bare_items(count: int, attributes: csr_matrix | None = None, buyers: NDArray[Any] | None = None) -> Items:
    """Items without titles, categories and prices."""
    attributes = csr_matrix((count, 0), dtype=np.float32) if attributes is None else attributes
    names = tuple(f"attribute {a}" for a in range(attributes.shape[1]))
    prices = np.full(count, np.nan)
    return Items(tuple(range(count)), attributes, names, {}, ("",) * count, prices, np.ones(count) if buyers is None else buyers)


def sparse_part(matrix: Any, decay: float = 0.0) -> Transitions:
    """A part that sums rows of a matrix [I, I]."""
    return Transitions(csr_matrix(matrix), decay, 0.0)


def purchases_of(*lists: Sequence[int], items: Items, content: Floats | None = None, ordered: bool = True) -> Purchases:
    """What one list a user says, with the buyers among them."""
    histories = histories_of(*lists)
    return Purchases(histories, replace(items, buyers=histories.buyers(len(items))), content, ordered)


def choice_of(held: HeldOut, *decays: float) -> Choice:
    """By nDCG@5."""
    return Choice(held, 5, decays or (0.0,))


def settings_of(folder: Path, config: StrictModel | None = None, neighbours: int = 100, **trainer: Any) -> Settings[Any]:
    """What a part is fitted with, on one thread and in full precision."""
    values = {"ema_decay": 0.0, "workers": 0, "tensorboard": False, "precision": "32-true", "early_stopping": (), **trainer}
    return Settings(config or NoConfig(), neighbours, TrainerConfig.model_validate(values), folder)


def catalogue_of(folder: Path, **tables: pd.DataFrame) -> Catalogue:
    """A catalogue of these tables in a new folder."""
    folder.mkdir(parents=True)
    for name, table in tables.items():
        table.to_parquet(folder / f"{name}.parquet", index=False)
    return Catalogue.open(folder)


def planted_purchases(users: int = 48, groups: int = 3, items: int = 8, each: int = 6, seed: int = 0) -> pd.DataFrame:
    """user_id, item_id and position: `each` items a user, all but one in ten from one group of items (item_id // 100)."""
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(users):
        own = rng.permutation(items)[:each] + 100 * (user % groups)
        strange = rng.integers(0, items, each) + 100 * rng.integers(0, groups, each)
        bought = np.where(rng.random(each) < 0.9, own, strange)
        rows += [{"user_id": user, "item_id": int(item), "position": place} for place, item in enumerate(dict.fromkeys(bought))]
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class WholeGraph:
    """Unit vectors of users [U, C] and items [I, C], and by layer how much each user and item listens, mean over heads."""

    users: NDArray[Any]
    items: NDArray[Any]
    of_users: list[NDArray[Any]]
    of_items: list[NDArray[Any]]


@torch.inference_mode()
def whole_graph(model: Any, bought: csr_matrix, attributes: csr_matrix) -> WholeGraph:
    """The layers of `model` by PyTorch Geometric, each over every edge of the graph at once."""
    user, item = (torch.from_numpy(part.astype(np.int64)) for part in bought.nonzero())
    described, attribute = (torch.from_numpy(part.astype(np.int64)) for part in attributes.nonzero())
    users = model.user.expand(bought.shape[0], -1)
    items = model.items.weight
    if model.project is not None:
        items = items + model.content @ model.project.weight.T
    of_users, of_items = [], []
    for to_users, to_items, said in zip(model.to_users, model.to_items, model.from_attributes, strict=True):
        heard, (edges, alpha) = to_users((items, users), torch.stack([item, user]), return_attention_weights=True)
        of_users.append(_dense(edges, alpha, bought.shape))
        told, (edges, alpha) = to_items((users, items), torch.stack([user, item]), return_attention_weights=True)
        of_items.append(_dense(edges, alpha, bought.shape[::-1]))
        added = said((model.attributes.weight, items), torch.stack([attribute, described]))
        users, items = users + heard, items + told + added
    unit = [torch.nn.functional.normalize(states, dim=-1).numpy() for states in (users, items)]
    return WholeGraph(*unit, of_users, of_items)


def _dense(edges: Tensor, alpha: Tensor, shape: tuple[int, int]) -> NDArray[Any]:
    found = np.zeros(shape, dtype=np.float32)
    found[edges[1].numpy(), edges[0].numpy()] = alpha.mean(-1).numpy()
    return found
