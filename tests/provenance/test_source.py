"""Digests of source follow imports: what a model does not use cannot throw its cache away."""

import shutil
import subprocess
from pathlib import Path

import pytest

from models import family
from provenance.source import ARTIFACTS, ROOT, git_commit, index_source, model_source, reached, rests_on, validation_source

pytestmark = pytest.mark.slow

PACKAGES = (
    "configs",
    "catalog",
    "database",
    "models",
    "data_validation",
    "provenance",
    "registry",
    "monitoring",
    "serving",
    "steps",
)
SEVENTH = """
from models.family import Family
from models.layers import RMSNorm

class Seventh: ...

FAMILY = Seventh()
"""


RESTING = """
class Resting:
    rests_on: str | None = "{under}"

FAMILY = Resting()
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the source."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def change(path: Path) -> None:
    path.write_text(path.read_text() + "\n# changed\n")


def models(tree: Path) -> dict[str, str]:
    return {name: model_source(name, tree) for name in family.names()}


def changed(tree: Path, *paths: str) -> set[str]:
    """Models whose digest follows a change of `paths`."""
    before = models(tree)
    for path in paths:
        change(tree / path)
    after = models(tree)
    return {name for name in before if before[name] != after[name]}


def test_a_copy_of_the_source_has_its_digest(tree: Path) -> None:
    assert models(tree) == models(ROOT)
    assert validation_source(tree) == validation_source()
    assert len(set(models(tree).values())) == len(family.names())


def test_a_model_that_is_added_changes_no_other(tree: Path) -> None:
    before, validation = models(tree), validation_source(tree)
    folder = tree / "models" / "seventh"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "family.py").write_text(SEVENTH)
    assert models(tree) == before
    assert validation_source(tree) == validation
    assert model_source("seventh", tree) not in before.values()


def upon(name: str) -> set[str]:
    """A model, and those that rest on it."""
    return {name, *(other for other in family.names() if family.get(other).rests_on == name)}


@pytest.mark.parametrize("name", family.names())
def test_a_model_follows_its_own_folder_and_that_it_rests_on(tree: Path, name: str) -> None:
    assert changed(tree, f"models/{name}/config.py") == upon(name)


@pytest.mark.parametrize("name", family.names())
def test_what_a_model_rests_on_is_read_from_its_source(name: str) -> None:
    assert rests_on(name) == family.get(name).rests_on


def add(tree: Path, name: str, under: str) -> None:
    folder = tree / "models" / name
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "family.py").write_text(RESTING.format(under=under))


def test_a_model_follows_those_that_it_rests_on_and_they_do_not_follow_it(tree: Path) -> None:
    before = models(tree)
    add(tree, "lower", "product")
    add(tree, "upper", "lower")
    assert (rests_on("upper", tree), rests_on("lower", tree), rests_on("product", tree)) == ("lower", "product", None)
    assert models(tree) == before
    seen = [model_source("upper", tree)]
    for path in ("models/product/config.py", "models/lower/family.py", "models/upper/family.py"):
        change(tree / path)
        seen.append(model_source("upper", tree))
    change(tree / "models" / "recommender" / "config.py")
    assert model_source("upper", tree) == seen[-1]
    assert len(set(seen)) == 4


def test_models_that_rest_on_each_other_come_to_an_end(tree: Path) -> None:
    add(tree, "lower", "upper")
    add(tree, "upper", "lower")
    assert model_source("upper", tree) == model_source("lower", tree)


def test_a_shared_module_is_followed_by_those_who_import_it(tree: Path) -> None:
    (tree / "models" / "shared.py").write_text("WORDS = 1\n")
    with (tree / "models" / "recommender" / "config.py").open("a") as config:
        config.write("\ndef late() -> int:\n    from models.shared import WORDS\n\n    return WORDS\n")
    assert changed(tree, "models/shared.py") == {"recommender"}
    assert "product" in changed(tree, "models/layers.py")


@pytest.mark.parametrize("path", ["models/training/trainer.py", "steps/results.py"])
def test_every_model_follows_what_all_are_made_with(tree: Path, path: str) -> None:
    assert changed(tree, path) == set(family.names())


def test_no_model_follows_what_it_does_not_import(tree: Path) -> None:
    paths = ("models/tuning/study.py", "registry/register.py", "steps/check_gates.py", "data_validation/rules.py")
    assert changed(tree, *paths) == set()


def test_an_index_follows_what_makes_it_and_not_who_searches_it(tree: Path) -> None:
    seen = [index_source("product", tree)]
    assert seen == [index_source("product")]
    for path in ("serving/search/searcher.py", "serving/search/routes.py", "serving/app.py", "models/recommender/config.py"):
        change(tree / path)
    assert index_source("product", tree) == seen[0]
    for path in ("serving/search/building.py", "serving/search/index.py", "models/product/embed.py", "steps/results.py"):
        change(tree / path)
        seen.append(index_source("product", tree))
    assert len(set(seen)) == 5


def test_files_of_the_folder_that_are_not_python_count(tree: Path) -> None:
    before = models(tree)
    (tree / "models" / "product" / "words.json").write_text("[]")
    assert {name for name, digest in models(tree).items() if digest != before[name]} == upon("product")


def test_validation_does_not_follow_models(tree: Path) -> None:
    before = validation_source(tree)
    change(tree / "models" / "product" / "model.py")
    assert validation_source(tree) == before
    change(tree / "data_validation" / "rules.py")
    assert validation_source(tree) != before


def test_no_family_reaches_another() -> None:
    for name in family.names():
        folders = {path.relative_to(ROOT).parts[1] for path in reached(ROOT, (f"models/{name}", *ARTIFACTS))}
        assert folders & set(family.names()) == {name}


def test_imports_are_found_wherever_they_stand(tmp_path: Path) -> None:
    (tmp_path / "ours" / "deep").mkdir(parents=True)
    for name in ("__init__", "deep/__init__", "deep/a", "deep/b", "deep/c", "deep/d", "deep/alone"):
        (tmp_path / "ours" / f"{name}.py").write_text("")
    (tmp_path / "ours" / "deep" / "a.py").write_text("import ours.deep.b as b, json\n")
    (tmp_path / "start.py").write_text("from ours.deep import a\n\ndef late():\n    from ours.deep.c import x, y\n")
    found = {path.relative_to(tmp_path).as_posix() for path in reached(tmp_path, ["start.py"])}
    names = ("__init__", "deep/__init__", "deep/a", "deep/b", "deep/c")
    assert found == {"start.py", *(f"ours/{name}.py" for name in names)}


def test_a_commit_says_whether_the_tree_differs_from_it(tmp_path: Path) -> None:
    assert git_commit(tmp_path) == "unknown"

    def git(*arguments: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@example.com")
        return subprocess.run(["git", *who, *arguments], cwd=tmp_path, capture_output=True, text=True, check=True).stdout.strip()

    git("init")
    (tmp_path / "a.py").write_text("1")
    git("add", "a.py")
    git("commit", "-m", "first")
    assert git_commit(tmp_path) == git("rev-parse", "HEAD")
    (tmp_path / "a.py").write_text("2")
    assert git_commit(tmp_path) == git("rev-parse", "HEAD") + "+changes"
