"""The output: a table of results as CSV, JSON lines or Parquet, written whole under another name and then renamed."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Any, NamedTuple

from blocks.errors import UserError
from blocks.replaced import replacing
from flows.matrix.flattening import Schema
from flows.matrix.records import BEFORE, OURS, RESULT, TYPES, Result, variable_column

SUFFIXES = (".csv", ".jsonl", ".parquet")
STDOUT = "-"


class Columns(NamedTuple):
    """The columns of an output."""

    variables: tuple[str, ...]
    schema: Schema | None
    """Of JSON answers; None: they are not looked into."""

    @classmethod
    def of(cls, variables: Sequence[str], results: Iterable[Result], *, flatten: bool) -> Columns:
        """The columns that some results need: each answer is looked at before the header is written."""
        if not flatten:
            return cls(tuple(variables), None)
        schema = Schema((*BEFORE, *map(variable_column, variables), *RESULT, *OURS))
        for result in results:
            schema.learn(result.output)
        return cls(tuple(variables), schema)

    @property
    def names(self) -> tuple[str, ...]:
        """In their order."""
        found = self.schema.columns if self.schema else ()
        return (*BEFORE, *map(variable_column, self.variables), *found, *RESULT, *OURS)

    @property
    def types(self) -> dict[str, type]:
        """Of columns that hold no text."""
        return {**(self.schema.types if self.schema else {}), **TYPES}

    def cells(self, result: Result) -> dict[str, Any]:
        """A result's cells by column; one it has nothing for is missing."""
        cells = result.cells()
        cells.update((variable_column(name), result.variables.get(name, "")) for name in self.variables)
        if self.schema:
            cells.update(self.schema.fields(result.output))
        return cells


def check_output(path: str) -> None:
    """Refuse an output of a kind that is not written.

    Raises:
        UserError: See above, or nothing is installed that writes it.
    """
    if path == STDOUT:
        return
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise UserError(f"The output {path} ends in {suffix or 'nothing'}.", f"Name one that ends in {_or(SUFFIXES)}.")
    if suffix == ".parquet":
        _duckdb()


def write_table(path: Path | None, columns: Columns, results: Iterable[Result]) -> None:
    """Write an output.

    Args:
        path: Where to, its suffix says in which form; None: standard output, as CSV.
        columns: Its columns.
        results: Its rows, in their order.

    Raises:
        UserError: It cannot be written.
    """
    if path is None:
        out = io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8", errors="backslashreplace", newline="")
        _write_csv(out, columns, results)
        out.flush()
        out.detach()
        return
    write = {".csv": _write_csv, ".jsonl": _write_lines}.get(path.suffix.lower())
    try:
        if write is None:
            _write_parquet(path, columns, results)
            return
        with _replacing(path) as file:
            write(file, columns, results)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}.", "Check the folder and the disk.") from error


def write_text(path: Path, text: str) -> None:
    """Write a text file.

    Raises:
        UserError: It cannot be written.
    """
    try:
        with _replacing(path) as file:
            file.write(text)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}.", "Check the folder and the disk.") from error


def _write_csv(file: IO[str], columns: Columns, results: Iterable[Result]) -> None:
    writer, names = csv.writer(file), columns.names
    writer.writerow(names)
    for result in results:
        cells = columns.cells(result)
        # A spreadsheet shows one line for each row, and so do line-wise tools.
        writer.writerow([_one_line(cells.get(name)) for name in names])


def _one_line(value: Any) -> Any:
    if isinstance(value, str) and ("\n" in value or "\r" in value):
        return value.replace("\r\n", " ").replace("\n", " ").replace("\r", " ")
    return value


def _write_lines(file: IO[str], columns: Columns, results: Iterable[Result]) -> None:
    names = columns.names
    for result in results:
        cells = columns.cells(result)
        file.write(json.dumps({name: cells.get(name) for name in names}, ensure_ascii=False) + "\n")


def _write_parquet(path: Path, columns: Columns, results: Iterable[Result]) -> None:
    """By way of JSON lines, so that neither they nor the table are ever whole in memory."""
    duckdb = _duckdb()
    known = columns.types
    types = {name: known.get(name, str) for name in columns.names}
    longest = 2**20
    with (
        replacing(path) as target,
        NamedTemporaryFile(
            "w", encoding="utf-8", errors="backslashreplace", dir=path.parent, prefix=".", suffix=".jsonl"
        ) as lines,
    ):
        for result in results:
            cells = columns.cells(result)
            row = {f"c{at}": _typed(cells.get(name), types[name]) for at, name in enumerate(types)}
            longest = max(longest, 4 * lines.write(json.dumps(row, ensure_ascii=False) + "\n"))
        lines.flush()
        with duckdb.connect() as database:
            database.execute("SET memory_limit='512MB'; SET threads=1; SET preserve_insertion_order=true")
            read = ", ".join(f"'c{at}': '{_SQL.get(kind, 'VARCHAR')}'" for at, kind in enumerate(types.values()))
            source = _text(Path(lines.name))
            named = ", ".join(f"c{at} AS {_quoted(name)}" for at, name in enumerate(types))
            database.execute(
                f"COPY (SELECT {named} FROM read_json({source}, format='newline_delimited', columns={{{read}}},"
                f" maximum_object_size={longest})) TO {_text(target)} (FORMAT parquet)"
            )


_SQL: Mapping[type, str] = {int: "BIGINT", float: "DOUBLE", bool: "BOOLEAN"}


def _typed(value: Any, kind: type) -> Any:
    if value is None or (value == "" and kind is not str):
        return None
    if kind in _SQL:
        return value if kind is not int or -(2**63) <= value < 2**63 else None
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text.replace("\x00", "")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def _duckdb() -> Any:
    try:
        import duckdb
    except ImportError as error:
        raise UserError(
            "Nothing is installed that writes Parquet.",
            "Install the extra (`pip install 'trigpoint[parquet]'`), or name an output that ends in .csv or .jsonl.",
        ) from error
    return duckdb


@contextmanager
def _replacing(path: Path) -> Iterator[IO[str]]:
    """A file of text that takes the place of another once it is whole and on disk."""
    with replacing(path) as fresh, fresh.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        yield file


def _or(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"
