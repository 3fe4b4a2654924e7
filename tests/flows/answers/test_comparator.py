"""The comparator: what is the same answer and what is not, its laws, and its bounds."""

from __future__ import annotations

import itertools
import math
import random
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from flows.answers.answers import Answer, parse_answer, parse_reference
from flows.answers.comparator import MAX_PAIRS, Comparison, compare, matches_itself
from flows.answers.matching import matching_size
from flows.answers.nodes import unsound
from flows.answers.tiers import TIERS, Tier, rank, weakest
from flows.questions.records import AnswerSpec, ValueSpec
from sandbox_image.zygote.values import to_tagged
from tests.support.properties import PATIENT


def parsed(value: object, spec: AnswerSpec) -> Answer:
    return parse_answer(to_tagged(value, 4_000_000), spec)


def compared(a: object, b: object, *, accept: Tier = "tolerance", **spec: Any) -> Comparison:
    """Two submitted values compared, in both directions."""
    asked = AnswerSpec(**spec)
    one, other = parsed(a, asked), parsed(b, asked)
    found = compare(one, other, asked, accept=accept)
    assert compare(other, one, asked, accept=accept) == found
    assert bool(found.reason) != found.equal
    return found


# Type, decimals and unit by key

STATS: dict[str, Any] = {
    "type": "mapping",
    "by_key": {
        "mean": {"type": "float", "decimals": 1, "unit": "mm"},
        "share": {"type": "percent"},
        "n": {"type": "int"},
        "day": {"type": "date"},
    },
}


@pytest.mark.parametrize(
    ("key", "a", "b", "tier"),
    [
        ("mean", 4.21, 4.2, "rounded"),
        ("mean", 4.21, "4.2 mm", "rounded"),
        ("mean", 4.21, 4.3, "none"),
        ("share", "5%", 5, "canonical"),
        ("share", 5.04, 5, "loose"),
        ("n", 7.0, 7, "canonical"),
        ("n", "7", 7, "canonical"),
        ("n", 1_000_000, 1_000_001, "none"),
        ("day", "2020-01-02", pd.Timestamp("2020-01-02"), "canonical"),
        ("other", 7.04, 7.0, "loose"),
    ],
)
def test_a_value_is_compared_as_its_key_says(key: str, a: object, b: object, tier: Tier) -> None:
    base = {"mean": 4.2, "share": 5.0, "n": 7, "day": "2020-01-02"}
    assert compared({**base, key: a}, {**base, key: b}, **STATS).tier == tier
    columns: dict[str, Any] = {"type": "table", "by_key": STATS["by_key"]}
    frames = [pd.DataFrame([{"g": "x", **base, key: value}, {"g": "y", **base}], dtype=object) for value in (a, b)]
    assert compared(*frames, **columns).tier == tier
    assert compared(*frames, **columns, ordered_rows=True).tier == tier


def test_keys_are_found_as_equal_keys_are() -> None:
    by_key = {"Mean": {"type": "float", "decimals": 1}, "2020": {"type": "int"}}
    assert compared({"mean ": 4.21, 2020: 7.0}, {"MEAN": 4.2, "2020": 7}, type="mapping", by_key=by_key).equal
    # A label that pandas has made a float is the label that it was; its form is read and compared by it.
    floated = {"1.0": {"type": "int"}}
    assert compared({"1": "7"}, {1: 7.0}, type="mapping", by_key=floated).equal
    strict: dict[str, Any] = {"type": "mapping", "by_key": by_key, "case_sensitive": True}
    assert not compared({"mean": 4.21}, {"mean": 4.2}, **strict).equal


def test_what_is_said_by_key_holds_for_the_outermost_values_only() -> None:
    inner: dict[str, Any] = {"type": "mapping", "by_key": {"mean": {"type": "float", "decimals": 1}}}
    assert not compared({"a": {"mean": 4.21}}, {"a": {"mean": 4.2}}, **inner).equal


def test_rows_without_order_are_matched_by_their_columns_rules_however_many_there_are() -> None:
    spec: dict[str, Any] = {
        "type": "table",
        "by_key": {"x": {"type": "float", "decimals": 1}, "z": {"type": "float", "scale": 1.0}},
    }
    count = 300
    assert count**2 > MAX_PAIRS
    rows = [{"x": n + 0.04, "y": float(n), "z": 1e-17} for n in range(count)]
    others = [{"x": float(n), "y": float(n), "z": -3e-18} for n in reversed(range(count))]
    assert compared(pd.DataFrame(rows), pd.DataFrame(others), **spec).tier == "tolerance"


# Floats near 0


@pytest.mark.parametrize(
    ("a", "b", "scale", "equal"),
    [
        (1e-17, 0.0, 1.0, True),
        (1e-17, -3e-18, 1.0, True),
        (1e-17, 0, 1.0, True),
        (-2.3e-13, 4.1e-13, 5000.0, True),
        # Without a scale, or where the data themselves are so small, nothing is noise.
        (1e-17, 0.0, None, False),
        (1e-9, 2e-9, 1e-9, False),
        (1e-9, 0.0, 1e-9, False),
        (1e-17, 0.0, 1e-17, False),
        (1.6e-19, 0.0, 2e-19, False),
        (1e-9, 0.0, 1.0, False),
    ],
)
def test_what_floats_of_the_data_s_size_cannot_tell_from_0_is_0(
    a: float, b: float, scale: float | None, equal: bool
) -> None:
    assert compared(a, b, type="float", scale=scale).equal == equal
    assert compared([a, 5.0], [b, 5.0], type="list", items="float", scale=scale).equal == equal
    by_key = {"r": {"type": "float", "scale": scale}}
    assert compared({"r": a, "n": 5}, {"r": b, "n": 5}, type="mapping", by_key=by_key).equal == equal
    frames = (pd.DataFrame({"r": [value, 1.5]}) for value in (a, b))
    assert compared(*frames, type="table", by_key=by_key).equal == equal


scales = st.floats(1e-30, 1e30)


@PATIENT
@given(scales, st.floats(-1, 1), st.floats(-1, 1))
def test_a_floor_is_as_large_as_the_noise_and_no_larger(scale: float, left: float, right: float) -> None:
    noise = scale * 2e-15
    assert compared(left * noise, right * noise, type="float", scale=scale).equal
    assert not compared(scale * 1e-12 * (1 + abs(left)), 0.0, type="float", scale=scale).equal


@PATIENT
@given(scales, st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False))
def test_a_scale_only_ever_adds_a_match_within_its_noise(scale: float, a: float, b: float) -> None:
    without, with_scale = compared(a, b, type="float"), compared(a, b, type="float", scale=scale)
    if without != with_scale:
        assert with_scale.tier == "tolerance"
        assert abs(Decimal(a) - Decimal(b)) <= Decimal(scale) * Decimal("4.1e-15")


def test_a_scale_changes_nothing_where_decimals_are_asked_for() -> None:
    assert not compared(0.0, 0.001, type="float", decimals=3, scale=1e30).equal


FLOAT = {"type": "float"}
INT = {"type": "int"}

WRONGLY_EQUAL: list[tuple[object, object, dict[str, Any]]] = [
    # An absolute tolerance of 0.1 said these are equal.
    (0.05, 0.14, FLOAT),
    (0.001, 0.09, FLOAT),
    (5, 5.05, FLOAT),
    (5, 5.05, {}),
    (1.0, 1.08, FLOAT),
    # … and a tolerance that knows no bool.
    (True, 0.95, FLOAT),
    (True, 0.95, {}),
    (True, 1, {}),
    (True, 1, {"type": "bool"}),
    (False, 0.0, INT),
    # "A mapping equals a scalar if any of its numbers does."
    ({"count": 5, "p": 0.01}, 5, FLOAT),
    ({"count": 5, "p": 0.01}, 5, {}),
    ({"mean": 4.6, "n": 1000}, 1000.05, FLOAT),
    # A tolerance of its own for keys that look like a p-value.
    ({"p_val": 0.04}, {"p_val": 0.13}, {"type": "mapping", "items": "float"}),
    ({"p_value": 0.0401}, {"p_value": 0.0419}, {"type": "mapping", "items": "float"}),
    # Pairs of keys swapped until something fits: groups of different names were equal.
    ({"mean1": 1.0, "mean2": 2.0}, {"mean1": 2.0, "mean2": 1.0}, {"type": "mapping"}),
    ({"group1": "a", "mean1": 1.0, "mean2": 2.0}, {"group1": "b", "mean1": 2.0, "mean2": 1.0}, {"type": "mapping"}),
    # "Some keys do not matter", and correlations were compared without their sign.
    ({"mean": 1.0, "group1": "a"}, {"mean": 1.0, "group1": "b"}, {"type": "mapping"}),
    ({"mean": 1.0, "const": 2.0}, {"mean": 1.0}, {"type": "mapping"}),
    ({"correlation": 0.5}, {"correlation": -0.5}, {"type": "mapping"}),
    # Lists of strings were also compared sorted.
    (["a", "b"], ["b", "a"], {"type": "list"}),
    # A table of two columns became a mapping and lost rows with equal keys.
    (
        pd.DataFrame({"k": ["a", "a", "b"], "v": [1, 2, 3]}),
        pd.DataFrame({"k": ["a", "b"], "v": [2, 3]}),
        {"type": "mapping"},
    ),
    # The sign was lost in reading the number out of the text.
    ("-5", "5", FLOAT),
    ("-5", "5", {}),
    # Text was searched for its first number.
    ("12 apples", "12 oranges", {"type": "int", "unit": "apples"}),
    ("12 apples", "12 oranges", {"type": "string"}),
    ("12 apples", "12 oranges", {}),
    # Rounding to the smaller number of printed decimals.
    ("64", "64.04", FLOAT),
    (64, 64.04, {}),
    # One text inside another, a similarity ratio, and comparison without punctuation.
    ("not applicable", "not", {"type": "string"}),
    ("the quick brown fox jumps over it", "the quick brown fox jumps over at", {"type": "string"}),
    ("above 1.5", "above 15", {"type": "string"}),
    ("A > 5", "A < 5", {"type": "string"}),
    ("C++", "C", {"type": "string"}),
    ("10²", "102", {"type": "string"}),
    # A per cent sign that was ignored, or taken for a hundredth without being asked to.
    ("5%", 5, FLOAT),
    ("5%", 0.05, FLOAT),
    ("60%", 60, {}),
    (5, 0.05, {"type": "percent"}),
    ("5%", 5, {"type": "percent", "unit": "ratio"}),
    # Rounding that had to be to the decimals of the question.
    (34.6, 34.65, {"type": "float", "decimals": 2}),
    (0.124, 0.126, {"type": "float", "decimals": 2}),
    # Five significant digits, one per cent, three per cent.
    (123_456, 123_457, INT),
    (1_000_000_000, 1_000_000_001, INT),
    (1_000_000_000, 1_000_000_001, FLOAT),
    (2**64, 2**64 + 1, INT),
    # A count and a float that is nearly it, where no type says that room is meant.
    (1_000_000, 1_000_000.5, {}),
    (100.0, 100.9, FLOAT),
    (100.0, 102.9, FLOAT),
    (1e-9, 2e-9, FLOAT),
    (0.0, 5e-7, FLOAT),
    # A currency or a unit that was stripped whatever it was.
    ("$5", "€5", {"type": "float", "unit": "USD"}),
    ("5 mW", "5 MW", {"type": "float", "unit": "MW"}),
    # Two texts that are one number are two answers where text is asked for (house numbers, codes).
    ("1.00", "1", {"type": "string"}),
    ("12.50", "12.5", {"type": "string"}),
    ("007", "7", {"type": "string"}),
    ("12.5", 12.5, {}),
    # Sets and lists of other lengths, partial overlap.
    ({"a", "b"}, {"a"}, {"type": "set"}),
    (["a", "a"], ["a"], {"type": "list"}),
    ([1, 2, 3], [1, 2], {"type": "list"}),
    ([], [[]], {}),
    ({1, 2}, [1, 2], {}),
    # Missing is not zero, not empty and not a text.
    (float("nan"), 0.0, FLOAT),
    # NaN and infinity verify nothing: traces that all divide by zero agree on no answer.
    (float("nan"), float("nan"), FLOAT),
    (float("nan"), float("nan"), {}),
    (float("inf"), float("inf"), FLOAT),
    ([1.0, float("nan")], [1.0, float("nan")], {"type": "list", "items": "float"}),
    ({"a": {"b": float("nan")}}, {"a": {"b": float("nan")}}, {"type": "mapping"}),
    ({1.0, float("inf")}, {1.0, float("inf")}, {"type": "set"}),
    (pd.DataFrame({"a": [1.0, float("inf")]}), pd.DataFrame({"a": [1.0, float("inf")]}), {"type": "table"}),
    (float("inf"), None, {}),
    (float("nan"), None, {}),
    (float("inf"), float("-inf"), FLOAT),
    (float("inf"), 1e308, FLOAT),
    ("", "nan", {"type": "string"}),
    # Days and moments.
    (pd.Timestamp("2020-01-31"), pd.Timestamp("2020-01-30"), {"type": "date"}),
    (pd.Timestamp("2020-01-31 10:00"), pd.Timestamp("2020-01-31"), {"type": "date"}),
    ("01/02/2020", "02/01/2020", {"type": "date"}),
    (pd.Timestamp("2020-01-31", tz="UTC"), pd.Timestamp("2020-01-31"), {}),
    (pd.Timestamp(1), pd.Timestamp(2), {}),
    # Rows: order where it counts, repeats, another name, another label.
    (
        pd.DataFrame({"a": [1, 2]}),
        pd.DataFrame({"a": [2, 1]}),
        {"type": "table", "ordered_rows": True},
    ),
    (pd.DataFrame({"a": [1, 1, 2]}), pd.DataFrame({"a": [1, 2, 2]}), {"type": "table"}),
    (pd.DataFrame({"a": [1], "b": [2]}), pd.DataFrame({"a": [2], "b": [1]}), {"type": "table"}),
    (pd.DataFrame({"a": [1]}), pd.DataFrame({"b": [1]}), {"type": "table"}),
    (pd.DataFrame({"a": [1, 2]}, index=["x", "y"]), pd.DataFrame({"a": [1, 2]}, index=["y", "x"]), {"type": "table"}),
    (pd.DataFrame({"a": [1]}, index=[2001]), pd.DataFrame({"a": [1]}, index=[2002]), {"type": "table"}),
    (pd.DataFrame(columns=["a"]), pd.DataFrame(columns=["b"]), {"type": "table"}),
    (pd.DataFrame({"a": ["x", None]}), pd.DataFrame({"a": ["x", "None"]}), {"type": "table"}),
]


@pytest.mark.parametrize(("a", "b", "spec"), WRONGLY_EQUAL)
def test_answers_that_other_comparators_wrongly_called_equal(a: object, b: object, spec: dict[str, Any]) -> None:
    found = compared(a, b, **spec)
    assert not found.equal, found
    assert found.reason.endswith(".")


WRONGLY_DIFFERENT: list[tuple[object, object, dict[str, Any], Tier]] = [
    # An absolute tolerance is too narrow for large floats.
    (1e9, 1e9 + 1, FLOAT, "tolerance"),
    (34.65, 34.650001, FLOAT, "tolerance"),
    # NaN where the other answer says that a value is missing.
    ([1.0, float("nan")], [1.0, None], {"type": "list", "items": "float"}, "canonical"),
    ({"a": float("nan")}, {"a": None}, {"type": "mapping"}, "canonical"),
    # A category of whole numbers with gaps: pandas prints 1.0, a person says 1.
    ("1.0", "1", {"type": "string"}, "canonical"),
    ("1.0", 1, {"type": "string"}, "canonical"),
    ("-2.0", -2.0, {"type": "string"}, "canonical"),
    (["1.0", "2.0"], [1, "2"], {"type": "list", "items": "string"}, "canonical"),
    ({"1.0", "2.0"}, {1.0, 2}, {"type": "set", "items": "string"}, "canonical"),
    ({"1.0": 5, "2.0": 6}, {1: 5, "2": 6}, {"type": "mapping"}, "canonical"),
    (pd.Series([5, 6], index=[1.0, 2.0]), {"1.0": 5, "2": 6}, {"type": "mapping", "items": "int"}, "canonical"),
    # A number in quotes, where a number is asked for.
    ("12.5", 12.5, FLOAT, "canonical"),
    # Case, dashes, quotes and blanks.
    ("Male", "male", {"type": "string"}, "canonical"),
    ("2010\u20132020", "2010-2020", {"type": "string"}, "canonical"),
    # An exact hash of the printed value told 1 from 1.0.
    (1, 1.0, FLOAT, "canonical"),
    (1, 1.0, {}, "canonical"),
    (1, 1.0, INT, "canonical"),
    # A decimal comma, an exponent, thousands.
    ("0.99", "0,99", FLOAT, "canonical"),
    ("1e5", "100000", FLOAT, "canonical"),
    ("1,234", 1234, INT, "canonical"),
    ("$1,234.50", 1234.5, {"type": "float", "unit": "USD"}, "canonical"),
    # Per cent against ratio, where the unit is declared.
    ("5%", 0.05, {"type": "percent", "unit": "ratio"}, "canonical"),
    ("5%", 5.0, {"type": "percent"}, "canonical"),
    ("5 %", 5, {"type": "float", "unit": "%"}, "canonical"),
    # Zero as a reference, which a relative error cannot be divided by.
    (0, 0.0, FLOAT, "canonical"),
    (0.0, -0.0, FLOAT, "exact"),
    (0.001, 0.0, {"type": "float", "decimals": 2}, "rounded"),
    # The same value, rounded by different rules or not at all.
    (2.675, 2.68, {"type": "float", "decimals": 2}, "rounded"),
    (2.675, 2.67, {"type": "float", "decimals": 2}, "rounded"),
    (0.5, 0.0, {"type": "float", "decimals": 0}, "rounded"),
    (0.1 + 0.2, 0.3, {"type": "float", "decimals": 1}, "rounded"),
    (-2.675, -2.68, {"type": "float", "decimals": 2}, "rounded"),
    (-2.675, -2.67, {"type": "float", "decimals": 2}, "rounded"),
    # More decimals asked for than a float of that size has: its last unit is noise.
    (123456.1, math.nextafter(123456.1, math.inf), {"type": "float", "decimals": 12}, "rounded"),
    # Any order in a set, numbers included.
    ([3.0000001, 1, 2], {1, 2, 3.0}, {"type": "set", "items": "float"}, "tolerance"),
    # Keys: one text, whether written as a number or a string.
    ({1: 0.5}, {"1": 0.5}, {"type": "mapping"}, "canonical"),
    ({"A": 1, "b": 2}, {"B": 2, "a": 1}, {"type": "mapping"}, "canonical"),
    (pd.Series([1.0], index=[pd.Timestamp("2020-01-31")]), {"2020-01-31": 1.0}, {"type": "mapping"}, "canonical"),
    # A midnight is its day.
    (pd.Timestamp("2020-01-31"), "2020-01-31", {"type": "date"}, "canonical"),
    (datetime(2020, 1, 31, 10, tzinfo=UTC), pd.Timestamp("2020-01-31 11:00", tz="Europe/Paris"), {}, "exact"),
    # Tables: row order, column order, the two ways pandas writes a missing value.
    (pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"a": [2, 1]}), {"type": "table"}, "exact"),
    (pd.DataFrame({"a": [1], "b": ["x"]}), pd.DataFrame({"b": ["x"], "a": [1]}), {"type": "table"}, "canonical"),
    (
        pd.DataFrame({"a": ["x", None]}, dtype=object),
        pd.DataFrame({"a": ["x", float("nan")]}, dtype=object),
        {"type": "table"},
        "canonical",
    ),
    (
        pd.DataFrame({"g": ["b", "a"], "m": [2.004, 1.0]}),
        pd.DataFrame({"g": ["a", "b"], "m": [1, 2.0]}),
        {"type": "table", "decimals": 2},
        "rounded",
    ),
    # A scalar in a box.
    (pd.DataFrame({"x": [7]}), 7, INT, "canonical"),
    (np.array([7.0]), 7.0, FLOAT, "canonical"),
    (np.float32(0.1), 0.1, {"type": "float", "decimals": 2}, "rounded"),
]


@pytest.mark.parametrize(("a", "b", "spec", "tier"), WRONGLY_DIFFERENT)
def test_answers_that_other_comparators_wrongly_called_different(
    a: object, b: object, spec: dict[str, Any], tier: Tier
) -> None:
    assert compared(a, b, **spec) == Comparison(True, tier, "")


# Rounding and tolerance


half_way = st.tuples(st.integers(-(10**9), 10**9), st.integers(0, 5)).map(
    lambda drawn: (2 * drawn[0] + 1) / (2 * 10 ** drawn[1])
)


@PATIENT
@given(st.floats(-1e9, 1e9) | half_way, st.integers(0, 5))
def test_every_usual_rounding_of_a_value_equals_the_value(value: float, decimals: int) -> None:
    step = Decimal(1).scaleb(-decimals)
    exact = Decimal(repr(value))
    roundings: list[object] = [
        float(exact.quantize(step, ROUND_HALF_UP)),
        float(exact.quantize(step, ROUND_HALF_EVEN)),
        round(value, decimals),
        f"{value:.{decimals}f}",
        float(np.round(value, decimals)),
    ]
    for rounded in roundings:
        assert compared(value, rounded, type="float", decimals=decimals).equal, rounded


@PATIENT
@given(st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9), st.integers(0, 5))
def test_different_steps_are_never_equal_after_rounding(a: int, b: int, decimals: int) -> None:
    assume(a != b)
    scale = 10**decimals
    assert not compared(a / scale, b / scale, type="float", decimals=decimals).equal
    # Half-way values a step apart share a neighbour, and are two answers all the same.
    half_a, half_b = (a * 2 + 1) / (2 * scale), (b * 2 + 1) / (2 * scale)
    assert not compared(half_a, half_b, type="float", decimals=decimals).equal


@PATIENT
@given(st.integers(-(10**9), 10**9), st.integers(0, 5))
def test_half_way_values_next_to_each_other_are_two_answers(step: int, decimals: int) -> None:
    """Each may be rounded to the step between them; that makes them no more alike than any two a step apart."""
    scale = 10**decimals
    low, high = (2 * step + 1) / (2 * scale), (2 * step + 3) / (2 * scale)
    assert not compared(low, high, type="float", decimals=decimals).equal
    assert compared(low, low, type="float", decimals=decimals).equal
    between = (step + 1) / scale
    for half in (low, high):
        assert compared(half, between, type="float", decimals=decimals).equal


@pytest.mark.parametrize(
    ("value", "given", "equal"),
    [
        (0.125, 0.12, True), (0.125, 0.13, True), (0.125, 0.11, False), (0.125, 0.14, False),
        (-0.125, -0.12, True), (-0.125, -0.13, True), (-0.125, -0.14, False), (-0.125, 0.13, False),
        (0.1250001, 0.12, False), (0.1250001, 0.13, True), (0.1249999, 0.12, True), (0.1249999, 0.13, False),
        (2.5, 2.0, True), (2.5, 3.0, True), (0.1 + 0.2 + 0.05, 0.35, True),
    ],
)  # fmt: skip
def test_only_a_half_way_value_has_two_roundings(value: float, given: float, equal: bool) -> None:
    decimals = 0 if value == 2.5 else 2
    assert compared(value, given, type="float", decimals=decimals).equal is equal


@pytest.mark.parametrize("given", [0.3, 0.4])
def test_a_value_is_half_way_as_far_as_a_float_can_tell(given: float) -> None:
    """The order of a sum decides whether it comes out a hair above."""
    noisy = 0.1 + 0.2 + 0.05
    assert noisy > 0.35
    assert compared(noisy, given, type="float", decimals=1).equal
    assert not compared(noisy + 1e-9, 0.3, type="float", decimals=1).equal


@PATIENT
@given(st.floats(1e-300, 1e300), st.sampled_from([None, 0, 2]))
def test_the_sign_is_never_lost(value: float, decimals: int | None) -> None:
    if decimals is None or round(value, decimals) > 0:
        assert not compared(value, -value, type="float", decimals=decimals).equal
        assert compared(value, -value, type="float", decimals=decimals).tier == "none"


@PATIENT
@given(st.floats(1e-300, 1e300), st.floats(-0.9e-6, 0.9e-6))
def test_tolerance_is_relative_at_every_size(value: float, shift: float) -> None:
    assert compared(value, value * (1 + shift), type="float").equal


@PATIENT
@given(st.floats(1e-300, 1e300), st.floats(1.1e-6, 0.009), st.booleans())
def test_a_loose_match_is_recorded_and_does_not_verify(value: float, shift: float, up: bool) -> None:
    other = value * (1 + shift) if up else value * (1 - shift)
    found = compared(value, other, type="float")
    assert (found.equal, found.tier) == (False, "loose")
    assert compared(value, other, type="float", accept="loose").equal
    assert not compared(value, other, type="float", accept="rounded").equal


def test_accept_names_the_loosest_tier_that_counts() -> None:
    pairs: list[tuple[object, object, Tier]] = [
        (1.0, 1.0, "exact"),
        (1, 1.0, "canonical"),
        (1.0, 1.0000001, "tolerance"),
        (1.0, 1.001, "loose"),
    ]
    for (a, b, tier), accept in itertools.product(pairs, TIERS[:-1]):
        found = compared(a, b, accept=accept, type="float")
        assert found.tier == tier
        assert found.equal == (rank(tier) <= rank(accept))


def test_case_counts_where_the_question_says_so() -> None:
    assert not compared("Male", "male", type="string", case_sensitive=True).equal
    assert not compared({"A": 1}, {"a": 1}, type="mapping", case_sensitive=True).equal
    assert not compared({"A"}, {"a"}, type="set", case_sensitive=True).equal


def test_the_reason_names_the_place_and_both_values() -> None:
    found = compared({"a": [1, 2]}, {"a": [1, 3]})
    assert found.reason == "At ['a'][1]: 2 and 3 differ."
    assert compared([1, "x"], [1, True]).reason == 'At [1]: true is a bool and "x" is a string.'
    assert compared({"a", "b"}, {"a", "c"}).reason == '"b" is found 1 and 0 times.'


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("value", "decimals", "roundings", "others"),
    [
        (0.5, 0, (0, 1), (2, -1)),
        (1.5, 0, (1, 2), (0, 3)),
        (2.5, 0, (2, 3), (1, 4)),
        (0.125, 2, (0.12, 0.13), (0.11, 0.14)),
        (1.005, 2, (1.0, 1.01), (0.99, 1.02)),
        (2.675, 2, (2.67, 2.68), (2.66, 2.69)),
        # Half way but for the noise of a float, and not half way at all.
        (2.4999999999999996, 0, (2, 3), (1, 4)),
        (2.5000000000000004, 0, (2, 3), (1, 4)),
        (2.4999999, 0, (2,), (3, 1)),
        (2.5000001, 0, (3,), (2, 4)),
        (2.4, 0, (2,), (1, 3)),
        (2.6, 0, (3,), (2, 4)),
    ],
)
def test_a_half_way_value_is_rounded_either_way_and_no_further(
    value: float, decimals: int, roundings: tuple[float, ...], others: tuple[float, ...], sign: int
) -> None:
    for other, equal in [(each, True) for each in roundings] + [(each, False) for each in others]:
        found = compared(sign * value, sign * float(other), type="float", decimals=decimals)
        assert found.equal == equal, other
        assert not equal or found.tier == "rounded"


def test_two_half_way_values_a_step_apart_stay_different() -> None:
    assert not compared(0.5, 1.5, type="float", decimals=0).equal
    assert not compared(-0.5, 0.5, type="float", decimals=0).equal
    assert compared(0.5, 0.5000000000000001, type="float", decimals=0).equal


def test_an_int_has_no_noise() -> None:
    """A whole number of any length is what it is."""
    assert not compared(10**17, float(10**17 + 16), type="float", decimals=0).equal
    assert compared(float(10**17), float(10**17 + 16), type="float", decimals=0).equal


# Laws

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from(
        [1e-17, -3e-18, 1.0, 1.0000005, 1.000001, 1.0000015, 0.125, 0.12, 0.13, float("nan"), float("inf"), 2**70]
    )
    | st.floats()
    | st.sampled_from(["a", "A", " a", "1", "1.0", "true", "2020-01-31", "5%", "x²"])
    | st.dates()
    | st.datetimes()
    | st.timedeltas()
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["a", "A", "b", "1"]), inner, max_size=3)
        | st.dictionaries(st.sampled_from([1, 1.5, "1"]), inner, max_size=3)
    ),
    max_leaves=10,
)
sets = st.frozensets(st.sampled_from([1, 1.5, 1.0000005, 1.000001, "a", "A", "b"]), max_size=5)
tables = st.integers(1, 3).flatmap(
    lambda width: st.lists(st.lists(scalars, min_size=width, max_size=width), max_size=5).map(
        lambda rows: pd.DataFrame(rows, columns=list("abc")[:width], dtype=object)
    )
)
specs = st.builds(
    AnswerSpec,
    type=st.sampled_from(
        ["bool", "int", "float", "percent", "date", "string", "list", "set", "mapping", "table", "any"]
    ),
    decimals=st.none() | st.integers(0, 3),
    unit=st.sampled_from([None, "%"]),
    items=st.sampled_from([None, "int", "float", "string"]),
    case_sensitive=st.booleans(),
    ordered_rows=st.booleans(),
    by_key=st.dictionaries(
        st.sampled_from(["a", "b", "1", "1.5"]),
        st.builds(
            ValueSpec,
            type=st.sampled_from(["int", "float", "date", "string", "list", "any"]),
            decimals=st.none() | st.integers(0, 3),
            scale=st.sampled_from([None, 1.0, 1e9]),
        ),
        max_size=3,
    ),
    scale=st.sampled_from([None, 1e-17, 1.0, 1e6]),
)
answers = values | sets | tables


@PATIENT
@given(answers, specs)
def test_every_comparable_answer_equals_itself(value: object, spec: AnswerSpec) -> None:
    answer = parsed(value, spec)
    again = parsed(value, spec)
    found = compare(answer, again, spec, accept="canonical")
    assert found.equal == (not unsound(answer.node))
    assert not found.equal or found.tier == ("canonical" if answer.coercions else "exact")
    assert matches_itself(answer, spec).equal == answer.usable


@PATIENT
@given(answers, answers, specs, st.sampled_from(TIERS[:-1]))
def test_comparison_is_symmetric_and_says_why(a: object, b: object, spec: AnswerSpec, accept: Tier) -> None:
    one, other = parsed(a, spec), parsed(b, spec)
    found = compare(one, other, spec, accept=accept)
    assert found == compare(other, one, spec, accept=accept)
    assert bool(found.reason) != found.equal
    assert found.equal == (rank(found.tier) <= rank(accept))
    if one.kind != other.kind and not {one.kind, other.kind} <= {"int", "float"} | {"date", "datetime"}:
        assert found.tier == "none"


@settings(PATIENT, max_examples=40)
@given(st.lists(values, max_size=6), st.randoms(use_true_random=False), specs)
def test_the_order_of_rows_does_not_matter_and_one_changed_cell_does(
    cells: list[object], shuffle: random.Random, spec: AnswerSpec
) -> None:
    spec = spec.model_copy(update={"type": "table", "ordered_rows": False})
    frame = pd.DataFrame({"a": pd.Series(cells, dtype=object), "n": range(len(cells))})
    mixed = frame.iloc[shuffle.sample(range(len(cells)), len(cells))].reset_index(drop=True)
    assume(not unsound(parsed(frame, spec).node))
    found = compare(parsed(frame, spec), parsed(mixed, spec), spec)
    assert found.tier == ("canonical" if parsed(frame, spec).coercions else "exact")
    if cells:
        mixed.loc[0, "n"] = 1000
        assert not compare(parsed(frame, spec), parsed(mixed, spec), spec).equal


@PATIENT
@given(st.lists(st.floats(0.1, 1e6), min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_a_shuffled_table_with_noise_still_matches(numbers: list[float], shuffle: random.Random) -> None:
    frame = pd.DataFrame({"x": numbers})
    noisy = frame.iloc[shuffle.sample(range(len(numbers)), len(numbers))] * (1 + shuffle.uniform(-5e-7, 5e-7))
    assert compared(frame, noisy.reset_index(drop=True), type="table").equal


# Unordered matching


def test_elements_are_matched_as_a_whole_and_not_one_after_the_other() -> None:
    # 1.0 fits both on the right; taken by the nearer one first, the other element would be left alone.
    left = [1.0, 1 + 1.5e-6]
    right = [1 + 0.8e-6, 1 - 0.5e-6]
    for a, b in itertools.product(itertools.permutations(left), itertools.permutations(right)):
        assert compared(list(a), list(b), type="set", items="float") == Comparison(True, "tolerance")
    assert not compared(left, [1 + 0.8e-6, 1 + 3e-6], type="set", items="float").equal


@PATIENT
@given(st.integers(1, 5), st.data())
def test_matching_finds_the_maximum(size: int, data: st.DataObject) -> None:
    grid = data.draw(st.lists(st.lists(st.booleans(), min_size=size, max_size=size), min_size=size, max_size=size))
    edges = [[right for right in range(size) if row[right]] for row in grid]
    best = max(
        sum(grid[left][right] for left, right in enumerate(order)) for order in itertools.permutations(range(size))
    )
    assert matching_size(edges, size) == best


def test_equal_keys_are_matched_and_never_collapsed() -> None:
    one = {"t": "map", "v": [[{"t": "str", "v": "a"}, {"t": "int", "v": v}] for v in (1, 2)]}
    other = {"t": "map", "v": [[{"t": "str", "v": "a"}, {"t": "int", "v": v}] for v in (2, 1)]}
    wrong = {"t": "map", "v": [[{"t": "str", "v": "a"}, {"t": "int", "v": v}] for v in (2, 2)]}
    spec = AnswerSpec(type="mapping")
    assert compare(parse_answer(one, spec), parse_answer(other, spec), spec).equal
    assert not compare(parse_answer(one, spec), parse_answer(wrong, spec), spec).equal


# Bounds


def big_table(rows: int, *, shift: float, seed: int) -> pd.DataFrame:
    generator = np.random.default_rng(5)
    frame = pd.DataFrame({"x": generator.normal(100, 30, rows), "y": generator.normal(0, 1, rows)})
    frame = frame.sample(frac=1, random_state=seed).reset_index(drop=True)
    return frame * (1 + shift)


def test_a_large_shuffled_table_with_noise_matches() -> None:
    rows = 400
    assert rows**2 > MAX_PAIRS
    a, b = big_table(rows, shift=0.0, seed=1), big_table(rows, shift=1e-12, seed=2)
    assert compared(a, b, type="table") == Comparison(True, "tolerance")
    assert compared(a, b.round(3), type="table", decimals=2).equal is False
    assert compared(a.round(2), b, type="table", decimals=2).tier == "rounded"


def test_noise_in_one_column_does_not_upset_the_order_of_a_large_table() -> None:
    frame = pd.DataFrame({"x": [0.1] * 400, "y": [float(place) for place in range(1, 401)]})
    noise = np.random.default_rng(3).uniform(-1e-12, 1e-12, 400)
    noisy = frame.assign(x=frame.x * (1 + noise)).sample(frac=1, random_state=4).reset_index(drop=True)
    assert len(frame) ** 2 > MAX_PAIRS
    assert compared(frame, noisy, type="table") == Comparison(True, "tolerance")


def test_what_cannot_be_matched_in_bounds_is_said_and_not_guessed() -> None:
    values = [1 + place * 1e-9 for place in range(400)]
    found = compared(values, [2 * value for value in values], type="set", items="float")
    assert not found.equal
    assert "too large to compare" in found.reason


def test_the_work_of_a_hostile_comparison_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.answers.comparator.MAX_STEPS", 1000)
    nested: list[object] = [[place * 0.001] for place in range(100)]
    assert compared(nested, nested[::-1], type="set").equal
    found = compared(nested, [[place * 0.001 + 1e-12] for place in range(100)], type="set")
    assert not found.equal
    assert "more than" in found.reason


def test_opaque_values_equal_nothing() -> None:
    spec = AnswerSpec()
    thing = parse_answer({"t": "other", "v": "<Model>", "type": "x.Model"}, spec)
    assert not compare(thing, thing, spec).equal
    inside = parse_answer({"t": "list", "v": [{"t": "other", "v": "<Model>", "type": "x.Model"}]}, spec)
    assert not compare(inside, inside, spec).equal
    assert not matches_itself(inside, spec).equal


def test_numbers_of_every_size_can_be_compared() -> None:
    huge = parse_answer({"t": "decimal", "v": "1e3999"}, AnswerSpec(type="float", decimals=2))
    tiny = parse_answer({"t": "decimal", "v": "1e-3999"}, AnswerSpec(type="float", decimals=2))
    spec = AnswerSpec(type="float", decimals=2)
    assert huge.usable
    assert tiny.usable
    assert not compare(huge, tiny, spec).equal
    assert compare(tiny, parse_reference(0, spec), spec).tier == "rounded"
    assert compared([huge.node.kind], [tiny.node.kind], type="list").equal


def test_the_tier_of_a_whole_is_that_of_its_loosest_part() -> None:
    assert compared([1, "A", 2.0], [1.0, "a", 2.0000001], type="list").tier == "tolerance"
    assert compared([1, "A", 2.0], [1, "a", 2.0], type="list").tier == "canonical"
    assert weakest([]) == "exact"
    # Coercion is part of the tier, even where the values are then the same.
    assert compared("7", 7, type="int").tier == "canonical"
