"""Parts are found by file: one that is added takes part in everything, and no other file changes."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from recommender_cases import catalogue_of, cells, choice_of, histories_of, sparse_part

from configs.errors import ConfigError, VitrinaError
from configs.load import validate
from models.recommender import part
from models.recommender.bundle import load_config
from models.recommender.config import RecommenderRunConfig
from models.recommender.held_out import HeldOut

pytestmark = pytest.mark.trains

ROOT = Path(__file__).parents[3]
NAMES = [
    "co_purchase",
    "regression",
    "spectral",
    "factorisation",
    "transitions",
    "sequence",
    "graph_attention",
    "content",
    "popularity",
]

NEW_PART = '''
"""Items whose codes lie so many places further on."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.sparse import csr_matrix

from configs.schema import StrictModel
from models.recommender.bases import SparsePart


class NextDoorConfig(StrictModel):
    steps: tuple[int, ...] = (1, 2)


@dataclass(frozen=True)
class NextDoor(SparsePart[NextDoorConfig]):
    step: float
    fitted_on: float

    label: ClassVar = "Next door"
    reason: ClassVar = "bought_next"
    sentence: ClassVar = "Stands a few doors from {title}."
    config: ClassVar = NextDoorConfig

    @classmethod
    def of(cls, purchases, step):
        shifted = np.roll(np.eye(len(purchases.items), dtype=np.float32), step, axis=1)
        return cls(csr_matrix(shifted), 0.0, step, len(purchases.histories.items))

    @classmethod
    def fit(cls, purchases, choice, settings):
        part = choice.best(cls.of(purchases, step) for step in settings.config.steps)
        return choice.best(part.fading(decay) for decay in choice.decays)

    def refit(self, purchases, settings):
        return self.of(purchases, int(self.step)).fading(self.decay)


PART = NextDoor
'''

RUN = """
import json, sys
from pathlib import Path

folder = Path(sys.argv[1])
from models.recommender import parts
parts.__path__.append(str(folder / "parts"))

from catalog.catalogue import Catalogue
from configs.load import validate
from models.evaluation.gates import decide
from models.recommender import part
from models.recommender.answers import Event, Query
from models.recommender.config import RecommenderModelConfig
from models.recommender.family import FAMILY

values = {
    "model": {"parts": ["co_purchase", "next_door"], "next_door": {"steps": [5, 3, 2]}},
    "evaluation": {"bootstrap_samples": 50, "latency_calls": 2},
}
config, catalogue = validate(FAMILY.config, values, where="test"), Catalogue.open(folder / "catalogue")
split = FAMILY.split(catalogue, config)
bundle = FAMILY.train(catalogue, split, split.iloc[:0], config, folder / "work")
run = FAMILY.evaluate(bundle, catalogue, config.evaluation)
FAMILY.report(run, None, catalogue, decide(run.evaluation, config.gates, None), folder / "report.html")
predictor = FAMILY.load(bundle)
(answer,) = predictor.recommend([Query(events=(Event(10),))])
fitted = predictor.recommender.parts["next_door"]
print(json.dumps({
    "names": part.names(),
    "default": RecommenderModelConfig().parts,
    "step": fitted.step,
    "fitted_on": fitted.fitted_on,
    "purchases": int((split["split"] != "test").sum()),
    "weights": predictor.recommender.weights,
    "ndcg": run.evaluation.metrics["next_door.ndcg_at_10"].value,
    "first": [answer.items[0].item_id, answer.items[0].reason.kind, answer.items[0].reason.text],
    "added": answer.items[0].parts["next_door"],
    "labelled": "Next door" in (folder / "report.html").read_text(),
    "card": "next_door" in (bundle / "card.md").read_text(),
}))
"""


def test_parts_come_in_the_order_in_which_they_are_fitted() -> None:
    assert part.names() == NAMES
    assert RecommenderRunConfig().model.parts == tuple(NAMES[:-1])  # popularity is fitted anyway


@pytest.mark.parametrize("name", NAMES)
def test_every_part_says_what_reports_and_reasons_need(name: str) -> None:
    kind = part.get(name)
    assert kind.label
    assert kind.fallback or "{title}" in kind.sentence
    assert type(RecommenderRunConfig().model.of(name)) is kind.config


def test_a_part_that_does_not_exist_is_one_clear_line() -> None:
    with pytest.raises(ConfigError, match=r"^part 'astrology' does not exist; allowed: co_purchase, content, factorisation, "):
        part.get("astrology")
    for wrong in ("astrology", "popularity"):
        with pytest.raises(ConfigError, match=rf"part '{wrong}' cannot be chosen; allowed: co_purchase, regression, spectral, "):
            validate(RecommenderRunConfig, {"model": {"parts": ["content", wrong]}}, where="test")
    for parts in ([], ["content", "content"]):
        with pytest.raises(ConfigError, match="must name at least one, each once"):
            validate(RecommenderRunConfig, {"model": {"parts": parts}}, where="test")
    with pytest.raises(ConfigError, match=r"unknown key 'model.content'"):
        validate(RecommenderRunConfig, {"model": {"content": {}}}, where="test")


def test_the_first_of_the_best_is_chosen_and_one_alone_is_not_measured() -> None:
    choice = choice_of(HeldOut.of(histories_of([0]), cells([[1]], 3)))
    right, wrong = np.roll(np.eye(3), 1, axis=1), np.roll(np.eye(3), 2, axis=1)
    tried = [sparse_part(matrix.astype(np.float32)) for matrix in (wrong, right, right)]
    assert choice.best(tried) is tried[1]
    assert replace(choice, held=None).best(tried[:1]) is tried[0]  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_new_file_takes_part_in_everything(tmp_path: Path) -> None:
    """Everybody buys every second item along a ring: a part that knows so is chosen, weighed, stored and told."""
    walks = [[(start + 2 * place) % 40 for place in range(6)] for start in range(40) if start % 7]  # some items sell more
    table = pd.DataFrame({"user_id": np.repeat(np.arange(len(walks)), 6), "item_id": np.concatenate(walks)})
    catalogue_of(tmp_path / "catalogue", purchases=table.assign(position=np.tile(np.arange(6), len(walks))))
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "next_door.py").write_text(NEW_PART)
    command = [sys.executable, "-c", RUN, str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}, cwd=ROOT)
    assert ran.returncode == 0, ran.stderr
    said = json.loads(ran.stdout.splitlines()[-1])
    assert said["names"] == [*NAMES, "next_door"]
    assert said["default"] == [*NAMES[:-1], "next_door"]
    assert said["step"] == 2  # the third that was tried
    assert said["fitted_on"] == said["purchases"] == 5 * len(walks)  # validation purchases too
    assert set(said["weights"]) == {"co_purchase", "next_door", "popularity"}
    assert said["weights"]["next_door"] == 1
    assert said["ndcg"] == 1.0  # the newest item counts most, and leads to the next
    assert said["first"] == [12, "bought_next", "Stands a few doors from item 10."]
    assert said["added"] > 0
    assert said["labelled"]
    assert said["card"]
    with pytest.raises(VitrinaError, match=r"config.json: .*it is not a recommender bundle of this version$"):
        load_config(tmp_path / "work" / "bundle")  # the part is not here any more
