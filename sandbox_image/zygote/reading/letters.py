"""Tells text in a legacy encoding by its letters: which of the encodings makes words of the bytes."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_RUSSIAN: Final = "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфъё"
_LATIN: Final = {
    "German": "äöüßÄÖÜ",
    "French": "éèêëàâçîïôùûœæÉÈÊÀÂÇÎÔŒ",
    "Spanish": "áéíóúñüÁÉÍÓÚÑ¿¡ªº",
    "Portuguese": "ãõáâàçéêíóôúÃÕÁÂÀÇÉÊÍÓÔÚªº",
    "Italian": "àèéìòùÀÈÉÌÒÙ",
    "Nordic": "åäöæøéÅÄÖÆØ",
    "Icelandic": "áéíóúæöÁÉÍÓÚÆÖ",
    "Dutch": "ëïéèöüáóêË",
}
_CENTRAL: Final = {
    "Polish": "ąćęłńóśźżĄĆĘŁŃÓŚŹŻ",
    "Czech": "áčďéěíňóřšťúůýžÁČĎÉĚÍŇÓŘŠŤÚŮÝŽ",
    "Slovak": "áäčďéíĺľňóôŕšťúýžÁČĎÉÍĽŇÓÔŠŤÚÝŽ",
    "Hungarian": "áéíóöőúüűÁÉÍÓÖŐÚÜŰ",
    "South Slavic": "čćđšžČĆĐŠŽ",
    "German": "äöüßÄÖÜ",
    "Romanian": "ăâîşţĂÂÎŞŢ",
}
_TURKISH: Final = {"Turkish": "çğıöşüâÇĞİÖŞÜ"}
_BALTIC: Final = {"Lithuanian": "ąčęėįšųūžĄČĘĖĮŠŲŪŽ", "Latvian": "āčēģīķļņšūžĀČĒĢĪĶĻŅŠŪŽ", "Estonian": "äöüõšžÄÖÜÕŠŽ"}
_CYRILLIC: Final = {
    "Russian": _RUSSIAN + _RUSSIAN.upper() + "№",
    "Ukrainian": "оаинітвреслкудмпязбгьчйхїцжшюєфщґ" + "ОАИНІТВРЕСЛКУДМПЯЗБГЬЧЙХЇЦЖШЮЄФЩҐ" + "№",
    "Bulgarian": "аоиетнрсвлкдпмзъгябучцйжщшхюф" + "АОИЕТНРСВЛКДПМЗЪГЯБУЧЦЙЖЩШХЮФ" + "№",
    "Serbian": "аоиенрсјтувдкмплзбгчћцшжхљњђџф" + "АОИЕНРСЈТУВДКМПЛЗБГЧЋЦШЖХЉЊЂЏФ",
}
_GREEK_LETTERS: Final = "αοιετνσηρπκμλςυδγχθφβωξζψάέίόήύώϊϋΐΰ"
_GREEK: Final = {"Greek": _GREEK_LETTERS + _GREEK_LETTERS.upper()}
_HEBREW: Final = {"Hebrew": "יוהלאתרבשמנדקחעכפםצגטסןזךףץ"}
_ARABIC: Final = {"Arabic": "اليمونترةبعسدفهكحقجأشصطخزذضغثظىئءإؤآپچژگ،؟"}
_THAI: Final = {"Thai": "าน่รกอ้เงิมัียลวดทสตปคบุหแจพืูชข็ใ์ไะโผำถึณซธศฟญภษฐฏฉฆฬฮฝ"}

_ALPHABETS: Final[tuple[tuple[str, dict[str, str], float], ...]] = (
    ("cp1252", _LATIN, 0.04),
    ("cp1250", _CENTRAL, 0.0),
    ("iso8859-2", _CENTRAL, -0.03),
    ("cp1254", _TURKISH, 0.0),
    ("cp1257", _BALTIC, -0.02),
    ("mac_roman", _LATIN, -0.05),
    ("cp850", _LATIN, -0.09),
    ("cp437", _LATIN, -0.1),
    ("cp852", _CENTRAL, -0.08),
    ("mac_latin2", _CENTRAL, -0.09),
    ("cp1251", _CYRILLIC, 0.02),
    ("koi8-r", _CYRILLIC, 0.0),
    ("koi8-u", _CYRILLIC, -0.01),
    ("cp866", _CYRILLIC, 0.0),
    ("iso8859-5", _CYRILLIC, -0.01),
    ("mac_cyrillic", _CYRILLIC, -0.03),
    ("cp1253", _GREEK, 0.02),
    ("iso8859-7", _GREEK, 0.0),
    ("cp1255", _HEBREW, 0.02),
    ("cp1256", _ARABIC, 0.02),
    ("iso8859-6", _ARABIC, 0.0),
    ("cp874", _THAI, 0.02),
)
"""Encoding, the letters of the languages written in it, and how much likelier than others it is beforehand."""
EAST_ASIAN: Final = ("cp932", "euc_jp", "gb18030", "big5", "cp949")
_OWN_SCRIPT: Final = (_CYRILLIC, _GREEK, _HEBREW, _ARABIC, _THAI)
_VOWELS: Final = "aeiouyáéíóúAEIOUY"
_ICELANDIC: Final = "ýþðÝÞÐ"
_FINAL: Final = "ςםןץףך"
_OPENING: Final = "‘“„«£§©±°€µ"
_SIGNS: Final = "’‘“”–—…°€£§²³µ½¼«»·®©™×±"
_RUN: Final = re.compile(rb"(?<![A-Za-z\x80-\xff])[A-Za-z\x80-\xff]*[\x80-\xff][A-Za-z@-~\x80-\xff]*")
_HANGUL: Final = frozenset(
    "이다는의에을가고은하사지로기리대자시해도어인서나정일아있수전과부제보여성장상주비스원그한를들국동안무구산미조우소중청강남북경광평충울천선역량격날짜"
)
_CHINESE: Final = frozenset(
    "的一是在不了有和人这中大为上个国我以要他时来用们生到作地于出就分对成会可主发年动同工也能下过子说产种面而方后多定行学法所民得经十三之进着等部度家电力"
    "里如水化高自二理起小物现实加量都两体制机当使点从业本去把性好应开它合还因由其些然前外天政四日社义事平形相全表间样与关各重新线内数正心明看原利比质气第"
    "向道变条结解问意建月公无系情者最立代通并提直题程展五果料员位入常文总次品式活设及管特件长求基资边流路级少图山统接知组见计别期根论运农指区强西南北东海州"
    "江市省县城价格售额称号类型河湖广深京津"
)
"""Signs that are frequent in Korean, in Chinese."""
_SEVERAL: Final = 0.88
_ENOUGH_WORDS: Final = 8
_MOST_RUNS: Final = 500
_RARE: Final = frozenset({"mac_roman", "mac_latin2", "mac_cyrillic", "cp850", "cp852", "cp437"})
"""Encodings of old systems: one or two letters alone do not prove them."""
_CURRENCIES: Final = "£€¥¢¤"
_FRACTIONS: Final = "½¼¾"


def margin(text: str, encoding: str) -> float:
    """By less than this, two encodings that read the bytes differently are in doubt: few letters prove little.

    Args:
        text: As the likelier encoding reads it.
        encoding: Its name; one or two letters are so often those of Windows-1252 that they need no proof.
    """
    distinct = len({sign for sign in text if not sign.isascii()})
    if distinct <= 2:
        return 0.03 if encoding == "cp1252" else 0.5 if encoding in _RARE else 0.1
    return 0.07 if distinct <= 4 else 0.03


def rank(data: bytes) -> list[tuple[float, str]]:
    """Encodings that can read the bytes, the likeliest first, with a score of at most about one.

    Args:
        data: Text that is not UTF-8, cut at a line's end.
    """
    runs = list(dict.fromkeys(_RUN.findall(data)))[:_MOST_RUNS]
    if not runs:
        return []
    found = []
    for name, languages, prior in _ALPHABETS:
        words = _decoded(runs, data, name)
        if words is not None:
            own = languages in _OWN_SCRIPT
            score = max(_fit(words, letters, own=own) for letters in languages.values())
            if not own and len(words) >= _ENOUGH_WORDS:
                # Names of places abroad have letters of several languages.
                score = max(score, _SEVERAL * _fit(words, "".join(languages.values()), own=False))
            found.append((score + prior, name))
    for name in EAST_ASIAN:
        words = _decoded(runs, data, name)
        if words is not None:
            found.append((_east_asian(words, name), name))
    return sorted(found, key=lambda each: -each[0])


def _decoded(runs: list[bytes], data: bytes, name: str) -> list[str] | None:
    try:
        data.decode(name)
        return [run.decode(name) for run in runs]
    except UnicodeDecodeError:
        return None


def _fit(words: list[str], letters: str, *, own: bool) -> float:
    """Mean over the signs beyond ASCII of how well each stands in its word."""
    total, count = 0.0, 0
    known = frozenset(letters)
    rank_of = {sign: place for place, sign in enumerate(letters)} if own else {}
    for word in words:
        for at, sign in enumerate(word):
            if sign.isascii():
                continue
            count += 1
            total += _sign(word, at, sign, known, own=own) - 0.45 * _rarity(rank_of, sign)
    # Two or three letters of another script prove little.
    return (total / count if count > 3 or not own else 0.8 * total / count) if count else -1.0


def _rarity(places: dict[str, int], sign: str) -> float:
    """From 0 for the language's commonest letters to 1; an upper-case letter counts as its lower-case one."""
    place = places.get(sign.lower(), places.get(sign))
    return 0.0 if place is None else min(place / 33, 1.0) ** 2


def _sign(word: str, at: int, sign: str, known: frozenset[str], *, own: bool) -> float:
    before, after = word[at - 1 : at], word[at + 1 : at + 2]
    if sign in known:
        value = 1.0
        if (
            (sign in "ªº" and after.isalpha())
            or (sign == "ç" and known.issuperset("éç") and "ğ" not in known and not _vowel(after))
            or (sign in "¿¡" and before.isalpha())
            or (sign == "õ" and "ã" in known and after not in ("e", "E", ""))
            or (sign in "āēīū" and (_vowel(before) or _vowel(after)))
        ):
            # No such word in the languages that have the letter: bytes of another one.
            value = -0.5
        elif sign.isupper() and before.islower():
            value = -0.5
        elif sign.isupper() and not before and after.isupper() and word.upper() != word:
            value = 0.2
        elif sign.isupper() and not before and len(word) > 1 and word.isupper():
            value = 0.85
        elif (sign == "ń" and after in _VOWELS and after) or (sign in _FINAL and after and after in known):
            # No Polish ń stands before a vowel, as Spanish ñ does; no final letter stands within a word.
            value = -0.5
        elif unicodedata.combining(sign) or (own and unicodedata.category(sign) == "Mn"):
            value = 1.0 if before and before in known else -0.5
        if own and ((before.isascii() and before.isalpha()) or (after.isascii() and after.isalpha())):
            value = -0.5
        # Few words have one letter.
        return value if len(word) > 1 else 0.6
    if sign in _SIGNS:
        if len(word) == 1:
            return 0.65
        if before.isalpha() and after.isalpha():
            return 1.0 if sign in "’·" else -0.5
        if (sign in _CURRENCIES and after.isalpha()) or (sign in _FRACTIONS and before.isalpha()):
            return -0.5
        if sign == "µ" and after.isalpha():
            return 1.0
        return 0.95 if after.isalpha() == (sign in _OPENING) else 0.3
    if sign in _ICELANDIC:
        # Usual in Icelandic alone, where bytes of Turkish come out so as well.
        return -0.5 if sign == "þ" and before.islower() else 0.85
    category = unicodedata.category(sign)
    return -0.2 if category.startswith("L") else -1.5 if category.startswith("C") else -0.8


def _vowel(sign: str) -> bool:
    return bool(sign) and unicodedata.normalize("NFD", sign)[0] in _VOWELS


def _east_asian(words: list[str], name: str) -> float:
    """Share of common signs, less what is rare; kana speak for Japanese, Hangul for Korean."""
    total, count, kana, hangul = 0.0, 0, 0, 0
    words = list(dict.fromkeys(words))
    for word in words:
        for at, sign in enumerate(word):
            if sign.isascii():
                continue
            count += 1
            code = ord(sign)
            # Letters of both scripts in one word: bytes of a European encoding, taken in pairs.
            total -= 0.5 * (word[at - 1 : at].isascii() and word[at - 1 : at].isalpha())
            kana += 0x3041 <= code <= 0x30FE
            hangul += 0xAC00 <= code <= 0xD7A3
            total += _east_sign(sign, code, name)
    if not count:
        return -1.0
    # One or two signs are as well a letter of Europe with what follows it.
    score = total / count - 0.2 * (count < 3)
    frequent = {"cp949": _HANGUL, "gb18030": _CHINESE}.get(name)
    if frequent:
        score += 0.4 * sum(sign in frequent for word in words for sign in word if not sign.isascii()) / count - 0.1
    if name in ("cp932", "euc_jp"):
        score += 0.1 if kana else -0.05
    elif name == "cp949":
        # Few Hangul prove little: their bytes are those of common Chinese signs.
        score += (0.12 if count >= 12 else -0.03) if hangul == count else -0.3 if hangul < 0.5 * count else 0.0
    return score


def _east_sign(sign: str, code: int, name: str) -> float:
    if 0xFF61 <= code <= 0xFF9F or 0xE000 <= code <= 0xF8FF:
        return -0.5
    if 0x3000 <= code <= 0x30FF or 0xFF01 <= code <= 0xFF5E:
        return 0.9 if name in ("cp932", "euc_jp") or code < 0x3040 or code > 0xFF00 else 0.0
    if 0xAC00 <= code <= 0xD7A3:
        return (1.0 if _lead(sign, "euc_kr", 0xB0, 0xC8) else -0.3) if name == "cp949" else -0.5
    if 0x4E00 <= code <= 0x9FFF:
        levels = {
            "cp932": ("euc_jp", 0xB0, 0xCF), "euc_jp": ("euc_jp", 0xB0, 0xCF), "gb18030": ("gb2312", 0xB0, 0xD7),
            "big5": ("big5", 0xA4, 0xC6), "cp949": ("euc_kr", 0xCA, 0xFD),
        }  # fmt: skip
        common = _lead(sign, *levels[name])
        return (0.95 if common else 0.1) if name != "cp949" else 0.2
    return -0.4


def _lead(sign: str, encoding: str, first: int, last: int) -> bool:
    try:
        return first <= sign.encode(encoding)[0] <= last
    except UnicodeEncodeError:
        return False
