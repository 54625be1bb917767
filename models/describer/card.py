"""The model card of a describer (Mitchell et al. 2019); its metrics are added by whoever measures the bundle."""

from models.describer.bundle import BundleConfig


def card(settings: BundleConfig) -> str:
    """Markdown, a paragraph a line: MLflow shows each line break."""
    writer, generation = settings.config.model.writer, settings.config.model.generation
    start = f"started from `{writer.init_from}`" if writer.init_from else "trained from nothing"
    limit = settings.config.trainer.max_minutes
    net = f"at most {limit:g} minutes" if limit else "no limit of wall time"
    text = f"""# Describer

**What it is.** Writes an SEO title, a meta description, a description and bullets from a listing's title, brand, categories and
attributes, for an audience, in a tone, with keywords. It states values that the listing gives and no others; each sentence comes
with the facts that it states, and what was given and is not said is listed.

**How.** A causal transformer of {settings.parameters:,} weights, {start}. Values are copied by slots. While it writes, words that
state a value which is not given cannot come, nor numbers; every sentence is read again afterwards, and one that states more than
is given is thrown away. Of {generation.description_candidates} candidates that is taken which states most, holds the keywords and
is unlike the last texts. Facts that are still unsaid get bullets of their own.

**Intended use.** First versions of shop texts that a person reads before they are published. **Not for** claims that need proof,
such as of health or safety, and not as advice.

**Training data.** Catalogue `{settings.data}`: {settings.training_rows:,} products, of which {settings.training_texts:,} have
texts that state only what they give, after cleaning; {settings.validation_rows:,} products to choose by.

**Training.** {settings.updates:,} of {settings.planned:,} planned updates, {settings.tokens:,} tokens at
{settings.tokens_per_second:,.0f} a second, on {settings.threads} threads ({net}). {settings.validation_loss:.3f} nats a token on
validation texts.

**Limits.** It knows which words state values from its catalogue and from lists of colours, materials and more: a word that is
in neither can be said without being noticed. Which words praise is not checked. It writes the language of its catalogue; values
in other scripts are copied as they are. It holds what the listing gives for true.
"""
    return "\n\n".join(paragraph.replace("\n", " ") for paragraph in text.strip().split("\n\n")) + "\n"
