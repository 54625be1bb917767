"""The playground over real models, in a browser that reaches nothing but this machine; a key is asked for.

`VITRINA_TEST_PICTURES` names a folder that gets a picture of each tab.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import committed
import httpx
import pytest
from axe_core_python.sync_playwright import Axe
from commands import VITRINA, environment
from homes import fresh
from playwright.sync_api import Browser, Error, Page, expect, sync_playwright
from ports import free_port
from services import until

from configs.schema import IndexConfig
from configs.settings import Settings
from database.keys import create
from registry.promotion import promote
from registry.register import mark_challenger, register
from serving.search.building import build

pytestmark = pytest.mark.slow

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SECONDS = 90
Scheme = Literal["light", "dark"]
VIEWS: dict[str, tuple[int, Scheme]] = {"wide": (1280, "light"), "narrow": (390, "dark")}
MODELS = ("product", "quality", "describer", "fewshot", "imagegen", "recommender")
SCRIPT = 'Belt <script>document.title = "broken"</script><img src=x onerror="document.title = \'broken\'">'
BROKEN_OFF = re.compile(r"AbortError|Connection errored out|net::ERR_ABORTED")
"""What Gradio says of its own stream when the page is left."""
expect.set_options(timeout=1000 * SECONDS)


def shop(root: Path) -> Settings:
    """Every committed model is champion, and one of product challenger; the recommender's catalogue is indexed."""
    root.mkdir()
    settings = fresh(root)
    catalogue = committed.catalogue("recommender", root / "catalogue")
    index = build("product", committed.bundle("product"), catalogue, IndexConfig(), root / "built")
    for model in (*MODELS, "product"):
        again = (root / model).exists()
        bundle = committed.copied(model, root / f"{model}{2 if again else ''}")
        if model == "product":
            shutil.copytree(index, bundle, dirs_exist_ok=True)
        card = bundle / "card.md"
        card.write_text(f"{card.read_text()}\n{'Second.' if again else 'First.'}\n")
        said = {"metrics": {}, "config": {}, "tags": {"vitrina.gates": "passed"}, "reports": {}}
        version = register(settings, model, bundle, headline="**May be promoted: all gates passed.**", **said)
        if again:
            mark_challenger(settings, version)
        else:
            promote(settings, model, 1, "ada", "the first")
    return settings


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Address of `vitrina serve` with the demo's configuration, and a key."""
    if CHROMIUM is None:
        pytest.skip("no Chromium: apt-get install chromium")
    settings = shop(tmp_path_factory.mktemp("playground") / "home")
    key = create(settings.database_url, "visitor", ("read", "predict", "catalog", "teach"), who="ada")[1]
    port = free_port()
    url, log = f"http://127.0.0.1:{port}", settings.home / "serve.log"
    arguments = [VITRINA, "serve", "--env", "demo", "--port", str(port), "--no-worker"]
    whole = environment(settings.home) | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with log.open("w") as out, subprocess.Popen(arguments, env=whole, cwd=settings.home, stdout=out, stderr=out) as process:
        try:
            until(lambda: _ready(url), lambda: process.poll() is None, lambda: log.read_text()[-3000:], within=300)
            put = {"title": SCRIPT, "brand": SCRIPT, "price": 5, "article_type": "Belts"}
            headers = {"Authorization": f"Bearer {key}"}
            httpx.put(f"{url}/v1/catalog/products/1", json=put, headers=headers, timeout=SECONDS).raise_for_status()
            yield url, key
            with httpx.stream("GET", f"{url}/playground/gradio_api/heartbeat/open", headers=headers, timeout=SECONDS) as page:
                assert page.status_code == 200
                process.terminate()
                process.wait(60)  # a page that is open does not hold it up
        finally:
            process.kill()
            process.wait(60)
    assert "Traceback" not in log.read_text()


def _ready(url: str) -> bool:
    try:
        answer = httpx.get(f"{url}/readyz", timeout=10)
    except httpx.TransportError:
        return False
    return answer.status_code == 200 and all(
        model["challenger"] or model["name"] != "product" for model in answer.json()["models"]
    )


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


Opened = Callable[..., Page]


@pytest.fixture(params=VIEWS)
def opened(request: pytest.FixtureRequest, service: tuple[str, str], browser: Browser) -> Iterator[Opened]:
    """Opens the page at an address, as wide and in the colours of a view; it must complain of nothing and ask nobody else."""
    with visitor(browser, service, *VIEWS[request.param]) as page:
        yield lambda query="": _open(page, service[0], query)


@contextmanager
def visitor(browser: Browser, service: tuple[str, str], width: int, scheme: Scheme) -> Iterator[Page]:
    url, key = service
    credentials: Any = {"username": "visitor", "password": key}
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, http_credentials=credentials)
    page, complaints, elsewhere = context.new_page(), list[str](), list[str]()
    page.set_default_timeout(1000 * SECONDS)
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on("response", lambda got: complaints.append(f"{got.status} {got.url}") if got.status >= 403 else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda asked: None if asked.url.startswith((url, "data:", "blob:")) else elsewhere.append(asked.url))
    yield page
    assert page.title() != "broken"
    context.close()
    assert not [said for said in complaints if not BROKEN_OFF.search(said)]
    assert not elsewhere


def _open(page: Page, url: str, query: str) -> Page:
    page.goto(f"{url}/playground/{query}")
    return page


def looked_over(page: Page, name: str) -> None:
    """Nothing is wider than the screen, and nobody is shut out, in either of the colours; a picture is taken."""
    width = page.viewport_size["width"] if page.viewport_size else 0
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.documentElement.classList.contains('dark') || document.body.classList.contains('dark')") == (
        width == VIEWS["narrow"][0]
    )
    if folder := os.environ.get("VITRINA_TEST_PICTURES"):
        page.evaluate("for (const image of document.images) image.loading = 'eager'")
        page.wait_for_function("[...document.images].every((image) => image.complete)")
        page.screenshot(path=str(Path(folder, f"{name}-{width}.png")), full_page=True)
    assert page.get_by_label("Textbox").filter(visible=True).count() == 0
    schemes: tuple[Scheme, Scheme] = ("dark", "light") if dict(VIEWS.values())[width] == "light" else ("light", "dark")
    for scheme in schemes:  # and back
        page.emulate_media(color_scheme=scheme)
        page.wait_for_function(f"document.body.classList.contains('dark') === {str(scheme == 'dark').lower()}")
        page.wait_for_function("!document.getAnimations().some((one) => one instanceof CSSTransition)")
        faults = [fault for fault in Axe().run(page)["violations"] if fault["impact"] in ("serious", "critical")]
        assert not faults, [(scheme, fault["id"], [node["html"][:200] for node in fault["nodes"][:3]]) for fault in faults]


def test_a_listing_is_read_priced_judged_and_made_better(opened: Opened) -> None:
    page = opened()
    quality = page.locator("#v-listing-quality")
    for name in ("Quality", "What it is", "Price", "Description", "Similar products"):
        expect(page.get_by_role("region", name=name, exact=True)).to_be_visible()
    expect(page.get_by_label("Title", exact=True)).not_to_have_value("")
    assert page.locator("#v-listing-similar img").count() >= 3
    looked_over(page, "listing")
    before = quality.get_by_role("img", name=re.compile("^score")).get_attribute("aria-label")
    page.get_by_role("button", name="Use as description").click()
    expect(page.get_by_role("textbox", name="Description")).not_to_have_value("")
    expect(quality.get_by_role("img", name=re.compile("^score"))).not_to_have_attribute("aria-label", before or "")
    apply = quality.locator("[data-do=improve]").first
    expect(apply).to_be_visible()
    apply.focus()
    page.keyboard.press("Enter")
    expect(quality.locator(".v-moved")).to_have_text(re.compile(r"^\d+ → \d+$"))
    expect(page.get_by_role("region", name="Similar products")).to_be_visible()
    title = page.get_by_label("Title", exact=True).input_value()
    expect(page).to_have_url(re.compile("title="))
    page.reload()
    expect(page.get_by_label("Title", exact=True)).to_have_value(title)
    expect(quality.get_by_role("img", name=re.compile("^score"))).to_be_visible()


def test_search_leads_from_words_to_products_like_one(opened: Opened) -> None:
    page = opened("?tab=search&text=blue%20jeans")
    found = page.get_by_role("list", name="Products that were found")
    expect(found.get_by_role("listitem").first).to_be_visible()
    expect(page.get_by_label("Words")).to_have_value("blue jeans")
    looked_over(page, "search")
    found.get_by_role("button").nth(1).click()
    expect(page.get_by_role("heading", name=re.compile("^Like "))).to_be_visible()
    expect(page).to_have_url(re.compile("like="))
    page.get_by_role("button", name="Back to the search").click()
    expect(page.get_by_role("heading", name=re.compile("^Like "))).to_have_count(0)
    page.get_by_role("button", name="Filters").click()
    page.get_by_label("Price to").fill("cheap")
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.get_by_role("alert")).to_have_text("Price to: 'cheap' is not a number from 0 on, such as 1299 or 24.50.")


def test_recommendations_follow_what_is_done(opened: Opened) -> None:
    page = opened("?tab=recommendations")
    found = page.get_by_role("list", name="Recommended products")
    expect(found.get_by_role("listitem")).to_have_count(12)
    expect(page.get_by_role("region", name="Bought before")).to_be_visible()
    found.get_by_role("button", name=re.compile("^View: ")).nth(4).click()
    expect(page.get_by_text(re.compile(r"was viewed: .*(new|moved|nothing)"))).to_be_visible()
    found.get_by_role("button", name=re.compile("^Add to cart: ")).nth(4).click()
    expect(page.get_by_text(re.compile(r"was put into the cart: .*(new|moved|nothing)"))).to_be_visible()
    expect(page.get_by_role("region", name="Done here, and not stored")).to_be_visible()
    looked_over(page, "recommendations")
    expect(page).to_have_url(re.compile(r"events=view\.\d+%2Ccart\.\d+"))


def test_images_are_drawn_until_the_visitor_stops_and_texts_state_what_is_given(opened: Opened) -> None:
    page = opened("?tab=generate&candidates=3")
    write = page.get_by_role("button", name="Write")
    expect(page.get_by_role("textbox", name="Draw")).not_to_have_value("")
    write.click()
    expect(page.locator("#v-generate-text mark").first).to_be_visible()
    page.get_by_role("button", name="Draw", exact=True).click()
    expect(page.get_by_role("list", name="Candidates").get_by_role("listitem")).to_have_count(3)
    expect(page.get_by_text("best", exact=True)).to_be_visible()
    looked_over(page, "generate")
    page.get_by_role("spinbutton", name=re.compile("Candidates")).first.fill("8")
    width = page.viewport_size["width"] if page.viewport_size else 0
    page.get_by_role("spinbutton", name="Seed").fill(str(width))  # whose answers are not kept
    page.get_by_role("button", name="Draw", exact=True).click()
    expect(page.get_by_role("progressbar")).to_be_visible()
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("Stopped.")).to_be_visible()
    expect(page.get_by_role("progressbar")).to_have_count(0)
    assert page.get_by_role("list", name="Candidates").get_by_role("listitem").count() < 8


def test_a_classifier_is_taught_and_knows_strangers(opened: Opened) -> None:
    page = opened("?tab=teach")
    expect(page.get_by_label("Class 1")).not_to_have_value("")
    expect(page.get_by_role("img", name="Photo 1 of the class").first).to_be_visible()
    page.get_by_role("button", name="Teach", exact=True).click()
    expect(page.get_by_role("region", name="Taught")).to_be_visible()
    page.get_by_label("Try a title").fill("Nordlys zebra printed umbrella stand")
    page.get_by_role("button", name="Which is it?").click()
    expect(page.get_by_role("region", name="It is")).to_be_visible()
    looked_over(page, "teach")
    expect(page).to_have_url(re.compile("task="))
    page.reload()
    expect(page.get_by_role("button", name="Forget this task")).to_be_visible()
    page.get_by_role("button", name="Forget this task").click()
    expect(page.get_by_text("The task is deleted, with all that was kept of it.")).to_be_visible()


def test_two_versions_stand_side_by_side(opened: Opened) -> None:
    page = opened("?tab=versions&model=product")
    expect(page.get_by_role("region", name="Version 2")).to_contain_text("challenger")
    expect(page.get_by_role("region", name="Version 1")).to_contain_text("champion")
    expect(page.get_by_role("region", name="History")).to_contain_text("ada promoted version 1 — the first")
    expect(page.get_by_role("heading", name="challenger · version 2")).to_be_visible()
    expect(page.get_by_role("region", name="What it is")).to_have_count(2)
    looked_over(page, "versions")


def test_tabs_are_reached_by_keyboard_and_keep_their_place(service: tuple[str, str], browser: Browser) -> None:
    with visitor(browser, service, *VIEWS["wide"]) as page:
        _open(page, service[0], "?tab=search&text=red%20dress")
        expect(page.get_by_role("list", name="Products that were found")).to_be_visible()
        page.get_by_role("tab", name="Recommendations").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("list", name="Recommended products")).to_be_visible()
        expect(page).to_have_url(re.compile("tab=recommendations"))
        page.get_by_role("tab", name="Search").click()
        expect(page.get_by_label("Words")).to_have_value("red dress")
        expect(page).to_have_url(re.compile(r"text=red\+dress"))


def test_what_a_catalogue_holds_is_text_and_nothing_else(service: tuple[str, str], browser: Browser) -> None:
    with visitor(browser, service, *VIEWS["wide"]) as page:
        _open(page, service[0], "?tab=listing&product=1&title=belt")
        expect(page.get_by_role("region", name="Quality", exact=True)).to_be_visible()
        page.get_by_role("tab", name="Search").click()
        page.get_by_label("Words").fill("belt")
        page.keyboard.press("Enter")
        expect(page.locator("#v-search-found").get_by_text(SCRIPT).first).to_be_visible()
        assert page.evaluate("document.title") == "Vitrina playground"


def test_nobody_comes_in_without_a_key(service: tuple[str, str], browser: Browser) -> None:
    assert httpx.get(f"{service[0]}/playground/", timeout=SECONDS).status_code == 401
    context = browser.new_context()
    with pytest.raises(Error, match="ERR_INVALID_AUTH_CREDENTIALS"):
        context.new_page().goto(f"{service[0]}/playground/")
    context.close()
