"""The service as methods, named after the operations of its OpenAPI document."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Literal, Self, TypeVar, Unpack

import httpx
from pydantic import BaseModel

from vitrina_client import models, params
from vitrina_client.aio.connection import AsyncConnection
from vitrina_client.aio.jobs import AsyncJob
from vitrina_client.batches import item_failed, parts, placed
from vitrina_client.errors import JobFailed
from vitrina_client.reading import read
from vitrina_client.retries import Policy
from vitrina_client.sending import segment

Answer = TypeVar("Answer", bound=BaseModel)
Several = TypeVar("Several", bound=BaseModel)


class AsyncClient:
    """A Vitrina service.

    A photo is given as bytes, as a path or as a file that is open for reading bytes. Every method raises `VitrinaError` where the
    service refuses or cannot be reached. Requests that fail for a while are sent again, all under one idempotency key.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        timeout: float = Policy.timeout,
        retries: int = Policy.retries,
        deadline: float = Policy.deadline,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """A client of the service at `base_url`.

        Args:
            base_url: Such as https://vitrina.example; None takes `VITRINA_URL`, and where that is not set http://127.0.0.1:3000.
            api_key: None takes `VITRINA_API_KEY`, where it is set.
            timeout: Seconds that one try waits for a connection, and for the next bytes of the answer.
            retries: Tries after the first.
            deadline: Seconds for all tries of a call and the waits between them.
            transport: Of httpx, where requests need a proxy or certificates of your own.

        Raises:
            ValueError: `base_url` is no address.
        """
        self._connection = AsyncConnection.to(base_url, api_key, Policy(timeout, retries, deadline), transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._connection.http.aclose()

    def options(
        self,
        *,
        timeout: float | None = None,
        retries: int | None = None,
        deadline: float | None = None,
        idempotency_key: str | None = None,
        request_id: str | None = None,
        alias: Literal["champion", "challenger"] | None = None,
        api_key: str | None = None,
    ) -> "AsyncClient":
        """This client with other values, over the same connections; what is None stays as it is.

        Args:
            idempotency_key: Names the next request, so that the service counts it once however often your program runs.
            request_id: Of the next requests in the service's log; else each gets its own.
            alias: Who answers the next requests. What a challenger does not answer, such as a job, is refused; where there is
                none, all are, with the code `no_challenger`.
            api_key: For whom the next requests are.
        """
        now = self._connection.policy
        other = object.__new__(AsyncClient)
        other._connection = replace(
            self._connection,
            policy=Policy(
                now.timeout if timeout is None else timeout,
                now.retries if retries is None else retries,
                now.deadline if deadline is None else deadline,
            ),
            idempotency_key=idempotency_key or self._connection.idempotency_key,
            request_id=request_id or self._connection.request_id,
            alias=alias or self._connection.alias,
            api_key=api_key or self._connection.api_key,
        )
        return other

    # Product

    async def analyze(self, **listing: Unpack[params.CategoriesIn]) -> models.Analysis:
        """Everything the model knows about a listing: categories, price, quality and embedding."""
        return await self._connection.ask("POST", "/v1/multimodal/analyze", models.Analysis, listing)

    async def classify(self, **listing: Unpack[params.CategoriesIn]) -> models.Categories:
        """Category of a listing on three levels."""
        return await self._connection.ask("POST", "/v1/multimodal/classify", models.Categories, listing)

    async def predict_price(self, **listing: Unpack[params.ListingIn]) -> models.PriceEstimate:
        """Price of a listing, with the range that holds 90 % of true prices."""
        return await self._connection.ask("POST", "/v1/price/predict", models.PriceEstimate, listing)

    async def embed(self, **listing: Unpack[params.ListingIn]) -> models.Embedding:
        """Embedding of a listing: 1024 numbers of L2 norm 1."""
        return await self._connection.ask("POST", "/v1/embeddings", models.Embedding, listing)

    async def embed_batch(self, items: Sequence[params.ListingIn]) -> models.Embeddings:
        """Embeddings of several listings, in order; one listing at fault refuses the request and is named."""
        return await self._several("/v1/embeddings/batch", items, models.Embedding, models.Embeddings)

    async def embed_many(self, items: Iterable[params.ListingIn]) -> AsyncIterator[models.Embedding]:
        """Embeddings of any number of listings, in order; they are sent in parts, each once the one before is answered."""
        for start, part in parts(items):
            with placed(start):
                answer = await self._of_part(start).embed_batch(part)
            for item in answer.items:
                yield item

    async def embed_batch_job(self, items: Sequence[params.ListingIn]) -> AsyncJob[models.Embedding]:
        """Leave the embeddings of several listings as a job, in which one at fault fails alone."""
        return await self._left("/v1/embeddings/batch", items, models.Embedding)

    async def analyze_sentiment(self, reviews: Sequence[params.ReviewIn]) -> models.Opinions:
        """Whether the writers of reviews recommend the product, and the rating they would give."""
        return await self._connection.ask("POST", "/v1/sentiment/analyze", models.Opinions, {"reviews": reviews})

    async def assess_quality(self, **listing: Unpack[params.CandidateIn]) -> models.Assessment:
        """How good a listing is, by axis, and the changes that would raise its score."""
        return await self._connection.ask("POST", "/v1/quality/assess", models.Assessment, listing)

    async def assess_qualities(self, items: Sequence[params.CandidateIn]) -> models.Assessments:
        """How good several listings are, in order; one at fault refuses the request and is named."""
        return await self._several("/v1/quality/assess", items, models.Assessment, models.Assessments)

    async def assess_quality_job(self, items: Sequence[params.CandidateIn]) -> AsyncJob[models.Assessment]:
        """Leave the assessment of several listings as a job, in which one at fault fails alone."""
        return await self._left("/v1/quality/assess", items, models.Assessment)

    # Search, and the catalogue that is searched

    async def search_similar(self, **sought: Unpack[params.SimilarIn]) -> models.SimilarProducts:
        """Products that are like one of the catalogue, like what a text and a photo say, or near a vector."""
        return await self._connection.ask("POST", "/v1/search/similar", models.SimilarProducts, sought)

    async def put_product(self, product_id: int | str, **listing: Unpack[params.ProductIn]) -> models.CatalogueProduct:
        """Say what a product is from now on; with `hidden` alone, whether it is shown. The next search takes it in."""
        return await self._connection.ask("PUT", _product(product_id), models.CatalogueProduct, listing)

    async def put_products(self, items: Sequence[params.ProductItem]) -> models.Put:
        """Put several products. One at fault is named, and none is put; of more than are answered at once the others are put."""
        return await self._several("/v1/catalog/products", items, models.PutItem, models.Put)

    async def put_products_job(self, items: Sequence[params.ProductItem]) -> AsyncJob[models.PutItem]:
        """Leave several products to be put as a job, in which one at fault fails alone."""
        return await self._left("/v1/catalog/products", items, models.PutItem)

    async def get_product(self, product_id: int | str) -> models.CatalogueProduct:
        """A product as it was put, or else as the version that answers was trained on it."""
        return await self._connection.ask("GET", _product(product_id), models.CatalogueProduct)

    async def get_product_image(self, product_id: int | str) -> bytes:
        """A small photo of a product, as a JPEG; `NotFound` where it has none."""
        answer = await self._connection.send("GET", f"{_product(product_id)}/image", headers={"Accept": "image/jpeg"})
        return answer.content

    async def list_products(
        self, *, limit: int = 20, after: int | str | None = None, q: str | None = None, article_type: str | None = None
    ) -> models.CatalogueProducts:
        """A page of the products that are shown, by their ids; `next` of the answer is the `after` of the next page.

        Args:
            q: Words that the title has, each of them, also as a part of a word.
            article_type: Lowest category, as the catalogue writes it.
        """
        asked = {"limit": limit, "after": after, "q": q, "article_type": article_type}
        query = {name: value for name, value in asked.items() if value is not None}
        return await self._connection.ask("GET", "/v1/catalog/products", models.CatalogueProducts, query=query)

    async def delete_product(self, product_id: int | str) -> None:
        """Take a product out of every search and recommendation from the next answer on."""
        await self._connection.send("DELETE", _product(product_id))

    # Recommendations

    async def recommend(self, **asked: Unpack[params.RecommendationsIn]) -> models.Recommended:
        """Items for a user or a visitor, best first, each with the reason for it."""
        return await self._connection.ask("POST", "/v1/recommendations", models.Recommended, asked)

    async def list_users(self, *, limit: int = 10) -> models.KnownBuyers:
        """Some users whose purchases the version knows, with the newest of these."""
        return await self._connection.ask("GET", "/v1/recommendations/users", models.KnownBuyers, query={"limit": limit})

    async def tell_events(self, events: Sequence[params.EventIn]) -> models.Stored:
        """Views, carts and purchases, in the order in which they happened; the next recommendations take them in."""
        return await self._connection.ask("POST", "/v1/recommendations/events", models.Stored, {"events": events})

    # Texts and images

    async def generate_description(self, **brief: Unpack[params.BriefIn]) -> models.Written:
        """Search title, meta description, description and bullets that state only what the listing gives."""
        return await self._connection.ask("POST", "/v1/generate/description", models.Written, brief)

    async def generate_descriptions(self, items: Sequence[params.BriefIn]) -> models.AllWritten:
        """Texts for several listings, in order; one at fault refuses the request and is named."""
        return await self._several("/v1/generate/description", items, models.Written, models.AllWritten)

    async def generate_description_job(self, items: Sequence[params.BriefIn]) -> AsyncJob[models.Written]:
        """Leave the texts for several listings as a job, in which one at fault fails alone."""
        return await self._left("/v1/generate/description", items, models.Written)

    async def generate_image(self, **prompt: Unpack[params.ImageIn]) -> models.Drawn:
        """An image of a product, its score, and what it was drawn with; `images[0].png` is the file."""
        return await self._connection.ask("POST", "/v1/generate/image", models.Drawn, prompt)

    async def generate_image_png(self, **prompt: Unpack[params.ImageIn]) -> bytes:
        """The file of the best image alone."""
        answer = await self._connection.send("POST", "/v1/generate/image", prompt, headers={"Accept": "image/png"})
        return answer.content

    async def generate_image_job(self, items: Sequence[params.ImageIn]) -> AsyncJob[models.Drawn]:
        """Leave the images of several prompts as a job, in which one at fault fails alone."""
        return await self._left("/v1/generate/image", items, models.Drawn)

    # Classifiers of few examples

    async def adapt_fewshot(self, **lesson: Unpack[params.AdaptIn]) -> models.Adapted:
        """Teach a new task by examples of its classes, or with `task_id` teach one more."""
        return await self._connection.ask("POST", "/v1/fewshot/adapt", models.Adapted, lesson)

    async def classify_fewshot(self, **question: Unpack[params.ClassifyIn]) -> models.Classifications:
        """Which of a task's classes listings are, or that they are none of these."""
        return await self._connection.ask("POST", "/v1/fewshot/classify", models.Classifications, question)

    async def list_fewshot_tasks(self, *, limit: int = 20) -> models.Tasks:
        """The newest tasks, each as its newest version stands."""
        return await self._connection.ask("GET", "/v1/fewshot/tasks", models.Tasks, query={"limit": limit})

    async def get_fewshot_task(self, task_id: str, *, limit: int = 20) -> models.TaskDetail:
        """A task and its newest versions."""
        return await self._connection.ask(
            "GET", f"/v1/fewshot/tasks/{segment(task_id)}", models.TaskDetail, query={"limit": limit}
        )

    async def delete_fewshot_task(self, task_id: str) -> None:
        """Delete a task with every version and all that is kept of its examples."""
        await self._connection.send("DELETE", f"/v1/fewshot/tasks/{segment(task_id)}")

    # Jobs

    async def list_jobs(self, *, limit: int = 50) -> models.Jobs:
        """The newest jobs that were left with this key."""
        return await self._connection.ask("GET", "/v1/jobs", models.Jobs, query={"limit": limit})

    async def job(self, job_id: str, answer: type[Answer]) -> AsyncJob[Answer]:
        """A job that was left before, whose items are answered by `answer`, such as `models.Embedding`."""
        seen = await self._connection.ask("GET", f"/v1/jobs/{segment(job_id)}", models.Job)
        return AsyncJob(self._connection, seen, answer)

    async def get_job(self, job_id: str) -> models.JobDetail:
        """How far a job is, and the first items that failed."""
        return await self._connection.ask("GET", f"/v1/jobs/{segment(job_id)}", models.JobDetail)

    async def get_job_result(
        self, job_id: str, *, state: Literal["done", "failed"] | None = None, start: int = 0, limit: int = 100
    ) -> models.JobResults:
        """A page of what is done of a job; `next` of the answer is the `start` of the next page."""
        query: dict[str, str | int] = {"start": start, "limit": limit} | ({"state": state} if state else {})
        return await self._connection.ask("GET", f"/v1/jobs/{segment(job_id)}/result", models.JobResults, query=query)

    async def watch_job(self, job_id: str) -> AsyncIterator[models.Job]:
        """A job whenever it has moved on, until it has ended."""
        async for seen in (await self.job(job_id, BaseModel)).watch():
            yield seen

    async def cancel_job(self, job_id: str) -> models.JobDetail:
        """End a job: what waits is not begun, what is done stays. One that has ended stays as it is."""
        return await self._connection.ask("DELETE", f"/v1/jobs/{segment(job_id)}", models.JobDetail)

    # The service

    async def send_feedback(self, prediction_id: str, **labels: Unpack[params.Labels]) -> models.Accepted:
        """Say what was true of a listing that was predicted; monitoring measures error rates with it."""
        body = {"prediction_id": prediction_id, "labels": labels}
        return await self._connection.ask("POST", "/v1/feedback", models.Accepted, body)

    async def list_models(self) -> models.Models:
        """The models that are served, and the versions that answer."""
        return await self._connection.ask("GET", "/v1/models", models.Models)

    async def list_versions(self, model: str, *, limit: int = 20) -> models.RegisteredVersions:
        """The newest versions of a model, with their aliases, gates, metrics and reports."""
        path = f"/v1/models/{segment(model)}/versions"
        return await self._connection.ask("GET", path, models.RegisteredVersions, query={"limit": limit})

    async def list_moves(self, model: str, *, limit: int = 20) -> models.Moves:
        """Who promoted which version of a model, and when; newest first."""
        return await self._connection.ask("GET", f"/v1/models/{segment(model)}/history", models.Moves, query={"limit": limit})

    async def get_healthz(self) -> None:
        """Return where the service answers."""
        await self._connection.send("GET", "/healthz")

    async def get_livez(self) -> None:
        """As `get_healthz`."""
        await self._connection.send("GET", "/livez")

    async def get_readyz(self) -> models.Readiness:
        """Whether every model has a version that answers."""
        return read(await self._connection.send("GET", "/readyz", accepted=503), models.Readiness)

    async def _left(self, path: str, items: Sequence[Mapping[str, object]], answer: type[Answer]) -> AsyncJob[Answer]:
        response = await self._connection.send("POST", path, {"items": items}, headers={"Prefer": "respond-async"})
        return AsyncJob(self._connection, read(response, models.Job), answer)

    async def _several(
        self, path: str, items: Sequence[Mapping[str, object]], answer: type[Answer], answers: type[Several]
    ) -> Several:
        """What the service answers at once, or as a job that is waited for where there are too many items for that."""
        response = await self._connection.send("POST", path, {"items": items})
        if response.status_code != 202:
            return read(response, answers)
        job = AsyncJob(self._connection, read(response, models.Job), answer)
        try:
            await job.wait(timeout=self._connection.policy.deadline, progress=False)
        except JobFailed:
            if job.seen.failed < job.seen.items:
                raise
        async for failure in job.failures():
            raise item_failed(failure)
        return answers.model_validate({"model": job.seen.model, "items": [done.result async for done in job.result()]})

    def _of_part(self, start: int) -> "AsyncClient":
        """This client for the part from place `start` on of what one call sends: a key of the caller's names each part apart."""
        key = self._connection.idempotency_key
        return self.options(idempotency_key=f"{key}:{start}") if key and start else self


def _product(product_id: int | str) -> str:
    return f"/v1/catalog/products/{segment(product_id)}"
