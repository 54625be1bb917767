"""Signs and codes of currencies beside an amount."""

import re
from functools import lru_cache

_SIGNS: dict[str, tuple[str, ...]] = {
    "US$": ("USD",),
    "CA$": ("CAD",),
    "C$": ("CAD",),
    "AU$": ("AUD",),
    "A$": ("AUD",),
    "NZ$": ("NZD",),
    "HK$": ("HKD",),
    "NT$": ("TWD",),
    "S$": ("SGD",),
    "R$": ("BRL",),
    "MX$": ("MXN",),
    "$": ("USD", "CAD", "AUD", "NZD", "MXN", "SGD", "HKD", "TWD", "ARS", "CLP", "COP"),
    "€": ("EUR",),
    "£": ("GBP", "EGP"),
    "¥": ("JPY", "CNY"),
    "￥": ("JPY", "CNY"),
    "円": ("JPY",),
    "元": ("CNY", "TWD"),
    "₹": ("INR",),
    "Rs.": ("INR", "PKR", "LKR", "NPR", "MUR"),
    "Rs": ("INR", "PKR", "LKR", "NPR", "MUR"),
    "Rp.": ("IDR",),
    "Rp": ("IDR",),
    "RM": ("MYR",),
    "₽": ("RUB",),
    "руб.": ("RUB",),
    "руб": ("RUB",),
    "р.": ("RUB",),
    "₴": ("UAH",),
    "грн.": ("UAH",),
    "грн": ("UAH",),
    "₺": ("TRY",),
    "TL": ("TRY",),
    "₩": ("KRW",),
    "₫": ("VND",),
    "฿": ("THB",),
    "₱": ("PHP",),
    "₪": ("ILS",),
    "₦": ("NGN",),
    "zł": ("PLN",),
    "Kč": ("CZK",),
    "Ft": ("HUF",),
    "lei": ("RON",),
    "лв.": ("BGN",),
    "лв": ("BGN",),
    "kr.": ("SEK", "NOK", "DKK", "ISK"),
    "kr": ("SEK", "NOK", "DKK", "ISK"),
    "Fr.": ("CHF",),
    "R": ("ZAR",),
}
"""Signs by the ISO codes that they may stand for, the commonest first."""

_CODES = (
    "AED",
    "ARS",
    "AUD",
    "BDT",
    "BGN",
    "BHD",
    "BRL",
    "CAD",
    "CHF",
    "CLP",
    "CNY",
    "COP",
    "CZK",
    "DKK",
    "EGP",
    "EUR",
    "GBP",
    "GEL",
    "GHS",
    "HKD",
    "HRK",
    "HUF",
    "IDR",
    "ILS",
    "INR",
    "IQD",
    "IRR",
    "ISK",
    "JOD",
    "JPY",
    "KES",
    "KRW",
    "KWD",
    "KZT",
    "LBP",
    "LKR",
    "MAD",
    "MDL",
    "MUR",
    "MXN",
    "MYR",
    "NGN",
    "NOK",
    "NPR",
    "NZD",
    "OMR",
    "PEN",
    "PHP",
    "PKR",
    "PLN",
    "QAR",
    "RON",
    "RSD",
    "RUB",
    "SAR",
    "SEK",
    "SGD",
    "THB",
    "TND",
    "TRY",
    "TWD",
    "UAH",
    "USD",
    "UYU",
    "UZS",
    "VND",
    "XAF",
    "XOF",
    "ZAR",
)


def _pattern(names: list[str]) -> str:
    """Longest first, so that US$ is not read as $; whatever the case."""
    return "(?i:" + "|".join(re.escape(name) for name in sorted(names, key=lambda name: (-len(name), name))) + ")"


TOKEN = _pattern([*_SIGNS, *_CODES])
"""Pattern of one sign or code, for `re` and for RE2."""

_BY_FOLDED = {sign.casefold(): codes for sign, codes in _SIGNS.items()} | {code.casefold(): (code,) for code in _CODES}


def currencies(token: str) -> tuple[str, ...]:
    """ISO codes that a sign or code may stand for, the commonest first."""
    return _BY_FOLDED[token.casefold()]


@lru_cache
def tokens(currency: str) -> str:
    """Pattern of the signs and codes that may stand for a currency."""
    return _pattern([*(sign for sign, codes in _SIGNS.items() if currency in codes), currency])
