"""Brings a file's bytes into UTF-8: finds out the encoding, and says where it is in doubt."""

from __future__ import annotations

import codecs
import hashlib
import mmap
import re
from dataclasses import dataclass
from typing import BinaryIO, Final

from sandbox_image.zygote.reading.letters import margin, rank
from sandbox_image.zygote.reading.records import LINE_END
from sandbox_image.zygote.reading.refusals import LoadError, check_bytes

Buffer = bytes | mmap.mmap

_CHUNK: Final = 1 << 20
_HEAD: Final = 4096
_SAMPLE: Final = 256 * 1024
_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig", 3),
    (codecs.BOM_UTF32_LE, "utf-32", 4),
    (codecs.BOM_UTF32_BE, "utf-32", 4),
    (codecs.BOM_UTF16_LE, "utf-16", 2),
    (codecs.BOM_UTF16_BE, "utf-16", 2),
)
_BLANK: Final = b" \t\r\n\x00\x1a\xef\xbb\xbf\xfe\xff"
_NAMES: Final = {
    "cp1252": "Windows-1252", "cp1250": "Windows-1250", "cp1251": "Windows-1251", "cp1253": "Windows-1253",
    "cp1254": "Windows-1254", "cp1255": "Windows-1255", "cp1256": "Windows-1256", "cp1257": "Windows-1257",
    "cp932": "Shift-JIS", "euc_jp": "EUC-JP", "gb18030": "GB18030", "big5": "Big5", "cp949": "Korean (CP949)",
    "mac_roman": "Mac Roman", "mac_cyrillic": "Mac Cyrillic",
}  # fmt: skip
_CERTAIN: Final = 0.8
"""A score above this: nearly all bytes are letters in their places."""
_ENOUGH: Final = 0.45
"""A score below this: the bytes are words in no encoding."""


@dataclass(frozen=True)
class Text:
    """A file as UTF-8 bytes without mark, padding or end-of-file sign; `size` and `sha256` are those of the file."""

    data: Buffer
    start: int
    end: int
    encoding: str
    size: int
    sha256: str
    notes: tuple[str, ...]


def read_text(source: BinaryIO, encoding: str | None) -> Text:
    """Read a file and bring it into UTF-8.

    Args:
        source: The file, seekable.
        encoding: Its encoding where known.

    Raises:
        LoadError: The file is empty, of another format, no text, or not in the encoding.
    """
    data = _bytes(source)
    size = len(data)
    digest = _digest(data)
    if not data[:_HEAD].strip(_BLANK) and _blank(data):
        raise LoadError("empty", "The file is empty.")
    check_bytes(data[:_HEAD])
    found, notes = (_known(encoding), []) if encoding else _find(data)
    start, end = _bounds(data, found, notes)
    if found == "utf-8" and (not encoding or _first_bad(data) < 0):
        return Text(data, start, end, found, size, digest, tuple(notes))
    body = bytes(data[start:end])
    text = _mixed(body) if found == _MIXED else _decode(body, found)
    if "\x00" in text:
        raise LoadError("not_text", "The file is not text: it holds NUL characters.")
    text = text.removeprefix("\ufeff")
    converted = text.encode("utf-8", "replace")
    shown = {"utf-8-sig": "utf-8", _MIXED: "utf-8"}.get(found, found)
    return Text(converted, 0, len(converted), shown, size, digest, tuple(notes))


_MIXED: Final = "mixed"


def _bytes(source: BinaryIO) -> Buffer:
    """All bytes; a real file is mapped, so that they are not copied."""
    source.seek(0)
    try:
        return mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError, AttributeError):
        return source.read()


def _digest(data: Buffer) -> str:
    return hashlib.sha256(data).hexdigest()


def _blank(data: Buffer) -> bool:
    return all(not data[at : at + _CHUNK].strip(_BLANK) for at in range(0, len(data), _CHUNK))


def _known(encoding: str) -> str:
    try:
        found = codecs.lookup(encoding)
    except (LookupError, ValueError) as error:
        raise LoadError("encoding", f"There is no encoding called {encoding[:60]!r}.") from error
    if not getattr(found, "_is_text_encoding", True) or found.name in ("idna", "punycode", "undefined", "mbcs", "oem"):
        raise LoadError("encoding", f"{encoding[:60]!r} is no encoding of text files.")
    return found.name


def _find(data: Buffer) -> tuple[str, list[str]]:
    head = data[:_HEAD]
    for mark, name, _ in _BOMS:
        if head.startswith(mark):
            if name != "utf-8-sig":
                return name, []
            bad = _first_bad(data)
            return ("utf-8", []) if bad < 0 else _legacy(data[len(mark) :], bad)
    end = _padding(data)
    zero = data.find(b"\x00")
    if 0 <= zero < end:
        return _wide(data, zero)
    if data.find(b"\x1b$", 0, _SAMPLE) >= 0 and _decodes(data[:_SAMPLE], "iso2022_jp"):
        return "iso2022_jp", ["The file was read as ISO-2022-JP; --encoding names another."]
    bad = _first_bad(data)
    return ("utf-8", []) if bad < 0 else _legacy(data, bad)


def _padding(data: Buffer) -> int:
    """Where the NUL bytes begin that fill the end of the file."""
    end = len(data)
    while end and data[max(0, end - _CHUNK) : end].strip(b"\x00") == b"":
        end = max(0, end - _CHUNK)
    return max(0, end - _CHUNK) + len(data[max(0, end - _CHUNK) : end].rstrip(b"\x00"))


def _wide(data: Buffer, zero: int) -> tuple[str, list[str]]:
    """UTF-16 or UTF-32 without a mark: whatever the script, its line ends and digits have NUL bytes in one place."""
    head = data[: _HEAD - _HEAD % 4]
    head = head[: len(head) - len(head) % 4]
    places = {at % 4 for at, byte in enumerate(head) if byte == 0}
    whole = len(data) % 2 == 0
    if head.count(0) < 0.3 * len(head) and re.fullmatch(rb"[\x00\t\r\n -~]*", head):
        # Every other byte of wide text in Latin letters is NUL; other scripts have bytes that are no Latin letters.
        whole = False
    candidates = []
    if places == {1, 2, 3} or places == {0, 1, 2}:
        candidates = ["utf-32-le" if 0 not in places else "utf-32-be"]
    elif whole and places and places <= {1, 3}:
        candidates = ["utf-16-le"]
    elif whole and places and places <= {0, 2}:
        candidates = ["utf-16-be"]
    for name in candidates:
        text = _lenient(head, name)
        signs = sum(sign in "\r\n,;\t|0123456789" for sign in text)
        if signs > 0.02 * len(text) and re.search(r"[\r\n]", _lenient(data[: _SAMPLE - _SAMPLE % 4], name)):
            return name, [f"The file has no byte order mark; it was read as {name.upper()}."]
    raise LoadError("not_text", f"The file is not text: byte {zero + 1} is NUL.")


def _lenient(data: bytes, name: str) -> str:
    return data.decode(name, "ignore")


def _decodes(data: bytes, name: str) -> bool:
    try:
        codecs.getincrementaldecoder(name)().decode(data)
    except UnicodeDecodeError:
        return False
    return True


def _first_bad(data: Buffer) -> int:
    """The place of the first byte that is not UTF-8, about; -1 where there is none."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    pending = False
    for at in range(0, len(data), _CHUNK):
        piece = data[at : at + _CHUNK]
        if not pending and piece.isascii():
            continue
        try:
            decoder.decode(piece)
        except UnicodeDecodeError as error:
            return at + error.start
        pending = bool(decoder.getstate()[0])
    return len(data) - 1 if pending else -1


def _bounds(data: Buffer, encoding: str, notes: list[str]) -> tuple[int, int]:
    """Where the text begins and ends, without a mark before it and what fills the file after it."""
    start = 0
    if encoding.startswith(("utf-16", "utf-32")):
        return start, len(data)
    while data[start : start + 3] == codecs.BOM_UTF8:
        start += 3
    end = _padding(data)
    if end < len(data):
        notes.append(f"{len(data) - end:,} NUL bytes at the end of the file were left out.")
    tail = data[max(start, end - 64) : end]
    kept = tail.rstrip(b"\x1a")
    if len(kept) < len(tail):
        end -= len(tail) - len(kept)
        notes.append("The end-of-file sign (Ctrl-Z) at the end of the file was left out.")
    return start, end


def _decode(body: bytes, encoding: str) -> str:
    if encoding.startswith(("utf-16", "utf-32")) and b"\x00" not in body:
        raise LoadError("encoding", f"The file cannot be read as {encoding}: it holds no NUL byte, as such text does.")
    try:
        text = codecs.decode(body, encoding)
    except UnicodeDecodeError as error:
        line = _line_of(body, error.start)
        message = f"The file cannot be read as {encoding}: line {line} holds bytes that are none of its signs; name"
        raise LoadError("encoding", f"{message} another with --encoding.", helps=True) from error
    except (UnicodeError, ValueError, TypeError, AssertionError) as error:
        raise LoadError("encoding", f"The file cannot be read as {encoding}.") from error
    if not isinstance(text, str):
        raise LoadError("encoding", f"{encoding!r} is no encoding of text files.")
    return text


def _line_of(body: bytes, place: int) -> int:
    return 1 + sum(1 for _ in LINE_END.finditer(body, 0, place))


def _legacy(data: Buffer, bad: int) -> tuple[str, list[str]]:
    """Bytes that are not UTF-8: UTF-8 with some lines in another encoding, or an older encoding."""
    body = bytes(data)
    lines = [line for line in body.split(b"\n") if not line.isascii()]
    wrong = [line for line in lines if not _decodes_whole(line)]
    first = _line_of(body, bad)
    # A line may be UTF-8 by chance; where one encoding makes words of all lines, it is that.
    together = rank(b"\n".join(lines)[:_SAMPLE]) if len(wrong) < len(lines) else []
    if len(wrong) < len(lines) and not (together and together[0][0] > _CERTAIN):
        ranked = rank(b"\n".join(wrong)[:_SAMPLE])
        if ranked and ranked[0][1] != "cp1252" and ranked[0][0] > 1:
            message = f"The file mixes encodings: line {first} and {len(wrong) - 1:,} more are not UTF-8, others are"
            raise LoadError("encoding", f"{message}; write it anew in one encoding.")
        note = (
            f"The file mixes encodings: {len(wrong):,} lines, the first of them line {first}, hold bytes that are not"
        )
        return _MIXED, [f"{note} UTF-8; they were read as Windows-1252."]
    return _guess(lines, first)


def _decodes_whole(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _guess(lines: list[bytes], first: int) -> tuple[str, list[str]]:
    # Letters of ASCII alone are the same in each of them.
    beyond = b"\n".join(lines)
    sample = beyond[:_SAMPLE]
    ranked = [each for each in rank(sample) if _decodes(beyond, each[1])]
    doubt = f"The file is not UTF-8 (line {first}), and "
    if not ranked or ranked[0][0] < _ENOUGH:
        raise LoadError(
            "encoding",
            f"{doubt}its bytes make words in no encoding that was tried: name it with --encoding.",
            helps=True,
        )
    score, best = ranked[0]
    text = sample.decode(best)
    least = score - margin(text, best)
    rivals = [other for other_score, other in ranked[1:] if other_score > least and _differs(sample, other, text)]
    if rivals:
        names = " or ".join(_NAMES.get(each, each.upper()) for each in (best, *rivals[:2]))
        options = " or ".join(f"--encoding {each}" for each in (best, *rivals[:2]))
        raise LoadError("encoding", f"{doubt}it may be {names}: name it with {options}.", helps=True)
    name = _NAMES.get(best, best.upper())
    return best, [f"The file is not UTF-8 (line {first}); it was read as {name}; --encoding names another."]


def _differs(sample: bytes, encoding: str, text: str) -> bool:
    return sample.decode(encoding, "replace") != text


def _mixed(body: bytes) -> str:
    def windows(error: UnicodeError) -> tuple[str, int]:
        if not isinstance(error, UnicodeDecodeError):
            raise error
        wrong = error.object[error.start : error.end]
        return "".join(bytes([byte]).decode("cp1252", "replace") for byte in wrong), error.end

    codecs.register_error("trigpoint-mixed", windows)
    return body.decode("utf-8", "trigpoint-mixed")
