"""Lines between the names of columns and the rows: units, further names, names of row labels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from sandbox_image.zygote.reading.cells import is_word_for_missing, kind
from sandbox_image.zygote.reading.dialect import Row
from sandbox_image.zygote.reading.heading import is_year, kinds_of
from sandbox_image.zygote.reading.naming import unique

if TYPE_CHECKING:
    from sandbox_image.zygote.reading.layout import Layout

UNITS: Final = re.compile(
    r"^(?:[\[(].{1,20}[\])]|[%‰°]|°\s?[CFK]|deg\.?\s?[CFK]?|[kMGTmµcd]?(?:m|g|s|W|Wh|J|Pa|V|A|Hz|N|l|L|B|b|eV|mol|K|t|cal)"
    r"(?:[²³2-4]|\^[2-4]|\*\*[2-4])?(?:\s?[/·.]\s?[a-zA-Z]{1,5}[²³2-4]?)?|[kM]m/h|mph|kph|m\s?s-1|kg\s?m-\d|hPa|mbar|bar|psi|rpm|ppm|ppb"
    r"|min|h|hr|hrs?|hours?|days?|weeks?|months?|years?|yrs?|sec|seconds?|minutes?|ms|mins?|mi|miles?|ft|in|inch(?:es)?|yd|lbs?|oz|ha|acres?"
    r"|USD|EUR|GBP|JPY|CHF|CNY|INR|[$€£¥]|US\$|(?:mio|mrd|million|billion|thousand)s?\.?(?:\s\S{1,8})?|1000s?|number|count|persons?|people"
    r"|units?|pcs\.?|pieces|percent|per\scent|index|score|ratio|degrees?|kg/m[²2]|g/l|mg/l|mg/dl|µg/m[³3]|W/m[²2]|string|text|int|integer|float|date|bool|yyyy-mm-dd|dd/mm/yyyy|none|n/a)$",
    re.I,
)  # fmt: skip
"""What a line of units holds."""
_VALUE: Final = re.compile(r"^\W*(?:(?:ca|approx|about|circa)\b\.?\s*)?\d", re.I)
"""What begins with a number, like <0.5, ~180 and 1900*, is measured; it names nothing."""
_OUTCOMES: Final = frozenset({
    "dnf", "dns", "dnq", "dsq", "dq", "wd", "ret", "nc", "postponed", "abandoned", "cancelled", "canceled", "delayed",
    "tbd", "tba", "tbc", "pending", "provisional", "withdrawn", "withheld", "suppressed", "redacted", "refused",
    "trace", "nil", "bdl", "censored",
})  # fmt: skip
"""Words that stand in place of a number that is not there."""


def take_lines_under_names(layout: Layout, head: Row | None, data: list[Row]) -> list[Row]:
    """Take units and second names, which stand between the names and the data, out of the data."""
    while head is not None and len(data) > 2 and len(data[0].fields) == len(layout.names):
        under, rest = data[0], data[1:]
        kinds = kinds_of(rest[1:] if len(rest) > 4 else rest, len(layout.names))
        if _names_the_labels(under, layout):
            layout.names = unique([cell.strip() or name for name, cell in zip(layout.names, under.fields, strict=True)])
            layout.notes.append(f"Line {under.line} names the columns of row labels; it was left out of the rows.")
            data = rest
            break
        given = [cell.strip() for cell in head.fields]
        distinct = len(set(given)) == len(given) and "" not in given
        years = _are_years_under(head, under, rest, kinds)
        what = "names" if years else _what_is_under(under, rest, kinds, distinct=distinct)
        if what == "":
            break
        _take(layout, head, under, what)
        data = rest
    return data


def _names_the_labels(under: Row, layout: Layout) -> bool:
    """Whether a row under two lines of names, as pandas writes them, names nothing but the columns without a name."""
    filled = [at for at, cell in enumerate(under.fields) if cell.strip()]
    nameless = [at for at, name in enumerate(layout.names) if name == f"Unnamed: {at}"]
    return layout.joined and bool(filled) and filled == nameless


def _are_years_under(head: Row, under: Row, rest: Sequence[Row], kinds: Sequence[str]) -> bool:
    """Whether a row holds years under names that each span several columns."""
    given = [cell.strip() for cell in head.fields]
    if len(given) != len(under.fields) or len(set(given)) == len(given):
        return False
    for at, (above, cell) in enumerate(zip(given, under.fields, strict=True)):
        if kinds[at] == "word" or not is_year(cell.strip()):
            if cell.strip() not in ("", above):
                return False
        elif sum(is_year(row.fields[at].strip()) for row in rest if at < len(row.fields)) > 0.5 * len(rest):
            return False
    return sum(is_year(cell.strip()) for cell in under.fields) > 1


def _what_is_under(under: Row, rest: Sequence[Row], kinds: list[str], *, distinct: bool) -> str:
    """Whether the row under the names holds units or further names; empty: it is the first row.

    Args:
        under: The row.
        rest: The rows below it.
        kinds: Of the columns.
        distinct: Whether each column has a name of its own already: further ones would say something of each.
    """
    typed = [at for at, each in enumerate(kinds) if each != "word"]
    cells = [under.fields[at].strip() for at in typed]
    said = [cell for cell in cells if (cell and kind(cell) != "missing") or (UNITS.match(cell) and len(cell) < 3)]
    said = [cell for cell in said if cell]
    if (
        not typed
        or not said
        or any(kind(cell) in ("number", "date") for cell in cells if cell and not UNITS.match(cell))
    ):
        return ""
    again = {row.fields[at].strip() for row in rest for at in typed if at < len(row.fields)}
    if any(cell in again for cell in said):
        return ""
    words = [under.fields[at].strip() for at, each in enumerate(kinds) if each == "word"]
    recurring = any(
        cell and cell in {row.fields[at].strip() for row in rest if at < len(row.fields)}
        for at, each in enumerate(kinds) if each == "word" for cell in [under.fields[at].strip()]
    )  # fmt: skip
    if recurring:
        return ""
    if all(UNITS.match(cell) for cell in said):
        plain = all(not cell or is_word_for_missing(cell) or UNITS.match(cell) or len(cell) < 40 for cell in words)
        return "units" if plain else ""
    if any(_VALUE.match(cell) or cell.casefold() in _OUTCOMES for cell in said):
        return ""
    if distinct and len(set(said)) < len(said):
        return ""
    return "names" if len(said) == len(typed) >= 2 or (len(said) >= 3 and len(said) > 0.6 * len(typed)) else ""


def _take(layout: Layout, head: Row, under: Row, what: str) -> None:
    cells = [re.sub(r"\s+", " ", cell).strip() for cell in under.fields]
    given = [cell.strip() for cell in head.fields]
    if what == "names" and len(given) == len(cells) and (len(set(given)) < len(given) or "" in given):
        carried = ""
        joined = []
        for above, cell in zip(given, cells, strict=True):
            carried = above or carried
            joined.append(" ".join(part for part in ("" if carried == cell else carried, cell) if part))
        layout.names = unique([name or f"Unnamed: {at}" for at, name in enumerate(joined)])
        layout.joined = True
        layout.unsay(layout.twice, layout.nameless)
        layout.notes.append(
            f"The column names stand in two lines; line {under.line} was added to those of line {head.line}."
        )
        return
    for name, cell in zip(layout.names, cells, strict=True):
        if cell and not (is_word_for_missing(cell) and len(cell) < 4 and not UNITS.match(cell)) and cell != "-":
            known = layout.column_notes.get(name)
            text = f"unit: {cell.strip('[]()')}" if what == "units" else cell
            layout.column_notes[name] = f"{known}; {text}" if known else text
    kept = "units of the columns" if what == "units" else "a second line of names"
    layout.notes.append(
        f"Line {under.line} holds {kept}; it was left out of the rows and kept with the columns' descriptions."
    )
