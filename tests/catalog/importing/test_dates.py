import pandas as pd
import pyarrow as pa
import pytest

from catalog.errors import CatalogueError
from catalog.importing.dates import check_forms, read_dates


def read(values: list[str | None], *forms: str) -> list[str | None]:
    return [None if date is None else date.isoformat() for date in read_dates(pa.array(values, pa.string()), forms).to_pylist()]


@pytest.mark.parametrize(
    ("value", "forms", "date"),
    [
        ("2024-01-31", ["ISO8601"], "2024-01-31T00:00:00+00:00"),
        (" 2024-01-31T10:00:00+02:00 ", ["ISO8601"], "2024-01-31T08:00:00+00:00"),
        ("2024-01-31 10:00:00.5", ["ISO8601"], "2024-01-31T10:00:00.500000+00:00"),
        ("20240131", ["ISO8601"], "2024-01-31T00:00:00+00:00"),
        ("2024-13-01", ["ISO8601"], None),
        ("0000-00-00", ["ISO8601", "unix"], None),
        ("now", ["ISO8601"], None),
        ("1706659200", ["unix"], "2024-01-31T00:00:00+00:00"),
        ("1706659200.25", ["unix"], "2024-01-31T00:00:00.250000+00:00"),
        ("1706659200000", ["unix_ms"], "2024-01-31T00:00:00+00:00"),
        ("99999999999999", ["unix"], None),
        ("03-02-2024", ["%d-%m-%Y"], "2024-02-03T00:00:00+00:00"),
        ("03-02-2024", ["%m-%d-%Y", "%d-%m-%Y"], "2024-03-02T00:00:00+00:00"),
        ("13-02-2024", ["%m-%d-%Y", "%d-%m-%Y"], "2024-02-13T00:00:00+00:00"),
        ("yesterday", ["ISO8601", "%d-%m-%Y", "unix", "unix_ms"], None),
    ],
)
def test_the_first_form_that_fits_counts(value: str, forms: list[str], date: str | None) -> None:
    assert read([value, None], *forms) == [date, None]


def test_values_of_one_column_may_have_different_forms() -> None:
    dates = read_dates(pa.array(["2024-01-31", "31.01.2024", "1706659200"]), ["ISO8601", "%d.%m.%Y", "unix"])
    assert dates.type == pa.timestamp("ns", tz="UTC")
    assert dates.to_pandas().tolist() == [pd.Timestamp("2024-01-31", tz="UTC")] * 3


@pytest.mark.parametrize("form", ["%Q", "day", "", "%d.%d"])
def test_a_form_that_is_none_is_refused(form: str) -> None:
    with pytest.raises(CatalogueError, match="allowed: ISO8601, unix, unix_ms or as in strptime") as caught:
        check_forms([form])
    assert "\n" not in str(caught.value)


def test_a_date_without_an_offset_is_utc_whatever_the_dates_before_it_say() -> None:
    texts = [
        "2024-03-01T10:00:00+02:00",
        "2024-03-01 10:00",
        "2024-03-01T10:00Z",
        "2024-03-01 10:00-05",
        "2024-03-01T10:00",
        "2024-03-01",
    ]
    read = [moment.strftime("%d %H:%M") for moment in read_dates(pa.array(texts), ["ISO8601"]).to_pylist()]
    assert read == ["01 08:00", "01 10:00", "01 10:00", "01 15:00", "01 10:00", "01 00:00"]
