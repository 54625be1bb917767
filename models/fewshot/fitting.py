"""From pools to learners: fitted on meta-train types, and the best for each number of shots chosen on meta-validation ones."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from models.fewshot import learner as learners
from models.fewshot.bundle import Fitted
from models.fewshot.calibration import SHOTS, accuracy, choosing_episodes, scored
from models.fewshot.config import DEFAULT, FewshotRunConfig
from models.fewshot.episodes import Pool
from models.fewshot.learner import Learner, Pools, Settings
from models.fewshot.learners.shrunk_prototypes import ShrunkPrototypes
from models.fewshot.unknown import Unknown

log = logging.getLogger(__name__)

NEAR = 0.005
"""A learner answers by default only where its accuracy is higher than the default's by more. Adapting that is arithmetic, and it
leaves examples out at once; logistic regression won 0.4 points from five examples on Myntra, and takes several times as long."""


def fit(
    pools: Pools, bare: Pools, config: FewshotRunConfig, workdir: Path, loggers: Sequence[Any] = ()
) -> tuple[Fitted, dict[int, str]]:
    """The learners of the configuration, and the one that answers by default for each number of shots.

    `bare` are the same types without a word.

    Raises:
        VitrinaError: too few types or products for an episode.
        TrainingError: a loss that is not finite.
    """
    model = config.model
    fitted: dict[str, Learner[Any]] = {}
    for name in model.learners:
        log.info("learner %s", name)
        folder = workdir / name
        folder.mkdir(exist_ok=True)
        settings = Settings(model.of(name), model.episodes, config.trainer.seed, folder, loggers, config.trainer.devices)
        fitted[name] = learners.get(name).fit(pools, settings)
    default = fitted[DEFAULT]
    assert isinstance(default, ShrunkPrototypes)
    wordless = ShrunkPrototypes.fit(bare, Settings(model.of(DEFAULT), model.episodes, config.trainer.seed, workdir / DEFAULT))
    told = Fitted(
        learners=fitted,
        unknown=Unknown.fit(pools, default, model.unknown, model.episodes),
        wordless=wordless,
        wordless_unknown=Unknown.fit(bare, wordless, model.unknown, model.episodes),
    )
    return told, _best(fitted, pools.validation, config)


def _best(fitted: Mapping[str, Learner[Any]], validation: Pool, config: FewshotRunConfig) -> dict[int, str]:
    """Shots to learner, among those that read features: a client may send an example without a photo."""
    episodes, found = config.model.episodes, {}
    for shots in SHOTS:
        drawn = choosing_episodes(validation, shots, episodes.choosing, episodes)
        if not drawn:
            continue
        reached = {
            name: accuracy([scored(validation, episode, held.adapt, "features") for episode in drawn])
            for name, held in fitted.items()
            if held.reads == "features"
        }
        best = max(reached, key=lambda name: reached[name])
        found[shots] = best if reached[best] > reached[DEFAULT] + NEAR else DEFAULT
        log.info("%d shots: %s", shots, ", ".join(f"{name} {value:.4f}" for name, value in reached.items()))
    return found or {1: DEFAULT}
