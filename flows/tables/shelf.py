"""The datasets folder: what is there, by reference and by content, and how a dataset gets in, whole or not at all."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from blocks.digests import file_digest
from blocks.held import FileLock
from blocks.sandboxes.reading import NO_RULES, ReadingRules
from blocks.sources.models import Reference
from flows.tables.arrivals import Arrival, is_staged
from flows.tables.cards import CARD, SKETCH, TABLE, DownloadCard, NewerCard, newer_card, read_card, read_sketch
from flows.tables.dataset import slug_of
from flows.tables.neighbours import Sketch, nearest
from flows.tables.unpacking import without_endings


class Kept(NamedTuple):
    """A dataset on the shelf."""

    slug: str
    card: DownloadCard
    sketch: Sketch | None


class Twin(NamedTuple):
    """A dataset that is already there under another reference, and how alike the two are."""

    slug: str
    how: str


@dataclass(frozen=True)
class Shelf:
    """The downloaded datasets of a home.

    Attributes:
        home: TRIGPOINT_HOME.
    """

    home: Path

    @property
    def folder(self) -> Path:
        """Where finished datasets are; nothing else ever lies there."""
        return self.home / "datasets"

    @property
    def incoming(self) -> Path:
        """Where transfers are under way."""
        return self.home / "incoming"

    def alone(self) -> FileLock:
        """Put datasets on the shelf while no other run does; see `blocks.held.when_free`.

        Raises:
            Busy: Another download into the same home is under way.
        """
        return FileLock(self.incoming / ".lock")

    def kept(self) -> Iterator[Kept]:
        """The downloaded datasets, by slug. Folders somebody made by hand are left out."""
        if self.folder.is_dir():
            yield from self._read(path.name for path in sorted(self.folder.iterdir()))

    @cached_property
    def newer(self) -> dict[str, NewerCard]:
        """The cards of datasets that a newer Trigpoint has put there, by source, as they were when first asked for."""
        folders = sorted(self.folder.iterdir(), reverse=True) if self.folder.is_dir() else []
        return {card.source: card for card in filter(None, map(newer_card, folders))}

    @cached_property
    def _places(self) -> dict[str, list[str]]:
        """The slugs of each source's datasets, as they were when first asked for: a run asks for each of its many."""
        places: dict[str, list[str]] = {}
        for kept in self.kept():
            places.setdefault(kept.card.source, []).append(kept.slug)
        return places

    def ruled(self, reference: Reference, given: ReadingRules) -> Reference:
        """The reference with the rules for reading its file: as given, else as its own card says, else as before.

        Raises:
            UserError: The rules do not fit together.
        """
        facts = reference.facts
        before = [kept.card.reading for kept in self._before(reference)]
        reading = given.over(facts.reading).over(before[-1] if before else NO_RULES)
        return reference.model_copy(update={"facts": facts.model_copy(update={"reading": reading})})

    def holding(self, reference: Reference) -> Kept | None:
        """The dataset of that reference, in its version where one is known, read by its rules, its bytes intact."""
        for kept in self._before(reference):
            same = reference.version in ("", kept.card.version)
            if same and kept.card.reading == reference.facts.reading and self._intact(kept):
                return kept
        return None

    def twin(self, arrival: Arrival) -> Twin | None:
        """A dataset from another reference with the same content, or nearly the same."""
        card, sketch = arrival.card, arrival.sketch
        if card is None or sketch is None:
            return None
        others = [kept for kept in self.kept() if kept.card.source != card.source]
        for kept in others:
            if kept.card.content == card.content:
                return Twin(kept.slug, "the same bytes")
        near = nearest(sketch, ((kept.slug, kept.sketch) for kept in others if kept.sketch is not None))
        return Twin(near[0], near[1].sentence()) if near else None

    def put(self, arrival: Arrival) -> str | None:
        """Give an arrived dataset its place; return its slug, or None where its working folder is gone.

        A new dataset appears in one step. A new version replaces the old one file by file, the card last: killed in
        between, the card tells bytes that are not there, and the next run puts it right.
        """
        staged = self.incoming / arrival.reference.token
        if not is_staged(staged):
            return None
        for stray in staged.iterdir():
            if stray.name not in (TABLE, CARD, SKETCH):
                stray.unlink()
        return self.settle(staged, self._slug(arrival.reference))

    def settle(self, staged: Path, slug: str) -> str:
        """Give a folder that holds a dataset, and nothing else, its place; see `put`. Returns the slug."""
        target = self.folder / slug
        self.folder.mkdir(parents=True, exist_ok=True)
        if target.exists():
            for name in (TABLE, SKETCH, CARD):
                if (staged / name).exists():
                    (staged / name).replace(target / name)
            staged.rmdir()
        else:
            staged.rename(target)
        return slug

    def discard(self, reference: Reference) -> None:
        """Forget a working folder."""
        shutil.rmtree(self.incoming / reference.token, ignore_errors=True)

    def _before(self, reference: Reference) -> Iterator[Kept]:
        """The reference's datasets that were there when this was first asked."""
        return self._read(self._places.get(reference.id, ()))

    def _read(self, slugs: Iterable[str]) -> Iterator[Kept]:
        for slug in slugs:
            card = read_card(self.folder / slug)
            if card is not None:
                yield Kept(slug, card, read_sketch(self.folder / slug))

    def _intact(self, kept: Kept) -> bool:
        table = self.folder / kept.slug / TABLE
        if not table.is_file() or table.stat().st_size != kept.card.bytes:
            return False
        return file_digest(table) == kept.card.sha256

    def _slug(self, reference: Reference) -> str:
        """The dataset's present folder, else the first free name."""
        for kept in self.kept():
            if kept.card.source == reference.id:
                return kept.slug
        name = reference.member.rpartition("/")[2] or reference.name
        slug = slug_of(Path(f"{without_endings(name)}.csv"))
        if (self.folder / slug).exists():
            slug = f"{slug[:71]}-{hashlib.sha256(reference.id.encode()).hexdigest()[:8]}"
        return slug
