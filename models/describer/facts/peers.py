"""What the writer is held against: a template of facts, and the text of the listing that is most alike."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfVectorizer

from catalog.listing import Listing
from catalog.text import clean_html
from models.describer.answers import MAX_META, MAX_TITLE, Brief, Description, Fact, Sentence
from models.describer.facts.cleaning import plural_only, singular_of
from models.describer.facts.extractor import sayable, stated
from models.describer.facts.given import TITLE, facts_of
from models.describer.facts.lexicon import FIRST, TYPE, Lexicon


def template(brief: Brief, lexicon: Lexicon) -> Description:
    """Every fact in one fixed wording, as shops fill in."""
    facts = facts_of(brief.listing, lexicon)
    held = {fact.name: fact.value for fact in reversed(facts) if fact.name in FIRST}
    kind = singular_of(held[TYPE]) if TYPE in held else "product"
    kind = f"pair of {kind}" if TYPE in held and plural_only(held[TYPE]) else kind
    colour = f"{held['base_colour'].lower()} " if "base_colour" in held else ""
    people = f" for {held['gender'].lower()}" if "gender" in held else ""
    brand = f" by {held['brand']}" if "brand" in held else ""
    opening = f"This {colour}{kind}{people}{brand} is a good choice."
    rest = [fact for fact in sayable(facts, lexicon) if fact.name not in FIRST]
    told = [opening, *(f"{fact.name.replace('_', ' ').capitalize()}: {fact.value}." for fact in rest)]
    sentences = tuple(Sentence(text, stated(text, facts, lexicon)) for text in told)
    title = _cut(
        " ".join(held[name] for name in FIRST if name in held) or clean_html(brief.listing.title or "Product"), MAX_TITLE
    )
    meta = _cut(" ".join(told), MAX_META)
    return _described(title, meta, sentences, sentences[1:], facts, lexicon)


@dataclass(frozen=True)
class Neighbours:
    """Listings with their texts; the most alike by its facts lends its own (TF-IDF, cosine)."""

    vectorizer: TfidfVectorizer
    vectors: csr_matrix
    listings: tuple[Listing, ...]
    lexicon: Lexicon

    @classmethod
    def fit(cls, listings: Sequence[Listing], lexicon: Lexicon) -> "Neighbours":
        """Of training listings, those with a description."""
        told = [listing for listing in listings if listing.description]
        vectorizer = TfidfVectorizer(sublinear_tf=True)
        return cls(vectorizer, vectorizer.fit_transform([_words(x, lexicon) for x in told]), tuple(told), lexicon)

    def describe(self, brief: Brief) -> Description:
        """The text of the most similar listing, word by word, linked to what it states of this one's facts."""
        asked = self.vectorizer.transform([_words(brief.listing, self.lexicon)])
        near = self.listings[int(np.asarray((self.vectors @ asked.T).todense()).argmax())]
        facts = facts_of(brief.listing, self.lexicon)
        text = clean_html(near.description or "")
        sentence = Sentence(text, stated(text, facts, self.lexicon))
        title = _cut(clean_html(near.title or ""), MAX_TITLE)
        return _described(title, _cut(text, MAX_META), (sentence,), (), facts, self.lexicon)


def _described(
    title: str,
    meta: str,
    sentences: tuple[Sentence, ...],
    bullets: tuple[Sentence, ...],
    facts: tuple[Fact, ...],
    lexicon: Lexicon,
) -> Description:
    said = {fact for sentence in (*sentences, *bullets) for fact in sentence.facts}
    return Description(
        seo_title=Sentence(title, stated(title, facts, lexicon)),
        meta_description=Sentence(meta, stated(meta, facts, lexicon)),
        description=sentences,
        bullets=bullets,
        unsaid=tuple(fact for fact in facts if fact not in said and fact.name != TITLE),
        not_given=(),
        keywords=(),
        article_type=next((fact.value for fact in facts if fact.name == TYPE), None),
    )


def _words(listing: Listing, lexicon: Lexicon) -> str:
    return " ".join(f"{fact.name} {fact.value}" for fact in facts_of(listing, lexicon)) + f" {listing.title or ''}"


def _cut(text: str, limit: int) -> str:
    """The words of a text that fit."""
    found = ""
    for word in text.split():
        if len(found) + len(word) + bool(found) > limit:
            break
        found = f"{found} {word}".strip()
    return found
