"""Commands take a catalogue in an S3-compatible store where they take a directory."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from bundles import tiny_catalogue
from commands import home_with_product, vitrina_here
from s3fs import S3FileSystem
from services import s3_server

pytestmark = pytest.mark.slow

SHOP = "s3://shop/catalogue"
ASK = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With version 1 of the product model."""
    return home_with_product(tmp_path_factory.mktemp("remote"))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_catalogue(tmp_path_factory.mktemp("shop") / "catalogue", products=120)


@pytest.fixture(scope="module")
def store(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Holds the same catalogue."""
    with s3_server(tmp_path_factory.mktemp("s3"), "shop") as address:
        files = S3FileSystem(key="key", secret="secret", endpoint_url=address, use_listings_cache=False)
        for table in shop.glob("*.parquet"):
            files.put_file(str(table), f"{SHOP}/{table.name}")
        yield address


@pytest.fixture
def said(
    home: Path, store: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, Any]]:
    """Exit code and JSON of a command, or the line with which it is refused."""
    for name, value in (ASK | {"AWS_ENDPOINT_URL": store}).items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str) -> tuple[int, Any]:
        done = vitrina_here(monkeypatch, capfd, home, *arguments, "--json")
        if done.stdout:
            return done.returncode, json.loads(done.stdout)
        (line,) = [line for line in done.stderr.splitlines() if line.startswith("vitrina: ")]
        return done.returncode, line

    return run


def test_validation_says_the_same_of_it(said: Callable[..., tuple[int, Any]], shop: Path) -> None:
    assert said("data", "validate", SHOP) == said("data", "validate", str(shop))


FAST = ("--set", "evaluation.bootstrap_samples=50", "--set", "evaluation.latency_calls=2", "--split", "all", "--env", "demo")


def test_a_version_measures_the_same_on_it(said: Callable[..., tuple[int, Any]], shop: Path) -> None:
    code, there = said("evaluate", "product@1", "--data", SHOP, *FAST)
    assert code == 0, there
    _, here = said("evaluate", "product@1", "--data", str(shop), *FAST)
    assert {name: there[name] for name in ("data", "n", "split")} == {name: here[name] for name in ("data", "n", "split")}
    accuracy = "article_type_accuracy"
    assert there["metrics"][accuracy] == here["metrics"][accuracy]


def test_rows_that_a_training_leaves_out_are_not_measured(
    said: Callable[..., tuple[int, Any]], shop: Path, tmp_path: Path
) -> None:
    shutil.copytree(shop, tmp_path / "catalogue")
    products = pd.read_parquet(shop / "products.parquet")
    products.loc[:4, "price"] = -1.0
    products.to_parquet(tmp_path / "catalogue" / "products.parquet")
    code, measured = said("evaluate", "product@1", "--data", str(tmp_path / "catalogue"), *FAST)
    assert (code, measured["n"]) == (0, len(products) - 5)


def test_it_is_scored_to_the_same_answers(said: Callable[..., tuple[int, Any]], shop: Path, tmp_path: Path) -> None:
    answers = []
    for data in (SHOP, str(shop)):
        code, told = said("score", "product@1", "--data", data, "--out", str(tmp_path / str(len(answers))))
        assert (code, told["n"], told["quarantined"]) == (0, 120, 0)
        answers.append(pd.read_parquet(tmp_path / str(len(answers)) / "scores"))
    pd.testing.assert_frame_equal(*answers)


def test_what_is_not_there_is_bad_input(said: Callable[..., tuple[int, Any]], store: str) -> None:
    line = f"vitrina: s3://mall/x: the store {store} says: The specified bucket does not exist"
    assert said("data", "validate", "s3://mall/x") == (2, line)
    code, line = said("evaluate", "product@1", "--data", f"{SHOP}/none")
    assert (code, line.startswith(f"vitrina: {SHOP}/none holds no catalogue table; known: products.parquet")) == (2, True)
    code, line = said("assess", "s3://shop", "--out", "out")
    assert (code, line.startswith("vitrina: s3://shop holds no catalogue table")) == (2, True)
