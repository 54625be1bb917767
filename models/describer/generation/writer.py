"""From a brief to a description: candidates, the choice among them, bullets for what is still unsaid, and what each states."""

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from catalog.text import clean_html
from models.describer.answers import MAX_META, MAX_TITLE, Brief, Description, Fact, Keyword, Sentence
from models.describer.config import DescriberModelConfig
from models.describer.facts.extractor import sayable, stated
from models.describer.facts.forms import forms
from models.describer.facts.given import facts_of, unsupported
from models.describer.facts.keywords import refused
from models.describer.facts.lexicon import FIRST, Lexicon, plural
from models.describer.facts.peers import template
from models.describer.facts.slots import UNSLOTTED, fill
from models.describer.facts.words import NUMBERS
from models.describer.frames import Frames
from models.describer.generation.constraint import Allowed, FactsOnly, Spelling
from models.describer.generation.decoding import Drawn, Sampler, Wanted
from models.describer.generation.limits import cut_title, whole_sentences
from models.describer.generation.reranking import WORD, Aim, Candidate, best, holds, sound
from models.describer.prompt import Prompt, prompt
from models.describer.tokens import PARTS, WriterTokenizer

LEAST_WORDS = {"seo_title": 1, "meta_description": 3, "description": 3, "bullets": 2}
"""Words of a sentence of each text."""

LINK = re.compile(r"( (is|of|in|with|a|an|as))+$")
"""Words between the name of a fact and its value."""

UNLIKE = frozenset({"shirt"})
"""Types within the names of others that they are not: a T-shirt is no shirt, though its name is spelled with one."""

CORE = frozenset(FIRST)
"""Facts of a description's first sentence."""

BETWEEN = frozenset({"for", "by", "with", "and", "in", "of", "from", "the", "a", "an", "pair"})
"""Words of a title that name nothing."""

VAGUE = frozenset({"set", "care", "accessory", "basic", "pack", "gift", "body", "make", "kit"})
"""Last words of types that texts use for much else."""


@dataclass(frozen=True)
class Task:
    """A brief with what follows from it.

    Attributes:
        brief: What was asked.
        facts: What the listing gives.
        sayable: Those of them that a text should state.
        keywords: Those of the brief that are true.
        refused: Keyword to the reason why it is not used.
    """

    brief: Brief
    facts: tuple[Fact, ...]
    sayable: tuple[Fact, ...]
    keywords: tuple[str, ...]
    refused: dict[str, str]


@dataclass(frozen=True)
class Counts:
    """How much is stated, how much of it is given, how much is given, and how much of that is stated."""

    stated: int
    supported: int
    given: int
    said: int


@dataclass
class Draft:
    """Texts while they come together."""

    task: Task
    titles: list[Sentence]
    meta: list[Sentence]
    description: list[Sentence]
    bullets: list[Sentence]


class Writer:
    """A model that writes; safe to call from several threads, as nothing of it changes."""

    def __init__(
        self, model: Any, tokenizer: WriterTokenizer, lexicon: Lexicon, frames: Frames, config: DescriberModelConfig
    ) -> None:
        self.tokenizer, self.lexicon, self.frames, self.config = tokenizer, lexicon, frames, config
        self.sampler = Sampler(model, tokenizer, config.generation.temperature, config.generation.top_p)
        self.spelling = Spelling.of(tokenizer)
        self.heads = frozenset(head for kind in lexicon.types if (head := type_head(kind)))
        self.names = {_folded(name): name for name in tokenizer.slots}

    def write(self, brief: Brief, usual: Sequence[str], article_type: str | None) -> Description:
        """Texts for one brief; `usual` are the names of facts that listings of its type give."""
        task = self.task(brief)
        drawn, generation = self._draw(task), self.config.generation
        everything = frozenset(task.sayable)
        aim = Aim(everything, task.keywords, brief.recent)
        titles, meta, description = (
            self._taken(best(drawn[part], aim, generation)) for part in ("seo_title", "meta_description", "description")
        )
        said = _said([*titles, *meta, *description])
        bullets = self._taken(best(drawn["bullets"], Aim(everything - said, (), brief.recent), generation))
        told = {sentence.text.casefold().rstrip(".") for sentence in description}
        bullets = [bullet for bullet in bullets if bullet.facts and bullet.text.casefold().rstrip(".") not in told]
        bullets = self._further(task, bullets[: generation.most_bullets], said | _said(bullets))
        return self._finished(Draft(task, titles, meta, description, bullets), usual, article_type)

    def _taken(self, candidate: Candidate | None) -> list[Sentence]:
        return list(candidate.sentences) if candidate else []

    def _fill_up(self, draft: "Draft") -> None:
        """The texts that are lacking, from the sentences of the template that state nothing but what is given."""
        task, plain = draft.task, template(draft.task.brief, self.lexicon)
        first, *others = plain.description
        told = [first, *(sentence for sentence in others if self._true(sentence.text, task))]
        draft.description = draft.description or told
        fitting = whole_sentences([sentence.text for sentence in draft.description], MAX_META)
        draft.meta = draft.meta or draft.description[:fitting] or [self._cut(first.text, MAX_META, task)]
        draft.titles = draft.titles or [self._cut(plain.seo_title.text or first.text, MAX_TITLE, task)]

    def _cut(self, text: str, most: int, task: Task) -> Sentence:
        cut = cut_title(text, most)
        return Sentence(cut, stated(cut, task.facts, self.lexicon))

    def _finished(self, draft: "Draft", usual: Sequence[str], article_type: str | None) -> Description:
        """A listing always gets all of its texts: what no candidate gives is taken from the template."""
        task = draft.task
        if not (draft.titles and draft.meta and draft.description):
            self._fill_up(draft)
        texts = " ".join(s.text for s in (*draft.titles, *draft.meta, *draft.description, *draft.bullets))
        said = _said([*draft.titles[:1], *draft.meta, *draft.description, *draft.bullets])
        given = {fact.name for fact in task.facts}
        return Description(
            seo_title=draft.titles[0],
            meta_description=_joined(draft.meta),
            description=tuple(draft.description),
            bullets=tuple(draft.bullets),
            unsaid=tuple(fact for fact in task.sayable if fact not in said),
            not_given=tuple(name for name in usual if name not in given),
            keywords=tuple(_became(keyword, texts, task.refused) for keyword in task.brief.keywords),
            article_type=article_type,
        )

    def first_tokens(self, brief: Brief) -> dict[str, dict[str, float]]:
        """The probability of each token that a text can begin with, by part: what the model itself says of a brief."""
        task = self.task(brief)
        asked = self._prompt(task, task.facts)
        rows = {part: [self.tokenizer.parts[part]] for part in PARTS}
        found = self.sampler.next_tokens(asked.ids, list(rows.values()), self._allowed(asked, task))
        names = {slot: f"<{fact.name}>" for slot, fact in asked.slots.items()}
        return {
            part: {names.get(token) or self.tokenizer.strings[token] or "": p for token, p in told.items()}
            for part, told in zip(rows, found, strict=True)
        }

    def counts(self, brief: Brief, texts: Sequence[str]) -> "Counts":
        """What texts for a brief state, and how much of what it gives."""
        task = self.task(brief)
        said, stating, wrong = set(), 0, 0
        for text in texts:
            found = self.lexicon.statements(text)
            stating += len(found)
            wrong += len(unsupported(text, task.facts, self.lexicon))
            said |= set(stated(text, task.facts, self.lexicon))
        return Counts(stating, stating - wrong, len(task.sayable), len(said & set(task.sayable)))

    def task(self, brief: Brief) -> Task:
        """What a brief gives and asks for."""
        facts = facts_of(brief.listing, self.lexicon)
        no = {keyword: why for keyword in brief.keywords if (why := refused(keyword, brief.listing, facts, self.lexicon))}
        usable = tuple(keyword for keyword in brief.keywords if keyword not in no)
        return Task(brief, facts, sayable(facts, self.lexicon), usable, no)

    def _draw(self, task: Task) -> dict[str, list[Candidate]]:
        """Candidates of every text, drawn in one batch."""
        generation = self.config.generation
        plan = {
            "seo_title": (generation.title_candidates, generation.title_tokens),
            "meta_description": (generation.meta_candidates, generation.meta_tokens),
            "description": (generation.description_candidates, generation.description_tokens),
            "bullets": (generation.bullet_candidates, generation.bullets_tokens),
        }
        asked = self._prompt(task, task.facts)
        parts = [part for part in PARTS for _ in range(plan[part][0])]
        rows = [Wanted(self.tokenizer.parts[part], plan[part][1]) for part in parts]
        drawn = self.sampler.draw(asked.ids, rows, self._allowed(asked, task), task.brief.seed)
        found: dict[str, list[Candidate]] = {part: [] for part in PARTS}
        for part, one in zip(parts, drawn, strict=True):
            found[part].append(self._candidate(one, asked, task, part))
        return found

    def _further(self, task: Task, bullets: list[Sentence], said: set[Fact]) -> list[Sentence]:
        """Bullets, and more of them, each of which states a fact that was unsaid."""
        generation = self.config.generation
        for number in range(generation.rounds):
            unsaid = [fact for fact in task.sayable if fact not in said]
            room = generation.most_bullets - len(bullets)
            if not unsaid or room <= 0:
                break
            asked = self._prompt(task, unsaid)
            wanted = Wanted(
                part=self.tokenizer.parts["bullets"],
                most=min(room, len(unsaid)) * generation.bullet_tokens,
                needs=frozenset(slot for slot, fact in asked.slots.items() if fact.name not in UNSLOTTED),
                within=generation.bullet_tokens // 2,
            )
            seed = task.brief.seed + number + 1
            drawn = self.sampler.draw(asked.ids, [wanted] * generation.bullet_candidates, self._allowed(asked, task), seed)
            candidates = [self._candidate(one, asked, task, "bullets") for one in drawn]
            taken = best(candidates, Aim(frozenset(unsaid), (), task.brief.recent), generation)
            for sentence in taken.sentences if taken else ():
                if set(sentence.facts) - said and len(bullets) < generation.most_bullets:
                    bullets.append(sentence)
                    said |= set(sentence.facts)
        return bullets

    def _prompt(self, task: Task, facts: Sequence[Fact]) -> Prompt:
        """Facts by their names: in which order a listing gives them makes no difference."""
        brief, facts = task.brief, sorted(facts, key=lambda fact: (fact.name, fact.value))
        return prompt(self.tokenizer, self.config.writer, facts, brief.listing.title, brief.audience, brief.tone, task.keywords)

    def _allowed(self, asked: Prompt, task: Task) -> FactsOnly:
        values = [fact.value for fact in task.facts]
        slots = [slot for slot, fact in asked.slots.items() if fact.name not in UNSLOTTED]
        numbers = NUMBERS - given_words(task)
        own = own_words(task)  # a word that is part of the type's name may be spelled: "shirt" of a T-shirt
        not_given = [form for form in self.lexicon.forms_not_in(task.facts) if form not in own]
        forms_not_given = [*not_given, *self._other_types(task), *numbers]
        frames = {slot: self.frames.of(asked.slots[slot].name) for slot in slots}
        allowed = Allowed.of(slots, forms_not_given, values, frames)
        return FactsOnly(self.spelling, self.tokenizer, allowed, self.config.generation.slot_uses)

    def _other_types(self, task: Task) -> list[str]:
        """What other types than the listing's are called, in the singular and the plural."""
        return [spelling for head in self.heads - own_words(task) for spelling in (head, plural(head))]

    def _true(self, text: str, task: Task) -> bool:
        """Whether a text states nothing but what is given, and is of no other type."""
        own = own_words(task)
        named = {head for head in self.heads & set(forms(text)) if head not in own or head in UNLIKE - given_words(task)}
        return not named and not unsupported(text, task.facts, self.lexicon)

    def _candidate(self, drawn: Drawn, asked: Prompt, task: Task, part: str) -> Candidate:
        """Its sentences that can be read, state nothing but what is given, and are not said before in it."""
        runs = _split(drawn.ids, self.tokenizer.next)
        if not drawn.ended and (len(runs) > 1 or part != "seo_title"):
            runs = runs[:-1]  # cut off in the middle
        sentences: dict[str, Sentence] = {}
        for run in runs:
            pieces = self._pieces(run, asked)
            if misnamed(pieces, self.names):
                continue
            text = fill(pieces, as_given=part == "seo_title")
            if part == "seo_title":
                text = cut_title(text, MAX_TITLE)
            facts = stated(text, task.facts, self.lexicon)
            if sound(text, LEAST_WORDS[part]) and self._true(text, task) and _says(part, text, facts, task):
                sentences.setdefault(text.casefold(), Sentence(text, facts))
        kept = list(_telling(sentences.values()))
        if part == "seo_title":
            kept = kept[:1]
        if part == "meta_description":
            kept = kept[: whole_sentences([sentence.text for sentence in kept], MAX_META)]
        if part == "description":
            kept = kept[: self.config.generation.most_sentences]
        return Candidate(tuple(kept), drawn.log_probability, drawn.ended)

    def _pieces(self, ids: Sequence[int], asked: Prompt) -> list[str | Fact]:
        """A sentence with facts in the place of slots."""
        pieces: list[str | Fact] = []
        for token in ids:
            fact = asked.slots.get(token)
            if fact is not None:
                pieces.append(fact)
                continue
            text = self.tokenizer.strings[token] or ""
            if pieces and isinstance(pieces[-1], str):
                pieces[-1] += text
            else:
                pieces.append(text)
        return pieces


def _says(part: str, text: str, facts: Sequence[Fact], task: Task) -> bool:
    """Whether a sentence says something of the product, in its place.

    A sentence names a fact; a bullet one beyond brand, colour, gender and type, which the description begins with; an SEO title
    has no word but the listing's own: what a title adds would be a name that nobody gave.
    """
    if part == "seo_title":
        return set(forms(text)) <= given_words(task) | BETWEEN
    return bool({fact.name for fact in facts} - CORE) if part == "bullets" else bool(facts)


def type_head(kind: str) -> str | None:
    """The word by which a type is called: "shoe" of Casual Shoes; None for what is no word of its own, such as "set"."""
    told = forms(kind)
    return told[-1] if told and told[-1] not in VAGUE else None


def given_words(task: Task) -> frozenset[str]:
    """Words of the title, the categories and all facts of a listing."""
    listing = task.brief.listing
    texts = [*(fact.value for fact in task.facts), clean_html(listing.title or ""), *listing.categories.values()]
    return frozenset(word for text in texts for word in forms(text))


def own_words(task: Task) -> frozenset[str]:
    """Words by which a listing may be called: those that it gives, and types within them, as "bag" in "handbag"."""
    said = given_words(task)
    return said | {word[start:] for word in said for start in range(1, len(word) - 2)}


def misnamed(pieces: Sequence[str | Fact], names: Mapping[str, str]) -> bool:
    """Whether a value is called by the name of another fact, such as "pattern: Casual"; `names` are those that are known."""
    for before, fact in itertools.pairwise(pieces):
        if isinstance(before, str) and isinstance(fact, Fact):
            words = LINK.sub("", _folded(before)).split()
            called = (" ".join(words[-count:]) for count in (1, 2, 3))
            if any(name in names and names[name] != fact.name for name in called):
                return True
    return False


def _folded(text: str) -> str:
    return " ".join(WORD.findall(text.casefold()))


def _split(ids: Sequence[int], at: int) -> list[list[int]]:
    runs: list[list[int]] = [[]]
    for token in ids:
        if token == at:
            runs.append([])
        else:
            runs[-1].append(token)
    return [run for run in runs if run]


def _said(sentences: Iterable[Sentence]) -> set[Fact]:
    return {fact for sentence in sentences for fact in sentence.facts}


def _telling(sentences: Iterable[Sentence]) -> Iterable[Sentence]:
    """Sentences, without those whose facts were all stated before."""
    said: set[Fact] = set()
    for sentence in sentences:
        if not sentence.facts or set(sentence.facts) - said:
            yield sentence
        said |= set(sentence.facts)


def _joined(sentences: Sequence[Sentence]) -> Sentence:
    facts = dict.fromkeys(fact for sentence in sentences for fact in sentence.facts)
    return Sentence(" ".join(sentence.text for sentence in sentences), tuple(facts))


def _became(keyword: str, texts: str, refused: dict[str, str]) -> Keyword:
    if keyword in refused:
        return Keyword(keyword, used=False, why=refused[keyword])
    if holds(texts, keyword):
        return Keyword(keyword, used=True)
    return Keyword(keyword, used=False, why="no sentence that was drawn could hold it")
