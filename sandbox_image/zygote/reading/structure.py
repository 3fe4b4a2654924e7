"""Goes through all records of a table: each has as many fields as there are columns, and quotation marks close.

A regular table is looked at with array operations, some hundred megabytes a second. One that is written in an unusual
way is read record by record and written anew in the usual one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from sandbox_image.zygote.reading.dialect import Dialect
from sandbox_image.zygote.reading.layout import Layout
from sandbox_image.zygote.reading.naming import several
from sandbox_image.zygote.reading.records import LINE_END, Body, Structure, look_like_rows, swallowed
from sandbox_image.zygote.reading.rewriting import Rewriting

if TYPE_CHECKING:
    import numpy as np

    Bytes = np.ndarray[Any, np.dtype[np.uint8]]
    Flags = np.ndarray[Any, np.dtype[np.bool_]]
    Places = np.ndarray[Any, np.dtype[np.int64]]

_CHUNK: Final = 1 << 20
_LF, _CR, _ZERO, _NINE, _PLUS, _MINUS, _DOT, _E = 10, 13, 48, 57, 43, 45, 46, 101
_SPACE, _TAB = 32, 9
_LONG_INTEGER: Final = 16
_MOST_BLANKS: Final = 64


class _Irregular(Exception):
    """The table must be read record by record."""


def examine(body: Body, dialect: Dialect, layout: Layout) -> Structure:
    """Check every record.

    Raises:
        LoadError: One has more or fewer fields than there are columns, or a quotation mark that opens is not closed.
    """
    width = len(layout.names) + layout.trailing
    plain = (
        dialect.delimiter.isascii() and not dialect.escape and not dialect.skip_blanks and dialect.quote in ('"', "")
    )
    if plain and width > 1 and dialect.delimiter:
        try:
            return _Fast(body, dialect, layout, width).run()
        except _Irregular:
            pass
    return Rewriting(body, dialect, layout, width).run()


class _Fast:
    """A table in which every record has the same fields, and quotation marks stand around fields only."""

    def __init__(self, body: Body, dialect: Dialect, layout: Layout, width: int) -> None:
        self.body = body
        self.delimiter = ord(dialect.delimiter)
        self.quote = ord(dialect.quote) if dialect.quote else -1
        self.found = Structure(body.data, dialect.delimiter, dialect.quote, width)
        self.kinds = [*layout.kinds, *(["word"] * layout.trailing)]
        self.broken: list[int] = []
        self.blank = 0
        self.returns = False
        # A column that begins with words or dates is no number, whatever follows.
        self.open = [at for at in range(width) if at not in layout.spoken]
        self.one: set[int] = set()
        self.two: set[int] = set()

    def run(self) -> Structure:
        import numpy as np

        data = self.body.data
        at = 0
        while at < len(data):
            size = _CHUNK
            while True:
                piece = np.frombuffer(data[at : at + size], dtype=np.uint8)
                done = self._chunk(piece, at, last=at + size >= len(data))
                if done or at + size >= len(data):
                    break
                size *= 2
            at += done or len(piece)
        self.found.as_text |= self.one & self.two
        if self.broken:
            self._note_broken()
        if self.blank and self.found.rows:
            self.found.notes.append(f"{several(self.blank, 'empty line')} left out.")
        return self.found

    def _chunk(self, piece: Bytes, at: int, *, last: bool) -> int:
        """Look at whole records; the bytes they take, 0 where none ends in the piece."""
        import numpy as np

        ends = piece == _LF
        self.returns = bool((piece == _CR).any())
        if self.returns:
            lone = piece == _CR
            lone[:-1] &= piece[1:] != _LF
            if not last:
                lone[-1] = False
            ends |= lone
        if last and not ends[-1:].any():
            # The last record has no line end.
            piece = np.concatenate([piece, np.array([_LF], dtype=np.uint8)])
            ends = np.concatenate([ends, np.array([True])])
        inner = ends
        if self.quote >= 0 and (piece == self.quote).any():
            inside = self._inside(piece)
            broken = ends & inside
            ends = ends & ~inside
            separators = (piece == self.delimiter) & ~inside | ends
            inner = broken
        else:
            separators = (piece == self.delimiter) | ends
            inner = np.zeros(0, dtype=bool)
        stops = np.flatnonzero(ends)
        if not stops.size:
            if last:
                raise _Irregular
            return 0
        done = int(stops[-1]) + 1
        if inner.size:
            self._remember_broken(np.flatnonzero(inner[:done]), stops, at)
        self._fields(piece[:done], np.flatnonzero(separators[:done]), stops)
        return min(done, len(self.body.data) - at)

    def _inside(self, piece: Bytes) -> Flags:
        """Where quotation marks enclose: they must open at a field's beginning and close at its end."""
        import numpy as np

        marks = piece == self.quote
        places = np.flatnonzero(marks)
        edge = (piece == self.delimiter) | (piece == _LF) | (piece == _CR) | marks
        opening, closing = places[0::2], places[1::2]
        before, after = opening[opening > 0] - 1, closing[closing + 1 < len(piece)] + 1
        if not edge[before].all() or not edge[after].all():
            raise _Irregular
        # A mark that opens right after one that closes is the second of a pair, within the same field.
        inside: Flags = np.bitwise_and(np.cumsum(marks, dtype=np.uint8), 1).astype(bool)
        return inside

    def _fields(self, piece: Bytes, places: Places, stops: Places) -> None:
        import numpy as np

        width = self.found.width
        starts = np.empty_like(places)
        starts[:1] = 0
        np.add(places[:-1], 1, out=starts[1:])
        ends = places
        if self.returns:
            ends = places - ((piece[places - 1] == _CR) & (piece[places] == _LF) & (places > 0))
        if len(places) != width * len(stops) or (places[width - 1 :: width] != stops).any():
            starts, ends = self._without_blank_lines(places, stops, starts, ends)
        rows = len(starts) // width
        self.found.rows += rows
        if rows:
            self._look(piece, starts.reshape(rows, width), ends.reshape(rows, width))

    def _without_blank_lines(
        self, places: Places, stops: Places, starts: Places, ends: Places
    ) -> tuple[Places, Places]:
        """The fields of all records but the empty ones; another record with too few or too many is none for us."""
        import numpy as np

        last_of = np.searchsorted(places, stops)
        widths = np.diff(last_of, prepend=-1)
        odd = np.flatnonzero(widths != self.found.width)
        single = last_of[odd]
        if (widths[odd] != 1).any() or (ends[single] > starts[single]).any():
            raise _Irregular
        self.blank += len(odd)
        keep = np.ones(len(places), dtype=bool)
        keep[single] = False
        return starts[keep], ends[keep]

    def _look(self, piece: Bytes, starts: Places, ends: Places) -> None:
        """Which columns hold something that a number would lose."""
        import numpy as np

        padded = np.concatenate([piece, np.zeros(3, dtype=np.uint8)])
        points = cache(lambda: np.flatnonzero(piece == _DOT))
        for at in self.open:
            if at in self.found.as_text:
                continue
            begin, end = starts[:, at], ends[:, at]
            first = padded[begin]
            quoted = first == self.quote
            if quoted.any():
                begin, end = begin + quoted, end - quoted
                first = padded[begin]
            last, outer = padded[end - 1], False
            if (first <= _SPACE).any() or (last <= _SPACE).any():
                begin, end, outer = _trimmed(padded, begin, end)
                first, last = padded[begin], padded[end - 1]
            second, size = padded[begin + 1], end - begin
            digit = _digits(first)
            follows = _digits(second) & (size > 1)
            whole = (size >= _LONG_INTEGER) & (digit | (first == _MINUS))
            risky = (
                outer
                or (follows & ((first == _ZERO) | (first == _PLUS))).any()
                or _no_point(points, begin, end, whole & _digits(last))
                or _no_point(points, begin, end, digit & (size > 2) & (size < 30) & _has_exponent(padded, end))
            )
            if risky:
                self.found.as_text.add(at)
            else:
                self._look_for_versions(padded, at, end, digit & (size < 8))

    def _look_for_versions(self, padded: Bytes, at: int, end: Places, short: Flags) -> None:
        """1.10 beside 1.9: two decimals that end in 0 beside a single one, which no program writes of numbers."""
        if at not in self.two and (short & (padded[end - 1] == _ZERO) & (padded[end - 3] == _DOT)).any():
            self.two.add(at)
        if at not in self.one and (short & (padded[end - 2] == _DOT)).any():
            self.one.add(at)

    def _remember_broken(self, breaks: Places, stops: Places, at: int) -> None:
        """Records that hold line ends, by the place where each begins."""
        import numpy as np

        if not breaks.size:
            return
        which = np.unique(np.searchsorted(stops, breaks))
        for each in which.tolist():
            begin = int(stops[each - 1]) + 1 if each else 0
            text = bytes(self.body.data[at + begin : at + int(stops[each])])
            lines = LINE_END.split(text)
            decoded = [line.decode("utf-8", "replace") for line in lines]
            if look_like_rows(decoded, self.found.delimiter, self.kinds):
                raise swallowed(self.body.line_at(at + begin), len(lines))
            self.broken.append(at + begin)

    def _note_broken(self) -> None:
        line, count = self.body.line_at(self.broken[0]), len(self.broken)
        spans = f"{several(count, 'record')} {'spans' if count == 1 else 'span'} several lines"
        self.found.notes.append(f"{spans}, the first from line {line}: a field in quotation marks holds line breaks.")


def _no_point(points: Callable[[], Places], begin: Places, end: Places, among: Flags) -> bool:
    """Whether one of these fields has no decimal point."""
    import numpy as np

    which = np.flatnonzero(among)
    if not which.size:
        return False
    return bool((np.searchsorted(points(), begin[which]) == np.searchsorted(points(), end[which])).any())


def _trimmed(padded: Bytes, begin: Places, end: Places) -> tuple[Places, Places, bool]:
    """Where fields begin and end without blanks around them, and whether some have more than are looked at."""
    for _ in range(_MOST_BLANKS):
        blank = _blanks(padded[begin]) & (begin < end)
        if not blank.any():
            break
        begin = begin + blank
    else:
        return begin, end, True
    for _ in range(_MOST_BLANKS):
        blank = _blanks(padded[end - 1]) & (begin < end)
        if not blank.any():
            break
        end = end - blank
    else:
        return begin, end, True
    return begin, end, False


def _blanks(signs: Bytes) -> Flags:
    result: Flags = (signs == _SPACE) | (signs == _TAB)
    return result


def _digits(signs: Bytes) -> Flags:
    result: Flags = (signs >= _ZERO) & (signs <= _NINE)
    return result


def _has_exponent(padded: Bytes, end: Places) -> Flags:
    """Whether a field ends like 7E1: an exponent without a sign, of at most three digits."""
    import numpy as np

    found = np.zeros(len(end), dtype=bool)
    for back in (2, 3, 4):
        found |= ((padded[end - back] | 0x20) == _E) & _digits(padded[end - back + 1])
    return found
