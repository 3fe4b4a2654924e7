"""A dataset's question file and, beside it, the report of how its questions came to be."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from blocks.errors import UserError
from blocks.frozen import Frozen
from flows.questions.files import QuestionFile, read_questions
from flows.questions.generating import Batch
from flows.questions.proving import Refusal
from flows.questions.records import Question


class SourceReport(Frozen):
    """What became of one source's candidates."""

    key: str
    source: str
    proposed: Annotated[int, Field(ge=0)]
    questions: tuple[str, ...]
    """Ids of those kept."""
    refused: tuple[Refusal, ...]


class ShelfReport(Frozen):
    """How the generated questions of a dataset came to be."""

    schema_version: Literal[1] = 1
    dataset: str
    dataset_key: str
    sources: tuple[SourceReport, ...] = ()


class Shelf:
    """`questions/<slug>.jsonl` and `questions/<slug>.report.json` of one dataset.

    Questions that a user has put into the file stay; a source's own are replaced as a whole. Both files are written
    under another name and renamed, the questions first: a report never tells of questions that are not there.

    Args:
        folder: TRIGPOINT_HOME/questions.
        slug: The dataset's short name.
        dataset_key: Its sha256.
    """

    def __init__(self, folder: Path, slug: str, dataset_key: str) -> None:
        self.path = folder / f"{slug}.jsonl"
        self.report_path = folder / f"{slug}.report.json"
        self._slug = slug
        self._key = dataset_key

    def report(self) -> ShelfReport:
        """The report; empty where there is none, where it is of another dataset, or where it cannot be read."""
        empty = ShelfReport(dataset=self._slug, dataset_key=self._key)
        with contextlib.suppress(FileNotFoundError, ValidationError):
            found = ShelfReport.model_validate_json(self.report_path.read_bytes())
            return found if found.dataset_key == self._key else empty
        return empty

    def done(self, key: str) -> SourceReport | None:
        """What an earlier run made by the same key, if all of it is still in the file."""
        found = next((source for source in self.report().sources if source.key == key), None)
        ids = {question.id for question in self.questions()}
        return found if found is not None and ids.issuperset(found.questions) else None

    def questions(self) -> tuple[Question, ...]:
        """The questions in the file, the user's too.

        Raises:
            QuestionFileError: The file is there and cannot be used.
        """
        return self._read().questions if self._has_content() else ()

    def put(self, batch: Batch) -> SourceReport:
        """Replace a source's questions for this dataset.

        Raises:
            QuestionFileError: The file is there and cannot be used.
            UserError: It has lines that are no questions, which a rewrite would lose; or it cannot be written.
        """
        kept = [each for each in self._own_or_foreign() if not self._made_by(each, batch.source)]
        entry = SourceReport(
            key=batch.key,
            source=batch.source,
            proposed=batch.proposed,
            questions=tuple(each.id for each in batch.questions),
            refused=batch.refused,
        )
        others = tuple(source for source in self.report().sources if source.source != batch.source)
        report = ShelfReport(dataset=self._slug, dataset_key=self._key, sources=(*others, entry))
        _replace(self.path, "".join(_line(each) for each in (*kept, *batch.questions)))
        _replace(self.report_path, report.model_dump_json(indent=1) + "\n")
        return entry

    def _own_or_foreign(self) -> Sequence[Question]:
        if not self._has_content():
            return ()
        read = self._read()
        if read.problems:
            raise UserError(
                f"{self.path} has lines that are no questions; the first: {read.problems[0]}",
                "Mend the file or move it away; it is written anew when questions are generated.",
            )
        return read.questions

    def _read(self) -> QuestionFile:
        return read_questions(self.path)

    def _has_content(self) -> bool:
        return self.path.exists() and self.path.stat().st_size > 0

    def _made_by(self, question: Question, source: str) -> bool:
        """Whether it was generated, by this source: a user's own question has no generation's name."""
        return question.source == source and "name" in question.provenance


def _line(question: Question) -> str:
    return json.dumps(question.model_dump(mode="json"), ensure_ascii=False, separators=(",", ":")) + "\n"


def _replace(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _beside(path) as (handle, name):
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, path)
    except OSError as error:
        raise UserError(
            f"{path} cannot be written: {error.strerror}.", "Make room, or check its permissions."
        ) from error


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[tuple[int, str]]:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        yield handle, name
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
