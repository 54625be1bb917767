"""What a title should name, and a better one made of what the listing already says."""

import re
from collections.abc import Sequence

import numpy as np

from catalog.listing import Listing
from catalog.text import clean_html, looks_misread
from models.quality.answers import Evidence
from models.quality.memory.known import FINEST, reads, short, singular, words
from models.quality.memory.norms import COMPONENTS, Norms

NAMES = ("named", "words", "not_too_long", "distinct", "calm", "plain", "legible")
"""What is looked at in a title, each the higher, the better."""
_CALLED = {"base_colour": "colour", FINEST: "kind of product"}
_HYPE = re.compile(r"[!*>{}|~#^=]+|\b\d+\s?% (?:original|off|genuine)\b|\bbest price\b|\bsale\b|\bhurry\b", re.IGNORECASE)
_ODD = re.compile(r"[^\w\s&'.,/()+%:-]")


def findings(title: str, article_type: str | None, norms: Norms) -> tuple[tuple[float, ...], tuple[Evidence, ...]]:
    """`NAMES` of a title, and in words what is wrong with it."""
    norm, group = norms.of(article_type)
    told, named = words(title), norms.names_in(title)
    expected = [name for name in COMPONENTS if norm.named[name] >= norms.usual_share]
    lacking = [name for name in expected if name not in named]
    weight = sum(norm.named[name] for name in expected)
    letters = [word for word in clean_html(title).split() if len(word) > 3 and word.upper() != word.lower()]
    shouted = sum(word.isupper() for word in letters) / max(len(letters), 1)
    odd = len(_ODD.findall(title)) + len(_HYPE.findall(title))
    repeated = sorted({word for word in told if told.count(word) > 1 and len(word) > 2})
    values = (
        sum(norm.named[name] for name in expected if name in named) / weight if weight else 1.0,
        min(1.0, len(told) / max(norm.title_words[0], 1.0)),
        min(1.0, norm.title_words[1] / max(len(told), 1)),
        len(set(told)) / max(len(told), 1),
        1.0 - shouted,
        1.0 - min(1.0, odd / 10),
        0.0 if looks_misread(title) else 1.0,
    )
    said = []
    if lacking:
        shares = ", ".join(f"{_called(name)} ({norm.named[name]:.0%} of {group} do)" for name in lacking)
        said.append(Evidence(f"The title does not name its {shares}.", {"lacks": tuple(lacking)}))
    if values[1] < 1:
        said.append(
            Evidence(f"The title has {len(told)} words; {group} have {norm.title_words[0]:.0f} and more.", {"words": len(told)})
        )
    if values[2] < 1:
        said.append(
            Evidence(f"The title has {len(told)} words; {group} have at most {norm.title_words[1]:.0f}.", {"words": len(told)})
        )
    if repeated:
        said.append(Evidence(f"The title repeats {', '.join(repeated)}.", {"repeated": tuple(repeated)}))
    if shouted > 0.5:
        said.append(Evidence(f"{shouted:.0%} of the title's words are in capitals.", {"shouted": round(shouted, 3)}))
    if odd:
        said.append(Evidence(f"The title holds {odd} symbols or advertising words.", {"symbols": odd}))
    if not values[6]:
        said.append(Evidence("The title was decoded wrongly: it holds characters such as Ã.", {}))
    return values, tuple(said)


def better(listing: Listing, article_type: str | None, norms: Norms, sure: dict[str, str]) -> str | None:
    """The title without repeats, capitals and advertising, and with what titles of the type name, in its usual place.

    Only the listing's own values, and those in `sure`, are put in. None where nothing can be bettered, or the result is shorter
    or longer than titles of the type are.
    """
    norm, _ = norms.of(article_type)
    before = clean_html(listing.title or "")
    kept = _distinct(_calmed(_HYPE.sub(" ", before).split()))
    given = {**sure, **{name: listing.fields[name] for name in COMPONENTS[:3] if listing.fields.get(name)}}
    if article_type:
        given[FINEST] = article_type
    for name in COMPONENTS:
        value = given.get(name)
        if norm.named[name] < norms.usual_share or not value or name in norms.names_in(" ".join(kept)):
            continue
        piece = value.split()
        if any(short(word) in {short(k) for k in kept} for word in piece):
            piece = [word for word in piece if short(word) not in {short(k) for k in kept}]
        place = round(norm.places.get(name, 1.0) * len(kept)) if name != FINEST else len(kept)
        kept[place:place] = piece
    after = " ".join(kept)
    if len(kept) < norm.title_words[0] or (short(after) == short(before) and not _shouts(before)):
        return None
    longest = max(norm.title_words[1], len(before.split()))
    return after if len(kept) <= longest and after != before else None


def _called(name: str) -> str:
    return _CALLED.get(name, reads(name))


def _shouts(title: str) -> bool:
    letters = [word for word in title.split() if len(word) > 3]
    return bool(letters) and float(np.mean([word.isupper() for word in letters])) > 0.5


def _calmed(title: Sequence[str]) -> list[str]:
    """Words of a title that shouts, capitalised; one word in capitals is a name."""
    return (
        [word.capitalize() if word.isupper() and len(word) > 3 else word for word in title]
        if _shouts(" ".join(title))
        else list(title)
    )


def _distinct(title: Sequence[str]) -> list[str]:
    """The first of each word."""
    found: dict[str, str] = {}
    for word in title:
        key = singular(short(word).strip(".,;:!?()[]\"'"))
        if key and (len(key) <= 2 or key not in found):
            found[key if len(key) > 2 else f"{key}{len(found)}"] = word
    return list(found.values())
