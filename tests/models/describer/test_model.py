"""The transformer learns, sees a brief and one text, and starts from a folder."""

from pathlib import Path

import describer_cases as cases
import pytest
import torch
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from configs.errors import VitrinaError
from models.describer.config import LessonsConfig
from models.describer.data import IGNORED, Batch, packed
from models.describer.model import (
    WriterTask,
    build,
    load_start,
    own_architecture,
    started_architecture,
    started_tokenizer,
)
from models.describer.tokens import WriterTokenizer, slot_names

TOKENIZER = cases.tokenizer()


def task() -> WriterTask:
    torch.manual_seed(0)
    return WriterTask(build(own_architecture(cases.SMALL, len(TOKENIZER)), len(TOKENIZER)))


def loss(model: WriterTask, batch: Batch) -> Tensor:
    return model.training_loss(batch, torch.Generator())["loss"]


@pytest.mark.slow
def test_the_loss_falls_then_one_batch_is_learnt_by_heart() -> None:
    model = task()
    batch = cases.dataset(TOKENIZER).__getitems__([(0, index) for index in range(4)])
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    losses = []
    for _ in range(150):
        value = loss(model, batch)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        losses.append(float(value.detach()))
    assert losses[0] > 5.0  # near log of the vocabulary's size
    assert losses[20] < losses[0] - 1.0
    assert losses[-1] < 0.05


def test_texts_do_not_see_each_other_and_listings_do_not_either() -> None:
    """Another token in one text changes no state outside of it; one in the brief changes its own listing alone."""
    model = task().model.base_model.eval()
    batch = packed([cases.dataset(TOKENIZER).row(0, index) for index in range(4)], size=400)
    row = int((batch.listing.max(dim=1).values > 0).nonzero()[0])  # a row of several listings

    def states(ids: Tensor) -> Tensor:
        with torch.no_grad():
            return model(input_ids=ids, attention_mask=batch.mask(), position_ids=batch.positions).last_hidden_state[row]

    before, listing, text = states(batch.ids), batch.listing[row], batch.text[row]
    for which in (0, 2):
        inside = (listing == 0) & (text == which)
        changed = batch.ids.clone()
        changed[row, inside.nonzero()[0]] = TOKENIZER.encode("z")[0]
        moved = (states(changed) - before).abs().amax(dim=-1) > 1e-6
        may = (listing == 0) if which == 0 else inside
        assert moved[inside].any()
        assert not (moved & ~may).any()


def test_packing_changes_no_loss() -> None:
    model, rows = task().eval(), [cases.dataset(TOKENIZER).row(0, index) for index in range(4)]
    together = packed(rows, size=400)
    alone = [packed([row], size=1) for row in rows]
    counts = torch.tensor([float((one.labels != IGNORED).sum()) for one in alone])
    with torch.no_grad():
        apart = torch.stack([loss(model, one) for one in alone])
        assert loss(model, together).item() == pytest.approx(float((apart * counts).sum() / counts.sum()), rel=1e-5)


def test_labels_are_the_next_tokens_of_the_same_text() -> None:
    dataset = cases.dataset(TOKENIZER, LessonsConfig(shared_slot=0.0, keywords=0.0))
    row = dataset.row(0, 1)
    batch = packed([row], size=1)
    position = len(row.brief)
    for text in row.texts:
        assert text[0] in TOKENIZER.parts.values() and text[-1] == TOKENIZER.end
        labels = batch.labels[0, position : position + len(text)].tolist()
        assert labels == [*text[1:], IGNORED]
        assert batch.positions[0, position].item() == len(row.brief)
        position += len(text)
    assert (batch.labels[0, : len(row.brief)] == IGNORED).all()


def start(folder: Path, kind: str) -> WriterTokenizer:
    """A tiny pretrained causal language model in `folder`."""
    plain = WriterTokenizer.fit(["some words of a shop"] * 3, 300, [])._tokenizer
    PreTrainedTokenizerFast(tokenizer_object=plain).save_pretrained(folder)
    size = plain.get_vocab_size()
    torch.manual_seed(1)
    model = (
        GPT2LMHeadModel(GPT2Config(vocab_size=size, n_embd=32, n_layer=2, n_head=2, n_positions=128))
        if kind == "gpt2"
        else LlamaForCausalLM(
            LlamaConfig(
                vocab_size=size,
                hidden_size=32,
                num_hidden_layers=2,
                num_attention_heads=2,
                intermediate_size=48,
                tie_word_embeddings=False,
            )
        )
    )
    model.save_pretrained(folder)
    return WriterTokenizer.fit([], 300, [])


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_it_starts_from_a_folder_with_its_own_tokens(tmp_path: Path, kind: str) -> None:
    start(tmp_path, kind)
    config = cases.SMALL.model_copy(update={"init_from": str(tmp_path)})
    tokenizer = WriterTokenizer.extended(started_tokenizer(config), slot_names(["brand"], 1))
    architecture = started_architecture(config)
    torch.manual_seed(2)
    model = build(architecture, len(tokenizer))
    load_start(model, config)
    classes = {"gpt2": GPT2LMHeadModel, "llama": LlamaForCausalLM}
    before = classes[kind].from_pretrained(tmp_path)
    ids = torch.tensor([tokenizer.encode("words of a shop")])
    with torch.no_grad():
        expected, found = before.eval()(ids).logits, model.eval()(ids).logits
    assert torch.allclose(found[..., : expected.shape[-1]], expected, atol=1e-5)
    assert found.shape[-1] == len(tokenizer) > expected.shape[-1]


def test_a_start_that_cannot_be_used_is_refused_in_one_line(tmp_path: Path) -> None:
    def config(folder: Path) -> object:
        return cases.SMALL.model_copy(update={"init_from": str(folder)})

    with pytest.raises(VitrinaError, match=r"there is no folder .*nowhere; writer\.init_from names one"):
        started_architecture(config(tmp_path / "nowhere"))  # type: ignore[arg-type]
    with pytest.raises(VitrinaError, match=r"cannot read a causal language model \(config\.json\) from"):
        started_architecture(config(tmp_path))  # type: ignore[arg-type]
    start(tmp_path, "gpt2")
    with pytest.raises(VitrinaError, match=r"reads at most 128 tokens, writer\.context is 400"):
        started_architecture(config(tmp_path).model_copy(update={"context": 400}))  # type: ignore[attr-defined]
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    (pickled / "config.json").write_text((tmp_path / "config.json").read_text())
    torch.save({}, pickled / "pytorch_model.bin")
    bare = build(started_architecture(config(pickled)), 300)  # type: ignore[arg-type]
    with pytest.raises(VitrinaError, match="cannot read weights in safetensors from"):
        load_start(bare, config(pickled))  # type: ignore[arg-type]
