"""How soon does the recommender reach what a plain LightGCN reaches, and how far does each get, on LightGCN's own split?

Peer in the same run: PyTorch Geometric's LightGCN with the paper's settings (He et al. 2020: 3 layers, 64 dimensions, BPR with
one uniform negative, Adam at 1e-3 with batches of 2,048, L2 1e-4, Xavier), for the minutes it is given. What makes it faster here
leaves its arithmetic alone: its symmetric adjacency is normalised once, the fastest of three ways to propagate is measured and
taken (edge list; sparse CSR; CSR whose backward pass multiplies by the same matrix, being symmetric). On a CPU a step costs
nearly the same whatever the batch, so batches are larger, and with them the learning rate, by the square root (Malladi et al.
2022); `--batch 2048` is the paper's.

The recommender is trained as `vitrina train recommender` does, from the configuration of `base`: choosing on validation
purchases, and fitting again with them, is in its seconds. Then each part is trained alone in the same way,
with popularity, which is always there: a curve of parts.
Both are measured on all items for the same test users, without what they have; measuring is in nobody's seconds.

    OMP_NUM_THREADS=2 python -m benchmarks.recommender_lightgcn [--minutes 30] [--every 120] [--parts co_purchase spectral …]

Real data: Gowalla (VITRINA_TEST_DATA, default ../shared/data).
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.machine import write
from benchmarks.recommender import DATA, configuration
from catalog.catalogue import Catalogue
from models.evaluation import ranking
from models.recommender import bundle, part
from models.recommender.config import RecommenderRunConfig
from models.recommender.evaluate import BLEND, PLACES, ranked_lists
from models.recommender.family import FAMILY, Coded
from models.recommender.held_out import HeldOut, top
from models.recommender.interactions import Histories
from models.recommender.items import item_keys

PUBLISHED = {
    "GAT": {"recall_at_20": 0.1501, "ndcg_at_20": 0.1233},
    "LightGCN": {"recall_at_20": 0.1820, "ndcg_at_20": 0.1547},
    "GF-CF": {"recall_at_20": 0.1849, "ndcg_at_20": 0.1518},
    "UltraGCN": {"recall_at_20": 0.1862, "ndcg_at_20": 0.1580},
    "BSPM": {"recall_at_20": 0.1920, "ndcg_at_20": 0.1597},
}
"""On this split, from the papers."""

LAYERS, DIMENSIONS, DECAY = 3, 64, 1e-4
PAPER_BATCH, PAPER_RATE = 2048, 1e-3
WHOLE = "whole"


def main() -> None:
    """Train both and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0, help="of LightGCN's training")
    parser.add_argument("--epochs", type=int, default=1000, help="LightGCN stops after as many, if the minutes are not over")
    parser.add_argument("--every", type=float, default=120.0, help="seconds of LightGCN's training between measurements")
    parser.add_argument("--batch", type=int, default=16_384, help="pairs a step of LightGCN; the paper's is 2048")
    parser.add_argument("--rate", type=float, help="LightGCN's learning rate; by default 1e-3 · √(batch / 2048)")
    parser.add_argument("--propagation", choices=PROPAGATIONS, help="the fastest by default")
    parser.add_argument("--parts", nargs="*", help="parts to train alone; by default each that the whole has")
    parser.add_argument("--set", action="append", default=[], metavar="A.B=C", help="override of the recommender's configuration")
    parser.add_argument("--users", type=int, help="only so many users, to try the script out")
    parser.add_argument("--dry", action="store_true", help="print the result, write no file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = Data.read(fewer(DATA / "gowalla", options.users, Path(folder)), configuration(options.set))
        result: dict[str, Any] = {
            "threads": torch.get_num_threads(),
            "load_average_before": round(os.getloadavg()[0], 1),
            "users": len(data.known),
            "items": len(data.table.items),
            "training_purchases": len(data.known.items),
            "test_users": len(data.held),
            "published": PUBLISHED,
            "lightgcn": lightgcn(data, options),
            "recommender": recommenders(data, options.parts, options.set, Path(folder)),
        }
    result |= judged(result["lightgcn"]["curve"], result["recommender"])
    print(json.dumps(result, indent=1))
    if not options.dry:
        write("recommender_lightgcn", result)


def judged(curve: list[dict[str, float]], runs: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Seconds until LightGCN's last recall of this run is reached: by itself, by the whole, by the first of the parts alone."""
    target = curve[-1]["recall_at_20"]
    reached = {name: run["seconds"] for name, run in runs.items() if run["recall_at_20"] >= target}
    first = min(reached.values(), default=None)
    peer = next(point["seconds"] for point in curve if point["recall_at_20"] >= target)
    return {
        "target_recall_at_20": target,
        "seconds_to_target": {"lightgcn": peer, WHOLE: reached.get(WHOLE), "first": first},
        "first_to_reach": min(reached, key=lambda name: reached[name], default=None),
        "first_speed_over_lightgcn": round(peer / first, 1) if first else None,
    }


@dataclass(frozen=True)
class Data:
    """The catalogue, its split in codes, what everyone is known to have, and the test users with what they are to be shown."""

    catalogue: Catalogue
    split: pd.DataFrame
    table: Coded
    known: Histories
    held: HeldOut
    split_seconds: float

    @classmethod
    def read(cls, folder: Path, config: RecommenderRunConfig) -> "Data":
        """As the family reads it."""
        catalogue, started = Catalogue.open(folder), time.perf_counter()
        split = FAMILY.split(catalogue, config)
        seconds = time.perf_counter() - started
        table = Coded.of(split, item_keys(catalogue, split["item_id"]))
        known = table.histories("train", "validation")
        return cls(catalogue, split, table, known, HeldOut.of(known, table.relevant("test")), seconds)

    def measured(self, ranked: np.ndarray[Any, Any]) -> dict[str, float]:
        """Mean over the test users."""
        hit, relevant = ranking.hits(ranked, self.held.relevant), np.diff(self.held.relevant.indptr)
        return {
            "recall_at_20": round(float(ranking.recall(hit, relevant, 20).mean()), 5),
            "ndcg_at_20": round(float(ranking.ndcg(hit, relevant, 20).mean()), 5),
        }


def fewer(folder: Path, users: int | None, out: Path) -> Path:
    """The catalogue with the first `users` alone."""
    if users is None:
        return folder
    small = out / "catalogue"
    small.mkdir()
    for table in ("purchases", "purchases_test"):
        rows = pd.read_parquet(folder / f"{table}.parquet")
        rows[rows["user_id"] < users].to_parquet(small / f"{table}.parquet", index=False)
    return small


# The recommender


def recommenders(data: Data, parts: Sequence[str] | None, overrides: list[str], folder: Path) -> dict[str, dict[str, Any]]:
    """The whole, then each part alone."""
    found = {WHOLE: recommender(data, overrides, folder / WHOLE)}
    had = [name for name in found[WHOLE]["parts"] if not part.get(name).fallback]
    for name in had if parts is None else [name for name in parts if name in had]:
        found[name] = recommender(data, [*overrides, f"model.parts=[{name}]"], folder / name)
    return found


def recommender(data: Data, overrides: list[str], folder: Path) -> dict[str, Any]:
    """Seconds from purchases to bundle, and what the bundle reaches; of its parts, their weights and what each reaches."""
    config, started = configuration(overrides), time.perf_counter()
    made = FAMILY.train(data.catalogue, data.split, FAMILY.augment(data.catalogue, data.split, config), config, folder)
    seconds = data.split_seconds + time.perf_counter() - started
    trained, _, _ = bundle.load(made, bundle.load_config(made))
    lists = ranked_lists(trained, data.held)
    figures = {name: data.measured(found.ranked) for name, found in lists.items()}
    parts = {name: {"weight": trained.weights[name], **figures[name]} for name in trained.parts}
    return {"seconds": round(seconds, 1), **figures[BLEND], "parts": parts}


# LightGCN


class Multiply(torch.autograd.Function):
    """A x with a symmetric sparse A: the gradient is A times the gradient, and A is never turned."""

    @staticmethod
    def forward(ctx: Any, adjacency: Tensor, x: Tensor) -> Tensor:
        """See above."""
        ctx.adjacency = adjacency
        return adjacency @ x

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor]:
        """See above."""
        return None, ctx.adjacency @ gradients[0].contiguous()


class Propagate(nn.Module):
    """In place of PyG's `LGConv`: the same product."""

    def forward(self, x: Tensor, adjacency: Tensor, _: Tensor | None = None) -> Tensor:
        """See above."""
        return cast(Tensor, Multiply.apply(adjacency, x))  # type: ignore[no-untyped-call]


Model = tuple[Any, Tensor, Tensor | None]
"""PyG's module, and what it propagates by: edges (2, e) or adjacency, and weights of the edges."""


def model_of(data: Data, way: str) -> Model:
    """Fresh weights, the same in every call."""
    from torch_geometric.nn.models import LightGCN  # 12 seconds to import

    torch.manual_seed(0)
    users, nodes = len(data.known), len(data.known) + len(data.table.items)
    model = LightGCN(nodes, DIMENSIONS, LAYERS, normalize=False)
    owners = torch.from_numpy(np.repeat(np.arange(users), data.known.lengths))
    bought = torch.from_numpy(data.known.items.astype(np.int64)) + users
    edges = torch.stack([torch.cat([owners, bought]), torch.cat([bought, owners])])
    degree = torch.bincount(edges[0], minlength=nodes).clamp(min=1).float()
    weights = (degree[edges[0]] * degree[edges[1]]).rsqrt()
    if way == "edge_index":
        return model, edges, weights
    adjacency = torch.sparse_coo_tensor(edges, weights, (nodes, nodes), check_invariants=False).coalesce().to_sparse_csr()
    if way == "csr_symmetric":
        model.convs = nn.ModuleList(Propagate() for _ in range(LAYERS))
    return model, adjacency, None


PROPAGATIONS = ("edge_index", "csr", "csr_symmetric")


def lightgcn(data: Data, options: argparse.Namespace) -> dict[str, Any]:
    """What it was trained with, and its curve."""
    rate = options.rate or PAPER_RATE * (options.batch / PAPER_BATCH) ** 0.5
    steps = {way: step_of(model_of(data, way), rate, len(data.known)) for way in PROPAGATIONS}
    tried = next(batches(data, options.batch, 0))
    costs = {way: round(seconds_of(step, tried), 4) for way, step in steps.items()}
    way = options.propagation or min(costs, key=lambda name: costs[name])
    del steps
    model = model_of(data, way)
    curve, epochs = trained(data, model, step_of(model, rate, len(data.known)), options)
    settings = {"layers": LAYERS, "dimensions": DIMENSIONS, "l2": DECAY, "batch": options.batch, "learning_rate": round(rate, 5)}
    return {**settings, "step_seconds": costs, "propagation": way, "epochs": round(epochs, 2), "curve": curve}


Batch = tuple[Tensor, Tensor, Tensor]
"""Users, what they bought, what they did not (B,) each."""


def step_of(model: Model, rate: float, users: int) -> Callable[[Batch], None]:
    """An update."""
    module, edges, weights = model
    optimizer = torch.optim.Adam(module.parameters(), lr=rate, fused=True)

    def step(batch: Batch) -> None:
        nodes = torch.cat([batch[0], batch[1] + users, batch[2] + users])
        vectors = F.embedding(nodes, module.get_embedding(edges, weights)).view(3, len(batch[0]), -1)
        right, wrong = ((vectors[0] * vectors[i]).sum(-1) for i in (1, 2))
        loss = module.recommendation_loss(right, wrong, node_id=nodes, lambda_reg=DECAY / 2)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return step


def seconds_of(step: Callable[[Batch], None], batch: Batch) -> float:
    """Median of three, after one."""
    seconds = []
    for _ in range(4):
        started = time.perf_counter()
        step(batch)
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds[1:]))


def batches(data: Data, size: int, epoch: int) -> Iterator[Batch]:
    """Every purchase once, with an item that its user did not buy."""
    rng, items = np.random.default_rng(epoch), len(data.table.items)
    owners = np.repeat(np.arange(len(data.known)), data.known.lengths)
    bought = np.sort(owners * items + data.known.items)
    order = rng.permutation(len(owners))
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        users, negatives = owners[rows], rng.integers(0, items, len(rows))
        while len(bad := np.flatnonzero(np.isin(users * items + negatives, bought))):
            negatives[bad] = rng.integers(0, items, len(bad))
        yield torch.from_numpy(users), torch.from_numpy(data.known.items[rows].astype(np.int64)), torch.from_numpy(negatives)


def trained(
    data: Data, model: Model, step: Callable[[Batch], None], options: argparse.Namespace
) -> tuple[list[dict[str, float]], float]:
    """Seconds, recall and nDCG at intervals and at the end, and passes over the purchases; drawing batches is in the seconds."""
    curve: list[dict[str, float]] = []
    seconds, steps, a_pass = 0.0, 0, -(-len(data.known.items) // options.batch)

    def measure() -> None:
        curve.append({"seconds": round(seconds, 1), "epochs": round(steps / a_pass, 2), **measured(data, model)})

    for epoch in range(options.epochs):
        started = time.perf_counter()
        for batch in batches(data, options.batch, epoch):
            step(batch)
            steps, seconds = steps + 1, seconds + time.perf_counter() - started
            if seconds >= 60 * options.minutes:
                measure()
                return curve, steps / a_pass
            if seconds >= options.every * (len(curve) + 1):
                measure()
            started = time.perf_counter()
    measure()
    return curve, steps / a_pass


@torch.no_grad()
def measured(data: Data, model: Model) -> dict[str, float]:
    """Over all items."""
    module, edges, weights = model
    vectors = module.get_embedding(edges, weights)
    users, items = vectors[: len(data.known)], vectors[len(data.known) :]
    ranked = [
        top((users[torch.from_numpy(batch.users)] @ items.T).numpy(), batch.histories, PLACES) for batch in data.held.batches()
    ]
    return data.measured(np.concatenate(ranked))


if __name__ == "__main__":
    main()
