"""Reads a CSV file into a table: finds out how it is written, and says in one sentence why a file is none.

The steps: bytes become text (`encodings`), other formats are told by name (`refusals`), the first lines tell what
separates fields (`dialect`) and where the table stands (`layout`, `footer`), every record is checked (`structure`),
pandas reads them (`parsing`), and columns of text become numbers or dates where all their values agree (`columns`).

Importable from the host as well; pandas is imported only when a file is really read.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from sandbox_image.zygote.reading.columns import Columns
from sandbox_image.zygote.reading.encodings import read_text
from sandbox_image.zygote.reading.finding import Found, find
from sandbox_image.zygote.reading.given import convert_as_given
from sandbox_image.zygote.reading.moments import form_of_months
from sandbox_image.zygote.reading.naming import listed, several, times
from sandbox_image.zygote.reading.numerals import Marks, in_doubt
from sandbox_image.zygote.reading.parsing import Table
from sandbox_image.zygote.reading.records import ragged
from sandbox_image.zygote.reading.refusals import LoadError
from sandbox_image.zygote.reading.remarks import Remarks, bounded
from sandbox_image.zygote.reading.rules import NO_RULES, Rules
from sandbox_image.zygote.reading.sentinels import note_sentinels
from sandbox_image.zygote.reading.structure import examine
from sandbox_image.zygote.reading.troubles import note_infinity, note_name, note_text, notes_on_rows
from sandbox_image.zygote.reading.wrapping import unwrapped

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

__all__ = ["Facts", "LoadError", "load"]

_TRAILING: Final = "\x00trailing"


@dataclass(frozen=True)
class Facts:
    """What was found out about a file. `bytes` and `seconds` are its size and the time reading took."""

    rows: int
    columns: int
    encoding: str
    delimiter: str
    bytes: int
    sha256: str
    seconds: float
    warnings: list[str]
    column_notes: dict[str, str] = field(default_factory=dict)
    """What the file itself says of its columns, by name: a unit, a format that was read."""

    def json(self) -> dict[str, Any]:
        """As the LOADED frame carries it."""
        return asdict(self)


def load(
    source: BinaryIO,
    *,
    rules: Rules = NO_RULES,
    max_columns: int = 5_000,
) -> tuple[pd.DataFrame, Facts]:
    """Read a CSV file.

    Args:
        source: The file, seekable, from its start.
        rules: What is known about the file; the rest is found out.
        max_columns: More columns than this are refused before the file is parsed.

    Returns:
        The table, and what was found out about the file.

    Raises:
        LoadError: The file is empty, no text, ragged, too wide, or otherwise no table.
    """
    try:
        return _load(source, rules, max_columns)
    except LoadError:
        raise
    except MemoryError as error:
        raise LoadError("memory", "The file is too large for the memory of the sandbox.") from error
    except Exception as error:
        # One file must not end a run over many.
        said = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        raise LoadError(
            "other", f"The file cannot be read as a table, for a reason nobody foresaw ({said})."
        ) from error


def _load(source: BinaryIO, rules: Rules, max_columns: int) -> tuple[pd.DataFrame, Facts]:
    started = time.monotonic()
    text = read_text(source, rules.encoding)
    found = find(text, rules, max_columns)
    layout = found.layout
    structure = examine(found.body, found.dialect, layout)
    names = [*layout.names, *([_TRAILING] if layout.trailing else [])]
    _check_types(rules, layout.names)
    remarks = Remarks(dict(layout.column_notes))
    frame = _Conversion(Table(structure, names, rules.missing, found.body), found, rules, remarks).run()
    notes = [*text.notes, *found.notes, *layout.notes, *structure.notes, *found.footer_notes, *remarks.sentences()]
    warnings, column_notes = bounded(notes, remarks.columns)
    facts = Facts(
        rows=len(frame),
        columns=frame.shape[1],
        encoding=text.encoding,
        delimiter=found.delimiter,
        bytes=text.size,
        sha256=text.sha256,
        seconds=round(time.monotonic() - started, 4),
        warnings=warnings,
        column_notes=column_notes,
    )
    return frame, facts


def _check_types(rules: Rules, names: Sequence[str]) -> None:
    unknown = [name for name in rules.types if name not in names]
    if unknown:
        verb = "is" if len(unknown) == 1 else "are"
        raise LoadError(
            "rules", f"{listed(unknown)} of --types {verb} not in the table, which has {listed(names)[7:].lstrip()}."
        )


class _Conversion:
    """The way from records to a frame."""

    def __init__(self, table: Table, found: Found, rules: Rules, remarks: Remarks) -> None:
        self.table = table
        self.found = found
        self.rules = rules
        self.remarks = remarks
        self.known = Marks(rules.decimal, rules.thousands)
        self.rows: np.ndarray[Any, np.dtype[np.int64]] | None = None
        """Which of the file's rows are left, where some were left out."""

    def run(self) -> pd.DataFrame:
        import pandas as pd

        frame = self._parse()
        if self.found.layout.trailing:
            frame = self._without_trailing(frame)
        if self.found.layout.whole:
            self._check_row_labels(frame)
        frame = self._without_empty_columns(frame)
        frame = self._without_repeated_names(frame)
        made = self._convert(frame)
        frame = pd.DataFrame(made, columns=list(frame.columns), copy=False)
        self._note_marks()
        self._note_columns(frame)
        self.found.notes += notes_on_rows(frame, lambda: self._line_of(0))
        if isinstance(frame.index, pd.RangeIndex) and frame.index.start == 0 and frame.index.step == 1:
            return frame
        raise LoadError(
            "ragged", "The rows have more fields than the header line; pandas would take some for row labels."
        )

    def _note_columns(self, frame: pd.DataFrame) -> None:
        """Say what in the columns hints at trouble."""
        import pandas as pd

        types = pd.api.types
        numeric = {
            name: types.is_numeric_dtype(each) and not types.is_bool_dtype(each) for name, each in frame.dtypes.items()
        }
        for name in frame.columns:
            note_name(str(name), self.remarks)
            if numeric[name]:
                note_sentinels(str(name), frame[name], self.remarks)
                note_infinity(str(name), frame[name], self.remarks)
            elif _is_text(frame[name]):
                note_text(str(name), frame[name], self.remarks, beside_numbers=any(numeric.values()))

    def _parse(self) -> pd.DataFrame:
        """All columns; words such as NA are missing in those that hold numbers."""
        import pandas as pd

        names, layout = list(self.table.names), self.found.layout
        texts = {names[at] for at in self.table.structure.as_text if at < len(names)} | set(self.rules.types)
        if self.known.decimal not in (None, ".") or self.known.thousands not in (None, ","):
            texts = set(names)
        kinds = zip(layout.names, layout.kinds, strict=False)
        numbers = {name for name, kind in kinds if kind in ("number", "boolean")} - texts
        frame = self.table.parse(texts=texts, numbers=numbers)
        wrong = [name for name in names if name in numbers and _is_text(frame[name])]
        if wrong:
            again = self.table.parse(texts=set(wrong), numbers=(), only=wrong)
            frame = pd.DataFrame({name: again[name] if name in wrong else frame[name] for name in names}, copy=False)
        months = self._months(frame)
        return pd.DataFrame({name: months.get(name, frame[name]) for name in names}, copy=False) if months else frame

    def _months(self, frame: pd.DataFrame) -> dict[str, pd.Series[Any]]:
        """The texts of columns that pandas took for fractions and that are months: 4.2000 is no 4.2."""
        found = [name for name in map(str, frame.columns) if _may_be_months(frame[name])]
        if not found:
            return {}
        texts = self.table.parse(texts=set(found), numbers=found, only=found)
        return {name: texts[name] for name in found if form_of_months(name, texts[name].dropna().unique().tolist())}

    def _without_trailing(self, frame: pd.DataFrame) -> pd.DataFrame:
        last = frame.pop(_TRAILING)
        rows = last.notna().to_numpy().nonzero()[0]
        if rows.size:
            width = len(self.found.layout.names)
            raise ragged(self._line_of(int(rows[0])), width + 1, width)
        return frame

    def _check_row_labels(self, frame: pd.DataFrame) -> None:
        """A column that the header line does not name holds labels of rows: no two are the same."""
        again = frame.iloc[:, 0].duplicated().to_numpy().nonzero()[0]
        if again.size:
            width = len(self.found.layout.names)
            raise ragged(self._line_of(int(again[0])), width, width - 1)

    def _without_empty_columns(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Leave out columns without a name and without a value: lines begin or end with a delimiter."""
        nameless = [at for at, name in enumerate(frame.columns) if name == f"Unnamed: {at}"]
        empty = [at for at in nameless if not frame.iloc[:, at].notna().any()]
        if not empty or len(empty) == frame.shape[1]:
            return frame
        if empty == [frame.shape[1] - 1]:
            said = "A last column without a name and without a value was left out."
        else:
            said = f"{several(len(empty), 'column')} without a name and without a value left out."
        if empty == nameless:
            self.found.layout.unsay(self.found.layout.nameless)
        self.found.notes.append(said)
        return frame.drop(columns=[frame.columns[at] for at in empty])

    def _without_repeated_names(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Leave out rows that repeat the header line, as files have that were put together from several."""
        if (
            not self.found.layout.header_line
            or not len(frame)
            or frame.shape[1] < 2
            or not all(_is_text(frame[name]) for name in frame.columns)
        ):
            return frame
        # Files that were put together may have a byte order mark before each header line.
        same = frame[frame.columns[0]].str.lstrip("\ufeff") == str(frame.columns[0])
        if not same.any():
            return frame
        for name in frame.columns[1:]:
            same &= frame[name] == str(name)
        count = int(same.sum())
        if 0 < count < len(frame):
            line = self._line_of(int(same.to_numpy().argmax()))
            self.found.notes.append(
                f"The header line is repeated {times(count)}, first in line {line}; those were left out."
            )
            self.rows = (~same).to_numpy().nonzero()[0]
            frame = frame[~same].reset_index(drop=True)
        return frame

    def _convert(self, frame: pd.DataFrame) -> dict[str, pd.Series[Any]]:
        semicolons = self.found.delimiter == ";"
        columns = Columns(self.known, self.remarks, commas_in_doubt=semicolons)
        made: dict[str, pd.Series[Any]] = {str(name): frame[name] for name in frame.columns}
        for name in made:
            if _is_text(made[name]) and self.rules.types.get(name) != "text":
                made[name] = unwrapped(name, made[name], self.remarks)
        later = []
        for name in made:
            given = self.rules.types.get(name)
            if given is not None:
                made[name] = convert_as_given(name, made[name], given, self.known, self.remarks, self._line_of)
            elif _is_text(made[name]):
                converted = columns.convert(name, made[name])
                later += [name] if converted is None else []
                made[name] = made[name] if converted is None else converted
        if later and columns.hint.decimal is None and any(_has_fractions(made[name]) for name in made):
            columns.hint = replace(columns.hint, decimal=".")
        for name in later:
            converted = columns.convert(name, made[name], last=True)
            made[name] = made[name] if converted is None else converted
        if columns.hint.decimal == "," and self.known.decimal is None:
            self._read_points_again(made, columns)
        elif semicolons and self.known == Marks():
            self._keep_points_in_doubt(made, columns)
        return made

    def _keep_points_in_doubt(self, made: dict[str, pd.Series[Any]], columns: Columns) -> None:
        """Where semicolons separate and nothing shows the decimal mark, 1.234 and 12.500 may be thousands: text."""
        floats = [name for name in made if str(made[name].dtype) == "float64" and not columns.was_read(name)]
        floats = [name for name in floats if name not in self.rules.types and made[name].notna().any()]
        if not floats or not all(_three_decimals(made[name]) for name in floats):
            return
        texts = self.table.parse(texts=set(floats), numbers=floats, only=floats)
        present = {name: texts[name].dropna().str.strip() for name in floats}
        pointed = {name: each for name, each in present.items() if each.str.contains(".", regex=False).any()}
        if not all(each.str.fullmatch(r"-?[1-9]\d{0,2}\.\d{3}|0|-?[1-9]\d{0,2}").all() for each in pointed.values()):
            return
        for name, each in pointed.items():
            shown = str(each[each.str.contains(".", regex=False)].iloc[0])
            self.remarks.say(name, f"stayed text, since {in_doubt(shown, '.').why}")
            made[name] = texts[name]

    def _read_points_again(self, made: dict[str, pd.Series[Any]], columns: Columns) -> None:
        """In a file with decimal commas, a point may stand between thousands: 1.234 is no fraction there."""
        doubtful = [name for name in made if _has_fractions(made[name]) and not columns.was_read(name)]
        if not doubtful:
            return
        texts = self.table.parse(texts=set(doubtful), numbers=doubtful, only=doubtful)
        for name in doubtful:
            present = texts[name].dropna()
            if bool(present.str.fullmatch(r"-?\d{1,3}(?:\.\d{3})+|-?\d{1,3}").all()):
                columns.points_are_thousands = True
                converted = columns.convert(name, texts[name], last=True)
                made[name] = made[name] if converted is None else converted

    def _note_marks(self) -> None:
        for mark in ("?", *self.table.errors()):
            count = 0 if mark in self.rules.missing else self.table.count_of(mark)
            if count:
                self.found.notes.append(f"{mark!r} was read as missing, {times(count)}.")

    def _line_of(self, row: int) -> int:
        return self.table.line_of(row if self.rows is None else int(self.rows[row]))


def _is_text(column: pd.Series[Any]) -> bool:
    import pandas as pd

    return isinstance(column.dtype, pd.StringDtype) or (
        column.dtype == object and pd.api.types.infer_dtype(column, skipna=True) in ("string", "empty")
    )


def _three_decimals(column: pd.Series[Any]) -> bool:
    """Whether all numbers are below a thousand and have at most three decimals."""
    present = column.dropna()
    return bool((present.abs() < 1000).all() and ((present * 1000).round() == (present * 1000).round(6)).all())


def _may_be_months(column: pd.Series[Any]) -> bool:
    """Whether all numbers could be a month and a year with a point between them."""
    if str(column.dtype) != "float64":
        return False
    present = column.dropna()
    whole, rest = present // 1, present % 1
    first = whole.between(1, 12) & rest.between(0.1899, 0.21)
    last = whole.between(1900, 2099) & rest.between(0.0099, 0.91)
    return bool(len(present)) and bool(first.all() or last.all())


def _has_fractions(column: pd.Series[Any]) -> bool:
    return str(column.dtype) == "float64" and bool((column.dropna() % 1 != 0).any())
