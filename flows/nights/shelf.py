"""What the home knows of a dataset before and after a night's work on it: questions, episodes, what was finished."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import ValidationError

from blocks.frozen import Frozen
from blocks.held import briefly
from blocks.newer import known_version, newer_version, newer_words
from blocks.replaced import replacing
from flows.tables.dataset import Dataset, read_dataset, slug_of
from flows.tables.profiling import ColumnProfile, DatasetProfile
from flows.verification.attempts import TraceConfig
from flows.verification.batch import gather_questions, own_questions
from flows.verification.former import episode_index
from flows.verification.prompts import table_words
from flows.verification.store import Entry

_ALL = 10**9
"""Characters: nothing of what is told is left out."""


class Standing(NamedTuple):
    """A dataset's questions and episodes at one moment."""

    questions: int
    """In its question file, each content once."""
    unanswered: int
    """Of those, the ones without an episode whose verdict stands, whatever it was made with."""
    entries: dict[str, Entry]
    """Its episodes."""
    problems: tuple[str, ...] = ()
    """A sentence for each question or episode that cannot be used."""

    def asked_since(self, before: Standing) -> list[Entry]:
        """The episodes that are new, or written again, since an earlier moment."""
        return [each for key, each in self.entries.items() if before.entries.get(key) != each]


class Done(Frozen):
    """What was worked on to the end, as digests of all that it depends on."""

    schema_version: Literal[1] = 1
    questions: str = ""
    episodes: str = ""


class Bench:
    """One dataset of the home.

    Args:
        home: TRIGPOINT_HOME.
        name: The dataset's folder.
        build: Digest of the code the night's flows run; empty where it is not known: then nothing counts as done, and
            the flows find that out by themselves.

    Raises:
        DatasetError: It cannot be read.
    """

    def __init__(self, home: Path, name: str, build: str) -> None:
        self.dataset: Dataset = read_dataset(home / "datasets" / name)
        self._build = build
        self._home = home
        self._memo = home / "nights" / f"{self.dataset.stem}.json"

    @property
    def folder(self) -> str:
        """Where the dataset is."""
        return str(self.dataset.path.parent.absolute())

    def standing(self) -> Standing:
        """Questions and episodes as they are on disk now."""
        found = episode_index(self._home, self.dataset)
        asked = gather_questions(self.dataset, None, (), self._home)
        keys = {each.key(self.dataset.content) for each in asked.questions}
        answered = {entry.question_key for entry in found.entries.values() if entry.final}
        problems = (*asked.problems, *found.problems, *filter(None, [self._newer_memo()]))
        return Standing(len(keys), len(keys - answered), found.entries, problems)

    def digest(self, options: Mapping[str, Any], *, with_questions: bool) -> str:
        """Of everything that decides whether there is work: the data, the options, the code, the questions."""
        parts = [self._build, self.dataset.content, self._told(), json.dumps(options, sort_keys=True)]
        if with_questions:
            file = own_questions(self._home, self.dataset)
            found = file.read_bytes() if file.exists() else b""
            parts.append(hashlib.sha256(found).hexdigest())
        return hashlib.sha256("\n".join(parts).encode()).hexdigest() if self._build else ""

    def _newer_memo(self) -> str:
        """The sentence on a note that a newer Trigpoint wrote; empty where there is none."""
        version = _version(self._memo)
        return "" if version is None else f"{self._memo} {newer_words(version)}; it is left as it is."

    def _told(self) -> str:
        """What a model is told of the dataset, but for what a sandbox finds: that follows from data and code."""
        notes = self.dataset.column_notes
        columns = tuple(ColumnProfile(name=name, dtype="", kind="text", missing=0) for name in notes)
        stand_in = DatasetProfile(rows=0, columns=len(columns), facts=columns)
        return table_words(self.dataset, stand_in, TraceConfig(model="", profile_chars=_ALL))

    def done(self) -> Done:
        """What earlier nights finished."""
        with contextlib.suppress(OSError, ValidationError):
            return Done.model_validate_json(self._memo.read_bytes())
        return Done()

    def note(self, **digests: str) -> None:
        """Note what is finished now; a note of a newer Trigpoint stays as it is."""
        if not self._build or self._newer_memo():
            return
        with briefly(self._home / "locks" / f"{self.dataset.slug}.night"), replacing(self._memo) as fresh:
            fresh.write_text(self.done().model_copy(update=digests).model_dump_json(), encoding="utf-8")


def _version(path: Path) -> int | None:
    """The schema version of a newer Trigpoint's note; None where there is none."""
    try:
        return newer_version(json.loads(path.read_bytes()), known_version(Done))
    except (OSError, ValueError, RecursionError):
        return None


def dataset_names(home: Path) -> list[str]:
    """Folders of the home's datasets; those without an episode first, so that new ones do not wait for old ones."""
    folder = home / "datasets"
    found = sorted(each for each in folder.iterdir() if (each / "data.csv").is_file()) if folder.is_dir() else []
    return [each.name for each in sorted(found, key=lambda each: _has_episodes(home, slug_of(each / "data.csv")))]


def _has_episodes(home: Path, slug: str) -> bool:
    """Of a dataset of that name; only for an order, so the file is not read for its key."""
    names = re.compile(rf"{re.escape(slug[:71])}-[0-9a-f]{{8}}\.jsonl|{re.escape(slug)}\.jsonl")
    folder = home / "episodes"
    return folder.is_dir() and any(names.fullmatch(each.name) for each in folder.iterdir())
