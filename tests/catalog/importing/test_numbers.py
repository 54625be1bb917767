"""Forms of numbers: found where all values agree, refused where they contradict, and never changed by a factor."""

from decimal import Decimal

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.errors import CatalogueError
from catalog.importing.currencies import currencies
from catalog.importing.numbers import NumberForm, Seen, amount, currency_of, explain, find_form, readings
from catalog.importing.sql import text

HERE = "shop.csv, column price"


@pytest.fixture(scope="module")
def database() -> duckdb.DuckDBPyConnection:
    return duckdb.connect()


def form_of(
    values: list[str], decimal: str | None = None, thousands: str | None = None, currency: str | None = None
) -> NumberForm:
    seen = [Seen(value, line) for line, value in enumerate(values, start=2)]
    return find_form(seen, decimal, thousands, currency or currency_of(seen, HERE), HERE)


def read(database: duckdb.DuckDBPyConnection, values: list[str], form: NumberForm) -> list[float | None]:
    return [database.execute(f"SELECT {form.expression(text(value))}").fetchall()[0][0] for value in values]


@pytest.mark.parametrize(
    ("values", "numbers"),
    [
        (["4", "4.5", "1299.00"], [4, 4.5, 1299]),
        (["1.299,00", "49,90"], [1299, 49.9]),
        (["1,299.50", "4"], [1299.5, 4]),
        (["1.299", "1.299.000"], [1299, 1299000]),
        (["1 299,50", "1\u00a0300", "1\u2009299", "1\u202f000,5"], [1299.5, 1300, 1299, 1000.5]),
        (["1'299.50", "1’000"], [1299.5, 1000]),
        (["1,29,999.00", "₹1,299"], [129999, 1299]),  # groups as in India
        (["0.299", "0.5"], [0.299, 0.5]),
        (["-4", "−4", "+4", "5.", ".5"], [-4, -4, 4, 5, 0.5]),
        (["1e3", "1.5E+03", "1.299e3", "2e-1"], [1000, 1500, 1299, 0.2]),
        (["€ 4,50", "1.299,00 EUR", "-€3,5", "3 eur"], [4.5, 1299, -3.5, 3]),
        (["R$ 10", "R$ 1.299,00"], [10, 1299]),
        (["£5", "GBP 6.10"], [5, 6.1]),
        (["12,50 zł", "1 299 zł"], [12.5, 1299]),
        (["199 руб.", "1 299,00 ₽"], [199, 1299]),
        (["¥5", "¥12"], [5, 12]),
    ],
)
def test_a_column_that_agrees_is_read(values: list[str], numbers: list[float], database: duckdb.DuckDBPyConnection) -> None:
    assert read(database, values, form_of(values)) == numbers


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["1.299", "49,90"], "line 2: '1.299' and line 3: '49,90' do not agree"),
        (["4.5", "1.299"], "line 2: '4.5' and line 3: '1.299' do not agree"),
        (["4.5", "4,5"], "line 2: '4.5' and line 3: '4,5' do not agree"),
        (["1.299,50", "1,299.50"], "do not agree"),
        (["1.299.000", "1,299,000"], "do not agree"),
        (
            ["1", "1.299"],
            'line 3: \'1.299\' may be a thousand or a fraction.*decimal: "," and thousands: "\\.".*or decimal: "\\."',
        ),
        (["2,499"], "line 2: '2,499' may be a thousand or a fraction"),
        (["€ 4,50", "$5,00"], r"line 2: '€ 4,50' is in EUR and line 3: '\$5,00' in USD; set currency"),
        (["AUD 5", "$6", "US$ 7"], r"line 2: 'AUD 5' is in AUD and line 4: 'US\$ 7' in USD"),
    ],
)
def test_a_column_that_contradicts_itself_is_refused(values: list[str], message: str) -> None:
    with pytest.raises(CatalogueError, match=message) as caught:
        form_of(values)
    assert str(caught.value).startswith(f"{HERE}: line ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "decimal", "thousands", "numbers"),
    [
        (["1.299", "49,90"], ",", ".", [1299, 49.9]),
        (["1.299", "49,90"], ",", None, [1299, 49.9]),
        (["1.299", "4.50"], ".", None, [1.299, 4.5]),
        (["1,299", "4.50"], ".", None, [1299, 4.5]),
        (["19,99", "1,299"], None, ",", [None, 1299]),  # never 1999
        (["4.50"], None, ".", [None]),  # never 450
        (["1.29.9", "1..299", ".299", "12.34", "1234.567"], ",", ".", [None] * 5),
        (["1.299.00"], ",", ".", [None]),
        (["0.299", "0,299"], ",", ".", [None, 0.299]),
    ],
)
def test_declared_marks(
    values: list[str], decimal: str, thousands: str, numbers: list[float | None], database: duckdb.DuckDBPyConnection
) -> None:
    form = form_of(values, decimal, thousands)
    assert read(database, values, form) == numbers


@pytest.mark.parametrize(
    "value", ["5%", "10 - 20", "cheap", "4.5.6", "1e999", "--4", "", " ", "12 34", "€", "4,-", "4 5", "1/2", "0x10", "nan", "inf"]
)
def test_what_is_no_number_is_not_read(value: str, database: duckdb.DuckDBPyConnection) -> None:
    form = NumberForm(".", (",",))
    assert read(database, [value], form) == [None]
    assert repr(value) in explain(value, form, whole=False)


def test_a_row_in_another_currency_is_not_read(database: duckdb.DuckDBPyConnection) -> None:
    values = ["€ 4,50", "4.50 zł", "5"]
    form = form_of(values, currency="EUR")
    assert read(database, values, form) == [4.5, None, 5]
    assert explain(values[1], form, whole=False) == "'4.50 zł' is in PLN, not in EUR"


def test_a_dollar_is_any_countrys_that_the_column_names() -> None:
    assert currency_of([Seen("$5", 2), Seen("CAD 6", 3)], HERE) == "CAD"
    assert currency_of([Seen("$5", 2)], HERE) == "USD"
    assert currency_of([Seen("5", 2)], HERE) is None
    assert currencies("us$") == ("USD",)


@pytest.mark.slow
@settings(max_examples=300)
@given(
    st.decimals(min_value=Decimal("-99999999.99"), max_value=Decimal("99999999.99"), places=2),
    st.sampled_from([(".", ","), (",", "."), (",", " "), (".", "'"), (",", "\u202f")]),
    st.sampled_from(["{}", "€ {}", "{} EUR", "EUR{}"]),
)
def test_what_is_written_in_a_form_is_read_back(number: Decimal, marks: tuple[str, str], sign: str) -> None:
    decimal, thousands = marks
    written = f"{number:,.2f}".translate(str.maketrans({".": decimal, ",": thousands}))
    value = sign.format(written)
    form = form_of([value], decimal, thousands)
    assert read(duckdb.default_connection(), [value], form) == [float(number)]


@pytest.mark.slow
@settings(max_examples=300)
@given(st.text("0123456789.,' -e€", max_size=12), st.sampled_from([".", ","]), st.sampled_from([".", ",", " ", "'"]))
def test_what_sql_reads_is_what_the_marks_allow(value: str, decimal: str, thousands: str) -> None:
    if decimal == thousands:
        return
    (number,) = read(duckdb.default_connection(), [value], NumberForm(decimal, (thousands,)))
    found = amount(value)
    possible = () if found is None else readings(found)
    allowed = [r for r in possible if r.decimal in (None, decimal) and r.thousands in (None, thousands)]
    if number is not None:
        assert allowed, value
        digits = found.digits if found else ""
        assert abs(number) < 10 ** sum(c.isdigit() for c in digits.partition(decimal)[0]) or (found and found.exponent)


def test_a_contradiction_says_the_marks_of_its_values() -> None:
    for values, marks in (
        (["$1,299", "$12.50"], 'decimal: "." and thousands: ","$'),
        (["1.250", "2.5"], 'such as decimal: "."$'),
    ):
        with pytest.raises(CatalogueError, match=marks):
            find_form([Seen(value, line) for line, value in enumerate(values, 2)], None, None, None, "shop.csv")
