"""What challenger and champion say of the same listings: scores, and what would raise them."""

import json
from typing import Any

import pandas as pd

from models.evaluation.comparison import shared_rows
from models.evaluation.examples import pick
from models.evaluation.page import Beside, Side, Tone
from models.family import EvaluationRun
from models.quality.axes import readers
from models.quality.trials import GOOD


def side_by_side(run: EvaluationRun, champion: EvaluationRun | None) -> tuple[list[Beside], list[str]]:
    """Examples, of listings as they are whose scores differ most, and the risk that fewer of them would be published."""
    if champion is None:
        return [], []
    new, old = shared_rows(_good(run.predictions), _good(champion.predictions))
    said = [[json.loads(text) for text in rows["told"]] for rows in (new, old)]
    change = pd.Series([a["score"] - b["score"] for a, b in zip(*said, strict=True)], index=new.index, dtype=float)
    order = change.sort_values(kind="stable").index
    chosen = pick([key for key in order if change[key] < 0], [key for key in order[::-1] if change[key] > 0], order)
    place = {key: row for row, key in enumerate(new.index)}
    shown = [
        Beside(
            str(new.loc[key, "title"]),
            f"score {change[key]:+.3f}",
            Side(_lines(said[0][place[key]])),
            Side(_lines(said[1][place[key]])),
            _photo(new.loc[key, "photo"]),
        )
        for key in chosen
    ]
    held = sum(a["verdict"] != "publish" and b["verdict"] == "publish" for a, b in zip(*said, strict=True))
    return shown, [f"{held} of {len(new)} listings that the champion would publish are held now"] if held else []


def _good(frame: pd.DataFrame) -> pd.DataFrame:
    """Listings as they are, whose assessments were kept."""
    return frame[(frame["kind"] == GOOD) & frame["told"].notna()]


def _lines(told: Any) -> list[tuple[str, Tone | None]]:
    lines: list[tuple[str, Tone | None]] = [
        (f"{told['score']:.3f}, {told['verdict']}", "good" if told["verdict"] == "publish" else "bad")
    ]
    axis, lowest = min(told["axes"].items(), key=lambda item: item[1]["score"])
    lines.append((f"lowest: {readers()[axis].label} {lowest['score']:.2f}", None))
    return lines + [(one["text"], None) for one in told["improvements"][:1]]


def _photo(value: Any) -> bytes | None:
    return value if isinstance(value, bytes) else None
