"""The page from which a reviewer decides on an image generator: are the images right, are they copies, where are they worse."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from catalog.catalogue import Catalogue
from models.evaluation import charts, page, sections
from models.evaluation.bootstrap import mean_interval
from models.evaluation.comparison import shared_rows
from models.evaluation.gates import GateDecision
from models.evaluation.page import ImageItem, Section, Tone
from models.evaluation.results import Metric
from models.evaluation.verdict import Headline
from models.family import EvaluationRun
from models.imagegen.beside import side_by_side
from models.imagegen.drawn import enlarged, png
from models.imagegen.judge.judge import COLOUR, TYPE
from models.imagegen.names import NAMES, PEERS
from models.imagegen.rows import photo_of
from models.imagegen.sweeps import PRODUCT, SWEPT

SHOWN = 12
"""Rows of the parts of the page that show the worst, the nearest, and peers side by side."""

GALLERY = 64
"""Images of the gallery, at most."""

LONGEST = 60
"""Characters of a title that are shown."""

PAIRED = {
    "type_agreement": "type_agreement",
    "best.type_agreement": "best.type_agreement",
    "colour_agreement": "colour_agreement",
    "best.colour_agreement": "best.colour_agreement",
    "score": "first_overall",
    "best.score": "overall",
    "memorised": "copied",
}
"""Metrics that are means over products, and their columns."""

PARTS = {
    "overall": "Score",
    "agreement": "Agreement with the prompt",
    "sharpness": "Sharpness",
    "exposure": "Exposure",
    "white_background": "White background",
}
"""What a score is made of, by column."""

COLUMNS = {"prior": "Prior alone", "nearest": "Mean of photos"}
"""Heads of the peers' columns."""

MADE_BY = {"first_": "First candidate", "": "Best candidate", "real_": "Real photo"}
"""Prefixes of the columns of scores."""


def write_report(
    run: EvaluationRun,
    champion: EvaluationRun | None,
    catalogue: Catalogue,
    decision: GateDecision,
    out: Path,
    playground: str | None = None,
) -> Headline:
    """Write the page to the file `out`, and return what it says first; its images come with the run."""
    new, old = run.evaluation, champion.evaluation if champion else None
    rows = _measured(run.predictions)
    differences = None
    if champion and old:
        paired = paired_differences(rows, _measured(champion.predictions))
        differences = sections.differences_of(new, old, paired, NAMES)
    parts = [
        sections.gates(decision),
        sections.metrics(new, old, differences, NAMES),
        *sections.beside_simple_models(new, NAMES),
        _judge(),
        _gallery(rows),
        _beside(rows),
        _scores(rows),
        _nearest(rows, catalogue),
        _worst(rows),
        sections.slices(new, old, NAMES),
        *_sweeps(run.predictions),
    ]
    examples, risks = side_by_side(rows, _measured(champion.predictions) if champion else None)
    return sections.write(
        out, new, old, decision, differences, parts, NAMES, "products", examples=examples, risks=risks, playground=playground
    )


def paired_differences(new: pd.DataFrame, old: pd.DataFrame) -> dict[str, Metric]:
    """Challenger minus champion of the metrics that products tell, from two frames of products; each has its own judge."""
    a, b = shared_rows(new, old)
    return {
        metric: mean_interval((a[column].astype(float) - b[column].astype(float)).dropna())
        for metric, column in PAIRED.items()
        if column in a and column in b
    }


def _measured(predictions: pd.DataFrame) -> pd.DataFrame:
    """The rows that are products."""
    return predictions[predictions["kind"] == PRODUCT].reset_index(drop=True)


def _judge() -> Section:
    intro = (
        "Each version brings a classifier of its own, with a seed of its own and trained on real training photos alone. What it "
        "sees in the products' own photos (real photos) is the most that can be expected of drawings. Distances are to the "
        "photos of the measured products; real to real is that of as many photos of other products. Types and colours with few "
        "training photos are not judged. Two versions' figures compare where both judges reach about the same on real photos."
    )
    return Section("Who judges?", intro)


def _gallery(rows: pd.DataFrame) -> Section:
    """The best candidates of the first products, which are drawn by hash."""
    items = [_item(row) for _, row in rows.head(GALLERY).iterrows()]
    intro = "The best candidate of each of the first products, which hash has picked; below it what the judge sees and its score."
    return Section("What does it draw?", intro, [page.image_grid(items)])


def _item(row: "pd.Series[Any]", more: Sequence[tuple[str, Tone | None]] = ()) -> ImageItem:
    lines: list[tuple[str, Tone | None]] = []
    for label in (TYPE, COLOUR):
        seen, true = row.get(f"seen_{label}"), row[label]
        if isinstance(seen, str):
            right = seen == true
            lines.append((f"seen: {seen}" if right else f"seen: {seen}, not {_text(true)}", "good" if right else "bad"))
    lines += [(f"score {row['overall']:.2f}", None), *more, (f"seed {int(row['seed'])}", None)]
    return ImageItem(enlarged(row["image"]), _short(row["title"]), [*lines, (f"product {row['product_id']}", None)])


def _beside(rows: pd.DataFrame) -> Section:
    """The photo, what the version drew, and what the peers would show."""
    shown, held = [], rows[[f"{peer}_image" for peer in PEERS]].notna().any(axis=1)
    for _, row in rows[held if held.any() else slice(None)].head(SHOWN).iterrows():
        cells: dict[str, Any] = {"Prompt": _short(row["title"])}
        cells["Real photo"] = page.picture(enlarged(row["photo"]), "real photo")
        cells["Drawn"] = page.picture(enlarged(row["image"]), "drawn")
        for peer, what in PEERS.items():
            image = row.get(f"{peer}_image")
            if isinstance(image, bytes):
                cells[COLUMNS[peer]] = page.picture(enlarged(image), what)
        shown.append(cells)
    intro = (
        "For the same titles: the product's own photo, the best candidate, the linear prior alone, and the mean of the photos of "
        "the products whose titles are most similar. A generator has to be worth more than these."
    )
    return Section("What would simple models show?", intro, [page.table(shown)])


def _scores(rows: pd.DataFrame) -> Section:
    """Means of what scores are made of, of images and of real photos."""
    told = [
        {"": name} | {label: float(rows[f"{prefix}{part}"].astype(float).mean()) for part, label in PARTS.items()}
        for prefix, name in MADE_BY.items()
    ]
    table = page.table(told, dict.fromkeys(PARTS.values(), ".3f"))
    parts = [rows[f"{prefix}overall"].to_numpy(dtype=float) for prefix in MADE_BY]
    picture = page.figure(charts.spreads(list(MADE_BY.values()), parts, "score"), "Scores", "Whiskers hold 90 % of the scores.")
    return Section("How do images score?", "Means; every part is from 0 to 1, and more is better.", [table, picture])


def _nearest(rows: pd.DataFrame, catalogue: Catalogue) -> Section:
    """Whether drawings are nearer to training photos than unseen photos are, and the nearest ones beside theirs."""
    distances = [rows[column].to_numpy(dtype=float) for column in ("distance", "real_distance")]
    most = max(float(np.quantile(values, 0.95)) for values in distances) or 1.0
    figure = charts.spreads(["Best candidate", "Real photo"], distances, "distance to the nearest training photo", most)
    shown, tones = [], list[Tone | None]()
    for _, row in rows.sort_values("distance", kind="stable").head(SHOWN).iterrows():
        with_photo = _training_photo(catalogue, row["nearest_id"])
        copied = bool(row["copied"])
        shown.append(
            {
                "Prompt": _short(row["title"]),
                "Drawn": page.picture(enlarged(row["image"]), "drawn"),
                "Nearest training photo": page.picture(with_photo, f"product {row['nearest_id']}"),
                "Product": str(row["nearest_id"]),
                "Distance": float(row["distance"]),
                "Counts as a copy": copied,
            }
        )
        tones.append("bad" if copied else None)
    intro = (
        "Distance: 1 - cosine of both as thumbnails of 8 x 8 pixels, as a copy is softer than its photo. A generator that copies "
        "lies nearer to training photos than the products' own photos do. Below, the drawings that lie nearest."
    )
    table = page.table(shown, {"Distance": ".4f"}, tones=tones)
    return Section("Does it copy?", intro, [page.figure(figure, "Distances", "Whiskers hold 90 % of the distances."), table])


def _training_photo(catalogue: Catalogue, product_id: Any) -> bytes | None:
    photo = photo_of(catalogue, product_id, (128, 128))
    return None if photo is None else png(photo)


def _worst(rows: pd.DataFrame) -> Section:
    """The best candidates with the lowest score."""
    lowest = rows.sort_values("overall", kind="stable").head(SHOWN)
    items = [_item(row, [(_weakest(row), "warn")]) for _, row in lowest.iterrows()]
    intro = "Of these prompts even the best candidate scores low; what costs most is named."
    return Section("What does it draw worst?", intro, [page.image_grid(items)])


def _weakest(row: "pd.Series[Any]") -> str:
    parts = {label: float(row[part]) for part, label in PARTS.items() if part != "overall"}
    name = min(parts, key=lambda label: parts[label])
    return f"{name.lower()} {parts[name]:.2f}"


def _sweeps(predictions: pd.DataFrame) -> list[Section]:
    """The same prompts and seeds in several settings, a table each."""
    found = []
    for kind, title in SWEPT.items():
        rows = predictions[predictions["kind"] == kind]
        if rows.empty:
            continue
        values = list(dict.fromkeys(rows["setting"]))
        told = []
        for _, part in rows.groupby("product_id", sort=False):
            by_value = dict(zip(part["setting"], part["image"], strict=True))
            cells: dict[str, Any] = {"Prompt": _short(part["title"].iloc[0])}
            told.append(cells | {value: page.picture(enlarged(by_value[value]), f"{kind} {value}") for value in values})
        found.append(Section(title, f"By {kind}; each row is one prompt from one seed.", [page.table(told)]))
    return found


def _short(title: Any) -> str:
    text = str(title)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1].rstrip()}…"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "known"
