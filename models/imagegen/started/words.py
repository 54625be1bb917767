"""Prompts to states of a pipeline's text encoder."""

import threading
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer


class Words:
    """Safe to call from several threads.

    Shapes: n prompts, T tokens (the encoder's positions: what does not fit is cut), d numbers a state.
    """

    def __init__(self, tokenizer: CLIPTokenizer, encoder: CLIPTextModel) -> None:
        self.encoder = encoder
        self._tokenizer = tokenizer
        self._length = min(int(tokenizer.model_max_length), int(encoder.config.max_position_embeddings))
        self._lock = threading.Lock()  # a fast tokenizer is told how to pad and cut before each call, and refuses two at once

    def tokens(self, texts: Sequence[str]) -> Tensor:
        """Ids (n, T)."""
        with self._lock:
            found = self._tokenizer(
                list(texts), padding="max_length", max_length=self._length, truncation=True, return_tensors="pt"
            )
        return cast(Tensor, found.input_ids)

    @torch.no_grad()
    def encode(self, tokens: Tensor) -> Tensor:
        """Ids (n, T) to states (n, T, d), on the device of the encoder."""
        return cast(Tensor, self.encoder(tokens.to(self.encoder.device))[0])

    def states(self, texts: Sequence[str]) -> Tensor:
        """Prompts to states (n, T, d)."""
        return self.encode(self.tokens(texts))
