"""What a title should name, and a better one made of what the listing already says."""

import re
import unicodedata
from collections.abc import Mapping, Sequence

import numpy as np

from catalog.listing import Listing
from catalog.text import clean_html, looks_misread
from models.quality.answers import Evidence
from models.quality.memory.known import FINEST, length, reads, short, singular, words
from models.quality.memory.norms import COMPONENTS, Norm, Norms

NAMES = ("named", "words", "not_too_long", "distinct", "calm", "plain", "legible")
"""What is looked at in a title, each the higher, the better."""
_CALLED = {"base_colour": "colour", FINEST: "kind of product"}
_HYPE = re.compile(r"[!*>{}|~#^=]+|\b\d+\s?% (?:original|off|genuine)\b|\bbest price\b|\bsale\b|\bhurry\b", re.IGNORECASE)
_FINE = frozenset("+%&×")
"""Symbols that say something."""


def findings(title: str, article_type: str | None, norms: Norms) -> tuple[tuple[float, ...], tuple[Evidence, ...]]:
    """`NAMES` of a title, and in words what is wrong with it."""
    norm, group = norms.of(article_type)
    told, named, long = words(title), norms.names_in(title), length(title)
    expected = [name for name in COMPONENTS if norm.named[name] >= norms.usual_share]
    lacking = [name for name in expected if name not in named]
    weight = sum(norm.named[name] for name in expected)
    letters = [word for word in clean_html(title).split() if len(word) > 3 and word.upper() != word.lower()]
    shouted = sum(word.isupper() for word in letters) / max(len(letters), 1)
    odd = _symbols(title) + len(_HYPE.findall(title))
    repeated = sorted({word for word in told if told.count(word) > 1 and len(word) > 2})
    values = (
        sum(norm.named[name] for name in expected if name in named) / weight if weight else 1.0,
        min(1.0, long / max(norm.title_words[0], 1.0)),
        min(1.0, norm.title_words[1] / max(long, 1)),
        len(set(told)) / max(len(told), 1),
        1.0 - shouted,
        1.0 - min(1.0, odd / 10),
        0.0 if looks_misread(title) else 1.0,
    )
    said = []
    if lacking:
        shares = ", ".join(f"{_called(name)} ({norm.named[name]:.0%} of {group} do)" for name in lacking)
        said.append(Evidence(f"The title does not name its {shares}.", {"lacks": tuple(lacking)}))
    counted = f"The title has {long} word{'' if long == 1 else 's'}; {group} have"
    if values[1] < 1:
        said.append(Evidence(f"{counted} {norm.title_words[0]:.0f} and more.", {"words": long}))
    if values[2] < 1:
        said.append(Evidence(f"{counted} at most {norm.title_words[1]:.0f}.", {"words": long}))
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

    What was decoded wrongly is mended where it can be. Only the listing's own values, and those in `sure`, are put in. None where
    nothing can be bettered, or what comes out is shorter or longer than titles of the type are.
    """
    norm, _ = norms.of(article_type)
    before = clean_html(_mended(listing.title or ""))
    kept = _distinct(_calmed(_HYPE.sub(" ", before).split()))
    given = {**sure, **{name: listing.fields[name] for name in COMPONENTS[:3] if listing.fields.get(name)}}
    if article_type:
        given[FINEST] = " ".join([*article_type.split()[:-1], norm.called or article_type.split()[-1]])
    longest = max(norm.title_words[1], length(before))
    for after in (" ".join(_filled(kept, given, norm, norms)), " ".join(kept)):
        changed = short(after) != short(listing.title or "") or _shouts(before)
        if changed and after != listing.title and norm.title_words[0] <= length(after) <= longest:
            return after
    return None


def _filled(title: Sequence[str], given: Mapping[str, str], norm: Norm, norms: Norms) -> list[str]:
    """Words of a title with what it should name and does not, each before that which usually follows it."""
    found = list(title)
    for name in sorted(COMPONENTS, key=lambda name: norm.places.get(name, 1.0)):
        named = norms.names_in(" ".join(found))
        if norm.named[name] < norms.usual_share or name not in given or name in named:
            continue
        there = {short(word) for word in found}
        later = [at[0] for other, at in named.items() if norm.places.get(other, 1.0) > norm.places.get(name, 1.0)]
        earlier = [at[-1] + 1 for other, at in named.items() if norm.places.get(other, 1.0) <= norm.places.get(name, 1.0)]
        place = len(found) if name == FINEST else min(later) if later else max(earlier, default=0)
        found[place:place] = [word for word in given[name].split() if short(word) not in there]
    return found


def _mended(title: str) -> str:
    """UTF-8 that was read as Windows-1252 or Latin-1, read as UTF-8; as it is where that cannot be undone."""
    for encoding in ("cp1252", "latin-1") if looks_misread(title) else ():
        try:
            return title.encode(encoding).decode()
        except UnicodeError:
            continue
    return title


def _symbols(title: str) -> int:
    """Pictures, arrows, stars and the like; letters, marks, digits and punctuation of any script are none."""
    return sum(unicodedata.category(character)[0] in "SC" and character not in _FINE for character in title)


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
