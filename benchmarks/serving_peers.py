"""The same predictor behind other servers, for `benchmarks.serving`: plain FastAPI, and LitServe with batches.

Each reads the same JSON by the same schema, decodes a photo by the same function, and says the same as `multimodal/analyze`. None
asks for keys, logs predictions or follows a registry.

    BUNDLE=DIR python -m benchmarks.serving_peers fastapi|one_thread|litserve PORT
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import litserve
import uvicorn
from fastapi import FastAPI, Request, Response

from catalog.listing import Listing
from configs.schema import ServingConfig
from models.product.predictor import ProductPredictor
from serving.listings import read_listing
from serving.routes import _product as answers
from serving.routes._product import CategoriesIn
from serving.slots import Answer

CONFIG = ServingConfig()
HOST = "127.0.0.1"
PATH = "/v1/multimodal/analyze"
TOP = 3


def load() -> ProductPredictor:
    """The predictor of the bundle that `BUNDLE` names, on the CPU."""
    return ProductPredictor.load(Path(os.environ["BUNDLE"]), "cpu")


def read(body: bytes) -> Listing:
    """A listing as `multimodal/analyze` reads it."""
    return read_listing(CategoriesIn.model_validate_json(body, strict=True), CONFIG)


def said(prediction: Any) -> str:
    """The answer of `multimodal/analyze`."""
    answer = Answer(prediction, 1)
    analysis = answers.Analysis(
        **answers.head(answer),
        categories=answers.categories(answer, TOP),
        price=answers.price(answer),
        embedding=answers.embedding(answer),
        quality=answers.quality(answer),
        left_out=answers.left_out(answer),
    )
    return analysis.model_dump_json()


def plain(in_threads: bool) -> FastAPI:
    """One call of the predictor a request: in FastAPI's pool of threads, or in the event loop, as an `async def` does it."""
    app, predictor = FastAPI(), load()

    def answer(body: bytes) -> Response:
        [prediction] = predictor.predict([read(body)])
        return Response(said(prediction), media_type="application/json")

    if in_threads:
        from fastapi.concurrency import run_in_threadpool

        @app.post(PATH)
        async def analyze(request: Request) -> Response:
            return await run_in_threadpool(answer, await request.body())
    else:

        @app.post(PATH)
        async def analyze_here(request: Request) -> Response:
            return answer(await request.body())

    return app


class Analyze(litserve.LitAPI):
    """LitServe's own form of a model: a request decoded, several predicted, an answer encoded."""

    def setup(self, device: str) -> None:
        """Load the model in the worker."""
        self.predictor = load()

    def decode_request(self, request: Request, **_: Any) -> Listing:
        """A listing; LitServe has read the JSON."""
        return read_listing(CategoriesIn.model_validate(request), CONFIG)

    def predict(self, x: Sequence[Listing], **_: Any) -> Sequence[Any]:
        """Of a whole batch."""
        return self.predictor.predict(x)

    def batch(self, inputs: Sequence[Listing]) -> Sequence[Listing]:
        """As it is."""
        return inputs

    def unbatch(self, output: Sequence[Any]) -> Sequence[Any]:
        """As it is."""
        return output

    def encode_response(self, output: Any, **_: Any) -> Response:
        """JSON."""
        return Response(said(output), media_type="application/json")


def main() -> None:
    """Serve until ended."""
    name, port = sys.argv[1], int(sys.argv[2])
    if name == "litserve":
        api = Analyze(max_batch_size=CONFIG.max_batch_size, batch_timeout=CONFIG.max_batch_wait_ms / 1000, api_path=PATH)
        server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1, timeout=60)
        server.run(host=HOST, port=port, num_api_servers=1, log_level="warning", generate_client_file=False)
    else:
        uvicorn.run(plain(name == "fastapi"), host=HOST, port=port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
