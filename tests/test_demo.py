"""How `make demo` runs commands side by side."""

import sys
import time
from pathlib import Path
from typing import Any

import pytest

import demo


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> demo.Demo:
    """Its commands are Python's."""
    monkeypatch.setattr(demo, "VITRINA", Path(sys.executable))
    monkeypatch.setattr(demo, "HOME", tmp_path)
    monkeypatch.setattr(demo.os, "cpu_count", lambda: 6)
    return demo.Demo(environment={"PATH": ""})


def run(loop: demo.Demo, name: str, code: str) -> dict[str, Any]:
    return loop.command(name, "-c", f"import json, os, sys, time\n{code}", verdict=str)


def test_lanes_run_side_by_side_and_share_the_cores(loop: demo.Demo, tmp_path: Path) -> None:
    """Each waits for what the other writes."""
    told: dict[str, dict[str, Any]] = {}

    def lane(name: str, other: str) -> None:
        mine, yours = tmp_path / name, tmp_path / other
        told[name] = run(
            loop,
            name,
            f"open({str(mine)!r}, 'w').close()\n"
            f"while not os.path.exists({str(yours)!r}): time.sleep(0.01)\n"
            "print(json.dumps({'threads': os.environ['OMP_NUM_THREADS']}))",
        )

    loop.together(lambda: lane("one", "two"), lambda: lane("two", "one"))
    assert told == {"one": {"threads": "3"}, "two": {"threads": "3"}}
    assert {stage.name for stage in loop.stages} == {"one", "two"}
    assert sorted(path.name[3:] for path in (tmp_path / "logs").iterdir()) == ["one.log", "two.log"]


def test_a_lane_that_fails_ends_the_others_and_is_told(loop: demo.Demo) -> None:
    start = time.monotonic()
    with pytest.raises(SystemExit, match=r"^fails ended with exit code 3:\nno room"):
        loop.together(
            lambda: run(loop, "fails", "sys.stderr.write('no room'); sys.exit(3)"),
            lambda: run(loop, "goes on", "time.sleep(100)"),
        )
    assert time.monotonic() - start < 60
    assert loop.running == []
