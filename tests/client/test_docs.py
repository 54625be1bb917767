"""What the pages of the client and of the API show is run."""

import argparse
import re
import shlex
from pathlib import Path

import httpx
import pytest

from tests.serving.conftest import photo
from vitrina_client import Client

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
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


REFUSED = {"10967": (404, "not_found"), "Vitrina-Alias: challenger": (409, "no_challenger")}
"""Examples about a product and a challenger that there are not here, by what marks them."""


def asked(line):
    """What curl would send: method, address, and the rest as httpx wants it."""
    curl = argparse.ArgumentParser(prog="curl")
    for flag in ("-s", "-i", "-N"):
        curl.add_argument(flag, action="store_true")
    for option in ("-X", "-d", "-o", "-D"):
        curl.add_argument(option)
    for option in ("-H", "-F"):
        curl.add_argument(option, action="append", default=[])
    curl.add_argument("url")
    told = curl.parse_args(shlex.split(line, comments=True)[1:])
    form = [field.split("=", 1) for field in told.F]
    return {
        "method": told.X or ("POST" if told.d or form else "GET"),
        "url": told.url,
        "headers": dict(header.split(": ", 1) for header in told.H),
        "content": told.d,
        "data": {name: value for name, value in form if not value.startswith("@")},
        "files": {name: (value[1:], photo()) for name, value in form if value.startswith("@")},
    }


@pytest.mark.slow
def test_every_request_of_the_api_is_answered(address):
    """One after the other, with the ids that those before answered with."""
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    blocks = "".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL)).replace("\\\n", "")
    lines = [line for line in re.split(r"^(?=curl |vitrina )", blocks, flags=re.MULTILINE) if line.startswith("curl ")]
    assert len(lines) == blocks.count("curl ") > 20
    known = {}
    for line in lines:
        for name, value in known.items():
            line = line.replace(name, value)
        answer = httpx.request(**asked(line.replace("http://127.0.0.1:3000", address)), timeout=60)
        refused = next((expected for mark, expected in REFUSED.items() if mark in line), None)
        if refused:
            assert (answer.status_code, answer.json()["error"]["code"]) == refused, line
            continue
        assert answer.status_code < 300, (line, answer.text)
        told = answer.json() if answer.headers["content-type"] == "application/json" else {}
        new = {
            mark: told[key] for mark, key in (("PREDICTION", "prediction_id"), ("TASK", "task_id"), ("JOB", "id")) if key in told
        }
        known = new | known  # feedback is about the first answer, which is product's
