"""A small made directory of drawn strokes in Omniglot's layout."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from benchmarks.fewshot_omniglot import SETTINGS, OmniglotRun, measured, table
from catalog.errors import CatalogueError
from configs.load import load
from models.fewshot.omniglot import OmniglotConfig, characters, read

SMALL = OmniglotConfig(train=6, validation=2)


def drawn(folder: Path, character: int, drawers: int) -> None:
    """Strokes of a character by so many people."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(character)
    points = rng.integers(10, 95, size=(4, 2))
    for drawer in range(1, drawers + 1):
        image = Image.new("1", (105, 105), 1)
        shaken = points + np.random.default_rng((character, drawer)).integers(-3, 4, size=points.shape)
        ImageDraw.Draw(image).line([(int(x), int(y)) for x, y in shaken], fill=0, width=3)
        image.save(folder / f"{character:04d}_{drawer:02d}.png")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two alphabets of three characters in the background part, one of four in the other; 4 drawings each."""
    root = tmp_path_factory.mktemp("omniglot")
    for character in range(10):
        part, alphabet = ("images_background", character // 3) if character < 6 else ("images_evaluation", 2)
        drawn(root / part / f"Alphabet_{alphabet}" / f"character{character:02d}", character, 4)
    return root


def test_characters_are_divided_and_turned(original: Path) -> None:
    found = read(original, SMALL)
    counts = [len(pool.types) for pool in (found.pools.train, found.pools.validation, found.test)]
    assert counts == [4 * 4, 2 * 4, 4 * 4]
    names = [{name.rsplit("/", 1)[0] for name in pool.types} for pool in (found.pools.train, found.pools.validation, found.test)]
    assert len(set.union(*names)) == 10
    for pool in (found.pools.train, found.pools.validation, found.test):
        assert pool.photos is not None
        assert pool.photos.shape == (4 * len(pool.types), 28, 28, 1)
        assert pool.photos.dtype == np.uint8
        assert pool.features.shape == (len(pool.codes), 0)
        assert np.bincount(pool.codes).tolist() == [4] * len(pool.types)


def test_turns_are_quarter_turns_of_the_same_drawings(original: Path) -> None:
    pool = read(original, SMALL).pools.train
    assert pool.photos is not None
    for first in range(0, len(pool.types), 4):
        character = pool.types[first].rsplit("/", 1)[0]
        assert pool.types[first : first + 4] == tuple(f"{character}/{degrees}" for degrees in (0, 90, 180, 270))
        upright = pool.photos[pool.codes == first]
        for turn in range(1, 4):
            np.testing.assert_array_equal(pool.photos[pool.codes == first + turn], np.rot90(upright, turn, axes=(1, 2)))


def test_ink_is_light_on_black(original: Path) -> None:
    photos = read(original, SMALL).test.photos
    assert photos is not None
    assert photos.mean() < 64  # a few strokes
    assert photos.max() > 128


def test_the_split_is_the_same_each_time_and_follows_the_seed(original: Path) -> None:
    assert read(original, SMALL).test.types == read(original, SMALL).test.types
    others = {read(original, SMALL.model_copy(update={"seed": seed})).test.types for seed in range(6)}
    assert len(others) > 1


def test_one_folder_with_all_alphabets_is_the_same(original: Path, tmp_path: Path) -> None:
    for part in ("images_background", "images_evaluation"):
        shutil.copytree(original / part, tmp_path / "flat", dirs_exist_ok=True)
    assert [path.name for path in characters(tmp_path / "flat")] == [path.name for path in characters(original)]
    assert read(tmp_path / "flat", SMALL).test.types == read(original, SMALL).test.types


def test_what_is_wrong_is_said_in_a_line(original: Path, tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match=r"nowhere is no directory; it must hold Omniglot's images_background"):
        read(tmp_path / "nowhere", SMALL)
    with pytest.raises(CatalogueError, match=r"holds no <alphabet>/<character>/\*\.png"):
        read(tmp_path, SMALL)
    with pytest.raises(CatalogueError, match=r"has 10 characters; 1200 to train on, 100 of them to choose by"):
        read(original, OmniglotConfig())
    broken = tmp_path / "broken"
    shutil.copytree(original, broken)
    image = next((broken / "images_evaluation").rglob("*.png"))
    image.write_bytes(image.read_bytes()[:60])
    with pytest.raises(CatalogueError, match=rf"{image.name} is no readable PNG image"):
        read(broken, SMALL)


@pytest.mark.slow
def test_the_benchmark_runs_on_a_small_directory(original: Path, tmp_path: Path) -> None:
    small = [
        "filters=4",
        "groups=2",
        "iterations=2",
        "tasks=2",
        "shots=[1]",
        "queries=2",
        "validate_every=2",
        "validation_episodes=2",
    ]
    run = load(
        OmniglotRun,
        SETTINGS,
        [
            "characters={train: 6, validation: 2}",
            "episodes={queries: 2, strangers: 0, measuring: 8}",
            "tasks=[[5, 1], [10, 2]]",
            *(f"{name}.{value}" for name in ("photo_maml", "photo_prototypes") for value in small),
        ],
    )
    rows = measured(original, run, tmp_path)
    assert [(row["learner"], row["ways"], row["shots"]) for row in rows] == [
        (label, *task) for label in ("MAML on photos", "ProtoNet on photos") for task in ((5, 1), (10, 2))
    ]
    assert all(row["accuracy"] > 100 / row["ways"] for row in rows)  # even a net that hardly trained sees strokes
    assert len(table(rows).splitlines()) == 6
    assert {path.name for path in tmp_path.rglob("*.safetensors")} == {"last.safetensors"}


def test_the_committed_settings_are_the_protocol() -> None:
    run = load(OmniglotRun, SETTINGS)
    assert (run.characters.train, run.characters.side, run.episodes.measuring) == (1200, 28, 600)
    assert (run.photo_maml.filters, run.photo_prototypes.filters) == (64, 64)
