"""The pictures of the README: of the pages that `make demo` left behind, of the API's page, and of what the browser test sees.

    .venv/bin/python docs/pictures/make.py [--home .vitrina/demo]

Needs Chromium (`apt-get install chromium`). Writes evaluation.png, drift.png, api.png and playground.png beside itself.
"""

import argparse
import os
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

HEIGHTS = {"evaluation": 850, "drift": 746, "api": 946}
"""Pixels of each page that are shown, from its top."""

SHOWN = (60, 0, 1220, 1290)
"""Left, top, right and bottom of what is shown of the playground's tab Listing, 1,280 pixels wide."""

LIMIT = 150_000
"""Bytes of a picture at most."""


def main() -> None:
    """Take all of them."""
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
    playground()


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
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder) / "shot.png"
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--hide-scrollbars"]
        flags += [f"--user-data-dir={folder}/profile", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
        flags += [f"--window-size={WIDTH + 200},{HEIGHTS[name]}", "--force-device-scale-factor=2", "--virtual-time-budget=15000"]
        subprocess.run([chromium, *flags, f"--screenshot={shot}", page], capture_output=True, timeout=180, check=True)
        picture = Image.open(shot).convert("RGB")
    write(name, picture)


def playground() -> None:
    """What the browser test sees of a listing."""
    test = ["tests/browser/test_playground.py", "-k", "test_a_listing_is_read and wide"]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pytest", "--quiet", *test]
        subprocess.run(
            command, cwd=FOLDER.parents[1], env=os.environ | {"VITRINA_TEST_PICTURES": folder}, timeout=900, check=True
        )
        write("playground", Image.open(Path(folder, "listing-1280.png")).convert("RGB").crop(SHOWN))


def write(name: str, picture: Image.Image) -> None:
    """A picture as small as the README takes it."""
    out = FOLDER / f"{name}.png"
    height = round(picture.height * WIDTH / picture.width)
    small = picture.resize((WIDTH, height), Image.Resampling.LANCZOS)
    small.quantize(256, dither=Image.Dither.NONE).save(out, optimize=True)
    if out.stat().st_size > LIMIT:
        sys.exit(f"{out} has {out.stat().st_size:,} bytes; at most {LIMIT:,} belong into the README")
    sys.stdout.write(f"{out}: {out.stat().st_size:,} bytes\n")


if __name__ == "__main__":
    main()
