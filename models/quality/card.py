"""The model card of a quality model (Mitchell et al. 2019); its metrics are added by whoever measures the bundle."""

from catalog.corruption import PART
from models.quality.axes import readers
from models.quality.bundle import BundleConfig


def card(settings: BundleConfig) -> str:
    """Markdown, a paragraph a line: MLflow shows each line break."""
    config = settings.config.model
    axes = "; ".join(
        f"{reader.label.lower()} ({', '.join(reader.names)}{', belongs to the rest' if reader.part else ''})"
        for reader in readers().values()
    )
    weights = ", ".join(f"{axis} {weight:g}" for axis, weight in config.overall.weights.items())
    lacking = " ".join(f"The axis {axis} is left out: {why}." for axis, why in settings.not_learned.items())
    published = (
        "as configured" if config.overall.publish is not None else f"which {config.overall.held:.0%} of good ones fall below"
    )
    text = f"""# Listing quality

**What it is.** Says of a listing how good it is on each of {len(readers())} axes, by evidence that a person can check, and what
would raise the score by how much. It reads listings with a product model that it holds a whole copy of; which version that
is stands beside this card.

**Axes.** {axes}. Each is 0 to 1, and never falls where its evidence gets better. A part that is missing scores 1 less the
share of the type's listings that have it. {lacking}

**Score.** {1 - config.overall.worst:g} times the weighted mean of the axes plus {config.overall.worst:g} times the lowest of
them; weights: {weights}. A listing is published from {settings.threshold:.4f} on ({published}).

**Intended use.** Finding what to mend in a catalogue, and holding back listings that are broken. **Not for** judging merchants,
or whether a product is good: only the listing is looked at.

**Training data.** Catalogue `{settings.data}`. {settings.remembered:,} products tell what is usual, which values go together and
which listings there are already; the axes were learned from {settings.fitted:,} listings that the product model was chosen by,
each as it is and with every fault that it can carry ({", ".join(PART)}); the threshold was set by {settings.chosen:,} others.
Of all, {settings.known_to_base:,} are known to the product model underneath. Listings of the catalogue count as good ones,
although some are not.

**Limits.** What is usual is what this catalogue has: where all descriptions are poor, a poor one is usual. Faults were put into
listings by program; what sellers really do differs. A suggested value is what similar listings have, and may be wrong for this
one: its confidence says how often. Kinds of product that the catalogue lacks are judged by what they look most like.
"""
    return "\n\n".join(paragraph.replace("\n", " ") for paragraph in text.strip().split("\n\n")) + "\n"
