"""The quality score is watched where the champion's reference has it, and does no harm where it has not."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from configs.schema import DriftConfig
from monitoring.drift import judge
from monitoring.report import write_report
from monitoring.verdict import DriftVerdict, ReferenceSpec
from monitoring.window import Window
from tests.monitoring.conftest import SPEC

NEWER = SPEC.model_copy(update={"numerical": (*SPEC.numerical, "quality")})


def scored(frame: pd.DataFrame, low: float, seed: int) -> pd.DataFrame:
    return frame.assign(quality=np.random.default_rng(seed).uniform(low, 1.0, len(frame)))


def judged(tmp_path: Path, reference: pd.DataFrame, current: pd.DataFrame, spec: ReferenceSpec) -> DriftVerdict:
    """The verdict, once its page is written."""
    verdict = judge(reference, current, spec, DriftConfig())
    window = Window(frame=current, rows=len(current), key="k", start=None, end=None)
    page = write_report(tmp_path, "product", 3, reference, window, spec, verdict)
    assert ("quality" in page.read_text(encoding="utf-8")) == ("quality" in spec.kinds())
    return verdict


def test_a_champion_whose_reference_has_no_quality_is_compared_without_it(tmp_path: Path, reference: Any, made: Any) -> None:
    without, logged = made(500, 1), scored(made(500, 1), 0.0, 1)
    verdict = judged(tmp_path, reference, logged, SPEC)
    assert verdict == judge(reference, without, SPEC, DriftConfig())
    assert not verdict.drifted


@pytest.mark.slow
def test_a_fall_of_quality_alone_is_drift(tmp_path: Path, reference: Any, made: Any) -> None:
    before = scored(reference, 0.8, 0)
    assert not judged(tmp_path, before, scored(made(500, 1), 0.8, 1), NEWER).drifted
    verdict = judged(tmp_path, before, scored(made(500, 1), 0.2, 1), NEWER)
    assert [c.column for c in verdict.columns if c.drifted] == ["quality"]
    assert verdict.reasons[0].startswith("quality: ")


def test_predictions_logged_without_quality_are_a_vanished_column(reference: Any, made: Any) -> None:
    verdict = judge(scored(reference, 0.8, 0), made(500, 1), NEWER, DriftConfig())
    assert verdict.reasons == ("quality: vanished, no row of the window has a value",)
