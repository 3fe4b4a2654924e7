"""Readers: what a session or a question file sends becomes a typed value, or is refused for what it is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.answers.folding import fold
from flows.answers.moments import parse_date
from flows.answers.nodes import (
    Collection,
    Day,
    Duration,
    Flag,
    Listing,
    Mapping,
    Missing,
    Moment,
    Node,
    Number,
    Opaque,
    Table,
    Text,
    canonical,
)
from flows.answers.numerals import MAX_DIGITS
from flows.answers.readers import MAX_DEPTH, MAX_NODES, MAX_TEXT, JsonPairs, read_json, read_tagged
from tests.support.properties import PATIENT

ONE, TWO = {"t": "int", "v": 1}, {"t": "int", "v": 2}
X = {"t": "str", "v": "x"}


def at(*parts: int) -> datetime:
    """A clock's own reading."""
    return datetime(*parts)  # type: ignore[arg-type]  # noqa: DTZ001


# Tagged values


@pytest.mark.parametrize(
    ("raw", "node"),
    [
        ({"t": "none", "v": None}, Missing()),
        ({"t": "none"}, Missing()),
        ({"t": "bool", "v": True}, Flag(True)),
        ({"t": "bool", "v": False}, Flag(False)),
        ({"t": "int", "v": 7}, Number(Decimal(7), "int")),
        ({"t": "int", "v": "-7"}, Number(Decimal(-7), "int")),
        ({"t": "int", "v": "0"}, Number(Decimal(0), "int")),
        ({"t": "float", "v": 0.1}, Number(Decimal("0.1"))),
        ({"t": "float", "v": 3}, Number(Decimal(3))),
        ({"t": "float", "v": "1e5"}, Number(Decimal(100_000))),
        ({"t": "float", "v": "inf"}, Number(Decimal("Infinity"))),
        ({"t": "float", "v": "0e9999"}, Number(Decimal(0))),
        ({"t": "decimal", "v": "1.50"}, Number(Decimal("1.50"))),
        ({"t": "str", "v": ""}, Text("")),
        ({"t": "date", "v": "2020-02-29"}, Day(date(2020, 2, 29))),
        ({"t": "datetime", "v": "2020-02-29T01:02:03"}, Moment(at(2020, 2, 29, 1, 2, 3))),
        ({"t": "timedelta", "v": 1.5}, Duration(Decimal("1.5"))),
        ({"t": "list", "v": []}, Listing(())),
        ({"t": "list", "v": [ONE, X]}, Listing((Number(Decimal(1), "int"), Text("x")))),
        ({"t": "set", "v": [X]}, Collection((Text("x"),))),
        ({"t": "map", "v": [[X, ONE]]}, Mapping(((Text("x"), Number(Decimal(1), "int")),))),
        (
            {"t": "table", "columns": [X], "rows": [[ONE]], "index": None},
            Table((Text("x"),), ((Number(Decimal(1), "int"),),)),
        ),
        ({"t": "table", "columns": [X], "rows": [[ONE]]}, Table((Text("x"),), ((Number(Decimal(1), "int"),),))),
        ({"t": "table", "columns": [], "rows": []}, Table((), ())),
        (
            {"t": "table", "columns": [X], "rows": [[ONE]], "index": [X]},
            Table((Text("x"),), ((Number(Decimal(1), "int"),),), (Text("x"),)),
        ),
        ({"t": "other", "v": "<Model>", "type": "x.Model"}, Opaque("<Model>", "x.Model")),
    ],
)
def test_what_a_session_sends_is_read(raw: dict[str, Any], node: Node) -> None:
    found = read_tagged(raw)
    assert found == node
    assert found.kind == node.kind


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (7, "not a tagged value"),
        ([], "not a tagged value"),
        ({}, "'None'"),
        ({"t": "complex", "v": 1}, "'complex'"),
        ({"t": ["list"], "v": []}, "unknown tag"),
        ({"t": "x" * 100}, f"'{'x' * 40}'"),
        ({"t": "none", "v": 0}, "none has no value"),
        ({"t": "bool", "v": 1}, "a bool"),
        ({"t": "int", "v": True}, "an integer"),
        ({"t": "int", "v": 1.0}, "an integer"),
        ({"t": "int", "v": None}, "an integer"),
        ({"t": "int", "v": "1.0"}, "'1.0'"),
        ({"t": "int", "v": "1E2"}, "'1E2'"),
        ({"t": "int", "v": "nan"}, "'nan'"),
        ({"t": "int", "v": "y" * 100}, f"'{'y' * 40}'"),
        ({"t": "float", "v": False}, "a float"),
        ({"t": "float", "v": [1]}, "a float"),
        ({"t": "float", "v": "one"}, "'one'"),
        ({"t": "float", "v": f"1e{MAX_DIGITS + 1}"}, "out of all bounds"),
        ({"t": "float", "v": f"1e-{MAX_DIGITS + 1}"}, "out of all bounds"),
        ({"t": "float", "v": "1" * (MAX_DIGITS + 1)}, str(MAX_DIGITS)),
        ({"t": "decimal", "v": 1.5}, "a float"),
        ({"t": "str", "v": 1}, "a string"),
        ({"t": "str", "v": "x" * (MAX_TEXT + 1)}, str(MAX_TEXT)),
        ({"t": "date", "v": "2020-02-30"}, "an ISO date"),
        ({"t": "date", "v": "2020-02-29T00:00"}, "an ISO date"),
        ({"t": "date", "v": 20_200_229}, "an ISO date"),
        ({"t": "datetime", "v": "noon"}, "an ISO date and time"),
        ({"t": "datetime", "v": 0}, "an ISO date and time"),
        ({"t": "datetime", "v": "2020-02-29"}, "a time of day"),
        ({"t": "timedelta", "v": "nan"}, "finite number of seconds"),
        ({"t": "timedelta", "v": "inf"}, "finite number of seconds"),
        ({"t": "list", "v": "ab"}, "a list"),
        ({"t": "list"}, "a list"),
        ({"t": "set", "v": {"a": 1}}, "a list"),
        ({"t": "map", "v": [[X]]}, "2 elements"),
        ({"t": "map", "v": [[X, ONE, TWO]]}, "2 elements"),
        ({"t": "map", "v": X}, "a list"),
        ({"t": "table", "columns": [X], "rows": [[ONE, TWO]]}, "1 elements"),
        ({"t": "table", "columns": [X], "rows": [ONE]}, "a list"),
        ({"t": "table", "columns": [X], "rows": [[ONE]], "index": []}, "1 elements"),
        ({"t": "table", "columns": [X]}, "a list"),
        ({"t": "list", "v": [{"t": "bool", "v": "yes"}]}, "a bool"),
    ],
)
def test_a_malformed_value_is_refused_and_says_what_was_expected(raw: object, why: str) -> None:
    found = read_tagged(raw)
    assert isinstance(found, Opaque)
    assert found.type == "unreadable"
    assert why in found.text


def test_bounds_are_reached_and_not_passed() -> None:
    digits = "1" * MAX_DIGITS
    for tag in ("int", "float", "decimal"):
        assert read_tagged({"t": tag, "v": digits}).kind == ("int" if tag == "int" else "float")
    assert isinstance(read_tagged({"t": "float", "v": f"1e{MAX_DIGITS}"}), Number)
    assert isinstance(read_tagged({"t": "int", "v": 1 << 3 * MAX_DIGITS - 1}), Number)
    assert isinstance(read_tagged({"t": "int", "v": 1 << 3 * MAX_DIGITS}), Opaque)
    assert isinstance(read_tagged({"t": "str", "v": "x" * MAX_TEXT}), Text)
    shown = read_tagged({"t": "other", "v": "v" * 3000, "type": "t" * 300})
    assert shown == Opaque("v" * 2000, "t" * 200)


def nested(levels: int, wrap: Callable[[Any], Any], inside: Any) -> Any:
    for _ in range(levels):
        inside = wrap(inside)
    return inside


@pytest.mark.parametrize(
    "wrap",
    [
        lambda inside: {"t": "list", "v": [inside]},
        lambda inside: {"t": "set", "v": [inside]},
        lambda inside: {"t": "map", "v": [[X, inside]]},
        lambda inside: {"t": "map", "v": [[inside, X]]},
        lambda inside: {"t": "table", "columns": [X], "rows": [[inside]]},
        lambda inside: {"t": "table", "columns": [inside], "rows": []},
        lambda inside: {"t": "table", "columns": [X], "rows": [[X]], "index": [inside]},
    ],
)
def test_every_kind_of_nesting_counts(wrap: Callable[[Any], Any]) -> None:
    assert not isinstance(read_tagged(nested(MAX_DEPTH, wrap, X)), Opaque)
    deeper = read_tagged(nested(MAX_DEPTH + 1, wrap, X))
    assert isinstance(deeper, Opaque)
    assert f"{MAX_DEPTH} levels" in deeper.text


@pytest.mark.parametrize(
    "wrap", [lambda inside: [inside], lambda inside: {"a": inside}, lambda inside: JsonPairs([("a", inside)])]
)
def test_nesting_of_plain_json_counts_too(wrap: Callable[[Any], Any]) -> None:
    assert not isinstance(read_json(nested(MAX_DEPTH, wrap, 1)), Opaque)
    assert isinstance(read_json(nested(MAX_DEPTH + 1, wrap, 1)), Opaque)


def test_as_many_values_as_are_allowed_can_be_read() -> None:
    # The list itself is one of them.
    assert isinstance(read_json([0] * (MAX_NODES - 1)), Listing)
    more = read_json([0] * MAX_NODES)
    assert isinstance(more, Opaque)
    assert f"more than {MAX_NODES} values" in more.text


# Plain JSON


@pytest.mark.parametrize(
    ("raw", "node"),
    [
        (None, Missing()),
        (True, Flag(True)),
        (3, Number(Decimal(3), "int")),
        (2.5, Number(Decimal("2.5"))),
        ("2020-01-31", Text("2020-01-31")),
        ([1, "a"], Listing((Number(Decimal(1), "int"), Text("a")))),
        ((1,), Listing((Number(Decimal(1), "int"),))),
        ({"b": 1, "a": None}, Mapping(((Text("b"), Number(Decimal(1), "int")), (Text("a"), Missing())))),
        ({1: 2}, Mapping(((Text("1"), Number(Decimal(2), "int")),))),
        (
            JsonPairs([("a", 1), ("a", 2)]),
            Mapping(((Text("a"), Number(Decimal(1), "int")), (Text("a"), Number(Decimal(2), "int")))),
        ),
    ],
)
def test_what_a_question_file_gives_is_read(raw: object, node: Node) -> None:
    assert read_json(raw) == node


def test_what_is_no_json_is_refused_by_the_name_of_its_type() -> None:
    found = read_json([object()])
    assert isinstance(found, Opaque)
    assert found.text == "an object is no JSON value"


# Dates and times in text


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("12/12/2020", date(2020, 12, 12)),
        ("13/12/2020", date(2020, 12, 13)),
        ("12/13/2020", date(2020, 12, 13)),
        ("1/31/2020", date(2020, 1, 31)),
        ("31-1-2020", date(2020, 1, 31)),
        ("2020.01.31", date(2020, 1, 31)),
        ("1st May 2020", date(2020, 5, 1)),
        ("2nd-sep-2020", date(2020, 9, 2)),
        ("3rd Sept. 2020", date(2020, 9, 3)),
        ("December 4, 2020", date(2020, 12, 4)),
        (" " * 30 + "2020-01-31" + " " * 40, date(2020, 1, 31)),
        ("11/12/2020", None),
        ("12/11/2020", None),
        ("13/13/2020", None),
        ("2020-01/31", None),
        ("31.01/2020", None),
        ("31 Janvier 2020", None),
        ("2020-00-10", None),
        ("2020-01-31x", None),
        ("x2020-01-31", None),
        (" " * 30 + "2020-01-31" + " " * 41, None),
    ],
)
def test_days_with_one_reading_and_without(text: str, day: date | None) -> None:
    assert parse_date(text) == (None if day is None else Day(day))


@pytest.mark.parametrize("month", range(1, 13))
def test_every_month_is_known_by_its_name_and_its_short_name(month: int) -> None:
    for style in ("%B", "%b"):
        for form in (f"{{day}} {style} %Y", f"{style} {{day}}, %Y"):
            text = date(2021, month, 9).strftime(form.replace("{day}", "9"))
            assert parse_date(text) == Day(date(2021, month, 9)), text


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2020-01-31 23:59", Moment(at(2020, 1, 31, 23, 59))),
        ("2020/1/31 7:05:09", Moment(at(2020, 1, 31, 7, 5, 9))),
        ("2020-01-31T10:30:05,25", Moment(at(2020, 1, 31, 10, 30, 5), 250_000_000)),
        ("2020-01-31T10:30:05.1234567890000", Moment(at(2020, 1, 31, 10, 30, 5), 123_456_789)),
        ("2020-01-31T10:30 UTC", Moment(at(2020, 1, 31, 10, 30), 0, 0)),
        ("2020-01-31T10:30+0530", Moment(at(2020, 1, 31, 10, 30), 0, 19_800)),
        ("2020-01-31T10:30-00:30", Moment(at(2020, 1, 31, 10, 30), 0, -1_800)),
        ("2020-01-31T10:30+01:02:03", Moment(at(2020, 1, 31, 10, 30), 0, 3_723)),
        ("2020-01-31T10+02:00", Moment(at(2020, 1, 31, 10), 0, 7_200)),
        ("2020-01-31T24:00", None),
        ("2020-01-31T10:60", None),
        ("2020-01-31T10:30:60", None),
        ("2020-02-30T10:30", None),
        ("2020-01-31T10:30 CET", None),
    ],
)
def test_times_keep_every_part(text: str, moment: Moment | None) -> None:
    assert parse_date(text) == moment


@PATIENT
@given(st.datetimes(), st.integers(-86_000, 86_000))
def test_an_instant_is_the_same_on_every_clock(moment: datetime, offset: int) -> None:
    whole = moment.replace(microsecond=0)
    here, utc = Moment(whole, 5, offset), Moment(whole, 5, 0)
    assert here.instant == f"utc {int(utc.instant[4:].partition('.')[0]) - offset}.000000005"
    assert (here.instant == utc.instant) == (offset == 0)


def test_an_instant_counts_from_1970_in_utc() -> None:
    assert Moment(at(1970, 1, 1, 1), 7, 3_600).instant == "utc 0.000000007"
    assert Moment(at(1970, 1, 1)).instant == "1970-01-01T00:00:00.000000000"
    assert canonical(Moment(at(2020, 1, 31, 12), 0, 7_200)) == canonical(Moment(at(2020, 1, 31, 10), 0, 0))


# Folding


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("\u201eA\u201d \u00abB\u00bb", '"a" "b"'),
        ("it\u2019s \u2032 \u00b4", "it's ' '"),
        ("a\u2014b\u2212c\u2010d", "a-b-c-d"),
        ("soft\u00adhyphen\u200b\ufeff", "softhyphen"),
        ("  a \t b\n", "a b"),
        ("x\u2082", "x_2"),
        ("x\u00b3", "x^3"),
        ("1\u00bd", "1 1\u20442"),
        ("\u2460", "1"),
        ("\u2122 \u00aa", "tm a"),
        ("STRASSE", "strasse"),
        ("_x-y", "_x-y"),
    ],
)
def test_the_folded_form_of_a_text(text: str, folded: str) -> None:
    assert fold(text) == folded


def test_folding_keeps_case_where_it_counts() -> None:
    assert fold("Stra\u00dfe \u2013 A", case_sensitive=True) == "Stra\u00dfe - A"
    assert fold("A") == "a"
