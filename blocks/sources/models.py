"""What crosses the border of a source: a reference to a dataset, what is known about it, and a fetched file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Protocol

from pydantic import Field

from blocks.errors import UserError
from blocks.frozen import Frozen
from blocks.sandboxes.reading import NO_RULES, ReadingRules

MIB = 2**20
TABLE_ENDINGS = (".csv", ".tsv")
"""What a table's file is called, inside an archive and in a folder."""
PACKED_ENDINGS = (".gz", ".bz2", ".xz", ".zip", ".tar", ".tgz")
_ARCHIVE_ENDINGS = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")
"""What an archive is called; only its bytes say whether a table is in it."""
_REFUSED_ENDINGS = (".zst", ".7z", ".rar")
"""Of packed tables that are named and refused, as they are not unpacked here."""

Progress = Callable[[int, int | None], None]
"""Told of bytes so far and of bytes in all, None where nobody knows."""


def is_named_like_table(name: str) -> bool:
    """Whether the name of a folder's file says that it is a CSV file, packed or not, or an archive."""
    packed = (*PACKED_ENDINGS, *_REFUSED_ENDINGS)
    tables = (*TABLE_ENDINGS, *(f"{table}{ending}" for table in TABLE_ENDINGS for ending in packed))
    return name.lower().endswith((*tables, *_ARCHIVE_ENDINGS))


class SourceError(UserError):
    """A dataset that could not be fetched: not there, not allowed, broken off too often."""


class SourceRefused(SourceError):
    """A dataset that arrived and is not taken: too large, an unsafe archive, no table. Trying again changes nothing."""


class FetchLimits(Frozen):
    """What one dataset may cost before it is refused."""

    max_bytes: Annotated[int, Field(ge=1, description="bytes transferred, and bytes of the unpacked table")] = 256 * MIB
    max_ratio: Annotated[float, Field(gt=1, description="unpacked bytes for each packed one")] = 200.0
    max_members: Annotated[int, Field(ge=1, description="files in an archive")] = 10_000


class RetryLimits(Frozen):
    """How patiently a transfer is tried again."""

    attempts: Annotated[int, Field(ge=1, description="tries in a row that bring no new byte")] = 5
    stall_s: Annotated[float, Field(gt=0, description="seconds without a byte that count as a stall")] = 30.0
    total_s: Annotated[float, Field(gt=0, description="seconds for a file with all its tries")] = 3_600.0
    first_wait_s: Annotated[float, Field(ge=0, description="wait after the first failure, doubling")] = 1.0
    max_wait_s: Annotated[float, Field(ge=0, description="longest wait of our own choosing")] = 30.0
    max_server_wait_s: Annotated[float, Field(ge=0, description="longest wait a server may ask for")] = 300.0


class Facts(Frozen):
    """What a source knows about a dataset; empty where it knows nothing. All of it is a stranger's text."""

    title: str = ""
    description: str = ""
    licence: str = ""
    tags: tuple[str, ...] = ()
    url: str = ""
    version: str = ""
    column_notes: dict[str, str] = Field(default_factory=dict)
    reading: ReadingRules = NO_RULES
    """How the file is to be read, where its own dataset.json says so."""


class Reference(Frozen):
    """One dataset as its source lists it."""

    schema_version: int = 1
    source: Annotated[str, Field(min_length=1, description="the address in one canonical form")]
    version: Annotated[str, Field(description="empty where it is known only once the file is here")] = ""
    member: Annotated[str, Field(description="which file of an archive; empty: the only table in it")] = ""
    name: Annotated[str, Field(description="what the dataset is called")] = ""
    bytes: Annotated[int | None, Field(description="size announced by the source")] = None
    facts: Facts = Facts()

    @property
    def id(self) -> str:
        """The dataset's address: what a person gives to get it again."""
        return f"{self.source}#{self.member}" if self.member else self.source

    @property
    def token(self) -> str:
        """A short name, safe for a folder, that two versions of a dataset do not share."""
        return hashlib.sha256(f"{self.id}\0{self.version}".encode()).hexdigest()[:24]


class Fetched(Frozen):
    """A table that has arrived whole."""

    path: Path
    bytes: Annotated[int, Field(description="of the table")]
    transferred: Annotated[int, Field(description="bytes that came over the wire in this run")]
    sha256: Annotated[str, Field(description="of the table")]
    facts: Facts


class Source(Protocol):
    """A place that lists datasets and hands them out."""

    async def references(self) -> Sequence[Reference]:
        """The datasets there.

        Raises:
            SourceError: The source cannot be read.
        """
        ...

    async def fetch(self, reference: Reference, folder: Path, limits: FetchLimits, progress: Progress) -> Fetched:
        """Bring a dataset's table into a folder; what was left there by an earlier try is gone on with.

        Args:
            reference: One that `references` gave.
            folder: The dataset's own working folder.
            limits: What it may cost.
            progress: Told while bytes come in.

        Raises:
            SourceRefused: The dataset is not taken as it is.
            SourceError: It could not be fetched now.
        """
        ...


def too_large(what: str, size: int | None, limits: FetchLimits) -> SourceRefused:
    """The refusal of what is over the cap; `size` is None where only that much is known."""
    much = f"has {size:,} bytes, more than" if size is not None else "has more than"
    return SourceRefused(f"{what} {much} the {limits.max_bytes:,} taken.", "Raise --max-mib if you want it.")
