"""What a sandbox found in a dataset's file, kept in the home: known to later runs before a sandbox is opened."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

import sandbox_image.zygote
from blocks.frozen import Frozen
from blocks.replaced import replacing
from blocks.sandboxes.models import LoadedDataset
from flows.tables.cards import read_card
from flows.tables.dataset import Dataset, joined_notes
from flows.tables.profiling import CellRunner, DatasetProfile, profile_dataset, profile_program

OpenSession = Callable[[], AbstractAsyncContextManager[CellRunner]]


class TableFacts(Frozen):
    """What is known of a table once its file was read: the same for the same file, rules and sandbox."""

    schema_version: Literal[1] = 1
    key: str
    loaded: LoadedDataset
    profile: DatasetProfile

    def told(self, dataset: Dataset) -> Dataset:
        """The dataset with what the reader noticed, and with what the file itself says of its columns."""
        return as_read(dataset, self.loaded)


def as_read(dataset: Dataset, loaded: LoadedDataset) -> Dataset:
    """The dataset with what the reader noticed, and with units and formats among the notes on its columns."""
    notes = joined_notes(dataset.column_notes, loaded.column_notes)
    noticed = tuple(dict.fromkeys((*dataset.notes, *loaded.warnings)))
    return dataset.model_copy(update={"column_notes": notes, "notes": noticed})


class FactsFile:
    """`profiles/<dataset>.json` of a home.

    Args:
        home: TRIGPOINT_HOME.
        dataset: The dataset.
        image_digest: What the sandbox is made of.
    """

    def __init__(self, home: Path, dataset: Dataset, image_digest: str) -> None:
        self.path = _path(home, dataset)
        self.key = facts_key(dataset, image_digest)
        self._facts: TableFacts | None = None

    def load(self) -> TableFacts | None:
        """What an earlier run found; None where there is none, or where it was found by other means."""
        if self._facts is None:
            with contextlib.suppress(OSError, ValidationError):
                found = TableFacts.model_validate_json(self.path.read_bytes())
                self._facts = found if found.key == self.key else None
        return self._facts

    def save(self, loaded: LoadedDataset, profile: DatasetProfile) -> TableFacts:
        """Keep what was found; where it cannot be written, the next run finds it again."""
        facts = self._facts = TableFacts(key=self.key, loaded=loaded, profile=profile)
        with contextlib.suppress(OSError), replacing(self.path) as fresh:
            fresh.write_text(facts.model_dump_json(), encoding="utf-8")
        return facts


def known_notes(home: Path, dataset: Dataset) -> tuple[str, ...]:
    """What was noticed when a dataset's file was last read here, else what its card says of that."""
    with contextlib.suppress(OSError, ValidationError):
        return TableFacts.model_validate_json(_path(home, dataset).read_bytes()).loaded.warnings
    card = read_card(dataset.path.parent)
    return card.warnings if card is not None and card.content == dataset.content else ()


def facts_key(dataset: Dataset, image_digest: str) -> str:
    """What decides how a table looks: the file, the rules for reading it, the sandbox, the programs that read it."""
    parts = (dataset.content, image_digest, _programs())
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _path(home: Path, dataset: Dataset) -> Path:
    return home / "profiles" / f"{dataset.stem}.json"


@cache
def _programs() -> str:
    """Of the profile's program, and of the sandbox's own: the process runtime runs them as they are here."""
    folder = Path(sandbox_image.zygote.__file__).parent
    sources = [path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.py"))]
    return hashlib.sha256("\0".join([profile_program(), *sources]).encode()).hexdigest()


async def read_facts(file: FactsFile, loaded: LoadedDataset, open_session: OpenSession) -> TableFacts:
    """What is known of a dataset that is open in a sandbox: profiled, unless it is known already.

    Args:
        file: Where it is kept.
        loaded: What the sandbox found when it read the dataset's file.
        open_session: Opens a session of the sandbox.

    Raises:
        DatasetError: The profile could not be taken.
        SandboxError: The sandbox failed.
    """
    known = await asyncio.to_thread(file.load)
    if known is not None:
        return known
    async with open_session() as session:
        profile = await profile_dataset(session)
    return await asyncio.to_thread(file.save, loaded, profile)
