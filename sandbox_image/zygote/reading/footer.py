"""Finds the lines after a table: sources, remarks, totals, rows without a value."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sandbox_image.zygote.reading.cells import TOTALS, kind
from sandbox_image.zygote.reading.dialect import Dialect, Line, Row, read_rows
from sandbox_image.zygote.reading.layout import Layout
from sandbox_image.zygote.reading.naming import several
from sandbox_image.zygote.reading.rules import Rules

TAIL_LINES: Final = 60
_MOST: Final = 40
_TOTAL: Final = re.compile(
    rf"^(?:(?:grand|sub|overall|sum|column)?[\s-]*totals?(?:\s.{{0,20}})?|sum|{TOTALS}"
    r"|average|mean|mittelwert|moyenne|promedio)\s*:?$",
    re.I,
)
_COUNT: Final = re.compile(
    r"^(?:(?:row|record|item|case|line)?\s?counts?|count of (?:rows|records)|number of (?:rows|records|items|cases)"
    r"|medians?|maximum|minimum|std\.?(?:\s?dev\.?)?|s\.d\.|standard deviation|variance|ø"
    r"|\d{1,2}(?:st|nd|rd|th) percentile"
    r"|anzahl|anz\.|mediana?|zentralwert|standardabweichung|durchschnitt|moyenne|médiane|nombre|écart[- ]type"
    r"|recuento|conteo|media|máximo|mínimo|conteggio|massimo|minimo|aantal|gemiddelde|antal"
    r"|количество|среднее|件数|平均|计数|平均值)\s*:?$",
    re.I,
)
"""Other words than totals before what a program counts or measures of the rows; a table may have such words itself."""
_SHORT: Final = re.compile(r"^(?:max|min|n|sd|mode|range|mx|mn|avg|p\d{1,2}|q[1-4])\s?[.:=]?$", re.I)
"""Words for the same that may as well be a name: they count beside another such word, and by themselves are told."""
_MEASURE: Final = re.compile(r"^(?:std|min|max|mad|sem|var|skew|kurt\w*|sum|unique|top|freq|range|q\d|.*%)$", re.I)
_REMARK: Final = re.compile(
    r"^[\s\"'*†‡(\[]*(?:sources?|notes?|foot-?notes?|remarks?|legend|key|data|updated|last\s|generated|created|retrieved"
    r"|downloaded|exported"
    r"|copyright|©|https?://|www\.|quelle|hinweis|stand:|fuente|nota|źródło|источник|примечание|出典|注|資料"
    r"|来源|end of"
    r"|\(?\d[\d,]* rows?\b|rows?:|records?:|total (?:rows|records)|\d\)|\[\d\]|[a-z]\)|\*|#|eof\b|---|==="
    r"|prepared|contact|see\s)",
    re.I,
)


@dataclass(frozen=True)
class Footer:
    """Lines after the table.

    Attributes:
        lines: How many lines at the end of the file are none of the table's, empty ones among them.
        notes: What is said of them.
    """

    lines: int
    notes: tuple[str, ...] = ()


def find_footer(tail: Sequence[Line], layout: Layout, dialect: Dialect, rules: Rules, head: Sequence[Row]) -> Footer:
    """Find them.

    Args:
        tail: The last lines of the file, those of the table's head not among them; numbers count from the file's start
            or from anywhere.
        layout: Where the table begins, and its columns.
        dialect: How fields are written.
        rules: What is known.
        head: The table's first rows.
    """
    at = len(tail)
    while at and not tail[at - 1].text.strip():
        at -= 1
    if rules.footer_lines is not None:
        cut = max(0, at - rules.footer_lines)
        return Footer(len(tail) - cut if rules.footer_lines else 0)
    width = len(layout.names)
    gap = max((index for index in range(at) if not tail[index].text.strip()), default=-1)
    total, empty, said = 0, 0, 0
    shown_of: dict[str, str] = {}
    short: list[str] = []
    before = (at, empty, said)
    while at > 1 and len(tail) - at < _MOST:
        line = tail[at - 1]
        what = _what(line, layout, dialect, head, width, after_gap=at - 1 > gap >= 0)
        if what == "" or (dialect.quote and line.text.count(dialect.quote) % 2):
            break
        if what == "short" and not short:
            before = (at, empty, said)
        short += [line.text.strip()[:60]] if what == "short" else []
        shown_of.setdefault(what, line.text.strip()[:60])
        total, empty, said = total + (what == "total"), empty + (what == "empty"), said + (what == "remark")
        at -= 1
        if at - 1 <= gap:
            gap = max((index for index in range(at - 1) if not tail[index].text.strip()), default=-1)
    notes = []
    if short and (total or len(short) > 1):
        total += len(short)
        shown_of.setdefault("total", short[0])
    elif short:
        at, empty, said = before
        notes.append(
            f"The last row may say something of the rows above it ({short[0]!r}); --footer-lines 1 leaves it out."
        )
    if said:
        notes.append(f"{several(said, 'line')} after the table left out: {shown_of['remark']!r}.")
    if total:
        what = shown_of["total"] if total == 1 else ""
        shown = f" ({what!r})" if what else ""
        notes.append(
            f"{several(total, 'row')} of totals at the end left out{shown}; --footer-lines 0 keeps everything."
        )
    if empty:
        notes.append(f"{several(empty, 'row')} without any value at the end left out.")
    return Footer(len(tail) - at if said or total or empty else 0, tuple(notes))


def _what(line: Line, layout: Layout, dialect: Dialect, head: Sequence[Row], width: int, *, after_gap: bool) -> str:
    """What a line at the end is: blank, empty, total, short, remark; nothing where it is a row of the table."""
    if not line.text.strip():
        return "blank"
    rows = read_rows([line], dialect)
    cells = [cell.strip() for cell in rows[0].fields] if rows else []
    filled = [cell for cell in cells if cell]
    if not filled:
        return "empty"
    if all(re.fullmatch(r"[-=_]{3,}", cell) for cell in filled):
        return "remark"
    expected = len(cells) in (width, width + layout.trailing)
    first = next(at for at, cell in enumerate(cells) if cell)
    if _TOTAL.match(filled[0]) and width > 1 and len(filled) > 1 and kind(filled[0]) != "number":
        # Where other rows have the word as well, it is a value of the column.
        alike = [each.fields for each in head if len(each.fields) > first and each.fields[first].strip() == filled[0]]
        return "" if len(alike) > 1 or (alike and alike[0] != rows[0].fields) else "total"
    for words, what in ((_COUNT, "total"), (_SHORT, "short")):
        if expected and words.match(cells[first]) and _counts(cells, first, layout, head):
            return what
    if width == 1:
        return "remark" if after_gap and _REMARK.match(line.text) else ""
    if expected:
        thin = len(filled) == 1 and width > 2 and cells[0] != ""
        pairs = list(zip(layout.kinds, cells, strict=False))
        contradicts = all(each == "word" or not cell or kind(cell) == "word" for each, cell in pairs)
        # In a table of words, a row that begins like a remark is a row, unless most of it is empty.
        odd = 2 * len(filled) <= width or any(each != "word" and kind(cell) == "word" for each, cell in pairs)
        if contradicts and ((thin and _sentence(filled[0])) or (odd and _remark(filled[0]))):
            return "remark"
        return ""
    if _remark(line.text) or (after_gap and (len(cells) == 1 or _sentence(line.text))):
        return "remark"
    return "remark" if len(cells) == 1 and _sentence(line.text) and dialect.delimiter != " " else ""


def _counts(cells: Sequence[str], first: int, layout: Layout, head: Sequence[Row]) -> bool:
    """Whether a line that begins with a word for it counts or measures the rows above it: only numbers follow."""
    rest = [cell for cell in cells[first + 1 :] if cell]
    if first > 1 or not rest or any(kind(cell) != "number" for cell in rest):
        return False
    if not any(kind(cell) == "number" and each == "number" for each, cell in zip(layout.kinds, cells, strict=False)):
        return False
    above = [[cell.strip() for cell in row.fields] for row in head if len(row.fields) > first]
    if any(row[first] == cells[first] and row != cells for row in above):
        return False
    words = [row[first] for row in above]
    # A table of counts and means by itself, as programs describe another one, keeps all its rows.
    known = sum(1 for word in words if any(each.match(word) for each in (_COUNT, _TOTAL, _MEASURE, _SHORT)))
    return len(words) > 8 and 3 * known <= len(words)


def _remark(text: str) -> bool:
    return _REMARK.match(text) is not None and kind(text) == "word"


def _sentence(text: str) -> bool:
    return _remark(text) or len(text.split()) >= 4
