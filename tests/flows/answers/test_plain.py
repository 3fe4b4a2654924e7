"""Answers written down as JSON are read back as the same answers, or not written down at all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.answers.answers import parse_answer, parse_reference
from flows.answers.comparator import compare
from flows.answers.plain import NotPlain, as_json
from flows.questions.records import AnswerSpec

Tagged = dict[str, Any]


def text(value: str) -> Tagged:
    return {"t": "str", "v": value}


def number(value: float | str) -> Tagged:
    return {"t": "float", "v": value}


@pytest.mark.parametrize(
    ("tagged", "spec", "expected"),
    [
        ({"t": "int", "v": 5}, AnswerSpec(type="int"), 5),
        ({"t": "int", "v": "123456789012345678901"}, AnswerSpec(type="int"), 123456789012345678901),
        (number(0.125), AnswerSpec(type="float", decimals=3), 0.125),
        ({"t": "bool", "v": True}, AnswerSpec(type="bool"), True),
        ({"t": "date", "v": "2020-02-29"}, AnswerSpec(type="date"), "2020-02-29"),
        ({"t": "list", "v": [text("b"), text("a")]}, AnswerSpec(type="list"), ["b", "a"]),
        ({"t": "set", "v": [text("b"), text("a")]}, AnswerSpec(type="set"), ["a", "b"]),
        ({"t": "map", "v": [[text("x"), number(1.5)]]}, AnswerSpec(type="mapping"), {"x": 1.5}),
        (
            {
                "t": "table",
                "columns": [text("g"), text("n")],
                "index": None,
                "rows": [[text("x"), {"t": "int", "v": 1}]],
            },
            AnswerSpec(type="table", columns=("g", "n")),
            [{"g": "x", "n": 1}],
        ),
    ],
)
def test_every_type_has_its_natural_form(tagged: Tagged, spec: AnswerSpec, expected: Any) -> None:
    data = as_json(parse_answer(tagged, spec), spec)
    assert data == expected
    assert json.loads(json.dumps(data)) == expected


@pytest.mark.parametrize(
    "tagged",
    [
        number("nan"),
        number("inf"),
        {"t": "list", "v": [number("nan")]},
        {"t": "map", "v": [[{"t": "int", "v": 1}, number(1.0)], [text("1"), number(2.0)]]},
    ],
)
def test_what_json_cannot_hold_is_refused(tagged: Tagged) -> None:
    spec = AnswerSpec()
    with pytest.raises(NotPlain):
        as_json(parse_answer(tagged, spec), spec)


scalars = st.one_of(
    st.integers(-(2**70), 2**70).map(lambda n: {"t": "int", "v": n if abs(n) < 2**53 else str(n)}),
    st.floats(allow_nan=False, allow_infinity=False).map(number),
    st.text(st.characters(codec="utf-8"), max_size=12).map(text),
    st.booleans().map(lambda value: {"t": "bool", "v": value}),
)


@given(st.lists(scalars, max_size=6))
def test_a_list_written_down_is_the_same_list(items: list[Tagged]) -> None:
    spec = AnswerSpec(type="list")
    answer = parse_answer({"t": "list", "v": items}, spec)
    try:
        data = json.loads(json.dumps(as_json(answer, spec)))
    except NotPlain:
        return
    assert compare(answer, parse_reference(data, spec), spec, accept="canonical").equal
