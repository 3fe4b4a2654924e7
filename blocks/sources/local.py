"""Local sources: a CSV file, a packed one, a folder of them, a dataset's folder, or a glob."""

from __future__ import annotations

import asyncio
import glob
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from pydantic import ValidationError

from blocks.digests import file_digest
from blocks.sandboxes.reading import ReadingRules
from blocks.sources.archives import extract_table
from blocks.sources.copying import Copy, in_thread, landed
from blocks.sources.models import (
    Facts,
    Fetched,
    FetchLimits,
    Progress,
    Reference,
    SourceError,
    is_named_like_table,
)


class LocalFiles:
    """The files a path or a pattern names.

    Args:
        pattern: A file, a folder, or a glob (`**` for any depth); `~` is the user's home.
        member: The file wanted from an archive; empty: the only table in it.
    """

    def __init__(self, pattern: str, member: str = "") -> None:
        self._pattern = str(Path(pattern).expanduser())
        self._member = member

    async def references(self) -> Sequence[Reference]:
        """One reference per file, sorted by path; its version is the SHA-256 of the file.

        Raises:
            SourceError: Nothing is there, or a file cannot be read.
        """
        return await asyncio.to_thread(self._list)

    async def fetch(self, reference: Reference, folder: Path, limits: FetchLimits, progress: Progress) -> Fetched:
        """Copy the file, or the table in it; see `Source.fetch`."""
        copy = Copy(reference.source, limits, progress)
        return await in_thread(lambda: self._fetch(reference, folder, limits, copy), copy.stop)

    def _list(self) -> list[Reference]:
        files = self._files()
        if not files:
            raise SourceError(f"{self._pattern} names no CSV file.", "Check the spelling of the path.")
        try:
            return [self._reference(file) for file in files]
        except OSError as error:
            raise SourceError(
                f"{error.filename} cannot be read: {error.strerror}.", "Check its permissions."
            ) from error

    def _files(self) -> list[Path]:
        path = Path(self._pattern)
        if path.is_dir():
            return _files_in(path)
        if path.exists():
            if not path.is_file():
                raise SourceError(f"{path} is not a regular file.", "Save the table to a file first.")
            return [path]
        if not glob.has_magic(self._pattern):
            raise SourceError(f"{path} does not exist.", "Check the spelling of the path.")
        found = sorted(Path(name) for name in glob.glob(self._pattern, recursive=True))
        return [file for path in found for file in ([path] if path.is_file() else _files_in(path))]

    def _reference(self, file: Path) -> Reference:
        path = file.absolute()
        named = path.parent if path.name == "data.csv" else path
        return Reference(
            source=path.as_uri(),
            version=file_digest(path),
            member=self._member,
            name=named.name,
            bytes=path.stat().st_size,
            facts=_facts(path.with_name("dataset.json") if path.name == "data.csv" else None),
        )

    def _fetch(self, reference: Reference, folder: Path, limits: FetchLimits, copy: Copy) -> Fetched:
        folder.mkdir(parents=True, exist_ok=True)
        arrived, table = folder / "arrived", folder / "data.csv"
        path = Path(url2pathname(urlsplit(reference.source).path))
        try:
            with path.open("rb") as stream:
                size = copy.run(stream, arrived, path.stat().st_size)
        except OSError as error:
            raise SourceError(f"{path} cannot be copied: {error.strerror}.", "Check disk and permissions.") from error
        extract_table(arrived, table, reference.member, limits, path.name)
        return landed(table, size, reference)


def _files_in(folder: Path) -> list[Path]:
    if (folder / "data.csv").is_file():
        return [folder / "data.csv"]
    files = [path for path in folder.iterdir() if path.is_file() and is_named_like_table(path.name)]
    sets = [path / "data.csv" for path in folder.iterdir() if (path / "data.csv").is_file()]
    return sorted([*files, *sets])


def _facts(card: Path | None) -> Facts:
    """What a dataset's own card says; a card that cannot be read says nothing here, the table is what was asked for."""
    if card is None or not card.is_file():
        return Facts()
    try:
        data: Any = json.loads(card.read_bytes())
    except (ValueError, RecursionError):
        return Facts()
    if not isinstance(data, Mapping):
        return Facts()
    names = ("title", "description", "licence", "url")
    text: dict[str, Any] = {name: data[name] for name in names if isinstance(data.get(name), str)}
    text["reading"] = _rules(card, data.get("reading") or {})
    notes = data.get("columns")
    if isinstance(notes, Mapping):
        return Facts(**text, column_notes={str(key): value for key, value in notes.items() if isinstance(value, str)})
    return Facts(**text)


def _rules(card: Path, given: Any) -> ReadingRules:
    """The card's rules for reading; one that makes no sense is told: without it the table would be another."""
    try:
        return ReadingRules.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, ("reading", *first["loc"])))
        raise SourceError(f"{card}: {where}: {first['msg']}.", "Mend the rule or take it out.") from error
