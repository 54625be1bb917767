"""Recommendations for a user or a visitor, the reasons for them, and what an event changes. Nothing of it is stored."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from playground.examples import with_photo
from playground.html import NOTHING, Markup, el, joined
from playground.pieces import grid, hint, listed, money, notice, piece, place, product, section, waiting
from playground.tabs import QUIET, Opening, Tab, Turns, Update, on_click
from playground.visitor import Service
from vitrina_client import AsyncClient, NotFound, VitrinaError, models

ITEMS = 12
USERS = 20
VISITOR = "visitor"
KINDS = {"view": "View", "cart": "Add to cart"}
DONE = {"view": "viewed", "cart": "put into the cart"}
MOST_EVENTS = 20


@dataclass(frozen=True)
class Event:
    """Something that whoever looks at the page did in place of the user."""

    item_id: str
    kind: str
    title: str


def build(service: Service) -> Opening:
    """Its components."""
    turns = Turns()
    with gr.Row(elem_classes=["v-columns"]):
        with gr.Column(scale=3, min_width=300, elem_classes=["v-form"]):
            who = gr.Dropdown(label="Recommend to", choices=[("a visitor, of whom nothing is known", VISITOR)], value=VISITOR)
            diversity = gr.Slider(
                0, 1, value=0.2, step=0.05, label="Diversity", info="0: by score alone; 1: as unlike as can be", buttons=[]
            )
            past = piece("recommendations-past")
        with gr.Column(scale=7, min_width=320, elem_classes=["v-answer"]):
            found = piece("recommendations-found", waiting("Looking …"))
    events, order, users = gr.State(()), gr.State(()), gr.State({})
    outputs = [past, found, events, order]

    async def answer(
        request: gr.Request,
        user: str,
        diverse: float,
        done: Sequence[Event],
        before: Sequence[str],
        known: Mapping[str, models.KnownBuyer],
    ) -> AsyncIterator[Update]:
        client = service.of(request)
        stands = place(
            "recommendations",
            user=user,
            diversity=round(diverse, 2),
            events=",".join(f"{event.kind}.{event.item_id}" for event in done),
        )
        yield {found: joined([stands, waiting("Looking …")]), events: tuple(done)}
        asked: dict[str, Any] = {"num_recs": ITEMS, "diversity": diverse}
        if user != VISITOR:
            asked["user_id"] = user
        if done:
            asked["recent_items"] = [{"item_id": event.item_id, "kind": event.kind} for event in done]
        try:
            recommended = await client.recommend(**asked)
            ids = [str(item.item_id) for item in recommended.items]
            tiles = with_photo(client, [*ids, *(str(item.item_id) for item in known[user].newest)] if user in known else ids)
            there = await tiles
        except VitrinaError as error:
            yield {found: joined([stands, notice(error)])}
            return
        yield {
            found: joined([stands, _recommended(recommended, done, before, there)]),
            past: _past(known.get(user), done, there),
            order: tuple(ids),
        }

    @turns.newest
    async def changed(
        request: gr.Request, user: str, diverse: float, done: Any, before: Any, known: Any
    ) -> AsyncGenerator[Update, None]:
        async for update in answer(request, user, diverse, done, before, known):
            yield update

    @turns.newest
    async def another(request: gr.Request, user: str, diverse: float, known: Any) -> AsyncGenerator[Update, None]:
        async for update in answer(request, user, diverse, (), (), known):
            yield update

    @turns.newest
    async def clicked(
        request: gr.Request, said: str, user: str, diverse: float, done: Any, before: Any, known: Any
    ) -> AsyncGenerator[Update, None]:
        click = json.loads(said)
        if click["do"] == "forget":
            now: tuple[Event, ...] = ()
        else:
            now = (*done, Event(click["id"], click["do"], click["name"]))[-MOST_EVENTS:]
        async for update in answer(request, user, diverse, now, before, known):
            yield update

    @turns.newest
    async def opened(request: gr.Request, at: Mapping[str, str]) -> AsyncGenerator[Update, None]:
        client = service.of(request)
        try:
            known = {str(one.user_id): one for one in (await client.list_users(limit=USERS)).users}
        except NotFound:  # the version knows no users
            known = {}
        except VitrinaError as error:
            yield {found: notice(error)}
            return
        choices = [(f"user {name}, {one.purchases} purchases", name) for name, one in known.items()]
        user = at.get("user", next(iter(known), VISITOR))
        user = user if user in known else VISITOR
        diverse = _share(at.get("diversity"), 0.2)
        done = await _events(client, at.get("events", ""))
        yield {
            who: gr.update(choices=[*choices, ("a visitor, of whom nothing is known", VISITOR)], value=user),
            diversity: diverse,
            users: known,
        }
        async for update in answer(request, user, diverse, done, (), known):
            yield update

    form = [who, diversity, events, order, users]
    who.input(another, [who, diversity, users], outputs, **QUIET)
    diversity.release(changed, form, outputs, **QUIET)
    on_click([found, past], clicked, form, outputs)
    return Opening(opened, [who, diversity, users, *outputs])


async def _events(client: AsyncClient, said: str) -> tuple[Event, ...]:
    """Events that the page's address names; those of products that are gone are left out."""
    found = []
    for one in said.split(",")[:MOST_EVENTS]:
        kind, _, item_id = one.partition(".")
        if kind in KINDS and item_id:
            try:
                found.append(Event(item_id, kind, (await client.get_product(item_id)).title or item_id))
            except VitrinaError:
                continue
    return tuple(found)


def _share(said: str | None, default: float) -> float:
    try:
        return min(max(float(said), 0.0), 1.0) if said is not None else default
    except ValueError:
        return default


BASIS = {
    "history": "from what the user bought, and what happened since",
    "session": "from what the visitor did here",
    "popularity": "what many buy, as nothing is known of the visitor",
}


def _recommended(found: models.Recommended, done: Sequence[Event], before: Sequence[str], there: frozenset[str]) -> Markup:
    head: list[Markup] = []
    if before and done:
        head.append(_changes(found, done[-1], before))
    tiles = [_tile(item, place_now, before, there) for place_now, item in enumerate(found.items)]
    note = f"{BASIS.get(found.basis, found.basis)} · version {found.model.version}"
    return section("Recommended", *head, grid(tiles, "Recommended products") if tiles else hint("Nothing is left."), note=note)


def _changes(found: models.Recommended, last: Event, before: Sequence[str]) -> Markup:
    ids = [str(item.item_id) for item in found.items]
    up = sum(one in before and ids.index(one) < before.index(one) for one in ids)
    down = sum(one in before and ids.index(one) > before.index(one) for one in ids)
    new = sum(one not in before for one in ids)
    counts = [f"{count} {what}" for count, what in ((new, "new"), (up, "moved up"), (down, "moved down")) if count]
    return el(
        "p",
        el("b", last.title),
        f" was {DONE[last.kind]}: {listed(counts) or 'nothing changed'}.",
        class_="v-changes",
        role="status",
    )


def _tile(item: models.Item, now: int, before: Sequence[str], there: frozenset[str]) -> Markup:
    name, title = str(item.item_id), item.title or f"product {item.item_id}"
    moved: Markup = NOTHING
    if before and name not in before:
        moved = el("span", "new", class_="v-badge good")
    elif before and (change := before.index(name) - now):
        moved = el(
            "span",
            f"{'▲' if change > 0 else '▼'} {abs(change)}",
            class_=f"v-badge {'good' if change > 0 else 'warn'}",
            title="places since the last event",
        )
    buttons = [
        el(
            "button",
            label,
            type="button",
            class_="v-button small",
            data_do=kind,
            data_id=name,
            data_name=title,
            data_key=f"{kind} {name}",
            aria_label=f"{label}: {title}",
        )
        for kind, label in KINDS.items()
    ]
    reason = el("p", moved, " " if moved else None, item.reason.text, class_="v-reason")
    foot = joined([reason, el("div", *buttons, class_="v-buttons")])
    return product(item.item_id, item.title, item.article_type, money(item.price), there=name in there, foot=foot)


def _past(user: models.KnownBuyer | None, done: Sequence[Event], there: frozenset[str]) -> Markup:
    parts: list[Markup] = []
    if done:
        steps = [el("li", f"{DONE[event.kind]}: {event.title}") for event in done]
        forget = el("button", "Forget this", type="button", class_="v-button small", data_do="forget", data_key="forget")
        parts.append(section("Done here, and not stored", el("ol", *steps, class_="v-steps"), forget))
    if user is not None:
        tiles = [product(one.item_id, one.title, money(one.price), there=str(one.item_id) in there) for one in user.newest]
        shown = f"the newest {len(tiles)} of {user.purchases}" if len(tiles) < user.purchases else None
        parts.append(section("Bought before", grid(tiles, "Products bought before"), note=shown, class_="v-small"))
    return joined(parts)


TAB = Tab("recommendations", "Recommendations", frozenset({"recommender"}), build)
