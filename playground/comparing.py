"""What champion and challenger answer to the same product, model by model; the listing is the same for both."""

import base64
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from playground import answers
from playground.form import Form, number
from playground.html import Markup, el, joined
from playground.pieces import grid, money, product, section
from vitrina_client import AsyncClient

RECOMMENDED = 6
SEED = 1


def _listing(form: Form) -> dict[str, Any]:
    return dict(form.listing())


async def _of_product(client: AsyncClient, form: Form) -> Markup:
    found = await client.analyze(**_listing(form), top_k=3)
    return joined([answers.what(found), answers.price(found, number("Price", form.price))])


async def _of_quality(client: AsyncClient, form: Form) -> Markup:
    return answers.quality(await client.assess_quality(**_listing(form)), None)


async def _of_describer(client: AsyncClient, form: Form) -> Markup:
    return answers.text(await client.generate_description(**_listing(form)))


async def _of_recommender(client: AsyncClient, form: Form) -> Markup:
    found = await client.recommend(num_recs=RECOMMENDED)
    tiles = (
        product(
            one.item_id,
            one.title,
            one.article_type,
            money(one.price),
            there=False,
            foot=el("p", one.reason.text, class_="v-reason"),
        )
        for one in found.items
    )
    return section("To a visitor", grid(tiles, "Recommended products"), note=answers.version(found.model), class_="v-bare")


async def _of_imagegen(client: AsyncClient, form: Form) -> Markup:
    found = await client.generate_image(prompt=form.title, seed=SEED)
    image = found.images[0]
    source = f"data:image/png;base64,{base64.b64encode(image.png).decode()}"
    shown = el("span", el("img", src=source, alt=f"Drawn: {form.title}"), class_="v-photo v-large")
    said = el("p", el("b", f"{100 * image.score.overall:.0f}"), f" of 100, seed {image.seed}")
    return section("Drawn", shown, said, note=answers.version(found.model))


COMPARED: Mapping[str, Callable[[AsyncClient, Form], Awaitable[Markup]]] = {
    "product": _of_product,
    "quality": _of_quality,
    "describer": _of_describer,
    "recommender": _of_recommender,
    "imagegen": _of_imagegen,
}
"""By model; a few-shot task is taught by one version, and asked of no other."""
