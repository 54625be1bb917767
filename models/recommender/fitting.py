"""From purchases to a recommender: parts are fitted, chosen by and weighed on held-out purchases, then fitted again with them.

What is chosen (powers, penalties, decays, weights, the best epoch) comes from training purchases alone; the second fit adds
the validation purchases with everything chosen left as it is. Test purchases are never read.
"""

import copy
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from scipy.sparse import csr_matrix

from configs.schema import TrainerConfig
from models.evaluation.metrics import normalised
from models.recommender import attention, neighbours, sequence, spectral
from models.recommender.blend import HeldOut, learn_weights, quality
from models.recommender.config import RecommenderModelConfig
from models.recommender.factorisation import factorise
from models.recommender.graph import Graph
from models.recommender.interactions import BOUGHT, Histories
from models.recommender.items import Items
from models.recommender.model import Recommender
from models.recommender.parts import Neighbours, Part, Popularity, Projection
from models.recommender.readings import Floats

logger = logging.getLogger(__name__)

HARD = 50
"""Nearest items of each item from which hard negatives are drawn."""

HARD_USER_POWER = 0.4

ALIKE_DIMENSIONS = 64
CHOICE_USERS = 1500
"""Users on whom a part's own values are chosen; the weights are learned on more."""

T = TypeVar("T")


@dataclass(frozen=True)
class Purchases:
    """What parts are fitted on: histories, the items with their buyers among them, and content [I, d] where there is some."""

    histories: Histories
    items: Items
    content: Floats | None
    ordered: bool

    @cached_property
    def matrix(self) -> csr_matrix:
        """Users × items, weights."""
        return self.histories.matrix(len(self.items))


@dataclass
class Fit:
    """Parts fitted on training purchases, and for each how it is fitted again on more of them."""

    parts: dict[str, Part] = field(default_factory=dict)
    again: dict[str, Callable[[Purchases], Part]] = field(default_factory=dict)


def train(
    training: Purchases,
    everything: Purchases,
    held: HeldOut,
    config: RecommenderModelConfig,
    trainer: TrainerConfig,
    workdir: Path,
    loggers: Sequence[Any] = (),
) -> Recommender:
    """Fit, choose and weigh on `training` and `held`, then fit on `everything` (training and validation purchases)."""
    torch.manual_seed(trainer.seed)
    held = held.draw(config.blend.users, trainer.seed)
    fitting = _Fitting(training, held.draw(CHOICE_USERS, trainer.seed), config, trainer, workdir, loggers)
    fit = fitting.run()
    weights, reached = learn_weights(fit.parts, held, config.blend)
    for name, part in fit.parts.items():
        logger.info("%s: weight %g, alone nDCG@%d %.4f", name, weights[name], config.blend.places, fitting.judge(part))
    logger.info("blend: nDCG@%d %.4f of %d held-out users", config.blend.places, reached, len(held))
    parts = {name: again(everything) for name, again in fit.again.items()}
    return Recommender(everything.items, parts, weights, alike(everything), config.history.longest)


@dataclass(frozen=True)
class _Fitting:
    """Fits every part that the configuration names and the purchases allow."""

    training: Purchases
    held: HeldOut
    config: RecommenderModelConfig
    trainer: TrainerConfig
    workdir: Path
    loggers: Sequence[Any]

    def judge(self, part: Part) -> float:
        """NDCG of a part alone."""
        return quality(part.scores, self.held, self.config.blend.places)

    def run(self) -> Fit:
        """All parts, in the order of the configuration."""
        fit, items = Fit(), len(self.training.items)
        possible = {
            "co_purchase": True,
            "regression": items <= self.config.regression.max_items,
            "transitions": self.training.ordered,
            "sequence": self.training.ordered and bool((self.training.histories.lengths > 1).any()),
            "content": self.training.content is not None or self.training.items.attributes.nnz > 0,
        }
        for name in self.config.parts:
            if possible.get(name, True):
                part, again = getattr(self, f"_{name}")()
                fit.parts[name], fit.again[name] = part, again
        fit.parts["popularity"] = Popularity(self.training.items.buyers)
        fit.again["popularity"] = lambda purchases: Popularity(purchases.items.buyers)
        return fit

    def _best(self, tried: Iterable[tuple[T, Part]]) -> tuple[T, Part]:
        """What ranks the held-out purchases best; only the best is kept in memory."""
        best: tuple[float, T, Part] | None = None
        for chosen, part in tried:
            reached = self.judge(part)
            if best is None or reached > best[0]:
                best = reached, chosen, part
        assert best is not None, "nothing was tried"
        return best[1:]

    def _with_decay(self, part: Any) -> Any:
        """The part at the decay that ranks best; without an order there is none."""
        if not self.training.ordered:
            return part
        return self._best((decay, replace(part, decay=decay)) for decay in self.config.history.decays)[1]

    @property
    def _first_decay(self) -> float:
        """A decay to choose other values at."""
        return self.config.history.decays[len(self.config.history.decays) // 2] if self.training.ordered else 0.0

    def _co_purchase(self) -> tuple[Part, Callable[[Purchases], Part]]:
        config, keep = self.config.co_purchase, self.config.neighbours

        def made(purchases: Purchases, user_power: float, item_power: float, decay: float) -> Neighbours:
            counts = neighbours.co_purchases(purchases.matrix, user_power, keep)
            return Neighbours(neighbours.damped_by_items(counts, purchases.items.buyers, item_power), decay)

        def tried() -> Iterable[tuple[tuple[float, float], Part]]:
            for user_power in config.user_powers:
                counts = neighbours.co_purchases(self.training.matrix, user_power, keep)
                for item_power in config.item_powers:
                    matrix = neighbours.damped_by_items(counts, self.training.items.buyers, item_power)
                    yield (user_power, item_power), Neighbours(matrix, self._first_decay)

        powers, part = self._best(tried())
        part = self._with_decay(part)
        return part, lambda purchases: made(purchases, *powers, part.decay)

    def _regression(self) -> tuple[Part, Callable[[Purchases], Part]]:
        config, keep = self.config.regression, self.config.neighbours

        def made(purchases: Purchases, ridge: float, powers: Sequence[float], decay: float) -> Iterable[tuple[Any, Part]]:
            weights = neighbours.regression(purchases.matrix, ridge)
            for power in powers:
                damped = (weights * np.maximum(purchases.items.buyers, 1.0) ** -power).astype(np.float32)
                yield (ridge, power), Neighbours(neighbours.strongest(damped, keep), decay)

        tried = (pair for ridge in config.ridges for pair in made(self.training, ridge, config.item_powers, self._first_decay))
        (ridge, power), part = self._best(tried)
        part = self._with_decay(part)
        return part, lambda purchases: next(iter(made(purchases, ridge, [power], part.decay)))[1]

    def _spectral(self) -> tuple[Part, Callable[[Purchases], Part]]:
        def made(purchases: Purchases, decay: float) -> Projection:
            return Projection(*spectral.low_pass(purchases.matrix, self.config.spectral, self.trainer.seed), decay)

        part = self._with_decay(made(self.training, 0.0))
        return part, lambda purchases: made(purchases, part.decay)

    def _factorisation(self) -> tuple[Part, Callable[[Purchases], Part]]:
        def made(purchases: Purchases) -> Part:
            return factorise(purchases.matrix, self.config.factorisation, self.trainer.seed)

        return made(self.training), made

    def _transitions(self) -> tuple[Part, Callable[[Purchases], Part]]:
        config, keep = self.config.transitions, self.config.neighbours

        def made(purchases: Purchases, powers: Sequence[float], decay: float) -> Iterable[tuple[float, Part]]:
            counts = neighbours.transitions(purchases.histories, len(purchases.items), config, keep)
            for power in powers:
                yield power, Neighbours(neighbours.damped_by_items(counts, purchases.items.buyers, power), decay)

        power, part = self._best(made(self.training, config.item_powers, self._first_decay))
        part = self._with_decay(part)
        return part, lambda purchases: next(iter(made(purchases, [power], part.decay)))[1]

    def _sequence(self) -> tuple[Part, Callable[[Purchases], Part]]:
        config = self.config.sequence
        model = sequence.SequenceModel(config, self.training.items.attributes)
        held = _with_next(self.held)
        sequence.teach(model, self.training.histories, held, config.epochs, self.trainer, self.workdir / "sequence", self.loggers)

        def again(purchases: Purchases) -> Part:
            if config.refit_epochs:
                folder = self.workdir / "sequence-again"
                sequence.teach(model.train(), purchases.histories, None, config.refit_epochs, self.trainer, folder)
            return sequence.NextItems.of(model)

        return sequence.NextItems.of(copy.deepcopy(model)), again  # the model itself goes on learning

    def _graph_attention(self) -> tuple[Part, Callable[[Purchases], Part]]:
        config, keep = self.config.attention, self.config.neighbours
        x, items = self.training.matrix, self.training.items
        graph = Graph.of(x, items.attributes)
        near = neighbours.co_purchases(x, HARD_USER_POWER, HARD)
        start = _starts(x, config.width, self.trainer.seed)
        model = attention.GraphAttention(config, start, items.attributes.shape[1], self.training.content)
        rows, bought = self.held.relevant.nonzero()
        pairs, folder = (self.held.users[rows], bought), self.workdir / "attention"
        attention.teach(model, self.training.histories, graph, near, pairs, self.trainer, folder, self.loggers)
        listening = attention.listen(model, graph)
        power, part = attention.chosen(listening, items.buyers, keep, config, self.held, self.config.blend.places)

        def again(purchases: Purchases) -> Part:
            heard = attention.listen(model, Graph.of(purchases.matrix, purchases.items.attributes))
            return replace(heard.part, paths=heard.paths(purchases.items.buyers, power, keep), share=part.share)

        return part, again

    def _content(self) -> tuple[Part, Callable[[Purchases], Part]]:
        def made(purchases: Purchases, decay: float) -> Part:
            if purchases.content is not None:
                return Projection(purchases.content, purchases.content, decay)
            return Neighbours(purchases.items.alike(self.config.neighbours), decay)

        part = self._with_decay(made(self.training, self._first_decay))
        return part, lambda purchases: made(purchases, part.decay)


def alike(purchases: Purchases) -> Floats:
    """Unit vectors of items [I, d] by which lists are made diverse: of their content, else of who buys them."""
    if purchases.content is not None:
        return purchases.content
    matrix = purchases.items.weighted if purchases.items.attributes.nnz else purchases.matrix.T.tocsr()
    vectors = matrix @ spectral.singular_vectors(matrix, ALIKE_DIMENSIONS, 3, 0)
    return normalised(vectors)


def buyers_of(histories: Histories, items: int) -> Floats:
    """How many users [I] bought each item."""
    bought = histories.items[histories.weights == BOUGHT]
    return np.bincount(bought, minlength=items).astype(np.float32)


def _with_next(held: HeldOut) -> Histories:
    """Histories with the held-out items behind them."""
    users = np.concatenate([np.repeat(np.arange(len(held)), held.histories.lengths), held.relevant.nonzero()[0]])
    items = np.concatenate([held.histories.items, held.relevant.nonzero()[1]])
    return Histories.of(users, items, np.ones(len(items), dtype=np.float32), len(held))


def _starts(x: csr_matrix, width: int, seed: int) -> Floats:
    """Item vectors [I, C] to begin with: singular vectors, of unit length; zeros beyond the rank."""
    vectors = spectral.singular_vectors(spectral.damped(x, 0.5, 0.5), width, 3, seed)
    found = np.zeros((x.shape[1], width), dtype=np.float32)
    found[:, : vectors.shape[1]] = normalised(vectors)
    return found
