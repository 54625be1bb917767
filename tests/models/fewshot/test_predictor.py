from dataclasses import replace

import numpy as np
import pytest
from fewshot_cases import listings

from catalog.listing import Listing
from configs.errors import VitrinaError
from models.errors import NotSupported
from models.fewshot.answers import Example, Lesson, OutdatedTask, Question, Task
from models.fewshot.episodes import Pool
from models.fewshot.predictor import FewshotPredictor


def examples(pool: Pool, types: dict[str, int], shots: int, start: int = 0) -> list[Example]:
    rows = {label: pool.rows[code][start : start + shots] for label, code in types.items()}
    return [Example(label, listing) for label, of in rows.items() for listing in listings(of)]


TYPES = {"b": 3, "a": 7, "c": 11}


@pytest.fixture(scope="module")
def task(made_up_predictor: FewshotPredictor, tested: Pool) -> Task:
    [task] = made_up_predictor.adapt([Lesson(examples(tested, TYPES, 5))])
    return task


def test_a_task_holds_what_it_was_taught(task: Task, made_up_predictor: FewshotPredictor, tested: Pool) -> None:
    assert task.classes == ("b", "a", "c") and task.counts == {"b": 5, "a": 5, "c": 5}
    assert np.array_equal(task.features[5:10], tested.features[tested.rows[7][:5]])
    assert task.learner == made_up_predictor.settings.learner_for(5) and task.photos is None
    assert task.measures.left_out == 15


def test_members_get_their_class_and_probabilities_add_up(task: Task, made_up_predictor: FewshotPredictor, tested: Pool) -> None:
    asked = [row for code in TYPES.values() for row in tested.rows[code][5:15]]
    answers = made_up_predictor.classify([Question(task, listing) for listing in listings(asked)])
    truth = [label for label in TYPES for _ in range(10)]
    best = [max(answer.probabilities, key=lambda label: answer.probabilities[label]) for answer in answers]
    assert np.mean([one == other for one, other in zip(best, truth, strict=True)]) > 0.8
    for answer, likeliest in zip(answers, best, strict=True):
        assert list(answer.probabilities) == ["b", "a", "c"] and sum(answer.probabilities.values()) == pytest.approx(1.0)
        assert answer.label == (None if answer.stranger > 0.5 else likeliest)
        assert -1.0001 <= answer.similarity <= 1.0001 and -1.0001 <= answer.familiarity <= 1.0001


def test_questions_to_several_tasks_keep_their_order(task: Task, made_up_predictor: FewshotPredictor, tested: Pool) -> None:
    [other] = made_up_predictor.adapt([Lesson(examples(tested, {"x": 1, "y": 2}, 2))])
    rows = [int(tested.rows[code][9]) for code in (3, 1, 7, 2)]
    mixed = [Question(of, listing) for of, listing in zip((task, other, task, other), listings(rows), strict=True)]
    together = made_up_predictor.classify(mixed)
    alone = [made_up_predictor.classify([question])[0] for question in mixed]
    for one, single in zip(together, alone, strict=True):
        assert one.label == single.label and dict(one.probabilities) == pytest.approx(dict(single.probabilities), abs=1e-5)


def test_teaching_more_later_is_teaching_all_at_once(made_up_predictor: FewshotPredictor, tested: Pool) -> None:
    first, later = examples(tested, {"a": 3, "b": 7}, 2), examples(tested, {"b": 7, "c": 11}, 3, start=2)
    [before] = made_up_predictor.adapt([Lesson(first)])
    [grown] = made_up_predictor.adapt([Lesson(later, before=before)])
    [whole] = made_up_predictor.adapt([Lesson(first + later, learner=before.learner)])
    assert grown.classes == whole.classes == ("a", "b", "c") and grown.counts == {"a": 2, "b": 5, "c": 3}
    assert before.counts == {"a": 2, "b": 2}
    asked = listings(tested.rows[7][10:14])
    one, other = ([made_up_predictor.classify([Question(of, listing)])[0] for listing in asked] for of in (grown, whole))
    for found, expected in zip(one, other, strict=True):
        assert dict(found.probabilities) == pytest.approx(dict(expected.probabilities), abs=1e-6)
        assert found.stranger == pytest.approx(expected.stranger, abs=1e-6)


def test_a_task_survives_its_bytes(task: Task, made_up_predictor: FewshotPredictor, tested: Pool) -> None:
    again = Task.from_bytes(task.to_bytes())
    assert np.array_equal(again.codes, task.codes) and np.array_equal(again.features, task.features)
    assert (again.classes, again.base, again.measures, again.made_by) == (task.classes, task.base, task.measures, task.made_by)
    asked = listings(tested.rows[3][20:21])
    one, other = (made_up_predictor.classify([Question(of, asked[0])])[0] for of in (task, again))
    assert one == other


@pytest.mark.parametrize("damage", [b"", b"no task", "half", "names"])
def test_a_damaged_task_says_so_in_a_line(task: Task, damage: bytes | str) -> None:
    whole = task.to_bytes()
    changed = {"half": whole[: len(whole) // 2], "names": whole.replace(b'"learner"', b'"lerner_"')}
    with pytest.raises(VitrinaError, match="a stored few-shot task is damaged") as told:
        Task.from_bytes(changed[damage] if isinstance(damage, str) else damage)
    assert "\n" not in str(told.value)


def test_a_task_on_other_features_must_be_taught_again(task: Task, made_up_predictor: FewshotPredictor, tested: Pool) -> None:
    old = replace(task, base=task.base.model_copy(update={"version": 7, "digest": "e" * 64}))
    line = "the task rests on features of product version 7, and those of version 1 are served: teach it again from its examples"
    for call in (
        lambda: made_up_predictor.classify([Question(old, listings([0])[0])]),
        lambda: made_up_predictor.adapt([Lesson(examples(tested, TYPES, 1), before=old)]),
    ):
        with pytest.raises(OutdatedTask) as told:
            call()
        assert str(told.value) == line


def test_a_task_of_other_weights_is_adapted_anew_from_its_examples(
    task: Task, made_up_predictor: FewshotPredictor, tested: Pool
) -> None:
    spoilt = {name: np.zeros_like(value) for name, value in task.state.items()}
    elsewhere = replace(task, made_by="other weights", state=spoilt)
    asked = listings(tested.rows[3][20:22])
    for listing in asked:
        one, other = (made_up_predictor.classify([Question(of, listing)])[0] for of in (task, elsewhere))
        assert dict(one.probabilities) == pytest.approx(dict(other.probabilities), abs=1e-6)


def test_wrong_lessons_say_what_is_wrong(task: Task, made_up_predictor: FewshotPredictor, tested: Pool) -> None:
    with pytest.raises(VitrinaError, match="all examples are 'a'; at least 2 classes are needed"):
        made_up_predictor.adapt([Lesson(examples(tested, {"a": 1}, 3))])
    with pytest.raises(NotSupported, match="this version has no learner 'maml'; it has: shrunk_prototypes, nearest_centroid"):
        made_up_predictor.adapt([Lesson(examples(tested, TYPES, 1), learner="maml")])
    with pytest.raises(VitrinaError, match="listing 1 says nothing"):
        made_up_predictor.adapt([Lesson([*examples(tested, {"a": 1}, 1), Example("b", Listing())])])
    with pytest.raises(NotSupported, match="no learner 'gone'"):
        made_up_predictor.classify([Question(replace(task, learner="gone"), listings([0])[0])])


def test_a_learner_that_is_asked_for_teaches_and_stays(made_up_predictor: FewshotPredictor, tested: Pool) -> None:
    [task] = made_up_predictor.adapt([Lesson(examples(tested, TYPES, 2), learner="nearest_centroid")])
    [more] = made_up_predictor.adapt([Lesson(examples(tested, {"d": 5}, 2), before=task)])
    assert task.learner == more.learner == "nearest_centroid" and more.classes == ("b", "a", "c", "d")
