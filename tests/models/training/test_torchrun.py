"""What the variables of torchrun must say; `tests/integration/test_torchrun.py` starts ranks by it."""

import pytest

from models.errors import TrainingError
from models.training import torchrun
from models.training.torchrun import World

RIGHT = {
    "RANK": "3",
    "WORLD_SIZE": "4",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "2",
    "MASTER_ADDR": "127.0.0.1",
    "MASTER_PORT": "29500",
}


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in RIGHT.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_one_process_alone_is_no_rank() -> None:
    assert torchrun.launched(RIGHT)
    assert not torchrun.launched(RIGHT | {"WORLD_SIZE": "1"})
    assert not torchrun.launched({name: value for name, value in RIGHT.items() if name != "RANK"})
    assert torchrun.world() is None


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("LOCAL_WORLD_SIZE", None, "RANK and WORLD_SIZE are set, LOCAL_WORLD_SIZE not"),
        ("MASTER_PORT", "free", "MASTER_PORT=free: not a number"),
        ("LOCAL_WORLD_SIZE", "3", "4 ranks, of which 3 are here: every machine must have as many"),
        ("LOCAL_RANK", "0", "4 ranks, of which 2 are here: every machine must have as many"),
    ],
)
def test_variables_that_do_not_agree_are_one_line(
    variables: pytest.MonkeyPatch, name: str, value: str | None, message: str
) -> None:
    if value is None:
        variables.delenv(name)
    else:
        variables.setenv(name, value)
    with pytest.raises(TrainingError, match=f"^{message}"), torchrun.joined():
        pass


def test_devices_are_one_those_of_the_machine_or_all() -> None:
    made = World(store=None, rank=5, size=8, local_rank=1, local_size=4)
    assert made.nodes == 2
    for wanted in (1, 4, 8):
        made.check(wanted)
    with pytest.raises(
        TrainingError, match=r"trainer.devices is 2, .* 4 processes on this machine, 8 in all: allowed is 1 or 4 or 8"
    ):
        made.check(2)
