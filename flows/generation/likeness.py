"""Near duplicates: whether a question asks again what another one asks.

Two questions are alike when they use the same words but for those that carry no meaning; when their programs are the
same; or when their words are close and their answers equal. Numbers and quoted values are words that never count as
close: "above 1.5" and "above 15" are two questions.
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
    there what which who how many much and or as per each all any give find compute calculate determine tell report
    please me us table data dataset among across over rounded round places place answer""".split()  # noqa: SIM905
)


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
    def program(self) -> str:
        return normal_program(self.asked.program)

    def repeats(self, old: _Marked) -> str:
        if self.words == old.words:
            return "the same words"
        if self.program and self.program == old.program:
            return "the same program"
        same_answer = self.asked.answer and self.asked.answer == old.asked.answer
        if same_answer and self.literals == old.literals:
            score = fuzz.token_sort_ratio(" ".join(self.words), " ".join(old.words), score_cutoff=CLOSE)
            if score:
                return "close words, equal answers"
        return ""


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
