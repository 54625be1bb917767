"""What does the recommender cost on a million users and a hundred thousand items, and is its memory what the arithmetic says?

A made-up catalogue: users buy about ten items each, eight in ten from two tastes of their own, by Zipf's law within a taste and
over all; every item has three attributes. Each stage runs in a process of its own and reports its seconds and its peak of memory
(`ru_maxrss`; what the process held before is given beside it). Training is a number of steps, from which an epoch follows.

Nothing has users × items cells. U users, I items, n purchases, A attributes an item, k neighbours kept of an item, d singular
vectors, f factors, C channels, L attention layers, B users scored at once, P parts; bytes:

    histories      8 n + 8 (U + 1)                  item int32, weight float32, offset int64
    neighbours     8 k I + 4 (I + 1)                at most; co-purchases, and the paths of attention
    low pass       8 d I                            kept; at work 4 (d + 20) U more, the users' side of the iteration
    factors        4 f I                            kept; at work 4 f U more
    graph          16 n + 8 A I + 8 (U + 2 I + 3)   edges int64, both ways
    pairs          24 n                             user, item and the sorted key of every purchase
    attention      4 L C I + 4 (C + 1) I            kept: layer states, item vectors; and the paths
    listening      8 C U + 16 n                     at work: users' states before and after a layer, attention both ways
    scoring        4 B I (P + 1)                    a batch: every part's scores and their sum

Peers in the same run: the matrix of users × items, whose size is said and which nothing makes; scoring every item with every
part, whose best 20 are the exact answer; and FAISS over the vectors of the parts put together (`benchmarks.recommender.Vectors`),
exact (IndexFlatIP) and by a graph (IndexHNSWFlat). What is served finds candidates in inverted lists and among the neighbours of
the history; the peers know vectors alone. For each: how many of the exact 20 it has, and what one user costs.

    OMP_NUM_THREADS=2 python -m benchmarks.recommender_scale [--users 1000000] [--items 100000] [--folder DIR] [--stages …]
"""

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import faiss
import numpy as np
import pandas as pd
import psutil
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from benchmarks.machine import in_a_process, write
from benchmarks.recommender import Vectors, configuration, percentiles
from catalog.catalogue import Catalogue
from models.recommender import attention, decomposition, neighbours, part
from models.recommender.answers import Query
from models.recommender.candidates import Candidates
from models.recommender.config import RecommenderRunConfig
from models.recommender.evaluate import PLACES
from models.recommender.family import FAMILY, Coded
from models.recommender.graph import Edges, Graph
from models.recommender.held_out import USERS_A_BATCH, HeldOut, top
from models.recommender.interactions import Histories
from models.recommender.items import Items, item_keys
from models.recommender.model import Recommender
from models.recommender.part import Part
from models.recommender.parts import spectral
from models.recommender.parts.co_purchase import CoPurchase
from models.recommender.parts.factorisation import Factorisation, factorise
from models.recommender.parts.graph_attention import AttentionPaths, starts
from models.recommender.parts.popularity import Popularity
from models.recommender.predictor import RecommenderPredictor
from models.recommender.readings import Floats

ITEMS_A_TASTE = 500
COLOURS, BRANDS = 50, 1000
USER_POWER, ITEM_POWER, SHARE = 0.4, 0.4, 0.25
"""Of those that training would choose among."""

WEIGHTS = {"co_purchase": 1.0, "spectral": 1.0, "factorisation": 0.5, "graph_attention": 0.5, "popularity": 0.05}
LINKS, SEARCHED = 32, 512
"""Of the HNSW index: links of a vector, and how many vectors a search keeps in sight."""

CANDIDATES = (20, 100, 500, 2000)
MIB = 2**20

T = TypeVar("T")


def main() -> None:
    """Make the catalogue, run the stages in turn and write the result; or run one stage and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--purchases", type=float, default=10.0, help="of a user, on average; at least 3")
    parser.add_argument("--steps", type=int, default=10, help="of each kind of training step")
    parser.add_argument("--scored", type=int, default=10_000, help="users who are scored in batches")
    parser.add_argument("--searched", type=int, default=500, help="users for whom FAISS is compared")
    parser.add_argument("--set", action="append", default=[], metavar="A.B=C", help="override of the recommender's configuration")
    parser.add_argument(
        "--stages", nargs="+", choices=STAGES, default=list(STAGES), help="later ones need what earlier ones left"
    )
    parser.add_argument("--folder", type=Path, help="where the catalogue and what stages leave are kept; temporary by default")
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    parser.add_argument("--dry", action="store_true", help="print the result, write no file")
    options = parser.parse_args()
    if options.stage:
        print(json.dumps(STAGES[options.stage](Work.of(options))))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        arguments = [
            f"--{name}={getattr(options, name)}" for name in ("users", "items", "purchases", "steps", "scored", "searched")
        ]
        arguments += [f"--set={override}" for override in options.set]
        stages = {}
        for name in options.stages:
            stages[name] = in_a_process("benchmarks.recommender_scale", "--stage", name, *arguments, f"--folder={folder}")
            print(f"{name}: {json.dumps(stages[name])}", file=sys.stderr)
    result = {
        "threads": torch.get_num_threads(),
        "load_average": round(os.getloadavg()[1], 1),
        "users": options.users,
        "items": options.items,
        "matrix_of_scores_gib": round(4 * options.users * options.items / 2**30, 1),
        "stages": stages,
    }
    print(json.dumps(result, indent=1))
    if not options.dry:
        write("recommender_scale", result)


# The catalogue


def make(folder: Path, users: int, items: int, purchases: float) -> None:
    """Write it."""
    rng = np.random.default_rng(0)
    tastes = max(2, items // ITEMS_A_TASTE)
    taste = np.sort(rng.integers(0, tastes, items))
    sold = np.concatenate([[0.0], np.cumsum(1.0 / rng.permutation(np.arange(1, items + 1)))])  # Zipf, cumulated by taste
    edges = np.searchsorted(taste, np.arange(tastes + 1))
    lengths = np.minimum(3 + rng.lognormal(np.log(max(purchases - 3, 0.1)) - 0.32, 0.8, users).astype(np.int64), items // 2)
    owners = np.repeat(np.arange(users), lengths)
    liked = rng.integers(0, tastes, (users, 2))[owners, (rng.random(len(owners)) < 0.45).astype(np.int64)]
    anywhere = rng.random(len(owners)) < 0.2
    low = np.where(anywhere, 0.0, sold[edges[liked]])
    high = np.where(anywhere, sold[-1], sold[edges[liked + 1]])
    bought = np.minimum(np.searchsorted(sold, low + rng.random(len(owners)) * (high - low), side="right") - 1, items - 1)
    frame = pd.DataFrame({"user_id": owners, "item_id": bought, "position": np.arange(len(owners))})
    frame.drop_duplicates(["user_id", "item_id"]).to_parquet(folder / "purchases.parquet", index=False)
    said = np.stack([taste, tastes + rng.integers(0, COLOURS, items), tastes + COLOURS + rng.integers(0, BRANDS, items)])
    described = pd.DataFrame({"item_id": np.tile(np.arange(items), len(said)), "attribute_id": said.ravel()})
    described.to_parquet(folder / "item_attributes.parquet", index=False)


# What stages share


class Work(NamedTuple):
    """Where a stage reads and leaves what it makes, and how much it is to do."""

    folder: Path
    users: int
    items: int
    purchases: float
    config: RecommenderRunConfig
    steps: int
    scored: int
    searched: int

    @classmethod
    def of(cls, options: argparse.Namespace) -> "Work":
        """From the command line."""
        size = options.users, options.items, options.purchases
        return cls(options.folder, *size, configuration(options.set), options.steps, options.scored, options.searched)

    def histories(self) -> Histories:
        """What the first stage left."""
        return Histories(**self.arrays("histories"))

    def attributes(self) -> csr_matrix:
        """Items × attributes, from the first stage."""
        found = self.arrays("attributes")
        return csr_matrix((found["data"], found["indices"], found["offsets"]), shape=found["shape"])

    def matrix(self) -> csr_matrix:
        """Users × items."""
        return self.histories().matrix(self.attributes().shape[0])

    def arrays(self, name: str) -> dict[str, NDArray[Any]]:
        """What was left under a name."""
        with np.load(self.folder / f"{name}.npz") as stored:
            return dict(stored)

    def leave(self, name: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """For later stages."""
        np.savez(self.folder / f"{name}.npz", **arrays)  # type: ignore[arg-type]

    def part(self, name: str, items: Items) -> Part[Any]:
        """A part that an earlier stage left."""
        return part.get(name).restore(self.arrays(name), self.config.model.of(name), items)

    def described(self) -> Items:
        """Items without titles, categories and prices."""
        attributes, x = self.attributes(), self.matrix()
        names, prices = tuple(map(str, range(attributes.shape[1]))), np.full(x.shape[1], np.nan, dtype=np.float32)
        return Items(tuple(range(x.shape[1])), attributes, names, {}, ("",) * x.shape[1], prices, buyers(x))


def timed(work: Callable[[], T]) -> tuple[T, dict[str, float]]:
    """What `work` makes; its seconds, what the process held before, and the most it has held by its end."""
    before, started = psutil.Process().memory_info().rss, time.perf_counter()
    made = work()
    seconds, peak = time.perf_counter() - started, 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return made, {"seconds": round(seconds, 2), "before_mib": round(before / MIB), "peak_mib": round(peak / MIB)}


def against(formula: str, predicted: float, *held: Any) -> dict[str, Any]:
    """MiB that a formula predicts, beside those of what is there."""
    measured = sum(size(one) for one in held)
    return {"formula": formula, "predicted_mib": round(predicted / MIB, 2), "measured_mib": round(measured / MIB, 2)}


def size(held: Any) -> int:
    """Bytes of the arrays of anything that is made here."""
    if isinstance(held, np.ndarray | torch.Tensor):
        return int(held.nbytes)
    if isinstance(held, csr_matrix):
        return int(held.data.nbytes + held.indices.nbytes + held.indptr.nbytes)
    if isinstance(held, Histories | Edges | Graph):
        return sum(size(value) for value in vars(held).values())
    return sum(size(value) for value in held.state().values())  # a part


# Stages


def catalogue(work: Work) -> dict[str, Any]:
    """Make it. In a process of its own like the others: a process that is started inherits its parent's peak of memory."""
    return timed(lambda: make(work.folder, work.users, work.items, work.purchases))[1]


def histories(work: Work) -> dict[str, Any]:
    """From the catalogue's tables to histories, as the family reads them."""
    opened = Catalogue.open(work.folder)
    split, splitting = timed(lambda: FAMILY.split(opened, work.config))
    table, coding = timed(lambda: Coded.of(split, item_keys(opened, split["item_id"])))
    made, gathering = timed(lambda: table.histories("train", "validation"))
    items, describing = timed(lambda: Items.of(opened, table.items, made.buyers(len(table.items))))
    work.leave("histories", vars(made))
    m = items.attributes
    work.leave("attributes", {"data": m.data, "indices": m.indices, "offsets": m.indptr, "shape": np.array(m.shape)})
    predicted = 8 * len(made.items) + 8 * (len(made) + 1)
    return {
        "purchases": len(split),
        "longest_history": int(made.lengths.max()),
        "most_buyers": int(items.buyers.max()),
        "split": splitting,
        "code": coding,
        "histories": gathering,
        "items": describing,
        "arrays": {"histories": against("8 n + 8 (U + 1)", predicted, made)},
    }


def co_purchases(work: Work) -> dict[str, Any]:
    """Items bought by the same users."""
    x, keep = work.matrix(), work.config.model.neighbours

    def fitted() -> CoPurchase:
        counts = neighbours.co_purchases(x, USER_POWER, keep)
        return CoPurchase(neighbours.damped_by_items(counts, buyers(x), ITEM_POWER), 0.0, USER_POWER, ITEM_POWER)

    made, figures = timed(fitted)
    work.leave("co_purchase", made.state())
    predicted = 8 * keep * x.shape[1] + 4 * (x.shape[1] + 1)
    kept = round(made.matrix.nnz / x.shape[1], 1)
    return figures | {"kept_of_an_item": kept, "arrays": {"neighbours": against("8 k I + 4 (I + 1)", predicted, made.matrix)}}


def low_pass(work: Work) -> dict[str, Any]:
    """Singular vectors."""
    x, config = work.matrix(), work.config.model.spectral
    made, figures = timed(lambda: spectral.Spectral(*spectral.low_pass(x, config, work.config.trainer.seed), 0.0))
    work.leave("spectral", made.state())
    d = made.sources.shape[1]
    at_work = 4 * (d + decomposition.OVERSAMPLED) * x.shape[0] / MIB
    kept = against("8 d I", 8 * d * x.shape[1], made.sources, made.answers)
    return figures | {"at_work_mib": round(at_work), "arrays": {"low pass": kept}}


def factors(work: Work) -> dict[str, Any]:
    """Alternating least squares."""
    x, config = work.matrix(), work.config.model.factorisation
    factors, figures = timed(lambda: factorise(x, config, work.config.trainer.seed))
    made = Factorisation(factors, config.unobserved, config.ridge)
    work.leave("factorisation", made.state())
    at_work = 4 * config.dimensions * x.shape[0] / MIB
    kept = against("4 f I", 4 * config.dimensions * x.shape[1], made.items)
    return figures | {"sweeps": config.sweeps, "at_work_mib": round(at_work), "arrays": {"factors": kept}}


def steps(work: Work) -> dict[str, Any]:
    """Training steps of the graph attention in fp32: those of item vectors alone, and those of all layers."""
    known, attributes, config = work.histories(), work.attributes(), work.config.model.attention
    x, n = work.matrix(), len(known.items)
    graph, joining = timed(lambda: Graph.of(x, attributes))
    near = neighbours.largest(work.part("co_purchase", work.described()).item_weights, config.hard_neighbours)
    model, starting = timed(lambda: fresh(x, config, attributes.shape[1]))
    bought = np.repeat(np.arange(len(known)), known.lengths), known.items
    edges = 16 * n + 8 * attributes.nnz + 8 * (graph.users + 2 * graph.items + 3)
    figures: dict[str, Any] = {"graph": joining, "start": starting}
    figures["arrays"] = {"graph": against("16 n + 8 A I + 8 (U + 2 I + 3)", edges, graph)}
    for name, rows, surrounded in (("vectors", config.lesson_pairs, False), ("layers", work.config.trainer.batch_size, True)):
        pairs, drawing = timed(partial(attention.Pairs, known, graph, near, config, bought, surrounded, 0))
        figures[name] = learned(model, pairs, rows, work.steps) | {"pairs": drawing}
    work.leave("model", {name: value.numpy() for name, value in model.state_dict().items()})
    figures["arrays"]["pairs"] = against("24 n", 24 * n, pairs.users, pairs.items, pairs._bought)
    return figures


def fresh(x: csr_matrix, config: Any, attributes: int) -> attention.GraphAttention:
    """Item vectors start as singular vectors, as in training."""
    torch.manual_seed(0)
    return attention.GraphAttention(config, starts(x, config.width, seed=0), attributes, None)


def learned(model: attention.GraphAttention, pairs: attention.Pairs, rows: int, count: int) -> dict[str, Any]:
    """Seconds of a step and of an epoch, and how many edges a step sees; one step more comes first, to warm up."""
    task, rng = attention.LinkTask(model), np.random.default_rng(0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    drawing, computing, edges = [], [], 0

    def step() -> None:
        nonlocal edges
        started = time.perf_counter()
        batch = pairs.__getitems__([(0, int(row)) for row in rng.integers(0, len(pairs), rows)])
        drawing.append(time.perf_counter() - started)
        loss = task.training_loss(batch, torch.Generator())["loss"]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        computing.append(time.perf_counter() - started - drawing[-1])
        edges = sum(
            part.shape[1] for layer in batch.layers for part in (layer.user_edges, layer.item_edges, layer.attribute_edges)
        )

    def run() -> None:
        for _ in range(count + 1):
            step()

    _, figures = timed(run)
    draw, compute = (float(np.median(seconds[1:])) for seconds in (drawing, computing))
    an_epoch = -(-len(pairs) // rows)
    return {
        "rows": rows,
        "draw_seconds": round(draw, 3),
        "compute_seconds": round(compute, 3),
        "edges_a_step": edges,
        "steps_an_epoch": an_epoch,
        "epoch_minutes": round((draw + compute) * an_epoch / 60, 1),
        "peak_mib": figures["peak_mib"],
    }


def listen(work: Work) -> dict[str, Any]:
    """The layers over the whole graph, and the paths."""
    x, attributes, config, keep = work.matrix(), work.attributes(), work.config.model.attention, work.config.model.neighbours
    graph = Graph.of(x, attributes)
    model = attention.GraphAttention(config, np.zeros((x.shape[1], config.width), np.float32), attributes.shape[1], None)
    model.load_state_dict({name: torch.from_numpy(value) for name, value in work.arrays("model").items()})
    states, hearing = timed(lambda: attention.propagate(model, graph))
    made, walking = timed(lambda: AttentionPaths.of(states, buyers(x), ITEM_POWER, SHARE, keep))
    work.leave("graph_attention", made.state())
    users, items, width, layers = x.shape[0], x.shape[1], config.width, config.layers
    return {
        "listen": hearing,
        "paths": walking,
        "at_work_mib": round((8 * width * users + 16 * x.nnz) / MIB),
        "arrays": {
            "states": against("4 L C I", 4 * layers * width * items, made.sources),
            "vectors": against("4 (C + 1) I", 4 * (width + 1) * items, made.items),
            "attention both ways": against(
                "16 n + 4 (U + I + 2)", 16 * x.nnz + 4 * sum(x.shape) + 8, states.item_attention, states.user_attention
            ),
            "paths": against("8 k I + 4 (I + 1)", 8 * keep * items + 4 * (items + 1), made.paths),
        },
    }


def recommender(work: Work) -> Recommender:
    """Every part that was left, at made-up weights."""
    items = work.described()
    parts = {name: Popularity(items.buyers) if name == "popularity" else work.part(name, items) for name in WEIGHTS}
    return Recommender(items, parts, WEIGHTS, np.zeros((len(items), 1), dtype=np.float32), work.config.model.history.longest)


def drawn(work: Work, count: int) -> HeldOut:
    """At most so many users, at random; nothing is held out of theirs."""
    known = work.histories()
    chosen = np.sort(np.random.default_rng(1).permutation(len(known))[:count])
    return HeldOut(known.select(chosen), csr_matrix((len(chosen), work.attributes().shape[0]), dtype=np.float32), chosen)


def score(work: Work) -> dict[str, Any]:
    """The best of all items for many users, a batch at a time, and one batch by part."""
    model, loading = timed(lambda: recommender(work))
    users = drawn(work, work.scored)

    def answer() -> int:
        return sum(len(top(model.scores(b.histories), b.histories, PLACES)) for b in users.batches())

    done, figures = timed(answer)
    batch = next(iter(users.batches())).histories
    by_part = {name: timed(partial(one.scores, batch))[1]["seconds"] for name, one in model.parts.items()}
    at_work = 4 * min(USERS_A_BATCH, done) * len(model.items) * (len(model.parts) + 1) / MIB
    a_second = round(done / figures["seconds"], 1)
    return {
        "load": loading,
        "users": done,
        **figures,
        "users_a_second": a_second,
        "a_batch_by_part": by_part,
        "at_work_mib": round(at_work),
    }


def search(work: Work) -> dict[str, Any]:
    """What is served, and FAISS over the vectors of the parts, against scoring everything; one user at a time."""
    faiss.omp_set_num_threads(torch.get_num_threads())
    model, users = recommender(work), drawn(work, work.searched).histories
    one = [users.select([row]) for row in range(len(users))]
    exact, scoring = each(lambda history: top(model.scores(history), history, PLACES)[0], one)
    found: dict[str, Any] = {"scoring_everything_ms": scoring, "served": served(work, model, users, exact)}
    vectors, gathering = timed(lambda: Vectors(model))
    queries, asking = each(vectors.queries, one)
    found |= {"dimensions": vectors.items.shape[1], "vectors": gathering, "query_ms": asking}
    asked = list(zip(queries, one, strict=True))
    for name, index in (("flat", flat(vectors.items.shape[1])), ("hnsw", hnsw(vectors.items.shape[1]))):
        _, building = timed(partial(index.add, vectors.items))
        found[name] = {"build": building}
        for count in CANDIDATES:
            candidates, latency = each(partial(nearest, index, count), asked)
            found[name][f"{count} candidates"] = {"recall_of_exact_20": recall(candidates, exact), "search_ms": latency}
    return found


def served(work: Work, model: Recommender, users: Histories, exact: Sequence[NDArray[np.int64]]) -> dict[str, Any]:
    """The predictor with reasons, and how many items it scores."""
    keys = list(range(len(users)))
    predictor, indexing = timed(lambda: RecommenderPredictor(model, keys, users, work.config.model))
    answers, latency = each(lambda key: predictor.recommend([Query(user_id=key, num_recs=PLACES)])[0], keys)
    shown = [np.array([item.item_id for item in answer.items]) for answer in answers]
    found = {"index": indexing, "recommend_ms": latency, "recall_of_exact_20": recall(shown, exact), "scored_of_items": 1.0}
    candidates = Candidates.of(model, work.config.model.candidates)
    if candidates is not None:
        read = [model.read(users.select([row])) for row in keys]
        chosen, finding = each(lambda readings: candidates.find(readings, model.weights), read)
        scored = float(np.mean([len(codes) for codes in chosen])) / len(model.items)
        found |= {"scored_of_items": round(scored, 4), "candidates_ms": finding}
    return found | {"all_scored_up_to_items": work.config.model.candidates.exact}


def flat(dimensions: int) -> Any:
    """An exact index."""
    return faiss.IndexFlatIP(dimensions)


def hnsw(dimensions: int) -> Any:
    """An approximate index: a graph of near neighbours (Malkov & Yashunin 2018)."""
    index: Any = faiss.IndexHNSWFlat(dimensions, LINKS, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efSearch = SEARCHED
    return index


def nearest(index: Any, count: int, asked: tuple[Floats, Histories]) -> NDArray[np.int64]:
    """At most `count` items by the inner product with a query, the history's own aside."""
    query, history = asked
    codes = index.search(query, min(count + len(history.items), index.ntotal))[1][0]
    found: NDArray[np.int64] = codes[~np.isin(codes, history.items)][:count]
    return found


def recall(found: Sequence[NDArray[np.int64]], exact: Sequence[NDArray[np.int64]]) -> float:
    """Mean share of the exact best."""
    return round(float(np.mean([np.isin(best, row).mean() for best, row in zip(exact, found, strict=True)])), 4)


def each(work: Callable[[Any], T], arguments: Sequence[Any]) -> tuple[list[T], dict[str, float]]:
    """What every call makes, and percentiles of their milliseconds; the first is made once more, to warm up."""
    work(arguments[0])
    made, seconds = [], []
    for argument in arguments:
        started = time.perf_counter()
        made.append(work(argument))
        seconds.append(time.perf_counter() - started)
    return made, percentiles(seconds)


def buyers(x: csr_matrix) -> Floats:
    """Of each item."""
    return np.bincount(x.indices, minlength=x.shape[1]).astype(np.float32)


STAGES: dict[str, Callable[[Work], dict[str, Any]]] = {
    "catalogue": catalogue,
    "histories": histories,
    "co_purchases": co_purchases,
    "low_pass": low_pass,
    "factorise": factors,
    "attention_steps": steps,
    "listen": listen,
    "score": score,
    "search": search,
}


if __name__ == "__main__":
    main()
