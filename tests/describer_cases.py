"""A handful of lessons, spelled out."""

from models.describer.answers import Fact
from models.describer.config import LessonsConfig, WriterConfig
from models.describer.data import Lesson, LessonDataset
from models.describer.tokens import WriterTokenizer, slot_names

SMALL = WriterConfig(
    width=32, layers=2, heads=2, kv_heads=1, mlp_hidden=64, vocab_size=400, context=128, prompt_tokens=64, title_tokens=12
)
SHOP = [
    ("Nike", "Red", "Cotton", "Shirts"),
    ("Puma", "Blue", "Leather", "Shoes"),
    ("Fossil", "Black", "Steel", "Watches"),
    ("Alder & Finch", "Navy Blue", "Wool", "Scarves"),
]
TEXTS = [
    "Wear this {colour} {kind} from {brand} on a day out.",
    "Made of {material}, it lasts for years.",
    "Buy {brand} {colour} {kind} online",
]


def facts_of(row: tuple[str, str, str, str]) -> tuple[Fact, ...]:
    brand, colour, material, kind = row
    names = {"brand": brand, "base_colour": colour, "Material": material, "article_type": kind}
    return tuple(Fact(name, value) for name, value in names.items())


def tokenizer() -> WriterTokenizer:
    words = [text.format(colour="", kind="", brand="", material="") for text in TEXTS]
    values = [" ".join(row) for row in SHOP]
    return WriterTokenizer.fit((words + values) * 3, SMALL.vocab_size, slot_names(["brand", "base_colour", "article_type"], 2))


def spelled(text: str, using: WriterTokenizer) -> tuple[int, ...]:
    """Ids of a text whose {fields} are copies of the facts of `facts_of`."""
    places = {"brand": -1, "colour": -2, "material": -3, "kind": -4}
    found: list[int] = []
    for piece in text.replace("{", "\0{").replace("}", "}\0").split("\0"):
        found += [places[piece[1:-1]]] if piece.startswith("{") else using.encode(piece)
    return tuple(found)


def lessons(using: WriterTokenizer) -> list[Lesson]:
    first, second, title = (spelled(text, using) for text in TEXTS)
    return [
        Lesson(
            facts=facts_of(row),
            said=frozenset(range(4)),
            title=f"{row[0]} {row[1]} {row[3]}",
            audience="women",
            tone="friendly",
            texts={
                "seo_title": (title,),
                "meta_description": (first,),
                "description": (first, second),
                "bullets": (second,),
            },
            words=("wear", "lasts"),
        )
        for row in SHOP
    ]


def dataset(using: WriterTokenizer, changes: LessonsConfig | None = None) -> LessonDataset:
    return LessonDataset(lessons(using), using, SMALL, changes or LessonsConfig(), seed=3)
