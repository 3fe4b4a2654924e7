"""A dataset's questions before any is asked: read from where the user named them, keyed, sorted into done and to do."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from blocks.plurals import were
from blocks.sandboxes.reading import NO_RULES, ReadingRules
from flows.questions.files import question_from_text, read_questions
from flows.questions.records import Question
from flows.tables.dataset import Dataset, read_dataset, slug_of, with_distinct_slugs
from flows.tables.opening import Table
from flows.verification.former import former_files
from flows.verification.prompts import Task, system_prompt
from flows.verification.records import EpisodePlan
from flows.verification.solving import SolveConfig


class Job(NamedTuple):
    """A dataset to work on.

    Attributes:
        dataset: CSV file or folder.
        questions: Its question file, if one was named.
        slug: Its short name, where another dataset of the run has the same; else None.
    """

    dataset: str
    questions: str | None
    slug: str | None = None

    @property
    def name(self) -> str:
        """What the dataset is called where it may not even be readable."""
        return self.slug or slug_of(Path(self.dataset))

    @property
    def file(self) -> Path:
        """Where its CSV file is, should there be one."""
        path = Path(self.dataset)
        with contextlib.suppress(OSError):  # A name too long, say: told when its turn comes.
            return path / "data.csv" if path.is_dir() else path
        return path


def with_slugs(jobs: Sequence[Job], reading: ReadingRules = NO_RULES) -> list[Job]:
    """The jobs, each content once, with names of their own where two datasets would share one.

    A dataset that cannot be read, whatever the reason, is left as it is, to be told of when its turn comes.

    Args:
        jobs: In the order given.
        reading: Rules for reading that the run was given.
    """
    readable: dict[str, tuple[Job, Dataset]] = {}
    others: list[Job] = []
    for job in jobs:
        try:
            dataset = read_dataset(Path(job.dataset), reading=reading)
        except Exception:  # One bad dataset never stops the others.
            others.append(job)
        else:
            readable.setdefault(dataset.content, (job, dataset))
    named = with_distinct_slugs(dataset for _, dataset in readable.values())
    return [
        job._replace(slug=dataset.slug) for (job, _), dataset in zip(readable.values(), named, strict=True)
    ] + others


class Asked(NamedTuple):
    """The questions to ask of a dataset, and what was wrong with others."""

    questions: tuple[Question, ...]
    problems: tuple[str, ...]


def own_questions(home: Path, dataset: Dataset) -> Path:
    """Where the question flow leaves a dataset's questions; a file of an earlier release, while there is no other."""
    own = home / "questions" / f"{dataset.stem}.jsonl"
    return own if own.exists() else next(iter(former_files(own.parent, dataset)), own)


def gather_questions(dataset: Dataset, file: Path | None, ask: Sequence[str], home: Path) -> Asked:
    """The questions named by the user: a file, plain words, or else the dataset's own file under the home.

    Returns:
        The questions, each content once, and what was wrong with others; none where the user named none.

    Raises:
        UserError: A file cannot be used at all.
    """
    questions = [question_from_text(text) for text in ask]
    problems: tuple[str, ...] = ()
    own = own_questions(home, dataset)
    # Where no candidate was kept the file is empty: nothing is asked, and nothing is wrong with it.
    if file is None and not questions and own.exists() and own.stat().st_size:
        file = own
    former = file == own and own.stem != dataset.stem  # Of all datasets that had this name.
    if file is not None:
        read = read_questions(file)
        strangers = [each for each in read.questions if each.dataset_key not in (None, dataset.content)]
        questions += [each for each in read.questions if each.dataset_key in (None, dataset.content)]
        problems = (
            *map(str, read.problems),
            *([_left_out(file, [each.id for each in strangers])] if strangers and not former else []),
        )
    unique = {question.key(dataset.content): question for question in questions}
    return Asked(tuple(unique.values()), problems)


def _left_out(file: Path, ids: Sequence[str]) -> str:
    """Of questions about another table; three are named, the others counted."""
    named = ", ".join(ids[:3]) + (f" and {len(ids) - 3:,} more" if len(ids) > 3 else "")
    made = f"{were(len(ids))} made for another dataset, an earlier state of it, or other rules for reading it"
    return f"{file}: {named} {made}."


def plan_questions(
    questions: Sequence[Question],
    table: Table,
    config: SolveConfig,
    *,
    endpoint: str,
) -> list[tuple[Question, EpisodePlan]]:
    """Each question with its plan.

    Args:
        questions: What is asked.
        table: Of which dataset.
        config: How.
        endpoint: Where the model is, as the client names it.
    """
    tasks = [Task(question, table.dataset, table.profile) for question in questions]
    system = system_prompt(tasks[0], config.trace) if tasks else ""
    return [
        (
            task.question,
            EpisodePlan.of(
                task, config.trace, config.rule, endpoint=endpoint, image_digest=table.image_digest,
                limits=table.limits, program_timeout_s=config.program_timeout_s, system=system,
            ),
        )
        for task in tasks
    ]  # fmt: skip
