"""What the home knows of a dataset before and after a night's work on it: questions, episodes, what was finished."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import ValidationError

from blocks.frozen import Frozen
from blocks.held import briefly
from blocks.newer import newer_in, newer_words
from blocks.replaced import replacing
from flows.tables.dataset import Dataset, read_dataset, slug_of
from flows.verification.batch import gather_questions, own_questions
from flows.verification.former import episode_index
from flows.verification.store import Entry


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
        problems = (*asked.problems, *found.problems, *filter(None, [self._memory()[1]]))
        return Standing(len(keys), len(keys - answered), found.entries, problems)

    def digest(self, options: Mapping[str, Any], *, with_questions: bool) -> str:
        """Of everything that decides whether there is work: the data, the options, the code, the questions."""
        parts = [self._build, self.dataset.content, self._told(), json.dumps(options, sort_keys=True)]
        if with_questions:
            file = own_questions(self._home, self.dataset)
            found = file.read_bytes() if file.exists() else b""
            parts.append(hashlib.sha256(found).hexdigest())
        return hashlib.sha256("\n".join(parts).encode()).hexdigest() if self._build else ""

    def _told(self) -> str:
        """What a model is told of the dataset, but for what a sandbox finds: that follows from data and code."""
        return self.dataset.model_dump_json(include={"title", "description", "column_notes"})

    def done(self) -> Done:
        """What earlier nights finished."""
        return self._memory()[0]

    def note(self, **digests: str) -> None:
        """Note what is finished now; a note of a newer Trigpoint stays as it is."""
        if not self._build:
            return
        with briefly(self._home / "locks" / f"{self.dataset.slug}.night"):
            done, newer = self._memory()
            if not newer:
                with replacing(self._memo) as fresh:
                    fresh.write_text(done.model_copy(update=digests).model_dump_json(), encoding="utf-8")

    def _memory(self) -> tuple[Done, str]:
        """The note, empty where there is none to read, and the sentence on one that a newer Trigpoint wrote."""
        try:
            return Done.model_validate_json(self._memo.read_bytes()), ""
        except OSError:
            return Done(), ""
        except ValidationError as error:
            version = newer_in(error)
            return Done(), "" if version is None else f"{self._memo} {newer_words(version)}; it is left as it is."


def dataset_names(home: Path) -> list[str]:
    """Folders of the home's datasets; those without an episode first, so that new ones do not wait for old ones."""
    folder = home / "datasets"
    found = sorted(each for each in folder.iterdir() if (each / "data.csv").is_file()) if folder.is_dir() else []
    # Only for an order, so no file is read for its key.
    stems = [path.stem for path in (home / "episodes").glob("*.jsonl")]
    asked = {*stems, *(re.sub("-[0-9a-f]{8}$", "", stem) for stem in stems)}

    def has_episodes(dataset: Path) -> bool:
        slug = slug_of(dataset / "data.csv")
        return slug in asked or slug[:71] in asked

    return [each.name for each in sorted(found, key=has_episodes)]
