"""What a download run reports: a row for each dataset, the sentence for its state, and the exit code."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Literal

from blocks.errors import TrigpointError
from blocks.frozen import Frozen
from blocks.plurals import several
from blocks.sources.models import Reference
from flows.display.notes import and_notes
from flows.runs.logs import log_name, told
from flows.tables.arrivals import Arrival
from flows.tables.shelf import Shelf

DownloadState = Literal["accepted", "already there", "duplicate", "refused", "failed"]
MIB = 2**20


class DownloadRow(Frozen):
    """The outcome of one reference."""

    schema_version: Literal[1] = 1
    reference: str
    state: DownloadState
    dataset: str = ""
    """Its slug, or that of the dataset it is a duplicate of."""
    rows: int = 0
    columns: int = 0
    bytes: int = 0
    transferred: int = 0
    """Bytes that came in during this run."""
    seconds: float = 0.0
    detail: str = ""
    """Why it was refused, is a duplicate, or failed."""
    notes: tuple[str, ...] = ()
    """What was noticed when the file was read."""


class DownloadReport(Frozen):
    """What became of a download run."""

    schema_version: Literal[1] = 1
    run: str
    rows: tuple[DownloadRow, ...]

    @property
    def exit_code(self) -> int:
        """0: every dataset was decided upon. 1: some failed. 2: no dataset is here because of this run or before it."""
        counts = self._counts()
        if not counts["accepted"] + counts["already there"] + counts["duplicate"]:
            return 2
        return 1 if counts["failed"] else 0

    def sentence(self) -> str:
        """The run in one sentence."""
        counts = self._counts()
        told = [f"{counts[state]} {state}" for state in _ORDER if counts[state]]
        transferred = sum(row.transferred for row in self.rows)
        count = several(len(self.rows), "dataset")
        text = f"{count}: {', '.join(told) or 'none'}; {transferred / MIB:.1f} MiB transferred"
        return and_notes(text, sum(len(row.notes) for row in self.rows if row.state == "accepted"))

    def _counts(self) -> Counter[str]:
        return Counter(row.state for row in self.rows)


_ORDER: tuple[DownloadState, ...] = ("accepted", "already there", "duplicate", "refused", "failed")


def row_of(arrival: Arrival, state: DownloadState, *, dataset: str = "", seconds: float = 0.0) -> DownloadRow:
    """The row of what arrived; a refusal's reasons are its detail."""
    card = arrival.card
    return DownloadRow(
        reference=arrival.reference.id,
        state=state,
        dataset=dataset,
        rows=card.rows if card else 0,
        columns=card.column_count if card else 0,
        bytes=card.bytes if card else 0,
        transferred=arrival.transferred,
        seconds=seconds,
        detail="; ".join(arrival.refused),
        notes=card.warnings if card else arrival.notes,
    )


def settled_row(shelf: Shelf, arrival: Arrival, seconds: float, keep_duplicates: bool) -> DownloadRow | None:
    """Put what arrived on the shelf, unless it was refused or is there already; None where its files are gone."""
    if arrival.refused:
        return row_of(arrival, "refused", seconds=seconds)
    twin = None if keep_duplicates else shelf.twin(arrival)
    if twin is not None:
        shelf.discard(arrival.reference)
        row = row_of(arrival, "duplicate", dataset=twin.slug, seconds=seconds)
        return row.model_copy(update={"detail": f"of {twin.slug}: {twin.how}"})
    slug = shelf.put(arrival)
    return None if slug is None else row_of(arrival, "accepted", dataset=slug, seconds=seconds)


def row_before(shelf: Shelf, reference: Reference, refresh: bool, logs: Path) -> DownloadRow | None:
    """The row of a reference that is not to be fetched: it is there, or what is there cannot be read here."""
    try:
        if (newer := shelf.newer.get(reference.id)) is not None:
            raise TrigpointError(newer.sentence)
        held = shelf.holding(reference) if not refresh or reference.version else None
    except Exception as error:  # One bad dataset never stops the others.
        return failed_row(reference.id, error, logs)
    if held is None:
        return None
    return row_of(Arrival(reference=reference, card=held.card), "already there", dataset=held.slug)


def failed_row(reference: str, error: Exception, logs: Path) -> DownloadRow:
    """The row of what could not be fetched; an error nobody foresaw has its traceback in a log.

    Args:
        reference: What was to be fetched.
        error: Why it was not.
        logs: `logs/<run>`.
    """
    known = isinstance(error, TrigpointError)
    return DownloadRow(
        reference=reference, state="failed", detail=str(error) if known else told(error, logs, log_name(reference))
    )
