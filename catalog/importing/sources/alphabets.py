"""How unlike a language a text is: tells encodings apart that read the same bytes as other letters."""

import re
from unicodedata import category

_LANGUAGES = (
    "äöüß", "àâçéèêëîïôùûüÿœæ", "áéíñóúü", "áâãàçéêíóôõú", "àèéìíòóùú", "éëïöüèá", "åäöé", "æøåé", "ąćęłńóśźż", "áčďéěíňóřšťúůýž",
    "áäčďéíĺľňóôŕšťúýž", "áéíóöőúüű", "ăâîșțşţ", "čćđšž", "çğıi̇öşüâîû", "áéíóúýþæöð", "äöõüšž",
    "абвгдеёжзийклмнопрстуфхцчшщъыьэюя", "абвгґдеєжзиіїйклмнопрстуфхцчшщьюя", "абвгдеёжзійклмнопрстуўфхцчшыьэюя",
    "абвгдђежзијклљмнњопрстћуфхцчџш", "αβγδεζηθικλμνξοπρσςτυφχψωάέήίόύώϊϋΐΰ",
)  # fmt: skip
_WESTERN = "".join(_LANGUAGES[:8])  # languages that are often met in one file
_OPENING = "¡¿€£¥№©®™§„“”‚‘’«»‹›–—…°"  # signs that may stand before a letter
_NEVER = re.compile("[¤\u2500-\u259f]")  # signs that nobody types
_LONE = re.compile(
    r"(?<!\w)[^\W\d_a-zA-Zµªº]\s?(?=[0-9])|(?<=[0-9])\s?[^\W\d_a-zA-Zµªº](?!\w)"
)  # a letter where a currency stands
_ANYWHERE = "µªº"  # letters of measures and numbers


def oddness(text: str) -> float:
    """Share of the characters beyond ASCII that no one language has together, or that do not stand so in words; 0 to 1."""
    beyond = [character for character in text if character > "\x7f"]
    if not beyond:
        return 0.0
    letters = [
        letter for letter in text.lower() if letter > "\x7f" and letter not in _ANYWHERE and category(letter) in ("Ll", "Mn")
    ]
    strange = float(min(sum(letter not in language for letter in letters) for language in _LANGUAGES))
    strange = min(strange, strange / 2 + sum(letter not in _WESTERN for letter in letters))
    misplaced = len(_LONE.findall(text)) + sum(
        _misplaced(*three) for three in zip(" " + text[:-1], text, text[1:] + " ", strict=True)
    )
    return min((strange + misplaced) / len(beyond), 1.0)


def _misplaced(before: str, character: str, after: str) -> bool:
    """Whether a character beyond ASCII stands where words have none of its kind."""
    if character <= "\x7f":
        return False
    kind = category(character)
    if kind == "Lu":  # a capital after a small letter
        return before.islower()
    if kind == "Lo":  # a sign of Chinese or the like in a word of Latin letters
        return any("a" <= beside <= "z" for beside in (before, after))
    if kind[0] in "LM":
        return False
    if _NEVER.match(character) or kind in ("Sk", "Cc"):
        return True
    return after.isalpha() and (before.isalpha() or character not in _OPENING) and kind[0] in "SNP" and character not in "’‘–—·"
