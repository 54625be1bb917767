"""What the package is made of, and what it needs."""

import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

CLIENT = Path(__file__).parents[2] / "client"
ALONE = """
import sys

class Nothing:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in ALLOWED and top not in sys.stdlib_module_names and not top.startswith("_sysconfigdata"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Nothing())
import vitrina_client
vitrina_client.Client("http://shop").close()
"""
OURS = {"vitrina_client", "httpx", "pydantic"}
THEIRS = {"annotated_types", "anyio", "certifi", "h11", "httpcore", "idna", "pydantic_core", "sniffio", "typing_extensions"} | {
    "typing_inspection"
}
"""What httpx and pydantic need."""


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("generate_client", CLIENT / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_imports_httpx_and_pydantic_alone(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(CLIENT)}
    program = f"ALLOWED = {OURS | THEIRS}\n{ALONE}"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_it_is_a_wheel_of_its_own(tmp_path):
    copied = shutil.copytree(CLIENT, tmp_path / "client", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", "build"))
    program = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"
    done = subprocess.run([sys.executable, "-c", program, tmp_path], cwd=copied, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        names = {name for name in packed.namelist() if ".dist-info/" not in name}
        [metadata] = [packed.read(name).decode() for name in packed.namelist() if name.endswith("/METADATA")]
    written = {
        str(path.relative_to(CLIENT)) for path in (CLIENT / "vitrina_client").rglob("*") if path.suffix in (".py", ".typed")
    }
    assert names == written
    assert [line for line in metadata.splitlines() if line.startswith(("Requires", "Provides"))] == [
        "Requires-Python: >=3.11",
        "Requires-Dist: httpx>=0.27",
        "Requires-Dist: pydantic>=2.7",
    ]


@pytest.mark.slow
def test_nothing_is_older_than_the_service(script):
    # In a process of its own: it imports every route.
    environment = os.environ | {"PYTHONPATH": str(CLIENT.parent)}
    done = subprocess.run([sys.executable, CLIENT / "generate.py", "--check"], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_file_that_is_older_is_named(script, tmp_path, monkeypatch, capsys):
    old, new = tmp_path / "old.py", tmp_path / "new.py"
    old.write_text("1\n")
    new.write_text("2\n")
    monkeypatch.setattr(script, "HERE", tmp_path / "client")
    monkeypatch.setattr(script, "files", lambda: {old: "2\n", new: "2\n", tmp_path / "absent.py": "2\n"})
    monkeypatch.setattr(sys, "argv", ["generate.py", "--check"])
    assert script.main() == 1
    assert capsys.readouterr().err == "not what the service and `aio` say: old.py, absent.py; `make client` writes them again\n"
    assert old.read_text() == "1\n"
    monkeypatch.setattr(sys, "argv", ["generate.py"])
    assert script.main() == 0
    assert old.read_text() == "2\n"


@pytest.mark.parametrize(
    ("waiting", "plain"),
    [
        (
            "async def ask(self) -> AsyncIterator[int]:\n    yield await self.one()\n",
            "def ask(self) -> Iterator[int]:\n    yield self.one()\n",
        ),
        ("async with AsyncClient() as client:\n    await client.aclose()\n", "with Client() as client:\n    client.close()\n"),
        ("from asyncio import sleep\n", "from time import sleep\n"),
        ("awaited = 'asynchronous'\n", "awaited = 'asynchronous'\n"),
    ],
)
def test_the_synchronous_half_waits_for_nothing(script, waiting, plain):
    made = script.synchronous(f'"""A module\n\nof two lines."""\n\n{waiting}', "m.py")
    assert made == f'"""Made from `aio/m.py` by `make client`; do not edit it by hand."""\n\n{plain}'


def test_schemas_lose_what_the_service_checks(script):
    schema = {
        "title": "T",
        "description": "d",
        "anyOf": [{"required": ["image"]}],
        "additionalProperties": False,
        "properties": {
            "title": {"type": "string", "maxLength": 3, "pattern": "x", "title": "Title"},
            "image": {"type": "string", "format": "byte", "description": "a photo as base64"},
            "at": {"type": "string", "format": "date-time"},
            "kind": {"type": "string", "enum": ["a"]},
        },
    }
    sent, got = script.lean(schema, sent=True), script.lean(schema, sent=False)
    assert sent["properties"] == {
        "title": {"type": "string"},
        "image": {"type": "string", "customTypePath": "vitrina_client.sending.Photo", "description": "a photo as base64"},
        "at": {"type": "string", "format": "date-time"},
        "kind": {"type": "string", "enum": ["a"]},
    }
    assert got["properties"]["image"] == {"type": "string", "format": "byte", "description": "a photo as base64"}
    assert got["properties"]["kind"] == {"anyOf": [{"type": "string", "enum": ["a"]}, {"type": "string"}]}
    assert set(sent) == set(got) == {"description", "properties"}
