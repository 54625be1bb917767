"""Few-shot accuracy on Omniglot: MAML and ProtoNet with the same convolution net, by the protocol of the MAML paper.

    python -m benchmarks.fewshot_omniglot --data DIR --out WORKDIR [--settings FILE.yaml]

DIR holds the original images (`images_background`, `images_evaluation`); they are not part of this repository. A run that was
ended goes on from what WORKDIR holds. Prints the table and writes it to `benchmarks/results/fewshot_omniglot.json`.
"""

import argparse
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from benchmarks.machine import write
from configs.load import load
from configs.schema import PositiveInt, StrictModel
from models.fewshot import learner
from models.fewshot.calibration import scored
from models.fewshot.episodes import EpisodesConfig, Pool, episodes
from models.fewshot.learner import Learner, Settings
from models.fewshot.learners.photo_maml import PhotoMamlConfig
from models.fewshot.learners.photo_prototypes import PhotoPrototypesConfig
from models.fewshot.omniglot import OmniglotConfig, read

SETTINGS = Path(__file__).with_name("omniglot.yaml")


class OmniglotRun(StrictModel):
    """Settings of the whole benchmark."""

    characters: OmniglotConfig = OmniglotConfig()
    episodes: EpisodesConfig = EpisodesConfig()
    tasks: tuple[tuple[PositiveInt, PositiveInt], ...] = Field(
        ((5, 1), (5, 5), (20, 1), (20, 5)), description="ways and shots of what is measured: those of the papers"
    )
    photo_maml: PhotoMamlConfig = PhotoMamlConfig()
    photo_prototypes: PhotoPrototypesConfig = PhotoPrototypesConfig()


def measured(data: Path, run: OmniglotRun, workdir: Path, seed: int = 17) -> list[dict[str, Any]]:
    """A row for each learner and task: mean accuracy and the half width of its 95 % interval, in percent."""
    characters = read(data, run.characters)
    rows = []
    for name in ("photo_maml", "photo_prototypes"):
        kind, began = learner.get(name), time.perf_counter()
        made = kind.fit(characters.pools, Settings(getattr(run, name), run.episodes, seed, workdir / name, [Told(name)]))
        seconds = time.perf_counter() - began
        rows += [
            {
                "learner": kind.label,
                "ways": ways,
                "shots": shots,
                "seconds": round(seconds),
                **accuracy(made, characters.test, ways, shots, run),
            }
            for ways, shots in run.tasks
        ]
    return rows


def accuracy(made: Learner[Any], pool: Pool, ways: int, shots: int, run: OmniglotRun) -> dict[str, float]:
    """Over `measuring` episodes of characters that were neither trained on nor chosen by."""
    found = []
    for episode in episodes(pool, ways, shots, run.episodes.measuring, run.episodes):
        logits, codes = scored(pool, episode, made.adapt, "photos")
        found.append(float((logits.argmax(axis=1) == codes).mean()))
    half = 1.96 * float(np.std(found, ddof=1)) / len(found) ** 0.5
    return {"accuracy": round(100 * float(np.mean(found)), 2), "interval": round(100 * half, 2)}


class Told:
    """Logger of the training, to the standard log."""

    def __init__(self, name: str) -> None:
        self.log = logging.getLogger(name)

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        """One line."""
        self.log.info("%d %s", step, " ".join(f"{name} {value:.4f}" for name, value in metrics.items()))


def table(rows: Sequence[dict[str, Any]]) -> str:
    """For people."""
    lines = ["| learner | ways | shots | accuracy, % |", "|---|---|---|---|"]
    lines += [
        f"| {row['learner']} | {row['ways']} | {row['shots']} | {row['accuracy']:.1f} ± {row['interval']:.1f} |" for row in rows
    ]
    return "\n".join(lines)


def main() -> None:
    """Train both, measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="directory of the original images")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints")
    parser.add_argument("--settings", type=Path, default=SETTINGS, help="YAML; the paper's protocol by default")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    run = load(OmniglotRun, options.settings)
    rows = measured(options.data, run, options.out)
    print(table(rows))
    print(write("fewshot_omniglot", {"settings": run.model_dump(mode="json"), "rows": rows}))


if __name__ == "__main__":
    main()
