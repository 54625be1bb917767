"""Ranks that torchrun started, as Lightning asks about them. They form their process group before Lightning comes."""

import signal
import threading

import lightning as L
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.pytorch.callbacks import Callback

from models.training.torchrun import World


class EndsAtOnce(Callback):
    """Lets a rank end when torchrun says so. Lightning would ask the other ranks first, of which one is dead."""

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Lightning has set its own handler by now, and puts back what was there when training ends."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


class Launched(ClusterEnvironment):
    """What Lightning asks of a world."""

    def __init__(self, world: World) -> None:
        self._world = world

    @property
    def creates_processes_externally(self) -> bool:
        """They are there."""
        return True

    @property
    def main_address(self) -> str:
        """Not asked: the group is there."""
        raise NotImplementedError

    @property
    def main_port(self) -> int:
        """Not asked: the group is there."""
        raise NotImplementedError

    @staticmethod
    def detect() -> bool:
        """It is always given."""
        return False

    def world_size(self) -> int:
        """Ranks."""
        return self._world.size

    def set_world_size(self, size: int) -> None:
        """It is known."""

    def global_rank(self) -> int:
        """Of this process."""
        return self._world.rank

    def set_global_rank(self, rank: int) -> None:
        """It is known."""

    def local_rank(self) -> int:
        """On this machine."""
        return self._world.local_rank

    def node_rank(self) -> int:
        """Of this machine."""
        return self._world.rank // self._world.local_size
