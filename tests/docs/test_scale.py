"""The page about scale says what the results say."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "docs" / "make_scale.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_scale", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_results_say(script: ModuleType) -> None:
    assert script.OUT.read_text(encoding="utf-8") == script.rendered()


def test_a_field_that_no_result_holds_is_refused(script: ModuleType) -> None:
    assert script.measured("jobs", "seconds.job.0") > 0
    with pytest.raises(KeyError, match="nothing"):
        script.measured("jobs", "seconds.nothing")


@pytest.mark.parametrize(
    ("value", "text"), [(50.2, "50.2"), (0.0312, "0.0312"), (1234567, "1,234,567"), (5.02, "5.02"), (83.666, "83.67")]
)
def test_numbers_are_written_for_people(script: ModuleType, value: float, text: str) -> None:
    assert script.digits(value) == text
