import gc
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_encoders import (
    PHOTOS,
    PLAIN,
    SHIFTED,
    SIZES,
    TEXTS,
    save_bert,
    save_model,
    save_processor,
    save_resnet,
    save_tokenizer,
    save_vit,
)
from torch import Tensor, nn
from torch.nn import functional as F

from configs.errors import VitrinaError
from models.pretrained.encoders import PretrainedImage, PretrainedText, plan_image, plan_text
from models.pretrained.plans import EncoderStart, ImagePlan, TextPlan
from models.pretrained.tokenizer import TextTokenizer

pytestmark = pytest.mark.trains

WIDTH = 24


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Tiny models of several kinds, saved as transformers saves them."""
    import transformers as t

    root = tmp_path_factory.mktemp("pretrained")
    save_bert(root / "bert")
    save_vit(root / "vit")
    save_resnet(root / "resnet")
    save_model(root / "roberta", t.RobertaConfig(**TEXTS, pad_token_id=1))
    save_tokenizer(root / "roberta", SHIFTED, "<pad>")
    t5 = {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 2}
    save_model(root / "t5", t.T5Config(vocab_size=TEXTS["vocab_size"], **t5))
    clip = t.CLIPConfig(text_config=TEXTS | {"bos_token_id": 2, "eos_token_id": 3}, vision_config=SIZES | PHOTOS)
    save_model(root / "clip", clip)
    for name in ("t5", "clip"):
        save_tokenizer(root / name, PLAIN, "[PAD]")
    save_processor(root / "clip")
    save_model(root / "convnext", t.ConvNextConfig(hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1]))
    t.ConvNextImageProcessor(size={"shortest_edge": 64}).save_pretrained(root / "convnext")
    return {path.name: path for path in root.iterdir()}


TEXT, IMAGE = ("bert", "roberta", "t5", "clip"), ("vit", "resnet", "convnext", "clip")


def text_plan(folder: Path, tokens: int = 8, **values: Any) -> TextPlan:
    return plan_text(EncoderStart(init_from=str(folder), **values), tokens)


def image_plan(folder: Path, **values: Any) -> ImagePlan:
    return plan_image(EncoderStart(init_from=str(folder), **values))


def started(module: PretrainedText | PretrainedImage) -> PretrainedText | PretrainedImage:
    module.load_start()
    return module


def encoder(folder: Path, kind: str, seed: int = 0, **values: Any) -> PretrainedText | PretrainedImage:
    torch.manual_seed(seed)
    if kind == "text":
        return started(PretrainedText(text_plan(folder, **values), WIDTH))
    return started(PretrainedImage(image_plan(folder, **values), WIDTH))


def example(kind: str, rows: int = 3) -> Tensor:
    g = torch.Generator().manual_seed(2)
    if kind == "text":
        ids = torch.randint(5, 16, (rows, 6), generator=g)
        ids[1, 4:] = 0
        return ids
    return torch.randint(0, 256, (rows, 3, 40, 24), generator=g, dtype=torch.uint8)


BOTH = [*(("text", name) for name in TEXT), *(("image", name) for name in IMAGE)]
MODES = ("frozen", "lora", "full")


def targets(name: str) -> Any:
    """A network of convolutions has no linear layer."""
    return ("convolution",) if name == "resnet" else "all-linear"


def trainable(module: nn.Module) -> dict[str, nn.Parameter]:
    return {name: p for name, p in module.named_parameters() if p.requires_grad}


@pytest.mark.parametrize(("kind", "name"), BOTH)
def test_states_are_those_of_transformers(folders: dict[str, Path], kind: str, name: str) -> None:
    import transformers

    module = encoder(folders[name], kind, mode="frozen").eval()
    reference = transformers.AutoModel.from_pretrained(folders[name]).eval()
    x = example(kind)
    if kind == "text":
        reference = reference.get_encoder() if name == "t5" else getattr(reference, "text_model", reference)
        pad = 1 if name == "roberta" else 0
        ids = x - 1 if pad else x
        ids[x == 0] = pad
        with torch.no_grad():
            expected = reference(input_ids=ids, attention_mask=(x != 0).long()).last_hidden_state
    else:
        processor = transformers.AutoImageProcessor.from_pretrained(folders[name])
        side = module.plan.height
        reference = getattr(reference, "vision_model", reference)
        pixels = F.interpolate(x.float(), (side, side), mode="bilinear", antialias=side < 40)
        inputs = processor(images=list(pixels), do_resize=False, return_tensors="pt")
        with torch.no_grad():
            expected = reference(pixel_values=inputs["pixel_values"]).last_hidden_state
            expected = expected.flatten(2).transpose(1, 2) if expected.ndim == 4 else expected
    with torch.no_grad():
        states = module(x)
        assert torch.allclose(states, module.project(expected), atol=1e-4)
    assert states.shape == (3, expected.shape[1], WIDTH)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("kind", "name"), BOTH)
def test_what_trains_gets_a_gradient_and_nothing_else_does(folders: dict[str, Path], kind: str, name: str, mode: str) -> None:
    module = encoder(folders[name], kind, mode=mode, lora_targets=targets(name)).train()
    module(example(kind)).square().sum().backward()
    with_gradient = {n for n, p in module.named_parameters() if p.grad is not None}
    assert with_gradient == set(trainable(module))
    inside = {n for n in with_gradient if n.startswith("encoder.")}
    if mode == "frozen":
        assert with_gradient == {"project.weight", "project.bias"}
    elif mode == "lora":
        assert inside
        assert all("lora_" in n for n in inside)
    else:
        assert len(inside) > 10
        assert not any("lora_" in n or "pooler" in n for n in inside)


def test_lora_trains_rank_times_both_sides_of_every_linear_layer(folders: dict[str, Path]) -> None:
    module = encoder(folders["bert"], "text", mode="lora", lora_rank=4)
    count = sum(p.numel() for n, p in trainable(module).items() if n.startswith("encoder."))
    # Two layers of query, key, value and output (32 to 32) and an MLP (32 to 48 to 32).
    assert count == 2 * 4 * (4 * (32 + 32) + 2 * (32 + 48))
    narrow = encoder(folders["bert"], "text", mode="lora", lora_rank=4, lora_targets=("query", "value"))
    assert sum(p.numel() for n, p in trainable(narrow).items() if n.startswith("encoder.")) == 2 * 4 * 2 * (32 + 32)


@pytest.mark.parametrize("mode", MODES)
def test_dropout_and_batch_statistics_move_only_where_the_encoder_trains(folders: dict[str, Path], mode: str) -> None:
    text = encoder(folders["bert"], "text", mode=mode, lora_dropout=0.5).train()
    x = example("text")
    assert torch.equal(text(x), text(x)) == (mode == "frozen")
    photo = encoder(folders["resnet"], "image", mode=mode, lora_targets=targets("resnet")).train()
    before = {n: b.clone() for n, b in photo.encoder.named_buffers() if "running" in n}
    photo(example("image"))
    moved = any(not torch.equal(b, before[n]) for n, b in photo.encoder.named_buffers() if n in before)
    assert before
    assert moved == (mode == "full")
    assert text.training
    assert not text.eval().encoder.training


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("kind", "name"), [("text", "roberta"), ("image", "vit"), ("image", "resnet")])
def test_a_plan_and_its_weights_are_enough(folders: dict[str, Path], tmp_path: Path, kind: str, name: str, mode: str) -> None:
    origin = tmp_path / "origin"
    shutil.copytree(folders[name], origin)
    module = encoder(origin, kind, mode=mode, lora_targets=targets(name))
    with torch.no_grad():  # as after training: adapters have an effect
        for parameter in trainable(module).values():
            parameter.add_(0.1 * torch.randn_like(parameter))
    expected = module.eval()(example(kind))
    save_file(module.state_dict(), tmp_path / "model.safetensors")
    plan = json.dumps(module.plan.model_dump(mode="json"))
    assert "_name_or_path" not in plan
    shutil.rmtree(origin)

    built = (PretrainedText, PretrainedImage)[kind == "image"]
    again = built(type(module.plan).model_validate_json(plan), WIDTH)
    again.load_state_dict(load_file(tmp_path / "model.safetensors"))
    assert torch.equal(again.eval()(example(kind)), expected)
    assert set(trainable(again)) == set(trainable(module))
    with pytest.raises(VitrinaError, match="there is no folder"):
        again.load_start()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("kind", "name"), [("text", "bert"), ("image", "vit")])
def test_loss_falls(
    folders: dict[str, Path], kind: str, name: str, mode: str, seed: int, measured: Callable[[str, float], float]
) -> None:
    module = encoder(folders[name], kind, seed, mode=mode).train()
    x, target = example(kind, rows=4), torch.arange(4)
    optimizer = torch.optim.AdamW(trainable(module).values(), lr=1e-2)
    losses = []
    for _ in range(40):
        loss = F.cross_entropy(module(x).mean(1)[:, :4], target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert measured("loss after 40 steps, times the first", losses[-1] / losses[0]) < 0.5  # 0.0004–0.32


@pytest.mark.parametrize("name", TEXT)
def test_padding_and_rows_without_text_change_nothing(folders: dict[str, Path], name: str) -> None:
    module = encoder(folders[name], "text").eval()
    x = example("text")
    longer = F.pad(x, (0, 2))
    longer[2] = 0
    states = module(longer)
    assert torch.isfinite(states).all()
    assert torch.allclose(states[:2, :4], module(x)[:2, :4], atol=1e-5)
    states[2].sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in module.parameters() if p.grad is not None)


@pytest.mark.parametrize(("kind", "name"), [("text", "bert"), ("text", "t5"), ("image", "vit")])
def test_checkpointing_computes_layers_twice_and_the_same_gradients(folders: dict[str, Path], kind: str, name: str) -> None:
    from transformers.modeling_layers import GradientCheckpointingLayer

    module = encoder(folders[name], kind).train()
    passes: list[int] = []
    layer = next(m for m in module.encoder.modules() if isinstance(m, GradientCheckpointingLayer))
    linear = next(m for m in layer.modules() if isinstance(m, nn.Linear))
    linear.register_forward_pre_hook(lambda *_: passes.append(1))

    def gradients() -> dict[str, Tensor]:
        module.zero_grad()
        torch.manual_seed(5)  # the same dropout
        module(example(kind)).square().sum().backward()
        return {n: p.grad.clone() for n, p in module.named_parameters() if p.grad is not None}

    kept = gradients()
    assert len(passes) == 1
    module.checkpoint_activations()
    again = gradients()
    assert len(passes) == 3
    assert set(again) == set(kept)
    assert all(torch.allclose(again[n], kept[n], atol=1e-5) for n in kept)


def test_an_encoder_without_checkpointing_says_so(folders: dict[str, Path]) -> None:
    with pytest.raises(VitrinaError, match="a resnet encoder has no gradient checkpointing; set trainer"):
        encoder(folders["resnet"], "image").checkpoint_activations()
    encoder(folders["resnet"], "image", mode="frozen").checkpoint_activations()


def test_a_start_differs_from_fresh_weights(folders: dict[str, Path]) -> None:
    torch.manual_seed(0)
    module = PretrainedText(text_plan(folders["bert"]), WIDTH).eval()
    fresh = module(example("text"))
    module.load_start()
    assert not torch.allclose(fresh, module(example("text")), atol=1e-3)
    stored = load_file(folders["bert"] / "model.safetensors")["embeddings.word_embeddings.weight"]
    assert torch.equal(module.encoder.get_input_embeddings().weight, stored)


@pytest.mark.slow
def test_errors_are_one_line(folders: dict[str, Path], tmp_path: Path) -> None:
    def told(call: Any) -> str:
        with pytest.raises(VitrinaError) as error:
            call()
        assert "\n" not in str(error.value)
        gc.collect()
        return str(error.value)

    assert "there is no folder" in told(lambda: text_plan(tmp_path / "nothing"))
    (tmp_path / "empty").mkdir()
    assert "config.json" in told(lambda: text_plan(tmp_path / "empty"))
    assert "a text encoder is needed" in told(lambda: text_plan(folders["vit"]))
    assert "a vision encoder is needed" in told(lambda: image_plan(folders["bert"]))
    assert "at most 20 tokens, 21" in told(lambda: text_plan(folders["bert"], tokens=21))
    assert "at most 18 tokens, 19" in told(lambda: text_plan(folders["roberta"], tokens=19))
    assert "lora_targets 'all-linear'" in told(lambda: encoder(folders["resnet"], "image", mode="lora"))
    shutil.copytree(folders["vit"], tmp_path / "no_processor", ignore=shutil.ignore_patterns("preprocessor_config.json"))
    assert "preprocessor_config.json" in told(lambda: image_plan(tmp_path / "no_processor"))
    shutil.copytree(folders["bert"], tmp_path / "no_tokenizer", ignore=shutil.ignore_patterns("tokenizer*"))
    assert "tokenizer" in told(lambda: text_plan(tmp_path / "no_tokenizer"))
    weights = load_file(folders["bert"] / "model.safetensors")
    shutil.copytree(folders["bert"], tmp_path / "pickled", ignore=shutil.ignore_patterns("*.safetensors"))
    torch.save(weights, tmp_path / "pickled" / "pytorch_model.bin")
    assert "safetensors" in told(lambda: encoder(tmp_path / "pickled", "text"))
    shutil.copytree(folders["bert"], tmp_path / "part")
    kept = {n: w for n, w in weights.items() if "attention.self.query.weight" not in n}
    save_file(kept, tmp_path / "part" / "model.safetensors", metadata={"format": "pt"})
    assert "lack encoder.layer.0.attention.self.query.weight and 1 more" in told(lambda: encoder(tmp_path / "part", "text"))


def test_weights_may_lack_what_the_states_do_not_need(folders: dict[str, Path], tmp_path: Path) -> None:
    """A masked language model is saved without a pooler."""
    shutil.copytree(folders["bert"], tmp_path / "bert")
    weights = load_file(folders["bert"] / "model.safetensors")
    kept = {n: w for n, w in weights.items() if "pooler" not in n}
    assert len(kept) < len(weights)
    save_file(kept, tmp_path / "bert" / "model.safetensors", metadata={"format": "pt"})
    x = example("text")
    assert torch.equal(encoder(tmp_path / "bert", "text").eval()(x), encoder(folders["bert"], "text").eval()(x))


@pytest.mark.parametrize("name", ["bert", "roberta"])
def test_a_pretrained_tokenizer_pads_with_zero(folders: dict[str, Path], tmp_path: Path, name: str) -> None:
    import transformers

    reference = transformers.AutoTokenizer.from_pretrained(folders[name])
    texts = ["red cotton shirt", "", "blue shoes"]
    tokenizer = TextTokenizer.from_pretrained(str(folders[name]))
    shift = int(name == "roberta")
    assert tokenizer.shift == shift
    assert len(tokenizer) == len(reference) + shift
    tokenizer.save(tmp_path)
    copies = (tokenizer, TextTokenizer.load(tmp_path), pickle.loads(pickle.dumps(tokenizer)))
    for again in copies:
        ids = again.encode(texts, 16)
        assert ids.shape == (3, 5)
        assert [i - shift for i in ids[0]] == reference(texts[0])["input_ids"]
        assert not ids[1].any()
        assert [i - shift for i in ids[2, :4]] == reference(texts[2])["input_ids"]
        assert ids[2, 4] == 0
        assert (again.pad_id, again.shift, len(again)) == (tokenizer.pad_id, shift, len(tokenizer))
        # A long text is cut inside, not at its last special token.
        assert [i - shift for i in again.encode(texts, 4)[0]] == reference(texts[0], truncation=True, max_length=4)["input_ids"]


def test_a_tokenizer_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": {"type": "Pickled"}}))
    with pytest.raises(VitrinaError, match="allowed: BPE, Unigram, WordLevel, WordPiece"):
        TextTokenizer.load(tmp_path)
