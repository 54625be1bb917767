"""A classifier of article types and base colours that knows nothing of the generator: own seed, real training photos only.

Shapes: n photos, D features.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from catalog.images import DecodedPhoto
from configs.errors import VitrinaError
from configs.schema import StrictModel, TrainerConfig
from models.bundles import write_json
from models.errors import TrainingError
from models.imagegen.config import JudgeConfig
from models.imagegen.judge.lessons import UNLABELLED, JudgeDataset, JudgeTask, scaled
from models.imagegen.judge.network import JudgeNet
from models.imagegen.photos import Pixels, fitted
from models.training.batches import training_loader, validation_loader

WEIGHTS, SETTINGS = "judge.safetensors", "judge.json"
TYPE, COLOUR = "article_type", "base_colour"
LABELS = (TYPE, COLOUR)

_BATCH = 256


@dataclass(frozen=True, eq=False)
class Labelled:
    """Real photos with what is said of them.

    Attributes:
        pixels: (n, S, S, 3) uint8, of the judge's size.
        labels: Value of each of `LABELS` for each photo; None where nothing is said.
    """

    pixels: Pixels
    labels: dict[str, Sequence[str | None]]


@dataclass(frozen=True, eq=False)
class Verdicts:
    """What the judge sees in n images.

    Attributes:
        labels: The likeliest value of each label that it knows, for each image.
        probabilities: How likely those are (n), by label.
        features: (n, D) float32.
    """

    labels: dict[str, tuple[str, ...]]
    probabilities: dict[str, NDArray[np.float32]]
    features: NDArray[np.float32]


class JudgeSettings(StrictModel):
    """`judge.json`."""

    config: JudgeConfig
    classes: dict[str, tuple[str, ...]] = Field(description="label: values that it tells apart")
    photos: dict[str, dict[str, int]] = Field(description="label: training photos of each value, also of those that are too rare")
    accuracy: dict[str, float] = Field(description="label: share of right answers on validation photos that it could know")


class Judge:
    """The trained network with its labels; safe to call from several threads."""

    def __init__(self, net: JudgeNet, settings: JudgeSettings) -> None:
        self.net, self.settings = net.eval(), settings

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of photos that it learns from."""
        return self.settings.config.side, self.settings.config.side

    @classmethod
    def fit(
        cls, training: Labelled, validation: Labelled, config: JudgeConfig, workdir: Path, loggers: Sequence[Any] = ()
    ) -> Self:
        """Train in `workdir`, resuming from its checkpoint if it has one; the best weights are chosen on validation photos.

        Raises:
            TrainingError: no photos, or no label has two values with enough photos; see also `models.training.trainer.fit`.
        """
        from models.training.trainer import fit  # brings Lightning: seconds for whoever only answers

        photos = {label: Counter(value for value in values if value is not None) for label, values in training.labels.items()}
        classes = learnable(training, config)
        if not classes:
            labels = " nor ".join(LABELS)
            raise TrainingError(f"neither {labels} has two values with {config.min_photos} training photos: nothing to judge by")
        torch.manual_seed(config.seed)
        task = JudgeTask(_net(config, classes), config)
        low_res = round(config.low_res_share * config.epochs)
        sets = [
            JudgeDataset(part.pixels, codes(part, classes), passes) for part, passes in ((training, low_res), (validation, 0))
        ]
        trainer = _trainer(config)
        fit(task, training_loader(sets[0], trainer), validation_loader(sets[1], trainer), trainer, workdir, loggers)
        settings = JudgeSettings(
            config=config, classes=classes, photos={name: dict(found) for name, found in photos.items()}, accuracy={}
        )
        judge = cls(task.net, settings)
        found = judge.read(validation.pixels)
        accuracy = {label: _accuracy(found.labels[label], validation.labels[label], classes[label]) for label in classes}
        return cls(task.net, settings.model_copy(update={"accuracy": {k: v for k, v in accuracy.items() if v is not None}}))

    def read(self, pixels: Pixels) -> Verdicts:
        """What it sees in images (n, H, W, 3) uint8 RGB of any size."""
        features: list[Tensor] = []
        logits: dict[str, list[Tensor]] = {label: [] for label in self.settings.classes}
        for start in range(0, len(pixels), _BATCH):
            part = torch.from_numpy(self._sized(pixels[start : start + _BATCH]))
            with torch.inference_mode():
                seen, said = self.net(scaled(part))
            features.append(seen)
            for label, found in said.items():
                logits[label].append(found.softmax(-1))
        labels, sure = {}, {}
        for label, parts in logits.items():
            best = torch.cat(parts).max(-1)
            names = self.settings.classes[label]
            labels[label] = tuple(names[place] for place in best.indices.tolist())
            sure[label] = best.values.numpy()
        return Verdicts(labels, sure, torch.cat(features).numpy())

    def save(self, folder: Path) -> None:
        """Write `judge.safetensors` and `judge.json`."""
        save_file({name: value.contiguous() for name, value in self.net.state_dict().items()}, folder / WEIGHTS)
        (folder / WEIGHTS).chmod(0o644)  # safetensors writes 0600; a bundle is read by servers under other users
        write_json(folder / SETTINGS, self.settings.model_dump(mode="json"))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """What `save` wrote.

        Raises:
            VitrinaError: a file is missing or damaged.
        """
        try:
            settings = JudgeSettings.model_validate_json((folder / SETTINGS).read_bytes())
            net = _net(settings.config, settings.classes)
            net.load_state_dict(load_file(folder / WEIGHTS))
        except (OSError, SafetensorError, ValidationError, RuntimeError) as error:
            raise VitrinaError(f"{folder} does not hold a judge: {str(error).splitlines()[0]}") from error
        return cls(net, settings)

    def _sized(self, pixels: Pixels) -> Pixels:
        width, height = self.size
        if pixels.shape[1:3] == (height, width):
            return np.ascontiguousarray(pixels)
        return np.stack([fitted(DecodedPhoto(one), self.size) for one in pixels])


def learnable(training: Labelled, config: JudgeConfig) -> dict[str, tuple[str, ...]]:
    """Values of each label that enough training photos have; labels that have two such values."""
    found: dict[str, tuple[str, ...]] = {}
    for label in LABELS:
        counts = Counter(value for value in training.labels.get(label, ()) if value is not None)
        values = tuple(sorted(value for value, photos in counts.items() if photos >= config.min_photos))
        if len(values) > 1:
            found[label] = values
    return found


def codes(photos: Labelled, classes: dict[str, tuple[str, ...]]) -> dict[str, NDArray[np.int64]]:
    """Class of each photo, `UNLABELLED` where it has none that is known."""
    found = {}
    for label, values in classes.items():
        places = {value: place for place, value in enumerate(values)}
        given = [places.get(value, UNLABELLED) if value is not None else UNLABELLED for value in photos.labels[label]]
        found[label] = np.array(given, dtype=np.int64)
    return found


def _net(config: JudgeConfig, classes: dict[str, tuple[str, ...]]) -> JudgeNet:
    net = JudgeNet(config.channels, config.features, {label: len(values) for label, values in classes.items()})
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a seventh faster on CPUs; torch's stubs lack it
    return net


def _trainer(config: JudgeConfig) -> TrainerConfig:
    return TrainerConfig(
        epochs=config.epochs,
        batch_size=config.batch_size,
        optimizer=config.optimizer,
        learning_rate=config.learning_rate,
        max_minutes=config.max_minutes,
        ema_decay=config.ema_decay,
        seed=config.seed,
        early_stopping=(),
        workers=0,
        tensorboard=False,
    )


def _accuracy(said: Sequence[str], true: Sequence[str | None], known: Sequence[str]) -> float | None:
    """Share of right answers among photos whose value is known; None without any."""
    values = frozenset(known)
    right = [answer == value for answer, value in zip(said, true, strict=True) if value in values]
    return float(np.mean(right)) if right else None
