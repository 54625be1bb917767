import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient

from registry.errors import RegistryError
from registry.register import mark_challenger
from registry.versions import Reference, alias_targets, find_alias, metrics, parse, registered_name, resolve, versions


def test_registered_names_carry_the_prefix():
    assert registered_name("product") == "vitrina-product"


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("product", Reference("product")),
        ("product@3", Reference("product", version=3)),
        ("product@champion", Reference("product", alias="champion")),
        ("product@my-alias_2", Reference("product", alias="my-alias_2")),
    ],
)
def test_references_are_read(text, reference):
    assert parse(text) == reference


BAD_VERSIONS = ["product@", "product@0", "product@-1", "product@latest", "product@v3", "product@٣"]
NO_REFERENCES = ["", "Product", "../product", "a@b@c", "x' OR name", *BAD_VERSIONS]


@pytest.mark.parametrize("text", NO_REFERENCES)
def test_what_is_no_reference_is_refused(text):
    with pytest.raises(RegistryError):
        parse(text)


def test_resolution_by_number_alias_and_default(settings, make_version):
    first, second, third = (make_version(settings) for _ in range(3))
    assert resolve(settings, "product") == third
    assert resolve(settings, "product@2") == second
    mark_challenger(settings, second)
    MlflowClient(settings.tracking_uri).set_registered_model_alias("vitrina-product", "champion", "1")
    assert resolve(settings, "product").version == first.version
    assert resolve(settings, "product@champion").aliases == ("champion",)
    assert resolve(settings, "product@challenger").version == 2
    assert alias_targets(settings, "product") == {"champion": 1, "challenger": 2}
    assert [v.version for v in versions(settings, "product")] == [3, 2, 1]
    assert find_alias(settings, "product", "previous") is None
    found = find_alias(settings, "product", "champion")
    assert found is not None and found.version == 1


def test_what_does_not_exist_is_answered_with_what_does(settings, make_version):
    with pytest.raises(RegistryError, match="no registered version yet; `vitrina train product` makes one"):
        resolve(settings, "product")
    assert versions(settings, "product") == []
    make_version(settings)
    mark_challenger(settings, make_version(settings))
    with pytest.raises(RegistryError, match="no version 7; versions: 2, 1; aliases: challenger → 2"):
        resolve(settings, "product@7")
    with pytest.raises(RegistryError, match="no alias 'champion'; versions: 2, 1; aliases: challenger → 2"):
        resolve(settings, "product@champion")


def test_a_version_carries_its_tags_card_and_metrics(settings, make_version):
    version = make_version(settings)
    assert version.tags["vitrina.data_fingerprint"] == "f00d"
    link, _, card = version.description.partition("\n\n")
    assert link.startswith("[Evaluation report](#/experiments/")
    assert link.endswith(f"/runs/{version.run_id}/artifacts/reports/evaluation.html)")
    assert card == "# Model card of 0\n"
    assert str(version) == "product@1"
    assert metrics(settings, version) == {"article_type_accuracy": 0.75}


@pytest.mark.slow
def test_importing_the_registry_imports_no_mlflow():
    program = (
        "import sys, registry.promotion, registry.fetch, registry.register, registry.runs; "
        "print([m for m in ('mlflow', 'torch', 'pandas') if m in sys.modules])"
    )
    root = Path(__file__).parents[2]
    assert subprocess.check_output([sys.executable, "-c", program], cwd=root, text=True).strip() == "[]"
