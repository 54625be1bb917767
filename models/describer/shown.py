"""Descriptions as they are kept in an evaluation's rows, for the report: JSON, as tables hold no nested values."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from models.describer.answers import Description, Fact, Sentence


@dataclass(frozen=True)
class Shown:
    """A description as it was kept.

    Attributes:
        parts: Name of a text to its sentences, each with what it states.
        unsaid: Facts that no sentence states.
    """

    parts: dict[str, tuple[Sentence, ...]]
    unsaid: tuple[Fact, ...]


def texts_row(answer: Description) -> str:
    """One description as JSON."""
    parts = {name: [_told(sentence) for sentence in sentences] for name, sentences in answer.parts.items()}
    return json.dumps({"parts": parts, "unsaid": _facts(answer.unsaid)}, ensure_ascii=False)


def read_row(text: str) -> Shown:
    """What `texts_row` wrote."""
    kept = json.loads(text)
    parts = {name: tuple(Sentence(s["text"], _read(s["facts"])) for s in told) for name, told in kept["parts"].items()}
    return Shown(parts, _read(kept["unsaid"]))


def _told(sentence: Sentence) -> dict[str, Any]:
    return {"text": sentence.text, "facts": _facts(sentence.facts)}


def _facts(facts: Sequence[Fact]) -> list[list[str]]:
    return [[fact.name, fact.value] for fact in facts]


def _read(facts: Sequence[Sequence[str]]) -> tuple[Fact, ...]:
    return tuple(Fact(name, value) for name, value in facts)
