"""Encodings: found and told, obeyed where said, and text that went through a wrong one is noticed."""

from pathlib import Path

import pytest
from readings import read_text

from catalog.errors import CatalogueError
from catalog.importing.sources.encoding import misdecoded, repaired

GERMAN = "sku,name\n1,Größe für Männer\n2,weiß\n"
RUSSIAN = "sku,name\n1,Футболка мужская\n2,Красная кружка\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_unicode_is_found_in_each_of_its_forms(tmp_path: Path, encoding: str) -> None:
    found = read_text(tmp_path, GERMAN.encode(encoding))
    assert found.rows == [(2, "1", "Größe für Männer"), (3, "2", "weiß")]


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1252", GERMAN),
        ("cp1252", "sku,name\n1,Café crème\n2,Niño en España\n3,Œuvre à 5 €\n"),
        ("cp1250", "sku,name\n1,Příliš žluťoučký kůň\n2,zażółć gęślą jaźń\n"),
        ("cp1251", RUSSIAN),
        ("koi8_r", RUSSIAN),
        ("cp932", "sku,name\n1,コーヒーカップ\n2,日本製の帽子\n"),
        ("gb18030", "sku,name\n1,红色咖啡杯\n2,中国制造\n"),
        ("euc_kr", "sku,name\n1,커피잔 빨강\n2,한국 모자\n"),
        ("euc_kr", "sku,name\n1,흰색 티셔츠\n2,파란 모자\n3,양말\n"),
        ("cp1250", "sku,name\n1,Żółta koszulka męska\n2,Ciepła i miękka wełna\n"),
        ("cp1250", "sku,name\n1,Női póló rövid ujjú\n2,Gyűrött őszi kabát\n"),
        ("cp1254", "sku,name\n1,Beyaz tişört çocuk\n2,Şık kadın ayakkabı\n"),
        ("mac_roman", GERMAN),
        ("iso8859_2", "sku,name\n1,Żółta koszulka męska\n2,Kubek świąteczny\n"),
        ("iso8859_15", "sku,name\n1,Größe zu 12 €\n2,49 €\n"),
        ("cp1252", "sku,name\n1,Mug £5.00\n2,Cap £12.50\n"),
        ("cp1252", "sku,name\n1,Blå trøje til børn\n2,19 € „Größe“ – groß\n3,Crème brûlée\n"),
    ],
)
def test_other_encodings_are_detected_and_told(tmp_path: Path, encoding: str, text: str) -> None:
    found = read_text(tmp_path, text.encode(encoding))
    assert [f"{sku},{name}" for _, sku, name in found.rows] == text.splitlines()[1:]
    assert found.notes == (f"encoding {encoding} found",)


def test_one_line_in_another_encoding_does_not_change_the_others(tmp_path: Path) -> None:
    found = read_text(tmp_path, "sku,name\n1,Größe\n2,Café\n".encode() + "3,Niño\n".encode("cp1252") + b"4,Cap\n")
    assert [row[2] for row in found.rows] == ["Größe", "Café", "Cap"]
    assert [(misfit.line, misfit.reason) for misfit in found.misfits] == [(4, "name holds a byte that is not utf-8")]


def test_an_encoding_that_is_said_is_obeyed(tmp_path: Path) -> None:
    assert read_text(tmp_path, GERMAN.encode("mac_roman"), encoding="mac_roman").column("name") == ["Größe für Männer", "weiß"]
    assert read_text(tmp_path, GERMAN.encode("utf-8-sig"), encoding="utf-8").columns == ("sku", "name")


def test_a_wrong_encoding_names_line_and_byte(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match=r"line 3: byte 0xdf is not utf-8; set encoding in the mapping"):
        read_text(tmp_path, b"sku,name\n1,Cap\n2,wei\xdf\n", encoding="utf-8")
    with pytest.raises(CatalogueError, match="encoding 'klingon' is not known"):
        read_text(tmp_path, GERMAN, encoding="klingon")


def test_a_file_of_bytes_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="no text"):
        read_text(tmp_path, b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20)


def test_text_read_in_a_wrong_encoding_before_it_came_is_noticed(tmp_path: Path) -> None:
    found = read_text(tmp_path, "sku,name\n1,Cap\n2,CafÃ©\n3,Itâ€™s\n")
    assert found.column("name") == ["Cap", "CafÃ©", "Itâ€™s"]
    assert found.notes[0].startswith(
        "2 lines with text that was read in a wrong encoding before it came here, such as 'Ã©' for 'é'"
    )
    assert "line 3" in found.notes[0]


@pytest.mark.parametrize(("text", "right"), [("CafÃ©", "é"), ("donâ€™t", "’"), ("РљСЂСѓР¶РєР°", "Кружка"), ("5Â°", "°")])
def test_each_kind_of_misread_text_is_known(text: str, right: str) -> None:
    part = misdecoded(text)
    assert part is not None
    assert repaired(part) == right


@pytest.mark.parametrize(
    "text", ["Café", "Âmbar", "SÃO PAULO", "NIÑO", "Größe", "Русский размер", "Ñandú", "“quoted” – €5", "naïve â"]
)
def test_right_text_is_not_taken_for_misread(text: str) -> None:
    assert misdecoded(text) is None
