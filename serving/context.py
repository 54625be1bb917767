"""What a route needs: the models that are served, and where predictions are logged."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from anyio import to_thread

from catalog.images import LARGEST_SIDE, DecodedPhoto
from catalog.listing import Listing
from configs.errors import VitrinaError
from configs.schema import ServingConfig
from configs.settings import Settings
from database.predictions import PredictionRow
from serving.about import answered
from serving.batching import Batcher
from serving.errors import TimedOut, refused
from serving.limits import while_waited_for
from serving.listings import read_listing, read_photo
from serving.results import Results
from serving.schemas import ListingIn
from serving.slots import Answer, Slot


@dataclass(frozen=True)
class ServedModel:
    """One model of this worker: its slot, and in front of it a batcher for each method that is asked."""

    slot: Slot
    batchers: Mapping[str, Batcher[Any, Answer]]

    async def predict(self, items: Sequence[Any], method: str = "predict", path: str | Sequence[str] = "") -> list[Answer]:
        """One answer an item, all of one version: where a swap fell in between, the older part is computed again.

        `path` is where the items stand in the body, or each of them does, so that the one at fault is named.

        Raises:
            InvalidInput: the model refuses an item.
            NotSupported: the version cannot do what is asked.
            OutdatedTask: an item rests on what another version made.
            Unavailable: nothing is loaded, too many wait, or memory is not enough now.
        """
        answered(self.slot.name, self.slot.version)
        answers = await self._answers(items, method, path)
        while len({answer.version for answer in answers}) > 1:
            answers = await self._answers(items, method, path)
        answered(self.slot.name, answers[0].version)
        return answers

    async def _answers(self, items: Sequence[Any], method: str, path: str | Sequence[str]) -> list[Answer]:
        answers: list[Answer] = []
        for place, outcome in enumerate(await self.batchers[method].outcomes(items)):
            if isinstance(outcome, VitrinaError):
                raise refused(outcome, _where(path, place) or None) from outcome
            if isinstance(outcome, BaseException):
                raise outcome
            answers.append(outcome)
        return answers


def _where(path: str | Sequence[str], place: int) -> str:
    """Where an item stands in the body; empty where it is the body."""
    if isinstance(path, str):
        return f"{path}.{place}" if path else ""
    return path[place]


@dataclass(frozen=True)
class Context:
    """State of one worker, made at startup and handed to every route.

    Attributes:
        record: Takes a row without blocking.
        results: Answers that are given again.
        leaves: Whether work may be left as a job.
    """

    settings: Settings
    config: ServingConfig
    models: dict[str, ServedModel]
    record: Callable[[PredictionRow], object]
    results: Results
    leaves: bool = True

    async def predict(
        self,
        model: str,
        items: Sequence[Any],
        method: str = "predict",
        path: str | Sequence[str] = "",
        times: float = 1.0,
    ) -> list[Answer]:
        """`ServedModel.predict` within the time that a request may take, or so many times that time.

        Raises:
            TimedOut: it took longer.
            ClientLeft: nobody waits for it any more; what waited gives its places back.
        """
        seconds = times * self.config.request_seconds
        try:
            async with asyncio.timeout(seconds):
                return await while_waited_for(self.models[model].predict(items, method, path))
        except TimeoutError as error:
            raise TimedOut(f"no answer within {seconds:g} s; try again") from error

    def answering(self, model: str, stand_in: str) -> str:
        """`model`, or `stand_in` while `model` has no version and nobody waits for one: also while its first is being loaded."""
        served = self.models.get(model)
        absent = served is None or (not served.slot.awaited and served.slot.version is None)
        return stand_in if absent and stand_in in self.models else model

    async def listings(
        self, bodies: Sequence[ListingIn], path: str | Sequence[str] = "", side: int = LARGEST_SIDE
    ) -> list[Listing]:
        """Listings with decoded photos, larger ones reduced to `side` pixels.

        `path` is where they stand, such as "items", or where each of them does.

        Raises:
            InvalidInput: a listing that says nothing, or a photo that cannot be read.
        """
        found = list[Listing]()
        for place, body in enumerate(bodies):
            read = partial(read_listing, body, self.config, _where(path, place), side)
            found.append(read() if body.image is None else await to_thread.run_sync(read))
        return found

    async def photo(self, data: bytes | None, path: str = "", side: int = LARGEST_SIDE) -> DecodedPhoto | None:
        """A photo, decoded and reduced to `side` pixels; None where there is none. `path` is where it stands in the body.

        Raises:
            InvalidInput: it cannot be read.
        """
        return None if data is None else await to_thread.run_sync(read_photo, data, self.config, path, side)
