"""The model card of a recommender (Mitchell et al. 2019); its metrics are added by whoever measures the bundle."""

from models.recommender.bundle import BundleConfig


def card(settings: BundleConfig) -> str:
    """Markdown, a paragraph a line: MLflow shows each line break."""
    parts = ", ".join(
        f"{name} {weight:g}" for name, weight in sorted(settings.weights.items(), key=lambda pair: -pair[1]) if weight > 0
    )
    left_out = ", ".join(name for name, weight in settings.weights.items() if not weight) or "none"
    order = "in the order in which they were made" if settings.ordered else "without an order"
    text = f"""# Recommender

**What it is.** Scores of every item from a user's history by several parts, each over its spread, summed with weights learned on
held-out purchases: {parts}. Fitted and of no use beside them: {left_out}.

**Intended use.** Ranking the items of the shop it was trained on for a user, a session or a visitor, with a reason for each.
**Not for** decisions about people, or other shops.

**Training data.** Catalogue `{settings.data}`: {settings.training_purchases:,} training and
{settings.validation_purchases:,} validation interactions of {settings.users:,} users with {settings.items:,} items, {order}.

**Fold-in.** No part knows users: what a user does changes the next answer without training. Items that were added since are
unknown until it is trained again; cold items of the catalogue come in by attributes and content alone.

**Limits.** It learns what was bought, not what would be good to buy: what is popular is shown more. Items that a user has bought
are left out unless asked for. The newest {settings.config.model.history.longest:,} items of a history are read.
"""
    return "\n\n".join(paragraph.replace("\n", " ") for paragraph in text.strip().split("\n\n")) + "\n"
