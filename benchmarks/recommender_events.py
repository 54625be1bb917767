"""Does what a user just bought change the next answer, and in how many milliseconds?

The application as it is served (uvicorn on 127.0.0.1, in a thread of this process) on a new SQLite database, with a recommender
trained on Amazon Beauty. Many times over: a user asks, buys one of the items of the answer, which is told as an event, and asks
again. The item has to be gone from the second answer and the answer's history one longer; a run in which it is not so fails. Each
request is timed, and so is the predictor by itself, which folds the event in and finds the reasons. The goal is for the latter:
p95 below 20 ms.

A trained model cannot take one event in by training, so the peers in the same run are the two ways in which shops answer fast:

    fold-in  the parts that score by inner products, put together as one vector an item (`benchmarks.recommender.Vectors`); the
             user's vector is computed from the history with the event, the items are ranked by a dense numpy product or by FAISS
             (exact, IndexFlatIP). Neither has reasons, nor the parts without vectors: `overlap` says how much of the
             recommender's answer they give.
    stale    FAISS again, with the user's vector of before the event, as a nightly job would leave it: the floor of latency, and
             no answer reflects the event.

    OMP_NUM_THREADS=1 python -m benchmarks.recommender_events [--bundle DIR] [--events 1000]

Without --bundle one is trained in a few minutes with less of everything that takes long. That a part counts for little in it, or
not at all, changes what an answer costs: give a bundle of full training for figures to quote. Real data: VITRINA_TEST_DATA,
default ../shared/data.
"""

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import torch
import uvicorn
from numpy.typing import NDArray

from benchmarks.machine import write
from benchmarks.recommender import DATA, Vectors, configuration, percentiles
from catalog.catalogue import Catalogue
from configs.load import environment_file, load
from configs.schema import ServingConfig
from configs.settings import Settings
from models.recommender import bundle
from models.recommender.answers import Event, Query
from models.recommender.family import FAMILY
from models.recommender.interactions import BOUGHT, Histories
from models.recommender.predictor import RecommenderPredictor
from serving.app import create_app
from vitrina_client import Client
from vitrina_client.models import Recommended

MODEL = "recommender"
GOAL_MS = 20.0
REQUESTS = ("ask", "tell", "ask_again")
PLACES = 10
WARM = 10
"""Rounds before those that count."""

QUICK = (
    "trainer.max_minutes=0.5",
    "model.attention.lessons=1",
    "model.sequence.epochs=2",
    "model.sequence.refit_epochs=0",
    "model.regression.ridges=[60]",
    "model.blend.users=1000",
)
"""Less of what takes long to train; answers cost the same but for the parts that come to count."""


def main() -> None:
    """Serve, tell, ask, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, help="a trained recommender; a quick one is trained by default")
    parser.add_argument("--data", type=Path, default=DATA / "amazon_beauty", help="catalogue of the quick one")
    parser.add_argument("--set", action="append", default=[], metavar="A.B=C", help="override of the quick one's configuration")
    parser.add_argument("--events", type=int, default=1000, help="rounds, each of another user")
    parser.add_argument("--dry", action="store_true", help="print the result, write no file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary)
        folder = options.bundle or quick(options.data, options.set, home / "training")
        told = bundle.load_config(folder)
        shop = Shop(folder)
        settings = Settings(home, f"sqlite:///{home / 'vitrina.db'}", f"sqlite:///{home / 'mlflow.db'}")
        with server(settings, shop.predictor) as client:
            result = {
                "threads": torch.get_num_threads(),
                "load_average_before": round(os.getloadavg()[0], 1),
                "bundle": "given" if options.bundle else "quick",
                "users": told.users,
                "items": told.items,
                "weights": told.weights,
                **rounds(shop, client, options.events),
            }
    print(json.dumps(result, indent=1))
    if not options.dry:
        write("recommender_events", result)
    if result["problems"]:
        sys.exit("; ".join(result["problems"][:5]))


def quick(data: Path, overrides: list[str], workdir: Path) -> Path:
    """A bundle in a few minutes."""
    catalogue, config = Catalogue.open(data), configuration([*QUICK, *overrides])
    split = FAMILY.split(catalogue, config)
    return FAMILY.train(catalogue, split, FAMILY.augment(catalogue, split, config), config, workdir)


class Shop:
    """The recommender and its peers, all of the same bundle."""

    def __init__(self, folder: Path) -> None:
        self.predictor = RecommenderPredictor.load(folder)
        self.recommender, self.users, self.histories = bundle.load(folder, bundle.load_config(folder))
        self.vectors = Vectors(self.recommender)
        faiss.omp_set_num_threads(torch.get_num_threads())
        self.index = faiss.IndexFlatIP(self.vectors.items.shape[1])
        self.index.add(self.vectors.items)

    def history(self, user: int, *bought: int) -> Histories:
        """Of one user, with what was bought since."""
        items, weights = self.histories.user(user)
        items = np.concatenate([items, np.array(bought, dtype=np.int32)])
        weights = np.concatenate([weights, np.full(len(bought), BOUGHT, dtype=np.float32)])
        return Histories.of(np.zeros(len(items), dtype=np.int64), items, weights, 1)

    def by_numpy(self, query: NDArray[Any], history: Histories) -> NDArray[np.int64]:
        """The best items [10] of one query, without the history's."""
        scores = (query @ self.vectors.items.T)[0]
        scores[history.items] = -np.inf
        best = np.argpartition(-scores, PLACES)[:PLACES]
        found: NDArray[np.int64] = best[np.argsort(-scores[best])]
        return found

    def by_faiss(self, query: NDArray[Any], history: Histories) -> NDArray[np.int64]:
        """The same."""
        codes = self.index.search(query, min(PLACES + len(history.items), self.index.ntotal))[1][0]
        found: NDArray[np.int64] = codes[~np.isin(codes, history.items)][:PLACES]
        return found


def rounds(shop: Shop, client: Client, count: int) -> dict[str, Any]:
    """Ask, buy, tell, ask again: latencies, what was wrong, and how the peers' answers differ."""
    drawn = np.random.default_rng(0).permutation(len(shop.users))[: count + WARM]
    clock, shares, problems = Clock(), defaultdict(list), []
    for turn, user in enumerate(drawn.tolist()):
        key = shop.users[user]
        before = clock("ask", lambda key=key: asked(client, key))
        item = before.items[turn % len(before.items)].item_id
        clock("tell", lambda key=key, item=item: told(client, key, item))
        after = clock("ask_again", lambda key=key: asked(client, key))
        problems += wrong(key, item, before, after)
        query = Query(user_id=key, events=(Event(item),), num_recs=PLACES)
        [alone] = clock("recommend_alone", lambda query=query: shop.predictor.recommend([query]))
        if [one.item_id for one in alone.items] != [one.item_id for one in after.items]:
            problems.append(f"user {key}: the service and the predictor answer differently")
        codes = [shop.recommender.items.codes[str(one.item_id)] for one in alone.items]
        for name, share in peers(shop, clock, user, shop.recommender.items.codes[str(item)], codes).items():
            shares[name].append(share)
        if turn == WARM - 1:
            clock.restart()
    return judged(clock, {name: round(float(np.mean(values)), 4) for name, values in shares.items()}, problems, len(drawn) - WARM)


class Clock:
    """Seconds of every call by name, on the wall and of this thread's own work, which what else runs here does not lengthen."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.own: dict[str, list[float]] = defaultdict(list)

    def __call__(self, name: str, work: Any) -> Any:
        """What `work` answers."""
        started, worked = time.perf_counter(), time.thread_time()
        found = work()
        self.own[name].append(time.thread_time() - worked)
        self.seconds[name].append(time.perf_counter() - started)
        return found

    def restart(self) -> None:
        """Forget what was timed."""
        self.seconds.clear()
        self.own.clear()


def peers(shop: Shop, clock: Clock, user: int, item: int, ours: list[int]) -> dict[str, float]:
    """Time them; how much of `ours` each gives."""
    old, new = shop.history(user), shop.history(user, item)
    stale = shop.vectors.queries(old)
    clock("scores_without_reasons", lambda: shop.recommender.scores(new))
    by_numpy = clock("fold_in_numpy", lambda: shop.by_numpy(shop.vectors.queries(new), new))
    by_faiss = clock("fold_in_faiss", lambda: shop.by_faiss(shop.vectors.queries(new), new))
    by_night = clock("stale_faiss", lambda: shop.by_faiss(stale, old))
    return {
        "fold_in_numpy.overlap": np.isin(ours, by_numpy).mean(),
        "fold_in_faiss.overlap": np.isin(ours, by_faiss).mean(),
        "stale_faiss.overlap": np.isin(ours, by_night).mean(),
    }


def judged(clock: Clock, shares: dict[str, float], problems: list[str], count: int) -> dict[str, Any]:
    """Percentiles, and the goal."""
    latency = {name: percentiles(values) for name, values in clock.seconds.items()}
    return {
        "rounds": count,
        "latency_ms": latency,
        "own_work_ms": {name: percentiles(values) for name, values in clock.own.items() if name not in REQUESTS},
        "peers": shares,
        "goal": {"recommend_alone_p95_ms": GOAL_MS, "met": latency["recommend_alone"]["p95"] < GOAL_MS},
        "answers_that_reflect_the_event": count + WARM - len({problem.partition(":")[0] for problem in problems}),
        "asked": count + WARM,
        "problems": problems,
    }


def wrong(key: Any, item: Any, before: Recommended, after: Recommended) -> list[str]:
    """What the second answer should not be."""
    found = []
    if item in [one.item_id for one in after.items]:
        found.append(f"user {key}: {item} was bought and is recommended still")
    if after.history != before.history + 1:
        found.append(f"user {key}: the history was {before.history} items long and is {after.history}")
    return found


def asked(client: Client, user: Any) -> Recommended:
    """Recommendations."""
    return client.recommend(user_id=user, num_recs=PLACES)


def told(client: Client, user: Any, item: Any) -> None:
    """One purchase."""
    client.tell_events([{"user_id": user, "item_id": item, "kind": "purchase"}])


class Registered:
    """A registry that holds this one predictor."""

    def __init__(self, predictor: RecommenderPredictor) -> None:
        self.predictor = predictor

    def champion(self, model: str) -> int:
        """The only version."""
        return 1

    def load(self, model: str, version: int) -> RecommenderPredictor:
        """It is loaded already."""
        return self.predictor

    def digest(self, model: str, version: int) -> str:
        """Nothing is kept by it."""
        return ""

    def index(self, model: str, version: int) -> None:
        """Nothing is searched."""

    def settled(self, model: str) -> None:
        """There is no ledger."""


@contextmanager
def server(settings: Settings, predictor: RecommenderPredictor) -> Iterator[Client]:
    """A client, with its connection kept, of the application in a thread."""
    config = load(ServingConfig, environment_file("base", "serving"), [f"models=[{MODEL}]"])
    app = create_app(settings, config, Registered(predictor))
    running = uvicorn.Server(uvicorn.Config(app, host=config.host, port=0, log_level="warning"))
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    try:
        wait(lambda: running.started)
        port = running.servers[0].sockets[0].getsockname()[1]
        with Client(f"http://{config.host}:{port}", retries=0) as client:
            wait(lambda: client.get_readyz().ready)
            yield client
    finally:
        running.should_exit = True
        thread.join(30)


def wait(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    """Until `condition()` is true; ends the run after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"waited {seconds:g} s in vain")
        time.sleep(0.05)


if __name__ == "__main__":
    main()
