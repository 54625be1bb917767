import json

import pytest

from catalog.errors import CatalogueError
from catalog.importing.attributes import NoAttributes, as_json, columns_like, numbered, parse
from catalog.importing.mapping import PairMapping


@pytest.mark.parametrize(
    ("text", "attributes"),
    [
        ("colour=red,size=M", {"colour": "red", "size": "M"}),
        ("colour: blue; size: one", {"colour": "blue", "size": "one"}),
        ("colour=red, blue, size=M", {"colour": "red, blue", "size": "M"}),
        ("colour=red, blue; size=M", {"colour": "red, blue", "size": "M"}),
        ("link: http://x.example/a", {"link": "http://x.example/a"}),
        ("colour=; size=M", {"size": "M"}),
        ('{"glaze": "matt", "cm": 12.5, "sizes": ["S", "M"], "none": null}', {"glaze": "matt", "cm": "12.5", "sizes": "S, M"}),
        ("{'glaze': 'matt'}", {"glaze": "matt"}),
        ('[{"key": "Fabric", "value": "Cotton"}, {"name": "Fit", "value": "Slim"}]', {"Fabric": "Cotton", "Fit": "Slim"}),
        ('{"specification"=>[{"key"=>"Fabric", "value"=>"Cotton"}]}', {"Fabric": "Cotton"}),
        ('{"colour"=>"red", "size"=>nil}', {"colour": "red"}),
        ("{}", {}),
    ],
)
def test_forms_of_attributes(text: str, attributes: dict[str, str]) -> None:
    assert parse(text) == attributes


@pytest.mark.parametrize("text", ["a nice one", "=red", "{'a': ", '{"a": {"b": 1}}', "[1, 2]", "{" * 5000, ";;", "red, size=M"])
def test_what_is_none_is_said(text: str) -> None:
    with pytest.raises(NoAttributes, match="is neither 'a=b, c=d' nor a JSON object"):
        parse(text)


def test_of_two_values_for_a_name_the_first_counts() -> None:
    assert json.loads(as_json([("a", None), (" a ", "1"), ("a", "2"), ("", "3"), ("b", " ")]) or "") == {"a": "1"}
    assert as_json([("a", None)]) is None


def test_columns_with_wildcards_keep_the_order_of_the_file() -> None:
    columns = ["sku", "attr:size", "attr:colour", "a[1]", "Material"]
    assert columns_like(["Material", "attr:*"], columns, "attributes") == ["attr:size", "attr:colour", "Material"]
    assert columns_like(["a[*"], columns, "attributes") == ["a[1]"]
    with pytest.raises(CatalogueError, match=r"attributes names 'meta:\*', which fits no column; the file has: sku, attr:size"):
        columns_like(["meta:*"], columns, "attributes")


def test_numbered_pairs_are_counted_as_far_as_they_go() -> None:
    pair = PairMapping(name="Attribute {n} name", value="Attribute {n} value(s)")
    columns = [f"Attribute {n} {what}" for n in (1, 2, 10) for what in ("name", "value(s)")]
    assert numbered([pair], [*columns, "Attribute 3 name"], "attribute_pairs") == [
        (f"Attribute {n} name", f"Attribute {n} value(s)") for n in (1, 2, 10)
    ]
    with pytest.raises(CatalogueError, match=r"attribute_pairs names 'Attribute \{n\} name' and"):
        numbered([pair], ["sku"], "attribute_pairs")


def test_numbers_keep_their_digits() -> None:
    assert parse('{"Weight": 1.50, "EAN": 4006381333931000001}') == {"Weight": "1.50", "EAN": "4006381333931000001"}
