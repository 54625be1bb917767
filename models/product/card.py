"""The model card of a product model (Mitchell et al. 2019); its metrics are added by whoever measures the bundle."""

from collections.abc import Mapping

from models.product.bundle import BundleConfig
from models.product.encoders import Encoders


def card(settings: BundleConfig, encoders: Encoders, calibrated: Mapping[str, float]) -> str:
    """Markdown, a paragraph a line: MLflow shows each line break. `calibrated` is what calibration fitted."""
    model = settings.config.model
    levels = ", ".join(f"{len(values)} {name}" for name, values in encoders.labels().items())
    price = f"{settings.baselines.price:g}" if settings.baselines.price is not None else "unknown"
    text = f"""# Product model

**What it is.** A multimodal transformer (preset {model.preset}: width {model.width}, {model.layers} layers, {model.heads} heads).
It reads any subset of a listing (title, description, photo, attributes, price, categories) and answers category, price,
embedding, and whether something is wrong with the listing; of a review, whether its writer recommends the
product.{_starts(settings)}{_cpu_runtime(settings)}

**Intended use.** Suggesting categories and a price range for listings of the shop it was trained on, search by
embedding, and checks by a person. **Not for** decisions without a person, prices in another currency or year, or goods
of other kinds.

**Training data.** Catalogue `{settings.data}`: {settings.training_rows} training rows ({settings.augmented_rows} augmented
copies besides), {settings.validation_rows} validation rows, {settings.training_reviews} training
reviews. Values it knows: {levels}.

**Training.** {_training(settings)}

**Calibration.** On validation rows: temperature {calibrated["temperature"]:.3f}, price quantile
{calibrated["price_quantile"]:.3f} scales for 90 % intervals. Both hold for complete listings like those; with parts
missing, intervals are approximate.

**Faults.** Quality was learnt from faults put into good listings: {", ".join(settings.config.corruption.trained)}; never shown:
{", ".join(settings.config.corruption.held_out) or "none"}. What a person calls a bad listing may be something else.

**Baselines.** Most frequent type: {settings.baselines.article_type or "unknown"}. Median price: {price}.

**Left out.** {_left_out(settings)}

**Limits.** It answers only values it has seen. A price is what the catalogue would ask, not what a product is worth.
Photos are read at {model.image_width} × {model.image_height} pixels; the first {model.title_tokens} tokens of a title and
{model.description_tokens} of a description count.
"""
    return "\n\n".join(paragraph.replace("\n", " ") for paragraph in text.strip().split("\n\n")) + "\n"


def _left_out(settings: BundleConfig) -> str:
    """What its catalogue had no labels or parts for, and why."""
    tasks, parts = settings.lacks.tasks, settings.lacks.parts
    if not tasks and not parts:
        return "Nothing: the catalogue had labels for every task, and every part of a listing."
    told = [f"It has no task {name.replace('_', ' ')}: {reason}." for name, reason in tasks.items()]
    told += [f"It does not read {name}: {reason}." for name, reason in parts.items()]
    return " ".join(told) + " So it was decided from the training rows, before training."


def _training(settings: BundleConfig) -> str:
    """How far it came, in words."""
    phases = {"the photo tower by itself": settings.photo_updates, "the whole model": settings.updates}
    told = [f"{x.made:,} of {x.planned:,} planned updates of {what}" for what, x in phases.items() if x]
    limit = settings.config.trainer.max_minutes
    net = f"at most {limit:g} minutes" if limit else "no limit of wall time"
    return f"{'; '.join(told)}, on {settings.threads} threads ({net})."


def _cpu_runtime(settings: BundleConfig) -> str:
    ways = {"onnx": "ONNX graphs", "int8": "ONNX graphs whose linear layers have int8 weights"}
    way = ways.get(settings.config.cpu_runtime)
    return f" Where there is no GPU it answers from {way}." if way else ""


def _starts(settings: BundleConfig) -> str:
    plans = {"Texts": settings.text_plan, "Photos": settings.image_plan}
    told = [f" {what} are read by `{plan.start.init_from}` ({plan.start.mode})." for what, plan in plans.items() if plan]
    return "".join(told)
