"""Whether a question's words decide its answer: rounding, unit, order, conventions; and whether they give it away.

What can be told from the words alone, before anything is run. Each fault is one sentence, told to the model that wrote
the question, so that it can mend it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Literal

from flows.generation.conventions import open_conventions
from flows.questions.records import AnswerSpec

Naming = Literal["plain", "never", "any"]
"""plain: a column may be named in plain words, not by a spelling such as flipper_length_mm; never: no column name of
four letters or more; any: no rule."""

_SHORTEST, _LONGEST = 15, 1_500
_COUNTS = {"no": 0, "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6}
_DECIMALS = re.compile(
    r"\b(\d{1,2}|no|zero|one|two|three|four|five|six)[\s-]+(?:decimals?|digits? after the (?:decimal )?point)\b", re.I
)
_FIGURES = re.compile(r"\b(?:\d{1,2}|one|two|three|four|five|six)[\s-]+significant (?:figures?|digits?)\b", re.I)
_NEAREST = {
    r"nearest (?:whole|integer|unit|one\b)": 0,
    r"(?:to|as|in) (?:a |an |the )?(?:whole number|integer)s?|whole (?:percent|number)": 0,
    r"nearest (?:tenth|0\.1\b)": 1,
    r"nearest (?:hundredth|0\.01\b|cent\b)": 2,
    r"nearest (?:thousandth|0\.001\b)": 3,
}
_CODE = re.compile(
    r"`|\bdf\b|\bpandas\b|\bnumpy\b|\bdata ?frames?\b|\bgroup[ _]?by\b|\bvalue_counts\b|\bi?loc\[|\blambda\b"
    r"|\bdtypes?\b|\bNaNs?\b|\bsubmit\b|\bdef \w|\.(?:mean|sum|sort_values|agg|apply|describe|corr|quantile)\(",
    re.I,
)
_ORDER = re.compile(
    r"\border|\bsort|\brank|\bascending\b|\bdescending\b|\balphabetical|\bchronological|\bfirst\b.*\bthen\b"
    r"|\bfrom (?:the )?\w+ to (?:the )?\w+"
    r"|\b(?:highest|largest|lowest|smallest|earliest|latest|oldest|most|least)\b.*\bfirst\b",
    re.I | re.S,
)
_PERCENT = re.compile(r"%|\bper ?cent|\bpercentage", re.I)
_RATIO = re.compile(r"\bratio|\bshare|\bproportion|\bfraction|\bbetween 0 and 1\b", re.I)
_UNIT_WORDS: dict[str, str] = {
    "%": r"%|per ?cent|percentage",
    "percent": r"%|per ?cent|percentage",
    "ratio": _RATIO.pattern,
    "mm": r"mm|millimet(?:re|er)s?",
    "cm": r"cm|centimet(?:re|er)s?",
    "m": r"m|met(?:re|er)s?",
    "km": r"km|kilomet(?:re|er)s?",
    "g": r"g|grams?|grammes?",
    "kg": r"kg|kilograms?|kilos?",
    "s": r"s|secs?|seconds?",
    "min": r"min|minutes?",
    "h": r"h|hrs?|hours?",
    "$": r"\$|usd|(?:us )?dollars?",
    "usd": r"\$|usd|(?:us )?dollars?",
    "€": r"€|eur|euros?",
    "eur": r"€|eur|euros?",
    "°c": r"°\s?c|degrees? celsius|celsius",
    "°f": r"°\s?f|degrees? fahrenheit|fahrenheit",
}


def faults(text: str, answer: AnswerSpec, columns: Sequence[str], naming: Naming) -> list[str]:
    """What keeps a question's words from deciding its answer; empty when nothing does.

    Args:
        text: The question.
        answer: What its answer must look like.
        columns: The table's columns.
        naming: How the question may name them.
    """
    return [*_of_form(text), *_of_names(text, columns, naming), *_of_answer(text, answer), *open_conventions(text)]


def decimals_asked(text: str) -> frozenset[int]:
    """Every number of decimals that a text asks for; empty when it says nothing of rounding."""
    found = {_COUNTS.get(word.lower(), -1) if not word.isdigit() else int(word) for word in _DECIMALS.findall(text)}
    return frozenset(found | {places for words, places in _NEAREST.items() if re.search(rf"\b(?:{words})", text, re.I)})


def with_decimals(text: str, answer: AnswerSpec) -> AnswerSpec:
    """The answer's form with the decimals its question asks for, where the form itself does not say."""
    asked = decimals_asked(text)
    if len(asked) != 1:
        return answer
    said = {"decimals": next(iter(asked))}
    by_key = {
        key: own.model_copy(update=said) if own.decimals is None and own.type in ("float", "percent") else own
        for key, own in answer.by_key.items()
    }
    if answer.decimals is None and _is_fractional(answer):
        return answer.model_copy(update={**said, "by_key": by_key})
    return answer.model_copy(update={"by_key": by_key})


def gives_away(text: str, answer: str) -> bool:
    """Whether a text holds the answer: a number of three digits or more, or a text of three letters or more."""
    plain = answer.strip().strip("\"'").replace(",", "")
    if re.fullmatch(r"[-−]?\d+(\.\d+)?", plain):
        digits = plain.lstrip("-−").replace(".", "").strip("0")
        return (
            len(digits) >= 3
            and re.search(rf"(?<![\d.]){re.escape(plain)}(?!\d|\.\d)", text.replace(",", "")) is not None
        )
    return len(plain) >= 3 and re.search(rf"(?<!\w){re.escape(plain)}(?!\w)", text, re.I) is not None


def _of_form(text: str) -> Iterator[str]:
    if not _SHORTEST <= len(text) <= _LONGEST:
        yield f"it has {len(text)} characters; {_SHORTEST} to {_LONGEST} are right"
    if found := _CODE.search(text):
        yield f'it speaks of code ("{found.group().strip()}"): ask as someone who knows only the table'


def _of_names(text: str, columns: Sequence[str], naming: Naming) -> Iterator[str]:
    if naming == "any":
        return
    for name in columns:
        forbidden = _is_spelling(name) if naming == "plain" else len(name.strip()) >= 4
        if forbidden and re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text, re.I if naming == "never" else 0):
            yield f'it names the column "{name}": say in plain words what it holds'


def _is_spelling(name: str) -> bool:
    """Whether a name is a spelling nobody speaks: snake_case, camelCase, dotted.names."""
    return re.search(r"\w[_.]\w|[a-z][A-Z]", name) is not None


def _of_answer(text: str, answer: AnswerSpec) -> Iterator[str]:
    if _is_fractional(answer) and not _FIGURES.search(text):
        asked = decimals_asked(text)
        if not asked:
            yield 'it does not say how the answer is rounded, as in "rounded to 2 decimals"'
        elif answer.decimals is None:
            yield "it asks for different numbers of decimals: say them in `decimals` too, or ask for one"
        elif answer.decimals not in asked:
            yield f"its words ask for {_listed(asked)} decimals and its answer's form for {answer.decimals}"
    for key, own in answer.by_key.items():
        rounds = own.type in ("float", "percent") and not _FIGURES.search(text)
        if rounds and own.decimals not in decimals_asked(text):
            yield f'its words do not round "{key}" as its answer\'s form does'
        if own.unit and own.type != "percent" and not _names_unit(text, own.unit):
            yield f'it does not name the unit of "{key}", "{own.unit}"'
    if answer.type == "percent" and answer.unit != "ratio" and not _PERCENT.search(text):
        yield "it does not say that the answer is a percentage"
    elif answer.unit and not _names_unit(text, answer.unit):
        yield f'it does not name the unit of the answer, "{answer.unit}"'
    if answer.type == "list" and not _ORDER.search(text):
        yield "it does not say in which order the list is; if order does not matter its type is set"


def _is_fractional(answer: AnswerSpec) -> bool:
    return answer.type in ("float", "percent") or (answer.items in ("float", "percent"))


def _names_unit(text: str, unit: str) -> bool:
    words = _UNIT_WORDS.get(unit.strip().casefold(), re.escape(unit.strip()))
    return re.search(rf"(?:(?<![^\W\d_])|(?<=\d))(?:{words})(?!\w)", text, re.I) is not None


def _listed(numbers: frozenset[int]) -> str:
    return " and ".join(map(str, sorted(numbers)))
