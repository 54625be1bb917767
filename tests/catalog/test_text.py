import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.text import clean_html, looks_misread, normalise

MARKED_UP = st.lists(
    st.sampled_from(
        [
            "<p>",
            "</p>",
            "<br/>",
            "&amp;",
            "&lt;b&gt;",
            "&amp;lt;",
            "&#39;",
            "<script>",
            "</script>",
            "<!--",
            "-->",
            "<",
            ">",
            "ﬁ",
            "İ",
            "ß",
        ]
    )
    | st.text(max_size=5)
).map("".join)


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("<p>Blue <b>Polo</b><br />soft</p>", "Blue Polo soft"),
        ("in<b>line</b>", "inline"),
        ("<ul><li>one</li><li>two</li></ul>", "one two"),
        ("Tom &amp; Jerry&nbsp;&rsquo;s", "Tom & Jerry ’s"),
        ("Cut &amp;amp; sewn", "Cut & sewn"),
        ("&lt;p&gt;twice &amp;lt;b&amp;gt;escaped&lt;/p&gt;", "twice escaped"),
        ("<style>p { color: red }</style>a<SCRIPT>alert('<b>')</script >b", "a b"),
        ("a<!-- hidden <p> -->b", "a b"),
        ('<p title="a > b">c</p>', "c"),
        ("size < 5 and 3 > 2", "size < 5 and 3 > 2"),
        ("cut off <br", "cut off"),
        ("zero\u200bwidth\ufeff and\x00 control\x07", "zerowidth and control"),
        ("ﬁt １２ ℃", "fit 12 °C"),
        (" \t many \n\u3000 spaces \r\n", "many spaces"),
        ("", ""),
    ],
)
def test_markup_goes_and_words_stay(raw: str, clean: str) -> None:
    assert clean_html(raw) == clean


@given(MARKED_UP)
def test_cleaning_twice_changes_nothing(text: str) -> None:
    assert clean_html(clean_html(text)) == clean_html(text)
    assert normalise(normalise(text)) == normalise(text)


@given(st.lists(st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1)))
def test_case_and_white_space_make_no_difference(words: list[str]) -> None:
    assert normalise("  ".join(words).upper()) == normalise(" ".join(words).lower() + "\n") == " ".join(words).lower()


@given(MARKED_UP)
def test_what_remains_is_printable_and_single_spaced(text: str) -> None:
    clean = clean_html(text)
    assert clean.isprintable()
    assert "  " not in clean
    assert clean == clean.strip()


@pytest.mark.parametrize(
    "piece",
    ["<a ", "<!--", '<a b="', "</", "<![CDATA[", "<script>", "&", "&amp;", "&lt;", "<script></script", "amp;", "&#9", "<aaaa"],
)
def test_hostile_text_takes_linear_time(piece: str) -> None:
    text = "&#" + "9" * 5000 + piece * (200_000 // len(piece))
    started = time.process_time()
    normalise(text)
    assert time.process_time() - started < 30.0  # it takes 0.1 s, and minutes where it grows with the square


@pytest.mark.parametrize(
    "text", ["CafÃ©", "Ã\x89tui", "GrÃ¶Ã\x9fe", "itâ€™s", "5â‚¬", "Â£ 5", "ÐšÑƒÑ€Ñ‚ÐºÐ°", "ï»¿title", "caf\ufffd", "KÅ‚Ä…d"]
)
def test_text_in_the_wrong_encoding_is_noticed(text: str) -> None:
    assert looks_misread(text)


@pytest.mark.parametrize(
    "text",
    ["Café", "Étui", "Größe „groß“", "it’s 5 € – “new”", "£ 5", "Куртка", "Kład", "MANHÃ", "Âme à coté", "靴", "plain ™ ®"],
)
def test_rightly_decoded_text_is_left_alone(text: str) -> None:
    assert not looks_misread(text)
