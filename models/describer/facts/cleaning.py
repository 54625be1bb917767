"""From listings with their descriptions to texts that state only what the listing gives: what the writer learns from.

Cleaning what is learned from is what helped most against invented values in the E2E challenge (Dusek et al. 2019): a sentence
that states what its row does not give is dropped, or loses the clause that does. So that texts state all that is given, sentences
that other listings' texts hold (`Bank`) are said of a listing as well where all they state is given.
"""

import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from catalog.listing import Listing
from catalog.text import clean_html
from models.describer.answers import MAX_META, MAX_TITLE, Fact, Tone
from models.describer.facts import words
from models.describer.facts.extractor import sayable, stated
from models.describer.facts.forms import forms
from models.describer.facts.given import facts_of, unsupported
from models.describer.facts.lexicon import FIRST, TYPE, Lexicon
from models.describer.facts.slots import realised, slots_in, slotted

LEAST_WORDS, MOST_WORDS = 4, 32
"""Of a sentence that is kept."""
SENTENCES = 6
"""Of a description, at most."""
BULLETS = 6
BANKED = 200
"""Sentences that are kept for the same facts."""
LEAST_LENT, LENT_WORDS = 2, 12
"""Listings that must say a sentence before it is said of others, and its words at most: what one says alone is its own."""
CORE = frozenset(FIRST)
"""Facts of the first sentence."""

_BREAK = re.compile(r"<\s*(?:br|/p|p|/li|li|/div|div|/ul|ul|/strong|strong|/b|b|h\d|/h\d)\b[^<>]*>", re.IGNORECASE)
_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"'(])")
_CLAUSE = re.compile(r",\s*(?:and\s+)?(?=(?:with|made of|made from|crafted from|has|have|features?|featuring)\b)")
_NO_SENTENCE = re.compile(
    r"https?:|www\.|@|\bclick|\bmodel\b|\bsize [SMLX]|\bcm\b|\binch|\bthe product\b|\bcolou?r and print|\bmay vary|\bdisplay"
    r"|\?|\bmyntra|[^\x00-\x7f‘’“”–—]",
    re.IGNORECASE,
)
_SOMEBODY = re.compile(r"\b(?:he|she|his|her|him|hers)\b", re.IGNORECASE)
_HUNDRED = re.compile(r"\b100\s?%\s*")
_INNER_CAPITAL = re.compile(r"(?<=[a-z,] )(?:Fit|Comfort|Style)\b")
_DANGLING = re.compile(
    r"(?:\b(?:and|with|has|have|made of|made from|featuring|on|in|of|the|a|an|its|that)|[,;:&-])\s*$", re.IGNORECASE
)
_PLAYFUL = re.compile(r"!|\b(?:fun|cool|funky|quirky|rock|party|oomph|chuck|flaunt|jazz)\b", re.IGNORECASE)
_PREMIUM = re.compile(
    r"\b(?:luxur|elegan|sophisticat|exquisite|refined|timeless|classy|premium|finest|opulen|statement)", re.IGNORECASE
)
_FRIENDLY = re.compile(r"\b(?:you|your|yourself)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Example:
    """A listing with texts that state only what it gives.

    Attributes:
        listing: Without its description's faults.
        facts: That it gives.
        targets: Part to its sentences, with slots (`models.describer.facts.slots`).
        tone: Of the texts, by the words in them.
        audience: For whom they are, by gender.
    """

    listing: Listing
    facts: tuple[Fact, ...]
    targets: Mapping[str, tuple[str, ...]]
    tone: Tone
    audience: str | None


def examples(listings: Sequence[Listing], lexicon: Lexicon) -> Iterator[Example]:
    """One example a listing that has facts; in two passes, as sentences are lent to other listings."""
    own = [(listing, facts_of(listing, lexicon)) for listing in listings]
    told = [sentences(listing.description or "", facts, lexicon) for listing, facts in own]
    bank = Bank.of(((facts, said) for (_, facts), said in zip(own, told, strict=True)), lexicon)
    for (listing, facts), said in zip(own, told, strict=True):
        if facts:
            yield _example(listing, facts, said, bank, lexicon)


def sentences(description: str, facts: Sequence[Fact], lexicon: Lexicon) -> list[str]:
    """Sentences of an HTML description that state only what is given, whole or without the clauses that do not."""
    found: list[str] = []
    skipped = False
    for raw in _BREAK.sub("\n", description).split("\n"):
        line = clean_html(raw)
        head, _, rest = line.partition(":")
        if head.casefold().strip(" .") in words.HEADINGS:
            skipped, line = head.casefold().strip(" .") in words.SKIPPED, rest.strip()
        if skipped or not line:
            continue
        for sentence in _END.split(line):
            kept = kept_of(sentence, facts, lexicon)
            if kept and kept.casefold() not in {one.casefold() for one in found}:
                found.append(kept)
    return found


def kept_of(sentence: str, facts: Sequence[Fact], lexicon: Lexicon) -> str | None:
    """A sentence as far as it states what is given; None where nothing that can stand alone is left."""
    sentence = _INNER_CAPITAL.sub(lambda m: m[0].lower(), _HUNDRED.sub("", sentence).strip(" -•*"))
    if _NO_SENTENCE.search(sentence) or _SOMEBODY.search(sentence):  # he and she say for whom, which the listing may not
        return None
    wrong = unsupported(sentence, facts, lexicon)
    if not wrong:
        return _ended(sentence)
    pieces, start = [], 0
    for cut in [*_CLAUSE.finditer(sentence), None]:
        end = cut.start() if cut else len(sentence)
        pieces.append((start, end))
        start = cut.end() if cut else end
    bad = [any(s.start < end and start < s.end for s in wrong) for start, end in pieces]
    if bad[0]:
        return None
    kept = [sentence[start:end].strip() for (start, end), wrong_here in zip(pieces, bad, strict=True) if not wrong_here]
    return _ended(", ".join(kept))


def _ended(text: str) -> str | None:
    """A sentence with a capital and a full stop; None where it is too short or long, or ends in the middle."""
    text = " ".join(text.split()).rstrip(" ,;:-")
    while _DANGLING.search(text):
        text = _DANGLING.sub("", text).rstrip(" ,;:-")
    if not LEAST_WORDS <= len(text.split()) <= MOST_WORDS or text.count("(") != text.count(")"):
        return None
    text = text[:1].upper() + text[1:]
    return text if text[-1] in ".!?" else f"{text}."


class Bank:
    """Sentences with slots, by the names of the facts that they copy; each can be said where these are given."""

    def __init__(self, held: Mapping[str, Sequence[tuple[str, frozenset[str]]]]) -> None:
        self.held = held

    @classmethod
    def of(cls, told: Iterator[tuple[Sequence[Fact], Sequence[str]]], lexicon: Lexicon) -> "Bank":
        """From facts and sentences of many listings: those that state nothing but what they copy, and name no type."""
        heads = {forms(kind)[-1] for kind in lexicon.types if forms(kind)}
        counts: Counter[str] = Counter()
        for facts, said in told:
            for sentence in said:
                text = slotted(sentence, facts)
                rest = re.sub(r"<<[^<>]+>>", " ", text)
                lent = bool(slots_in(text)) and not CORE & set(slots_in(text)) and not _SOMEBODY.search(rest)
                short = len(rest.split()) <= LENT_WORDS
                if lent and short and not lexicon.statements(rest) and not (heads | _OTHER_TYPES) & set(forms(rest)):
                    counts[text] += 1
        held: dict[str, list[tuple[str, frozenset[str]]]] = defaultdict(list)
        for text, count in counts.most_common():
            if count < LEAST_LENT:
                break
            names = frozenset(slots_in(text))
            for name in names:
                if len(held[name]) < BANKED:
                    held[name].append((text, names))
        return cls(held)

    def saying(self, name: str, given: frozenset[str], rng: np.random.Generator) -> str | None:
        """A sentence that copies a fact, and no fact that is not given."""
        fitting = [text for text, names in self.held.get(name, ()) if names <= given]
        return fitting[int(rng.integers(len(fitting)))] if fitting else None


INTRODUCING = (
    "This {thing} by <<brand>> is made for {gender}.",
    "A {thing} for {gender} from <<brand>>.",
    "<<brand>> presents this {thing} for {gender}.",
    "The <<brand>> {kind} for {gender} comes in <<base_colour>>.",
    "In <<base_colour>>, this {kind} from <<brand>> is for {gender}.",
    "Meet the {thing} by <<brand>>, made for {gender}.",
    "This {thing} from <<brand>> is for {gender}.",
    "<<brand>> makes this {thing} for {gender}.",
    "Here is a {thing} for {gender}, by <<brand>>.",
)
"""First sentences where a listing's own text has none; what is not given is left out (`_introduced`)."""
STATING = {
    "material": (
        "It is made of <<{n}>>.",
        "Made of <<{n}>>.",
        "The material is <<{n}>>.",
        "Crafted from <<{n}>>, it is made to last.",
    ),
    "fit": ("It has a <<{n}>>.", "Cut for a <<{n}>>.", "The <<{n}>> sits well."),
    "pattern": ("The pattern is <<{n}>>.", "Its pattern is <<{n}>>.", "The look is <<{n}>>."),
    "occasion": ("Right for <<{n}>> wear.", "Made for <<{n}>> days.", "It suits <<{n}>> wear."),
    "sport": ("Made for <<{n}>>.", "A good choice for <<{n}>>.", "Wear it for <<{n}>>."),
    "part": ("It has <<{n}>>.", "It comes with <<{n}>>.", "Note the <<{n}>>."),
    "care": ("Care: <<{n}>>.", "For its care: <<{n}>>.", "{label}: <<{n}>>."),
    "other": ("The {small} is <<{n}>>.", "Its {small} is <<{n}>>.", "{label}: <<{n}>>."),
}
"""Sentences for a fact that no sentence of the catalogue could be found for, by what it is."""
JOINING = ("It has {list}.", "It comes with {list}.", "Note {list}.", "With {list}.")
"""Sentences for several parts at once."""
_KINDS = (
    ("care", re.compile(r"\bcare\b|warranty", re.IGNORECASE)),
    ("material", re.compile(r"fabric|material|metal|upper|lining", re.IGNORECASE)),
    ("occasion", re.compile(r"occasion", re.IGNORECASE)),
    ("sport", re.compile(r"^sport", re.IGNORECASE)),
    ("pattern", re.compile(r"pattern|print", re.IGNORECASE)),
)
_PART = frozenset(
    words.listed(
        """neck sleeve collar toe strap heel dial pocket rise hem zip buckle fastening lace laceup tie hood closure waistband
        lens sole loop velcro drawstring"""
    )
)
_OTHER_TYPES = frozenset(words.listed("tee sneaker boot trainer polo footwear bag denim watch case key purse"))


def _example(listing: Listing, facts: tuple[Fact, ...], said: Sequence[str], bank: Bank, lexicon: Lexicon) -> Example:
    rng = np.random.default_rng(zlib.crc32(repr((listing.title, facts)).encode()))
    asked = sayable(facts, lexicon)
    body = list(said[:SENTENCES])
    core = [fact for fact in asked if fact.name in CORE]
    if set(core) - set(stated(" ".join(body[:2]), core, lexicon)) and (first := _introduced(facts, rng)):
        body = [first, *body[: SENTENCES - 1]]
    lacking = [fact for fact in asked if fact.name not in CORE and fact not in stated(" ".join(body), asked, lexicon)]
    parts = [fact for fact in lacking if kind_of(fact, lexicon) == "part"]
    if len(parts) > 1 and rng.random() < 0.6:
        joined = realised(_joined([f"<<{fact.name}>>" for fact in parts[:3]], rng), facts)
        body.append(joined)
        lacking = [fact for fact in lacking if fact not in stated(joined, asked, lexicon)]
    for fact in lacking:
        sentence = said_of(fact, facts, bank, lexicon, rng)
        if sentence is not None and fact not in stated(" ".join(body), asked, lexicon):
            body.append(sentence)
    style = [sentence for sentence in body if not stated(sentence, asked, lexicon)]
    told = [sentence for sentence in body if sentence not in style]
    description = [*told, *style[:2]] if rng.random() < 0.5 else [*told[:1], *style[:1], *told[1:], *style[1:2]]
    bullets = [s for fact in asked if (s := _bullet(fact, facts, bank, lexicon, rng))][:BULLETS]
    targets = {
        "seo_title": _title(listing, facts, lexicon),
        "meta_description": _fitting(description, MAX_META),
        "description": tuple(description),
        "bullets": tuple(dict.fromkeys(bullets)),
    }
    slots = {part: tuple(slotted(sentence, facts) for sentence in held) for part, held in targets.items()}
    return Example(listing, facts, slots, tone_of(" ".join(body)), audience_of(listing))


def said_of(fact: Fact, facts: Sequence[Fact], bank: Bank, lexicon: Lexicon, rng: np.random.Generator) -> str | None:
    """A sentence that states a fact: one that the catalogue's texts hold, else a plain one."""
    given = frozenset(f.name for f in facts)
    found = bank.saying(fact.name, given, rng) if rng.random() < 0.7 else None
    if found is None:
        found = _plain(fact, lexicon, rng)
    text = realised(found, facts) if found else None
    return text if text and fact in stated(text, facts, lexicon) and not unsupported(text, facts, lexicon) else None


def _plain(fact: Fact, lexicon: Lexicon, rng: np.random.Generator) -> str | None:
    """A sentence that states a fact by what it is."""
    if fact.name in CORE:
        return {"base_colour": "The colour is <<base_colour>>.", "brand": "From <<brand>>."}.get(fact.name)
    label = re.sub(r"\s+\d+$", "", fact.name)
    patterns = STATING[kind_of(fact, lexicon)]
    return patterns[int(rng.integers(len(patterns)))].format(n=fact.name, label=label, small=label.lower())


def kind_of(fact: Fact, lexicon: Lexicon) -> str:
    """Which of `STATING` a fact is."""
    key = forms(fact.value)
    if key[-1:] == ("fit",):
        return "fit"
    found = next((kind for kind, pattern in _KINDS if pattern.search(fact.name)), None)
    if found is None and "material" in lexicon.values.get(key, ()):
        found = "material"
    return found or ("part" if key and key[-1] in _PART else "other")


def _joined(slots: Sequence[str], rng: np.random.Generator) -> str:
    told = f"{', '.join(slots[:-1])} and {slots[-1]}"
    return JOINING[int(rng.integers(len(JOINING)))].format(list=told)


def _bullet(fact: Fact, facts: Sequence[Fact], bank: Bank, lexicon: Lexicon, rng: np.random.Generator) -> str | None:
    """A short phrase that states a fact."""
    if fact.name in CORE - {"base_colour"}:
        return None
    found = bank.saying(fact.name, frozenset({fact.name}), rng) if rng.random() < 0.3 else None
    if found is None or len(found.split()) > 10:
        found = (
            f"{fact.name.replace('_', ' ').removeprefix('base ').capitalize()}: <<{fact.name}>>" if rng.random() < 0.5 else None
        )
    found = found or _plain(fact, lexicon, rng)
    text = realised(found, facts).rstrip(".") if found else None
    return text if text and fact in stated(text, facts, lexicon) and not unsupported(text, facts, lexicon) else None


def _introduced(facts: Sequence[Fact], rng: np.random.Generator) -> str | None:
    """A first sentence of brand, colour, type and gender, as far as they are given."""
    held = {fact.name: fact.value for fact in reversed(facts)}
    if TYPE not in held:
        return None
    pattern = INTRODUCING[int(rng.integers(len(INTRODUCING)))]
    kind = singular_of(held[TYPE])
    colour = "<<base_colour>> " if "base_colour" in held else ""
    whole, thing = (f"pair of {kind}", f"pair of {colour}{kind}") if plural_only(held[TYPE]) else (kind, f"{colour}{kind}")
    text = pattern.format(kind=whole, thing=thing, gender=_people(held.get("gender")) or "")
    if not held.get("gender"):
        text = re.sub(r" (?:is |made )*for (?=[.,]|comes)", " ", text).replace(" .", ".").replace(" ,", ",").replace("for .", ".")
    if "brand" not in held:
        text = re.sub(r"(?: by| from) <<brand>>|<<brand>> presents |<<brand>> ", "", text)
    if "base_colour" not in held:
        text = text.replace("In <<base_colour>>, t", "T").replace(" comes in <<base_colour>>", " is here")
    return realised(text, facts)


def _people(gender: str | None) -> str | None:
    return None if gender is None else "men and women" if gender.casefold() == "unisex" else gender.lower()


def singular_of(kind: str) -> str:
    """A type as a sentence names one of it: "t-shirt", "jeans"."""
    text = kind.casefold().replace("tshirt", "t-shirt")
    if plural_only(kind):
        return text
    if text.endswith(("ches", "shes", "xes", "sses")):
        return text[:-2]
    return text[:-1] if text.endswith("s") and not text.endswith(("ss", "us")) else text


def plural_only(kind: str) -> bool:
    """Whether a type is said of pairs: jeans, shoes."""
    return bool(forms(kind)) and forms(kind)[-1] in _PAIRS


_PAIRS = frozenset(
    words.listed(
        """shoe jean trouser short sandal heel flat sock legging tight capri jegging earring flop sunglass glove pant stocking
        cufflink boxer slipper boot churidar salwar patiala"""
    )
)


def _title(listing: Listing, facts: Sequence[Fact], lexicon: Lexicon) -> tuple[str, ...]:
    """The listing's own title, where it is short enough and states what is given, as its words are facts."""
    title = " ".join(clean_html(listing.title or "").split())
    fits = 0 < len(title) <= MAX_TITLE and len(title.split()) > 1 and not unsupported(title, facts, lexicon)
    return (title,) if fits else ()


def _fitting(told: Sequence[str], limit: int) -> tuple[str, ...]:
    """The first sentences that fit into so many characters together."""
    found: list[str] = []
    for sentence in told:
        if len(" ".join([*found, sentence])) <= limit:
            found.append(sentence)
    return tuple(found[:3])


def tone_of(text: str) -> Tone:
    """By the words of a text: playful exclaims, premium praises, friendly says you; else it is neutral."""
    if _PLAYFUL.search(text):
        return "playful"
    if _PREMIUM.search(text):
        return "premium"
    return "friendly" if _FRIENDLY.search(text) else "neutral"


def audience_of(listing: Listing) -> str | None:
    """For whom a listing is, by gender."""
    gender = listing.fields.get("gender")
    return None if not gender or gender.casefold() == "unisex" else gender.lower()
