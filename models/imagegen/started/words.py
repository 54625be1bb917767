"""Prompts to states of a pipeline's text encoder.

Shapes: n prompts, T tokens (the encoder's positions: what does not fit is cut), d numbers a state.
"""

import threading
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from models.imagegen.started.pipeline import Parts


class Words:
    """Tokens of prompts; safe to call from several threads."""

    def __init__(self, parts: Parts) -> None:
        self._tokenizer: CLIPTokenizer = parts.tokenizer
        self._length = min(parts.tokenizer.model_max_length, parts.text_encoder.config.max_position_embeddings)
        self._lock = threading.Lock()  # a fast tokenizer is told how to pad and cut before each call, and refuses two at once

    def tokens(self, texts: Sequence[str]) -> Tensor:
        """Ids (n, T)."""
        with self._lock:
            found = self._tokenizer(
                list(texts), padding="max_length", max_length=self._length, truncation=True, return_tensors="pt"
            )
        return cast(Tensor, found.input_ids)

    def cuts(self, text: str) -> bool:
        """Whether a text has more tokens than fit."""
        with self._lock:
            return len(self._tokenizer(text, truncation=False).input_ids) > self._length


@torch.no_grad()
def states(encoder: CLIPTextModel, tokens: Tensor) -> Tensor:
    """Ids (n, T) to states (n, T, d), on the device of the encoder."""
    return cast(Tensor, encoder(tokens.to(encoder.device))[0])
