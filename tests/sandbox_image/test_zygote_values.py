"""Typed values: every kind has its tag, no overridden method decides what is sent, nothing is too large or too odd."""

from __future__ import annotations

import datetime as dt
import enum
import json
import math
from collections import Counter, OrderedDict, namedtuple
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox_image.zygote.values import safe_repr, to_tagged
from tests.support.properties import PATIENT

MAX = 100_000


def tagged(value: object) -> Any:
    """The tagged form, through JSON as it travels."""
    return json.loads(json.dumps(to_tagged(value, MAX), allow_nan=False))


def integer(value: int) -> dict[str, Any]:
    return {"t": "int", "v": value}


def text(value: str) -> dict[str, Any]:
    return {"t": "str", "v": value}


def real(value: float | str) -> dict[str, Any]:
    return {"t": "float", "v": value}


NONE = {"t": "none"}
Pair = namedtuple("Pair", "a b")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, NONE),
        (pd.NA, NONE),
        (pd.NaT, NONE),
        (np.datetime64("NaT"), NONE),
        (np.timedelta64("NaT"), NONE),
        (True, {"t": "bool", "v": True}),
        (np.bool_(False), {"t": "bool", "v": False}),
        (5, integer(5)),
        (np.int8(-3), integer(-3)),
        (np.uint64(2**64 - 1), {"t": "int", "v": str(2**64 - 1)}),
        (2**53, integer(2**53)),
        (2**53 + 1, {"t": "int", "v": str(2**53 + 1)}),
        (-(10**30), {"t": "int", "v": str(-(10**30))}),
        (0.1, real(0.1)),
        (np.float64(0.1), real(0.1)),
        (np.float32(0.5), real(0.5)),
        (np.longdouble(2.5), real(2.5)),
        (math.nan, real("nan")),
        (np.float64("nan"), real("nan")),
        (math.inf, real("inf")),
        (-math.inf, real("-inf")),
        ("é", text("é")),
        (np.str_("x"), text("x")),
        (Decimal("1.50"), {"t": "decimal", "v": "1.50"}),
        (Decimal("NaN"), {"t": "decimal", "v": "NaN"}),
        (dt.date(2020, 1, 31), {"t": "date", "v": "2020-01-31"}),
        (np.datetime64("2020-01-31"), {"t": "date", "v": "2020-01-31"}),
        (dt.datetime(2020, 1, 31, 5), {"t": "datetime", "v": "2020-01-31T05:00:00"}),  # noqa: DTZ001
        (pd.Timestamp("2020-01-31", tz="UTC"), {"t": "datetime", "v": "2020-01-31T00:00:00+00:00"}),
        (np.datetime64("2020-01-31T05:00"), {"t": "datetime", "v": "2020-01-31T05:00"}),
        (dt.timedelta(seconds=90), {"t": "timedelta", "v": 90.0}),
        (pd.Timedelta("1h"), {"t": "timedelta", "v": 3600.0}),
        (np.timedelta64(1500, "ms"), {"t": "timedelta", "v": 1.5}),
        (dt.time(5, 30), text("05:30:00")),
        (pd.Period("2020-01", "M"), text("2020-01")),
        ([1, "a"], {"t": "list", "v": [integer(1), text("a")]}),
        ((1,), {"t": "list", "v": [integer(1)]}),
        (Pair(1, 2), {"t": "list", "v": [integer(1), integer(2)]}),
        (range(2), {"t": "list", "v": [integer(0), integer(1)]}),
        ({"k": 1}.keys(), {"t": "list", "v": [text("k")]}),
        ({1, 2}, {"t": "set", "v": [integer(1), integer(2)]}),
        (frozenset(), {"t": "set", "v": []}),
        ({"a": 1, 2: None}, {"t": "map", "v": [[text("a"), integer(1)], [integer(2), NONE]]}),
        (OrderedDict(a=1), {"t": "map", "v": [[text("a"), integer(1)]]}),
        (Counter("aa"), {"t": "map", "v": [[text("a"), integer(2)]]}),
        (np.array([1, 2]), {"t": "list", "v": [integer(1), integer(2)]}),
        (np.array(7), integer(7)),
        (
            np.array([[1], [2]]),
            {"t": "list", "v": [{"t": "list", "v": [integer(1)]}, {"t": "list", "v": [integer(2)]}]},
        ),
        (np.ma.array([1, 2], mask=[False, True]), {"t": "list", "v": [integer(1), NONE]}),
        (pd.Series([1.5, None]), {"t": "list", "v": [real(1.5), real("nan")]}),
        (pd.Series([1], index=["x"]), {"t": "map", "v": [[text("x"), integer(1)]]}),
        (pd.Series([1], index=[3]), {"t": "map", "v": [[integer(3), integer(1)]]}),
        (pd.Series([True, None], dtype="boolean"), {"t": "list", "v": [{"t": "bool", "v": True}, NONE]}),
        (pd.Index(["p", "q"]), {"t": "list", "v": [text("p"), text("q")]}),
        (pd.Categorical(["p"]), {"t": "list", "v": [text("p")]}),
        (
            pd.Series(pd.to_datetime(["2020-01-31"])),
            {"t": "list", "v": [{"t": "datetime", "v": "2020-01-31T00:00:00"}]},
        ),
    ],
)
def test_each_kind_has_its_tag(value: object, expected: Any) -> None:
    assert tagged(value) == expected


def test_tables_keep_columns_rows_and_an_index_of_their_own() -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", None]})
    assert tagged(frame) == {
        "t": "table",
        "columns": [text("a"), text("b")],
        "index": None,
        "rows": [[integer(1), text("x")], [integer(2), tagged(frame["b"][1])]],
    }
    assert tagged(frame.set_index("a"))["index"] == [integer(1), integer(2)]
    assert tagged(frame.iloc[1:])["index"] == [integer(1)]
    assert tagged(pd.DataFrame(index=range(2))) == {"t": "table", "columns": [], "index": None, "rows": [[], []]}


def test_tables_with_equal_names_keep_both_columns() -> None:
    frame = pd.DataFrame([[1, 2]], columns=["a", "a"])
    assert tagged(frame)["rows"] == [[integer(1), integer(2)]]


def test_a_grouped_table_has_tuples_for_labels() -> None:
    frame = pd.DataFrame({"a": [1], "b": ["x"], "c": [2]}).groupby(["a", "b"])["c"].sum()
    assert tagged(frame) == {"t": "map", "v": [[{"t": "list", "v": [integer(1), text("x")]}, integer(2)]]}


class Sly(int):
    def __int__(self) -> int:
        return 99

    def __repr__(self) -> str:
        return "99"


class SlyText(str):
    def __str__(self) -> str:
        return "other"


class SlyList(list[Any]):
    def __iter__(self) -> Any:
        return iter([99])


class SlyMap(dict[Any, Any]):
    def items(self) -> Any:
        return [("x", 99)]


def test_overridden_methods_decide_nothing() -> None:
    assert tagged(Sly(1)) == integer(1)
    assert tagged(SlyText("own")) == text("own")
    assert tagged(SlyList([1])) == {"t": "list", "v": [integer(1)]}
    assert tagged(SlyMap(a=1)) == {"t": "map", "v": [[text("a"), integer(1)]]}


class Color(enum.Enum):
    RED = 1


class Broken:
    def __repr__(self) -> str:
        raise SystemExit("no")


class Bare:
    __slots__ = ()

    def __repr__(self) -> str:
        return "bare" * 10_000


@pytest.mark.parametrize("value", [Color.RED, Broken(), Bare(), object(), 3j, b"bytes", Fraction(1, 2), len, type, ...])
def test_anything_else_is_other(value: object) -> None:
    answer = tagged(value)
    assert answer["t"] == "other"
    assert len(answer["v"]) < 3_000
    assert answer["type"]


def test_a_repr_that_fails_is_named() -> None:
    assert "repr failed with SystemExit" in tagged(Broken())["v"]


def endless() -> list[Any]:
    loop: list[Any] = []
    loop.append(loop)
    return loop


def bushy() -> list[Any]:
    node: list[Any] = []
    for _ in range(40):
        node = [node, node]
    return node


@pytest.mark.parametrize(
    "value",
    [
        endless(),
        bushy(),
        list(range(MAX)),
        "x" * (MAX + 1),
        "é" * MAX,
        10**5_000,
        np.zeros(10**8, dtype="int8"),
        pd.DataFrame(np.zeros((10_000, 100))),
        {number: str(number) for number in range(50_000)},
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_too_large_says_so_and_stays_small(value: object) -> None:
    answer = to_tagged(value, MAX)
    assert answer["t"] == "other"
    assert "too large" in answer["v"]


def test_lone_surrogates_become_text() -> None:
    assert tagged("a\ud800b") == text("a\\ud800b")
    assert tagged({"\udfff": 1})["v"][0][0] == text("\\udfff")


def test_an_interrupt_is_not_swallowed() -> None:
    class Stopping:
        def __repr__(self) -> str:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        safe_repr(Stopping())
    with pytest.raises(KeyboardInterrupt):
        to_tagged([Stopping()], MAX)


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates() | st.decimals() | st.binary()
hashable = st.none() | st.booleans() | st.integers() | st.text()
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(hashable, inner) | st.sets(hashable, max_size=5)
    ),
    max_leaves=30,
)


def back(data: Any) -> object:
    """The Python value a tagged one stands for."""
    kind, value = data["t"], data.get("v")
    if kind == "float":
        return float(value)
    if kind == "int":
        return int(value)
    if kind == "list":
        return [back(item) for item in value]
    if kind == "set":
        return sorted(json.dumps(item, sort_keys=True) for item in value)
    if kind == "map":
        return [(back(key), back(item)) for key, item in value]
    return value


def plain(value: object) -> object:
    """The same, straight from the value."""
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, set):
        return sorted(json.dumps(tagged(item), sort_keys=True) for item in value)
    if isinstance(value, dict):
        return [(plain(key), plain(item)) for key, item in value.items()]
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, bytes):
        return repr(value)
    return value


@PATIENT
@given(anything)
def test_values_come_back(value: object) -> None:
    assert repr(back(tagged(value))) == repr(plain(value))


@PATIENT
@given(anything, st.integers(200, 3_000))
def test_the_size_limit_always_holds(value: object, limit: int) -> None:
    answer = to_tagged(value, limit)
    assert len(json.dumps(answer, separators=(",", ":"))) <= max(limit, 3_000)


@PATIENT
@given(st.lists(st.text() | st.none(), unique=True))
def test_sets_are_sent_in_one_order(values: list[Any]) -> None:
    backwards = values[::-1]
    assert to_tagged(set(values), MAX) == to_tagged(set(backwards), MAX)
