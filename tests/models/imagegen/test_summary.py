import json

import numpy as np

from models.imagegen.answers import Drawing, Nearest, Picture, Prompt, Score
from models.imagegen.summary import INPUTS, summarise

ASKED = Prompt("Men <b>Blue</b>  Xyzzy", candidates=2)
RESOLVED = Prompt("Men <b>Blue</b>  Xyzzy", candidates=2, size=(48, 64), guidance=3.0, negative="blurry")


def picture(overall: float, shows: tuple[str, float] | None) -> Picture:
    pixels = np.zeros((64, 48, 3), dtype=np.uint8)
    return Picture(pixels, 5, Score(overall, 0.1, 0.2, 0.3, 0.4, Nearest("7", 0.25, memorised=True), shows))


DRAWING = Drawing(RESOLVED, (picture(0.9, ("Shirts", 0.8)), picture(0.5, None)), ("xyzzy",))


def test_the_row_says_what_was_asked_and_how_the_best_image_is() -> None:
    row = summarise(ASKED, DRAWING)
    assert row.pop("prompt_digest") == summarise(RESOLVED, DRAWING)["prompt_digest"]
    assert row == {
        "prompt_length": 14,
        "word_count": 3,
        "unknown_words": 1,
        "style": "photorealistic",
        "steps": 20,
        "guidance": 3.0,
        "sampler": "dpm-solver++",
        "candidates": 2,
        "width": 48,
        "height": 64,
        "agreement": 0.1,
        "overall": 0.9,
        "sharpness": 0.2,
        "exposure": 0.3,
        "white_background": 0.4,
        "nearest_distance": 0.25,
        "memorised": True,
        "shown_type": "Shirts",
        "shown_confidence": 0.8,
    }


def test_inputs_are_columns_and_the_prompt_is_none_of_them() -> None:
    row = summarise(ASKED, DRAWING)
    assert set(INPUTS) < set(row)
    assert "blue" not in json.dumps(row).lower()


def test_prompts_of_one_length_are_told_apart_and_case_is_not() -> None:
    digests = [summarise(Prompt(text), DRAWING)["prompt_digest"] for text in ("red shirt", "tan shirt", "Red  Shirt")]
    assert digests[0] != digests[1]
    assert digests[0] == digests[2]


def test_a_version_without_types_shows_none() -> None:
    row = summarise(ASKED, Drawing(RESOLVED, (picture(0.5, None),), ()))
    assert (row["shown_type"], row["shown_confidence"], row["unknown_words"]) == (None, None, 0)
