"""A packed file in a CSV file's place: the table in it, unpacked once into the home, under the caps of downloads."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from uuid import uuid4

from blocks.digests import digest_of_state
from blocks.errors import DatasetError
from blocks.settings import settings
from blocks.sources.archives import extract_table, is_packed, other_format
from blocks.sources.models import PACKED_ENDINGS, TABLE_ENDINGS, FetchLimits, SourceRefused


def named_file(path: Path) -> tuple[Path, str]:
    """The file that a path names, and the file wanted out of it: `tables.zip#may.csv`, where there is no such path."""
    if "#" in path.name and not path.exists():
        name, _, member = str(path).partition("#")
        return Path(name), member
    return path, ""


def table_in(path: Path, member: str, max_bytes: int) -> Path:
    """The CSV file itself, or that in a packed one: unpacked into the home, once for each content.

    Args:
        path: The file.
        member: The file wanted out of an archive; empty: the only table in it.
        max_bytes: Largest table taken, bytes.

    Raises:
        DatasetError: The file is of another format, or an archive that is damaged, unsafe, too large, or without one
            table.
        OSError: It cannot be read, or the table not be written.
    """
    with path.open("rb") as file:
        head = file.read(1024)
    if (found := other_format(head, path.name)) is not None:
        raise DatasetError(f"{path} is {found.name}, not a CSV file.", found.remedy)
    if not is_packed(head):
        return path
    token = hashlib.sha256(f"{digest_of_state(path, path.stat())}\0{member}".encode()).hexdigest()[:24]
    name = without_endings(Path(member or path.name).name)
    # A dataset's own folder names it.
    name = path.absolute().parent.name if name == "data" and path.absolute().parent.name else name
    table = settings().home / "unpacked" / token / f"{name}.csv"
    if not table.is_file():
        _unpack(path, table, member, max_bytes)
    return table


def without_endings(name: str) -> str:
    """`x` of `x.csv.gz`; a dot in it is kept."""
    endings = (*PACKED_ENDINGS, *TABLE_ENDINGS)
    while ending := next((each for each in endings if name.lower().endswith(each) and len(name) > len(each)), ""):
        name = name[: -len(ending)]
    return name


def _unpack(path: Path, table: Path, member: str, max_bytes: int) -> None:
    arrived = table.with_name(f"{uuid4().hex}.part")
    arrived.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copyfile(path, arrived)
        extract_table(arrived, table, member, FetchLimits(max_bytes=max_bytes))
    except SourceRefused as error:
        remedy = "Give a smaller file or a sample of its rows." if "--max-mib" in error.remedy else error.remedy
        raise DatasetError(f"{path}: {error.message}", remedy) from error
    finally:
        arrived.unlink(missing_ok=True)
