"""The whole loop on the sample catalogue, with the commands a user would type: `make demo`.

A delivery is validated, trained on, gated, registered, promoted and served; clients send listings, and ask what to buy
next; monitoring finds nothing. A third model is taught three types that no catalogue had, and rejects what is none of them. A
fourth says what is wrong with listings that were made worse, and its first suggestion mends them; a fifth writes descriptions
of which every sentence names the facts that it states; a sixth draws products by their titles. Then a second delivery arrives
that differs: monitoring says drift and starts the next run, whose version is promoted in its turn while the service goes on
answering.

Commands of which neither needs what the other makes run side by side, as they would on a shared machine.
"""

import base64
import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from catalog.catalogue import Catalogue
from catalog.errors import ImageError
from catalog.images import ImageStore, decode
from catalog.listing import CATEGORY_LEVELS
from catalog.splits import split_products
from configs.schema import SplitConfig
from vitrina_client import Client, ConnectionFailed, models

HOME = Path(".vitrina/demo").resolve()
VITRINA = Path(sys.executable).with_name("vitrina")
PORT = 3210
ADDRESS = f"http://127.0.0.1:{PORT}"
REQUESTS = 400
UP = "http://127.0.0.1:3000"
"""Where `vitrina up` serves; reports link to its page."""
ENVIRONMENT = os.environ | {"VITRINA_HOME": str(HOME), "VITRINA_ENV": "demo", "VITRINA_PLAYGROUND": UP}
ITEMS = 64
"""Listings that a request may hold."""
EXAMPLES, STRANGERS = 5, 40
MENDED, DESCRIBED, DRAWN = 40, 20, 4
WORDS = ("title", "description", "brand", "gender", "age_group", "base_colour", "season", "usage")
COLUMNS = (*WORDS, "master_category", "sub_category", "article_type")  # the last three are read by the price and quality heads

console = Console(width=170, highlight=False)


@dataclass
class Stage:
    """A line of the closing table."""

    name: str
    seconds: float
    verdict: str
    report: str


@dataclass
class Demo:
    """Runs the stages and keeps what they said."""

    stages: list[Stage] = field(default_factory=list)
    begun: Iterator[int] = field(default_factory=itertools.count)
    running: list[subprocess.Popen[str]] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=ENVIRONMENT.copy)
    stopped: bool = False

    def command(
        self, name: str, *arguments: str, verdict: Callable[[dict[str, Any]], str], allowed: tuple[int, ...] = (0,)
    ) -> dict[str, Any]:
        """Run one `vitrina` command with `--json`; its log goes to a file, its verdict into the table."""
        console.print(f"[bold]{name}[/bold]  [dim]vitrina {' '.join(arguments)}[/dim]")
        log = HOME / "logs" / f"{next(self.begun):02d}-{name.replace(' ', '-')}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        start = time.monotonic()
        with (
            log.open("w") as errors,
            subprocess.Popen(
                [VITRINA, *arguments, "--json"], stdout=subprocess.PIPE, stderr=errors, env=self.environment, text=True
            ) as process,
        ):
            self.running.append(process)
            if self.stopped:
                process.terminate()
            answer, _ = process.communicate()
            self.running.remove(process)
        seconds = time.monotonic() - start
        if process.returncode not in allowed:
            sys.exit(f"{name} ended with exit code {process.returncode}:\n{tail(log)}\nwhole log: {log}")
        result: dict[str, Any] = json.loads(answer)
        self.add(name, seconds, verdict(result), result.get("report", ""))
        return result

    def add(self, name: str, seconds: float, verdict: str, report: str = "") -> None:
        """Note a finished stage."""
        self.stages.append(Stage(name, seconds, verdict, report))
        console.print(f"  {name}: {verdict}  [dim]{seconds:.0f} s[/dim]")

    def together(self, *lanes: Callable[[], None]) -> None:
        """Run lanes of stages side by side, each with its share of the cores.

        Where one fails, the commands of the others are ended too.
        """
        threads = max(1, (os.cpu_count() or 1) // len(lanes))
        alone, self.environment = self.environment, {"OMP_NUM_THREADS": str(threads)} | self.environment
        with ThreadPoolExecutor(len(lanes)) as pool:
            started = [pool.submit(lane) for lane in lanes]
            done, going_on = wait_for(started, return_when=FIRST_EXCEPTION)
            self.stopped = bool(going_on)
            for process in tuple(self.running) if going_on else ():
                process.terminate()
            for lane in done:
                lane.result()
        self.environment = alone

    def promote(self, name: str, model: str, trained: dict[str, Any], note: str) -> None:
        """Make the version that a training registered champion."""
        version = str(trained["version"])
        self.command(name, "promote", model, version, "--reviewer", "demo", "--note", note, verdict=promoted)

    def send(self, name: str, listings: list[dict[str, Any]]) -> None:
        """Send listings to the service as a client would, one request each."""
        console.print(f"[bold]{name}[/bold]  [dim]POST /v1/multimodal/analyze × {len(listings)}[/dim]")
        start = time.monotonic()
        versions: dict[str, int] = {}
        with Client(ADDRESS) as client:
            for listing in listings:
                version = str(client.analyze(**listing).model.version)
                versions[version] = versions.get(version, 0) + 1
        made = ", ".join(f"{count} by version {version}" for version, count in versions.items())
        self.add(name, time.monotonic() - start, f"answered: {made}")

    def recommend(self, name: str, users: list[int]) -> None:
        """Ask what each user may like, tell that the first of it was bought, and ask again."""
        console.print(f"[bold]{name}[/bold]  [dim]POST /v1/recommendations, /events, again × {len(users)}[/dim]")
        start, gone = time.monotonic(), 0
        reasons: list[str] = []
        with Client(ADDRESS) as client:
            for user in users:
                [best, *_] = client.recommend(user_id=user).items
                client.tell_events([{"user_id": user, "item_id": best.item_id, "kind": "purchase"}])
                gone += best.item_id not in {item.item_id for item in client.recommend(user_id=user).items}
                reasons.append(best.reason.text)
        self.add(name, time.monotonic() - start, f"{gone} of {len(users)} answers know the purchase before; {reasons[0]}")

    def teach(self, name: str, before: Path, data: Path) -> None:
        """Teach the types that are new in a delivery, ask about other products of them, and about strangers."""
        console.print(f"[bold]{name}[/bold]  [dim]POST /v1/fewshot/adapt, /v1/fewshot/classify[/dim]")
        start = time.monotonic()
        taught, members, strangers = lesson(before, data)
        with Client(ADDRESS) as client:
            task = client.adapt_fewshot(name=name, examples=taught)
            answers = ask(client, task.task_id, [item for _, item in members])
            others = ask(client, task.task_id, [item for _, item in strangers])
        right = sum(answer.label == label for answer, (label, _) in zip(answers, members, strict=True))
        gone = sum(answer.none_of_these for answer in others)
        first = next((label for answer, (label, _) in zip(others, strangers, strict=True) if answer.none_of_these), "none")
        types = ", ".join(item.label for item in task.classes)
        said = f"{types} from {len(taught)} examples: {right} of {len(members)} named"
        verdict = f"{said}; {gone} of {len(strangers)} strangers rejected, the first a product of {first}"
        self.add(name, time.monotonic() - start, verdict)

    def mend(self, name: str, data: Path) -> None:
        """Make listings worse, one part each, assess them, and take what is suggested first."""
        console.print(f"[bold]{name}[/bold]  [dim]POST /v1/quality/assess: as it is, made worse, mended × {MENDED}[/dim]")
        start, found, raised, shown = time.monotonic(), 0, 0, ""
        good = listings(data, newest=False)[:MENDED]
        with Client(ADDRESS) as client:
            for body, bad in zip(good, worse(good), strict=True):
                before, after = client.assess_quality(**body), client.assess_quality(**bad)
                found += after.score < before.score
                ready = [improvement for improvement in after.improvements or () if improvement.change]
                if not ready:
                    continue
                mended = client.assess_quality(**applied(bad, ready[0].change))
                raised += mended.score > after.score
                scores = " → ".join(f"{answer.score:.2f}" for answer in (before, after, mended))
                shown = shown or f"{after.axes[0].evidence[0].text} {ready[0].text} {scores}"
        verdict = f"{found} of {MENDED} made worse score lower, {raised} mended by the first suggestion: {shown}"
        self.add(name, time.monotonic() - start, verdict)

    def describe(self, name: str, data: Path) -> None:
        """Write descriptions, and count the sentences that name the facts they state."""
        console.print(f"[bold]{name}[/bold]  [dim]POST /v1/generate/description × {DESCRIBED}[/dim]")
        start, bodies = time.monotonic(), [{k: v for k, v in b.items() if k != "image"} for b in listings(data, newest=False)]
        with Client(ADDRESS) as client:
            texts = [client.generate_description(**body) for body in bodies[:DESCRIBED]]
        sentences = [sentence for text in texts for sentence in text.description.sentences]
        stating = sum(bool(sentence.facts) for sentence in sentences)
        first = next(sentence for sentence in sentences if sentence.facts)
        facts = ", ".join(f"{fact.name} {fact.value}" for fact in first.facts)
        self.add(name, time.monotonic() - start, f"{stating} of {len(sentences)} sentences state facts: {first.text} [{facts}]")

    def embed(self, name: str, listings: list[dict[str, Any]]) -> None:
        """Leave a delivery's listings as a job, take its results, and leave it again: the second time nothing is computed."""
        console.print(
            f"[bold]{name}[/bold]  [dim]POST /v1/embeddings/batch, Prefer: respond-async, × {len(listings)}, twice[/dim]"
        )
        start, seconds = time.monotonic(), list[float]()
        with Client(ADDRESS) as client:
            for _ in range(2):
                begun = time.monotonic()
                job = client.embed_batch_job(listings)
                job.wait(timeout=300, progress=False)
                done = len(list(job.result()))
                seconds.append(time.monotonic() - begun)
        told = f"{done} of {len(listings)} embedded in {seconds[0]:.1f} s; left again, kept answers in {seconds[1]:.1f} s"
        self.add(name, time.monotonic() - start, told)

    def search(self, name: str, body: dict[str, Any]) -> None:
        """Find what is like a listing's title, hide the best of it, and find again."""
        console.print(f"[bold]{name}[/bold]  [dim]POST /v1/search/similar, PUT /v1/catalog/products/{{id}}[/dim]")
        start, asked = time.monotonic(), {"text": body["title"], "limit": 5}
        with Client(ADDRESS) as client:
            found = client.search_similar(**asked)
            [best, *_] = found.items
            client.put_product(best.product_id, hidden=True)
            left = client.search_similar(**asked).items
        hidden = "it is gone from the next answer" if best.product_id not in {item.product_id for item in left} else "STILL THERE"
        told = f"{body['title']!r} among {found.products:,}: {best.title} {best.score:.2f}; hidden, {hidden}"
        self.add(name, time.monotonic() - start, told)

    def draw(self, name: str, data: Path) -> None:
        """Draw products of different types by their titles, the best of four images each, and keep the files."""
        console.print(f"[bold]{name}[/bold]  [dim]POST /v1/generate/image × {DRAWN}[/dim]")
        start, folder, told = time.monotonic(), HOME / "images", list[str]()
        folder.mkdir(parents=True, exist_ok=True)
        bodies = {body["article_type"]: body for body in listings(data, newest=False) if body.keys() >= {"title", "article_type"}}
        with Client(ADDRESS, timeout=90) as client:
            for place, body in enumerate(list(bodies.values())[:DRAWN], start=1):
                [best] = client.generate_image(prompt=body["title"], candidates=4, seed=place).images
                (folder / f"{place}.png").write_bytes(best.png)
                told.append(f"{body['title']} {best.score.overall:.2f}")
        self.add(name, time.monotonic() - start, f"score 0 to 1: {'; '.join(told)}", str(folder))


def main() -> None:
    """Run every stage, then say where things lie and what to type next."""
    begin_anew()
    started = time.monotonic()
    first, second = HOME / "data" / "first", HOME / "data" / "second"
    demo = Demo()
    demo.command("sample delivery", "data", "sample", "--out", str(first), verdict=lambda _: "2,400 products written")
    demo.command("validate", "data", "validate", str(first), verdict=checked)

    with ExitStack() as until_the_end:

        def product() -> None:
            trained = demo.command("train", "train", "product", "--data", str(first), verdict=measured)
            demo.promote("promote", "product", trained, "first version")

        def recommender() -> None:
            trained = demo.command("train recommender", "train", "recommender", "--data", str(first), verdict=ranked)
            demo.promote("promote recommender", "recommender", trained, "first version")
            until_the_end.enter_context(serving(demo, "recommender"))
            later = ("data", "sample", "--drift", "--out", str(second))
            demo.command("second delivery", *later, verdict=lambda _: "new products that differ, for later")

        def fewshot() -> None:
            trained = demo.command("train fewshot", "train", "fewshot", "--data", str(first), verdict=learned)
            demo.promote("promote fewshot", "fewshot", trained, "first version")
            follow("fewshot", "1")
            demo.teach("three new types", first, second)

        def calm() -> None:
            follow("product", "1")
            demo.send("calm traffic", listings(first, newest=False))
            demo.recommend("recommendations", list(range(1, 51)))
            demo.command("monitor", "monitor", verdict=watched, allowed=(0, 1))
            trained = demo.command("train quality", "train", "quality", "--data", str(first), verdict=judged)
            demo.promote("promote quality", "quality", trained, "first version")
            follow("quality", "1")
            demo.mend("listings mended", first)

        def generators() -> None:
            trained = demo.command("train describer", "train", "describer", "--data", str(first), verdict=written)
            demo.promote("promote describer", "describer", trained, "first version")
            follow("describer", "1")
            demo.describe("descriptions", first)
            trained = demo.command("train imagegen", "train", "imagegen", "--data", str(first), verdict=drawn)
            demo.promote("promote imagegen", "imagegen", trained, "first version")
            follow("imagegen", "1")
            demo.draw("four products drawn", first)

        def drift() -> None:
            demo.send("drifted traffic", listings(second, newest=True))
            retrained = demo.command("monitor and retrain", "monitor", "--retrain", "--data", str(second), verdict=watched)
            demo.promote("promote again", "product", retrained["training"], "follows the drift")
            follow("product", str(retrained["training"]["version"]))
            demo.send("after the swap", listings(second, newest=True)[:50])
            demo.embed("embeddings as a job", listings(second, newest=True))
            demo.search("search", listings(first, newest=False)[0])

        demo.together(product, recommender)
        demo.together(fewshot, calm)
        demo.together(drift, generators)
    scores = ("score", "product", "--data", str(second), "--out", str(HOME / "scores"))
    demo.command("every product scored", *scores, verdict=scored)
    demo.command("history", "history", "product", verdict=lambda r: f"{len(r['promotions'])} rows in the ledger")
    summary(demo, time.monotonic() - started, second)


def begin_anew() -> None:
    """Remove what an earlier demo left, unless somebody uses it."""
    if not HOME.exists():
        return
    told = subprocess.run([VITRINA, "status", "--json"], env=ENVIRONMENT, capture_output=True, text=True, check=False)
    if not told.stdout:
        sys.exit(f"{told.stderr}{HOME} is not as a demo leaves it: look at it, and remove it")
    using = [process["name"] for process in json.loads(told.stdout)["processes"] if process["state"] != "stopped"]
    if using:
        sys.exit(f"{HOME} is in use: {', '.join(using)}; end what runs first: VITRINA_HOME={HOME} {VITRINA} down")
    console.print(f"[dim]removing {HOME}, which an earlier demo left[/dim]")
    shutil.rmtree(HOME)


def checked(result: dict[str, Any]) -> str:
    """Verdict of a validation."""
    broken = sum(not check["passed"] for check in result["checks"])
    return f"{'passed' if result['passed'] else 'FAILED'}: {len(result['checks'])} checks, {broken} found something"


def measured(result: dict[str, Any]) -> str:
    """Verdict of a training run."""
    metrics = result["metrics"]
    state = "challenger" if result["challenger"] else "gates FAILED"
    figures = f"article type {metrics['article_type_accuracy']:.1%}, price RMSLE {metrics['price_rmsle']:.3f}"
    return f"version {result['version']} {state}: {figures}"


def ranked(result: dict[str, Any]) -> str:
    """Verdict of a recommender's training."""
    metrics = result["metrics"]
    state = "challenger" if result["challenger"] else "gates FAILED"
    popular = f"popularity alone {metrics['popularity.hit_rate_at_10']:.1%}"
    return f"version {result['version']} {state}: next purchase among 10 for {metrics['hit_rate_at_10']:.1%}, {popular}"


def learned(result: dict[str, Any]) -> str:
    """Verdict of a few-shot training."""
    metrics = result["metrics"]
    state = "challenger" if result["challenger"] else "gates FAILED"
    one, five = metrics["accuracy_5way_1shot"], metrics["accuracy_5way_5shot"]
    figures = f"one of 5 new types by an example each {one:.1%}, by five {five:.1%}"
    return f"version {result['version']} {state}: {figures}"


def judged(result: dict[str, Any]) -> str:
    """Verdict of the training of a model of quality."""
    metrics = result["metrics"]
    state = "challenger" if result["challenger"] else "gates FAILED"
    figures = (
        f"a listing made worse scores lower {metrics['twin_order']:.1%}, the fault is named {metrics['fault_attribution']:.1%}"
    )
    return f"version {result['version']} {state}: {figures}"


def written(result: dict[str, Any]) -> str:
    """Verdict of a describer's training."""
    metrics = result["metrics"]
    state = "challenger" if result["challenger"] else "gates FAILED"
    true, told = metrics["attribute_precision"], metrics["attribute_coverage"]
    return f"version {result['version']} {state}: {true:.1%} of what is stated is given, {told:.1%} of what is given is stated"


def drawn(result: dict[str, Any]) -> str:
    """Verdict of the training of an image generator."""
    metrics = result["metrics"]
    state = "challenger" if result["challenger"] else "gates FAILED"
    shown, real = metrics["type_agreement"], metrics["real.type_agreement"]
    return f"version {result['version']} {state}: {shown:.1%} of images show the type of their prompt, {real:.1%} of real photos"


def scored(result: dict[str, Any]) -> str:
    """Verdict of a batch."""
    set_aside = f"{result['quarantined']} in quarantine, each with the reason"
    return f"{result['scored']:,} of {result['n']:,} products answered, {set_aside}"


def promoted(result: dict[str, Any]) -> str:
    """Verdict of a promotion."""
    return f"champion is version {result['champion']}"


def watched(result: dict[str, Any]) -> str:
    """Verdict of monitoring."""
    return result["verdict"] + (f"; {result['retraining']}" if result["retraining"] else "")


def listings(data: Path, newest: bool) -> list[dict[str, Any]]:
    """Request bodies from a delivery: products that the model was not fitted on, or the newest ones."""
    rows = pd.read_parquet(data / "products.parquet").drop_duplicates("product_id")
    rows = rows[(rows["price"] > 0) & (rows["title"].str.strip() != "")]
    rows = rows.nlargest(REQUESTS, "product_id") if newest else rows[split_products(rows, SplitConfig()) == "test"]
    photos = Catalogue.open(data).images
    return [listing(row, photos) for row in rows.to_dict("records")]


def listing(row: Any, photos: ImageStore, columns: Sequence[str] = COLUMNS) -> dict[str, Any]:
    """The request body of a product."""
    body = {name: row[name] for name in columns if isinstance(row[name], str) and row[name]}
    body |= {"price": row["price"], "attributes": json.loads(row["attributes"])}
    if (photo := photos.get(row["product_id"])) and is_whole(photo):
        body["image"] = base64.b64encode(photo).decode()
    return body


def lesson(before: Path, data: Path) -> tuple[list[dict[str, Any]], list[tuple[str, Any]], list[tuple[str, Any]]]:
    """Examples of the types that a delivery is the first to have; more products of them; and strangers: what the shop had before.

    The new delivery words all its products in a new way. Strangers of its own are taken for the new types more often: words that
    are new to the model bring them together.
    """
    old, rows = (pd.read_parquet(folder / "products.parquet").drop_duplicates("product_id") for folder in (before, data))
    newest = rows.nlargest(REQUESTS, "product_id")
    new = newest[~newest["article_type"].isin(old["article_type"])]
    place = new.groupby("article_type").cumcount()

    def told(part: pd.DataFrame, of: Path) -> list[tuple[str, Any]]:
        photos = Catalogue.open(of).images
        return [(row["article_type"], listing(row, photos, WORDS)) for row in part.to_dict("records")]

    taught = [{"label": label, **body} for label, body in told(new[place < EXAMPLES], data)]
    members = told(new[place.between(EXAMPLES, EXAMPLES + STRANGERS)], data)
    return taught, members, told(old.nlargest(STRANGERS, "product_id"), before)


def ask(client: Client, task: str, items: list[dict[str, Any]]) -> list[models.ClassifiedItem]:
    """What a task says of some listings, as many a request as one may hold."""
    parts = (items[start : start + ITEMS] for start in range(0, len(items), ITEMS))
    return [answer for part in parts for answer in client.classify_fewshot(task_id=task, items=part).items]


def worse(bodies: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Each listing with one part made worse in its turn: ten times the price, another's categories, no attributes."""
    for place, body in enumerate(bodies):
        other = next(b for b in bodies[place + 1 :] + bodies if b["master_category"] != body["master_category"])
        kinds = ({"price": 10 * body["price"]}, {level: other[level] for level in CATEGORY_LEVELS}, {"attributes": {}})
        yield body | kinds[place % len(kinds)]


def applied(body: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """A listing with a suggested change: values by the name of a part, or `attributes.` and the name of an attribute."""
    attributes = {name.removeprefix("attributes."): value for name, value in change.items() if name.startswith("attributes.")}
    parts = {name: value for name, value in change.items() if not name.startswith("attributes.")}
    return body | parts | {"attributes": body["attributes"] | attributes}


def is_whole(photo: bytes) -> bool:
    """One photo of the sample is cut off on purpose; the service would rightly refuse it."""
    try:
        decode(photo)
    except ImageError:
        return False
    return True


@contextmanager
def serving(demo: Demo, model: str) -> Iterator[None]:
    """Run `vitrina serve` beside the rest, from when it answers with `model`, and end it."""
    command = ["serve", "--port", str(PORT), "--set", "jobs.watch_seconds=86400"]  # looks at drift are stages here
    console.print(f"[bold]serve[/bold]  [dim]vitrina {' '.join(command)}[/dim]")
    start, log = time.monotonic(), HOME / "logs" / "serve.log"
    with log.open("w") as output:
        server = subprocess.Popen([VITRINA, *command], stdout=output, stderr=output, env=ENVIRONMENT)
    try:
        wait(lambda: server.poll() is not None or served(model) is not None, 120, f"the service did not come up; see {log}")
        if server.poll() is not None:
            sys.exit(f"the service ended with exit code {server.returncode}:\n{tail(log)}")
        ready = f"ready with {model} version {served(model)}; another follows when it is promoted"
        demo.add("serve", time.monotonic() - start, ready, f"http://127.0.0.1:{PORT}/ while it runs")
        yield
    finally:
        server.terminate()
        server.wait(timeout=60)


def served(model: str) -> str | None:
    """Version of `model` that the service answers with, None while it has none."""
    try:
        with Client(ADDRESS, timeout=5, retries=0) as client:
            states = client.list_models().models
    except ConnectionFailed:
        return None
    return next((str(state.version) for state in states if state.name == model and state.version is not None), None)


def follow(model: str, version: str) -> None:
    """Wait until the service answers with what was promoted."""
    wait(lambda: served(model) == version, 60, f"the service did not follow champion of {model} to version {version}")


def wait(condition: Callable[[], bool], seconds: float, complaint: str) -> None:
    """Poll until the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(complaint)
        time.sleep(0.5)


def tail(log: Path) -> str:
    """The end of a log."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:])


def summary(demo: Demo, seconds: float, data: Path) -> None:
    """Each stage's time, verdict and report, and what to type next."""
    table = Table("stage", "seconds", "verdict", title=f"the loop, in {seconds:.0f} s")
    table.add_column("report", overflow="fold")
    for stage in demo.stages:
        report = os.path.relpath(stage.report) if stage.report.startswith("/") else stage.report
        table.add_row(stage.name, f"{stage.seconds:.1f}", stage.verdict, report)
    console.print(table)
    console.print("Next:", style="bold")
    home, delivery = os.path.relpath(HOME), os.path.relpath(data)
    vitrina = f"VITRINA_HOME={home} VITRINA_ENV=demo .venv/bin/vitrina"
    commands = {
        f"{vitrina} up": "the API with its page, the MLflow UI, the ZenML dashboard and a worker; `vitrina down` ends them",
        f"{vitrina} history product": "who promoted what, and why",
        f"{vitrina} evaluate product@champion --data {delivery} --modalities image": "what the photos alone tell",
    }
    for command, what in commands.items():
        console.print(f"  {command}  [dim]# {what}[/dim]", soft_wrap=True)
    console.print(f"After `vitrina up`, see what it does at [bold]{UP}/playground[/bold]", soft_wrap=True)


if __name__ == "__main__":
    main()
