"""From what arrived to one table: archives are opened without trusting a name, a link or a size written in them."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple, Protocol, cast

from blocks.sources.models import TABLE_ENDINGS, FetchLimits, SourceRefused, too_large
from sandbox_image.zygote.reading.refusals import begins, format_of

_CHUNK = 1 << 18
_FREE_BYTES = 8 << 20
"""Unpacked bytes that no ratio is applied to: a small table of zeros is no bomb."""
_TAR_MAGIC = 257
_OPENERS: dict[bytes, Callable[[BinaryIO], BinaryIO]] = {
    b"\x1f\x8b": lambda raw: cast(BinaryIO, gzip.open(raw)),  # noqa: SIM115 - closed by who calls it
    b"BZh": lambda raw: cast(BinaryIO, bz2.open(raw)),  # noqa: SIM115 - closed by who calls it
    b"\xfd7zXZ\0": lambda raw: cast(BinaryIO, lzma.open(raw)),  # noqa: SIM115 - closed by who calls it
}
_DAMAGED = (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, ValueError, NotImplementedError)
_ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
_BY_NAME: tuple[tuple[tuple[str, ...], bytes, str, str], ...] = (
    ((".jsonl", ".ndjson"), b"{[", "JSON lines", "Convert it, with pandas read_json(FILE, lines=True) for example."),
    ((".json", ".geojson"), b"{[", "JSON", "Convert it, with pandas read_json(FILE) for example."),
    ((".xml",), b"<", "XML", "Convert it, with pandas read_xml(FILE) for example."),
)
"""Endings of names, what text in such a format begins with, its name, and what to do with it."""
_OFFICE = {
    "xl/workbook.xml": ("an Excel workbook", "Save the sheet as CSV."),
    "xl/workbook.bin": ("an Excel workbook", "Save the sheet as CSV."),
    "word/document.xml": ("a Word document", "Export the table as CSV."),
    "content.xml": ("an OpenDocument file", "Save the sheet as CSV."),
}
"""Files that are in an archive which is a document."""


class Format(NamedTuple):
    """Another format than CSV, and what to do with a file in it."""

    name: str
    remedy: str


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Counted(io.RawIOBase):
    """A stream that may give only so many bytes; more is a refusal, however the archive describes itself."""

    def __init__(self, stream: _Readable, packed: int, what: str, limits: FetchLimits) -> None:
        self._stream = stream
        self._packed = max(packed, 1)
        self._what = what
        self._limits = limits
        self._given = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(_CHUNK if size is None or size < 0 else size)
        self._given += len(data)
        if self._given > self._limits.max_bytes:
            raise too_large(f"{self._what}, unpacked,", None, self._limits)
        if self._given > max(_FREE_BYTES, self._packed * self._limits.max_ratio):
            raise SourceRefused(
                f"{self._what} unpacks to more than {self._limits.max_ratio:g} times its size.",
                "Unpack it yourself if you trust it, and give the CSV file.",
            )
        return data


def extract_table(arrived: Path, target: Path, member: str, limits: FetchLimits, name: str = "") -> str:
    """Make `target` the table in `arrived`: the file itself, or the one CSV file of an archive.

    `arrived` is gone afterwards. Of an archive only the chosen file is unpacked, under a name of ours.

    Args:
        arrived: The file as it came.
        target: Where the table goes; replaced at once, never half-written.
        member: The file wanted from an archive; empty: the only table in it.
        limits: Caps on unpacked bytes, ratio and members.
        name: What the file was called where it came from.

    Returns:
        The name of the archive's file that was taken; empty where it was no archive.

    Raises:
        SourceRefused: The archive is damaged, unsafe, too large, or does not hold exactly the one table.
    """
    staged = target.with_name(target.name + ".new")
    taken = ""
    try:
        if _head(arrived).startswith(_ZIP_MAGIC):
            taken = _from_zip(arrived, staged, member, limits)
        elif (opener := _opener(arrived)) is not None:
            taken = _from_stream(arrived, opener, staged, member, limits)
        elif _looks_like_tar(_head(arrived)):
            taken = _from_tar(arrived, lambda raw: raw, staged, member, limits)
        else:
            os.replace(arrived, staged)
        _refuse_what_is_no_table(staged, taken or name)
        os.replace(staged, target)
    except _DAMAGED as error:
        raise _damaged(error) from error
    except OSError as error:
        if error.errno is not None:  # The disk's trouble, not the archive's.
            raise
        raise _damaged(error) from error
    finally:
        staged.unlink(missing_ok=True)
        arrived.unlink(missing_ok=True)
    return taken


def _from_zip(arrived: Path, staged: Path, member: str, limits: FetchLimits) -> str:
    with zipfile.ZipFile(arrived) as archive:
        entries = archive.infolist()
        _refuse_crowd(len(entries), limits)
        for inside, (what, remedy) in _OFFICE.items():
            if inside in archive.namelist() and not member:
                raise SourceRefused(f"It is {what}, not a CSV file.", remedy)
        for entry in entries:
            _refuse_unsafe_name(entry.filename)
            if stat.S_ISLNK(entry.external_attr >> 16):
                raise _unsafe(f"the link {entry.filename!r}")
        chosen = archive.getinfo(_choose([entry.filename for entry in entries if not entry.is_dir()], member))
        if chosen.flag_bits & 1:
            raise SourceRefused(f"{chosen.filename} is encrypted.", "Unpack it yourself and give the CSV file.")
        with archive.open(chosen) as stream:
            _write(_Counted(stream, chosen.compress_size, chosen.filename, limits), staged)
    return chosen.filename


def _from_stream(
    arrived: Path, opener: Callable[[BinaryIO], BinaryIO], staged: Path, member: str, limits: FetchLimits
) -> str:
    with arrived.open("rb") as raw, opener(raw) as stream:
        is_tar = _looks_like_tar(stream.read(_TAR_MAGIC + 5))
    if is_tar:
        return _from_tar(arrived, opener, staged, member, limits)
    with arrived.open("rb") as raw, opener(raw) as stream:
        _write(_Counted(stream, arrived.stat().st_size, "The compressed file", limits), staged)
    return ""


def _from_tar(
    arrived: Path, opener: Callable[[BinaryIO], BinaryIO], staged: Path, member: str, limits: FetchLimits
) -> str:
    names = [entry.name for _, entry in _tar_files(arrived, opener, limits)]
    chosen = _choose(names, member)
    for archive, entry in _tar_files(arrived, opener, limits):
        if entry.name == chosen:
            stream = archive.extractfile(entry)
            if stream is not None:
                _write(stream, staged)
                return chosen
    raise SourceRefused(f"{chosen} cannot be taken out of its archive.", "Unpack it yourself and give the CSV file.")


def _tar_files(
    arrived: Path, opener: Callable[[BinaryIO], BinaryIO], limits: FetchLimits
) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    """The regular files, read in one pass under the caps; anything but files and folders refuses the archive."""
    with arrived.open("rb") as raw, opener(raw) as stream:
        counted = _Counted(stream, arrived.stat().st_size, "The archive", limits)
        with tarfile.open(fileobj=counted, mode="r|") as archive:
            for number, entry in enumerate(archive, 1):
                _refuse_crowd(number, limits)
                _refuse_unsafe_name(entry.name)
                if entry.isfile():
                    yield archive, entry
                elif not entry.isdir():
                    raise _unsafe(f"{entry.name!r}, which is no regular file")
        # The checksum of what was compressed stands behind the last byte.
        while counted.read(_CHUNK):
            pass


def _choose(names: Sequence[str], member: str) -> str:
    if member:
        found = [name for name in names if name == member] or [
            name for name in names if PurePosixPath(name).name == member
        ]
        if len(found) != 1:
            raise SourceRefused(f"The archive has {len(found)} files called {member}.", _listing(names))
        return found[0]
    tables = [name for name in names if name.lower().endswith(TABLE_ENDINGS) and not _is_litter(name)]
    if len(tables) != 1:
        count = "no CSV file" if not tables else f"{len(tables)} CSV files"
        remedy = "Name one with #FILE. " + _listing(tables) if tables else _listing(names)
        raise SourceRefused(f"The archive holds {count}, not one.", remedy)
    return tables[0]


def _listing(names: Sequence[str]) -> str:
    shown = ", ".join(name if name.isprintable() else ascii(name) for name in sorted(names)[:8])
    return f"It holds {shown}{', …' if len(names) > 8 else ''}." if names else "It is empty."


def _is_litter(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts)


def _refuse_crowd(count: int, limits: FetchLimits) -> None:
    if count > limits.max_members:
        raise SourceRefused(f"The archive holds more than {limits.max_members:,} files.", "Unpack it yourself.")


def _refuse_unsafe_name(name: str) -> None:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or name[1:2] == ":" or "\0" in name:
        raise _unsafe(f"a file that wants to be written to {name!r}")


def _unsafe(what: str) -> SourceRefused:
    return SourceRefused(f"The archive holds {what}; nothing was unpacked.", "Do not trust it.")


def _damaged(error: Exception) -> SourceRefused:
    return SourceRefused(f"The archive is damaged ({error}).", "Ask its publisher, or unpack it yourself.")


def _write(stream: _Readable, staged: Path) -> None:
    with staged.open("wb") as out:
        while chunk := stream.read(_CHUNK):
            out.write(chunk)


def _opener(arrived: Path) -> Callable[[BinaryIO], BinaryIO] | None:
    head = _head(arrived)
    return next((opener for magic, opener in _OPENERS.items() if begins(head, magic)), None)


def _head(file: Path) -> bytes:
    with file.open("rb") as raw:
        return raw.read(1024)


def _looks_like_tar(head: bytes) -> bool:
    return head[_TAR_MAGIC : _TAR_MAGIC + 5] == b"ustar"


def is_packed(head: bytes) -> bool:
    """Whether a file that begins so is an archive or compressed, of the kinds that are unpacked here."""
    return any(begins(head, magic) for magic in (*_ZIP_MAGIC, *_OPENERS)) or _looks_like_tar(head)


def other_format(head: bytes, name: str = "") -> Format | None:
    """What a file is instead of a table: the common mistakes; whether the rest is one is found out in the sandbox.

    Args:
        head: Its first thousand bytes.
        name: Its name; an ending counts where the bytes agree.
    """
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return Format("a web page", "Give the address of the file itself.")
    found = None if is_packed(head) else format_of(head)
    if found is not None:
        what, remedy = found
        return Format(what, f"{remedy[0].upper()}{remedy[1:]}.")
    for endings, signs, what, remedy in _BY_NAME:
        if name.lower().endswith(endings) and start[:1] and start[:1] in signs:
            return Format(what, remedy)
    return None


def _refuse_what_is_no_table(file: Path, name: str) -> None:
    head = _head(file)
    found = other_format(head, name)
    if found is not None:
        raise SourceRefused(f"It is {found.name}, not a CSV file.", found.remedy)
    if not head:
        raise SourceRefused("It is empty.", "Give a CSV file with a header line and at least one row.")
