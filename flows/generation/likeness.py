"""Near duplicates: whether a question asks again what another one asks.

Two questions are alike when they use the same words but for those that carry no meaning; when their programs are the
same; or when their words are close and their answers equal. Numbers, quoted values, directions, negations and
statistics are words that never count as close: "above 1.5" and "above 15" are two questions, and so are "highest" and
"lowest". The order of words does not matter, but for what stands on which side: the ratio of a to b is not that of b
to a.
"""

from __future__ import annotations

import ast
import re
import unicodedata
from collections.abc import Iterable
from functools import cached_property
from typing import NamedTuple

from rapidfuzz import fuzz

from flows.questions.records import Question

CLOSE = 82.0
"""Token-sort ratio, 0 to 100, from which on the words of two questions are close (rapidfuzz.fuzz.token_sort_ratio)."""
_WORD = re.compile(r"\d+(?:[.,]\d+)*|\w+")
_QUOTED = re.compile(r'["“«]([^"”»]+)["”»]')
_EMPTY_WORDS = frozenset(
    """a an the of in on at to by for from with is are was were be do does did have has had it its this that these those
    there what which who how many much and as per each give find compute calculate determine tell report
    please me us table data dataset among across over rounded round places place answer""".split()  # noqa: SIM905
)

_SIGN = re.compile(rf"{_QUOTED.pattern}|({_WORD.pattern})|([.,;:?!()])")
_SIDES = frozenset(
    """to from by than minus per over on against versus vs where when whose among within into in for before after
    exceeds exceed divided predicts predict times""".split()  # noqa: SIM905
)
"""Words whose two sides are not the same: the ratio of a to b, the mean of a where b is above 5."""
_SIGNED = re.compile(r"\bdifferences?\b|\bchanges?\b|\bsubtract|\bratio\b|\bslope\b", re.I)
"""Where one of these is spoken of, the two sides of "and" are not the same either."""
_REACH = 3
"""Words on either side that belong to what stands there."""
_DIRECTIONS = {
    "up": "highest largest greatest maximum max most top best biggest longest latest",
    "down": "lowest smallest minimum min least fewest bottom worst shortest earliest",
    "over": "above over more greater higher exceed exceeds exceeding after since larger longer",
    "under": "below under less fewer lower before until smaller shorter",
    "not": "not no never without except excluding neither nor unless isn doesn non",
    "rise": "rise rises rising increase increases increased grow grew growth",
    "fall": "fall falls falling decrease decreases decreased drop shrink decline declines",
    "mean": "mean average",
    "sum": "sum total",
}
_ALONE = """any some all every or both either first second third last median mode range variance skewness kurtosis share
count percentage ratio difference correlation quantile percentile quartile standard error"""
_MARKS = {word: mark for mark, words in _DIRECTIONS.items() for word in words.split()} | {
    word: word for word in _ALONE.split()
}
"""Words that make another question of one, however close the others are; those that mean the same have one mark."""


class Asked(NamedTuple):
    """What of a question tells whether another asks the same."""

    name: str
    text: str
    program: str
    answer: str
    """The answer's exact identity; empty where it is not known."""


class Likeness:
    """Questions asked so far; tells which of them a further one repeats."""

    def __init__(self, asked: Iterable[Asked] = ()) -> None:
        self._asked: list[_Marked] = [_Marked(each) for each in asked]

    def add(self, asked: Asked) -> None:
        """Remember a question."""
        self._asked.append(_Marked(asked))

    def repeated(self, asked: Asked) -> str:
        """Which earlier question this one repeats, as "asks again what NAME asks"; empty when none."""
        new = _Marked(asked)
        for old in self._asked:
            if reason := new.repeats(old):
                return f"asks again what {old.asked.name} asks ({reason})"
        return ""


class _Marked:
    def __init__(self, asked: Asked) -> None:
        self.asked = asked

    @cached_property
    def words(self) -> tuple[str, ...]:
        plain = unicodedata.normalize("NFKC", self.asked.text).casefold()
        return tuple(sorted(word for word in _WORD.findall(plain) if word not in _EMPTY_WORDS))

    @cached_property
    def literals(self) -> tuple[str, ...]:
        numbers = (word for word in self.words if word[0].isdigit())
        return tuple(sorted([*numbers, *(text.casefold() for text in _QUOTED.findall(self.asked.text))]))

    @cached_property
    def marks(self) -> frozenset[str]:
        return frozenset(_MARKS[sign] for sign in self.signs if sign in _MARKS)

    @cached_property
    def signs(self) -> tuple[str, ...]:
        """Words, stops, and what is in quotation marks as one word each, which keeps a mark in front."""
        plain = unicodedata.normalize("NFKC", self.asked.text).casefold()
        return tuple(f'"{quoted}' if quoted else word or stop for quoted, word, stop in _SIGN.findall(plain))

    @cached_property
    def sides(self) -> frozenset[tuple[str, str]]:
        """Pairs of words that stand on the two sides of a word which tells them apart."""
        apart = _SIDES | {"and"} if _SIGNED.search(self.asked.text) else _SIDES
        return frozenset(
            (left, right)
            for at, sign in enumerate(self.signs)
            if sign in apart
            for left in self._near(range(at - 1, -1, -1))
            for right in self._near(range(at + 1, len(self.signs)))
            if left != right
        )

    @cached_property
    def bound(self) -> frozenset[tuple[str, str]]:
        """Words with the numbers and quoted values that follow them."""
        return frozenset(
            (near, sign)
            for at, sign in enumerate(self.signs)
            if sign[0].isdigit() or sign[0] == '"'
            for near in self._near(range(at - 1, -1, -1))
            if near != sign
        )

    def _near(self, places: range) -> list[str]:
        """The words with a meaning up to the next stop, a few at most."""
        found: list[str] = []
        for at in places:
            sign = self.signs[at]
            if len(found) == _REACH or not (sign[0].isalnum() or sign[0] in '_"'):
                break
            following = self.signs[at + 1] if at + 1 < len(self.signs) else ""
            # No article stands before these: it is a name.
            is_name = sign == "a" and (following in _SIDES or not following[:1].isalnum())
            if is_name or (sign not in _EMPTY_WORDS and sign not in _SIDES):
                found.append(sign)
        return found

    @cached_property
    def program(self) -> str:
        return normal_program(self.asked.program)

    def repeats(self, old: _Marked) -> str:
        if self.words == old.words and not self._turned(old):
            return "the same words"
        if self.program and self.program == old.program:
            return "the same program"
        same_answer = self.asked.answer and self.asked.answer == old.asked.answer
        if same_answer and self.literals == old.literals and self.marks == old.marks and not self._turned(old):
            score = fuzz.token_sort_ratio(" ".join(self.words), " ".join(old.words), score_cutoff=CLOSE)
            if score:
                return "close words, equal answers"
        return ""

    def _turned(self, old: _Marked) -> bool:
        """Whether the same words stand on other sides, or the same values go with other words."""
        if any((right, left) in old.sides - self.sides for left, right in self.sides - old.sides):
            return True
        mine, others = self.bound - old.bound, old.bound - self.bound
        return any(
            (name, other_value) in others and (other_name, value) in others
            for name, value in mine
            for other_name, other_value in mine
            if name != other_name and value != other_value
        )


def normal_program(code: str) -> str:
    """A program without comments, layout and the names of its own variables; empty when it does not parse."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""
    stored = dict.fromkeys(
        node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    )
    names = {name: f"v{number}" for number, name in enumerate(stored)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            node.id = names.get(node.id, node.id)
    tree.body = [each for each in tree.body if not _says_nothing(each)]
    return ast.dump(tree)


def _says_nothing(node: ast.stmt) -> bool:
    """A bare text, or a print."""
    if not isinstance(node, ast.Expr):
        return False
    value = node.value
    called = isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "print"
    return called or isinstance(value, ast.Constant)


def asked_of(questions: Iterable[Question]) -> list[Asked]:
    """Questions that exist already, by their words and programs; their answers may be written in another form."""
    return [
        Asked(each.id, each.text, each.reference_program or str(each.provenance.get("program", "")), "")
        for each in questions
    ]
