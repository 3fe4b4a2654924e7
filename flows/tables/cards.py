"""The dataset.json that a download writes beside data.csv: where the table is from, what it is, what is in it."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, TypeVar

from pydantic import AwareDatetime, Field, PlainSerializer, ValidationError

from blocks.frozen import Frozen
from blocks.newer import known_version, newer_version, newer_words
from blocks.replaced import replacing
from blocks.sandboxes.models import LoadedDataset
from blocks.sandboxes.reading import NO_RULES, ReadingRules
from blocks.sources.models import Fetched, Reference
from flows.tables.dataset import joined_notes
from flows.tables.neighbours import Sketch
from flows.tables.profiling import DatasetProfile

CARD, TABLE, SKETCH = "dataset.json", "data.csv", "sketch.json"
LONGEST_TITLE, LONGEST_DESCRIPTION, MOST_TAGS = 300, 10_000, 50

Record = TypeVar("Record", bound=Frozen)
_Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class DownloadCard(Frozen):
    """A downloaded dataset's card. `flows.tables.dataset.DatasetCard` reads it like any other."""

    schema_version: Literal[1] = 1
    title: str = ""
    description: str = ""
    licence: str = ""
    source: Annotated[str, Field(min_length=1, description="the reference that fetches it again")]
    version: str = ""
    tags: tuple[str, ...] = ()
    url: str = ""
    retrieved_at: AwareDatetime
    bytes: Annotated[int, Field(ge=0)]
    sha256: _Digest
    encoding: str
    delimiter: str
    rows: Annotated[int, Field(ge=0)]
    column_count: Annotated[int, Field(ge=0)]
    columns: dict[str, str] = Field(default_factory=dict)
    """What the columns mean, by name, where the source says so."""
    warnings: tuple[str, ...] = ()
    """What was odd about the file when it was read."""
    reading: Annotated[ReadingRules, PlainSerializer(ReadingRules.given_rules)] = NO_RULES
    """The rules it was read by, where any were given: later runs read it the same way."""
    profile: DatasetProfile

    @property
    def content(self) -> str:
        """Identity of the table, as `flows.tables.dataset.Dataset` has it."""
        return self.reading.content(self.sha256)


class NewerCard(NamedTuple):
    """A card that cannot be read here.

    Attributes:
        source: The reference of its dataset, as far as can be told.
        sentence: What is said of it.
    """

    source: str
    sentence: str


def card_of(
    reference: Reference,
    fetched: Fetched,
    loaded: LoadedDataset,
    profile: DatasetProfile,
    now: datetime,
) -> DownloadCard:
    """The card of a table that has arrived; a stranger's words are cut to a sensible length."""
    facts = fetched.facts
    return DownloadCard(
        title=(facts.title or reference.name)[:LONGEST_TITLE],
        description=facts.description[:LONGEST_DESCRIPTION],
        licence=facts.licence[:LONGEST_TITLE],
        source=reference.id,
        version=facts.version,
        tags=tuple(tag[:LONGEST_TITLE] for tag in facts.tags[:MOST_TAGS]),
        url=facts.url,
        retrieved_at=now,
        bytes=fetched.bytes,
        sha256=fetched.sha256,
        encoding=loaded.encoding,
        delimiter=loaded.delimiter,
        rows=profile.rows,
        column_count=profile.columns,
        columns=joined_notes(facts.column_notes, loaded.column_notes),
        warnings=loaded.warnings,
        reading=reference.facts.reading,
        profile=profile,
    )


def write_record(path: Path, record: Frozen) -> None:
    """Write a record as JSON, in one step: a reader finds the old file or the new one."""
    with replacing(path) as fresh, fresh.open("w", encoding="utf-8") as out:
        json.dump(record.model_dump(mode="json"), out, ensure_ascii=False, indent=1, allow_nan=False)
        out.write("\n")


def read_card(folder: Path) -> DownloadCard | None:
    """The card of a downloaded dataset; None for a folder that is none, or whose card is another's or damaged."""
    return _read(folder / CARD, DownloadCard)


def newer_card(folder: Path) -> NewerCard | None:
    """What is known of a dataset's card that a newer Trigpoint wrote; None where it did not."""
    try:
        data = json.loads((folder / CARD).read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    version = newer_version(data, known_version(DownloadCard))
    if version is None:
        return None
    return NewerCard(str(data.get("source", "")), f"{folder / CARD} {newer_words(version)}; it is left as it is.")


def read_sketch(folder: Path) -> Sketch | None:
    """The sketch beside the card; None where there is none that can be read."""
    return _read(folder / SKETCH, Sketch)


def _read(path: Path, kind: type[Record]) -> Record | None:
    try:
        return kind.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
