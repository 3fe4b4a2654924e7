"""Column roles: what a question may be about, read from a real profile of small tables."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import pandas as pd
import pytest

from flows.questions.eligible import (
    PROGRAM_MISSING,
    TEMPLATE_MISSING,
    Eligible,
    date_code,
    date_note,
    eligible,
    grain,
    known_values,
    quoted,
)
from flows.tables.column_facts import table_facts
from flows.tables.profiling import DatasetProfile

ROWS = 60


def roles(columns: Mapping[str, Sequence[object]], most_missing: float = PROGRAM_MISSING) -> Eligible:
    return eligible(profile(pd.DataFrame(columns)), most_missing=most_missing)


def profile(frame: pd.DataFrame) -> DatasetProfile:
    return DatasetProfile.model_validate(json.loads(json.dumps(table_facts(frame), allow_nan=False)))


def test_every_role_is_found_where_it_belongs() -> None:
    found = roles(
        {
            "height": [150 + at / 3 for at in range(ROWS)],
            "sex": ["f", "m"] * 30,
            "stars": [1, 2, 3] * 20,
            "year": [1990 + at for at in range(ROWS)],
            "day": [f"2020-01-{1 + at % 28:02}" for at in range(ROWS)],
            "stamp": [20200101 + at % 28 for at in range(ROWS)],
            "country": [f"Land {at}" for at in range(ROWS)],
            "remark": [f"text {at % 40}" for at in range(ROWS)],
        }
    )
    assert [column.name for column in found.measures] == ["height"]
    assert [column.name for column in found.categories] == ["sex", "stars"]
    assert [column.name for column in found.binaries] == ["sex"]
    assert [column.name for column in found.years] == ["year"]
    assert [column.name for column in found.dates] == ["day", "stamp"]
    assert [column.name for column in found.labels] == ["year", "country"]
    assert [column.name for column in found.texts] == ["country", "remark"]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("constant", [7.0] * ROWS),
        ("empty", [None] * ROWS),
        ("id", list(range(1, ROWS + 1))),
        ("customer_id", [at // 2 * 3.5 for at in range(ROWS)]),
        ("orderId", [at // 2 * 3.5 for at in range(ROWS)]),
        ("endless", [float("inf"), *(at / 7 for at in range(ROWS - 1))]),
        ("year", [1980 + at % 40 for at in range(ROWS)]),
        ("line\nbreak", [at / 7 for at in range(ROWS)]),
        ("x" * 61, [at / 7 for at in range(ROWS)]),
        ("few", [0.5, 1.5] * 30),
    ],
)
def test_what_is_no_measure(name: str, values: list[object]) -> None:
    assert roles({name: values}).measures == ()


def test_a_rare_value_makes_no_category() -> None:
    assert roles({"rare": ["a"] * 56 + ["b"] * 4}).categories == ()
    assert roles({"fine": ["a"] * 55 + ["b"] * 5}).categories != ()
    assert roles({"many": [f"v{at % 31}" for at in range(310)]}).categories == ()
    assert roles({"thin": [f"v{at % 20}" for at in range(80)]}).categories == ()


def test_the_share_of_missing_values_is_the_callers() -> None:
    columns = {"x": [None] * 40 + [at * 1.5 for at in range(20)]}
    assert roles(columns, PROGRAM_MISSING).measures == ()
    assert [column.name for column in roles(columns, TEMPLATE_MISSING).measures] == ["x"]


def test_values_come_back_in_their_own_type() -> None:
    frame = pd.DataFrame({"n": [1, 2] * 9, "b": [True, False] * 9, "o": [True, None, False] * 6, "s": ["1", "2"] * 9})
    values = [dict(known_values(column)) for column in profile(frame).facts]
    assert values == [{1: 9, 2: 9}, {True: 9, False: 9}, {True: 6, False: 6}, {"1": 9, "2": 9}]
    for column, known in zip(frame.columns, values, strict=True):
        assert all((frame[column] == value).sum() == count for value, count in known.items())


@pytest.mark.parametrize(
    "values",
    [
        ["2020-01-31", "2021-12-01"],
        ["2020-1-31", "2021-12-1"],
        ["2020-01-31T10:00:00Z", "2021-12-01T23:59:59+05:00"],
        # As written, not in UTC, where both are other days.
        ["2020-01-31T23:30:00-05:00", "2021-12-01 00:30:00+0100"],
        [20200131, 20211201],
        [pd.Timestamp("2020-01-31"), pd.Timestamp("2021-12-01")],
    ],
)
def test_date_code_reads_every_form(values: list[object]) -> None:
    df = pd.DataFrame({'when\'s "it"': values * 6})
    found = eligible(profile(df), most_missing=0.0).dates[0]
    dates = eval(date_code(found), {"pd": pd, "df": df})
    assert list(dates.dt.strftime("%Y-%m-%d").unique()) == ["2020-01-31", "2021-12-01"]


@pytest.mark.parametrize(
    ("values", "months", "told"),
    [
        (["2001-07", "2002-01"], ["2001-07", "2002-01"], "month"),
        (["2001/7", "2002/1"], ["2001-07", "2002-01"], "month"),
        (["2001M07", "2002M01"], ["2001-07", "2002-01"], "month"),
        (["Jul 2001", "Jan 2002"], ["2001-07", "2002-01"], "month"),
        (["July 2001", "January 2002"], ["2001-07", "2002-01"], "month"),
        ([200107, 200201], ["2001-07", "2002-01"], "month"),
        (["2001Q3", "2002Q1"], ["2001-07", "2002-01"], "quarter"),
        (["2001-q3", "2002-q1"], ["2001-07", "2002-01"], "quarter"),
        (["Q3 2001", "Q1 2002"], ["2001-07", "2002-01"], "quarter"),
    ],
)
def test_months_and_quarters_are_dates(values: list[object], months: list[str], told: str) -> None:
    df = pd.DataFrame({"month": values * 20})
    found = eligible(profile(df), most_missing=0.0)
    assert [grain(column) for column in found.dates] == [told]
    assert found.categories == ()
    dates = eval(date_code(found.dates[0]), {"pd": pd, "df": df})
    assert list(dates.dt.strftime("%Y-%m").unique()) == months
    if isinstance(values[0], str):
        assert found.dates[0].date_span == ("2001-07-01", "2002-01-01")


@pytest.mark.parametrize(
    "values",
    [
        ["2020-01-31T10:00:00Z", "2021-12-01T23:59:59"],
        ["2021-02-30", "2021-03-01"],
        ["2021-03-01 10:00", "2021-03-01 24:30"],
        ["2021-03-01T10:00:00+01:00", "2021-03-01T10:71:00+01:00"],
        ["Mar 2001", "Marathon 2001"],
        ["Apr 2001"] * 250 + ["Marzo 2001"],
        ["2021-03-01"] * 120 + ["later"],
        ["2021-03"] * 120 + ["2021-15"],
        ["2021-03-01", "2021-03"],
        [20210101, 20210301, 20210401, 20210230, 20211231],
    ],
)
def test_what_is_not_all_dates_of_one_kind_is_no_date(values: list[object]) -> None:
    assert roles({"at": values * 4}).dates == ()


def test_numbers_of_which_some_are_no_months_are_no_dates() -> None:
    assert roles({"month": [202001, 202011, 202104, 202113, 202201] * 8}).dates == ()
    assert [each.name for each in roles({"month": [202001, 202011, 202104, 202112, 202201] * 8}).dates] == ["month"]


def test_text_that_only_begins_like_a_month_groups_rows() -> None:
    found = roles({"race": ["Mar 2001", "Marathon 2001"] * 30, "x": [at * at % 61 for at in range(60)]})
    assert [column.name for column in found.categories] == ["race"]


def test_offsets_are_told_of() -> None:
    columns = {"at": ["2020-01-31T23:30:00-05:00", "2021-12-01T00:30:00+01:00"] * 20, "d": ["2020-01-31"] * 40}
    at, day = profile(pd.DataFrame(columns)).facts
    assert date_note(at) == 'Take the dates and times of "at" as they are written, whatever their offset from UTC.'
    assert date_note(day) == ""


def test_a_year_in_each_row_names_the_row_and_dates_it() -> None:
    found = roles({"YEAR": list(range(1900, 1960)), "x": [at * at % 61 for at in range(60)]})
    assert [column.name for column in found.years] == ["YEAR"]
    assert [column.name for column in found.labels] == ["YEAR"]
    assert grain(found.years[0]) == "year"
    assert eval(date_code(found.years[0]), {"pd": pd, "df": pd.DataFrame({"YEAR": [1999]})}).dt.year.tolist() == [1999]


def test_a_name_is_quoted_in_marks_it_does_not_contain() -> None:
    assert quoted("a b") == '"a b"'
    assert quoted('5" pipe') == '“5" pipe”'
    assert quoted('"“«»”"') == '["“«»”"]'
