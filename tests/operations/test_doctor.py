"""The doctor names what is sick, and what to do."""

import importlib.metadata
import re
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from homes import settings_of

from configs.errors import VitrinaError
from database.jobs import Item, begin, newest, submit
from models import family
from operations import doctor


def test_pins_for_other_pythons_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    numpy = importlib.metadata.version("numpy")
    lock = tmp_path / "requirements.lock"
    lock.write_text(f"numpy==0.1 ; python_full_version < '3.0'\nnumpy=={numpy} ; python_full_version >= '3.0'\n    # via x\n")
    monkeypatch.setattr(doctor, "LOCK", lock)
    assert doctor._packages(settings_of(tmp_path)).startswith("1 pinned")


@pytest.mark.parametrize(("pin", "found"), [("numpy==0.1", "numpy .* \\(lock: ==0.1\\)"), ("no-such==1", "no-such is absent")])
def test_another_version_or_none_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pin: str, found: str) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text(pin + "\n")
    monkeypatch.setattr(doctor, "LOCK", lock)
    with pytest.raises(VitrinaError, match=found):
        doctor._packages(settings_of(tmp_path))


def test_a_home_that_is_a_file_is_a_finding_not_a_crash(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    finding = doctor._run("home", doctor._home, settings_of(tmp_path / "home"))
    assert not finding.ok
    assert "home" in finding.detail


@pytest.fixture
def resting(monkeypatch: pytest.MonkeyPatch) -> dict[str, str | None]:
    """What is said about two models that rest on product."""
    said: dict[str, str | None] = {"lower": None, "upper": None}
    monkeypatch.setattr(family, "names", lambda: ["lower", "product", "upper"])
    monkeypatch.setattr(family, "get", lambda name: SimpleNamespace(rests_on="product" if name in said else None))
    monkeypatch.setattr("registry.bases.behind", lambda settings, name: said[name])
    return said


def test_a_champion_that_rests_on_an_earlier_champion_is_found(resting: dict[str, str | None], tmp_path: Path) -> None:
    well = doctor._run("bases", doctor._bases, settings_of(tmp_path))
    assert well.ok
    assert well.detail.endswith("resting models: lower, upper")
    resting["upper"] = "upper version 2 rests on product version 3; champion is 4: `vitrina train upper` follows it"
    finding = doctor._run("bases", doctor._bases, settings_of(tmp_path))
    assert (finding.ok, finding.detail) == (False, resting["upper"])


def test_jobs_that_nobody_takes_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = settings_of(tmp_path)
    assert doctor._run("jobs", doctor._jobs, here).detail == "0 wait, 0 run"
    submit(here.database_url, "embeddings/batch", [Item(place=0, sent={})])
    assert doctor._run("jobs", doctor._jobs, here).ok
    monkeypatch.setattr(doctor, "PICKED_UP", timedelta(0))
    finding = doctor._run("jobs", doctor._jobs, here)
    assert not finding.ok
    assert re.fullmatch(r"1 jobs wait, the oldest for \d+ s; `vitrina worker` does them", finding.detail)
    begin(here.database_url, newest(here.database_url)[0].id, "product", 1)
    assert doctor._run("jobs", doctor._jobs, here).detail == "0 wait, 1 run"
