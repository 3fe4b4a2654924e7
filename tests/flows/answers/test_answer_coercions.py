"""Coercions: an episode tells how each answer was brought into its type, and why what was not cannot be one."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pandas as pd
import pytest

from flows.answers.answers import Answer, parse_answer, render
from flows.answers.numerals import is_percent, is_ratio, parse_number, seconds_of
from flows.questions.records import AnswerSpec
from sandbox_image.zygote.values import to_tagged

TWO_COLUMNS: dict[str, Any] = {"type": "table", "columns": ("g", "n")}


def submitted(value: object, **spec: Any) -> Answer:
    return parse_answer(to_tagged(value, 4_000_000), AnswerSpec(**spec))


@pytest.mark.parametrize(
    ("value", "spec", "told"),
    [
        ("yes", {"type": "bool"}, ["text as a bool"]),
        ("1,234", {"type": "float"}, ["text as a number"]),
        (5.0, {"type": "int"}, ["a whole float as an int"]),
        ("5.0", {"type": "int"}, ["text as a number", "a whole float as an int"]),
        (pd.Timedelta(hours=36), {"type": "float", "unit": "days"}, ["a duration in days"]),
        ("31 January 2020", {"type": "date"}, ["text as a date"]),
        (pd.Timestamp("2020-01-31"), {"type": "date"}, ["midnight as its day"]),
        ("2020-01-31 00:00", {"type": "date"}, ["text as a date", "midnight as its day"]),
        (2007, {"type": "string"}, ["an int as text"]),
        (pd.DataFrame({"x": [7]}), {"type": "int"}, ["a table of one cell as its value"]),
        ([7], {"type": "int"}, ["a list of one element as its element"]),
        (
            pd.Series([2.5], index=[14]),
            {"type": "float"},
            ["a series without its row numbers", "a list of one element as its element"],
        ),
        (pd.DataFrame({"x": ["b", "a"]}), {"type": "list"}, ["a table of one column as a list"]),
        ('["b", "a"]', {"type": "list"}, ["JSON text as its value"]),
        (["a", "b"], {"type": "set"}, ["a list as a set"]),
        (
            pd.DataFrame({"k": ["a", "b"], "v": [1, 2]}),
            {"type": "mapping"},
            ["a table of keys and values as a mapping"],
        ),
        ([{"g": "x", "n": 1}], {"type": "table"}, ["a list of records as a table"]),
        ([["x", 1]], TWO_COLUMNS, ["a list of rows as a table"]),
        ({"g": ["x"], "n": [1]}, TWO_COLUMNS, ["a mapping of columns as a table"]),
        ({"g": "x", "n": 1}, TWO_COLUMNS, ["a mapping as a table of one row"]),
        ({"x": 1, "y": 2}, TWO_COLUMNS, ["a mapping as a table of keys and values"]),
        (pd.DataFrame({"g": ["x"], "n": [1]}, index=[17]), TWO_COLUMNS, ["a table without its row labels"]),
        (pd.DataFrame({"n": [1]}, index=["x"]), TWO_COLUMNS, ["row labels as columns"]),
        (pd.DataFrame({"n": [1], "g": ["x"]}), TWO_COLUMNS, ["columns in the order asked for"]),
        # Said once, however often it was done.
        (["1", "2", "3"], {"type": "list", "items": "int"}, ["text as a number"]),
    ],
)
def test_every_coercion_is_told_by_its_phrase(value: object, spec: dict[str, Any], told: list[str]) -> None:
    answer = submitted(value, **spec)
    assert list(answer.coercions) == told
    assert answer.problem == ""


def test_a_wrong_table_is_told_with_the_columns_it_has_and_those_it_should_have() -> None:
    problem = submitted(pd.DataFrame({"who": ["x"], "n": [1]}), **TWO_COLUMNS).problem
    assert "the columns g, n " in problem
    assert '["who", "n"]' in problem


def test_columns_are_told_apart_by_case_only_where_the_question_does() -> None:
    frame = pd.DataFrame({"G": ["x"], "N": [1]})
    assert submitted(frame, **TWO_COLUMNS).usable
    assert not submitted(frame, **TWO_COLUMNS, case_sensitive=True).usable


# What no rule brings into the type stays as it was sent


@pytest.mark.parametrize(
    ("value", "spec", "shown"),
    [
        ([], {"type": "table"}, "[]"),
        ([], TWO_COLUMNS, '0 × 2 table ["g", "n"]'),
        ([{"g": "x", "n": 1}, 3], TWO_COLUMNS, '[{"g": "x", "n": 1}, 3]'),
        ([["x", 1], ["y"]], TWO_COLUMNS, '[["x", 1], ["y"]]'),
        # Labels of another number than the missing columns.
        (
            pd.DataFrame({"n": [1]}, index=pd.MultiIndex.from_tuples([("x", "y")])),
            TWO_COLUMNS,
            '1 × 1 table ["n"], first row [1]',
        ),
        # Labels, but no column they could be.
        (
            pd.DataFrame({"g": ["x"], "n": [1], "more": [2]}, index=["a"]),
            TWO_COLUMNS,
            '1 × 3 table ["g", "n", "more"], first row ["x", 1, 2]',
        ),
        # Two columns of values beside the labels: which one is meant?
        (
            pd.DataFrame({"a": ["p"], "b": [1], "c": [2]}, index=["x"]),
            {"type": "mapping"},
            '1 × 3 table ["a", "b", "c"], first row ["p", 1, 2]',
        ),
        (pd.DataFrame({"a": [1, 2]}), {"type": "mapping"}, '2 × 1 table ["a"], first row [1]'),
        ([1, 2], {"type": "float"}, "[1, 2]"),
        (pd.DataFrame({"x": [1, 2]}), {"type": "float"}, '2 × 1 table ["x"], first row [1]'),
        (pd.DataFrame({"x": [1], "y": [2]}), {"type": "float"}, '1 × 2 table ["x", "y"], first row [1, 2]'),
    ],
)
def test_what_has_no_single_reading_stays_what_it_is(value: object, spec: dict[str, Any], shown: str) -> None:
    assert render(submitted(value, **spec)) == shown


def test_row_labels_that_stay_are_kept_with_their_columns_in_the_order_asked_for() -> None:
    # Labels at two levels fill no gap, since there is none; they are dropped, and told so, before the columns move.
    frame = pd.DataFrame({"n": [1, 2], "g": ["x", "y"]}, index=[5, 7])
    answer = submitted(frame, **TWO_COLUMNS)
    assert answer.coercions == ("a table without its row labels", "columns in the order asked for")
    assert answer.canonical == submitted(pd.DataFrame({"g": ["x", "y"], "n": [1, 2]}), **TWO_COLUMNS).canonical


@pytest.mark.parametrize(
    ("text", "kind"),
    [("100", "int"), ("1,000", "int"), ("100.0", "float"), ("1e2", "float"), ("1E2", "float"), ("100%", "float")],
)
def test_a_number_in_text_is_a_count_only_where_it_is_written_as_one(text: str, kind: str) -> None:
    assert submitted(text, type="percent").kind == kind


# Units


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        # A word of the unit is found whatever its number and case; a symbol only as it is written.
        ("3 Inches", "inch", None),
        ("3 Meters", "meter", "3"),
        ("3 meter", "Meters", "3"),
        ("3 MMM", "mmm", None),
        ("3 Mile", "mile", "3"),
        ("5. mm", "mm", "5"),
        ("12. mm", "mm", "12"),
        ("5", "", "5"),
        ("mm", "mm", None),
        ("x mm", "mm", None),
        ("5 - mm", "mm", None),
        ("1'234,5", None, "1234.5"),
        ("1'234'567,25", None, "1234567.25"),
        ("1e400", None, "1e400"),
        ("1e401", None, None),
        ("1" * 200, None, "1" * 200),
        ("1" * 201, None, None),
    ],
)
def test_units_and_bounds_of_numbers_in_text(text: str, unit: str | None, value: str | None) -> None:
    assert parse_number(text, unit) == (None if value is None else Decimal(value))


@pytest.mark.parametrize(
    ("unit", "seconds"),
    [
        ("ms", "0.001"),
        ("s", "1"),
        ("Seconds", "1"),
        ("min", "60"),
        ("hours", "3600"),
        ("hrs", "3600"),
        ("h", "3600"),
        ("days", "86400"),
        ("weeks", "604800"),
        ("mm", None),
        ("is", None),
        ("hs", None),
        ("ds", None),
        (None, None),
    ],
)
def test_units_of_time(unit: str | None, seconds: str | None) -> None:
    assert seconds_of(unit) == (None if seconds is None else Decimal(seconds))


def test_no_unit_is_neither_per_cent_nor_a_ratio() -> None:
    assert not is_percent(None)
    assert not is_ratio(None)
    assert is_percent("Per cent")
    assert is_ratio("Share")
    assert not is_percent("share")
    assert not is_ratio("%")
