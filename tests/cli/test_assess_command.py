"""`vitrina assess`: the quality of a whole catalogue as a table and a page."""

import json
from pathlib import Path

import pandas as pd
import pytest
from bundles import tiny_catalogue
from commands import home_with, vitrina, vitrina_here
from homes import settings_of

from registry.promotion import promote

pytestmark = pytest.mark.slow

PRODUCTS = 60


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With version 1 of the quality model, which is no champion yet."""
    return home_with("quality", tmp_path_factory.mktemp("assess"))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalogue that it has never seen, of whose rows one cannot be read."""
    folder = tiny_catalogue(tmp_path_factory.mktemp("shop") / "catalogue", products=PRODUCTS)
    products = pd.read_parquet(folder / "products.parquet")
    products.loc[7, "attributes"] = "not JSON"
    products.to_parquet(folder / "products.parquet", index=False)
    return folder


def test_the_champion_assesses_a_catalogue(
    home: Path, shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    without = vitrina_here(monkeypatch, capfd, home, "assess", str(shop), "--out", str(tmp_path / "none"), "--json")
    assert (without.returncode, without.stdout) == (2, "")
    assert "champion" in without.stderr
    assert not (tmp_path / "none").exists()
    settings = settings_of(home)
    promote(settings, "quality", 1, reviewer="Ada")

    out = tmp_path / "out"
    done = vitrina(home, "assess", str(shop), "--out", str(out), "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["model"], said["version"], said["n"], said["assessed"]) == ("quality", "1", PRODUCTS, PRODUCTS - 1)
    assert said["publish"] + said["hold"] == PRODUCTS - 1
    assert said["publish_share"] == said["publish"] / (PRODUCTS - 1)
    assert (said["problems"], said["passed"]) == ({"left out": 1}, None)
    assert sorted(path.name for path in out.iterdir()) == ["assessments.parquet", "index.html", "problems.parquet"]
    table = pd.read_parquet(said["assessments"])
    assert table["score"].between(0, 1).all()
    assert ((table["score"] >= said["threshold"]) == (table["verdict"] == "publish")).all()
    assert pd.read_parquet(said["problem_rows"])["row"].tolist() == [7]


def test_a_share_that_is_missed_is_a_no_and_the_page_is_there(
    home: Path, shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    few = tmp_path / "few"
    few.mkdir()
    products = pd.DataFrame({"product_id": ["a", "b", "b", None], "title": ["x", "NA", "x", "y"]})
    products.to_parquet(few / "products.parquet", index=False)
    out = tmp_path / "out"
    arguments = ("assess", str(few), "--out", str(out), "--model", "quality@1", "--require-share", "0.5")
    done = vitrina_here(monkeypatch, capfd, home, *arguments)
    assert done.returncode == 1, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "quality version 1: 1 of 4 rows assessed"
    assert lines[1].startswith("0 may be published (0.0%), 1 are held back; ")
    assert lines[3] == f"3 rows left out; listed in {out / 'problems.parquet'}"
    assert lines[-1] == f"report: {out / 'index.html'}"
    assert (out / "index.html").is_file()
    [line] = [line for line in done.stderr.splitlines() if line.startswith("vitrina: ")]
    assert line == f"vitrina: 0.0% of the listings may be published, 50.0% was asked for; see {out / 'index.html'}"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--model", "product@1"), "model 'product' assesses no catalogue; allowed: quality"),
        (("--model", "quality@9"), "has no version 9"),
        (("--out", "."), "exists and is not an empty folder"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(
    home: Path,
    shop: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    says: str,
) -> None:
    done = vitrina_here(monkeypatch, capfd, home, "assess", str(shop), "--out", str(tmp_path / "out"), *arguments, "--json")
    assert (done.returncode, done.stdout) == (2, "")
    [line] = [line for line in done.stderr.splitlines() if line.startswith("vitrina: ")]
    assert says in line
    assert not list(tmp_path.iterdir())
