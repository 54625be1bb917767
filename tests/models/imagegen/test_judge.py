"""The independent classifier learns from real photos, comes back from its files, and says which labels it knows."""

from pathlib import Path

import numpy as np
import pytest
import torch
from bundles import COLOURS, TYPES, draw

from configs.errors import VitrinaError
from models.errors import TrainingError
from models.imagegen.config import JudgeConfig
from models.imagegen.judge.judge import COLOUR, TYPE, Judge, Labelled, codes, learnable
from models.imagegen.judge.lessons import UNLABELLED, JudgeBatch, JudgeDataset, JudgeTask, changed, scaled
from models.imagegen.judge.network import JudgeNet
from models.imagegen.photos import fitted

pytestmark = pytest.mark.slow

SMALL = JudgeConfig(
    side=32, channels=(8, 16), features=8, min_photos=2, epochs=12, batch_size=16, learning_rate=2e-2, ema_decay=0.8
)


def photos(count: int, seed: int) -> Labelled:
    """Every type in every colour, over and over."""
    rng, said = np.random.default_rng(seed), [(kind, colour) for kind in TYPES for colour in COLOURS]
    told = [said[i % len(said)] for i in range(count)]
    pixels = [fitted(draw(TYPES[kind][4], COLOURS[colour], rng), (32, 32)) for kind, colour in told]
    return Labelled(np.stack(pixels), {TYPE: [kind for kind, _ in told], COLOUR: [colour for _, colour in told]})


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Judge:
    return Judge.fit(photos(160, 0), photos(48, 1), SMALL, tmp_path_factory.mktemp("judge"))


def test_it_tells_types_and_colours_of_photos_that_it_has_not_seen(judge: Judge) -> None:
    unseen = photos(64, 2)
    found = judge.read(unseen.pixels)
    for label in (TYPE, COLOUR):
        right = np.mean([said == true for said, true in zip(found.labels[label], unseen.labels[label], strict=True)])
        assert right > 0.5, label  # of four; by chance a quarter
        assert judge.settings.accuracy[label] > 0.5
        assert found.probabilities[label].shape == (64,) and (found.probabilities[label] > 0.25).all()
    assert found.features.shape == (64, SMALL.features)


def test_it_reads_images_of_any_size_and_one_by_one(judge: Judge) -> None:
    pixels = photos(6, 3).pixels
    large = pixels.repeat(3, axis=1).repeat(3, axis=2)
    assert judge.read(large).labels == judge.read(pixels).labels
    alone = np.concatenate([judge.read(pixels[i : i + 1]).features for i in range(6)])
    np.testing.assert_allclose(alone, judge.read(pixels).features, atol=1e-5)


def test_it_comes_back_from_its_files(judge: Judge, tmp_path: Path) -> None:
    judge.save(tmp_path)
    back, pixels = Judge.load(tmp_path), photos(10, 4).pixels
    assert back.settings == judge.settings
    np.testing.assert_array_equal(back.read(pixels).features, judge.read(pixels).features)
    (tmp_path / "judge.safetensors").write_bytes(b"broken")
    with pytest.raises(VitrinaError, match="does not hold a judge"):
        Judge.load(tmp_path)


def test_loss_falls_then_overfits_one_batch() -> None:
    torch.manual_seed(0)
    told = photos(16, 5)
    config = SMALL.model_copy(update={"zoom": 0.0, "shift": 0.0, "blur": 0.0, "noise": 0.0, "smoothing": 0.0})
    classes = learnable(told, config)
    task = JudgeTask(JudgeNet((8, 16), 8, {label: len(values) for label, values in classes.items()}), config)
    batch = JudgeDataset(told.pixels, codes(told, classes)).__getitems__([(0, i) for i in range(16)])
    optimizer, losses = torch.optim.AdamW(task.parameters(), lr=1e-2), []
    for step in range(150):
        loss = task.training_loss(batch, torch.Generator().manual_seed(step))["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(2 * np.log(4), abs=0.8)  # nothing is known of four types and four colours
    assert losses[-1] < 0.1
    assert task.validation_loss(batch)["article_type_accuracy"] == 1.0


def test_what_is_rare_or_not_said_is_not_learned() -> None:
    told = Labelled(
        np.zeros((7, 32, 32, 3), np.uint8), {TYPE: ["a", "a", "b", "b", "c", None, "a"], COLOUR: ["red"] * 6 + [None]}
    )
    classes = learnable(told, SMALL)
    assert classes == {TYPE: ("a", "b")}  # one colour tells nothing
    assert codes(told, classes)[TYPE].tolist() == [0, 0, 1, 1, UNLABELLED, UNLABELLED, 0]


def test_photos_without_a_label_add_nothing_to_the_loss() -> None:
    torch.manual_seed(0)
    task = JudgeTask(JudgeNet((8, 16), 8, {TYPE: 4}), SMALL).eval()
    pixels = torch.from_numpy(photos(8, 6).pixels)
    known = torch.tensor([0, 1, 2, 3])
    half = task.validation_loss(JudgeBatch(pixels[:4], {TYPE: known}))["loss"]
    whole = task.validation_loss(JudgeBatch(pixels, {TYPE: torch.cat([known, torch.full((4,), UNLABELLED)])}))["loss"]
    torch.testing.assert_close(half, whole)
    assert task.validation_loss(JudgeBatch(pixels, {TYPE: torch.full((8,), UNLABELLED)}))["loss"] == 0.0


def test_nothing_to_learn_is_told_in_one_line(tmp_path: Path) -> None:
    told = Labelled(np.zeros((4, 32, 32, 3), np.uint8), {TYPE: [None] * 4, COLOUR: ["red", "red", "blue", None]})
    with pytest.raises(TrainingError, match="neither article_type nor base_colour has two values with 2 training photos"):
        Judge.fit(told, told, SMALL, tmp_path)


def test_photos_are_changed_in_single_precision_where_the_network_multiplies_in_bf16() -> None:
    x = torch.rand(4, 3, 16, 16) * 2 - 1
    plain = changed(x, SMALL, torch.Generator().manual_seed(3))
    with torch.autocast("cpu", torch.bfloat16):
        lowered = changed(x, SMALL, torch.Generator().manual_seed(3))
    assert lowered.dtype == torch.float32
    torch.testing.assert_close(lowered, plain, rtol=0, atol=0)


def test_photos_are_changed_by_the_generator_alone_and_not_at_all_without_strength() -> None:
    x = scaled(torch.from_numpy(photos(4, 7).pixels))
    once, again = (changed(x, SMALL, torch.Generator().manual_seed(3)) for _ in range(2))
    torch.testing.assert_close(once, again)
    assert not torch.allclose(once, changed(x, SMALL, torch.Generator().manual_seed(4)))
    still = SMALL.model_copy(update={"zoom": 0.0, "shift": 0.0, "blur": 0.0, "noise": 0.0})
    kept = changed(x, still, torch.Generator().manual_seed(3))
    torch.testing.assert_close(kept, x, atol=1e-4, rtol=0.0)


def test_early_passes_see_smaller_photos() -> None:
    told = photos(4, 8)
    dataset = JudgeDataset(told.pixels, codes(told, {TYPE: tuple(TYPES)}), low_res_epochs=2)
    sides = {epoch: dataset.__getitems__([(epoch, 0), (epoch, 1)]).pixels.shape[1:] for epoch in (0, 1, 2, -1)}
    assert sides == {0: (24, 24, 3), 1: (24, 24, 3), 2: (32, 32, 3), -1: (32, 32, 3)}
    whole, small = (dataset.__getitems__([(epoch, 0)]).pixels.float().mean(dim=(0, 1, 2)) for epoch in (-1, 0))
    torch.testing.assert_close(whole, small, atol=0.5, rtol=0.0)  # the same photo
