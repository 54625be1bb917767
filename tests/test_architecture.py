"""Keeps the folder rules true: who may import whom, and who may import which library."""

import ast
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

GROUPS = [
    {"configs"},
    {"catalog", "database"},
    {"models"},
    {"data_validation", "registry", "monitoring", "provenance"},
    {"playground"},
    {"serving", "scoring"},
    {"steps"},
    {"pipelines"},
    {"operations"},
    {"jobs"},
    {"cli"},
]
RANK = {package: rank for rank, group in enumerate(GROUPS) for package in group}

ONLY_IN = {
    "ray": {"scoring"},
    "s3fs": {"catalog"},
    "botocore": {"catalog"},
    "kfp": {"pipelines"},
    "kubeflow_trainer_api": {"operations"},
    "kfp_server_api": {"pipelines"},
    "sqlalchemy": {"database"},
    "alembic": {"database"},
    "dbos": {"database", "jobs"},
    "torch": {"models"},
    "transformers": {"models"},
    "diffusers": {"models"},
    "torch_geometric": {"models"},
    "learn2learn": {"models"},
    "lightning": {"models"},
    "peft": {"models"},
    "onnx": {"models"},
    "onnxruntime": {"models"},
    "wandb": {"models"},
    "great_expectations": {"data_validation"},
    "mlflow": {"registry", "steps"},
    "evidently": {"monitoring"},
    "bentoml": {"serving"},
    "gradio": {"playground"},
    "zenml": {"steps", "pipelines"},
}

# Lightning's MLflow logger is made where MLflow may be imported.
EXCEPTIONS = {("steps", "lightning.pytorch.loggers")}


def sources() -> list[Path]:
    return [ROOT / "cli.py", *sorted(p for package in RANK if package != "cli" for p in (ROOT / package).rglob("*.py"))]


@cache
def imports(path: Path) -> list[tuple[int, str]]:
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative imports hide the arrow"
            found += [(node.lineno, _module(node.module or "", alias.name)) for alias in node.names]
    return found


def _module(package: str, name: str) -> str:
    """What `from package import name` imports: a module of that name where there is one, else the package."""
    inside = ROOT.joinpath(*package.split("."), name)
    return f"{package}.{name}" if inside.with_suffix(".py").is_file() or inside.is_dir() else package


def package_of(path: Path) -> str:
    relative = path.relative_to(ROOT)
    return relative.stem if len(relative.parts) == 1 else relative.parts[0]


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_follow_the_arrows(path: Path) -> None:
    package = package_of(path)
    for line, module in imports(path):
        imported = module.partition(".")[0]
        if imported in RANK and imported != package:
            assert RANK[imported] < RANK[package], f"{path}:{line}: {package} may not import {module}"
        if imported in ONLY_IN and (package, module) not in EXCEPTIONS:
            assert package in ONLY_IN[imported], f"{path}:{line}: {module} is imported only in {', '.join(ONLY_IN[imported])}"


FAMILIES = {path.parent.name for path in (ROOT / "models").glob("*/family.py")}


def family_of(module: str) -> str | None:
    """The model whose folder holds a dotted module, where one does."""
    parts = module.split(".")
    return parts[1] if parts[0] == "models" and len(parts) > 1 and parts[1] in FAMILIES else None


@pytest.mark.parametrize("path", sorted((ROOT / "models").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_models_know_each_other_as_families_alone(path: Path) -> None:
    own = family_of(".".join(path.relative_to(ROOT).with_suffix("").parts))
    for line, module in imports(path):
        other = family_of(module)
        if own is None:
            assert other is None, f"{path}:{line}: what models share may not import {module}"
        elif other not in (None, own):
            assert module == f"models.{other}.family", f"{path}:{line}: {own} may import models.{other}.family, not {module}"


def test_every_package_is_ranked() -> None:
    packages = {p.parent.name for p in ROOT.glob("*/__init__.py")}
    assert packages == set(RANK) - {"cli"} | {"benchmarks"}


def functions(path: Path) -> list[ast.FunctionDef]:
    return [n for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.FunctionDef)]


def decorated_with(node: ast.FunctionDef, name: str) -> bool:
    return any(name in {getattr(d, "id", None), getattr(getattr(d, "func", None), "id", None)} for d in node.decorator_list)


def body_lines(node: ast.FunctionDef) -> int:
    body = node.body[1:] if ast.get_docstring(node) else node.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


@pytest.mark.parametrize(("folder", "decorator", "limit"), [("steps", "step", 25), ("pipelines", "pipeline", 30)])
def test_steps_and_pipelines_stay_thin(folder: str, decorator: str, limit: int) -> None:
    found = [(p, n) for p in sorted((ROOT / folder).glob("*.py")) for n in functions(p) if decorated_with(n, decorator)]
    assert found
    for path, node in found:
        assert path.stem == node.name, f"{path} declares {node.name}"
        assert body_lines(node) <= limit, f"{path}: {node.name} has {body_lines(node)} lines"


CLIENT = ROOT / "client" / "vitrina_client"


@pytest.mark.parametrize("path", sorted(CLIENT.rglob("*.py")), ids=lambda p: str(p.relative_to(CLIENT)))
def test_the_client_imports_httpx_and_pydantic_alone(path: Path) -> None:
    allowed = {"httpx", "pydantic", "vitrina_client"} | sys.stdlib_module_names
    for line, module in imports(path):
        assert module.partition(".")[0] in allowed, f"{path}:{line}: the client may not import {module}"


@pytest.mark.slow
def test_the_playground_alone_imports_the_client() -> None:
    found = {
        package_of(path) for path in sources() for _, module in imports(path) if module.partition(".")[0] == "vitrina_client"
    }
    assert found == {"playground"}


def test_the_playground_is_a_client_like_any_other() -> None:
    allowed = {"gradio", "vitrina_client", "playground"} | sys.stdlib_module_names
    for path in sorted((ROOT / "playground").rglob("*.py")):
        for line, module in imports(path):
            assert module.partition(".")[0] in allowed, f"{path}:{line}: the playground may not import {module}"


def test_the_service_mounts_the_playground_in_one_place() -> None:
    found = {path for path in sources() for _, module in imports(path) if module.partition(".")[0] == "playground"}
    assert {path for path in found if package_of(path) != "playground"} == {ROOT / "serving" / "playground.py"}
