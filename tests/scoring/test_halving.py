"""One bad thing costs the others nothing."""

from collections.abc import Sequence

import pytest

from configs.errors import VitrinaError
from models.errors import NotSupported
from scoring.halving import BROKEN, halved, why


class Half:
    """Halves even numbers; `asked` are the batches."""

    def __init__(self, error: type[Exception]) -> None:
        self.error, self.asked = error, list[list[int]]()

    def __call__(self, batch: Sequence[int]) -> list[int]:
        self.asked.append(list(batch))
        for place, number in enumerate(batch):
            if number % 2:
                raise self.error(f"listing {place} is odd")
        return [number // 2 for number in batch]


def test_those_that_are_refused_are_found_in_their_order() -> None:
    said = list(halved(Half(VitrinaError), [0, 2, 3, 4, 6, 8, 9, 10]))
    assert [asked for asked, _ in said] == [0, 2, 3, 4, 6, 8, 9, 10]
    assert [answer for _, answer in said if isinstance(answer, int)] == [0, 1, 2, 3, 4, 5]
    assert [why(answer) for _, answer in said if isinstance(answer, Exception)] == ["the listing is odd"] * 2


def test_a_good_batch_is_asked_once_and_an_empty_one_never() -> None:
    half = Half(VitrinaError)
    assert list(halved(half, [2, 4])) == [(2, 1), (4, 2)]
    assert list(halved(half, [])) == []
    assert half.asked == [[2, 4]]


def test_one_bad_row_of_many_costs_two_questions_a_halving() -> None:
    half = Half(VitrinaError)
    assert len(list(halved(half, [*range(0, 62, 2), 63, *range(64, 128, 2)]))) == 64
    assert len(half.asked) == 1 + 2 * 6


def test_what_is_not_refused_is_raised() -> None:
    with pytest.raises(KeyError):
        list(halved(Half(KeyError), [1]))
    with pytest.raises(NotSupported):
        list(halved(Half(NotSupported), [1], BROKEN))


@pytest.mark.parametrize("error", [KeyError, ZeroDivisionError, TypeError, RuntimeError, IndexError])
def test_what_nobody_thought_of_names_its_kind(error: type[Exception]) -> None:
    [(_, said)] = halved(Half(error), [1], BROKEN)
    assert isinstance(said, error)
    assert why(said).startswith(f"{error.__name__}: ")
