"""XML feeds: Merchant RSS and Atom, others with a repeated element, and what must not be read."""

from pathlib import Path

import pytest
from readings import read_text

from catalog.errors import CatalogueError

RSS = """<?xml version="1.0"?>
<rss version="2.0" xmlns:g="http://base.google.com/ns/1.0"><channel><title>Shop</title>
<item><g:id>1</g:id><title> Mug &amp; cup </title><g:price>4.50 EUR</g:price>
  <g:additional_image_link>a.jpg</g:additional_image_link><g:additional_image_link>b.jpg</g:additional_image_link>
  <g:shipping><g:country>DE</g:country><g:price>3 EUR</g:price></g:shipping>
  <description><![CDATA[<b>Holds</b> tea]]></description></item>
<item><g:id>2</g:id><title>Cap</title></item>
</channel></rss>"""


def test_a_merchant_feed_is_a_table(tmp_path: Path) -> None:
    found = read_text(tmp_path, RSS, "feed.xml")
    assert found.columns == (
        "g:id", "title", "g:price", "g:additional_image_link", "g:shipping.g:country", "g:shipping.g:price", "description"
    )  # fmt: skip
    assert found.rows == [
        (3, "1", "Mug & cup", "4.50 EUR", "a.jpg,b.jpg", "DE", "3 EUR", "<b>Holds</b> tea"),
        (7, "2", "Cap", None, None, None, None, None),
    ]
    assert found.notes == ("each item is a record",)


def test_an_atom_feed_of_one_entry_and_another_prefix(tmp_path: Path) -> None:
    content = """<feed xmlns="http://www.w3.org/2005/Atom" xmlns:x="http://base.google.com/ns/1.0">
<link href="a"/><link href="b"/>
<entry><x:id>1</x:id><title>Mug</title><link href="http://shop/1"/></entry></feed>"""
    found = read_text(tmp_path, content, "feed.xml")
    assert found.columns == ("g:id", "title", "link.@href")
    assert found.rows == [(3, "1", "Mug", "http://shop/1")]


def test_offers_with_attributes_and_named_parameters(tmp_path: Path) -> None:
    content = """<?xml version="1.0" encoding="windows-1251"?><!DOCTYPE yml_catalog SYSTEM "shops.dtd">
<yml_catalog><shop><currencies><currency id="RUR"/><currency id="USD"/></currencies>
<offers><offer id="7" available="true"><name>Кружка</name><price>90</price><param name="Цвет">красный</param></offer>
<offer id="8"><name>Шапка</name><param name="Цвет">синий</param><param name="Размер">M</param></offer>
</offers></shop></yml_catalog>"""
    found = read_text(tmp_path, content.encode("cp1251"), "offers.xml")
    assert found.columns == ("@id", "@available", "name", "price", "param.Цвет", "param.Размер")
    assert found.rows == [(3, "7", "true", "Кружка", "90", "красный", None), (4, "8", None, "Шапка", None, "синий", "M")]


def test_the_element_that_repeats_is_found_or_named(tmp_path: Path) -> None:
    content = "<shop><rows><row><a>1</a><item><b>x</b></item><item><b>y</b></item></row><row><a>2</a></row></rows></shop>"
    assert read_text(tmp_path, content, "x.xml").rows == [(1, "1", "x,y"), (1, "2", None)]
    assert read_text(tmp_path, content, "x.xml", records="item").rows == [(1, "x"), (1, "y")]
    with pytest.raises(CatalogueError, match="holds no records"):
        read_text(tmp_path, content, "x.xml", records="nothing")


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]><rss><item><t>&b;</t></item></rss>'
OUTSIDE = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><rss><item><t>&a;</t></item></rss>'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (BOMB, "entities of its own or from elsewhere, which are refused"),
        (OUTSIDE, "entities of its own or from elsewhere, which are refused"),
        (RSS[:300], "is no well-formed XML: .* line"),
        (RSS.replace("</title>", "</tilte>", 1), "is no well-formed XML: mismatched tag: line 2"),
        ("", "no well-formed XML"),
        ("<a><b>1</b></a>", "has no element that repeats and has parts; it has a, b"),
        ('<?xml version="1.0" encoding="klingon"?><a/>', "klingon|encoding"),
        ("<a>" * 5000, "deep in each other"),
    ],
)
def test_what_cannot_be_read_is_one_line(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(CatalogueError, match=message) as error:
        read_text(tmp_path, content, "feed.xml")
    assert "\n" not in str(error.value)


def test_a_web_page_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="is a web page; save the table in it as CSV or xlsx"):
        read_text(tmp_path, "<!DOCTYPE html>\n<html><table><tr><td>1</td></tr></table></html>", "export.xls")


def test_html_inside_an_element_is_its_text(tmp_path: Path) -> None:
    content = """<shop>
<offer><name>Mug <i>big</i> &amp; round</name><text><p>Holds <b>tea</b>.</p><br/><ul><li>Clay</li></ul></text>
<photos><small>a.jpg</small><i>b.jpg</i></photos></offer>
<offer><name>Cap</name><text><div xmlns="http://www.w3.org/1999/xhtml">Shades <em>your</em> eyes</div></text></offer></shop>"""
    found = read_text(tmp_path, content, "feed.xml")
    assert found.columns == ("name", "text", "photos.small", "photos.i")
    assert found.rows == [
        (2, "Mug <i>big</i> & round", "<p>Holds <b>tea</b>.</p><br/><ul><li>Clay</li></ul>", "a.jpg", "b.jpg"),
        (4, "Cap", "<div>Shades <em>your</em> eyes</div>", None, None),
    ]


def test_what_is_said_again_in_another_language_is_a_column_of_its_own(tmp_path: Path) -> None:
    content = """<shop><offer><name xml:lang="x-default">Tee</name><name xml:lang="de">T-Shirt</name><tag xml:lang="en">a</tag>
<tag xml:lang="en">b</tag></offer><offer><name xml:lang="x-default">Cap</name></offer></shop>"""
    found = read_text(tmp_path, content, "feed.xml")
    assert found.columns == ("name.@xml:lang", "name", "name.de", "tag.@xml:lang", "tag")
    assert found.rows == [(1, "x-default", "Tee", "T-Shirt", "en,en", "a,b"), (2, "x-default", "Cap", None, None, None)]
