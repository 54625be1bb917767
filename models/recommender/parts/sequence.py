"""Self-attention over the history (SASRec, Kang & McAuley 2018), where the order is known; the network is `sequence.py`.

Shapes: B users, I items, C width.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray

from configs.schema import StrictModel
from models.arrays import State
from models.recommender.answers import ReasonKind
from models.recommender.bases import DensePart
from models.recommender.held_out import HeldOut
from models.recommender.interactions import Histories
from models.recommender.items import Items
from models.recommender.part import Choice, Purchases, Settings
from models.recommender.readings import Floats
from models.recommender.sequence import SequenceConfig, SequenceNetwork, train

USERS_A_BATCH = 512
"""Histories that the network reads at once."""


@dataclass(frozen=True)
class NextItem(DensePart[SequenceConfig]):
    """The trained network with the vectors of all items at hand.

    Attributes:
        items: float32 [I, C + 1], the vector and the bias.
    """

    network: SequenceNetwork
    items: Floats

    label: ClassVar[str] = "Self-attention over the order"
    reason: ClassVar[ReasonKind] = "bought_next"
    sentence: ClassVar[str] = "Often follows {title}."
    order: ClassVar[int] = 60
    config: ClassVar[type[StrictModel]] = SequenceConfig

    @classmethod
    def possible(cls, purchases: Purchases, config: SequenceConfig) -> bool:
        """Where the order is known, and anybody bought twice."""
        return purchases.ordered and bool((purchases.histories.lengths > 1).any())

    @classmethod
    def fit(cls, purchases: Purchases, choice: Choice, settings: Settings[SequenceConfig]) -> Self:
        """The epoch is chosen by the held-out purchases."""
        config = settings.config
        network = SequenceNetwork(config, purchases.items.attributes)
        held, folder = with_next(choice.held), settings.workdir / "fit"
        train(network, purchases.histories, held, config.epochs, settings.trainer, folder, settings.loggers)
        return cls.of(network)

    def refit(self, purchases: Purchases, settings: Settings[SequenceConfig]) -> Self:
        """A copy of the network goes on learning, `refit_epochs` long."""
        network, epochs = copy.deepcopy(self.network), settings.config.refit_epochs
        if epochs:
            train(network.train(), purchases.histories, None, epochs, settings.trainer, settings.workdir / "refit")
        return self.of(network)

    @classmethod
    @torch.inference_mode()
    def of(cls, network: SequenceNetwork) -> Self:
        """With the vectors of all items."""
        network = network.eval().cpu()
        return cls(network, torch.cat([network.vectors(), network.bias.weight], dim=1).numpy())

    @torch.inference_mode()
    def query(self, histories: Histories) -> Floats:
        """What meets `items`: the expected vector, and 1 for the bias [B, C + 1]; zeros without a history."""
        table = torch.from_numpy(self.items[:, :-1])
        found = []
        for start in range(0, len(histories), USERS_A_BATCH):
            part = histories.select(range(start, min(start + USERS_A_BATCH, len(histories))))
            codes, there = part.padded(self.network.config.length)
            ends = torch.from_numpy(np.maximum(there.sum(axis=1) - 1, 0))
            last = self.network.last(torch.from_numpy(codes), table, ends)
            full = torch.cat([last, torch.ones(len(last), 1)], dim=1)
            found.append(full * torch.from_numpy(there[:, :1]))
        return torch.cat(found).numpy()

    @property
    def targets(self) -> Floats:
        """See `DensePart`."""
        return self.items

    def state(self) -> State:
        """The network's weights."""
        return {name: value.numpy() for name, value in self.network.state_dict().items()}

    @classmethod
    def restore(cls, state: Mapping[str, NDArray[Any]], config: SequenceConfig, items: Items) -> Self:
        """See `Part`."""
        network = SequenceNetwork(config, items.attributes)
        network.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()})
        return cls.of(network)


def with_next(held: HeldOut) -> Histories:
    """Histories with the held-out items behind them."""
    users = np.concatenate([np.repeat(np.arange(len(held)), held.histories.lengths), held.relevant.nonzero()[0]])
    items = np.concatenate([held.histories.items, held.relevant.nonzero()[1]])
    return Histories.of(users, items, np.ones(len(items), dtype=np.float32), len(held))


PART = NextItem
