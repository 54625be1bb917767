"""What a model offers to be trained: its losses on a batch. Whoever only answers imports this, and not what trains."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from models.errors import TrainingError


class Task(nn.Module):
    """A model with its losses. A `models.training.balancing.Balancer` in its attribute `balancer` is told when an epoch ends."""

    def training_loss(self, batch: Any, generator: torch.Generator) -> dict[str, Tensor]:
        """Scalar terms of which `loss` is minimised; randomness comes from `generator`, which follows the step.

        What is drawn for rows of the batch goes through `models.training.distributed.drawn_rows`.
        """
        raise NotImplementedError

    def validation_loss(self, batch: Any) -> dict[str, Tensor]:
        """Means over the batch of what is logged after each epoch; the lowest `loss` is the best."""
        raise NotImplementedError

    def compile_parts(self) -> Iterable[nn.Module]:
        """Modules, each called as such, that `trainer.compile` compiles and strategy fsdp divides one by one.

        Under fsdp every batch must call all of them. The rest of the task is divided as one.
        """
        return ()

    def slow_parts(self) -> Mapping[nn.Module, float]:
        """Modules that learn at this factor of the learning rate: what was trained before."""
        return {}

    def checkpoint_activations(self) -> None:
        """From now on, compute activations again in the backward pass.

        Raises:
            TrainingError: this model cannot.
        """
        raise TrainingError("this model has no gradient checkpointing; set trainer.gradient_checkpointing to false")
