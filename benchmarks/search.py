"""Are the products that are most alike found, with and without filters, and how fast: of 100,000, and of a million?

Vectors of 1,024 numbers, as the `base` preset makes them. The real catalogue (VITRINA_TEST_DATA, 40,443 products) is embedded by
a product bundle; where that makes fewer numbers, a random rotation puts them among 1,024 without a change of any distance. Each
product then stands as often as is needed to fill the catalogue, each time moved at random in all 1,024 directions, by the median
distance of a product from its nearest neighbour: so neighbours are products that are alike, and not copies. Queries are 1,000
further ones that the index does not hold. Facts (price, brand, categories, attributes) are those of the real product.

Every query is asked alone, by the code that serves: `serving.search`. Its 10 products are held against those of an exact search
over all, or over what the filter leaves: the share of them that were found is the recall. Peers in the same run: that exact
search by FAISS (IndexFlatIP, float32) and by a numpy product, and usearch (HNSW, float16, its own defaults; it takes no filter).

    OMP_NUM_THREADS=1 python -m benchmarks.search [--products 100000] [--bundle DIR] [--embedded DIR]

With HTTP, the real catalogue as the bundle embeds it is served as `vitrina serve` does, and clients in a process of their own ask
by id: each id once, so that every answer is computed, then again, when workers have them at hand, and again while a client puts a
product each second, after which all answers are computed anew. --embedded is a folder that `vitrina embed` wrote: it saves the
embedding.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from usearch.index import Index as UsearchIndex

from benchmarks.machine import write
from benchmarks.serving_load import BUNDLE, free_port, server
from catalog.catalogue import Catalogue
from configs.schema import IndexConfig, ServingConfig
from configs.settings import Settings
from database.catalog import Change, Placing, put
from models import family
from models.bundles import INDEX
from registry.promotion import promote
from registry.register import register
from serving.search import index as files
from serving.search.nearest import ALL, Nearest, nearest, nearest_by_lists
from serving.search.shelf import Filters, Shelf
from serving.search.visibility import Hidden

DATA = Path(os.environ.get("VITRINA_TEST_DATA", "../shared/data")) / "myntra"
DIMENSIONS, QUERIES, TOP, SEED = 1024, 1000, 10, 7
ANSWERS = 5000
"""Products that are asked about over HTTP: so many answers are kept."""
Floats = NDArray[np.float32]


def main() -> None:
    """Build, ask, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--products", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=QUERIES)
    parser.add_argument("--bundle", type=Path, default=BUNDLE, help="a trained product bundle")
    parser.add_argument("--embedded", type=Path, help="catalogue directory with the embeddings of the real one by that bundle")
    parser.add_argument("--peers", action=argparse.BooleanOptionalAction, default=True, help="of a million they take long")
    parser.add_argument("--http", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--out", type=Path, help="where to write the JSON; benchmarks/results by default")
    options = parser.parse_args()
    busy = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        real = embedded(options.bundle, options.embedded)
        shop = Shop(real, options.products, options.queries)
        result = {"products": options.products, "dimensions": DIMENSIONS, "queries": options.queries, "threads": threads()}
        result |= {"load_average_before": round(busy, 1), "nearest_neighbour_distance": round(shop.distance, 4)}
        result["index"] = built = build(shop, Path(folder, INDEX))
        print(json.dumps(built), flush=True)
        result["searches"] = searches(shop, Path(folder, INDEX))
        if options.peers:
            result["peers"] = peers(shop)
        result["catalogue"] = changes(Path(folder))
        shop.vectors = np.zeros((0, DIMENSIONS), dtype=np.float32)  # frees them
        if options.http:
            result["http"] = http(Path(folder), real, options)
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    else:
        write("search" if options.products == 100_000 else f"search_{options.products}", result)
    print(json.dumps(result, indent=1))


def embedded(bundle: Path, folder: Path | None) -> tuple["pd.Series[Any]", Floats]:
    """Ids and vectors of the real catalogue, made here where `folder` does not hold them."""
    if folder is not None:
        return Catalogue.open(folder).embeddings()
    with tempfile.TemporaryDirectory() as made:
        family.embedder("product").embed(bundle, Catalogue.open(DATA), Path(made, "out"))
        return Catalogue.open(Path(made, "out")).embeddings()


class Shop:
    """Vectors [n, d] that look like a real catalogue's, the row of it that each comes from, and queries [q, d]."""

    def __init__(self, embedded: tuple["pd.Series[Any]", Floats], count: int, queries: int) -> None:
        ids, real = embedded
        products = Catalogue.open(DATA).products().drop_duplicates("product_id")
        self.facts = products.set_index("product_id").loc[ids].reset_index()
        rng = np.random.default_rng(SEED)
        turn, _ = np.linalg.qr(rng.standard_normal((DIMENSIONS, real.shape[1])))
        real = real @ turn.T.astype(np.float32)
        cosines, _ = faiss.knn(real[:2000], real, 2, metric=faiss.METRIC_INNER_PRODUCT)
        self.distance = float(np.median(np.sqrt(np.maximum(0.0, 2 - 2 * cosines[:, 1]))))
        rows = np.resize(rng.permutation(len(real)), count + queries)
        moved = np.empty((count + queries, DIMENSIONS), dtype=np.float32)
        for start in range(0, len(rows), 50_000):
            some = slice(start, start + 50_000)
            noise = rng.standard_normal((len(rows[some]), DIMENSIONS), dtype=np.float32)
            moved[some] = real[rows[some]] + self.distance / DIMENSIONS**0.5 * noise
            moved[some] /= np.linalg.norm(moved[some], axis=1, keepdims=True)
        self.queries, self.vectors, self.rows = moved[:queries], moved[queries:], rows[queries:]

    def products(self) -> pd.DataFrame:
        """A row a vector."""
        return self.facts.iloc[self.rows].assign(product_id=np.arange(len(self.rows)))


def build(shop: Shop, folder: Path) -> dict[str, Any]:
    """Write the index."""
    products, start = shop.products(), time.perf_counter()
    files.write(folder, products["product_id"], shop.vectors, products, IndexConfig())
    seconds = time.perf_counter() - start
    sizes = {path.name: round(path.stat().st_size / 2**20, 1) for path in sorted(folder.iterdir())}
    before, start = resident(), time.perf_counter()
    read = files.read(folder)
    shelf = Shelf.of(read)
    return {
        "build_seconds": round(seconds, 1),
        "lists": read.spec.lists,
        "mebibytes": sizes,
        "read_seconds": round(time.perf_counter() - start, 2),
        "read_mebibytes": round(resident() - before, 1),
        "rows": len(shelf),
    }


def searches(shop: Shop, folder: Path) -> dict[str, Any]:
    """Latency and recall by filter."""
    index = files.read(folder)
    shelf, found = Shelf.of(index), {}
    for name, filters in filters_of(shop).items():
        mask = shelf.within(filters)

        def ask(query: Floats, filters: Filters = filters) -> Nearest:
            if index.lists is None:
                return nearest(shelf, query[None], filters, TOP)[0]
            return nearest_by_lists(shelf, query[None], filters, TOP, index.lists, index.spec.config)[0]

        truth = exact(shop, np.flatnonzero(mask))
        found[name] = {"left": round(float(mask.mean()), 4), **measured(shop, lambda query: ask(query)[1], truth)}
        print(name, json.dumps(found[name]), flush=True)
    return found


def filters_of(shop: Shop) -> dict[str, Filters]:
    """Filters that leave all, about a half, a tenth, a hundredth of the products, and fewer."""
    products = shop.facts.iloc[shop.rows]
    prices = products["price"].where(products["price"] > 0)
    low, middle, high, narrow = prices.quantile([0.25, 0.5, 0.75, 0.51]).tolist()
    shares = products["article_type"].value_counts(normalize=True)
    tenth, hundredth = (shares.index[int(np.abs(shares - share).argmin())] for share in (0.1, 0.01))
    brand = products["brand"].value_counts(normalize=True)
    return {
        "none": ALL,
        "half": Filters(price_min=low, price_max=high),
        "tenth": Filters(categories=(str(tenth),)),
        "hundredth_by_type": Filters(categories=(str(hundredth),)),
        "hundredth_by_brand": Filters(brands=(str(brand.index[int(np.abs(brand - 0.01).argmin())]),)),
        "hundredth_by_price": Filters(price_min=middle, price_max=narrow),
        "several": Filters(categories=(str(tenth),), price_max=middle, attributes=(("gender", ("Women",)),)),
    }


def exact(shop: Shop, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows of the exact best [q, TOP] among `rows`; -1 where there are fewer."""
    if not len(rows):
        return np.full((len(shop.queries), TOP), -1)
    everything = len(rows) == len(shop.vectors)
    _, places = faiss.knn(
        shop.queries, shop.vectors if everything else shop.vectors[rows], TOP, metric=faiss.METRIC_INNER_PRODUCT
    )
    return np.where(places >= 0, rows[places], -1)


def measured(shop: Shop, ask: Callable[[Floats], NDArray[np.int64]], truth: NDArray[np.int64]) -> dict[str, Any]:
    """Milliseconds of queries that are asked one after the other, and how much of the truth their answers hold."""
    milliseconds, recalls = [], []
    for query in shop.queries[:20]:
        ask(query)
    for query, wanted in zip(shop.queries, truth, strict=True):
        start = time.perf_counter()
        rows = ask(query)
        milliseconds.append(1000 * (time.perf_counter() - start))
        wanted = wanted[wanted >= 0]
        recalls.append(np.isin(wanted, rows).mean() if len(wanted) else 1.0)
    p50, p95, p99 = np.percentile(milliseconds, [50, 95, 99])
    recall = {"mean": float(np.mean(recalls)), "p5": float(np.percentile(recalls, 5)), "min": float(np.min(recalls))}
    return {
        "milliseconds": {"p50": round(p50, 3), "p95": round(p95, 3), "p99": round(p99, 3)},
        "recall_at_10": {name: round(value, 4) for name, value in recall.items()},
    }


def peers(shop: Shop) -> dict[str, Any]:
    """Exact search, and usearch."""
    truth, found = exact(shop, np.arange(len(shop.vectors))), {}
    found["numpy"] = measured(shop, lambda query: np.argpartition(-(shop.vectors @ query), TOP)[:TOP], truth)
    flat = faiss.IndexFlatIP(DIMENSIONS)
    flat.add(shop.vectors)
    found["faiss_flat"] = measured(shop, lambda query: flat.search(query[None], TOP)[1][0], truth)
    start = time.perf_counter()
    graph = UsearchIndex(ndim=DIMENSIONS, metric="ip", dtype="f16")
    graph.add(np.arange(len(shop.vectors)), shop.vectors, threads=threads())
    seconds = round(time.perf_counter() - start, 1)
    asked = measured(shop, lambda query: graph.search(query, TOP).keys.astype(np.int64), truth)
    found["usearch"] = {"build_seconds": seconds, "mebibytes": round(graph.memory_usage / 2**20, 1), **asked}
    return found


def changes(folder: Path) -> dict[str, Any]:
    """Microseconds of asking, before a batch, whether something changed, and of reading one change."""
    url = f"sqlite:///{folder / 'changes.db'}"
    hidden = Hidden(url)

    def timed(times: int, before: Callable[[int], object] = lambda _: None) -> float:
        spent = []
        for turn in range(times):
            before(turn)
            start = time.perf_counter()
            hidden.now()
            spent.append(1e6 * (time.perf_counter() - start))
        return round(float(np.median(spent)), 1)

    def hide(turn: int) -> None:
        change = Change(product_id=f"p{turn}", hidden=True, known=True)
        put(url, [change], most=1, by=Placing("product", 1, ""))

    return {"nothing_changed_microseconds": timed(2000), "one_change_microseconds": timed(200, hide)}


def http(folder: Path, real: tuple["pd.Series[Any]", Floats], options: argparse.Namespace) -> dict[str, Any]:
    """Requests a second by id over HTTP: answers that are computed, and answers that are kept."""
    settings = Settings(folder, f"sqlite:///{folder / 'vitrina.db'}", f"sqlite:///{folder / 'mlflow.db'}")
    bundle = folder / "bundle"
    bundle.mkdir()
    for path in options.bundle.iterdir():
        if path.is_file():
            (bundle / path.name).write_bytes(path.read_bytes())
    ids, vectors = real
    products = Catalogue.open(DATA).products().drop_duplicates("product_id").set_index("product_id").loc[ids].reset_index()
    numbered = pd.Series(np.arange(len(ids)))
    files.write(bundle / INDEX, numbered, vectors, products.assign(product_id=numbered), IndexConfig())
    register(settings, "product", bundle, metrics={}, config={}, tags={"vitrina.gates": "passed"}, reports={})
    promote(settings, "product", 1, "benchmark", "first")
    count = min(len(ids), ANSWERS, options.requests)
    with server(settings, ServingConfig(port=free_port())) as url:
        port = int(url.rpartition(":")[2])
        first = in_a_process(port, count, count, options.clients)
        print(json.dumps(first), flush=True)
        again = in_a_process(port, count, options.requests, options.clients)
        print(json.dumps(again), flush=True)
        changed = in_a_process(port, count, options.requests, options.clients, changing=True)
    return {"clients": options.clients, "computed": first, "kept": again, "kept_while_the_catalogue_changes": changed}


def in_a_process(port: int, ids: int, count: int, clients: int, changing: bool = False) -> dict[str, Any]:
    """Load from a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found: dict[str, Any] = pool.apply(_load, (port, ids, count, clients, changing))
    return found


def _load(port: int, ids: int, count: int, clients: int, changing: bool) -> dict[str, Any]:
    return asyncio.run(_clients(port, ids, count, clients, changing))


async def _clients(port: int, ids: int, count: int, clients: int, changing: bool) -> dict[str, Any]:
    places, latencies, statuses = iter(range(count)), list[float](), list[int]()

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for place in places:
            start = time.perf_counter()
            statuses.append(await _ask(reader, writer, "POST", "/v1/search/similar", {"product_id": place % ids, "limit": TOP}))
            latencies.append(1000 * (time.perf_counter() - start))
        writer.close()

    async def change() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for turn in range(10**9):
            await _ask(reader, writer, "PUT", f"/v1/catalog/products/new-{turn % 100}", {"title": f"Blue shirt {turn}"})
            await asyncio.sleep(1.0)

    start = time.perf_counter()
    changes = asyncio.ensure_future(change()) if changing else None
    await asyncio.gather(*(client() for _ in range(clients)))
    seconds = time.perf_counter() - start
    if changes:
        changes.cancel()
    p50, p99 = np.percentile(latencies, [50, 99])
    return {
        "requests": count,
        "failed": sum(status != 200 for status in statuses),
        "requests_per_second": round(count / seconds, 1),
        "milliseconds": {"p50": round(p50, 2), "p99": round(p99, 2)},
    }


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, method: str, path: str, body: Any) -> int:
    """One request over a connection that is kept; a client that costs little, as it shares the cores."""
    content = json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
    writer.write(head.encode() + content)
    answer = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line[15:]) for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    await reader.readexactly(length)
    return int(answer.split(b" ", 2)[1])


def threads() -> int:
    """That FAISS and usearch may take."""
    return int(faiss.omp_get_max_threads())


def resident() -> float:
    """Memory of this process that is its own, MiB."""
    with Path("/proc/self/smaps_rollup").open(encoding="utf-8") as file:
        own = [line.split() for line in file if line.startswith(("Private_Dirty", "Private_Clean"))]
    return sum(int(line[1]) for line in own) / 1024


if __name__ == "__main__":
    main()
