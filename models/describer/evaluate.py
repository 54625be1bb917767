"""Measures a describer on products it has not seen, beside a template and beside copying the most similar product's text.

What a text states, and which given values it states, is told by `models.describer.facts.extractor`, for the version and for both
peers alike. The neighbour is found among the products of the same catalogue that the version was trained on; where there are
none, nothing can be copied from them, and the neighbour and the copy rate are not measured.

Shapes: n products.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from catalog.catalogue import listing_of, records_of
from catalog.splits import by_hash
from catalog.text import clean_html
from configs.errors import VitrinaError
from configs.schema import EvaluationConfig, SplitConfig
from models.describer.answers import Brief, Description
from models.describer.facts.measures import Copied, distinct_2, rouge_l, self_bleu
from models.describer.facts.peers import Neighbours, template
from models.describer.names import PEERS
from models.describer.predictor import DescriberPredictor
from models.describer.shown import shown_rows
from models.evaluation.bootstrap import interval, mean_interval
from models.evaluation.latency import latency_metrics, one_thread
from models.evaluation.results import AgainstBaseline, Evaluation, Metric
from models.evaluation.slices import slice_metrics
from models.family import EvaluationRun

OWN = ""
"""Prefix of the version's own metrics."""

FACTS = ((0, "up to 4"), (5, "5 to 9"), (10, "10 and more"))
"""Bands of the number of facts that a listing gives."""


@dataclass
class Found:
    """What comes together while measuring: descriptions by who wrote them, and rows [n] of numbers for each."""

    descriptions: dict[str, Sequence[Description]]
    rows: dict[str, pd.DataFrame] = field(default_factory=dict)
    metrics: dict[str, Metric] = field(default_factory=dict)
    against: list[AgainstBaseline] = field(default_factory=list)
    not_applicable: dict[str, str] = field(default_factory=dict)
