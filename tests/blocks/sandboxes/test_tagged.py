"""Tagged values: every well-formed one passes unchanged, everything else is refused without harm."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.sandboxes.tagged import MAX_DEPTH, check_tagged

LEAVES: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({"t": "none"}),
    st.booleans().map(lambda v: {"t": "bool", "v": v}),
    st.integers(-(2**53), 2**53).map(lambda v: {"t": "int", "v": v}),
    st.integers().map(lambda v: {"t": "int", "v": str(v)}),
    st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(["nan", "inf", "-inf"])).map(
        lambda v: {"t": "float", "v": v}
    ),
    st.text().map(lambda v: {"t": "str", "v": v}),
    st.text().map(lambda v: {"t": "other", "v": v, "type": "x.Y"}),
)


def branches(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    lists = st.lists(inner, max_size=4)
    return st.one_of(
        lists.map(lambda v: {"t": "list", "v": v}),
        lists.map(lambda v: {"t": "set", "v": v}),
        st.lists(st.tuples(inner, inner).map(list), max_size=3).map(lambda v: {"t": "map", "v": v}),
        lists.map(lambda row: {"t": "table", "columns": row, "index": None, "rows": [row, row]}),
    )


TAGGED = st.recursive(LEAVES, branches, max_leaves=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["t", "v", "type", "x"]), inner),
    max_leaves=10,
)


@given(TAGGED)
def test_well_formed_values_pass(value: dict[str, Any]) -> None:
    assert check_tagged(value) is value


@given(JSON)
def test_anything_else_is_a_value_error_and_nothing_worse(value: Any) -> None:
    try:
        check_tagged(value)
    except ValueError:
        return
    assert isinstance(value, dict)
    assert isinstance(value["t"], str)


@pytest.mark.parametrize(
    "value",
    [
        {"t": "bool", "v": 1},
        {"t": "int", "v": True},
        {"t": "int", "v": 1.0},
        {"t": "int", "v": "1e3"},
        {"t": "int", "v": "１"},
        {"t": "float", "v": "NaN"},
        {"t": "float", "v": True},
        {"t": "str", "v": 1},
        {"t": "none", "v": None},
        {"t": "str", "v": "", "extra": 1},
        {"t": "list", "v": [1]},
        {"t": "map", "v": [[{"t": "none"}]]},
        {"t": "table", "columns": [], "index": None, "rows": [[{"t": "none"}]]},
        {"t": "table", "columns": [], "index": [], "rows": [[]]},
        {"t": ["list"], "v": []},
        {"t": "pickle", "v": ""},
        [],
        None,
    ],
)
def test_near_misses_are_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        check_tagged(value)


def test_depth_is_bounded() -> None:
    value: dict[str, Any] = {"t": "none"}
    for _ in range(MAX_DEPTH - 1):
        value = {"t": "list", "v": [value]}
    assert check_tagged(value) is value
    with pytest.raises(ValueError, match="nested"):
        check_tagged({"t": "list", "v": [value]})
