"""How `make demo` runs commands side by side."""

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from PIL import Image

import demo
from configs.schema import ServingConfig
from configs.settings import Settings
from serving.app import create_app
from tests.serving.conftest import Source, wait_until


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


def says(path: Path, text: str) -> Path:
    """A command that says this of itself."""
    path.write_text(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(("state", "left"), [("running", True), ("starting", True), ("stopped", False)])
def test_what_an_earlier_demo_left_is_removed_unless_it_is_in_use(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, state: str, left: bool
) -> None:
    home = tmp_path / "home"
    (home / "reports").mkdir(parents=True)
    monkeypatch.setattr(demo, "HOME", home)
    stack = {"processes": [{"name": "mlflow", "state": "stopped"}, {"name": "api", "state": state}]}
    monkeypatch.setattr(demo, "VITRINA", says(tmp_path / "vitrina", json.dumps(stack)))
    if left:
        with pytest.raises(SystemExit, match=r"home is in use: api; end what runs first: VITRINA_HOME=.*vitrina down$"):
            demo.begin_anew()
    else:
        demo.begin_anew()
        demo.begin_anew()  # where nothing is left there is nothing to remove
    assert home.exists() == left


def test_a_home_that_nothing_is_known_of_is_not_removed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(demo, "HOME", tmp_path)
    monkeypatch.setattr(demo, "VITRINA", Path("/bin/false"))
    with pytest.raises(SystemExit, match="look at it, and remove it"):
        demo.begin_anew()
    assert tmp_path.exists()


def test_a_lane_that_fails_ends_the_others_and_is_told(loop: demo.Demo) -> None:
    start = time.monotonic()
    with pytest.raises(SystemExit, match=r"^fails ended with exit code 3:\nno room"):
        loop.together(
            lambda: run(loop, "fails", "sys.stderr.write('no room'); sys.exit(3)"),
            lambda: run(loop, "goes on", "time.sleep(100)"),
        )
    assert time.monotonic() - start < 60
    assert loop.running == []


@pytest.mark.slow
def test_four_products_are_drawn_and_kept(loop: demo.Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of four types, by their titles; the service's model is made up."""
    kinds = ["Shirts", "Shirts", "Shoes", "Belts", "Watches", "Bags"]
    bodies = [{"title": f"Blue {kind} {place}", "article_type": kind} for place, kind in enumerate(kinds)]
    monkeypatch.setattr(demo, "listings", lambda data, newest: [*bodies, {"title": "no type"}])
    settings = Settings(tmp_path, f"sqlite:///{tmp_path / 'v.db'}", f"sqlite:///{tmp_path / 'm.db'}")
    app = create_app(settings, ServingConfig(models=("imagegen",), poll_seconds=0.05), Source())
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started)
        port = server.servers[0].sockets[0].getsockname()[1]
        monkeypatch.setattr(demo, "ADDRESS", f"http://127.0.0.1:{port}")
        demo.follow("imagegen", "1")
        loop.draw("four products drawn", tmp_path)
    finally:
        server.should_exit = True
        thread.join()
    [stage] = loop.stages
    assert stage.verdict == ("score 0 to 1: Blue Shirts 1 0.41; Blue Shoes 2 0.51; Blue Belts 3 0.61; Blue Watches 4 0.71")
    assert stage.report == str(tmp_path / "images")
    made = [json.loads(Image.open(path).text["vitrina"]) for path in sorted((tmp_path / "images").iterdir())]  # type: ignore[attr-defined]
    assert [one["prompt"] for one in made] == ["Blue Shirts 1", "Blue Shoes 2", "Blue Belts 3", "Blue Watches 4"]
    assert [one["seed"] for one in made] == [4, 5, 6, 7]
    drawn = demo.drawn({"version": 1, "challenger": True, "metrics": {"type_agreement": 0.756, "real.type_agreement": 0.9}})
    assert drawn == "version 1 challenger: 75.6% of images show the type of their prompt, 90.0% of real photos"
