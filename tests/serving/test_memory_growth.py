"""Memory after many mixed requests, in this process: what is kept of a request is given back.

What Python holds is counted by tracemalloc after a collection, so that it is exact but for what caches of a bounded size take up;
`benchmarks/memory.py` watches a whole server over 200,000 requests.
"""

import gc
import logging
import tracemalloc
from itertools import pairwise
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from benchmarks.memory import one
from serving.app import create_app
from tests.serving.conftest import CONFIG, Source, wait_until
from tests.serving.test_gateway import settings_of

MODELS = ("product", "recommender", "describer", "quality")
ROUND = 250
"""Requests of every kind, ten times."""
BOUND = 400
"""Bytes a request that may stay. Seen: 107 to 138, all of it in caches of a bounded size (pydantic's of short texts, that of
addresses, the pool of connections); a listing that stayed would be 2,000 and more."""


@pytest.mark.slow
def test_memory_is_flat_over_mixed_requests(tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"models": MODELS, "max_items": 64, "max_queue": 64})
    source = Source()
    with TestClient(create_app(settings_of(tmp_path), config, source), raise_server_exceptions=False) as client:
        wait_until(lambda: client.get("/readyz").status_code == 200)
        sent = iter(range(10**9))

        def ask(count: int) -> None:
            for _ in range(count):
                head, _, body = one(next(sent)).partition(b"\r\n\r\n")
                line, *fields = head.decode().split("\r\n")
                method, path, _ = line.split(" ")
                headers = dict(field.split(": ", 1) for field in fields[1:])
                client.request(method, path, content=body, headers=headers)

        def held() -> int:
            for kept in (source.predictors, source.recommenders, source.describers, source.qualities):
                for predictor in kept.values():  # a stand-in remembers what it was asked
                    predictor.asked.clear()
                    getattr(predictor, "reviews", []).clear()
            wait_until(lambda: "vitrina_prediction_log_queue 0.0" in client.get("/metrics").text)
            gc.collect()
            return tracemalloc.get_traced_memory()[0]

        ask(ROUND)
        logging.disable(logging.CRITICAL)  # pytest keeps the lines of a test
        tracemalloc.start()
        try:
            ask(ROUND)
            sizes = [held()]
            for _ in range(3):  # what other threads of this process do in between is not in every round; a leak is
                ask(ROUND)
                sizes.append(held())
        finally:
            tracemalloc.stop()
            logging.disable(logging.NOTSET)
    grown = [(after - before) / ROUND for before, after in pairwise(sizes)]
    assert min(grown) < BOUND, f"in each of three rounds bytes of a request stay: {grown}"
