"""What the client's pages show is run."""

import re
from pathlib import Path

import pytest

from tests.serving.conftest import photo
from vitrina_client import Client

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("page", ["docs/client.md", "client/README.md", "README.md"])
def test_every_example_runs(page, address, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VITRINA_URL", address)
    (tmp_path / "belt.jpg").write_bytes(photo())
    examples = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
    assert examples
    known = {"__name__": "example"}
    for example in examples:
        exec(compile(example.replace("http://127.0.0.1:3000", address), page, "exec"), known)
    for client in known.values():
        if isinstance(client, Client):
            client.close()
