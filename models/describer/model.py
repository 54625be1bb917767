"""The causal transformer that writes, one of `transformers`.

- rotary positions, RMSNorm, SwiGLU, queries that share keys and values, tied embeddings (a Llama of a size of its own)
- or any causal language model of a folder, in safetensors, with its own tokenizer (`init_from`)
- sees a brief and one text: `Batch.mask` keeps the texts of a listing apart

Shapes: R rows, S tokens, V tokens of the vocabulary.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, LlamaConfig

from configs.errors import VitrinaError
from models.describer.config import WriterConfig
from models.describer.data import IGNORED, Batch
from models.training.distributed import sum_over_ranks
from models.training.task import Task

MODELS: Any = AutoModelForCausalLM  # its methods have no types

Architecture = dict[str, Any]
"""A configuration of transformers as JSON; `model_type` says which."""

FORGOTTEN = ("_name_or_path", "architectures", "auto_map", "transformers_version", "dtype", "torch_dtype")
"""Entries that say where a configuration came from."""


def own_architecture(config: WriterConfig, tokens: int) -> Architecture:
    """A Llama of the configured sizes."""
    found = LlamaConfig(
        vocab_size=tokens,
        hidden_size=config.width,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.kv_heads,
        intermediate_size=config.mlp_hidden,
        max_position_embeddings=config.context,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=None,
    )
    return _plain(found)


def started_architecture(config: WriterConfig) -> Architecture:
    """That of the model in `init_from`; no weights are read.

    Raises:
        VitrinaError: there is no folder, no causal language model in it, or its context is too short.
    """
    folder = _folder(config)
    with _readable(folder, "a causal language model (config.json)"):
        found = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        with torch.device("meta"):
            MODELS.from_config(found, trust_remote_code=False)
    positions = getattr(found, "max_position_embeddings", None)
    if positions is not None and positions < config.context:
        raise VitrinaError(f"{folder} reads at most {positions} tokens, writer.context is {config.context}")
    return _plain(found)


def started_tokenizer(config: WriterConfig) -> Tokenizer:
    """The fast tokenizer in `init_from`, for `WriterTokenizer.extended`; no code that comes with it is run.

    Raises:
        VitrinaError: there is none, or it has no fast form.
    """
    folder = _folder(config)
    with _readable(folder, "a tokenizer"):
        found = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    if not found.is_fast:
        raise VitrinaError(f"the tokenizer of {folder} has no fast form (tokenizer.json), which is needed")
    return Tokenizer.from_str(found.backend_tokenizer.to_str())


def build(architecture: Architecture, tokens: int) -> Any:
    """A model with fresh weights, for `tokens` tokens.

    Raises:
        VitrinaError: this version of transformers does not know it.
    """
    values = dict(architecture)
    kind = values.pop("model_type", None)
    with _readable(f"a plan of type {kind!r}", "a transformers configuration"):
        model = MODELS.from_config(
            AutoConfig.for_model(kind, **values), dtype=torch.float32, trust_remote_code=False, attn_implementation="sdpa"
        )
    if model.get_input_embeddings().num_embeddings != tokens:
        model.resize_token_embeddings(tokens, mean_resizing=False)
    return model


def load_start(model: Any, config: WriterConfig) -> None:
    """Put the weights of `init_from` into a model that was built from its architecture; tokens that it lacks stay fresh.

    Raises:
        VitrinaError: they are missing, not safetensors, or of another architecture.
    """
    folder = _folder(config)
    with _readable(folder, "weights in safetensors"):
        start, told = MODELS.from_pretrained(
            folder,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
        )
    if missing := sorted(told["missing_keys"]):
        raise VitrinaError(f"the weights of {folder} lack {missing[0]} and {len(missing) - 1} more")
    rows = {"input": model.get_input_embeddings(), "output": model.get_output_embeddings()}
    fresh = {name: layer.weight.detach().clone() for name, layer in rows.items()}
    own, theirs = model.state_dict(), start.state_dict()
    sized = {name for name, value in theirs.items() if name in own and own[name].shape != value.shape}
    model.load_state_dict({name: value for name, value in theirs.items() if name not in sized}, strict=False)
    with torch.no_grad():
        for name, layer in (("input", start.get_input_embeddings()), ("output", start.get_output_embeddings())):
            count = min(len(layer.weight), len(fresh[name]))
            rows[name].weight.copy_(torch.cat([layer.weight[:count], fresh[name][count:]]))


class WriterTask(Task):
    """The transformer with its loss: mean over the tokens of texts of the negative log likelihood, in nats."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def training_loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Over the tokens of the batch."""
        return {"loss": self._loss(batch)}

    def validation_loss(self, batch: Batch) -> dict[str, Tensor]:
        """The same."""
        return {"loss": self._loss(batch)}

    def checkpoint_activations(self) -> None:
        """Recompute the blocks in the backward pass."""
        self.model.gradient_checkpointing_enable()

    def _loss(self, batch: Batch) -> Tensor:
        """Logits are made of the tokens alone that have one to predict."""
        body: nn.Module = self.model.base_model
        states = body(
            input_ids=batch.ids, attention_mask=batch.mask(), position_ids=batch.positions, use_cache=False
        ).last_hidden_state
        told = batch.labels != IGNORED
        logits = self.model.get_output_embeddings()(states[told])
        if not torch.is_grad_enabled():
            return F.cross_entropy(logits.float(), batch.labels[told])
        lost = F.cross_entropy(logits.float(), batch.labels[told], reduction="sum")
        total, count = sum_over_ranks(torch.stack([lost, told.sum().to(lost.dtype)]))
        mean: Tensor = total / count
        return mean


def _plain(config: Any) -> Architecture:
    found: Architecture = json.loads(config.to_json_string(use_diff=False))
    for name in FORGOTTEN:
        found.pop(name, None)
    return found


def _folder(config: WriterConfig) -> str:
    assert config.init_from is not None
    if not Path(config.init_from).is_dir():
        raise VitrinaError(f"there is no folder {config.init_from}; writer.init_from names one with a causal language model")
    return config.init_from


@contextmanager
def _readable(name: str, what: str) -> Iterator[None]:
    """One line for the many ways in which transformers says that something is missing or wrong."""
    try:
        yield
    except VitrinaError:
        raise
    except (OSError, ValueError, RuntimeError, KeyError, ImportError) as error:
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise VitrinaError(f"cannot read {what} from {name}: {first}") from error
