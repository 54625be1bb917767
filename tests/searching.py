"""A service in a process of its own: for each line on standard input, the product that is nearest to the text that it holds."""

import sys
import time
from pathlib import Path

from homes import settings_of
from starlette.testclient import TestClient

from configs.schema import ServingConfig
from serving.app import create_app
from serving.source import PackedSource

SECONDS = 60


def main(home: Path, packed: Path) -> None:
    settings = settings_of(home)
    with TestClient(create_app(settings, ServingConfig(models=("product",)), PackedSource(packed))) as client:
        deadline = time.monotonic() + SECONDS
        while client.get("/readyz").status_code != 200:
            assert time.monotonic() < deadline, client.get("/readyz").text
            time.sleep(0.02)
        for line in sys.stdin:
            answer = client.post("/v1/search/similar", json={"text": line.strip(), "limit": 1})
            sys.stdout.write(f"{answer.json()['items'][0]['product_id']}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
