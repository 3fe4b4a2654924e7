"""A dataset's question file and, beside it, the report of how its questions came to be and what a model said."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError

from blocks.errors import UserError
from blocks.frozen import Frozen
from blocks.held import FileLock, briefly
from blocks.newer import newer_in, newer_words
from blocks.plurals import are, several, were
from blocks.replaced import replacing
from flows.generation.recipes import Batch
from flows.questions.files import QuestionFile, QuestionFileError, read_questions
from flows.questions.proving import Refusal
from flows.questions.records import Question
from flows.tables.dataset import Dataset, file_stem
from flows.verification.attempts import UsageTotals
from flows.verification.former import former_files, take_questions


class SourceReport(Frozen):
    """What became of one source's candidates."""

    key: str
    source: str
    proposed: Annotated[int, Field(ge=0)]
    questions: tuple[str, ...]
    """Ids of those kept."""
    refused: tuple[Refusal, ...]
    usage: Annotated[UsageTotals | None, Field(description="model calls it took; none without a model")] = None


class ShelfReport(Frozen):
    """How the generated questions of a dataset came to be."""

    schema_version: Literal[1] = 1
    dataset: str
    dataset_key: str
    file_key: str = ""
    """sha256 of the file; `dataset_key` is another where rules for reading it were given."""
    sources: tuple[SourceReport, ...] = ()


class Part(Frozen):
    """One source's questions as they are on a shelf, with all that is kept about them."""

    schema_version: Literal[1] = 1
    dataset_key: str
    report: SourceReport
    questions: tuple[Question, ...]
    said: str = ""
    """The content of `<slug>-<key>.<source>.model.jsonl`."""


class Shelf:
    """`questions/<slug>-<key>.jsonl` and `questions/<slug>-<key>.report.json` of one dataset; <key>: its first digits.

    Where a model had a part, what it was told and said is in `questions/<slug>-<key>.<source>.model.jsonl`, whole.

    Questions that a user has put into the file stay; a source's own are replaced as a whole. The files are written
    under other names and renamed, the report last: it never tells of what is not there.

    Args:
        folder: TRIGPOINT_HOME/questions.
        slug: The dataset's short name.
        dataset_key: Its `content`.
        file_key: sha256 of its file; empty: the same.
    """

    def __init__(self, folder: Path, slug: str, dataset_key: str, file_key: str = "") -> None:
        stem = file_stem(slug, dataset_key)
        self.path = folder / f"{stem}.jsonl"
        self.report_path = folder / f"{stem}.report.json"
        self._locks = folder.with_name("locks")
        self._slug, self._stem = slug, stem
        self._key, self._file_key = dataset_key, file_key or dataset_key

    @classmethod
    def of(cls, home: Path, dataset: Dataset) -> Self:
        """The shelf of a dataset in a home, with what files of earlier releases have of it.

        Raises:
            UserError: Such a file cannot be taken over.
        """
        folder = home / "questions"
        shelf = cls(folder, dataset.slug, dataset.content, dataset.key)
        try:
            if any(former_files(folder, dataset, ending) for ending in (".jsonl", ".report.json")):
                with shelf._writing():
                    take_questions(folder, dataset)
        except OSError as error:
            raise UserError(
                f"{error.filename or folder} cannot be taken over: {error.strerror}.", "Check its permissions."
            ) from error
        return shelf

    def alone(self) -> FileLock:
        """Make questions about the dataset while no other run does; see `blocks.held.when_free`.

        Raises:
            Busy: Another run makes some.
        """
        return FileLock(self._locks / f"{self._stem}.making")

    def report(self) -> ShelfReport:
        """The report; empty where there is none, where it is of another dataset, or where it is damaged.

        Raises:
            QuestionFileError: A newer Trigpoint wrote it, or it cannot be read.
        """
        empty = ShelfReport(dataset=self._slug, dataset_key=self._key)
        try:
            found = ShelfReport.model_validate_json(self.report_path.read_bytes())
        except FileNotFoundError:
            return empty
        except OSError as error:
            raise QuestionFileError(
                f"{self.report_path} cannot be read: {error.strerror}.", "Check it, or move it away."
            ) from error
        except ValidationError as error:
            if (version := newer_in(error)) is None:
                return empty
            raise QuestionFileError(
                f"{self.report_path} {newer_words(version)}.", "Use that one, or move the file away."
            ) from error
        return found if found.dataset_key == self._key else empty

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
        entry = SourceReport(
            key=batch.key,
            source=batch.source,
            proposed=batch.proposed,
            questions=tuple(each.id for each in batch.questions),
            refused=batch.refused,
            usage=batch.usage,
        )
        said = "".join(each.model_dump_json() + "\n" for each in (*batch.explorations, *batch.rewordings))
        self.adopt(Part(dataset_key=self._key, report=entry, questions=batch.questions, said=said))
        return entry

    def adopt(self, part: Part) -> None:
        """Replace a source's questions for this dataset, by those of another home.

        Raises:
            QuestionFileError: As `put`.
            UserError: As `put`.
        """
        with self._writing():
            self._adopt(part)

    def _adopt(self, part: Part) -> None:
        entry = part.report
        kept = [each for each in self._own_or_foreign() if not self._made_by(each, entry.source)]
        others = tuple(source for source in self.report().sources if source.source != entry.source)
        report = ShelfReport(
            dataset=self._slug, dataset_key=self._key, file_key=self._file_key, sources=(*others, entry)
        )
        if part.said:
            _replace(self._model_path(entry.source), part.said)
        _replace(self.path, "".join(_line(each) for each in (*kept, *part.questions)))
        _replace(self.report_path, report.model_dump_json(indent=1) + "\n")

    def parts(self) -> list[Part]:
        """What each source has made of this dataset, of those whose questions are all in the file.

        Raises:
            QuestionFileError: The file is there and cannot be used.
        """
        by_id = {question.id: question for question in self.questions()}
        return [
            Part(
                dataset_key=self._key,
                report=entry,
                questions=tuple(by_id[name] for name in entry.questions),
                said=self._said(entry.source),
            )
            for entry in self.report().sources
            if by_id.keys() >= set(entry.questions)
        ]

    def own(self) -> list[Question]:
        """The questions that a user has put into the file.

        Raises:
            QuestionFileError: The file is there and cannot be used.
        """
        return [
            each for each in self.questions() if "name" not in each.provenance and each.dataset_key in (None, self._key)
        ]

    def take_in(self, questions: Sequence[Question]) -> None:
        """Add questions that a user has put into the file of another home; those that are there are left out.

        Raises:
            QuestionFileError: As `put`.
            UserError: As `put`.
        """
        with self._writing():
            there = list(self._own_or_foreign())
            keys = {each.key(self._key) for each in there}
            ids = {each.id for each in there}
            new = [each for each in questions if each.key(self._key) not in keys and each.id not in ids]
            if new:
                _replace(self.path, "".join(_line(each) for each in (*there, *new)))

    def _writing(self) -> AbstractContextManager[None]:
        """What is read and written anew inside is not written by another run meanwhile.

        Datasets of one name have one lock: a file of an earlier release is of all of them.
        """
        return briefly(self._locks / f"{self._stem.removesuffix(f'-{self._key[:8]}')}.writing")

    def _said(self, source: str) -> str:
        path = self._model_path(source)
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def _model_path(self, source: str) -> Path:
        return self.path.with_name(f"{self._stem}.{source}.model.jsonl")

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


def made_by_other_rules(home: Path, dataset: Dataset) -> list[str]:
    """A sentence for each file of the dataset's name with questions that were made of its file, read by other rules."""
    folder, ending = home / "questions", ".report.json"
    name = dataset.stem.removesuffix(f"-{dataset.content[:8]}")
    told = []
    for path in sorted({*folder.glob(f"{name}-????????{ending}"), *former_files(folder, dataset, ending)}):
        with contextlib.suppress(OSError, ValidationError):
            report = ShelfReport.model_validate_json(path.read_bytes())
            made = sum(len(source.questions) for source in report.sources)
            if (
                made
                and (report.file_key or report.dataset_key) == dataset.key
                and report.dataset_key != dataset.content
            ):
                file = path.name.removesuffix(ending) + ".jsonl"
                told.append(
                    f"{several(made, 'question')} in {file} {were(made)} made by other rules for reading it, and"
                    f" {are(made)} not asked."
                )
    return told


def _line(question: Question) -> str:
    return json.dumps(question.model_dump(mode="json"), ensure_ascii=False, separators=(",", ":")) + "\n"


def _replace(path: Path, text: str) -> None:
    try:
        with replacing(path) as fresh:
            fresh.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"{path} cannot be written: {error.strerror}.", "Make room, or check its permissions."
        ) from error
