"""A dataset's way in: fetched into a working folder, read and profiled in a sandbox, judged at the gate."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Protocol

from blocks.errors import DatasetError
from blocks.frozen import Frozen
from blocks.sandboxes import ReadingRules, Sandbox
from blocks.sources.models import Fetched, FetchLimits, Progress, Reference, Source, SourceRefused
from flows.tables.cards import CARD, SKETCH, TABLE, DownloadCard, card_of, write_record
from flows.tables.dataset import slug_of
from flows.tables.gate import GateRule, refusals
from flows.tables.neighbours import Sketch, sketch_dataset
from flows.tables.profiling import profile_dataset

_VERSION = 2
"""Part of the cache key: a new judgement makes a new one."""


class Opener(Protocol):
    """What opens sandboxes: a pool."""

    def open(
        self, dataset: Path, *, slug: str = "", rules: ReadingRules | None = None
    ) -> AbstractAsyncContextManager[Sandbox]:
        """A sandbox on a dataset."""
        ...


class Arrival(Frozen):
    """What became of one reference: a table in its working folder, or the reasons why there is none."""

    schema_version: Literal[1] = 1
    reference: Reference
    refused: tuple[str, ...] = ()
    transferred: int = 0
    notes: tuple[str, ...] = ()
    """What the reader noticed in a table that was refused; of one that was taken, its card says it."""
    card: DownloadCard | None = None
    sketch: Sketch | None = None


@dataclass(frozen=True)
class DatasetWork:
    """One reference and all that is needed to fetch and judge it.

    Attributes:
        source: Who listed it.
        reference: What to fetch, and by which rules it is to be read.
        incoming: Folder of the working folders; on the file system of the datasets.
        limits: What it may cost.
        rule: The gate.
        pool: Sandboxes.
        progress: Told while bytes come in.
        phase: Told in a word what is being done.
    """

    source: Source
    reference: Reference
    incoming: Path
    limits: FetchLimits
    rule: GateRule
    pool: Opener
    progress: Progress
    phase: Callable[[str], None]

    @property
    def folder(self) -> Path:
        """The working folder: its own for each version, so that a later run goes on with what is there."""
        return self.incoming / self.reference.token

    @property
    def key(self) -> str:
        """What decides the outcome: the reference with its version, the limits, the gate and the rules for reading."""
        parts = [self.reference.id, self.reference.version, self.limits.model_dump_json(), self.rule.model_dump_json()]
        parts += [json.dumps(part, sort_keys=True) for part in self.reference.facts.reading.parts()]
        digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()
        return f"download-v{_VERSION}-{digest}"

    async def arrive(self) -> Arrival:
        """Fetch and judge.

        Raises:
            SourceError: The dataset could not be fetched now.
            SandboxError: The sandbox failed.
        """
        self.phase("fetching")
        try:
            fetched = await self.source.fetch(self.reference, self.folder, self.limits, self.progress)
        except SourceRefused as error:
            return self._refuse(str(error))
        try:
            return await self._judge(fetched)
        except DatasetError as error:
            return self._refuse(str(error), transferred=fetched.transferred)

    async def _judge(self, fetched: Fetched) -> Arrival:
        self.phase("waiting for a sandbox")
        slug, rules = slug_of(Path(self.reference.name or self.reference.id)), self.reference.facts.reading
        async with self.pool.open(fetched.path, slug=slug, rules=rules) as sandbox:
            self.phase("profiling")
            async with await sandbox.session() as session:
                profile = await profile_dataset(session)
            async with await sandbox.session() as session:
                sketch = await sketch_dataset(session)
        reasons = refusals(profile, self.rule, self.reference.facts.reading)
        if reasons:
            return self._refuse(*reasons, transferred=fetched.transferred, notes=sandbox.dataset.warnings)
        card = card_of(self.reference, fetched, sandbox.dataset, profile, datetime.now(UTC))
        await asyncio.to_thread(self._note, card, sketch)
        return Arrival(reference=self.reference, transferred=fetched.transferred, card=card, sketch=sketch)

    def _note(self, card: DownloadCard, sketch: Sketch) -> None:
        write_record(self.folder / CARD, card)
        write_record(self.folder / SKETCH, sketch)

    def _refuse(self, *reasons: str, transferred: int = 0, notes: tuple[str, ...] = ()) -> Arrival:
        shutil.rmtree(self.folder, ignore_errors=True)
        return Arrival(reference=self.reference, refused=reasons, transferred=transferred, notes=notes)


def is_staged(folder: Path) -> bool:
    """Whether a working folder holds a judged table, ready to be put on the shelf."""
    return all((folder / name).is_file() for name in (TABLE, CARD, SKETCH))
