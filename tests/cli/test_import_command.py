"""`vitrina data import`: what it prints where, and its exit codes."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

pytestmark = pytest.mark.slow

VITRINA = str(Path(sys.executable).with_name("vitrina"))
ROWS = 'sku,name,kind,price\n1,Polo,Shirt,"€ 1.299,50"\n2,Cap,shirt,"€ 5,00"\n3,Mug,Mug,cheap\n4,,Mug,\n'
MAPPING = (
    "columns: {product_id: sku, title: name, article_type: kind, price: price}\n"
    "images: {file: '{sku}.jpg'}\nmax_quarantined: 0.3\n"
)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "shop.csv").write_text(ROWS, encoding="utf-8")
    (tmp_path / "m.yaml").write_text(MAPPING, encoding="utf-8")
    (tmp_path / "photos").mkdir()
    return tmp_path


def run(*arguments: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([VITRINA, "data", "import", *arguments], capture_output=True, text=True, cwd=cwd, timeout=300)


def test_the_text_says_what_came_in_what_was_changed_and_what_was_left_out(shop: Path) -> None:
    done = run("--csv", "shop.csv", "--mapping", "m.yaml", "--images", "photos", "--out", "out", cwd=shop)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "2 rows of products from 4 in the file",
        "0 photos; 2 products have none",
        "prices in EUR",
        "quarantined: 1 row, price cannot be read; listed in out/import/products-quarantine.csv",
        "left out: 1 row, no title, description or photo; listed in out/import/products-quarantine.csv",
        "3 photos could not be found or read; listed in out/import/photos.csv",
        "- price: numbers are written 1.234,50",
        "- article_type: 'shirt' became 'Shirt' (1 row)",
        "WARNING: no product has a photo: not one of 2 was found below photos; "
        "such as 1.jpg: no such file below the image folder; 2.jpg: no such file below the image folder",
        "written: out",
    ]


def test_json_is_one_object_and_a_second_table_joins(shop: Path) -> None:
    done = run("--csv", "shop.csv", "--mapping", "m.yaml", "--out", "out", "--json", cwd=shop)
    summary = json.loads(done.stdout)
    assert (summary["rows"], summary["read"], summary["currency"], done.stderr) == (2, 4, "EUR", "")
    (shop / "r.csv").write_text("id,text\n1,fine\n")
    (shop / "r.yaml").write_text("table: reviews\ncolumns: {review_id: id, review: text}\n")
    done = run("--csv", "r.csv", "--mapping", "r.yaml", "--into", "out", "--json", cwd=shop)
    assert json.loads(done.stdout)["table"] == "reviews"
    assert pq.read_table(shop / "out" / "reviews.parquet").to_pylist() == [{"review_id": 1, "review": "fine"}]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--mapping", "m.yaml"), ("--out", "--into")),
        (("--mapping", "m.yaml", "--out", "out", "--into", "out"), ("exactly one",)),
        (("--mapping", "m.yaml", "--into", "nowhere"), ("nowhere", "not a directory")),
        (("--out", "out"), ("--mapping", "--guess")),
        (("--mapping", "none.yaml", "--out", "out"), ("none.yaml", "No such file")),
        (("--mapping", "strict.yaml", "--out", "out"), ("33 %", "at most 5 %", "line 4", "'cheap' is no number")),
        (("--mapping", "columns.yaml", "--out", "out"), ("has no column id", "sku, name")),
        (("--mapping", "key.yaml", "--out", "out"), ("colums", "columns")),
        (("--guess", "--mapping", "m.yaml"), ("m.yaml exists",)),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(arguments: tuple[str, ...], words: tuple[str, ...], shop: Path) -> None:
    (shop / "strict.yaml").write_text(MAPPING.replace("max_quarantined: 0.3", "where: name is given"))
    (shop / "columns.yaml").write_text("columns: {product_id: id}\n")
    (shop / "key.yaml").write_text("colums: {product_id: id}\n")
    done = run("--csv", "shop.csv", *arguments, cwd=shop)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("vitrina: ")
    for word in words:
        assert word in line
    assert not (shop / "out").exists()


def test_a_guess_goes_to_standard_output_or_to_a_new_file_and_imports(shop: Path) -> None:
    (shop / "good.csv").write_text(ROWS.replace(",cheap", ',"€ 3,00"'), encoding="utf-8")
    done = run("--csv", "good.csv", "--guess", cwd=shop)
    assert (done.returncode, done.stderr) == (0, "")
    assert "product_id: sku" in done.stdout
    assert json.loads(run("--csv", "good.csv", "--guess", "--json", cwd=shop).stdout)["mapping"].rstrip() == done.stdout.rstrip()
    assert "written: new.yaml" in run("--csv", "good.csv", "--guess", "--mapping", "new.yaml", cwd=shop).stdout
    assert (shop / "new.yaml").read_text(encoding="utf-8").rstrip() == done.stdout.rstrip()
    done = run("--csv", "good.csv", "--mapping", "new.yaml", "--out", "out", cwd=shop)
    assert done.returncode == 0, done.stderr
    assert pq.read_table(shop / "out" / "products.parquet")["price"].to_pylist() == [1299.5, 5.0, 3.0]
