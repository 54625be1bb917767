"""From purchases to a recommender: parts are fitted, chosen by and weighed on held-out purchases, then fitted again with them.

What is chosen (powers, penalties, decays, weights, the best epoch) comes from training purchases alone; the second fit adds
the validation purchases with everything chosen left as it is. Test purchases are never read.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from configs.schema import TrainerConfig
from models.recommender import part
from models.recommender.blend import learn_weights
from models.recommender.config import RecommenderModelConfig
from models.recommender.diversity import item_features
from models.recommender.held_out import HeldOut
from models.recommender.model import Recommender
from models.recommender.part import Choice, Part, Purchases, Settings

logger = logging.getLogger(__name__)


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
    chosen_by = held.draw(config.blend.choice_users, trainer.seed)
    choice = Choice(chosen_by, config.blend.places, config.history.decays if training.ordered else (0.0,))
    settings = {
        name: Settings(config.of(name), config.neighbours, trainer, workdir / name, loggers) for name in wanted(config.parts)
    }
    fitted = fit(training, choice, settings)
    weights, reached = learn_weights(fitted, held, config.blend)
    for name, one in fitted.items():
        logger.info("%s: weight %g, alone nDCG@%d %.4f", name, weights[name], config.blend.places, choice.quality(one))
    logger.info("blend: nDCG@%d %.4f of %d held-out users", config.blend.places, reached, len(held))
    parts = {name: one.refit(everything, settings[name]) for name, one in fitted.items()}
    return Recommender(everything.items, parts, weights, item_features(everything, config.diversity), config.history.longest)


def wanted(chosen: Sequence[str]) -> list[str]:
    """The parts that are chosen, then the fallbacks."""
    return [*chosen, *(name for name in part.names() if part.get(name).fallback)]


def fit(training: Purchases, choice: Choice, settings: Mapping[str, Settings[Any]]) -> dict[str, Part[Any]]:
    """Each part that the purchases allow, in the order of its settings."""
    kinds = {name: part.get(name) for name in settings}
    return {
        name: kind.fit(training, choice, settings[name])
        for name, kind in kinds.items()
        if kind.possible(training, settings[name].config)
    }
