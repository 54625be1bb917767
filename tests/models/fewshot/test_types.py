import pandas as pd
import pytest

from configs.errors import VitrinaError
from models.fewshot.pools import chosen
from models.fewshot.types import TypesConfig, split_types


def products(types: int = 20, each: int = 12) -> pd.DataFrame:
    names = [f"type {code:02}" for code in range(types) for _ in range(each)]
    masters = ["Footwear" if name in ("type 00", "type 01") else "Apparel" for name in names]
    return pd.DataFrame({"product_id": range(len(names)), "article_type": names, "master_category": masters})


def test_each_type_is_in_one_part_with_the_shares_that_were_asked_for() -> None:
    found = split_types(products(), TypesConfig(validation=0.2, test=0.3))
    assert found.value_counts().to_dict() == {"train": 10, "test": 6, "validation": 4}
    assert found.index.is_unique


def test_it_depends_on_the_names_alone_and_a_new_type_moves_one_other_at_most() -> None:
    config = TypesConfig(validation=0.2, test=0.3)
    before, after = split_types(products(20), config), split_types(products(21), config)
    shuffled = split_types(products(20).sample(frac=1.0, random_state=1), config)
    pd.testing.assert_series_equal(before, shuffled)
    assert (before != after[before.index]).sum() <= 2  # one at each border
    assert (split_types(products(20), TypesConfig(validation=0.2, test=0.3, salt="other")) != before).any()


def test_rare_types_and_those_without_a_name_are_left_out() -> None:
    rows = pd.concat([products(10), products(1, 3).assign(article_type="rare"), products(1).assign(article_type=None)])
    assert "rare" not in split_types(rows, TypesConfig()).index
    assert "rare" in split_types(rows, TypesConfig(min_products=3)).index


@pytest.mark.parametrize("nothing", ["NA", " NA ", "", "  ", None])
def test_products_whose_type_says_nothing_are_no_type(nothing: str | None) -> None:
    rows = pd.concat([products(10), products(3).assign(article_type=nothing)])
    assert split_types(rows, TypesConfig()).index.tolist() == [f"type {code:02}" for code in range(10)]
    assert len(chosen(rows.reset_index(drop=True).assign(product_id=range(len(rows))), 5, "")) == 50


def test_departments_held_back_are_no_part_of_the_others() -> None:
    found = split_types(products(), TypesConfig(novel=("Footwear",)))
    assert found[found == "novel"].index.tolist() == ["type 00", "type 01"]
    assert (found != "novel").sum() == 18


def test_what_cannot_be_is_told_in_one_line() -> None:
    with pytest.raises(VitrinaError, match="no product has the master category 'Shoes'; there are: Apparel, Footwear"):
        split_types(products(), TypesConfig(novel=("Shoes",)))
    with pytest.raises(VitrinaError, match=r"6 article types have 10 products or more; each part needs 2 \(validation: 1\)"):
        split_types(products(6), TypesConfig())
    with pytest.raises(ValueError, match="validation \\+ test is 1; it must stay below 1"):
        TypesConfig(validation=0.5, test=0.5)


def test_products_of_a_type_are_chosen_by_their_ids() -> None:
    rows = products(3, 12)
    few = chosen(rows, 5, "salt")
    assert few["article_type"].value_counts().to_dict() == {"type 00": 5, "type 01": 5, "type 02": 5}
    assert set(few["product_id"]) == set(chosen(rows.sample(frac=1.0, random_state=0), 5, "salt")["product_id"])
    assert set(few["product_id"]) <= set(chosen(rows, 6, "salt")["product_id"])
