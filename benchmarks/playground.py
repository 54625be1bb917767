"""How long until the playground gives its first useful answer, and what does it add to the start of `vitrina serve`?

The service is started with and without the page, in turn, and timed until it is ready; then a browser with nothing kept opens the
page, and is timed until the first listing is priced and judged. The models are the small bundles of the tests.

    OMP_NUM_THREADS=1 PYTHONPATH=.:client:tests python -m benchmarks.playground [--rounds 3]
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
from browser.test_playground import CHROMIUM, shop
from playwright.sync_api import sync_playwright

from benchmarks.machine import write
from benchmarks.serving_load import free_port
from configs.schema import PlaygroundConfig, ServingConfig
from configs.settings import Settings
from serving.run import command, with_all_models

LONGEST = 600.0


def main() -> None:
    """Measure in turn, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dry", action="store_true", help="print the result, write no file")
    options = parser.parse_args()
    before = round(os.getloadavg()[0], 1)
    starts: dict[bool, list[float]] = {False: [], True: []}
    opened: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        settings = shop(Path(folder) / "home")
        for _ in range(options.rounds):
            for enabled in (False, True):
                seconds, pages = start(settings, enabled)
                starts[enabled].append(seconds)
                opened += pages
    without, within = (statistics.median(starts[enabled]) for enabled in (False, True))
    result = {
        "rounds": options.rounds,
        "threads": int(os.environ.get("OMP_NUM_THREADS", "0")),
        "load_average_before": before,
        "start_seconds": {"without": [round(x, 2) for x in starts[False]], "with": [round(x, 2) for x in starts[True]]},
        "start_seconds_added": round(within - without, 2),
        "first_answer_seconds": [round(x, 2) for x in opened],
        "first_answer_seconds_median": round(statistics.median(opened), 2),
    }
    if not options.dry:
        write("playground", result)
    sys.stdout.write(json.dumps(result, indent=1) + "\n")


def start(settings: Settings, enabled: bool) -> tuple[float, list[float]]:
    """Seconds until the service is ready and, where the page is enabled, from opening it to the first answer."""
    config = with_all_models(settings, ServingConfig(port=free_port(), playground=PlaygroundConfig(enabled=enabled)))
    arguments, environment = command(settings, config)
    url = f"http://127.0.0.1:{config.port}"
    with (settings.home / "serve.log").open("w") as log:
        begun = time.perf_counter()
        process = subprocess.Popen(arguments, env=environment, stdout=log, stderr=log)
        try:
            while not _ready(url):
                if process.poll() is not None or time.perf_counter() - begun > LONGEST:
                    sys.exit((settings.home / "serve.log").read_text()[-2000:])
                time.sleep(0.05)
            return time.perf_counter() - begun, [first_answer(url)] if enabled else []
        finally:
            process.terminate()
            process.wait(60)


def first_answer(url: str) -> float:
    """Seconds from opening the page to the first score, once Gradio is there."""
    httpx.get(f"{url}/playground/", timeout=LONGEST).raise_for_status()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        begun = time.perf_counter()
        page.goto(f"{url}/playground/")
        page.locator("#v-listing-quality .v-ring").wait_for(timeout=1000 * LONGEST)
        seconds = time.perf_counter() - begun
        browser.close()
    return seconds


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


if __name__ == "__main__":
    if shutil.which(CHROMIUM or "") is None:
        sys.exit("no Chromium: apt-get install chromium")
    main()
