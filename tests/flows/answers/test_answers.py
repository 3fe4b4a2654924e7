"""Answers: what a raw value is read as, what is coerced for which question, and what is refused."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.sandboxes.models import SandboxLimits
from flows.answers.answers import Answer, parse_answer, parse_reference, render
from flows.answers.folding import fold
from flows.answers.moments import parse_date
from flows.answers.nodes import Day, Moment, Number, canonical
from flows.answers.numerals import parse_number
from flows.answers.readers import MAX_DEPTH, MAX_NODES, read_tagged
from flows.questions.records import AnswerSpec
from sandbox_image.zygote.values import to_tagged
from tests.support.properties import PATIENT


def submitted(value: object, **spec: Any) -> Answer:
    """What a session's `submit(value)` becomes on the host, through the real encoder."""
    return parse_answer(to_tagged(value, 4_000_000), AnswerSpec(**spec))


# Numbers in text


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("5", None, "5"),
        ("+5", None, "5"),
        ("-5", None, "-5"),
        ("\u22125", None, "-5"),
        ("- 5", None, "-5"),
        ("  12.50 ", None, "12.5"),
        (".5", None, "0.5"),
        ("5.", None, "5"),
        ("1e5", None, "100000"),
        ("1.5E-3", None, "0.0015"),
        ("1,234", None, "1234"),
        ("1,234,567.89", None, "1234567.89"),
        ("1 234 567", None, "1234567"),
        ("1\u00a0234\u202f567,5", None, "1234567.5"),
        ("1'234.5", None, "1234.5"),
        ("1_000_000", None, "1000000"),
        ("1.234,56", None, "1234.56"),
        ("1.234.567", None, "1234567"),
        ("0,99", None, "0.99"),
        ("0,123", None, "0.123"),
        ("1,5", None, "1.5"),
        ("1,2345", None, "1.2345"),
        ("1234,567", None, "1234.567"),
        ("1.234", None, "1.234"),
        ("\uff11\uff12", None, "12"),
        ("5%", "%", "5"),
        ("5 percent", "%", "5"),
        ("5%", "ratio", "0.05"),
        ("0.05", "%", "0.05"),
        ("12.5 mm", "mm", "12.5"),
        ("12.5mm", "mm", "12.5"),
        ("3 Days", "days", "3"),
        ("1 day", "days", "1"),
        ("$1,234.50", "USD", "1234.5"),
        ("-$5", "$", "-5"),
        ("5 €", "EUR", "5"),
        ("5 euros", "€", "5"),
        ("80 km²", "km²", "80"),
    ],
)
def test_numbers_that_are_read(text: str, unit: str | None, value: str) -> None:
    assert parse_number(text, unit) == Decimal(value)


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("", None),
        ("-", None),
        ("five", None),
        ("12 apples", None),
        ("12 oranges", "apples"),
        ("5%", None),
        ("5%", "mm"),
        ("$5", None),
        ("$5", "EUR"),
        ("5 mW", "MW"),
        ("5 mm", "m"),
        ("1,23,456", None),
        ("12,34,56", None),
        ("1,234.567,8", None),
        ("01,234", None),
        ("1 23", None),
        ("1.2.3", None),
        ("--5", None),
        ("5-6", None),
        ("2020-01-31", None),
        ("1e999999999", None),
        ("0x10", None),
        ("1 2 3", None),
        ("9" * 201, None),
    ],
)
def test_text_that_is_no_number_in_the_declared_unit(text: str, unit: str | None) -> None:
    assert parse_number(text, unit) is None


@PATIENT
@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30))
def test_what_python_prints_is_read_exactly(value: Decimal) -> None:
    if abs(value.adjusted()) < 300:
        assert parse_number(str(value)) == value


@PATIENT
@given(st.integers(0, 10**15))
def test_thousands_marks_do_not_change_a_number(value: int) -> None:
    readings = {parse_number(f"{value:,}".replace(",", mark)) for mark in (",", " ", "'", "_")}
    assert readings == {Decimal(value)}


@PATIENT
@given(st.text(max_size=40), st.sampled_from([None, "%", "ratio", "mm", "USD", "days", "", "."]))
def test_no_text_makes_the_number_grammar_fail(text: str, unit: str | None) -> None:
    found = parse_number(text, unit)
    assert found is None or isinstance(found, Decimal)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("  Male ", "male", True),
        ("a\u2013b", "a-b", True),
        ("\u2018x\u2019", "'x'", True),
        ("\ufb01sh", "fish", True),
        ("STRASSE", "straße", True),
        ("a\u00a0 b", "a b", True),
        ("10\u00b2", "102", False),
        ("1\u00bd", "11/2", False),
        ("A > 5", "A < 5", False),
        ("1.5", "15", False),
        ("C++", "C", False),
        ("not applicable", "not", False),
        ("résumé", "resume", False),
    ],
)
def test_folding_unifies_spellings_and_nothing_else(one: str, other: str, same: bool) -> None:
    assert (fold(one) == fold(other)) is same


@PATIENT
@given(st.text())
def test_folding_twice_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)
    assert fold(fold(text, case_sensitive=True), case_sensitive=True) == fold(text, case_sensitive=True)


# Dates in text


@pytest.mark.parametrize(
    "text",
    ["2020-01-31", "2020/1/31", "31.01.2020", "01/31/2020", "31 January 2020", "Jan 31st, 2020", "31-Jan-2020"],
)
def test_dates_that_have_one_reading(text: str) -> None:
    assert parse_date(text) == Day(date(2020, 1, 31))


@pytest.mark.parametrize(
    "text", ["01/02/2020", "2020", "2020-01", "2020-13-01", "31 Foo 2020", "2020-02-30", "yesterday", "20200131", ""]
)
def test_dates_that_have_none_or_two(text: str) -> None:
    assert parse_date(text) is None


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2020-01-31T10", Moment(datetime(2020, 1, 31, 10))),  # noqa: DTZ001
        ("2020-01-31 10:30", Moment(datetime(2020, 1, 31, 10, 30))),  # noqa: DTZ001
        ("2020-01-31T10:30:05.000000001", Moment(datetime(2020, 1, 31, 10, 30, 5), 1)),  # noqa: DTZ001
        ("2020-01-31T10:30:05Z", Moment(datetime(2020, 1, 31, 10, 30, 5), 0, 0)),  # noqa: DTZ001
        ("2020-01-31T10:30:05-05:30", Moment(datetime(2020, 1, 31, 10, 30, 5), 0, -19_800)),  # noqa: DTZ001
    ],
)
def test_moments_keep_nanoseconds_and_offset(text: str, moment: Moment) -> None:
    assert parse_date(text) == moment


@pytest.mark.parametrize("moment", [datetime.min, datetime.max])  # noqa: DTZ901
@pytest.mark.parametrize("offset", [-50_000, 50_000])
def test_the_ends_of_the_calendar_have_an_instant(moment: datetime, offset: int) -> None:
    node = Moment(moment.replace(microsecond=0), 0, offset)
    assert node.instant != Moment(moment.replace(microsecond=0), 0, offset + 1).instant


# Coercion, question type by question type


@pytest.mark.parametrize(
    ("value", "spec", "shown", "coerced"),
    [
        ("yes", {"type": "bool"}, "true", True),
        (np.bool_(False), {"type": "bool"}, "false", False),
        (5.0, {"type": "int"}, "5", True),
        (np.int64(5), {"type": "int"}, "5", False),
        (2**70, {"type": "int"}, str(2**70), False),
        ("1,234", {"type": "int"}, "1234", True),
        ("12.5 mm", {"type": "float", "unit": "mm"}, "12.5", True),
        (Decimal("1.50"), {"type": "float"}, "1.5", False),
        ("5%", {"type": "percent"}, "5", True),
        ("5%", {"type": "percent", "unit": "ratio"}, "0.05", True),
        (pd.Timedelta(hours=36), {"type": "float", "unit": "days"}, "1.5", True),
        (pd.DataFrame({"x": [7]}), {"type": "int"}, "7", True),
        (pd.Series([7]), {"type": "int"}, "7", True),
        (np.array([[7]]), {"type": "int"}, "7", True),
        (pd.Timestamp("2020-01-31"), {"type": "date"}, "2020-01-31", True),
        (np.datetime64("2020-01-31"), {"type": "date"}, "2020-01-31", False),
        (np.datetime64("2020-01-31T10"), {"type": "date"}, "2020-01-31 10:00:00", False),
        ("Jan 31, 2020", {"type": "date"}, "2020-01-31", True),
        (2007, {"type": "string"}, '"2007"', True),
        (2007.0, {"type": "string"}, '"2007"', True),
        (["a"], {"type": "string"}, '"a"', True),
        (pd.DataFrame({"x": ["b", "a"]}), {"type": "list"}, '["b", "a"]', True),
        ('["b", "a"]', {"type": "list"}, '["b", "a"]', True),
        (["1", "2.5"], {"type": "list", "items": "float"}, "[1, 2.5]", True),
        (["a", "b", "a"], {"type": "set"}, '{"a", "b"}', True),
        ({"b", "a"}, {"type": "set"}, '{"a", "b"}', False),
        ({"a": "1"}, {"type": "mapping", "items": "int"}, '{"a": 1}', True),
        ('{"a": 1}', {"type": "mapping"}, '{"a": 1}', True),
        (pd.Series([1, 2], index=["a", "b"]), {"type": "mapping"}, '{"a": 1, "b": 2}', False),
        (pd.DataFrame({"k": ["a", "b"], "v": [1, 2]}), {"type": "mapping"}, '{"a": 1, "b": 2}', True),
        (pd.DataFrame({"v": [1, 2]}, index=["a", "b"]), {"type": "mapping"}, '{"a": 1, "b": 2}', True),
        ([{"k": "a", "v": 1}], {"type": "table"}, '1 × 2 table ["k", "v"], first row ["a", 1]', True),
        ([["a", 1]], {"type": "table", "columns": ("k", "v")}, '1 × 2 table ["k", "v"], first row ["a", 1]', True),
    ],
)
def test_a_value_is_brought_into_the_type_asked_for(
    value: object, spec: dict[str, Any], shown: str, coerced: bool
) -> None:
    answer = submitted(value, **spec)
    assert (render(answer), bool(answer.coercions), answer.problem) == (shown, coerced, "")


@pytest.mark.parametrize(
    ("value", "spec"),
    [
        (1, {"type": "bool"}),
        (0.0, {"type": "bool"}),
        ("1", {"type": "bool"}),
        (True, {"type": "int"}),
        (5.4, {"type": "int"}),
        (float("nan"), {"type": "int"}),
        (float("nan"), {"type": "float"}),
        (float("nan"), {}),
        ("nan", {"type": "float"}),
        ("inf", {"type": "float"}),
        (float("-inf"), {"type": "percent"}),
        ([1.0, float("nan")], {"type": "list"}),
        ([1.0, float("nan")], {}),
        ({"a": [float("inf")]}, {"type": "mapping"}),
        ({1.0, float("nan")}, {"type": "set"}),
        (pd.Series([1.0, float("nan")], index=["a", "b"]), {"type": "mapping"}),
        (pd.DataFrame({"a": [1.0, float("inf")]}), {"type": "table"}),
        ("12 oranges", {"type": "int", "unit": "apples"}),
        ("5%", {"type": "float"}),
        ("about 5", {"type": "float"}),
        ({"mean": 5.0}, {"type": "float"}),
        (pd.Series([5.0], index=["a"]), {"type": "float"}),
        ([1, 2], {"type": "int"}),
        ("01/02/2020", {"type": "date"}),
        (20_200_131, {"type": "date"}),
        (None, {"type": "string"}),
        (float("nan"), {"type": "string"}),
        ("a", {"type": "list"}),
        ("a, b", {"type": "list"}),
        ({"a", "b"}, {"type": "list"}),
        ({"a": 1}, {"type": "list"}),
        (pd.DataFrame({"x": [1], "y": [2]}), {"type": "list"}),
        ([("a", 1)], {"type": "mapping"}),
        (pd.DataFrame({"k": ["a", "a", "b"], "v": [1, 2, 3]}), {"type": "mapping"}),
        (pd.DataFrame({"k": ["a"]}), {"type": "table", "columns": ("key",)}),
        ([{"a": 1}, {"b": 1}], {"type": "table"}),
        (None, {}),
        (object(), {}),
        ([1, object()], {}),
        (pd.NaT, {"type": "date"}),
    ],
)
def test_a_value_of_another_type_is_no_usable_answer(value: object, spec: dict[str, Any]) -> None:
    answer = submitted(value, **spec)
    assert not answer.usable
    assert answer.problem.endswith(".")


def test_rows_with_equal_keys_never_collapse() -> None:
    frame = pd.DataFrame({"k": ["a", "a", "b"], "v": [1, 2, 3]})
    answer = submitted(frame, type="mapping")
    assert answer.kind == "table"
    assert render(answer).startswith("3 × 2 table")


def test_a_json_object_with_equal_keys_keeps_them_all() -> None:
    assert render(submitted('{"a": 1, "a": 2}', type="mapping")) == '{"a": 1, "a": 2}'


def test_without_a_declared_type_nothing_is_coerced() -> None:
    for value in ("12.5", "yes", "5%", "[1, 2]", [5], pd.DataFrame({"x": [7]}), "2020-01-31", 5.0, True):
        assert submitted(value).coercions == ()
    assert submitted("12.5").kind == "string"
    assert submitted([5]).kind == "list"


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"n": [2, 1], "g": ["x", "y"]}),
        pd.DataFrame({"G": ["x", "y"], "N": [2, 1]}),
        pd.DataFrame({"n": [2, 1]}, index=pd.Index(["x", "y"], name="g")),
        pd.DataFrame({"g": ["x", "y"], "n": [2, 1]}, index=[17, 4]),
    ],
)
def test_a_table_is_aligned_with_the_columns_asked_for(frame: pd.DataFrame) -> None:
    answer = submitted(frame, type="table", columns=("g", "n"))
    plain = submitted(pd.DataFrame({"g": ["x", "y"], "n": [2, 1]}), type="table", columns=("g", "n"))
    assert answer.usable
    assert render(answer).casefold() == render(plain)


STATES = pd.DataFrame({"state": ["x", "y", "z"], "rate": [1.0, 20.3, 7.5], "year": [2001, 2002, 2003]})


@pytest.mark.parametrize(
    ("value", "spec", "shown"),
    [
        (STATES[STATES.rate > 10]["state"], {"type": "string"}, '"y"'),
        (STATES[STATES.rate > 10]["rate"], {"type": "float"}, "20.3"),
        (STATES.sort_values("rate", ascending=False)["state"], {"type": "list"}, '["y", "z", "x"]'),
        (STATES[STATES.rate > 5]["state"], {"type": "set"}, '{"y", "z"}'),
    ],
)
def test_the_row_numbers_a_filter_leaves_are_no_part_of_the_answer(
    value: object, spec: dict[str, Any], shown: str
) -> None:
    answer = submitted(value, **spec)
    assert (render(answer), answer.problem) == (shown, "")
    assert answer.coercions


@pytest.mark.parametrize(
    ("value", "spec"),
    [
        # The year or its count? The rows cannot tell, so neither is taken.
        (STATES.groupby("year").size().head(1), {"type": "int"}),
        (STATES.groupby("year")["rate"].max().head(1), {"type": "int"}),
        (STATES.groupby("year").size(), {"type": "list"}),
        (STATES.groupby("state")["rate"].max(), {"type": "list"}),
        (STATES.groupby("state")["rate"].max().head(1), {"type": "float"}),
        ({"rate": 5.0}, {"type": "float"}),
    ],
)
def test_labels_that_may_be_the_answer_are_not_dropped(value: object, spec: dict[str, Any]) -> None:
    assert submitted(value, **spec).kind == "mapping"
    assert not submitted(value, **spec).usable


@pytest.mark.parametrize(
    "value",
    [
        {"g": ["x", "y"], "n": [2, 1]},
        {"n": [2, 1], "g": ["x", "y"]},
        {"x": 2, "y": 1},
        pd.Series([2, 1], index=["x", "y"]),
        [{"g": "x", "n": 2}, {"n": 1, "g": "y"}],
        [["x", 2], ["y", 1]],
    ],
)
def test_what_stands_for_a_table_becomes_one(value: object) -> None:
    spec = {"type": "table", "columns": ("g", "n")}
    answer = submitted(value, **spec)
    assert answer.problem == ""
    assert answer.canonical == submitted(pd.DataFrame({"g": ["x", "y"], "n": [2, 1]}), **spec).canonical


def test_one_record_is_a_table_of_one_row() -> None:
    answer = submitted({"n": 2, "G": "x"}, type="table", columns=("g", "n"))
    assert render(answer) == '1 × 2 table ["G", "n"], first row ["x", 2]'


def test_a_mapping_over_two_levels_becomes_a_table() -> None:
    frame = pd.DataFrame({"a": [1, 1], "b": ["x", "y"], "v": [1.5, 2.5]})
    spec = {"type": "table", "columns": ("a", "b", "v")}
    assert submitted(frame.groupby(["a", "b"])["v"].sum(), **spec).canonical == submitted(frame, **spec).canonical


@pytest.mark.parametrize("value", [{"g": [1, 2], "n": [1]}, {"x": [1]}, {("a", "b"): 1}, [1, 2], [["x"]], "g,n"])
def test_what_does_not_fit_the_columns_stays_what_it_is(value: object) -> None:
    assert not submitted(value, type="table", columns=("g", "n")).usable


def test_two_index_levels_become_two_columns() -> None:
    frame = pd.DataFrame({"a": [1, 1, 2], "b": ["x", "y", "x"], "v": [1.0, 2.0, 3.0]})
    grouped = frame.groupby(["a", "b"])[["v"]].sum()
    spec = {"type": "table", "columns": ("a", "b", "v")}
    assert canonical(submitted(grouped, **spec).node) == canonical(submitted(frame, **spec).node)


def test_a_reference_in_plain_json_is_not_coerced() -> None:
    spec = AnswerSpec(type="date")
    assert parse_reference("2020-01-31", spec).coercions == ()
    assert parse_reference(["b", "a"], AnswerSpec(type="set")).kind == "set"
    assert parse_reference([{"a": 1, "b": 2}], AnswerSpec(type="table")).kind == "table"


# Identity

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=8)
    | st.dates()
    | st.datetimes()
    | st.decimals(allow_nan=False, places=3, min_value=-1000, max_value=1000)
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=4), inner, max_size=4)
        | st.frozensets(st.integers(0, 9) | st.text(max_size=3), max_size=4)
    ),
    max_leaves=12,
)


@PATIENT
@given(values, values)
def test_canonical_forms_are_equal_exactly_for_equal_values(a: object, b: object) -> None:
    one, other = read_tagged(to_tagged(a, 100_000)), read_tagged(to_tagged(b, 100_000))
    if a == b and repr(a) == repr(b):
        assert canonical(one) == canonical(other)
    if canonical(one) == canonical(other) and isinstance(a, int | float | str) and isinstance(b, int | float | str):
        assert type(a) is type(b)
        assert a == b or (a != a and b != b)


def test_the_order_of_a_set_or_a_dict_is_no_part_of_its_identity() -> None:
    assert submitted({"a": 1, "b": 2}).canonical == submitted({"b": 2, "a": 1}).canonical
    one = {"t": "set", "v": [{"t": "int", "v": 1}, {"t": "str", "v": "x"}]}
    other = {"t": "set", "v": list(reversed(one["v"]))}
    assert parse_answer(one, AnswerSpec()).canonical == parse_answer(other, AnswerSpec()).canonical


@PATIENT
@given(values, st.integers(1, 60))
def test_rendering_is_bounded(value: object, limit: int) -> None:
    text = render(parse_answer(to_tagged(value, 100_000), AnswerSpec()), limit)
    assert 0 < len(text) <= limit


@pytest.mark.parametrize(
    "raw", [{"t": "str", "v": "a\ud800\n\x00b"}, {"t": "other", "v": "<\ud800\n at\n0x7f>", "type": "x\ny"}]
)
def test_a_rendered_answer_is_one_line_that_can_be_written_down(raw: dict[str, Any]) -> None:
    for spec in (AnswerSpec(), AnswerSpec(type="float"), AnswerSpec(type="mapping")):
        answer = parse_answer(raw, spec)
        for text in (render(answer), answer.problem):
            assert text.encode("utf-8").decode("utf-8") == text
            assert len(text.splitlines()) <= 1


# Hostile input: what leaves a session is not trusted

junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.fixed_dictionaries(
            {"t": st.sampled_from(["list", "set", "map", "table", "int", "float", "date", "datetime", "decimal", "x"])},
            optional={"v": inner, "columns": inner, "rows": inner, "index": inner, "type": inner},
        )
    ),
    max_leaves=15,
)
specs = st.builds(
    AnswerSpec,
    type=st.sampled_from(
        ["bool", "int", "float", "percent", "date", "string", "list", "set", "mapping", "table", "any"]
    ),
    decimals=st.none() | st.integers(0, 4),
    unit=st.sampled_from([None, "%", "mm", "days"]),
    items=st.sampled_from([None, "int", "float", "string", "date", "list"]),
    columns=st.sampled_from([(), ("a",), ("a", "b")]),
)


@PATIENT
@given(junk, specs)
def test_no_tagged_value_makes_parsing_fail(raw: object, spec: AnswerSpec) -> None:
    answer = parse_answer(raw, spec)
    assert render(answer)
    assert answer.usable == (answer.problem == "")


@PATIENT
@given(junk, specs)
def test_no_json_makes_parsing_fail(raw: object, spec: AnswerSpec) -> None:
    assert render(parse_reference(raw, spec))


def deep(levels: int) -> dict[str, Any]:
    raw: dict[str, Any] = {"t": "int", "v": 1}
    for _ in range(levels):
        raw = {"t": "list", "v": [raw]}
    return raw


def test_nesting_is_bounded() -> None:
    assert parse_answer(deep(MAX_DEPTH), AnswerSpec()).usable
    assert "deeper" in parse_answer(deep(MAX_DEPTH + 1), AnswerSpec()).problem
    assert not parse_answer(deep(100_000), AnswerSpec()).usable


def test_a_one_element_list_is_unwrapped_at_any_depth() -> None:
    assert render(parse_answer(deep(MAX_DEPTH), AnswerSpec(type="int"))) == "1"


def test_size_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.answers.readers.MAX_NODES", 1000)
    raw = {"t": "list", "v": [{"t": "int", "v": 1}] * 999}
    assert parse_answer(raw, AnswerSpec()).usable
    raw["v"] = [{"t": "list", "v": raw["v"][:500]}] * 2
    assert "more than 1000 values" in parse_answer(raw, AnswerSpec()).problem


def test_whatever_fits_a_session_s_answer_can_be_read() -> None:
    smallest = len('{"t":"int","v":1},')
    assert SandboxLimits().max_event_bytes // smallest <= MAX_NODES


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' * 100_000, "[1e999999, 9" + "9" * 5000 + "]", "[NaN", "{'a': 1}"]
)
def test_text_that_only_looks_like_json_stays_text(text: str) -> None:
    answer = submitted(text, type="list")
    assert answer.kind == "string"


@pytest.mark.parametrize("raw", ["1e999999999", "9" * 5000, "sNaN", "1e5", "1.0", "0x10", "", "١e"])
def test_integers_that_are_none(raw: str) -> None:
    assert not parse_answer({"t": "int", "v": raw}, AnswerSpec()).usable


def test_what_the_session_could_not_encode_is_no_answer() -> None:
    too_large = to_tagged(list(range(1000)), 2000)
    answer = parse_answer(too_large, AnswerSpec(type="list"))
    assert not answer.usable
    assert "too large" in answer.problem


def test_numbers_keep_every_digit() -> None:
    node = submitted(2**64 + 1, type="int").node
    assert isinstance(node, Number)
    assert node.value == 2**64 + 1
    long = 1234567890123456789012345678901234567890
    assert submitted(str(-long), type="int").canonical == submitted(-long, type="int").canonical
    assert submitted(-long, type="int").canonical != submitted(-long - 1, type="int").canonical
