"""Encoders that start from a `transformers` model: any text or vision encoder, frozen, with LoRA adapters, or trained in full.

A *plan* is what a bundle keeps of such a model: its architecture as JSON and how its inputs are made. From a plan the same
modules are built without the folder that the weights once came from; their weights then come from the bundle itself.
Only safetensors are read, and no code that comes with a model is run.

Shapes: B rows, T tokens, N image tokens, K channels of the pretrained encoder, C width of the model that uses it.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from configs.errors import VitrinaError
from models.pretrained.plans import EncoderStart, ImagePlan, TextPlan

UNKNOWN_LENGTH = 10**6  # tokenizers and T5 give no limit


def plan_text(start: EncoderStart, tokens: int) -> TextPlan:
    """Read configuration and tokenizer, no weights; `tokens` is the longest text that the encoder will be given.

    Raises:
        VitrinaError: no such model, no text encoder, no tokenizer that fits it, or it reads shorter texts only.
    """
    from models.pretrained.tokenizer import TextTokenizer

    architecture = _architecture(start, "text")
    tokenizer = TextTokenizer.from_pretrained(start.init_from)
    config = _config(architecture).get_text_config()
    if len(tokenizer) - tokenizer.shift > config.vocab_size:
        raise VitrinaError(
            f"{start.init_from}: its tokenizer has {len(tokenizer) - tokenizer.shift} tokens, the model only {config.vocab_size}"
        )
    positions = getattr(config, "max_position_embeddings", None) or UNKNOWN_LENGTH
    offset = tokenizer.pad_id + 1 if tokenizer.shift else 0  # RoBERTa counts positions from there
    if tokens > positions - offset:
        raise VitrinaError(f"{start.init_from} reads at most {positions - offset} tokens, {tokens} are asked for")
    return TextPlan(start=start, architecture=architecture, pad_id=tokenizer.pad_id)


def plan_image(start: EncoderStart) -> ImagePlan:
    """Read configuration and image processor, no weights.

    Raises:
        VitrinaError: no such model, no vision encoder, or no image processor of a known form.
    """
    from transformers import AutoImageProcessor

    architecture = _architecture(start, "vision")
    with _readable(start.init_from, "an image processor (preprocessor_config.json)"):
        processors: Any = AutoImageProcessor
        settings = processors.from_pretrained(_source(start.init_from), trust_remote_code=False).to_dict()
        height, width = _input_size(settings, start.init_from)
        scale = settings["rescale_factor"] if settings.get("do_rescale") else 1.0
        mean, std = (settings["image_mean"], settings["image_std"]) if settings.get("do_normalize") else ((0.0,) * 3, (1.0,) * 3)
        return ImagePlan.model_validate(
            {
                "start": start,
                "architecture": architecture,
                "height": height,
                "width": width,
                "mean": tuple(value / scale for value in mean),
                "std": tuple(value / scale for value in std),
            }
        )


class _Pretrained(nn.Module):
    """A pretrained encoder behind a learnt projection to the width of the model that uses it.

    Parameters that its states do not depend on (a pooler's) never train, so that every trainable one gets a gradient.
    """

    kind: Literal["text", "vision"]
    encoder: Any  # a transformers model

    def __init__(self, plan: TextPlan | ImagePlan, width: int) -> None:
        """Build with fresh weights: `load_start` fetches the pretrained ones, a bundle's state dict replaces all."""
        super().__init__()
        self.plan = plan
        self.checkpointing = False
        self._prepare()
        self._adopt(_tower(_skeleton(plan.architecture, plan.start.init_from), self.kind, plan.start.init_from))
        with torch.no_grad():
            channels = self._states(self._sample()).shape[-1]
        self.project = nn.Linear(channels, width)

    def load_start(self) -> None:
        """Replace the encoder's weights by those of `init_from`; adapters start anew, with no effect.

        Raises:
            VitrinaError: they are missing, not safetensors, or of another architecture.
        """
        from transformers import AutoModel

        start = self.plan.start
        with _readable(start.init_from, "weights in safetensors"):
            model, told = AutoModel.from_pretrained(
                _source(start.init_from),
                config=_config(self.plan.architecture),
                dtype=torch.float32,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
        names = {id(parameter): name for name, parameter in model.named_parameters()}
        reached = self._adopt(_tower(model, self.kind, start.init_from))
        missing = {names[id(p)] for p in reached if id(p) in names} & set(told["missing_keys"])
        if missing:
            raise VitrinaError(f"the weights of {start.init_from} lack {min(missing)} and {len(missing) - 1} more")

    def checkpoint_activations(self) -> None:
        """From now on, compute its layers' activations again in the backward pass.

        Raises:
            VitrinaError: transformers cannot for this architecture.
        """
        self.checkpointing = True
        if self.plan.start.mode == "frozen":
            return  # nothing is kept for a backward pass
        try:
            self.encoder.activation_checkpointing_enable()
        except (AttributeError, ValueError) as error:
            kind = self.plan.architecture["model_type"]
            raise VitrinaError(
                f"a {kind} encoder has no gradient checkpointing; set trainer.gradient_checkpointing to false"
            ) from error

    def train(self, mode: bool = True) -> "_Pretrained":
        """Dropout and batch statistics of a frozen encoder stay off; so do the statistics under adapters."""
        super().train(mode)
        if self.plan.start.mode == "frozen":
            self.encoder.eval()
        elif self.plan.start.mode == "lora":
            for module in self.encoder.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        """States of the encoder, projected; see the subclasses."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.plan.start.mode != "frozen"):
            states = self._states(x)
        out: Tensor = self.project(states.to(self.project.weight.dtype))
        return out

    def _adopt(self, encoder: nn.Module) -> list[nn.Parameter]:
        """Take over an encoder, with what trains of it as `mode` says; returns the parameters that its states depend on."""
        start = self.plan.start
        self.encoder = _with_adapters(encoder, start) if start.mode == "lora" else encoder
        found = self._reached()
        reached = {id(p) for p in found}
        for name, parameter in self.encoder.named_parameters():
            trains = start.mode == "full" or (start.mode == "lora" and "lora_" in name)
            parameter.requires_grad_(trains and id(parameter) in reached)
        self.train(self.training)
        return found

    def _reached(self) -> list[nn.Parameter]:
        """Found by differentiating the states of an example; leaves every parameter asking for a gradient."""
        self.encoder.eval()  # an attempt must not move batch statistics
        self.encoder.requires_grad_()
        parameters = list(self.encoder.parameters())
        with torch.enable_grad():
            gradients = torch.autograd.grad(self._states(self._sample()).sum(), parameters, allow_unused=True)
        return [p for p, gradient in zip(parameters, gradients, strict=True) if gradient is not None]

    def _prepare(self) -> None:
        """Make what `_states` needs besides the encoder."""

    def _states(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def _sample(self) -> Tensor:
        raise NotImplementedError


class PretrainedText(_Pretrained):
    """Ids of `TextTokenizer.from_pretrained` to states; a row without tokens gets finite states of no meaning."""

    kind = "text"
    plan: TextPlan

    def _states(self, x: Tensor) -> Tensor:
        """Ids (B, T), 0 where padded, to states (B, T, K)."""
        present = x != 0
        ids = torch.where(present, x - 1, self.plan.pad_id) if self.plan.pad_id else x
        first = torch.arange(x.shape[1], device=x.device) == 0
        # Softmax over nothing is not a number: a row without tokens attends to its first padding.
        mask = present | (first & ~present.any(dim=1, keepdim=True))
        states: Tensor = self.encoder(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        return states

    def _sample(self) -> Tensor:
        return torch.ones(1, 2, dtype=torch.int64)


class PretrainedImage(_Pretrained):
    """uint8 photos (B, 3, h, w) of any size to tokens (B, N, C): patches, or the last feature map row by row."""

    kind = "vision"
    plan: ImagePlan
    mean: Tensor
    std: Tensor

    def _prepare(self) -> None:
        self.register_buffer("mean", torch.tensor(self.plan.mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(self.plan.std).view(3, 1, 1), persistent=False)

    def _states(self, x: Tensor) -> Tensor:
        """Photos to states (B, N, K)."""
        size = (self.plan.height, self.plan.width)
        pixels = x.to(self.mean.dtype)
        if tuple(pixels.shape[-2:]) != size:
            shrinks = pixels.shape[-2] > size[0] or pixels.shape[-1] > size[1]
            pixels = F.interpolate(pixels, size, mode="bilinear", antialias=shrinks)
        states: Tensor = self.encoder(pixel_values=(pixels - self.mean) / self.std).last_hidden_state
        return states.flatten(2).transpose(1, 2) if states.ndim == 4 else states

    def _sample(self) -> Tensor:
        return torch.zeros(1, 3, self.plan.height, self.plan.width, dtype=torch.uint8)


def _architecture(start: EncoderStart, kind: str) -> dict[str, Any]:
    """The transformers configuration as JSON, without what says where it came from.

    Raises:
        VitrinaError: no such model, or not of this kind.
    """
    from transformers import AutoConfig

    with _readable(start.init_from, "a transformers model (config.json)"):
        config = AutoConfig.from_pretrained(_source(start.init_from), trust_remote_code=False)
    found: dict[str, Any] = json.loads(config.to_json_string(use_diff=False))
    for name in ("_name_or_path", "architectures", "auto_map", "id2label", "label2id", "transformers_version"):
        found.pop(name, None)
    with torch.device("meta"):
        _tower(_skeleton(found, start.init_from), kind, start.init_from)
    return found


def _config(architecture: dict[str, Any]) -> Any:
    """The transformers configuration of a plan.

    Raises:
        VitrinaError: this version of transformers does not know it.
    """
    from transformers import AutoConfig

    values = dict(architecture)
    if "use_cache" in values:
        values["use_cache"] = False
    kind = values.pop("model_type", None)
    with _readable(f"a plan of type {kind!r}", "a transformers configuration"):
        return AutoConfig.for_model(kind, **values)


def _skeleton(architecture: dict[str, Any], name: str) -> Any:
    """A model of that architecture with fresh weights."""
    from transformers import AutoModel

    models: Any = AutoModel
    with _readable(name, "a model without code of its own"):
        return models.from_config(_config(architecture), dtype=torch.float32, trust_remote_code=False)


def _tower(model: Any, kind: str, name: str) -> nn.Module:
    """The encoder of one kind: of an encoder-decoder its encoder, of a model like CLIP one of the two.

    Raises:
        VitrinaError: the model has none.
    """
    tower = model.get_encoder() if model.config.is_encoder_decoder else getattr(model, f"{kind}_model", model)
    reads = {"input_ids": "text", "pixel_values": "vision"}.get(tower.main_input_name, tower.main_input_name)
    if reads != kind:
        raise VitrinaError(f"{name} is a {model.config.model_type} model, which reads {reads}; a {kind} encoder is needed here")
    found: nn.Module = tower
    return found


def _with_adapters(encoder: nn.Module, start: EncoderStart) -> nn.Module:
    """LoRA adapters put into the encoder.

    Raises:
        VitrinaError: no layer is a target.
    """
    from peft import LoraConfig, inject_adapter_in_model

    targets = start.lora_targets if isinstance(start.lora_targets, str) else list(start.lora_targets)
    config = LoraConfig(r=start.lora_rank, lora_alpha=start.lora_alpha, lora_dropout=start.lora_dropout, target_modules=targets)
    try:
        found: nn.Module = inject_adapter_in_model(config, encoder)
    except ValueError as error:
        raise VitrinaError(f"no adapter fits {start.init_from} with lora_targets {targets!r}: {_first_line(error)}") from error
    return found


def _input_size(settings: dict[str, Any], name: str) -> tuple[int, int]:
    """Height and width that an image processor makes."""
    size = settings["crop_size"] if settings.get("do_center_crop") else settings["size"]
    if isinstance(size, dict) and {"height", "width"} <= set(size):
        return int(size["height"]), int(size["width"])
    if isinstance(size, dict) and "shortest_edge" in size:
        return int(size["shortest_edge"]), int(size["shortest_edge"])
    raise VitrinaError(f"the image processor of {name} makes size {size!r}; known are height and width, and shortest_edge")


def _source(init_from: str) -> str:
    """A folder that exists, or what can be a hub id.

    Raises:
        VitrinaError: it is a path, and there is no such folder.
    """
    if not Path(init_from).is_dir() and (init_from[0] in "./~" or init_from.count("/") > 1):
        raise VitrinaError(f"there is no folder {init_from}; allowed: a folder of a transformers model, or an id on the hub")
    return init_from


@contextmanager
def _readable(name: str, what: str) -> Iterator[None]:
    """One line for the many ways in which transformers says that something is missing or wrong."""
    try:
        yield
    except VitrinaError:
        raise
    except (OSError, ValueError, RuntimeError, KeyError, ImportError) as error:
        raise VitrinaError(f"cannot read {what} from {name}: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
