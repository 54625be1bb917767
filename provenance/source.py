"""Which source a result depends on: a cached result or a checkpoint is taken again only by the code that made it.

ZenML hashes a step's own code but not what the step calls (zenml#1011), so each cached step has such a digest among its inputs.
It covers the files that are reached from a folder by following imports: what is not imported changes nothing, and neither does
a model that is added. A model does not import the one it rests on, which is loaded by its name: that name is read from the source
of its family.
"""

import ast
import hashlib
import subprocess
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
ARTIFACTS = ("steps/results.py", "steps/materializers.py")
"""What steps hand each other, and how it is stored."""
INDEXING = "serving/search/building.py"
"""What makes an index."""
SCORING = "scoring/shard.py"
"""What answers for the rows of a table."""


def model_source(model: str, root: Path = ROOT) -> str:
    """Digest of the source that turns a delivery into a measured `model`: its folder, those it rests on, and what they import."""
    return _digest(root, (*_folders(model, root), *ARTIFACTS))


def index_source(model: str, root: Path = ROOT) -> str:
    """Digest of the source that turns a delivery and a bundle of `model` into an index of products."""
    return _digest(root, (*_folders(model, root), INDEXING, *ARTIFACTS))


def scoring_source(model: str, root: Path = ROOT) -> str:
    """Digest of the source that answers for the rows of a table with a bundle of `model`."""
    return _digest(root, (*_folders(model, root), SCORING))


def _folders(model: str, root: Path) -> list[str]:
    """Of a model and of those it rests on."""
    models = [model]
    while (under := rests_on(models[-1], root)) and under not in models:
        models.append(under)
    return [f"models/{name}" for name in models]


def rests_on(model: str, root: Path = ROOT) -> str | None:
    """The literal that `family.py` of a model gives to `rests_on`; None where there is none."""
    for node in ast.walk(ast.parse((root / "models" / model / "family.py").read_bytes())):
        match node:
            case ast.AnnAssign(target=ast.Name(id="rests_on"), value=ast.Constant(value=str(name))):
                return name
    return None


def validation_source(root: Path = ROOT) -> str:
    """Digest of the source that turns a delivery into a verdict."""
    return _digest(root, ("data_validation", *ARTIFACTS))


def git_commit(root: Path = ROOT) -> str:
    """Commit of this source, with `+changes` where the tree differs from it; `unknown` outside a checkout."""
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=True)  # noqa: S607
        dirty = subprocess.run(["git", "status", "--porcelain", "-uno"], cwd=root, capture_output=True, text=True, check=True)  # noqa: S607
    except (FileNotFoundError, subprocess.CalledProcessError):
        return "unknown"
    return head.stdout.strip() + ("+changes" if dirty.stdout.strip() else "")


def _digest(root: Path, starts: Iterable[str]) -> str:
    """Digest of names and contents of every file that is reached."""
    digest = hashlib.sha256()
    for path in sorted(reached(root, starts)):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def reached(root: Path, starts: Iterable[str]) -> set[Path]:
    """Files of `starts`, files or whole folders below `root`, and every file below `root` that they import in the end.

    An import counts wherever it stands: inside a function, or for type checkers alone. One that is put together while the
    program runs, as `models.family.get` does, is not followed.
    """
    found, names = set[Path](), set[str]()
    waiting = [path for start in starts for path in _files(root / start)]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        new = set(_names(path.read_bytes()) if path.suffix == ".py" else ()) - names
        names |= new
        waiting += (file for name in new for file in _run_by(name, root))
    return found


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return [file for file in path.rglob("*") if file.is_file() and "__pycache__" not in file.parts]


@lru_cache(maxsize=2048)
def _names(source: bytes) -> tuple[str, ...]:
    """Dotted names that a file imports: modules, or what is in one."""
    names = list[str]()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += (f"{node.module}.{alias.name}" for alias in node.names)
    return tuple(names)


def _run_by(name: str, root: Path) -> Iterator[Path]:
    """Files below `root` that run when the dotted `name` is imported: each package on the way, and the module itself."""
    place = root
    for part in name.split("."):
        place = place / part
        yield from (file for file in (place / "__init__.py", place.with_suffix(".py")) if file.is_file())
