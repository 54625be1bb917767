"""The mappings on the page about importing are mappings."""

import re
from pathlib import Path

import pytest
import yaml

from catalog.importing.guessing.recipe import recipes
from catalog.importing.mapping import ImportMapping

PAGE = (Path(__file__).parents[3] / "docs" / "import.md").read_text(encoding="utf-8")
MAPPINGS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("text", MAPPINGS)
def test_every_example_is_a_mapping(text: str) -> None:
    ImportMapping.model_validate(yaml.safe_load(text))


def test_every_recipe_has_a_place_on_the_page() -> None:
    assert len(MAPPINGS) >= len(recipes()) > 5
    for recipe in recipes():
        shop = recipe.name.split(" of ")[-1].split(" for ")[-1]
        assert f"### {shop}\n" in PAGE
