"""Measures a describer on products it has not seen, beside a template and beside copying the most similar product's text.

What a text states, and which given values it states, is told by `models.describer.facts.extractor`, for the version and for both
peers alike. The neighbour is found among the products of the same catalogue that the version was trained on; where there are
none, nothing can be copied from them, and the neighbour and the copy rate are not measured.

Shapes: n products.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from catalog.catalogue import listing_of, records_of
from catalog.listing import Listing
from catalog.splits import by_hash
from catalog.text import clean_html
from configs.errors import VitrinaError
from configs.schema import EvaluationConfig, SplitConfig
from models.describer.answers import Brief, Description
from models.describer.facts.measures import copy_rates, distinct_2, rouge_l, self_bleu
from models.describer.facts.peers import Neighbours, template
from models.describer.predictor import DescriberPredictor
from models.describer.shown import texts_row
from models.evaluation.bootstrap import interval, mean_interval
from models.evaluation.latency import latency_metrics, one_thread
from models.evaluation.results import AgainstBaseline, Evaluation, Metric
from models.evaluation.slices import slice_metrics
from models.family import EvaluationRun

OWN = ""
"""Prefix of the version's own metrics."""

RATIOS = {"attribute_precision": ("supported", "stated"), "attribute_coverage": ("said", "given")}
"""Metrics that are a ratio of sums over all products: the columns of both."""

BANDS = ((0, "up to 4"), (5, "5 to 9"), (10, "10 and more"))
"""Slices by the number of facts that a listing gives."""


@dataclass(frozen=True)
class Asked:
    """What is measured.

    Attributes:
        products: Rows, each of which gives something that can be said.
        briefs: Of each row.
        own: The shop's own text of each, plain; empty where there is none.
    """

    products: pd.DataFrame
    briefs: Sequence[Brief]
    own: Sequence[str]


@dataclass
class Found:
    """What comes together while measuring: descriptions, and a row of numbers for each product, by who wrote them."""

    descriptions: dict[str, Sequence[Description]] = field(default_factory=dict)
    rows: dict[str, pd.DataFrame] = field(default_factory=dict)
    metrics: dict[str, Metric] = field(default_factory=dict)
    against: list[AgainstBaseline] = field(default_factory=list)
    not_applicable: dict[str, str] = field(default_factory=dict)


def measure(
    predictor: DescriberPredictor,
    data: str,
    products: pd.DataFrame,
    known: pd.DataFrame,
    config: EvaluationConfig,
    split: str,
    most: int | None = None,
) -> EvaluationRun:
    """Every metric on `products`; `known` are the products that the version was trained on and that are at hand.

    At most `most` are measured; the version's `measured` where it is not given.

    Raises:
        VitrinaError: none of the products gives anything to write of.
    """
    asked = _asked(predictor, products, most or predictor.settings.config.model.measured)
    found = Found({OWN: predictor.predict(asked.briefs)})
    found.descriptions["template"] = [template(brief, predictor.lexicon) for brief in asked.briefs]
    texts = [listing for listing in _listings(known) if listing.description]
    if texts:
        neighbours = Neighbours.fit(texts, predictor.lexicon)
        found.descriptions["neighbour"] = [neighbours.describe(brief) for brief in asked.briefs]
    bodies = [_body(answer) for descriptions in found.descriptions.values() for answer in descriptions]
    copied = np.array(copy_rates(bodies, (clean_html(listing.description or "") for listing in texts)))
    by_writer = copied.reshape(len(found.descriptions), len(asked.briefs))
    for (writer, descriptions), rates in zip(found.descriptions.items(), by_writer, strict=True):
        found.rows[writer] = _rows(predictor, asked, descriptions, rates)
        _figures(writer, found, config, copied_from=len(texts))
    _compare(found, config)
    if not texts:
        why = "the catalogue holds no product that the version was trained on, from which a text could be copied"
        found.not_applicable |= dict.fromkeys(("neighbour.attribute_precision", "copy_rate"), why)
    _latency(predictor, asked, config, found)
    frame = _frame(asked, found)
    evaluation = Evaluation(
        model=predictor.name,
        data=data,
        split=split,
        n=len(asked.briefs),
        metrics=found.metrics,
        slices=slice_metrics(frame, ["master_category", "facts"], _sliced(config), config.min_slice_rows),
        against=tuple(found.against),
        not_applicable=found.not_applicable,
    )
    return EvaluationRun(evaluation, frame)


def _asked(predictor: DescriberPredictor, products: pd.DataFrame, most: int) -> Asked:
    """At most `most` products, the same ones whoever else is measured."""
    order = np.argsort(by_hash(products["product_id"], SplitConfig()), kind="stable")
    rows: list[int] = []
    briefs: list[Brief] = []
    for place, listing in zip(order, _listings(products.iloc[order]), strict=True):
        brief = Brief(listing)
        if len(rows) < most and predictor.describes(brief):
            rows.append(int(place))
            briefs.append(brief)
    if not rows:
        raise VitrinaError(f"none of {len(products):,} products gives anything to write of")
    own = [clean_html(brief.listing.description or "") for brief in briefs]
    return Asked(products.iloc[rows].reset_index(drop=True), briefs, own)


def _listings(products: pd.DataFrame) -> list[Listing]:
    return [listing_of(row, None) for row in records_of(products)]


def _body(answer: Description) -> str:
    return " ".join(sentence.text for sentence in (*answer.description, *answer.bullets))


def _rows(
    predictor: DescriberPredictor, asked: Asked, descriptions: Sequence[Description], copied: NDArray[np.float64]
) -> pd.DataFrame:
    """Numbers [n] of one writer; see the columns."""
    found = []
    for brief, own, answer, rate in zip(asked.briefs, asked.own, descriptions, copied, strict=True):
        everything = [answer.seo_title, answer.meta_description, *answer.description, *answer.bullets]
        counts = predictor.writer.counts(brief, [sentence.text for sentence in everything])
        found.append(
            {
                "stated": counts.stated,
                "supported": counts.supported,
                "added": counts.stated - counts.supported,
                "given": counts.given,
                "said": counts.said,
                "rouge_l": rouge_l(_body(answer), own) if own else np.nan,
                "copied": rate,
                "sentences": len(answer.description) + len(answer.bullets),
            }
        )
    return pd.DataFrame(found)


def _figures(writer: str, found: Found, config: EvaluationConfig, copied_from: int) -> None:
    """Metrics of one writer."""
    prefix, samples, rows = f"{writer}." if writer else "", config.bootstrap_samples, found.rows[writer]
    bodies = [_body(answer) for answer in found.descriptions[writer]]
    figures = {name: interval(_ratio, rows[part], rows[whole], samples=samples) for name, (part, whole) in RATIOS.items()}
    figures |= {
        "rouge_l": mean_interval(rows["rouge_l"].dropna(), samples),
        "distinct_2": Metric(value=distinct_2(bodies), n=len(bodies)),
        "self_bleu": Metric(value=self_bleu(bodies), n=len(bodies)),
        "added_facts": mean_interval(rows["added"], samples),
    }
    if copied_from:
        figures["copy_rate"] = mean_interval(rows["copied"], samples)
    if not writer:
        figures["sentences"] = mean_interval(rows["sentences"], samples)
    found.metrics |= {f"{prefix}{name}": metric for name, metric in figures.items()}


def _ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> float:
    """Of all products together; NaN where there is nothing to divide by."""
    return float(part.sum() / whole.sum()) if whole.sum() else float("nan")


def paired_differences(new: pd.DataFrame, old: pd.DataFrame, samples: int) -> dict[str, Metric]:
    """`new` minus `old` of what each metric is, from rows of the same products in one order, which are resampled together."""
    found = {"rouge_l": mean_interval((new["rouge_l"] - old["rouge_l"]).dropna(), samples)}
    for metric, (part, whole) in RATIOS.items():
        found[metric] = interval(_difference, new[part], new[whole], old[part], old[whole], samples=samples)
    return found


def _difference(*columns: NDArray[np.float64]) -> float:
    """Of two ratios: part and whole of the one, part and whole of the other."""
    return _ratio(*columns[:2]) - _ratio(*columns[2:])


def _compare(found: Found, config: EvaluationConfig) -> None:
    """The version minus each peer, on the same products."""
    for peer in filter(None, found.rows):
        between = paired_differences(found.rows[OWN], found.rows[peer], config.bootstrap_samples)
        found.against += [
            AgainstBaseline(metric=metric, baseline=f"{peer}.{metric}", difference=difference)
            for metric, difference in between.items()
        ]


@one_thread()
def _latency(predictor: DescriberPredictor, asked: Asked, config: EvaluationConfig, found: Found) -> None:
    """Milliseconds of wall time for one description with all its candidates, on one thread."""
    milliseconds = []
    for call in range(config.latency_calls):
        brief = asked.briefs[call % len(asked.briefs)]
        started = time.perf_counter()
        predictor.predict([brief])
        milliseconds.append(1000 * (time.perf_counter() - started))
    timed = latency_metrics(milliseconds, config.bootstrap_samples)
    found.metrics |= {f"describe_{name.removeprefix('latency_')}": metric for name, metric in timed.items()}


def _sliced(config: EvaluationConfig) -> dict[str, Callable[[pd.DataFrame], Metric]]:
    def of(part: str, whole: str) -> Callable[[pd.DataFrame], Metric]:
        return lambda rows: interval(_ratio, rows[part], rows[whole], samples=config.bootstrap_samples)

    return {metric: of(*columns) for metric, columns in RATIOS.items()}


def _frame(asked: Asked, found: Found) -> pd.DataFrame:
    """A row a product: its numbers, and every text with what it states (`models.describer.shown`)."""
    frame = found.rows[OWN].copy()
    frame.insert(0, "product_id", asked.products["product_id"].astype(str))
    frame["master_category"] = asked.products["master_category"]
    starts = np.array([start for start, _ in BANDS])
    frame["facts"] = [BANDS[int((starts <= given).sum()) - 1][1] for given in frame["given"]]
    for writer, descriptions in found.descriptions.items():
        frame[f"{writer or 'own'}_text"] = [texts_row(answer) for answer in descriptions]
    return frame.assign(title=[brief.listing.title or "" for brief in asked.briefs], shop_text=list(asked.own))
