"""Typed values on the wire: what `submit` and `note` send, as plain JSON of tagged values.

| value                                  | tagged                                                                    |
|----------------------------------------|---------------------------------------------------------------------------|
| None, NaT, pd.NA                       | {"t": "none"}                                                             |
| bool                                   | {"t": "bool", "v": true}                                                  |
| int                                    | {"t": "int", "v": 5}, a string of digits beyond 2**53                     |
| float                                  | {"t": "float", "v": 0.1}, or "nan", "inf", "-inf"                         |
| str                                    | {"t": "str", "v": "…"}                                                    |
| date, datetime                         | {"t": "date", "v": "2020-01-31"}, {"t": "datetime", "v": ISO 8601}        |
| timedelta                              | {"t": "timedelta", "v": seconds}                                          |
| Decimal                                | {"t": "decimal", "v": "1.50"}                                             |
| list, tuple, array, Index, plain Series| {"t": "list", "v": [tagged, …]}                                           |
| set                                    | {"t": "set", "v": [tagged, …]}, in a fixed order                          |
| dict, Series with an index of its own  | {"t": "map", "v": [[tagged key, tagged value], …]}                        |
| DataFrame                              | {"t": "table", "columns": […], "index": […] or null, "rows": [[…], …]}    |
| anything else                          | {"t": "other", "v": repr, "type": qualified name}                         |

Scalars of numpy and pandas become the Python kind they stand for.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import sys
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, Final

Tagged = dict[str, Any]

MAX_DEPTH: Final = 32
# Bound now: a cell may replace the module's attribute.
_dumps: Final = json.dumps
_SAFE_INT: Final = 2**53
_REPR_CHARS: Final = 2_000
_MAX_DIGITS: Final = 4_000


class _TooLarge(Exception):
    """The value does not fit the budget."""


def to_tagged(value: object, max_bytes: int) -> Tagged:
    """A value as tagged JSON. Never fails for what the value is; what has no tag becomes "other".

    Args:
        value: Anything.
        max_bytes: Largest JSON text of the result. A larger value becomes "other", saying so.
    """
    try:
        tagged = _Encoder(max_bytes).encode(value, 0)
        if len(_dumps(tagged, separators=(",", ":"))) <= max_bytes:
            return tagged
    except (_TooLarge, MemoryError, RecursionError):
        pass
    except KeyboardInterrupt:
        raise
    except BaseException:
        return _other(value, safe_repr(value))
    return _other(value, f"<{type_name(value)} too large or nested too deep>")


def type_name(value: object) -> str:
    """The qualified name of a value's type."""
    # Read through `type` itself: a metaclass may answer anything for its classes' names.
    names = type.__dict__
    module = _text_or(_quietly(names["__module__"].__get__, type(value)), "?")
    name = _text_or(_quietly(names["__qualname__"].__get__, type(value)), "?")
    return _clean(name if module == "builtins" else f"{module}.{name}")[:200]


def safe_repr(value: object, max_chars: int = _REPR_CHARS) -> str:
    """`repr`, cut to a length, and a placeholder where it fails."""
    try:
        text = _text_or(repr(value), "?")
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return f"<{type_name(value)}: repr failed with {type(error).__name__}>"
    return _clean(text if len(text) <= max_chars else text[:max_chars] + "…")


def _quietly(read: Callable[[type], object], kind: type) -> object:
    try:
        return read(kind)
    except AttributeError:
        return None


def _text_or(value: object, fallback: str) -> str:
    return str.__str__(value) if isinstance(value, str) else fallback


def _clean(text: str) -> str:
    """The text without lone surrogates, which are no characters and break readers of JSON."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def _other(value: object, text: str) -> Tagged:
    return {"t": "other", "v": text, "type": type_name(value)}


class _Encoder:
    """Walks one value. The budget counts the least number of bytes each part takes, so it can only stop too late."""

    def __init__(self, max_bytes: int) -> None:
        self._left = max_bytes

    def encode(self, value: object, depth: int) -> Tagged:
        if depth > MAX_DEPTH:
            raise _TooLarge
        self._spend(12)
        plain = self._plain(value)
        if plain is not None:
            return plain
        container = self._container(value, depth)
        if container is not None:
            return container
        library = self._library(value, depth)
        if library is not None:
            return library
        return _other(value, safe_repr(value))

    def _spend(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise _TooLarge

    def _plain(self, value: object) -> Tagged | None:
        # Subclasses are read through their base's own methods: what they override must not decide what is sent.
        if value is None:
            return {"t": "none"}
        if isinstance(value, bool):
            return {"t": "bool", "v": value}
        if isinstance(value, int):
            return self._int(int.__int__(value))
        if isinstance(value, float):
            return _float(float.__float__(value))
        if isinstance(value, str):
            return self._str(str.__str__(value))
        if isinstance(value, Decimal):
            return {"t": "decimal", "v": Decimal.__str__(value)}
        return _moment(value)

    def _int(self, value: int) -> Tagged:
        if abs(value) <= _SAFE_INT:
            return {"t": "int", "v": value}
        if value.bit_length() > _MAX_DIGITS * 3:
            raise _TooLarge
        return {"t": "int", "v": str(value)}

    def _str(self, value: str) -> Tagged:
        self._spend(len(value))
        return {"t": "str", "v": _clean(value)}

    def _container(self, value: object, depth: int) -> Tagged | None:
        if isinstance(value, list):
            return self._list(list.__iter__(value), depth)
        if isinstance(value, tuple):
            return self._list(tuple.__iter__(value), depth)
        if isinstance(value, dict):
            return self._map(dict.items(value), depth)
        if isinstance(value, set):
            return self._set(set.__iter__(value), depth)
        if isinstance(value, frozenset):
            return self._set(frozenset.__iter__(value), depth)
        if isinstance(value, range | type({}.keys()) | type({}.values())):
            return self._list(iter(value), depth)
        return None

    def _list(self, values: Iterable[object], depth: int) -> Tagged:
        return {"t": "list", "v": [self.encode(item, depth + 1) for item in values]}

    def _map(self, items: Iterable[tuple[object, object]], depth: int) -> Tagged:
        return {"t": "map", "v": [[self.encode(k, depth + 1), self.encode(v, depth + 1)] for k, v in items]}

    def _set(self, values: Iterable[object], depth: int) -> Tagged:
        members = [self.encode(item, depth + 1) for item in values]
        return {"t": "set", "v": sorted(members, key=lambda member: _dumps(member, sort_keys=True))}

    def _library(self, value: object, depth: int) -> Tagged | None:
        # A value can only come from a library that is loaded already; none is imported for the question alone.
        if "pandas" in sys.modules:
            tagged = self._pandas(value, depth)
            if tagged is not None:
                return tagged
        if "numpy" in sys.modules:
            return self._numpy(value, depth)
        return None

    def _pandas(self, value: object, depth: int) -> Tagged | None:
        import pandas as pd

        if value is pd.NA or value is pd.NaT:
            return {"t": "none"}
        if isinstance(value, pd.Series):
            self._spend(12 * value.size)
            if _default_index(value.index):
                return self._list(_members(value), depth)
            return self._map(zip(_members(value.index), _members(value), strict=True), depth)
        if isinstance(value, pd.DataFrame):
            return self._table(value, depth)
        if isinstance(value, pd.Index | pd.api.extensions.ExtensionArray):
            self._spend(12 * len(value))
            return self._list(_members(value), depth)
        if isinstance(value, pd.Period | pd.Interval):
            return self._str(str(value))
        return None

    def _table(self, frame: Any, depth: int) -> Tagged:
        self._spend(12 * (frame.size + len(frame.index)))
        columns = [self.encode(name, depth + 1) for name in _members(frame.columns)]
        index = None
        if not _default_index(frame.index):
            index = [self.encode(label, depth + 1) for label in _members(frame.index)]
        by_column = [_members(frame.iloc[:, position]) for position in range(frame.shape[1])]
        rows = [[self.encode(cell, depth + 1) for cell in row] for row in zip(*by_column, strict=True)]
        if not by_column:
            rows = [[] for _ in range(len(frame.index))]
        return {"t": "table", "columns": columns, "index": index, "rows": rows}

    def _numpy(self, value: object, depth: int) -> Tagged | None:
        import numpy as np

        if isinstance(value, np.ma.MaskedArray):
            self._spend(12 * value.size)
            return self._list(np.ma.MaskedArray.tolist(value), depth)
        if isinstance(value, np.ndarray):
            if value.dtype.names is not None:
                return None
            if value.ndim == 0:
                return self.encode(value[()], depth + 1)
            self._spend(12 * value.size)
            return self._list(iter(np.asarray(value)), depth)
        if isinstance(value, np.generic):
            return self._numpy_scalar(value)
        return None

    def _numpy_scalar(self, value: Any) -> Tagged | None:
        import numpy as np

        if isinstance(value, np.bool_):
            return {"t": "bool", "v": bool(value)}
        if isinstance(value, np.integer) and not isinstance(value, np.timedelta64):
            return self._int(int(value))
        if isinstance(value, np.floating):
            return _float(float(value))
        if isinstance(value, np.datetime64 | np.timedelta64):
            return _numpy_moment(value)
        return None


def _members(values: Any) -> list[object]:
    """The members of a Series, Index or array as plain objects; pandas makes Timestamps of its moments."""
    return list(values.astype(object)) if hasattr(values, "astype") else list(values)


def _default_index(index: Any) -> bool:
    import pandas as pd

    return isinstance(index, pd.RangeIndex) and index.start == 0 and index.step == 1 and index.name is None


def _float(value: float) -> Tagged:
    if math.isnan(value):
        return {"t": "float", "v": "nan"}
    if math.isinf(value):
        return {"t": "float", "v": "inf" if value > 0 else "-inf"}
    return {"t": "float", "v": value}


def _moment(value: object) -> Tagged | None:
    # pandas' Timestamp, NaT and Timedelta are kinds of these. NaT equals nothing, itself included.
    if isinstance(value, dt.datetime | dt.date | dt.timedelta) and value != value:
        return {"t": "none"}
    if isinstance(value, dt.datetime):
        return {"t": "datetime", "v": value.isoformat()}
    if isinstance(value, dt.date):
        return {"t": "date", "v": dt.date.isoformat(value)}
    if isinstance(value, dt.timedelta):
        return {"t": "timedelta", "v": value.total_seconds()}
    if isinstance(value, dt.time):
        return {"t": "str", "v": value.isoformat()}
    return None


def _numpy_moment(value: Any) -> Tagged:
    import numpy as np

    if np.isnat(value):
        return {"t": "none"}
    if isinstance(value, np.timedelta64):
        if np.datetime_data(value)[0] in ("Y", "M", "generic"):
            return _other(value, safe_repr(value))
        return {"t": "timedelta", "v": float(value / np.timedelta64(1, "ns")) / 1e9}
    unit = np.datetime_data(value)[0]
    return {"t": "date" if unit == "D" else "datetime" if unit not in ("Y", "M", "W") else "str", "v": str(value)}
