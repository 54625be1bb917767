"""`vitrina score`: a batch as a command, and what it says."""

import json
from pathlib import Path

import pytest
from commands import home_with_product, vitrina_here
from scored import BAD, PRODUCTS, bad_shop, check_whole

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With version 1 of the product model, and a shop."""
    root = home_with_product(tmp_path_factory.mktemp("score"))
    bad_shop(root / "shop")
    return root


def test_a_batch_and_the_same_again(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    asked = ("score", "product", "--data", str(home / "shop"), "--out", str(out), "--set", "shard_rows=30")
    done = vitrina_here(monkeypatch, capfd, home, *asked, "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["model"], said["version"], said["table"], said["engine"]) == ("product", "1", "products", "local")
    assert (said["n"], said["scored"], said["quarantined"], said["shards"]) == (PRODUCTS, PRODUCTS - len(BAD), len(BAD), 3)
    assert said == json.loads((out / "summary.json").read_text())
    check_whole(out)

    again = vitrina_here(monkeypatch, capfd, home, *asked, "--require-share", "0.99")
    assert again.returncode == 1, again.stderr
    assert again.stdout.splitlines() == [
        f"product version 1: {PRODUCTS - len(BAD)} of {PRODUCTS} rows of products answered",
        f"{len(BAD)} in quarantine, named in {out / 'quarantine'}; the first of them:",
        *(f"  row {row}, {'–' if row == 37 else 1003 if row == 20 else 1000 + row}: {why}" for row, why in BAD.items()),
        "3 files, 3 of them finished before",
        f"written: {out / 'scores'}",
    ]
    [line] = [line for line in again.stderr.splitlines() if line.startswith("vitrina: ")]
    assert line == f"vitrina: 94.4% of the rows were answered, 99.0% was asked for; see {out / 'quarantine'}"


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (("imagegen",), "model 'imagegen' scores no catalogue"),
        (("product@7",), "has no version 7"),
        (("product", "--table", "users"), "model 'product' scores no table 'users'; allowed: products, reviews"),
        (("product", "--engine", "spark"), "engine = 'spark'"),
        (("product", "--set", "shard_rows=0"), "shard_rows = 0"),
        (("product", "--data", "nowhere"), "nowhere is not a catalogue directory"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    asked: tuple[str, ...],
    says: str,
) -> None:
    out = tmp_path / "out"
    done = vitrina_here(monkeypatch, capfd, home, "score", *asked, "--data", str(home / "shop"), "--out", str(out), "--json")
    assert (done.returncode, done.stdout) == (2, "")
    [line] = [line for line in done.stderr.splitlines() if line.startswith("vitrina: ")]
    assert says in line
    assert not out.exists()
