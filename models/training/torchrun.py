"""Ranks that torchrun, or whatever sets its variables, started: rank 0 runs the command, the others follow it.

A follower waits for calls in the store that the ranks share, as long as it takes: between calls no collective is under way that
could time out. In a call all ranks form a process group, get function and arguments from rank 0 by pickle, and run it; then the
group is gone, and `models.training.distributed.world_size` is 1 again for whatever else the command does.

torchrun starts ranks again whatever ended them. What a command said on its own account - a gate's no, bad input - is kept in the
store, and every further start ends with it at once.

A domain error of one rank becomes rank 0's: whoever fails says so in the store and drops its group, whose closed connections end
what the others wait for. Where that is not noticed (NCCL), and where a rank dies, torchrun ends the others.
"""

import contextlib
import gc
import json
import logging
import os
import socket
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import distributed as dist
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from configs.errors import VitrinaError
from models.errors import TrainingError

log = logging.getLogger(__name__)

VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""What torchrun tells each process."""

ARRIVAL = 600.0
"""Seconds in which all ranks have to be there."""
COLLECTIVE = 1800.0
"""Seconds that a rank waits for the others within a training; whole checkpoints are written in one wait."""
TOLD = 2.0
"""Seconds in which a rank's word why must be seen after its connections have ended; it comes before. A killed one says none."""
SHOWN = 30.0
"""Seconds in which a shared volume shows a new file."""
FAREWELL = 60.0
"""Seconds that ranks wait for each other at the end."""
MARK = "ranks"
"""File in the folder of a call, while that runs, by which ranks know that it is the same."""
VERDICT = "verdict"
"""Key of what rank 0 ended with."""
LOOK = 0.1
"""Seconds between two looks into the store."""


@dataclass
class World:
    """The ranks of one start; `store` is theirs alone.

    Attributes:
        rank: Of this process.
        size: Ranks.
        local_rank: Among those of this machine; chooses the GPU.
        local_size: Ranks of every machine.
        calls: Calls so far.
        broken: A call ended as none should: a rank has died, or this one is being ended.
    """

    store: Any
    rank: int
    size: int
    local_rank: int
    local_size: int
    calls: int = field(default=0, init=False)
    broken: bool = field(default=False, init=False)

    @property
    def nodes(self) -> int:
        """Machines."""
        return self.size // self.local_size

    def check(self, wanted: int) -> None:
        """Does `trainer.devices` agree?

        Raises:
            TrainingError: it says another number.
        """
        if wanted not in (1, self.local_size, self.size):
            allowed = " or ".join(map(str, sorted({1, self.local_size, self.size})))
            raise TrainingError(
                f"trainer.devices is {wanted}, and torchrun started {self.local_size} processes on this machine, {self.size} in "
                f"all: allowed is {allowed}"
            )

    def call(self, function: Callable[..., Any], folder: Path, *arguments: Any, loggers: Sequence[Any] = ()) -> Any:
        """`function(rank, folder, *arguments, loggers=loggers)` on every rank, the others without loggers; see `on_ranks`.

        Raises:
            TrainingError: another rank raised a domain error, or does not see the files in `folder`.
        """
        assert self.rank == 0, "rank 0 calls"
        number, mark, word = self._next(), folder / MARK, uuid.uuid4().hex
        mark.write_text(word)
        self.store.set(f"call/{number}", b"")
        try:
            return self._take_part(number, (function, folder, word, arguments), loggers)
        finally:
            mark.unlink(missing_ok=True)

    def follow(self) -> None:
        """Take part in rank 0's calls until it ends."""
        assert self.rank > 0, "rank 0 leads"
        while not self.store.check(["ended"]):
            if not self.store.check([f"call/{self.calls}"]):
                time.sleep(LOOK)
                continue
            with contextlib.suppress(VitrinaError):  # rank 0 tells people
                self._take_part(self._next(), None, ())
        self.store.set(f"left/{self.rank}", b"")

    def end(self) -> None:
        """Rank 0's last word; with it goes the store, so that it waits until the others have read it, if they can."""
        self.store.set("ended", b"")
        if self.broken:
            return
        others = [f"left/{rank}" for rank in range(1, self.size)]
        if not _eventually(lambda: self.store.check(others), FAREWELL):
            log.warning("some ranks are still busy %g seconds after the end of the command", FAREWELL)

    def _next(self) -> int:
        self.calls += 1
        return self.calls - 1

    def _take_part(self, number: int, called: tuple[Any, ...] | None, loggers: Sequence[Any]) -> Any:
        """Run a call; what is `called` is known to rank 0 alone."""
        failed, told_by_another = f"failed/{number}", False
        failure: VitrinaError | None = None
        self.broken = True
        _start_group(self, number)
        try:
            told = [called]
            dist.broadcast_object_list(told, src=0, device=torch.device("cpu"))
            assert told[0] is not None
            function, folder, word, arguments = told[0]
            _check_shared(folder / MARK, word)
            found = function(self.rank, folder, *arguments, loggers=loggers)
            _meet()
        except VitrinaError as error:
            self.store.compare_set(failed, "", f"rank {self.rank}: {error}" if self.rank else str(error))
            failure = _bare(error)
        except RuntimeError as error:
            told_by_another = "gloo" in str(error) or isinstance(error, dist.DistError)
            if not (told_by_another and _eventually(lambda: self.store.check([failed]), TOLD)):
                raise
        finally:
            called = arguments = None
            told.clear()
            dist.destroy_process_group()
        self.broken = False
        if failure is None and not told_by_another:
            return found
        gc.collect()  # connections end with the last reference to their group
        raise failure or TrainingError(self.store.get(failed).decode())


def _check_shared(mark: Path, word: str) -> None:
    """A shared volume shows new files some seconds later."""
    if not _eventually(lambda: mark.is_file() and mark.read_text() == word, SHOWN):
        raise TrainingError(
            f"{socket.gethostname()} does not see what rank 0 writes into {mark.parent}: VITRINA_HOME and the data must lie on a "
            "volume that all machines share, at the same path"
        )


_joined: World | None = None


def world() -> World | None:
    """The world that this process has joined."""
    return _joined


def launched(variables: Mapping[str, str] = os.environ) -> bool:
    """Whether this process is one of several ranks."""
    return "RANK" in variables and variables.get("WORLD_SIZE", "1") != "1"


@contextlib.contextmanager
def joined() -> Iterator[World]:
    """Join the ranks that `launched` says there are.

    Raises:
        TrainingError: the variables do not agree, not all ranks come, or an earlier start ended with an error of its own.
    """
    global _joined
    number = _numbers()
    store, rank, size = next(rendezvous("env://", timeout=timedelta(seconds=ARRIVAL)))
    if store.check([VERDICT]):
        _say_again(json.loads(store.get(VERDICT)), rank)
    for name in ("RANK", "WORLD_SIZE"):  # what a command starts is no rank
        del os.environ[name]
    shared = PrefixStore(_name(store, rank, size), store)
    _joined = World(shared, rank, size, number["LOCAL_RANK"], number["LOCAL_WORLD_SIZE"])
    try:
        yield _joined
    except (VitrinaError, SystemExit) as error:
        code = error.exit_code if isinstance(error, VitrinaError) else error.code
        if rank == 0 and code in (1, 2) and not _joined.broken:  # no signal, and no rank that died
            store.set(VERDICT, json.dumps({"code": code, "message": str(error) if isinstance(error, VitrinaError) else ""}))
        raise
    finally:
        if rank == 0:
            _joined.end()
        _joined = None


def _say_again(verdict: Mapping[str, Any], rank: int) -> None:
    if rank or not verdict["message"]:
        raise SystemExit(verdict["code"])
    error = TrainingError(f"{verdict['message']} (said before torchrun started this again)")
    error.exit_code = verdict["code"]
    raise error


def _numbers() -> dict[str, int]:
    missing = [name for name in VARIABLES if not os.environ.get(name)]
    if missing:
        raise TrainingError(f"RANK and WORLD_SIZE are set, {', '.join(missing)} not: start with torchrun, or set {VARIABLES}")
    found = {name: os.environ[name] for name in VARIABLES if name != "MASTER_ADDR"}
    if wrong := [f"{name}={value}" for name, value in found.items() if not value.isdecimal()]:
        raise TrainingError(f"{', '.join(wrong)}: not a number; torchrun sets them")
    number = {name: int(value) for name, value in found.items()}
    size, local = number["WORLD_SIZE"], number["LOCAL_WORLD_SIZE"]
    if size % local or number["RANK"] % local != number["LOCAL_RANK"]:
        raise TrainingError(f"{size} ranks, of which {local} are here: every machine must have as many (--nproc-per-node)")
    return number


def _name(store: Any, rank: int, size: int) -> str:
    """A name that only the ranks of this start know: those of an earlier one left their words in the same store.

    Rank 0 answers each greeting until its sender has said that it is there; a greeting from before has nobody who could.
    """
    own = uuid.uuid4().hex
    if rank:
        store.set(f"greeting/{rank}", own)
        if not _eventually(lambda: store.check([f"answer/{own}"]), ARRIVAL):
            raise TrainingError(f"rank {rank}: no word of rank 0 within {ARRIVAL:g} seconds")
        name: str = store.get(f"answer/{own}").decode()
        store.set(f"{name}/there/{rank}", b"")
        return name
    missing = set(range(1, size))

    def all_there() -> bool:
        for other in sorted(missing):
            if store.check([f"greeting/{other}"]):
                store.set(f"answer/{store.get(f'greeting/{other}').decode()}", own)
            if store.check([f"{own}/there/{other}"]):
                missing.discard(other)
        return not missing

    if not _eventually(all_there, ARRIVAL):
        raise TrainingError(f"ranks {', '.join(map(str, sorted(missing)))} of {size} did not come within {ARRIVAL:g} seconds")
    return own


def _start_group(world: World, number: int) -> None:
    """NCCL between GPUs, gloo for what is on the CPU."""
    gpus = torch.cuda.is_available()
    if gpus:
        torch.cuda.set_device(world.local_rank)
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if gpus else "gloo",
        store=PrefixStore(f"group/{number}", world.store),
        rank=world.rank,
        world_size=world.size,
        timeout=timedelta(seconds=COLLECTIVE),
    )


def _meet() -> None:
    """Wait for all ranks, on the CPU."""
    dist.all_reduce(torch.zeros(1))


def _bare(error: VitrinaError) -> VitrinaError:
    """Without the frames it came through, which hold the group."""
    error.__traceback__ = error.__context__ = error.__cause__ = None
    return error


def _eventually(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether it is true within so many seconds."""
    ends = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= ends:
            return False
        time.sleep(LOOK)
    return True
