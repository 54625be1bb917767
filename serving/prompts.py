"""Whether a prompt may be drawn: words that are looked for however they are written.

A list of words stops the plain request and the usual ways around it; it does not understand what a prompt means. What it finds is
told as a reason; the text itself is neither repeated nor logged.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache

from configs.schema import PromptsConfig, Screen
from serving.screens import ALLOWED, BLOCKED

_TWINS = {
    "a": "аαɑᴀᎪАΑ",
    "b": "вʙβᏴВΒ",
    "c": "сᴄᏟСϹϲ",
    "d": "ԁᴅđᎠ",
    "e": "еεᴇᎬЕΕ",
    "f": "ƒꜰ",
    "g": "ɡցɢᏀԌ",
    "h": "һнʜհħᎻНΗ",
    "i": "іιıɩɪᎥІΙ",
    "j": "јᴊᎫЈ",
    "k": "кκᴋᏦКΚ",
    "l": "ӏʟłᏞⅼ",
    "m": "мᴍᎷМΜ",
    "n": "пηɴոŋΝ",
    "o": "оοσᴏօøОΟ",
    "p": "рρᴘᏢРΡ",
    "q": "ԛզǫ",
    "r": "гʀᎡ",
    "s": "ѕꜱᏚЅ",
    "t": "тτᴛŧᎢТΤ",
    "u": "υսᴜ",
    "v": "νᴠᏙѵ",
    "w": "ԝωᴡᎳԜ",
    "x": "хχХΧ",
    "y": "уγʏУΥ",
    "z": "ᴢᏃΖ",
}
"""By letter, those of other alphabets that look like it: the part of Unicode's confusables (UTS 39) for which keyboards and
homoglyph generators exist."""
_TABLE = {ord(twin): letter for letter, twins in _TWINS.items() for twin in twins}
for _start in (0x1F130, 0x1F150, 0x1F170, 0x1F1E6):  # letters in squares, in circles, and of flags
    _TABLE |= {_start + place: letter for place, letter in enumerate("abcdefghijklmnopqrstuvwxyz")}
_UNSEEN = {0x115F: None, 0x1160: None, 0x3164: None, 0xFFA0: None, 0x2800: None}
"""Letters without a shape."""
_DIGITS = str.maketrans("034578@$!|+€£(§9", "oeastbasiiteLcsg".lower())
_ONE = {"i": str.maketrans("1", "i"), "l": str.maketrans("1", "l")}
_LETTER = r"[^\W_]"
_SPELLED = tuple(re.compile(rf"(?<!{_LETTER})(?:{_LETTER}[\W_]{{1,{most}}}){{2,}}{_LETTER}(?!{_LETTER})") for most in (1, 3))
_MASK = re.compile(r"(?<=[a-z])[*#%?](?=[a-z])")
_LONG = re.compile(r"(.)\1{2,}")


def screened(text: str, policy: PromptsConfig) -> str | None:
    """The reason why a prompt is refused, such as "violence"; None where it may be drawn.

    Looked for are the policy's entries in every way in which the text can be read: letters of other alphabets or with marks as
    their ASCII twins, digits and signs as the letters that they stand for, letters that are spelled out, split by signs or
    repeated, and a masked letter as each vowel. What `allowed` holds is left out first.
    """
    readings = set(_readings(text))
    for reason, (blocked, allowed) in _compiled(policy.screens, tuple(policy.blocked.items()), policy.allowed).items():
        if any(blocked.search(allowed.sub(" _ ", reading)) for reading in readings):
            return reason
    return None


def _readings(text: str) -> Iterator[str]:
    letters = _letters(text)
    masked = [_MASK.sub(vowel, letters) for vowel in "aeiou"] if _MASK.search(letters) else []
    meant = {said for lettered in (letters, *masked) for said in _meant(lettered)}
    joined = {
        said for text in meant for said in (text, _closed(text), *(spelled.sub(_without_signs, text) for spelled in _SPELLED))
    }
    for words in {_words(said) for text in joined for said in _meant(text)}:
        yield words
        if _LONG.search(words):
            yield _LONG.sub(r"\1", words)
            yield _LONG.sub(r"\1\1", words)


def _meant(text: str) -> set[str]:
    """As it is, and with digits and signs as letters."""
    return {text, *(_as_letters(text, one) for one in "il")}


def _letters(text: str) -> str:
    """Small letters without marks, those of other alphabets as their ASCII twins; what cannot be seen is left out."""
    apart = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).translate(_UNSEEN))
    seen = "".join(character for character in apart if unicodedata.category(character) not in {"Mn", "Me", "Cf", "Cs", "Co"})
    return seen.translate(_TABLE).casefold().translate(_TABLE)


def _as_letters(text: str, one: str) -> str:
    """Words that mix letters with digits or signs, with the letters that those stand for; 1 stands for `one`."""
    return " ".join(_as_letter(word, one) if any("a" <= c <= "z" for c in word) else word for word in text.split(" "))


def _as_letter(word: str, one: str) -> str:
    inner = word.rstrip("!|+(?.,;:)")  # at a word's end they end a sentence
    return inner.translate(_DIGITS).translate(_ONE[one]) + " " * (len(inner) < len(word))


def _closed(text: str) -> str:
    """Signs inside words left out: p.o.r.n, po-rn."""
    return " ".join(_without_signs(word) for word in text.split())


def _without_signs(word: str | re.Match[str]) -> str:
    return "".join(c for c in (word if isinstance(word, str) else word.group()) if c.isalnum())


def _words(text: str) -> str:
    """Letters and digits, and single spaces for everything else."""
    return " ".join("".join(character if character.isalnum() else " " for character in text).split())


@lru_cache(maxsize=8)
def _compiled(
    screens: Sequence[Screen], blocked: Sequence[tuple[str, tuple[str, ...]]], allowed: Sequence[str]
) -> dict[str, tuple[re.Pattern[str], re.Pattern[str]]]:
    """By reason, what is looked for, and what is left out before."""
    entries: dict[str, list[str]] = {screen: list(BLOCKED[screen]) for screen in screens}
    for reason, further in blocked:
        entries.setdefault(reason, []).extend(further)
    let_through = _pattern((*ALLOWED, *allowed))
    return {reason: (_pattern(of), let_through) for reason, of in entries.items() if of}


def _pattern(entries: Sequence[str]) -> re.Pattern[str]:
    return re.compile("|".join(_expression(entry) for entry in entries))


def _expression(entry: str) -> str:
    """Of an entry of the policy; words are read as a prompt's are."""
    if len(entry) > 2 and entry[0] == entry[-1] == "/":
        return f"(?:{entry[1:-1]})"
    words = [re.escape(_words(_letters(word))) + r"\w*" * word.endswith("*") for word in entry.split()]
    return r"\b" + r"\s*".join(words) + r"\b"
