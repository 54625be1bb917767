"""Tiny text and vision models, saved as transformers saves them."""

from pathlib import Path
from typing import Any

import torch

WORDS = ["red", "blue", "green", "shirt", "shoes", "watch", "dress", "cotton", "leather", "men", "women", "striped"]
PLAIN, SHIFTED = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"], ["<cls>", "<pad>", "<sep>", "<unk>"]
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
PHOTOS = {"hidden_size": 32, "image_size": 32, "patch_size": 8}
TEXTS = {"vocab_size": len(PLAIN) + len(WORDS), **SIZES, "max_position_embeddings": 20}


def save_tokenizer(folder: Path, specials: list[str], pad: str) -> None:
    """A word tokenizer with [CLS] text [SEP] or their like."""
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    vocabulary = {token: i for i, token in enumerate([*specials, *WORDS])}
    unknown, first, last = (next(t for t in specials if name in t.lower()) for name in ("unk", "cls", "sep"))
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token=unknown))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}", special_tokens=[(first, vocabulary[first]), (last, vocabulary[last])]
    )
    names = {"pad_token": pad, "unk_token": unknown, "cls_token": first, "sep_token": last}
    transformers.PreTrainedTokenizerFast(tokenizer_object=backend, **names).save_pretrained(folder)


def save_model(folder: Path, config: Any) -> None:
    """Random weights."""
    import transformers

    torch.manual_seed(1)
    transformers.AutoModel.from_config(config).save_pretrained(folder)


def save_bert(folder: Path) -> Path:
    """Two layers, 20 positions, and its tokenizer."""
    import transformers

    save_model(folder, transformers.BertConfig(**TEXTS))
    save_tokenizer(folder, PLAIN, "[PAD]")
    return folder


def save_vit(folder: Path) -> Path:
    """Two layers, 16 patches, and its image processor."""
    import transformers

    save_model(folder, transformers.ViTConfig(**SIZES | PHOTOS))
    save_processor(folder)
    return folder


def save_resnet(folder: Path) -> Path:
    """Two stages with batch normalisation, and its image processor."""
    import transformers

    basic = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"}
    save_model(folder, transformers.ResNetConfig(**basic))
    transformers.ConvNextImageProcessor(size={"shortest_edge": 64}).save_pretrained(folder)
    return folder


def save_processor(folder: Path) -> None:
    """Photos of 32 × 32 pixels."""
    import transformers

    size = {"height": 32, "width": 32}
    transformers.ViTImageProcessor(size=size, image_mean=[0.4] * 3, image_std=[0.2] * 3).save_pretrained(folder)
