"""Why a file is no table: the error that says so, and the formats that are told by their first bytes or words."""

from __future__ import annotations

import re
from typing import Final, Literal

Reason = Literal[
    "empty", "no_columns", "not_text", "encoding", "too_many_columns", "ragged", "quote", "memory", "format", "rules",
    "other",
]  # fmt: skip


class LoadError(Exception):
    """The file is not a table this loader can read.

    Args:
        reason: The kind of trouble.
        message: One sentence for the user.
        helps: Whether the sentence says what to do; else what usually helps for this reason is told with it.
    """

    def __init__(self, reason: Reason, message: str, *, helps: bool = False) -> None:
        super().__init__(message)
        self.reason: Reason = reason
        self.message = message
        self.helps = helps


_AS_CSV: Final = "save its table as CSV"
_UNPACK: Final = "unpack it first"
_MAGIC: Final = (
    (
        b"version https://git-lfs.github.com/spec/",
        "a pointer of Git LFS, which stands for the real file",
        "fetch that with `git lfs pull`",
    ),
    (b"\x1f\x8b", "a gzip archive", _UNPACK),
    (
        b"PK\x03\x04",
        "a ZIP archive or an office document (.xlsx, .ods)",
        "unpack the archive, or save the sheet as CSV",
    ),
    (b"PK\x05\x06", "an empty ZIP archive", "fetch it anew"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive", "unpack it with `zstd -d FILE` and give the CSV file"),
    (b"BZh", "a bzip2 archive", _UNPACK),
    (b"\xfd7zXZ\x00", "an XZ archive", _UNPACK),
    (b"\x04\x22\x4d\x18", "an LZ4 archive", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", _UNPACK),
    (b"Rar!\x1a\x07", "a RAR archive", _UNPACK),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old office document (.xls, .doc)", "save the sheet as CSV"),
    (b"PAR1", "a Parquet file", "convert it, with pandas read_parquet(FILE).to_csv(OUT) for example"),
    (b"ARROW1", "an Arrow or Feather file", _AS_CSV),
    (b"FEA1", "a Feather file", _AS_CSV),
    (b"ORC", "an ORC file", _AS_CSV),
    (b"Obj\x01", "an Avro file", _AS_CSV),
    (b"SQLite format 3\x00", "an SQLite database", _AS_CSV),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file", _AS_CSV),
    (b"CDF\x01", "a NetCDF file", _AS_CSV),
    (b"CDF\x02", "a NetCDF file", _AS_CSV),
    (b"\x93NUMPY", "a NumPy array", _AS_CSV),
    (b"RDX2", "an R data file", _AS_CSV),
    (b"RDX3", "an R data file", _AS_CSV),
    (b"$FL2", "an SPSS file", _AS_CSV),
    (b"$FL3", "an SPSS file", _AS_CSV),
    (b"<stata_dta>", "a Stata file", _AS_CSV),
    (b"HEADER RECORD*******LIBRARY", "a SAS transport file", _AS_CSV),
    (b"%PDF-", "a PDF document", "a table in it must be saved as CSV"),
    (b"{\\rtf", "an RTF document", _AS_CSV),
    (b"\x89PNG\r\n\x1a\n", "a PNG image", "no table can be read from it"),
    (b"\xff\xd8\xff", "a JPEG image", "no table can be read from it"),
    (b"GIF87a", "a GIF image", "no table can be read from it"),
    (b"GIF89a", "a GIF image", "no table can be read from it"),
    (b"\x7fELF", "a program", "no table can be read from it"),
    (b"MZ\x90\x00", "a program", "no table can be read from it"),
    (b"\x80\x02", "a Python pickle", _AS_CSV),
    (b"\x80\x03", "a Python pickle", _AS_CSV),
    (b"\x80\x04\x95", "a Python pickle", _AS_CSV),
    (b"\x80\x05\x95", "a Python pickle", _AS_CSV),
)
_BINARY: Final = re.compile(rb"[\x00-\x08\x0e-\x1f]")
"""What no text has."""
_GOES_ON: Final = re.compile(rb"[\w .-]{0,100}[,;\t|\r\n]")
"""How a heading goes on within the name of its first column."""
_ANNEX: Final = re.compile(r"^(\.\./)*(\.git/annex/objects/|/annex/objects/)")
_HTML: Final = re.compile(
    r"^(?:\s*<\?xml[^>]*>)?\s*(?:<!--(?:(?!-->).)*-->\s*)*<(?:!doctype\s+html|html|head|body|table|div|script|meta)\b",
    re.I | re.S,
)
_XML: Final = re.compile(r"^\s*(?:<\?xml\b|<!--|<!DOCTYPE\b|<([A-Za-z_][\w:.-]*)(?:\s[^<>]*)?/?>)", re.I)
_SQL: Final = re.compile(
    r"^(?:CREATE\s+(?:TEMP\w*\s+)?(?:TABLE|DATABASE|SCHEMA)\s|INSERT\s+INTO\s|DROP\s+TABLE\s|BEGIN(?:\s+TRANSACTION)?;"
    r"|SET\s+[\w@.]+\s*=|-- (?:MySQL|MariaDB|PostgreSQL|phpMyAdmin|SQLite|Host:)|PRAGMA\s)",
    re.I | re.M,
)
_MARKDOWN: Final = re.compile(r"^[ \t]*(?:\|[ \t]*)?:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)+(?:\|[ \t]*)?$", re.M)
_YAML: Final = re.compile(
    r"^(?:---[ \t]*\n)?(?:- [\w .-]+:[ \t]+\S.*\n(?:  [\w .-]+:.*\n)+"
    r"|(?:[\w-]+:[ \t]+\S[^,;\t\n]*\n)*[\w-]+:[ \t]*\n(?:[ \t]+-[ \t]|[ \t]+[\w-]+:[ \t\n]))"
)
_ARFF: Final = re.compile(r"^\s*@relation\b.*?^@attribute\b", re.I | re.M | re.S)
_GRID: Final = re.compile(r"^\+[-=]{2,}(?:\+[-=]{2,})+\+[ \t]*$", re.M)
_ORG: Final = re.compile(r"^[ \t]*\|-+(?:\+-+)+\|[ \t]*$", re.M)
_RST: Final = re.compile(r"^[ \t]*={2,}(?:[ \t]+={2,})+[ \t]*$", re.M)
_LATEX: Final = re.compile(r"\\begin\{(?:tabular|table|document)\}")
_CARD: Final = re.compile(r"^BEGIN:V(?:CARD|CALENDAR|EVENT)\b")
_DICT: Final = re.compile(r"^\[?\s*\{\s*'[^'\n]*'\s*:")
_EMAIL: Final = re.compile(r"^(?:From|Received|Return-Path|MIME-Version): .*\n(?:[A-Z][\w-]+: .*\n)+")


_FIRST_WORDS: Final = (
    (re.compile(r"%%MatrixMarket\b"), "a matrix in Matrix Market format", "convert it to CSV, with scipy for example"),
    (re.compile(r"diff --git |--- \S.*\n\+\+\+ \S"), "a difference between two files", "take the file itself"),
    (re.compile(r">\S.*\n[A-Za-z*-]+\n"), "sequences in FASTA format", "convert them to CSV"),
    (re.compile(r"@[A-Za-z]+\{[^\n]*,[ \t]*\n\s*\w+\s*="), "BibTeX", "export its entries as CSV"),
    (
        re.compile(r"(?:[-+]?\d+(?:\.\d+)?(?:[ \t]+\d+:[-+.\deE]+)+[ \t]*(?:\n|$)){2}"),
        "in LIBSVM format",
        "convert it to CSV, with scikit-learn's load_svmlight_file for example",
    ),
    (
        re.compile(r"\[[\w .:-]+\][ \t]*\n(?:[ \t]*(?:[#;].*)?\n)*[\w.-]+[ \t]*=[^\n]*(?:\n|$)"),
        "a configuration file (INI or TOML)",
        "a table in it must be saved as CSV",
    ),
)
_CONFLICT: Final = (re.compile("<{7} "), re.compile("={7}$"), re.compile(">{7} "))
"""What lines begin with, one after the other, where two versions of a file were not brought together."""
_PAIR: Final = re.compile(r"([A-Za-z][\w.-]*)[ \t]*(?:=|:(?=[ \t]))[^,;\t|]*")


def check_bytes(head: bytes) -> None:
    """Refuse a file whose first bytes are those of another format.

    Args:
        head: Some hundred bytes.

    Raises:
        LoadError: They are.
    """
    found = format_of(head)
    if found is not None:
        raise _other(*found)
    if head[257:262] == b"ustar":
        raise _other("a TAR archive", _UNPACK)


def format_of(head: bytes) -> tuple[str, str] | None:
    """The format whose files begin so, and what to do with one; None where it may be text."""
    for magic, name, remedy in _MAGIC:
        if begins(head, magic):
            return name, remedy
    return None


def begins(head: bytes, magic: bytes) -> bool:
    """Whether a file begins with what marks a format.

    A mark of letters and digits may be the name of a column as well (PAR1, FEA1): where a heading goes on and no byte
    follows that no text has, it is one.

    Args:
        head: Some hundred bytes.
        magic: The mark.
    """
    if not head.startswith(magic):
        return False
    if not magic.removeprefix(b"$").isalnum() or _BINARY.search(head):
        return True
    return _GOES_ON.match(head, len(magic)) is None


def check_text(text: str) -> None:
    """Refuse a file whose text is in another format than lines of fields.

    Args:
        text: Its beginning, so much that it tells the format, with a line feed between lines. The patterns take time
            in proportion to it, whatever it holds.

    Raises:
        LoadError: It is.
    """
    start = text.lstrip("\ufeff \t\r\n")
    json = _json(start)
    if json:
        raise LoadError("format", json)
    if _ANNEX.match(start):
        raise _other("a pointer of git-annex, which stands for the real file", "fetch that with `git annex get`")
    if _HTML.match(start[:5_000]):
        raise _other("a web page (HTML)", "give the address of the file itself, not that of a page about it")
    if start.startswith("<") and _XML.match(start) and _tags(start):
        raise _other("XML", "convert it to CSV")
    if _SQL.search(start[:4_000]) and ";" in start:
        raise _other("a dump of SQL statements", "load it into a database and export the table as CSV")
    head = "\n".join(start.splitlines()[:6])
    if _MARKDOWN.search(head):
        raise _other("a table in Markdown", "save it as CSV")
    if _ORG.search(head):
        raise _other("a table of Org mode", "export it as CSV")
    if _RST.search(head):
        raise _other("a table in reStructuredText", "save it as CSV")
    if _GRID.match(start):
        raise _other("a table drawn with lines, as a terminal shows it", "export it as CSV")
    if _YAML.match(start):
        raise _other("YAML", "convert it to CSV")
    for pattern, name, remedy in _FIRST_WORDS:
        if pattern.match(start):
            raise _other(name, remedy)
    if _holds_conflict(start.split("\n")):
        raise LoadError("format", "The file holds a merge conflict that is not resolved (<<<<<<<): resolve it first.")
    if _are_settings(start.splitlines()[:200]):
        raise _other("a list of settings (NAME: value or NAME=value)", "write its values as a table")
    if _ARFF.match(start[:4_000]):
        raise _other("an ARFF file (Weka)", "convert it to CSV")
    if _LATEX.search(start[:2_000]) and start.startswith(("\\", "%")):
        raise _other("LaTeX", "save the table as CSV")
    if _CARD.match(start):
        raise _other("a vCard or a calendar", "export its entries as CSV")
    if _DICT.match(start):
        raise _other("Python dictionaries", "write them with csv.DictWriter or pandas to_csv")
    if _EMAIL.match(start[:4_000]):
        raise _other("an e-mail message", "save the attached table")


def _other(name: str, remedy: str) -> LoadError:
    return LoadError("format", f"The file is {name}, not CSV: {remedy}.")


def _holds_conflict(lines: list[str]) -> bool:
    wanted = 0
    for line in lines:
        wanted += _CONFLICT[wanted].match(line) is not None
        if wanted == len(_CONFLICT):
            return True
    return False


def _are_settings(lines: list[str]) -> bool:
    """Whether every line gives a value to a name, and no name twice."""
    found = [_PAIR.fullmatch(line) for line in lines if line.strip()]
    names = {each[1] for each in found if each is not None}
    return len(found) > 2 and all(found) and len(names) == len(found)


def _tags(start: str) -> bool:
    return start.startswith(("<?xml", "<!")) or len(re.findall(r"</[A-Za-z]|/>", start[:5_000])) > 0


def _json(start: str) -> str:
    """What is said of a text in JSON; nothing where it is none."""
    if not re.match(r"[\[{]\s*(?:[\"{\[\]}]|-?\d|true|false|null|$)", start[:200]):
        return ""
    if start.startswith("{") and not re.match(r'\{\s*(?:"(?:[^"\\\n]|\\.)*"\s*:|\}|$)', start[:5_000]):
        return ""
    if start.startswith("[") and not (
        re.match(r'\[\s*(?:[{\[]|"(?:[^"\\\n]|\\.)*"\s*[,\]]|-?[\d.eE+-]+\s*[,\]])', start)
    ):
        return ""
    if re.search(r'"type"\s*:\s*"(?:FeatureCollection|Feature|Topology)"', start[:5_000]):
        return "The file is GeoJSON, not CSV: convert its properties to CSV."
    if re.search(r'"nbformat"|"cell_type"', start):
        return "The file is a Jupyter notebook (JSON), not CSV: save its table as CSV."
    lines = [line.strip() for line in start.splitlines()[:3] if line.strip()]
    if len(lines) > 1 and all(re.fullmatch(r"[\[{].*[\]}]", line) for line in lines[:2]):
        return "The file is JSON lines, not CSV: convert it to CSV, with pandas read_json(…, lines=True) for example."
    return "The file is JSON, not CSV: convert it to CSV, with pandas read_json for example."
