"""Has pandas read the rows of a table, each column with the words that mean a missing value in it."""

from __future__ import annotations

import csv
import io
import re
import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sandbox_image.zygote.reading.cells import ERRORS, MARKS, WORDS
from sandbox_image.zygote.reading.dialect import UNUSED, large_fields
from sandbox_image.zygote.reading.records import Body, Structure
from sandbox_image.zygote.reading.refusals import LoadError

_ERROR: Final = re.compile(b"#(?:" + b"|".join(re.escape(error[1:].encode()) for error in ERRORS) + b")")
"""It begins with a single sign, which Python looks for at the speed of memory."""

if TYPE_CHECKING:
    import pandas as pd


class _Source(io.RawIOBase):
    """Bytes of a mapped file, which pandas reads without a copy of them all."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._at = 0

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        piece = self._data[self._at : self._at + len(target)]
        target[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)


@dataclass(frozen=True)
class Table:
    """The rows of a table, ready to be parsed.

    Attributes:
        structure: The rows and their dialect.
        names: One name for each field of a row.
        missing: Further words that mean a missing value.
        body: The rows as they stand in the file.
    """

    structure: Structure
    names: Sequence[str]
    missing: Sequence[str]
    body: Body

    def parse(
        self, *, texts: Collection[str], numbers: Collection[str], only: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """Parse it.

        Args:
            texts: Columns whose values stay as they are written.
            numbers: Columns in which words such as NA mean a missing value.
            only: Columns that are wanted; None for all.

        Raises:
            LoadError: It cannot be parsed.
        """
        import pandas as pd

        always = [*MARKS, *self.missing]
        among_numbers = [*always, *WORDS]
        wanted = list(self.names if only is None else only)
        words: Any = {name: among_numbers if name in numbers else always for name in wanted}
        structure = self.structure
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                frame: pd.DataFrame = pd.read_csv(
                    io.BufferedReader(_Source(structure.data), 1 << 20),
                    sep=structure.delimiter or UNUSED,
                    header=None,
                    names=list(self.names),
                    usecols=None if only is None else wanted,
                    index_col=False,
                    quotechar=structure.quote or '"',
                    quoting=csv.QUOTE_MINIMAL if structure.quote else csv.QUOTE_NONE,
                    dtype={name: "str" for name in wanted if name in texts},
                    keep_default_na=False,
                    na_values=words,
                    low_memory=False,
                    encoding="utf-8",
                    encoding_errors="replace",
                )
        except pd.errors.EmptyDataError as error:
            raise LoadError("empty", "The file has a header line but no rows.") from error
        except MemoryError as error:
            raise LoadError("memory", "The file is too large for the memory of the sandbox.") from error
        except (ValueError, OverflowError) as error:
            said = str(error).strip().splitlines()[-1:] or ["unknown"]
            raise LoadError("other", f"The file cannot be read as a table: {said[0]}") from error
        return frame

    def line_of(self, row: int) -> int:
        """The number of the file's line in which a row begins; 0 where not known."""
        if self.structure.lines is not None:
            return self.structure.lines[row] if row < len(self.structure.lines) else 0
        text = bytes(self.structure.data).decode("utf-8", "replace")
        quoting: Any = csv.QUOTE_MINIMAL if self.structure.quote else csv.QUOTE_NONE
        lines = (line + "\n" for line in re.split(r"\r\n|\n|\r", text))
        at = before = 0
        with large_fields():
            reader = csv.reader(lines, delimiter=self.structure.delimiter or UNUSED, quoting=quoting)
            for fields in reader:
                # As pandas does, an empty line is no row; one of empty fields is.
                if fields:
                    if at == row:
                        return self.body.line(before)
                    at += 1
                before = reader.line_num
        return 0

    def errors(self) -> list[str]:
        """Which errors of spreadsheets stand anywhere in the file."""
        found = {each[0] for each in _ERROR.finditer(self.structure.data)}
        return [error for error in ERRORS if error.encode() in found]

    def count_of(self, mark: str) -> int:
        """How often a field holds this mark and nothing else."""
        sign = re.escape(mark.encode())
        edge = rb"[\r\n" + re.escape((self.structure.delimiter or UNUSED).encode()) + b"]"
        begins = b"|".join(rb"(?<=" + each + sign + b")" for each in (rb"\A", rb'\A"', edge, edge + b'"'))
        # The sign comes first, since it is rare.
        whole = re.compile(sign + b"(?:" + begins + rb')(?="?(?:\Z|' + edge + b"))")
        return sum(1 for _ in whole.finditer(self.structure.data))
