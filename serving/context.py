"""What a route needs: the models that are served, and where predictions are logged."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from anyio import to_thread

from catalog.listing import Listing
from configs.errors import VitrinaError
from configs.schema import ServingConfig
from configs.settings import Settings
from database.predictions import PredictionRow
from serving.batching import Batcher
from serving.errors import TimedOut, refused
from serving.images import LARGEST_SIDE
from serving.listings import read_listing
from serving.schemas import ListingIn
from serving.slots import Answer, Slot


@dataclass(frozen=True)
class ServedModel:
    """One model of this worker: its slot, and in front of it a batcher for each method that is asked."""

    slot: Slot
    batchers: Mapping[str, Batcher[Any, Answer]]

    async def predict(self, items: Sequence[Any], method: str = "predict", path: str = "") -> list[Answer]:
        """One answer an item, all of one version: where a swap fell in between, the older part is computed again.

        `path` is where the items stand in the body, so that the one at fault is named.

        Raises:
            InvalidInput: the model refuses an item.
            NotSupported: the version cannot do what is asked.
            OutdatedTask: an item rests on what another version made.
            Unavailable: nothing is loaded, too many wait, or memory is not enough now.
        """
        answers = await self._answers(items, method, path)
        while len({answer.version for answer in answers}) > 1:
            answers = await self._answers(items, method, path)
        return answers

    async def _answers(self, items: Sequence[Any], method: str, path: str) -> list[Answer]:
        answers: list[Answer] = []
        for place, outcome in enumerate(await self.batchers[method].outcomes(items)):
            if isinstance(outcome, VitrinaError):
                raise refused(outcome, f"{path}.{place}" if path else None) from outcome
            if isinstance(outcome, BaseException):
                raise outcome
            answers.append(outcome)
        return answers


@dataclass(frozen=True)
class Context:
    """State of one worker, made at startup and handed to every route.

    Attributes:
        record: Takes a row without blocking.
    """

    settings: Settings
    config: ServingConfig
    models: dict[str, ServedModel]
    record: Callable[[PredictionRow], object]

    async def predict(
        self, model: str, items: Sequence[Any], method: str = "predict", path: str = "", times: float = 1.0
    ) -> list[Answer]:
        """`ServedModel.predict` within the time that a request may take, or so many times that time.

        Raises:
            TimedOut: it took longer.
        """
        seconds = times * self.config.request_seconds
        try:
            async with asyncio.timeout(seconds):
                return await self.models[model].predict(items, method, path)
        except TimeoutError as error:
            raise TimedOut(f"no answer within {seconds:g} s; try again") from error

    def answering(self, model: str, stand_in: str) -> str:
        """`model`, or `stand_in` while `model` has no version and nobody waits for one: also while its first is being loaded."""
        served = self.models.get(model)
        absent = served is None or (not served.slot.awaited and served.slot.version is None)
        return stand_in if absent and stand_in in self.models else model

    async def listings(self, bodies: Sequence[ListingIn], path: str = "", side: int = LARGEST_SIDE) -> list[Listing]:
        """Listings with decoded photos, larger ones reduced to `side` pixels. `path` is where they stand, such as "items".

        Raises:
            InvalidInput: a listing that says nothing, or a photo that cannot be read.
        """
        found = list[Listing]()
        for place, body in enumerate(bodies):
            read = partial(read_listing, body, self.config, f"{path}.{place}" if path else "", side)
            found.append(read() if body.image is None else await to_thread.run_sync(read))
        return found
