"""The pictures of the README, taken from the pages that `make demo` left behind; the API's page is served for it, and closed.

    .venv/bin/python docs/pictures/make.py [--home .vitrina/demo]

Needs Chromium (`apt-get install chromium`). Writes evaluation.png, drift.png and api.png beside itself.
"""

import argparse
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

FOLDER = Path(__file__).parent
WIDTH = 900
"""Pixels of a picture, which is taken at twice the size and shrunk, so that small letters stay sharp."""

HEIGHTS = {"evaluation": 974, "drift": 746, "api": 946}
"""Pixels of each page that are shown, from its top."""

LIMIT = 150_000
"""Bytes of a picture at most."""


def main() -> None:
    """Take all three pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--home", type=Path, default=Path(".vitrina/demo"), help="what `make demo` wrote")
    home = parser.parse_args().home.resolve()
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        sys.exit("no Chromium: apt-get install chromium")
    evaluation = newest(home, "reports/evaluation/product/*.html")
    drift = newest(home, "reports/monitoring/product/*/drift.html")
    with api() as address:
        for name, page in (("evaluation", evaluation.as_uri()), ("drift", drift.as_uri()), ("api", address)):
            take(chromium, name, page)


def newest(home: Path, pattern: str) -> Path:
    """The page that was written last; of monitoring that is the one that says drift."""
    pages = sorted(home.glob(pattern), key=lambda path: path.stat().st_mtime)
    if not pages:
        sys.exit(f"{home} has no {pattern}; `make demo` makes it")
    return pages[-1]


@contextmanager
def api() -> Iterator[str]:
    """Address of the API's page, of every model; none is loaded, which the page does not need."""
    import logging

    import uvicorn

    from configs.schema import ServingConfig
    from configs.settings import Settings
    from serving.app import create_app
    from serving.document import NoChampion
    from serving.routes import discover

    logging.getLogger("serving").setLevel(logging.CRITICAL)  # that there is no champion is meant
    with tempfile.TemporaryDirectory() as state, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        settings = Settings(Path(state), f"sqlite:///{state}/vitrina.db", f"sqlite:///{state}/mlflow.db")
        application = create_app(settings, ServingConfig(port=port, models=tuple(discover())), NoChampion())
        server = uvicorn.Server(uvicorn.Config(application, host="127.0.0.1", port=port, log_level="warning"))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/"
        server.should_exit = True
        thread.join(timeout=20)


def take(chromium: str, name: str, page: str) -> None:
    """Photograph the top of a page."""
    out = FOLDER / f"{name}.png"
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder) / "shot.png"
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--hide-scrollbars"]
        flags += [f"--user-data-dir={folder}/profile", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
        flags += [f"--window-size={WIDTH + 200},{HEIGHTS[name]}", "--force-device-scale-factor=2", "--virtual-time-budget=15000"]
        subprocess.run([chromium, *flags, f"--screenshot={shot}", page], capture_output=True, timeout=180, check=True)
        picture = Image.open(shot).convert("RGB")
    height = round(picture.height * WIDTH / picture.width)
    small = picture.resize((WIDTH, height), Image.Resampling.LANCZOS)
    small.quantize(256, dither=Image.Dither.NONE).save(out, optimize=True)
    if out.stat().st_size > LIMIT:
        sys.exit(f"{out} has {out.stat().st_size:,} bytes; at most {LIMIT:,} belong into the README")
    sys.stdout.write(f"{out}: {out.stat().st_size:,} bytes\n")


if __name__ == "__main__":
    main()
