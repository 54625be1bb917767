"""The model card of a few-shot model (Mitchell et al. 2019); its metrics are added by whoever measures the bundle."""

from collections import Counter
from collections.abc import Sequence

from models.fewshot import learner
from models.fewshot.bundle import BundleConfig

NAMED = 5
"""Types that a sentence names."""


def card(settings: BundleConfig) -> str:
    """Markdown, a paragraph a line: MLflow shows each line break."""
    config, types = settings.config.model, Counter(settings.types.values())
    tested = [name for name, part in settings.types.items() if part in ("test", "novel")]
    known = [name for name in settings.learned_by_base if name in tested]
    learners = ", ".join(f"{name} ({learner.get(name).label}, reads {learner.get(name).reads})" for name in config.learners)
    chosen = ", ".join(f"{shots}: {name}" for shots, name in sorted(settings.chosen.items()))
    parts = ", ".join(
        f"{types[part]} {what} ({settings.products.get(part, 0):,} products)"
        for part, what in (
            ("train", "to learn from"),
            ("validation", "to choose by"),
            ("test", "to test on"),
            ("novel", f"of departments held back ({', '.join(config.types.novel)})"),
        )
        if types[part]
    )
    text = f"""# Few-shot classifier

**What it is.** Learns a new classifier of 2 classes and more from 1 to 20 examples of each, in milliseconds, on the features of a
product model that it holds a whole copy of; which version that is stands beside this card. Teaching more examples or classes
later gives the same classifier as teaching all at once.

**Learners.** {learners}. Examples a class, and what answers by default for so many, chosen on types that no learner was trained
on: {chosen}. A request may name another learner.

**None of these.** A listing is rejected where a distance learned on training types that played strangers is beyond a bound; it is
set so that {config.unknown.false_rejection:.1%} of the members of the classes are rejected, on types to choose by. On a catalogue
unlike this one that share is another.

**Intended use.** Sorting listings of a shop into classes that it has few examples of. **Not for** decisions about people.

**Training data.** Catalogue `{settings.data}`, its article types divided once: {parts}. Types with fewer than
{config.types.min_products} products are left out; of each at most {config.types.most_products:,} are read.

**Limits.** {flatters(known, len(tested))} Features are those of a shop's products: of other things, and in other languages
than the catalogue's, they say little. Classes that differ by what neither text nor photo shows cannot be told apart. What a task
was taught by mistake it believes.
"""
    return "\n\n".join(paragraph.replace("\n", " ") for paragraph in text.strip().split("\n\n")) + "\n"


def flatters(known: Sequence[str], types: int) -> str:
    """What it means for the figures that training has seen some of the tested types."""
    if not known:
        return "No part was trained on any of the types that are tested: they are as new to it as a shop's will be."
    which = ", ".join(known[:NAMED]) + (f" and {len(known) - NAMED} more" if len(known) > NAMED else "")
    return (
        f"Of the {types} types that are tested, {len(known)} are known to the product model underneath, or to a learner, from "
        f"training ({which}): the figures flatter. Of types that are new to all of it, fewer products will be told apart."
    )
