"""Whatever the file and the mapping say, an import ends in a catalogue or in one line, and nothing is half written."""

import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog.catalogue import Catalogue
from catalog.importing.mapping import MISSING, ImportMapping
from catalog.importing.run import import_table
from configs.errors import ConfigError, VitrinaError
from configs.load import validate
from tests.catalog.importing.bringing import mapping_of
from tests.catalog.importing.test_cases import BROKEN, CURRENCIES, DATES, LONGER, RETURNS, TWINS
from tests.catalog.importing.test_cases import MISSING as MARKS

CASES: list[tuple[str, dict[str, Any]]] = [
    (LONGER, {"more": {"article_type": "kind", "description": "text"}}),
    (BROKEN, {"more": {"article_type": "kind", "description": "text"}, "max_quarantined": 1.0}),
    (CURRENCIES, {"more": {"price": "price"}, "decimal": ",", "thousands": ".", "currency": "EUR", "max_quarantined": 0.6}),
    (MARKS, {"more": {"article_type": "kind", "price": "price"}}),
    (TWINS, {"more": {"article_type": "kind"}}),
    (DATES, {"more": {"listed_at": "added"}, "date_format": ["ISO8601", "%d.%m.%Y", "unix"]}),
    (
        "sku,name,category\n1,Polo,Clothing > Tops > Polo Shirts\n2,Mug,Kitchen|Cups|Mugs\n",
        {"split": {"category": {"fill": True}}},
    ),
    ('sku,name,more\n1,Polo,"colour=red,size=M"\n2,Mug,"{""glaze"": ""matt""}"\n', {"attribute_text": "more"}),
    (
        "sku,parent,name,price\nmug,,Mug,\nred,mug,Mug red,4\nblue,mug,Mug blue,5\n",
        {"more": {"price": "price"}, "variants": {"parent": "parent"}},
    ),
    (
        "sku,name,option,price\npolo,Polo,S,10\npolo,,M,11\ncap,Cap,one,5\n",
        {"more": {"price": "price"}, "variants": {"by": "sku", "options": {"Size": "option"}}},
    ),
    (RETURNS, {"table": "purchases", "where": "quantity > 0"}),
    ('sku\tname\tprice\n1\t"Retro mug\t4\n2\tPlain mug\t5\n', {"more": {"price": "price"}, "max_quarantined": 0.5}),
    ("sku;name;price\n1;Bell;1.299\n2;Helmet;49,90\n", {"more": {"price": "price"}, "decimal": ",", "thousands": "."}),
]
MUTATED = 200


def flip(data: bytearray, dice: random.Random) -> None:
    data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)


def cut(data: bytearray, dice: random.Random) -> None:
    del data[dice.randrange(1, len(data)) :]


def double(data: bytearray, dice: random.Random) -> None:
    lines = data.splitlines(keepends=True)
    lines.insert(dice.randrange(len(lines)), dice.choice(lines))
    data[:] = b"".join(lines)


def exchange(data: bytearray, dice: random.Random) -> None:
    one, other = dice.sample([b",", b";", b'"', b"\t", b".", b"\n", b"'", b"\r", b"-", b"\0", b"\xe9", "€".encode()], 2)
    data[:] = data.replace(one, other, dice.randrange(1, 4))


def mapping_for(said: dict[str, Any]) -> ImportMapping:
    if said.get("table") == "purchases":
        columns = {"user_id": "customer", "item_id": "sku", "timestamp": "when"}
        return ImportMapping.model_validate({**said, "columns": columns})
    return mapping_of(**said)


def ends_well(mapping: ImportMapping, content: bytes, folder: Path) -> bool:
    """Whether an import of that content came to a catalogue; what it came to is checked."""
    file = folder / "shop.csv"
    file.write_bytes(content)
    try:
        summary = import_table(mapping, file, out=folder / "out")
    except VitrinaError as error:
        assert len(str(error).splitlines()) == 1, str(error)
        assert "cannot be worked on" not in str(error), str(error)  # what the database says of our own SQL
        assert [path.name for path in folder.iterdir()] == ["shop.csv"]
        return False
    table = Catalogue.open(folder / "out").read(mapping.table)
    assert 0 < len(table) == summary.rows
    out = sum(summary.quarantined.values()) + sum(summary.left_out.values())
    assert summary.read == summary.rows + summary.filtered + summary.grouped + out or mapping.variants is not None
    return True


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(MUTATED))
def test_mutated_files_are_imported_or_refused_in_one_line(seed: int, tmp_path: Path) -> None:
    dice = random.Random(seed)
    content, said = CASES[seed % len(CASES)]
    data = bytearray(content.encode())
    mutations: list[Callable[[bytearray, random.Random], None]] = [flip, cut, double, exchange]
    for _ in range(dice.randrange(1, 4)):
        dice.choice(mutations)(data, dice)
        if len(data) < 2:
            break
    ends_well(mapping_for(said), bytes(data), tmp_path)


def test_the_cases_themselves_are_imported() -> None:
    for content, said in CASES[1:]:
        with tempfile.TemporaryDirectory() as folder:
            assert ends_well(mapping_for(said), content.encode(), Path(folder)), content


words = st.text(st.characters(codec="utf-8"), max_size=8)
cells = st.one_of(
    st.sampled_from(
        ["", "1", "4,50", "1.299", "€ 3", "2024-01-31", "a > b > c", "x=1, y=2", '{"a": "b"}', "Shirt", "SHIRT ", "'", '"']
    ),
    st.sampled_from(MISSING),
    words,
)
columns = st.sampled_from(["sku", "name", "price", "kind", "when", "a b", "col'umn", 'q"uote', "nowhere"])
texts = st.one_of(columns, words)


HEADER = ["sku", "name", "price", "kind", "when", "a b", "col'umn", 'q"uote']
known = st.sampled_from(HEADER)
OURS = ["price", "brand", "year", "listed_at", "split", "attributes", "colour"]
splits = st.fixed_dictionaries({}, optional={"by": words, "alternatives": words, "fill": st.booleans()})
FORMS = ["ISO8601", "unix", "unix_ms", "%d.%m.%Y"]
ACTIONS = ["drop", "refuse", "quarantine"]
FILES = ["{name}.jpg", "{", "{nowhere}", "x"]


@st.composite
def tables(draw: st.DrawFn) -> list[list[str]]:
    """Rows whose first two columns are mostly an id and a title."""
    rows = draw(st.lists(st.lists(cells, min_size=len(HEADER), max_size=len(HEADER)), min_size=1, max_size=5))
    for place, row in enumerate(rows):
        if draw(st.integers(0, 5)):
            row[:2] = [str(place), f"Mug {place}"]
    return rows


@st.composite
def mappings(draw: st.DrawFn) -> dict[str, Any]:
    """Mappings that are often right, and sometimes not."""
    ours = draw(st.sets(st.sampled_from(OURS), max_size=3))
    optional = {
        "constants": st.dictionaries(st.sampled_from(["season", "discounted_price", "usage"]), words, max_size=2),
        "ids": st.one_of(st.just("counted"), st.lists(columns, min_size=1, max_size=2)),
        "where": st.one_of(st.sampled_from(["price > 1", "name is given", "kind in (Shirt, a)"]), st.lists(words, max_size=2)),
        "missing": st.lists(words, max_size=3),
        "values": st.dictionaries(st.sampled_from(OURS), st.dictionaries(words, words, max_size=2), max_size=2),
        "decimal": st.sampled_from([".", ",", "x", "'"]),
        "thousands": st.sampled_from([".", ",", " ", "\\", "'"]),
        "currency": st.sampled_from(["EUR", "USD", "XXX"]),
        "date_format": st.lists(st.one_of(st.sampled_from(FORMS), words), min_size=1, max_size=3),
        "unreadable": st.dictionaries(st.sampled_from(["price", "listed_at", "year"]), st.sampled_from(ACTIONS)),
        "max_quarantined": st.sampled_from([0.0, 0.5]),
        "split": st.dictionaries(columns, splits, max_size=1),
        "fold": st.booleans(),
        "attributes": st.lists(texts, max_size=2),
        "attribute_pairs": st.fixed_dictionaries({"name": texts, "value": texts}),
        "attribute_text": texts,
        "tags": st.fixed_dictionaries({"column": columns}, optional={"separator": words, "attribute": words}),
        "variants": st.builds(
            lambda how, rest: {**how, **rest},
            st.one_of(st.fixed_dictionaries({"by": columns}), st.fixed_dictionaries({"parent": columns})),
            st.fixed_dictionaries({}, optional={"id": columns, "options": st.dictionaries(words, columns, max_size=2)}),
        ),
        "images": st.fixed_dictionaries({}, optional={"file": st.sampled_from(FILES), "columns": columns}),
    }
    chosen = draw(st.sets(st.sampled_from(sorted(optional)), max_size=4))
    mapped = {
        "title": "name",
        **{column: draw(known) for column in sorted(ours) if column != "colour" or not draw(st.integers(0, 9))},
    }
    if "ids" not in chosen:
        mapped["product_id"] = "sku"
    return {"columns": mapped, "max_quarantined": 1.0, **{name: draw(optional[name]) for name in sorted(chosen)}}


@pytest.mark.slow
def test_any_mapping_ends_in_a_catalogue_or_in_one_line() -> None:
    ended: list[bool] = []

    @settings(max_examples=300, suppress_health_check=list(HealthCheck))
    @given(mappings(), tables())
    def ends(said: dict[str, Any], rows: list[list[str]]) -> None:
        try:
            mapping = validate(ImportMapping, said, where="mapping.yaml")
        except ConfigError as error:
            assert len(str(error).splitlines()) == 1
            return
        quoted = [",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in [HEADER, *rows]]
        with tempfile.TemporaryDirectory() as folder:
            ended.append(ends_well(mapping, "\n".join(quoted).encode(), Path(folder)))

    ends()
    assert sum(ended) > 50  # it is not all refused
