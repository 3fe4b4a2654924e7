"""The dataset record: one CSV file, its content key, and what is known about where it comes from."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from blocks.digests import digest_of_state
from blocks.errors import DatasetError
from blocks.frozen import Frozen
from blocks.newer import newer_version, newer_words
from blocks.sandboxes.reading import NO_RULES, ReadingRules
from blocks.sources.models import PACKED_ENDINGS
from flows.tables.unpacking import named_file, table_in

CARD_VERSION = 1
"""The newest schema version of a `dataset.json` that is read here: a newer one may say how the table is to be read."""
MAX_BYTES = 2**30
"""Largest file taken by default, bytes; the sandbox has its own, equal limit."""


class DatasetCard(BaseModel):
    """What a `dataset.json` beside the file says; every field may be missing, unknown ones are left alone."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    title: str = ""
    description: str = ""
    licence: str = ""
    source: str = ""
    """Where the data are from, in words, or the reference a download was given."""
    version: str = ""
    tags: tuple[str, ...] = ()
    url: str = ""
    columns: dict[str, str] = {}
    """What the columns mean, by name."""
    reading: ReadingRules = NO_RULES
    """How the file is to be read, where that is not to be found out."""


class Dataset(Frozen):
    """One CSV file, known by its content."""

    schema_version: Literal[1] = 1
    slug: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=80)]
    key: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="sha256 of the file")]
    path: Path
    bytes: int
    title: str = ""
    description: str = ""
    licence: str = ""
    source: str = ""
    version: str = ""
    tags: tuple[str, ...] = ()
    url: str = ""
    column_notes: dict[str, str] = Field(default_factory=dict)
    reading: ReadingRules = NO_RULES
    overruled: str = ""
    """Which rules of its dataset.json others, given to the run, stand in place of: a sentence, or nothing."""
    notes: tuple[str, ...] = ()
    """What was noticed when the file was read: plain sentences, known once it was."""

    @property
    def content(self) -> str:
        """Identity of the table: of the file and of the rules it is read by; the key itself where no rule is given."""
        return self.reading.content(self.key)

    @property
    def how_read(self) -> tuple[str, ...]:
        """What decides how the table looks beside the file: the rules given and what was noticed, in sentences."""
        rules = self.reading.sentence()
        return (rules, *self.notes) if rules else self.notes

    @property
    def stem(self) -> str:
        """What the names of its files in a home begin with."""
        return file_stem(self.slug, self.content)


def read_dataset(
    path: Path, *, slug: str | None = None, max_bytes: int = MAX_BYTES, reading: ReadingRules = NO_RULES
) -> Dataset:
    """Make the record of a CSV file, or of a folder that holds `data.csv`.

    Args:
        path: The file or folder; the file may be packed, and `#FILE` behind it names one of an archive.
        slug: Its short name; by default one made of the file's name.
        max_bytes: Largest file taken, bytes.
        reading: Rules the run was given; each stands in place of what dataset.json says.

    Returns:
        The record; nothing of the table itself is parsed here.

    Raises:
        DatasetError: The file is missing, a folder without data.csv, empty, too large or unreadable, or its
            dataset.json is not valid.
    """
    named, member = named_file(path)
    original = _data_file(named)
    try:
        file = table_in(original, member, max_bytes) if original.stat().st_size else original
        info = file.stat()
        size = info.st_size
        if size == 0:
            raise DatasetError(f"{original} is empty.", "Give a CSV file with a header line and at least one row.")
        if size > max_bytes:
            raise DatasetError(
                f"{original} has {size:,} bytes, more than the {max_bytes:,} taken.",
                "Give a smaller file or a sample of its rows.",
            )
        key = digest_of_state(file, info)
    except OSError as error:
        raise DatasetError(f"{original} cannot be read: {error.strerror}.", "Check its permissions.") from error
    card = _card(original.with_name("dataset.json"))
    return Dataset(
        slug=slug_of(file) if slug is None else slug,
        key=key,
        path=file,
        bytes=size,
        title=card.title,
        description=card.description,
        licence=card.licence,
        source=card.source,
        version=card.version,
        tags=card.tags,
        url=card.url,
        column_notes=card.columns,
        reading=reading.over(card.reading),
        overruled=_overruled(original, reading, card.reading),
    )


def slug_of(file: Path) -> str:
    """The dataset's short name, safe as a file name: the folder's name for `data.csv`, else the file's stem."""
    resolved = file.absolute()
    name = resolved.parent.name if resolved.name == "data.csv" and resolved.parent.name else resolved.stem
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^a-z0-9._-]+", "-", ascii_name.lower()).strip("-._")[:80].strip("-._")
    return slug or "table-" + hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:8]


def file_stem(slug: str, content: str) -> str:
    """What the names of a dataset's files begin with: two of one name have files of their own.

    Args:
        slug: Its short name; where that has the digits already, they are not added again.
        content: `Dataset.content`.
    """
    digits = f"-{content[:8]}"
    return slug if slug.endswith(digits) else f"{slug[:71]}{digits}"


def joined_notes(said: Mapping[str, str], found: Mapping[str, str]) -> dict[str, str]:
    """What a card says of columns, and behind it what was found in the file, by name."""
    notes = dict(said)
    for name, note in found.items():
        own = notes.get(name, "")
        notes[name] = f"{own}; {note}" if own and note not in own else own or note
    return notes


def with_distinct_slugs(datasets: Iterable[Dataset]) -> list[Dataset]:
    """The datasets in order, each content once; different contents under one slug get a piece of their key added."""
    unique = list({dataset.content: dataset for dataset in datasets}.values())
    slugs = [dataset.slug for dataset in unique]
    return [
        dataset.model_copy(update={"slug": dataset.stem}) if slugs.count(dataset.slug) > 1 else dataset
        for dataset in unique
    ]


def _overruled(file: Path, given: ReadingRules, own: ReadingRules) -> str:
    """A sentence for the rules of a card that are not followed; empty where there is none."""
    both = given.given_rules().keys() & own.given_rules().keys()
    others = {name for name in both if getattr(given, name) != getattr(own, name)}
    if not others:
        return ""
    now = ReadingRules.model_validate(given.model_dump(include=others)).words()
    before = ReadingRules.model_validate(own.model_dump(include=others)).words()
    return f"{file} is read by {'; '.join(now)}, as given, and not by {'; '.join(before)}, as its dataset.json has it."


def _data_file(path: Path) -> Path:
    if path.is_dir():
        inside = [path / "data.csv", *(path / f"data.csv{ending}" for ending in PACKED_ENDINGS)]
        found = next((each for each in inside if each.is_file()), None)
        if found is None:
            raise DatasetError(f"{path} is a folder without a data.csv.", "Name the CSV file itself.")
        return found
    if not path.exists():
        raise DatasetError(f"{path} does not exist.", "Check the spelling of the path.")
    if not path.is_file():
        raise DatasetError(f"{path} is not a regular file.", "Save the table to a file first.")
    return path


def _card(file: Path) -> DatasetCard:
    if not file.is_file():
        return DatasetCard()
    remedy = "Mend it or move it away; it is optional."
    try:
        data: Any = json.loads(file.read_bytes())
        if (version := newer_version(data, CARD_VERSION)) is not None:
            raise DatasetError(f"{file} {newer_words(version)}.", "Use that one, or move the file away.")
        return DatasetCard.model_validate(data)
    except OSError as error:
        raise DatasetError(f"{file} cannot be read: {error.strerror}.", remedy) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole file"
        if first["type"] == "extra_forbidden":
            rules = f"the rules are {', '.join(ReadingRules.model_fields)}"
            raise DatasetError(f"{file}: {where} is no rule for reading a file; {rules}.", remedy) from error
        raise DatasetError(f"{file} is not a dataset card: {where}: {first['msg']}.", remedy) from error
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{file} is not valid JSON.", remedy) from error
