"""Reads a CSV file into a table: finds out encoding and delimiter, and says in one sentence why a file is none.

Importable from the host as well; pandas is imported only when a file is really read.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import re
import time
import warnings
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Literal

from sandbox_image.zygote.rules import NO_RULES, Rules

if TYPE_CHECKING:
    import pandas as pd

NA_VALUES: Final = ("?", "NA", "N/A", "na", "n/a")
"""Read as missing, besides what pandas itself takes for it."""
DELIMITERS: Final = (",", ";", "\t", "|")
NO_DELIMITER: Final = ""
"""What `Facts.delimiter` holds for a file of one column."""

_CHUNK: Final = 1 << 20
_SAMPLE_BYTES: Final = 256 * 1024
_SAMPLE_ROWS: Final = 200
_UNUSED: Final = "\x1f"
_MIXED: Final = "trigpoint-mixed"
_BOMS: Final = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))

Reason = Literal[
    "empty", "no_columns", "not_text", "encoding", "too_many_columns", "ragged", "quote", "memory", "other"
]


class LoadError(Exception):
    """The file is not a table this loader can read.

    Args:
        reason: The kind of trouble.
        message: One sentence for the user.
    """

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason: Reason = reason
        self.message = message


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


@dataclass
class _Scan:
    """One pass over the bytes."""

    size: int
    sha256: str
    encoding: str
    errors: str
    notes: list[str]


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
    started = time.monotonic()
    scan = _scan(source, rules.encoding)
    notes = list(scan.notes)
    sample, complete = _sample(source, scan)
    delimiter = sniff_delimiter(sample) if rules.delimiter is None else rules.delimiter
    header, rows = _first_rows(sample, delimiter, complete=complete)
    _check_header(header, max_columns)
    options = _shape_options(header, rows, notes)
    _note_duplicates(header, notes)
    frame = _parse(source, scan, delimiter, options, notes)
    facts = Facts(
        rows=len(frame),
        columns=frame.shape[1],
        encoding=_plain_name(scan.encoding),
        delimiter=delimiter,
        bytes=scan.size,
        sha256=scan.sha256,
        seconds=round(time.monotonic() - started, 4),
        warnings=notes,
    )
    return frame, facts


def sniff_delimiter(sample: str) -> str:
    """The delimiter a piece of text uses; the empty string when it has one column.

    A delimiter is believed when most lines have the same number of fields with it, more than one. Among several, the
    one that fits more lines wins, then the one that makes more fields.
    """
    best = (0.0, 0, NO_DELIMITER)
    for candidate in DELIMITERS:
        counts = Counter(len(row) for row in _rows(sample, candidate) if row)
        if not counts:
            continue
        fields, lines = counts.most_common(1)[0]
        fit = lines / counts.total()
        header_fields = len(_rows(sample, candidate, limit=1)[0])
        if fields > 1 and header_fields > 1 and (fit, fields) > best[:2]:
            best = (fit, fields, candidate)
    return best[2]


def _scan(source: BinaryIO, encoding: str | None) -> _Scan:
    """Size, hash and encoding in one pass."""
    source.seek(0)
    digest = hashlib.sha256()
    head = source.read(4096)
    guess, notes = (encoding, []) if encoding else _encoding_of_head(head)
    decoder = codecs.getincrementaldecoder("utf-8")()
    valid = guess in (None, "utf-8")
    blank, size, position = True, 0, 0
    piece = head
    while piece:
        digest.update(piece)
        blank = blank and not piece.strip(b" \t\r\n\x00\xef\xbb\xbf\xfe\xff")
        if guess is None or guess == "utf-8":
            position = piece.find(b"\x00")
            if position >= 0:
                raise LoadError("not_text", f"The file is not text: byte {size + position + 1} is NUL.")
        if valid:
            valid = _decodes(decoder, piece, final=False)
        size += len(piece)
        piece = source.read(_CHUNK)
    if not size or blank:
        raise LoadError("empty", "The file is empty.")
    valid = valid and _decodes(decoder, b"", final=True)
    if guess is not None and not (guess == "utf-8" and not encoding):
        return _Scan(size, digest.hexdigest(), _known(guess), "strict", notes)
    if valid:
        return _Scan(size, digest.hexdigest(), "utf-8", "strict", notes)
    return _legacy(source, size, digest.hexdigest())


def _decodes(decoder: codecs.IncrementalDecoder, piece: bytes, *, final: bool) -> bool:
    try:
        decoder.decode(piece, final)
    except UnicodeDecodeError:
        return False
    return True


def _encoding_of_head(head: bytes) -> tuple[str | None, list[str]]:
    for mark, name in _BOMS:
        if head.startswith(mark):
            return name, []
    even, odd = head[::2].count(0), head[1::2].count(0)
    half = len(head) // 2
    # Latin text in UTF-16 without a mark has a NUL in nearly every other byte, and only there.
    for zeros, others, name in ((odd, even, "utf-16-le"), (even, odd, "utf-16-be")):
        if half >= 8 and zeros > 0.7 * half and others == 0:
            return name, [f"The file has no byte order mark; it was read as {name.upper()}."]
    return None, []


def _known(encoding: str) -> str:
    try:
        return codecs.lookup(encoding).name
    except LookupError as error:
        raise LoadError("encoding", f"There is no encoding called {encoding!r}.") from error


def _plain_name(encoding: str) -> str:
    return "utf-8" if encoding == "utf-8-sig" else encoding


def _legacy(source: BinaryIO, size: int, sha256: str) -> _Scan:
    """Bytes that are not UTF-8: one of the single-byte encodings, or UTF-8 with some lines in another."""
    good = bad = 0
    undefined = False
    first_line = 0
    source.seek(0)
    for number, line in enumerate(source, start=1):
        if line.isascii():
            continue
        try:
            line.decode("utf-8")
            good += 1
        except UnicodeDecodeError:
            bad += 1
            first_line = first_line or number
            undefined = undefined or any(byte in line for byte in b"\x81\x8d\x8f\x90\x9d")
    if good:
        codecs.register_error(_MIXED, _as_windows_1252)
        note = (
            f"The file mixes encodings: {bad} lines, the first of them line {first_line}, hold bytes that are not "
            "UTF-8; they were read as Windows-1252."
        )
        return _Scan(size, sha256, "utf-8", _MIXED, [note])
    name = "latin-1" if undefined else "cp1252"
    note = f"The file is not UTF-8 (line {first_line}); it was read as {'Latin-1' if undefined else 'Windows-1252'}."
    return _Scan(size, sha256, name, "strict", [note])


def _as_windows_1252(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    wrong = error.object[error.start : error.end]
    return "".join(bytes([byte]).decode("cp1252", "replace") for byte in wrong), error.end


def _sample(source: BinaryIO, scan: _Scan) -> tuple[str, bool]:
    """The first lines as text, and whether that is the whole file."""
    source.seek(0)
    raw = source.read(_SAMPLE_BYTES)
    # The header must be in the sample whole, however wide the table is.
    while b"\n" not in raw and b"\r" not in raw and len(raw) < scan.size:
        raw += source.read(_CHUNK)
    complete = len(raw) >= scan.size
    decoder = codecs.getincrementaldecoder(scan.encoding)(scan.errors)
    try:
        text = decoder.decode(raw, final=complete)
    except UnicodeError as error:
        raise LoadError("encoding", f"The file cannot be read as {scan.encoding}: {error}.") from error
    if "\x00" in text:
        raise LoadError("not_text", "The file is not text: it holds NUL characters.")
    if not complete:
        text = text[: max(text.rfind("\n"), text.rfind("\r")) + 1] or text
    return text, complete


def _rows(sample: str, delimiter: str, limit: int = _SAMPLE_ROWS) -> list[list[str]]:
    lines = csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter or _UNUSED)
    found: list[list[str]] = []
    try:
        for row in lines:
            if row:
                found.append(row)
            if len(found) >= limit:
                break
    except csv.Error:
        # A field larger than the module's limit; what came before it is enough to go by.
        pass
    return found or [[]]


def _first_rows(sample: str, delimiter: str, *, complete: bool) -> tuple[list[str], list[list[str]]]:
    rows = _rows(sample, delimiter)
    if not any(field.strip() for field in rows[0]) and len(rows) == 1:
        raise LoadError("no_columns", "The file has no columns: its first line names none.")
    if len(rows) == 1 and complete:
        raise LoadError("empty", "The file has a header line but no rows.")
    return rows[0], rows[1:]


def _check_header(header: list[str], max_columns: int) -> None:
    if len(header) > max_columns:
        message = f"The file has {len(header):,} columns; at most {max_columns:,} are allowed."
        raise LoadError("too_many_columns", message)


def _shape_options(header: list[str], rows: list[list[str]], notes: list[str]) -> dict[str, Any]:
    """Options for a file whose rows are all one field longer than its header; pandas would shift the columns."""
    if not rows or any(len(row) != len(header) + 1 for row in rows):
        return {}
    if all(row[-1] == "" for row in rows):
        notes.append("Every row ends with a delimiter that the header line lacks; the empty last column was left out.")
        return {"index_col": False, "usecols": range(len(header))}
    notes.append("Every row has one field more than the header line; the first column had no name.")
    return {"names": _unique(["Unnamed: 0", *header]), "header": 0}


def _unique(names: list[str]) -> list[str]:
    seen: set[str] = set()
    result = []
    for name in names:
        candidate, count = name, 0
        while candidate in seen:
            count += 1
            candidate = f"{name}.{count}"
        seen.add(candidate)
        result.append(candidate)
    return result


def _note_duplicates(header: list[str], notes: list[str]) -> None:
    twice = [name for name, count in Counter(header).items() if count > 1 and name != ""]
    if twice:
        shown = ", ".join(repr(_short(name)) for name in twice[:5]) + (", …" if len(twice) > 5 else "")
        notes.append(f"Column names occur more than once and were numbered: {shown}.")


def _short(name: str) -> str:
    return name if len(name) <= 60 else name[:57] + "..."


def _parse(source: BinaryIO, scan: _Scan, delimiter: str, options: dict[str, Any], notes: list[str]) -> pd.DataFrame:
    import pandas as pd

    source.seek(0)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            frame: pd.DataFrame = pd.read_csv(
                source,
                sep=delimiter or _UNUSED,
                encoding=scan.encoding,
                encoding_errors=scan.errors,
                na_values=list(NA_VALUES),
                low_memory=False,
                on_bad_lines="error",
                **options,
            )
    except pd.errors.EmptyDataError as error:
        raise LoadError("no_columns", "The file has no columns: its first line names none.") from error
    except pd.errors.ParserError as error:
        raise _explain(str(error)) from error
    except MemoryError as error:
        raise LoadError("memory", "The file is too large for the memory of the sandbox.") from error
    except UnicodeError as error:
        raise LoadError("encoding", f"The file cannot be read as {scan.encoding}: {error}.") from error
    except (ValueError, OverflowError) as error:
        raise LoadError("other", f"The file cannot be read as a table: {error}") from error
    notes.extend(dict.fromkeys(str(entry.message).split("\n")[0] for entry in caught if not options))
    if frame.shape[1] == 0:
        raise LoadError("no_columns", "The file has no columns: its first line names none.")
    return frame


def _explain(message: str) -> LoadError:
    ragged = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", message)
    if ragged:
        expected, line, saw = ragged.groups()
        return LoadError("ragged", f"Line {line} has {saw} fields where {expected} were expected.")
    quote = re.search(r"EOF inside string starting at row (\d+)", message)
    if quote:
        return LoadError("quote", f"A quotation mark opened in data row {int(quote[1])} is never closed.")
    return LoadError("other", f"The file cannot be read as a table: {message.strip().splitlines()[-1]}")
