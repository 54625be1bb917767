"""A value stands only behind words behind which values of its name have stood."""

import describer_cases as cases
import torch

from models.describer.answers import Fact
from models.describer.frames import GENERAL, KNOWN, Frames
from models.describer.generation.constraint import START, VALUE, Allowed, FactsOnly, Spelling

TOKENIZER = cases.tokenizer()
WOOL, RED = Fact("Material", "Wool"), Fact("base_colour", "Red")


def fitted() -> Frames:
    sentences = [["It is made of ", WOOL, "."], ["A ", RED, " and ", WOOL, " thing"], [RED, " it is"]] * KNOWN
    return Frames.fit(sentences)


def test_frames_are_the_two_words_before_a_value() -> None:
    frames = fitted()
    assert frames.of("Material") == {("made", "of"), (VALUE, "and")}
    assert frames.of("base_colour") == {(START, "a"), (START, START)}


def test_they_come_back_from_json() -> None:
    frames = fitted()
    again = Frames.restore(frames.state())
    assert (again.held, again.copies) == (frames.held, frames.copies)


def test_a_name_that_is_new_stands_where_many_do_and_behind_itself() -> None:
    sentences = [["It has ", Fact(f"name {n}", "x")] for n in range(GENERAL)] + [["Rarely so ", WOOL]]
    frames = Frames.fit(sentences)
    new = frames.of("Stone Type")
    assert {("it", "has"), ("type", "is"), ("stone", "type")} <= new
    assert ("rarely", "so") not in new and ("rarely", "so") in frames.of("Material")


def test_a_slot_is_forbidden_in_a_frame_that_is_not_its_own() -> None:
    frames = fitted()
    brand, colour = TOKENIZER.slots["brand"], TOKENIZER.slots["base_colour"]
    allowed = Allowed.of([brand, colour], [], [], {brand: frames.of("Material"), colour: frames.of("base_colour")})
    rule = FactsOnly(Spelling.of(TOKENIZER), TOKENIZER, allowed, uses=2)
    part = TOKENIZER.parts["description"]

    def free(*ids: int) -> set[int]:
        scores = rule(torch.tensor([[part, *ids]]), torch.zeros(1, len(TOKENIZER)))
        return {slot for slot in (brand, colour) if torch.isfinite(scores[0, slot])}

    assert free() == {colour}
    assert free(*TOKENIZER.encode("It is made of")) == {brand}
    assert free(*TOKENIZER.encode("Made"), *TOKENIZER.encode(" of")) == {brand}
    assert free(*TOKENIZER.encode("something else")) == set()
    assert free(colour, *TOKENIZER.encode(" and")) == {brand}
    assert free(*TOKENIZER.encode("It is made of"), TOKENIZER.next) == {colour}
    assert rule.frame([part, *TOKENIZER.encode("A"), colour, *TOKENIZER.encode(" thing")]) == (VALUE, "thing")
