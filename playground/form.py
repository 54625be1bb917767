"""A listing as a visitor fills it in: its fields, what the API is sent, and what the page's address keeps of it."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vitrina_client import models

FIELDS = ("gender", "age_group", "base_colour", "season", "usage", "master_category", "sub_category")
"""Of a listing, beside what has a field of its own in the form; any other name is an attribute's."""
ATTRIBUTE = "attributes."
"""Before the name of an attribute in a change that the API proposes."""


PLACED = ("title", "brand", "price", "article_type", "details", "description")
"""What the page's address keeps, the longest last."""


class WrongForm(ValueError):
    """A field cannot be read; one line that says which and what is allowed."""


@dataclass(frozen=True)
class Form:
    """What is filled in; the order of the fields is that of the components.

    Attributes:
        photo: File of the photo.
        details: Everything else, as lines NAME: VALUE.
    """

    photo: str | None = None
    title: str = ""
    description: str = ""
    brand: str = ""
    price: str = ""
    article_type: str = ""
    details: str = ""

    @classmethod
    def of_product(cls, product: models.CatalogueProduct, photo: str | None) -> "Form":
        """A product of the catalogue."""
        told = {name: value for name, value in product.categories.items() if name != "article_type"} | product.attributes
        return cls(
            photo,
            product.title or "",
            product.description or "",
            product.brand or "",
            "" if product.price is None else f"{product.price:g}",
            product.categories.get("article_type", ""),
            _lines(told),
        )

    @classmethod
    def of_place(cls, place: Mapping[str, str]) -> "Form":
        """What the page's address says."""
        return cls(**{name: place[name] for name in PLACED if name in place})

    def listing(self) -> dict[str, Any]:
        """What the API is sent.

        Raises:
            WrongForm: nothing is filled in, the price is no number, or a detail is no NAME: VALUE.
        """
        told: dict[str, Any] = {}
        for name in ("title", "description", "brand", "article_type"):
            if value := getattr(self, name).strip():
                told[name] = value
        if (price := number("Price", self.price)) is not None:
            told["price"] = price
        attributes = {}
        for name, value in self._details().items():
            if name in FIELDS:
                told[name] = value
            else:
                attributes[name] = value
        if attributes:
            told["attributes"] = attributes
        if self.photo is not None:
            told["image"] = Path(self.photo).read_bytes()
        if not told.keys() - {"price"}:
            raise WrongForm("Give at least a title, a description or a photo.")
        return told

    def changed(self, change: Mapping[str, str | float]) -> "Form":
        """The form with what the API proposes to write where."""
        parts: dict[str, Any] = {}
        details = self._details()
        for name, value in change.items():
            if name == "price":
                parts[name] = f"{float(value):g}"
            elif name in ("title", "description", "brand", "article_type"):
                parts[name] = str(value)
            else:
                details[name.removeprefix(ATTRIBUTE)] = str(value)
        return replace(self, **parts, details=_lines(details))

    def place(self) -> dict[str, str | float | None]:
        """For the page's address; a photo that was uploaded is not in it."""
        return {name: getattr(self, name) for name in PLACED}

    def _details(self) -> dict[str, str]:
        told = {}
        for place, line in enumerate(self.details.splitlines(), 1):
            name, colon, value = line.partition(":")
            if line.strip() and not (colon and name.strip() and value.strip()):
                raise WrongForm(f"More details, line {place}: {line.strip()[:60]!r} is not NAME: VALUE, such as gender: Women.")
            if line.strip():
                told[name.strip()] = value.strip()
        return told


def number(field: str, said: str) -> float | None:
    """A price as people write it; None where nothing is.

    Raises:
        WrongForm: it is none, or below 0.
    """
    if not said.strip():
        return None
    try:
        found = float(re.sub(r"(?<=\d)[ ,](?=\d{3}(?!\d))", "", said.strip()))
    except ValueError:
        found = math.nan
    if not 0 <= found < math.inf:
        raise WrongForm(f"{field}: {said.strip()[:40]!r} is not a number from 0 on, such as 1299 or 24.50.")
    return found


def _lines(told: Mapping[str, str]) -> str:
    return "\n".join(f"{name}: {value}" for name, value in told.items())
