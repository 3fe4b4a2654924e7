"""Properties of reading: a table comes back from every dialect; no bytes and rules end in an unforeseen error."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

import pandas as pd
from hypothesis import assume, example, given
from hypothesis import strategies as st

from sandbox_image.zygote.reading.loader import LoadError, load
from sandbox_image.zygote.reading.rules import COLUMN_TYPES, Rules
from tests.support.properties import PATIENT

Table = list[tuple[str, int, float]]

signs = st.sampled_from(list("abcXYZ éß ,;|\t'\"\n-.#%&°温"))
words = st.lists(signs, max_size=8).map(lambda found: f"w{''.join(found)}w")
rows = st.tuples(words, st.integers(-5_000, 5_000), st.integers(-9_999, 9_999).map(lambda number: number / 8))
tables: st.SearchStrategy[Table] = st.lists(rows, min_size=6, max_size=30)


@st.composite
def dialects(draw: st.DrawFn) -> dict[str, Any]:
    """How a table is written."""
    return {
        "delimiter": draw(st.sampled_from(",;\t|")),
        "end": draw(st.sampled_from(["\n", "\r\n", "\r"])),
        "quoting": draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])),
        "encoding": draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])),
        "before": draw(st.lists(st.sampled_from(["Report 2024", "Source: office", "# remark", ""]), max_size=4)),
        "after": draw(st.sampled_from(["", "\nSource: office\n", "\n\n"])),
    }


def write(table: Table, dialect: dict[str, Any]) -> bytes:
    end = dialect["end"]
    text = io.StringIO(newline="")
    # The csv module encloses a line feed only where it ends lines.
    quoting: Any = dialect["quoting"] if "\n" in end else csv.QUOTE_NONNUMERIC
    writer = csv.writer(text, delimiter=dialect["delimiter"], lineterminator=end, quoting=quoting)
    writer.writerow(["label", "count", "share"])
    writer.writerows(table)
    before = "".join(line + end for line in dialect["before"])
    whole: str = before + text.getvalue() + dialect["after"].replace("\n", end)
    encoding: str = dialect["encoding"]
    return whole.encode(encoding)


def looks_like_rows(lines: list[str], sign: str) -> bool:
    return len(lines) > 1 and lines[-1].count(sign) == 0 and all(line.count(sign) == 2 for line in lines[:-1])


@PATIENT
@given(tables, dialects())
@example(
    [("ww", 0, 1.125)] * 6,
    {"delimiter": ";", "end": "\n", "quoting": csv.QUOTE_MINIMAL, "encoding": "utf-8", "before": [], "after": ""},
)
def test_a_table_comes_back_from_every_dialect(table: Table, dialect: dict[str, Any]) -> None:
    sign = dialect["delimiter"]
    # A field whose every line has as many delimiters as a row has looks like rows that a quotation mark swallowed.
    assume(not any(looks_like_rows(label.split("\n"), sign) for label, _, _ in table))
    frame, facts = load(io.BytesIO(write(table, dialect)))
    assert list(frame.columns) == ["label", "count", "share"]
    told = [list(row) for row in table]
    # Between semicolons a point may part thousands: where no value tells, what is written stays, and that is said.
    if sign == ";" and all(re.fullmatch(r"-?\d{1,3}\.\d{3}", str(share)) for _, _, share in table):
        told = [[label, count, str(share)] for label, count, share in table]
        assert any("'share'" in note for note in facts.warnings)
    assert frame.to_numpy().tolist() == told
    assert facts.delimiter == dialect["delimiter"]
    assert isinstance(frame.index, pd.RangeIndex)


@PATIENT
@given(tables, st.sampled_from([(",", "."), (".", ",")]), st.sampled_from([";", "\t"]))
def test_decimal_and_thousands_marks_change_no_number(table: Table, marks: tuple[str, str], delimiter: str) -> None:
    decimal, thousands = marks
    lines = (
        ["label", "count", "share"],
        *([f"r{at}", shown(row[1], marks), shown(row[2], marks)] for at, row in enumerate(table)),
    )
    text = "\n".join(delimiter.join(line) for line in lines) + "\n"
    frame, _ = load(io.BytesIO(text.encode()), rules=Rules(decimal=decimal, thousands=thousands))
    assert frame["count"].tolist() == [row[1] for row in table]
    assert frame["share"].tolist() == [row[2] for row in table]


def shown(number: float, marks: tuple[str, str]) -> str:
    text = f"{number:,}" if isinstance(number, int) else f"{number:,.4f}"
    return text.translate({ord("."): marks[0], ord(","): marks[1]})


PIECES = [
    *["a", "b", "1", "2.5", "-999", "NA", "?", "007", "7E1", "01/02/2017", "5%", "$5", "1,234", "x y", "é", "Total"],
    *[",", ",", ";", "|", "\t", " ", "\n", "\n", "\r", '"', "'", "\\", "#", "sep=", "{", "["],
    *["\x1a", "\0", "\x1e", "\x1f"],
]
texts = st.lists(st.sampled_from(PIECES), max_size=60).map("".join)
rules = st.fixed_dictionaries(
    {},
    optional={
        "encoding": st.sampled_from(["utf-8", "cp1252", "utf-16", "gb18030", "utf-7", "rot13", "x"]),
        "delimiter": st.sampled_from([",", ";", " ", "", "é", "\n", '"']),
        "quote": st.sampled_from(['"', "'", "", ","]),
        "escape": st.sampled_from(["\\", "", '"']),
        "decimal": st.sampled_from([",", "."]),
        "thousands": st.sampled_from([",", ".", "", " "]),
        "header_line": st.integers(0, 4),
        "skip_lines": st.lists(st.integers(0, 5), max_size=2),
        "footer_lines": st.integers(0, 4),
        "comment": st.sampled_from(["#", "", "a"]),
        "missing": st.lists(st.sampled_from(["a", "-999", "1"]), max_size=2),
        "types": st.dictionaries(st.sampled_from(["a", "b", "column_1"]), st.sampled_from(COLUMN_TYPES), max_size=2),
    },
)


@PATIENT
@given(texts | st.binary(max_size=200), rules, st.sampled_from(["utf-8", "cp1252", "utf-16-le", "cp1251"]))
def test_any_bytes_and_rules_give_a_table_or_a_load_error(text: str | bytes, given_: dict[str, Any], code: str) -> None:
    data = text if isinstance(text, bytes) else text.encode(code, "ignore")
    try:
        frame, facts = load(io.BytesIO(data), rules=Rules.parse(given_))
    except LoadError:
        return
    assert frame.shape == (facts.rows, facts.columns)
    assert len(set(frame.columns)) == frame.shape[1]
    assert set(facts.column_notes) <= set(frame.columns)
