"""Tells values that look the same to a reader and are different ones to a program."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Final

from sandbox_image.zygote.reading.naming import short
from sandbox_image.zygote.reading.remarks import Remarks

_LATIN: Final = str.maketrans(
    "АВЕЅІЈКМНОРСТХУаеіјоресухԛԝһѕ" + "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧονι", "ABESIJKMHOPCTXYaeijopecyxqwhs" + "ABEZHIKMNOPTYXovi"
)
"""Cyrillic and Greek letters by the Latin ones that look like them."""
_FOREIGN: Final = re.compile("[Ͱ-ϿЀ-ԯ]")
_ODD_BLANKS: Final = re.compile(r"[^\S ]|  |(?:\A|\0) | (?:\Z|\0)")
"""Of texts with a NUL between them: a blank that is no space, is not alone, or stands at an end."""
INVISIBLE: Final = re.compile(
    "[\u200b\u2060-\u2064\ufeff\u00ad\u061c\u180e\u200e\u200f\u202a-\u202e\u2066-\u2069\u0001-\u0008\u000e-\u001f\u007f]"
    # Persian and the languages of India need these two between their letters, and pictures are joined with one.
    "|(?:(?<=[\u0000-\u024f])|^)[\u200c\u200d]"
)
"""Signs that nobody sees."""


def note_likeness(name: str, texts: Sequence[str], remarks: Remarks) -> None:
    """Say where values differ by nothing but blanks, or by letters that look the same.

    Args:
        name: Of the column.
        texts: Its distinct values.
        remarks: Where it is said.
    """
    pair = _differ_in_blanks(texts)
    if pair is not None:
        what = f"holds {short(pair[0])!r} beside {short(pair[1])!r}, which differ in blanks only; they were kept apart"
        remarks.say(name, what)
    foreign = [each for each in texts if not each.isascii()]
    if not foreign:
        return
    composed = all(unicodedata.is_normalized("NFC", each) for each in foreign)
    pair = None if composed else next(_pairs({each: unicodedata.normalize("NFC", each) for each in foreign}), None)
    if pair is not None:
        remarks.say(
            name,
            f"holds {short(pair[0])!r} in two ways that look the same, with letters and accents in one sign or in two "
            "(Unicode NFC and NFD); they were kept apart",
        )
    alike = [each for each in foreign if _FOREIGN.search(each)]
    known = set(texts) if alike else set()
    for text in alike:
        latin = text.translate(_LATIN)
        if latin != text and latin in known:
            letter = next(each for each in text if _FOREIGN.match(each))
            remarks.say(
                name,
                f"holds {short(latin)!r} also with a letter that only looks the same (U+{ord(letter):04X}); they were "
                "kept apart",
            )
            break


def _differ_in_blanks(texts: Sequence[str]) -> tuple[str, str] | None:
    """Two texts that are the same but for their blanks; those with blanks around them first."""
    # Most columns have single blanks within words alone: that is seen at once, not text by text.
    if not _ODD_BLANKS.search("\0".join(texts)):
        return None
    bare = {each for each in texts if each == each.strip()}
    odd = next((each for each in texts if each.strip() and each != each.strip() and each.strip() in bare), None)
    if odd is not None:
        return odd, odd.strip()
    return next(_pairs({each: " ".join(each.split()) for each in texts}), None)


def _pairs(keys: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Texts that have the same key as one before them, with that one."""
    seen: dict[str, str] = {}
    for text, key in keys.items():
        if key and key in seen:
            yield text, seen[key]
        seen.setdefault(key, text)
