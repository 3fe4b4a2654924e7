"""Comparisons part by part: the tier of each kind of value, and what is told of the first difference."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from flows.answers.answers import Answer, parse_answer
from flows.answers.comparator import MAX_PAIRS, Comparison, compare, matches_itself
from flows.answers.nodes import Number
from flows.answers.tiers import Tier, number_tier, roundings
from flows.questions.records import AnswerSpec
from sandbox_image.zygote.values import to_tagged


def parsed(value: object, spec: AnswerSpec) -> Answer:
    return parse_answer(to_tagged(value, 4_000_000), spec)


def compared(a: object, b: object, *, accept: Tier = "tolerance", **spec: Any) -> Comparison:
    """Two submitted values compared, in both directions."""
    asked = AnswerSpec(**spec)
    one, other = parsed(a, asked), parsed(b, asked)
    found = compare(one, other, asked, accept=accept)
    assert compare(other, one, asked, accept=accept) == found
    return found


def pairs(*items: tuple[object, object]) -> dict[str, Any]:
    """A mapping that holds equal keys, as a session sends it."""
    return {"t": "map", "v": [[to_tagged(key, 1000), to_tagged(value, 1000)] for key, value in items]}


def compared_pairs(a: dict[str, Any], b: dict[str, Any], **spec: Any) -> Comparison:
    asked = AnswerSpec(type="mapping", **spec)
    found = compare(parse_answer(a, asked), parse_answer(b, asked), asked)
    assert compare(parse_answer(b, asked), parse_answer(a, asked), asked) == found
    return found


# Tiers


@pytest.mark.parametrize(
    ("a", "b", "spec", "tier"),
    [
        # What is asked of the values of a list, a set or a mapping counts inside it.
        ([5.5], [5.5000001], {"type": "list", "items": "int"}, "none"),
        ([5.5], [5.5000001], {"type": "list", "items": "float"}, "tolerance"),
        ([5], [5.0000001], {"type": "list", "items": "any"}, "none"),
        ({"a": 5.5}, {"a": 5.5000001}, {"type": "mapping", "items": "int"}, "none"),
        ({"a": 5}, {"a": 5.0000001}, {"type": "mapping", "items": "float"}, "tolerance"),
        ({"a": 5}, {"a": 5.0000001}, {"type": "mapping"}, "none"),
        ([5, "x"], ["x", 5.0000001], {"type": "set", "items": "float"}, "tolerance"),
        ([5, "x"], ["x", 5.0000001], {"type": "set"}, "none"),
        # Lengths of time have room like floats; days and moments have none.
        (timedelta(days=1), timedelta(days=1, microseconds=1), {}, "tolerance"),
        (timedelta(days=1), timedelta(days=1, minutes=10), {}, "loose"),
        (timedelta(days=1), timedelta(days=2), {}, "none"),
        (pd.Timestamp("2020-01-31 10:00"), pd.Timestamp("2020-01-31 10:00"), {}, "exact"),
        (True, True, {}, "exact"),
        (True, False, {}, "none"),
        ([None], [None], {}, "exact"),
        ([None], [False], {}, "none"),
        ([None], ["None"], {}, "none"),
        # Case and blanks of text, on either side.
        (" a", "A", {"type": "string"}, "canonical"),
        (" a", "A", {"type": "string", "case_sensitive": True}, "none"),
        ("A", " a", {"type": "string", "case_sensitive": True}, "none"),
        (" a", "a", {"type": "string", "case_sensitive": True}, "canonical"),
        ([" a"], ["A"], {"type": "set"}, "canonical"),
        ([" a"], ["A"], {"type": "set", "case_sensitive": True}, "none"),
        ({" a": 1}, {"A": 1}, {"type": "mapping", "case_sensitive": True}, "none"),
        ({" a": 1}, {"A": 1}, {"type": "mapping"}, "canonical"),
        # A key in another spelling makes a mapping equal only after spelling, as a column does a table.
        ({1: 2}, {"1": 2}, {"type": "mapping"}, "canonical"),
        ({1: 2.0}, {"1": 2.0000001}, {"type": "mapping"}, "tolerance"),
        (pd.DataFrame({"a": [1]}), pd.DataFrame({"A": [1]}), {"type": "table"}, "canonical"),
        (pd.DataFrame({"a": [1]}), pd.DataFrame({"A": [1]}), {"type": "table", "case_sensitive": True}, "none"),
        (pd.DataFrame({"a": [1.0]}), pd.DataFrame({"A": [1.0000001]}), {"type": "table"}, "tolerance"),
        (
            pd.DataFrame({"a": [1.0], "b": ["x"]}),
            pd.DataFrame({"b": ["x"], "a": [1.0]}),
            {"type": "table", "ordered_rows": True},
            "canonical",
        ),
        (
            pd.DataFrame({"a": [1, 2]}, index=["x", "y"]),
            pd.DataFrame({"a": [2, 1]}, index=["y", "x"]),
            {"type": "table"},
            "exact",
        ),
        (pd.DataFrame({"a": [1]}, index=["x"]), pd.DataFrame({"a": [1]}), {"type": "table"}, "none"),
        # A missing cell, whichever way pandas wrote it.
        (
            pd.DataFrame({"a": ["x", None]}, dtype=object),
            pd.DataFrame({"a": ["x", np.nan]}, dtype=object),
            {"type": "table", "ordered_rows": True},
            "canonical",
        ),
        # Two columns of one name have no order to be brought into.
        (
            pd.DataFrame([[1, 2]], columns=["a", "a"]),
            pd.DataFrame([[1, 2]], columns=["a", "a"]),
            {"type": "table"},
            "exact",
        ),
        (
            pd.DataFrame([[1, 2, 3]], columns=["a", "a", "b"]),
            pd.DataFrame([[3, 1, 2]], columns=["b", "a", "a"]),
            {"type": "table"},
            "none",
        ),
    ],
)
def test_how_closely_each_kind_of_value_matches(a: object, b: object, spec: dict[str, Any], tier: str) -> None:
    assert compared(a, b, accept="loose", **spec).tier == tier


def test_values_of_equal_keys_find_each_other_within_the_tolerance() -> None:
    one = pairs(("a", 1.0), ("a", 2.0))
    assert compared_pairs(one, pairs(("a", 2.0000001), ("a", 1.0000001)), items="float").tier == "tolerance"
    assert not compared_pairs(one, pairs(("a", 2.0), ("a", 2.0)), items="float").equal
    assert compared_pairs(one, pairs(("a", 2), ("a", 1)), items="float").tier == "canonical"
    # Without a declared type, a count and a float that is nearly it are two values.
    assert not compared_pairs(pairs(("a", 1), ("a", 2)), pairs(("a", 2.0000001), ("a", 1.0000001))).equal


# What is told


@pytest.mark.parametrize(
    ("a", "b", "spec", "reason"),
    [
        ([1, 2, 3], [1, 2], {}, "There are 3 and 2 elements."),
        ({"a": [1, 2]}, {"a": [1]}, {}, "At ['a']: there are 2 and 1 elements."),
        ({"a", "b"}, {"a"}, {}, "There are 2 and 1 elements."),
        ({"a", "b"}, {"a", "c"}, {}, '"b" is found 1 and 0 times.'),
        ({"a": 1, "b": 2}, {"a": 1}, {}, "The key 'b' is found 1 and 0 times."),
        ([[1, [2, 3]]], [[1, [2, 4]]], {}, "At [0][1][1]: 3 and 4 differ."),
        ([1, 2.5], [1, 3], {}, "At [1]: 2.5 and 3 differ."),
        ([1, "x"], [1, None], {}, 'At [1]: none is no value and "x" is a string.'),
        ([1], ["x"], {}, 'At [0]: 1 is an int and "x" is a string.'),
        (pd.DataFrame({"a": [1]}), pd.DataFrame({"b": [1]}), {"type": "table"}, 'The columns are ["a"] and ["b"].'),
        (
            pd.DataFrame({"a": [1]}),
            pd.DataFrame({"a": [1], "b": [1]}),
            {"type": "table"},
            "The tables have different columns.",
        ),
        (
            pd.DataFrame({"a": [1, 2]}),
            pd.DataFrame({"a": [1, 3]}),
            {"type": "table", "ordered_rows": True},
            "At [1][0]: 2 and 3 differ.",
        ),
    ],
)
def test_the_first_difference_is_told_with_its_place(a: object, b: object, spec: dict[str, Any], reason: str) -> None:
    found = compared(a, b, **spec)
    assert found.reason == reason
    assert (found.equal, found.tier) == (False, "none")


def test_long_values_and_keys_are_told_in_part() -> None:
    key = "k" * 200
    assert len(compared({key: 1}, {key: 2}).reason) < 100
    assert len(compared({key: 1}, {"b": 1}).reason) < 120
    assert len(compared("x" * 500, "y" * 500, type="string").reason) < 150
    assert len(compared({"x" * 500}, {"y" * 500}, type="set").reason) < 120
    # In a set no pair of elements is the one that differs: what is told is of the whole.
    assert "elements" not in compared([1.0, 2.0], [1.0, 3.0], type="set").reason


def test_a_match_that_is_not_close_enough_is_told_by_its_tier() -> None:
    found = compared(1.0, 1.0000001, type="float", accept="exact")
    assert (found.equal, found.tier) == (False, "tolerance")
    assert found.reason == "1 and 1.0000001 match at no tier closer than tolerance."


def test_an_unusable_answer_matches_nothing_not_even_itself_and_says_why() -> None:
    spec = AnswerSpec(type="int")
    found = matches_itself(parsed("many", spec), spec)
    assert (found.equal, found.tier) == (False, "none")
    assert '"many" is a string' in found.reason
    assert matches_itself(parsed(5, spec), spec) == Comparison(True, "exact")
    assert matches_itself(parsed("5", spec), spec) == Comparison(True, "canonical")
    gone = parse_answer({"t": "other", "v": "<Model>", "type": "x"}, AnswerSpec())
    nothing = compare(gone, gone, AnswerSpec())
    assert (nothing.equal, nothing.tier) == (False, "none")
    assert "no comparable value" in nothing.reason


def test_what_is_too_large_to_compare_says_so_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    a = [[place * 0.001] for place in range(250)]
    b = [[-1 - place * 0.001] for place in range(250)]
    assert len(a) ** 2 > MAX_PAIRS
    found = compared(a, b, type="set")
    assert (found.equal, found.tier) == (False, "none")
    assert "250 elements" in found.reason
    monkeypatch.setattr("flows.answers.comparator.MAX_STEPS", 101)
    values = [float(place) for place in range(100)]
    assert compared(values, [value * (1 + 1e-9) for value in values], type="list").equal
    long = compared([*values, 1.0], [value * (1 + 1e-9) for value in [*values, 1.0]], type="list")
    assert "more than 101 values" in long.reason


# Numbers


def number(text: str, kind: Any = "float") -> Number:
    return Number(Decimal(text), kind)


@pytest.mark.parametrize(
    ("a", "b", "asked", "decimals", "tier"),
    [
        (number("5", "int"), number("5", "int"), "any", None, "exact"),
        (number("5", "int"), number("5.0"), "any", None, "canonical"),
        (number("5", "int"), number("6", "int"), "float", None, "none"),
        (number("1000000", "int"), number("1000001", "int"), "float", 0, "none"),
        (number("1000000.5"), number("1000001"), "int", None, "none"),
        (number("1000000", "int"), number("1000000.5"), "any", None, "none"),
        (number("1000000", "int"), number("1000000.5"), "float", None, "tolerance"),
        (number("100"), number("100.0001"), "float", None, "tolerance"),
        (number("100"), number("100.00010001"), "float", None, "loose"),
        (number("100"), number("101"), "float", None, "loose"),
        (number("100"), number("101.02"), "float", None, "none"),
        (number("-100"), number("-100.0001"), "float", None, "tolerance"),
        (number("1.24"), number("1.2"), "float", 1, "rounded"),
        (number("1.26"), number("1.2"), "float", 1, "none"),
        (number("1.206"), number("1.2"), "float", 2, "loose"),
        (number("1.25"), number("1.2"), "float", 1, "rounded"),
        (number("1.25"), number("1.3"), "float", 1, "rounded"),
        (number("1.25"), number("1.35"), "float", 1, "none"),
        (number("1.25"), number("1.25"), "float", 1, "exact"),
        (number("25"), number("20"), "float", 0, "none"),
        (number("2.5", "float"), number("2", "int"), "float", 0, "rounded"),
        (number("2.5", "float"), number("3", "int"), "float", 0, "rounded"),
        (number("Infinity"), number("1"), "float", None, "none"),
        (number("Infinity"), number("-Infinity"), "float", None, "none"),
        (number("NaN"), number("1"), "float", None, "none"),
        (number("1"), number("NaN"), "float", None, "none"),
    ],
)
def test_how_closely_two_numbers_match(a: Number, b: Number, asked: Any, decimals: int | None, tier: str) -> None:
    assert number_tier(a, b, asked, decimals) == tier
    assert number_tier(b, a, asked, decimals) == tier


@pytest.mark.parametrize(
    ("value", "decimals", "found"),
    [
        ("1.24", 1, ("1.2",)),
        ("1.25", 1, ("1.2", "1.3")),
        ("-1.25", 1, ("-1.3", "-1.2")),
        ("1.2500000000000001", 1, ("1.2", "1.3")),
        ("1.250000001", 1, ("1.3",)),
        ("1.249999999", 1, ("1.2",)),
        ("2.675", 2, ("2.67", "2.68")),
        ("3", 0, ("3",)),
        ("0", 2, ("0",)),
    ],
)
def test_a_number_half_way_has_two_roundings(value: str, decimals: int, found: tuple[str, ...]) -> None:
    assert roundings(number(value), decimals) == tuple(map(Decimal, found))
